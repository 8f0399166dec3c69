//! How runs, rules and copies deal with wrong clocks and with objects that are no manifests.

use super::{Series, objects, prune};
use crate::support::backup;
use freezer::catalog::names::{level_prefix, manifest_name};
use freezer::catalog::{Catalog, Order};
use freezer::model::order::WrongDate;
use freezer::model::{Fate, LevelId, Reason, Retention};
use freezer::platform::Clock;
use freezer::store::{Store, StoreExt};
use freezer::upkeep::{Going, Remark, plan, remarks};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

/// Makes a level by another clock.
fn back_up_at(series: &mut Series, clock: Timestamp, content: &[u8]) -> LevelId {
    let right = series.clock.now();
    series.clock.set(clock);
    series.write("file", content);
    let level = series.back_up();
    series.clock.set(right + SignedDuration::from_hours(24));
    level
}

fn back_up(series: &mut Series, content: &[u8]) -> LevelId {
    let now = series.clock.now();
    back_up_at(series, now, content)
}

fn daily(daily: u64) -> Going {
    Going::Unprotected(Retention {
        daily,
        ..Retention::default()
    })
}

fn fates(series: &Series, going: &Going) -> Vec<(LevelId, Fate)> {
    let plan = plan(
        &series.access,
        &backup::name(),
        going,
        series.clock.now(),
        &TimeZone::UTC,
    )
    .expect("planned");
    plan.points
        .into_iter()
        .map(|point| (point.level, point.fate))
        .collect()
}

fn in_order(series: &Series) -> Vec<LevelId> {
    let order = Order::read(&series.access, &backup::name(), series.clock.now());
    order.expect("listed").levels().cloned().collect()
}

fn junk(series: &Series, level: &LevelId) {
    series
        .store
        .put(
            &manifest_name(&backup::name(), level),
            &vec![b"junk".to_vec()],
        )
        .expect("stored");
}

#[test]
fn one_wrong_clock_moves_no_level_leads_no_run_astray_and_costs_no_day() {
    for wrong in ["2099-11-30T12:00:00Z", "1970-01-01T00:00:30Z"] {
        let wrong: Timestamp = wrong.parse().expect("a time");
        let mut series = Series::new();
        let mut levels = Vec::new();
        for run in 0..6_u8 {
            let now = series.clock.now();
            let clock = if run == 2 { wrong } else { now };
            let level = back_up_at(&mut series, clock, &[run]);
            assert_eq!(level.started().as_millisecond(), clock.as_millisecond());
            let manifest = &series.manifests[&level];
            assert_eq!(manifest.serial.0, u64::from(run) + 1);
            assert_eq!(
                manifest.parent.as_ref().map(|parent| &parent.id),
                levels.last(),
                "it is compared with the last run"
            );
            levels.push(level);
        }
        assert_eq!(in_order(&series), levels);
        let kept = fates(&series, &daily(7));
        assert!(kept.iter().all(|(_, fate)| *fate != Fate::Goes), "{kept:?}");
        // It counts for no other point in time, and lets none go.
        let kept = fates(&series, &daily(2));
        let stay: Vec<bool> = kept.iter().map(|(_, fate)| *fate != Fate::Goes).collect();
        assert_eq!(stay, [false, false, true, false, true, true]);
        let last = Going::Unprotected(Retention {
            last: 2,
            ..Retention::default()
        });
        let stay = fates(&series, &last);
        let stay: Vec<bool> = stay.iter().map(|(_, fate)| *fate != Fate::Goes).collect();
        assert_eq!(stay, [false, false, true, false, true, true]);
        let told = remarks(&series.access, &backup::name(), series.clock.now()).expect("listed");
        let expected = if wrong > series.clock.now() {
            WrongDate::Ahead
        } else {
            WrongDate::OutOfOrder
        };
        assert!(
            told.iter().any(|remark| matches!(
                remark,
                Remark::WrongDate { level, wrong, .. }
                    if *level == levels[2] && *wrong == expected
            )),
            "{told:?}"
        );
        // It goes when it is named.
        series
            .prune(&Going::Named(levels[2].clone()), SignedDuration::ZERO)
            .expect("pruned");
        levels.remove(2);
        levels.push(back_up(&mut series, b"and on"));
        assert_eq!(in_order(&series), levels);
        series.check(&series.access, "all others");
    }
}

