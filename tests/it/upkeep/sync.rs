//! A copy of a store that is brought up to date: what it has is always whole, wherever it is cut
//! off.

use super::{Series, objects, prune};
use crate::support::backup;
use crate::support::reading;
use freezer::backup::run;
use freezer::catalog::names::level_prefix;
use freezer::catalog::{
    Access, AccessError, Catalog, LockRequest, Patience, lost_parts, with_lock,
};
use freezer::format::lost::Lost;
use freezer::model::progress::Silent;
use freezer::model::{Cancel, LevelId, Retention};
use freezer::platform::{Clock, ManualClock};
use freezer::store::faulty::{Fault, Faulty};
use freezer::store::location::IfMissing;
use freezer::store::memory::MemoryStore;
use freezer::store::{self, ObjectInfo, ObjectName, Rope, Store, StoreExt};
use freezer::upkeep::{Going, Pair, Synced, Wanted, repair, sync};
use jiff::SignedDuration;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

/// As the program does it.
pub(super) fn sync_to(
    from: &Access,
    place: Arc<dyn Store>,
    clock: &ManualClock,
) -> anyhow::Result<Synced> {
    sync_what(Wanted::Newer, from, place, clock)
}

fn sync_what(
    wanted: Wanted,
    from: &Access,
    place: Arc<dyn Store>,
    clock: &ManualClock,
) -> anyhow::Result<Synced> {
    let (name, cancel) = (backup::name(), Cancel::new());
    let to = from.copy_at(place, IfMissing::Create)?;
    let store = to.store();
    let request = LockRequest {
        backup: &name,
        host: "here",
        action: "sync",
        patience: Patience::None,
    };
    let pair = Pair { from, to: &to };
    let synced = with_lock(
        store.as_ref(),
        &Catalog::new(to.store()),
        request,
        clock,
        &cancel,
        |_| true,
        |held| sync(pair, &name, held, (wanted, 2), &Silent, &cancel),
    );
    Ok(synced??)
}

#[test]
fn a_copy_has_the_same_objects_and_gets_only_what_it_lacks() {
    let mut series = Series::with_levels(3);
    let copy = Arc::new(MemoryStore::default());
    let first = sync_to(&series.access, copy.clone(), &series.clock).expect("copied");
    assert_eq!((first.points, first.unreadable.len()), (3, 0));
    assert_eq!(
        objects(copy.as_ref(), ""),
        objects(series.store.as_ref(), "")
    );
    for object in objects(copy.as_ref(), "") {
        let object = freezer::store::ObjectName::new(object).expect("legal");
        assert!(
            copy.get(&object, u64::MAX).expect("there")
                == series.store.get(&object, u64::MAX).expect("there"),
            "{object}"
        );
    }
    let nothing = sync_to(&series.access, copy.clone(), &series.clock).expect("nothing to do");
    assert_eq!((nothing.points, nothing.objects, nothing.bytes), (0, 0, 0));

    series.write("file 1", b"other");
    series.back_up();
    let before = copy.calls().of(freezer::store::Operation::Put);
    let second = sync_to(&series.access, copy.clone(), &series.clock).expect("copied");
    assert_eq!(second.points, 1);
    assert!(
        second.bytes < first.bytes / 3,
        "{} of {}",
        second.bytes,
        first.bytes
    );
    let puts = copy.calls().of(freezer::store::Operation::Put) - before;
    assert_eq!(puts, second.objects + 1, "the claim, and nothing twice");
    let access = Access::open(copy, None).expect("it opens by itself");
    assert_eq!(series.levels().len(), 4);
    series.check(&access, "the copy");
}

