//! A level with features that this program does not know: it is read, and left as it is.

use super::Series;
use crate::support::{backup, reading};
use freezer::catalog::names::manifest_name;
use freezer::format::frame::Sealer;
use freezer::format::manifest::Manifest;
use freezer::model::{Fate, LevelId, Reason, Retention};
use freezer::platform::Clock;
use freezer::store::Store;
use freezer::upkeep::{Going, plan};
use jiff::SignedDuration;
use jiff::tz::TimeZone;

/// Writes the manifest of a level again, with a feature that may be read and not be changed.
fn allow_later(series: &Series, level: &LevelId) {
    let mut json = serde_json::to_value(&series.manifests[level]).expect("JSON");
    json["allows"] = ["later"].into();
    let json = serde_json::to_vec(&json).expect("JSON");
    let access = &series.access;
    let sealer = Sealer::new(access.store_id(), level.clone(), access.protection());
    let manifest = Manifest::decode(&json).expect("a manifest");
    let sealed = manifest.seal(&sealer).expect("sealed");
    let object = manifest_name(&backup::name(), level);
    series.store.put(&object, &vec![sealed]).expect("stored");
}

fn only_the_last() -> Going {
    Going::Unprotected(Retention {
        last: 1,
        ..Retention::default()
    })
}

fn fates(series: &Series) -> Vec<(LevelId, Fate)> {
    let going = only_the_last();
    let now = series.clock.now();
    let plan = plan(&series.access, &backup::name(), &going, now, &TimeZone::UTC);
    let points = plan.expect("planned").points.into_iter();
    points.map(|point| (point.level, point.fate)).collect()
}

#[test]
fn a_level_that_must_not_be_changed_is_read_and_neither_built_on_nor_removed() {
    let mut series = Series::with_levels(4);
    let levels: Vec<LevelId> = series.manifests.keys().cloned().collect();
    let newest = levels[3].clone();
    allow_later(&series, &newest);
    let whole = reading::whole(&series.access, &backup::name(), &newest);
    assert_eq!(whole, series.held[&newest], "it can be read");
    let next = series.back_up();
    assert_eq!(series.manifests[&next].level, 0, "nothing is built on it");
    assert!(series.manifests[&next].serial > series.manifests[&newest].serial);
    let fates = fates(&series);
    let of_newest = fates.iter().find(|(level, _)| *level == newest);
    assert_eq!(
        of_newest.map(|(_, fate)| fate),
        Some(&Fate::Stays(vec![Reason::Newer]))
    );
    series
        .prune(&only_the_last(), SignedDuration::ZERO)
        .expect("pruned");
    let whole = reading::whole(&series.access, &backup::name(), &newest);
    assert_eq!(whole, series.held[&newest], "it has all that it needs");
}