#[test]
fn a_stray_object_keeps_no_data_and_is_told() {
    let mut series = Series::with_large_files(3, 4, 4);
    let stray: LevelId = "20991130T025420.000Z-00000000".parse().expect("an id");
    junk(&series, &stray);
    let level = back_up(&mut series, b"next");
    assert_eq!(
        series.manifests[&level]
            .parent
            .as_ref()
            .map(|parent| parent.id.clone()),
        Some(series.levels()[2].clone())
    );
    let last = Going::Unprotected(Retention {
        last: 1,
        ..Retention::default()
    });
    let kept = fates(&series, &last);
    assert!(
        kept.contains(&(stray.clone(), Fate::Stays(vec![Reason::Stray]))),
        "{kept:?}"
    );
    let pruned = series.prune(&last, SignedDuration::ZERO).expect("pruned");
    assert_eq!((pruned.points, pruned.doubtful_bytes), (3, 0));
    assert!(pruned.freed_bytes > 0);
    let told = remarks(&series.access, &backup::name(), series.clock.now()).expect("listed");
    let object = manifest_name(&backup::name(), &stray);
    assert!(told.contains(&Remark::Stray { object }), "{told:?}");
    // It goes when it is named.
    series
        .prune(&Going::Named(stray), SignedDuration::ZERO)
        .expect("pruned");
    assert_eq!(series.levels(), [level]);
    series.check(&series.access, "the last");
}

#[test]
fn a_damaged_manifest_keeps_all_data_where_ids_do_not_tell_what_is_older() {
    let mut series = Series::new();
    let first = back_up(&mut series, b"first");
    series.write("other", b"of a wrong clock, and leaned on");
    let ahead = back_up_at(
        &mut series,
        "2099-11-30T12:00:00Z".parse().expect("a time"),
        b"ahead",
    );
    let damaged = back_up(&mut series, b"damaged");
    let last = back_up(&mut series, b"last");
    let name = manifest_name(&backup::name(), &damaged);
    let sound = series.store.get(&name, u64::MAX).expect("there");
    junk(&series, &damaged);
    let before = objects(
        series.store.as_ref(),
        &level_prefix(&backup::name(), &ahead),
    );
    for level in [&first, &ahead] {
        series
            .prune(&Going::Named(level.clone()), SignedDuration::ZERO)
            .expect("pruned");
    }
    assert_eq!(
        objects(
            series.store.as_ref(),
            &level_prefix(&backup::name(), &ahead)
        ),
        before
    );
    series.store.put(&name, &vec![sound]).expect("stored");
    assert_eq!(in_order(&series), [damaged, last]);
    series.check(&series.access, "the manifest is back");
}

#[test]
fn a_copy_gets_levels_in_the_order_in_which_they_were_made() {
    let mut series = Series::new();
    back_up(&mut series, b"1");
    let copy = std::sync::Arc::new(freezer::store::memory::MemoryStore::default());
    super::sync::sync_to(&series.access, copy.clone(), &series.clock).expect("copied");
    for (run, wrong) in [
        Some("2099-11-30T12:00:00Z"),
        None,
        Some("1970-01-01T00:00:30Z"),
        None,
    ]
    .into_iter()
    .enumerate()
    {
        let now = series.clock.now();
        let clock = wrong.map_or(now, |wrong| wrong.parse().expect("a time"));
        back_up_at(&mut series, clock, format!("run {run}").as_bytes());
        let synced =
            super::sync::sync_to(&series.access, copy.clone(), &series.clock).expect("copied");
        assert_eq!(synced.points, 1, "run {run}");
    }
    // A level that was pruned from the copy stays away from it, whatever its date.
    let to = freezer::catalog::Access::open(copy.clone(), None).expect("it opens");
    let gone = in_order(&series)[1].clone();
    prune(
        &to,
        &series.clock,
        &Going::Named(gone),
        SignedDuration::ZERO,
    )
    .expect("pruned");
    let synced = super::sync::sync_to(&series.access, copy.clone(), &series.clock).expect("copied");
    assert_eq!(synced.points, 0);
    let levels = Catalog::new(copy).levels(&backup::name()).expect("listed");
    assert_eq!(levels.len(), 4);
    series.check(&to, "the copy");
}