#[test]
fn what_went_from_the_one_stays_in_the_other() {
    let mut series = Series::with_levels(6);
    let copy = Arc::new(MemoryStore::default());
    sync_to(&series.access, copy.clone(), &series.clock).expect("copied");
    series
        .prune(
            &Going::Unprotected(Retention {
                last: 2,
                ..Retention::default()
            }),
            SignedDuration::ZERO,
        )
        .expect("pruned");
    series.write("file 2", b"other");
    series.back_up();
    let synced = sync_to(&series.access, copy.clone(), &series.clock).expect("copied");
    assert_eq!(synced.points, 1);
    let access = Access::open(copy.clone(), None).expect("it opens");
    assert_eq!(
        Catalog::new(copy)
            .levels(&backup::name())
            .expect("listed")
            .len(),
        7
    );
    series.check(&access, "the copy");

    // And a copy that is made of what is left has all that those lean on.
    let late = Arc::new(MemoryStore::default());
    assert_eq!(
        sync_to(&series.access, late.clone(), &series.clock)
            .expect("copied")
            .points,
        3
    );
    series.check(
        &Access::open(late, None).expect("it opens"),
        "the late copy",
    );
}

#[test]
fn a_copy_that_was_pruned_by_itself_gets_whole_levels() {
    let mut series = Series::with_levels(6);
    let copy = Arc::new(MemoryStore::default());
    sync_to(&series.access, copy.clone(), &series.clock).expect("copied");
    let access = Access::open(copy.clone(), None).expect("it opens");
    prune(
        &access,
        &series.clock,
        &Going::Unprotected(Retention {
            last: 1,
            ..Retention::default()
        }),
        SignedDuration::ZERO,
    )
    .expect("pruned");
    series.write("file 3", b"other");
    series.back_up();
    let synced = sync_to(&series.access, copy.clone(), &series.clock).expect("copied");
    assert_eq!(
        synced.points, 1,
        "what was pruned from the copy does not come back"
    );
    series.check(&access, "the copy");
    let synced = sync_what(Wanted::All, &series.access, copy, &series.clock).expect("copied");
    assert_eq!(synced.points, 5, "unless it is asked for");
    series.check(&access, "the copy, with all");
}

#[test]
fn another_store_is_no_copy() {
    let series = Series::with_levels(1);
    let other = Arc::new(MemoryStore::default());
    backup::create_plain(other.clone());
    let before = objects(other.as_ref(), "");
    let error = sync_to(&series.access, other.clone(), &series.clock).expect_err("another store");
    assert!(
        matches!(error.downcast_ref(), Some(AccessError::OtherStore { .. })),
        "{error:?}"
    );
    assert_eq!(objects(other.as_ref(), ""), before);
}

#[test]
fn a_damaged_manifest_stays_behind_and_the_others_come() {
    let series = Series::with_levels(3);
    let damaged = series.levels()[1].clone();
    let manifest = freezer::catalog::names::manifest_name(&backup::name(), &damaged);
    series
        .store
        .put(&manifest, &vec![b"no manifest".to_vec()])
        .expect("stored");
    let copy = Arc::new(MemoryStore::default());
    let synced = sync_to(&series.access, copy.clone(), &series.clock).expect("copied");
    assert_eq!(
        (
            synced.points,
            synced.unreadable.len(),
            &synced.unreadable[0].0
        ),
        (2, 1, &damaged)
    );
    series.check(&Access::open(copy, None).expect("it opens"), "the copy");
}

