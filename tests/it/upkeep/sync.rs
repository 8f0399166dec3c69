//! A copy of a store that is brought up to date: its levels are always whole, wherever the sync is
//! cut off.

use super::{Series, locked, objects, prune};
use crate::support::backup;
use freezer::catalog::{Access, AccessError, Catalog};
use freezer::model::progress::Silent;
use freezer::model::{Cancel, Retention};
use freezer::platform::{Clock, ManualClock};
use freezer::store::altered::{Alteration, Altered};
use freezer::store::faulty::{Fault, Faulty};
use freezer::store::location::IfMissing;
use freezer::store::memory::MemoryStore;
use freezer::store::{self, ObjectInfo, ObjectName, Rope, Selection, Store, StoreExt};
use freezer::upkeep::{Going, LevelsToCopy, Pair, SyncOptions, Synced, sync};
use jiff::SignedDuration;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

/// Syncs as the program does.
pub(super) fn sync_to(
    from: &Access,
    place: Arc<dyn Store>,
    clock: &ManualClock,
) -> anyhow::Result<Synced> {
    sync_what(LevelsToCopy::Newer, from, place, clock)
}

fn sync_what(
    levels: LevelsToCopy,
    from: &Access,
    place: Arc<dyn Store>,
    clock: &ManualClock,
) -> anyhow::Result<Synced> {
    let (name, cancel) = (backup::name(), Cancel::new());
    let to = from.copy_at(place, IfMissing::Create)?;
    let pair = Pair { from, to: &to };
    let synced = locked(&to, clock, "sync", |held| {
        let options = SyncOptions { levels, jobs: 2 };
        sync(pair, &name, held, options, &Silent, &cancel)
    });
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

    // A new copy of the levels that are left has all that they lean on.
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
    let synced = sync_what(LevelsToCopy::All, &series.access, copy, &series.clock).expect("copied");
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
            // The next sync comes when the one that was cut off is known to be dead.
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

/// A store in which something happens before one of its calls.
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

impl<F: Fn() + Send + Sync> Alteration for Eventful<F> {
    fn inner(&self) -> &dyn Store {
        &self.inner
    }

    fn put(&self, name: &ObjectName, body: &Rope) -> Result<(), store::Error> {
        self.tick();
        self.inner.put(name, body)
    }

    fn read(
        &self,
        name: &ObjectName,
        wanted: Selection<'_>,
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
        let eventful = Arc::new(Altered(Eventful {
            inner: series.store.clone(),
            calls_left: AtomicI64::new(i64::MAX),
            event,
        }));
        let from = series.access.through(eventful.clone());
        eventful.0.calls_left.store(call, Ordering::SeqCst);
        let copy = Arc::new(MemoryStore::default());
        let synced = sync_to(&from, copy.clone(), &series.clock);
        let is_over = eventful.0.calls_left.load(Ordering::SeqCst) >= 0;
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
    // A copy with more points in time would lose what they need.
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
    // Where both stores are repacked, each gives its objects its own names.
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
