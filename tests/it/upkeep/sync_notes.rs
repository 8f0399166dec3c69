//! Notes of lost data in a store and its copy: a copy notes what either has lost.

use super::sync::sync_to;
use super::{Series, objects};
use crate::support::{backup, reading};
use freezer::backup::run;
use freezer::catalog::names::level_prefix;
use freezer::catalog::{Access, Catalog, lost_parts};
use freezer::format::lost::Lost;
use freezer::model::progress::Silent;
use freezer::model::{Cancel, LevelId};
use freezer::store::faulty::{Fault, Faulty};
use freezer::store::memory::MemoryStore;
use freezer::store::{ObjectName, Store};
use freezer::upkeep::repair;
use std::sync::Arc;

fn segments_of(store: &dyn Store, level: &LevelId) -> Vec<ObjectName> {
    let names = objects(store, &level_prefix(&backup::name(), level))
        .into_iter()
        .filter(|name| name.contains("/segments/"));
    names
        .map(|name| ObjectName::new(name).expect("listed"))
        .collect()
}

/// Returns the note of a level's lost data.
fn noted(store: &dyn Store, level: &LevelId) -> Option<Lost> {
    lost_parts(store, &backup::name())
        .expect("listed")
        .remove(level)
}

/// Removes a segment of a level, and lets a repair note that.
fn lose(access: &Access, level: &LevelId, nth: usize) -> (ObjectName, Lost) {
    let store = access.store();
    let segment = segments_of(store.as_ref(), level).swap_remove(nth);
    store.delete(&segment).expect("removed");
    let levels = Catalog::new(access.store())
        .levels(&backup::name())
        .expect("listed");
    repair(
        access,
        &backup::name(),
        &levels,
        &mut |_: &[LevelId], _| {},
        &Silent,
        &Cancel::new(),
    )
    .expect("looked at");
    let lost = noted(store.as_ref(), level).expect("a note");
    assert!(
        lost.missing_segments() == 1 && !lost.ranges().is_empty(),
        "{lost:?}"
    );
    (segment, lost)
}

/// Asserts that the next run on a copy leans on the data of the copy, stores the rest again, and
/// shows the whole tree.
#[track_caller]
fn the_next_run_is_whole(series: &Series, copy: &Access, level: u32) {
    let report = run(
        &series.request(),
        copy,
        &series.clock,
        &Silent,
        &Cancel::new(),
    )
    .expect("a backup");
    assert_eq!(report.manifest.level, level, "no new full level is needed");
    let whole = reading::whole(copy, &backup::name(), &report.manifest.id);
    let files: Vec<_> = whole
        .iter()
        .filter(|(_, content)| !content.is_empty())
        .collect();
    assert!(files.len() >= 6, "{} files", files.len());
    for (entry, content) in files {
        assert!(
            *content
                == std::fs::read(series.room.path().join(entry.path.to_string())).expect("there"),
            "{}",
            entry.path
        );
    }
}

#[test]
fn what_is_noted_as_lost_is_noted_in_a_copy_before_anything_of_that_stream_is_there() {
    let series = Series::with_large_files(3, 6, 2);
    let full = series.levels().remove(0);
    let (lost_segment, lost) = lose(&series.access, &full, 2);
    let counting = Arc::new(Faulty::new(MemoryStore::default()));
    sync_to(&series.access, counting.clone(), &series.clock).expect("no fault");
    let mut with_segments = 0;
    for call in 0..counting.calls().all() {
        let place =
            Arc::new(Faulty::new(MemoryStore::default()).with(Fault::at_any(call).for_good()));
        let _cut_off = sync_to(&series.access, place.clone(), &series.clock);
        let mended = place.mended();
        if !segments_of(mended.as_ref(), &full).is_empty() {
            with_segments += 1;
            assert_eq!(
                noted(mended.as_ref(), &full).as_ref(),
                Some(&lost),
                "cut off at call {call}"
            );
        }
    }
    assert!(
        with_segments > 5,
        "cut off only {with_segments} times with something there"
    );
    let copy = counting.mended();
    assert_eq!(noted(copy.as_ref(), &full), Some(lost));
    assert!(!segments_of(copy.as_ref(), &full).contains(&lost_segment));
    the_next_run_is_whole(&series, &Access::open(copy, None).expect("it opens"), 3);
}

#[test]
fn what_a_copy_has_is_not_noted_as_lost_there() {
    let mut series = Series::with_large_files(3, 6, 2);
    let full = series.levels().remove(0);
    let copy = Arc::new(MemoryStore::default());
    sync_to(&series.access, copy.clone(), &series.clock).expect("copied");
    lose(&series.access, &full, 2);
    series.write_large(0, 50);
    series.back_up();
    assert_eq!(
        sync_to(&series.access, copy.clone(), &series.clock)
            .expect("copied")
            .points,
        1
    );
    assert_eq!(noted(copy.as_ref(), &full), None);
    series.check(
        &Access::open(copy, None).expect("it opens"),
        "the copy has lost nothing",
    );
}

#[test]
fn a_copy_that_has_lost_something_itself_notes_what_either_has_lost() {
    let mut series = Series::with_large_files(3, 6, 2);
    let full = series.levels().remove(0);
    let copy = Arc::new(MemoryStore::default());
    sync_to(&series.access, copy.clone(), &series.clock).expect("copied");
    let access = Access::open(copy.clone(), None).expect("it opens");
    let (lost_here, here) = lose(&access, &full, 1);
    let (_, there) = lose(&series.access, &full, 3);
    series.write_large(0, 50);
    series.back_up();
    sync_to(&series.access, copy.clone(), &series.clock).expect("copied");
    assert!(
        segments_of(copy.as_ref(), &full).contains(&lost_here),
        "the source had it"
    );
    let both = noted(copy.as_ref(), &full).expect("a note");
    for range in here.ranges().iter().chain(there.ranges()) {
        assert!(
            both.touches(range.start, 1) && both.touches(range.end - 1, 1),
            "{range:?} of {both:?}"
        );
    }
    the_next_run_is_whole(&series, &access, 4);
}