#[test]
fn a_sync_cut_off_at_any_call_of_either_store_leaves_whole_levels_and_goes_on() {
    let series = Series::with_levels(3);
    let done = Arc::new(MemoryStore::default());
    sync_to(&series.access, done.clone(), &series.clock).expect("no fault");
    let counting = Arc::new(Faulty::new(MemoryStore::default()));
    sync_to(&series.access, counting.clone(), &series.clock).expect("no fault");
    let calls = counting.calls().all();
    assert!(calls > 15, "only {calls} calls");
    for call in 0..calls {
        for fault in [
            Fault::at_any(call),
            Fault::at_any(call).for_good(),
            Fault::at_any(call).after_effect().for_good(),
        ] {
            let place = Arc::new(Faulty::new(MemoryStore::default()).with(fault));
            let _outcome = sync_to(&series.access, place.clone(), &series.clock);
            let mended = place.mended();
            if let Ok(access) = Access::open(mended.clone(), None) {
                series.check(&access, &format!("{fault:?}"));
            }
            // The next one, when whoever was cut off is known to be dead.
            series.pass(SignedDuration::from_hours(2));
            sync_to(&series.access, mended.clone(), &series.clock)
                .unwrap_or_else(|error| panic!("{fault:?}: {error:?}"));
            assert_eq!(
                objects(mended.as_ref(), "data/"),
                objects(done.as_ref(), "data/"),
                "{fault:?}"
            );
            assert_eq!(
                objects(mended.as_ref(), "manifests/"),
                objects(done.as_ref(), "manifests/"),
                "{fault:?}"
            );
            series.check(
                &Access::open(mended, None).expect("it opens"),
                &format!("{fault:?}, again"),
            );
        }
    }
}

/// A store in which something happens before a call of it.
struct Eventful<F> {
    inner: Arc<MemoryStore>,
    calls_left: AtomicI64,
    event: F,
}

impl<F: Fn() + Send + Sync> Eventful<F> {
    fn tick(&self) {
        if self.calls_left.fetch_sub(1, Ordering::SeqCst) == 0 {
            (self.event)();
        }
    }
}

impl<F: Fn() + Send + Sync> Store for Eventful<F> {
    fn put(&self, name: &ObjectName, body: &Rope) -> Result<(), store::Error> {
        self.tick();
        self.inner.put(name, body)
    }

    fn read(
        &self,
        name: &ObjectName,
        wanted: freezer::store::Selection<'_>,
        take: &mut dyn FnMut(Vec<u8>) -> bool,
    ) -> Result<(), store::Error> {
        self.tick();
        self.inner.read(name, wanted, take)
    }

    fn list(
        &self,
        prefix: &str,
        found: &mut dyn FnMut(ObjectInfo) -> bool,
    ) -> Result<(), store::Error> {
        self.tick();
        self.inner.list(prefix, found)
    }

    fn delete(&self, name: &ObjectName) -> Result<(), store::Error> {
        self.tick();
        self.inner.delete(name)
    }

    fn location(&self) -> String {
        self.inner.location()
    }

    fn powers(&self) -> store::Powers<'_> {
        self.inner.powers()
    }
}

#[test]
fn a_copy_is_whole_when_points_in_time_go_from_the_source_before_any_call_of_it() {
    let last = Going::Unprotected(Retention {
        last: 1,
        ..Retention::default()
    });
    let (mut skipped, mut call) = (0, 0);
    loop {
        let series = Series::with_levels(4);
        let clock = ManualClock::at(series.clock.now());
        let source = series.access.clone();
        let event = {
            let last = last.clone();
            move || {
                prune(&source, &clock, &last, SignedDuration::ZERO).expect("pruned");
            }
        };
        let eventful = Arc::new(Eventful {
            inner: series.store.clone(),
            calls_left: AtomicI64::new(i64::MAX),
            event,
        });
        let from = series.access.through(eventful.clone());
        eventful.calls_left.store(call, Ordering::SeqCst);
        let copy = Arc::new(MemoryStore::default());
        let synced = sync_to(&from, copy.clone(), &series.clock);
        let is_over = eventful.calls_left.load(Ordering::SeqCst) >= 0;
        let what = format!("pruned before call {call}: {synced:?}");
        if let Ok(access) = Access::open(copy.clone(), None) {
            series.check(&access, &what);
            skipped += usize::from(
                Catalog::new(copy.clone())
                    .levels(&backup::name())
                    .expect("listed")
                    .len()
                    < 4,
            );
        }
        series.pass(SignedDuration::from_hours(2));
        sync_to(&series.access, copy.clone(), &series.clock)
            .unwrap_or_else(|error| panic!("{what}, then {error:?}"));
        series.check(
            &Access::open(copy, None).expect("it opens"),
            &format!("{what}, and once more"),
        );
        if is_over {
            break;
        }
        call += 1;
    }
    assert!(
        call > 12 && skipped > 5,
        "{call} calls, {skipped} times levels went"
    );
}

#[test]
fn a_copy_takes_over_what_was_repacked_only_if_it_loses_nothing() {
    use super::repack::{NOTHING, repack};
    let last = |count| {
        Going::Unprotected(Retention {
            last: count,
            ..Retention::default()
        })
    };
    let mut series = Series::with_large_files_in(3_000_000, 1, 8, 0);
    for file in [1, 2, 3, 5, 6, 7] {
        series.write_large(file, 1);
    }
    series.back_up();
    let (full, fresh) = (
        Arc::new(MemoryStore::default()),
        Arc::new(MemoryStore::default()),
    );
    sync_to(&series.access, full.clone(), &series.clock).expect("copied");
    series
        .prune(&last(1), SignedDuration::ZERO)
        .expect("pruned");
    assert!(
        repack(&series.access, &series.clock, 0.5, SignedDuration::ZERO)
            .expect("repacked")
            .segments
            > 0
    );
    series
        .prune(&NOTHING(), SignedDuration::ZERO)
        .expect("pruned");
    series.write_large(0, 2);
    series.back_up();
    // One that has more points in time would lose what they need.
    let refused = sync_to(&series.access, full.clone(), &series.clock)
        .expect_err("it has the first point in time");
    assert!(
        refused
            .to_string()
            .contains("was repacked in one of the stores"),
        "{refused:?}"
    );
    series.check(
        &Access::open(full.clone(), None).expect("it opens"),
        "the copy is as it was",
    );
    prune(
        &Access::open(full.clone(), None).expect("it opens"),
        &series.clock,
        &last(1),
        SignedDuration::ZERO,
    )
    .expect("pruned");
    for copy in [full, fresh.clone()] {
        sync_to(&series.access, copy.clone(), &series.clock).expect("copied");
        let access = Access::open(copy, None).expect("it opens");
        series.check(&access, "it has what was repacked");
        prune(&access, &series.clock, &NOTHING(), SignedDuration::ZERO).expect("pruned");
        series.check(&access, "and nothing needs the old segments");
        super::partial::check_all(&access, "the copy");
    }
    // Where both are repacked, each has names of its own.
    let access = Access::open(fresh.clone(), None).expect("it opens");
    series.write_large(4, 3);
    series.back_up();
    for access in [&access, &series.access] {
        prune(access, &series.clock, &last(1), SignedDuration::ZERO).expect("pruned");
        repack(access, &series.clock, 1.0, SignedDuration::ZERO).expect("repacked");
    }
    series.write_large(5, 3);
    series.back_up();
    match sync_to(&series.access, fresh, &series.clock) {
        Ok(_) => series.check(&access, "both were repacked alike"),
        Err(refused) => assert!(refused.to_string().contains("was repacked"), "{refused:?}"),
    }
    series.check(&access, "nothing in the copy was touched");
}

fn segments_of(store: &dyn Store, level: &LevelId) -> Vec<ObjectName> {
    let names = objects(store, &level_prefix(&backup::name(), level))
        .into_iter()
        .filter(|name| name.contains("/segments/"));
    names
        .map(|name| ObjectName::new(name).expect("listed"))
        .collect()
}

/// What is noted as lost of a level.
fn noted(store: &dyn Store, level: &LevelId) -> Option<Lost> {
    lost_parts(store, &backup::name())
        .expect("listed")
        .remove(level)
}

/// Loses a segment of a level, and has a repair note it.
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

/// The next run on a copy leans on what the copy has, stores the rest again, and its point in time
/// is all of the tree.
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
