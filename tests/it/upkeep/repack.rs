//! A repack gives space back, and no reader misses the frames that it moves.

use super::partial::check_all;
use super::{FILE_BYTES, Series, damage_of, last, locked, objects, prune};
use crate::support::{backup, copy_of, reading, torture};
use freezer::backup::{BackupLock, run};
use freezer::catalog::names::{Folder, LevelOf, data_prefix};
use freezer::catalog::{Access, Patience};
use freezer::model::progress::Silent;
use freezer::model::{Cancel, LevelId, Retention};
use freezer::platform::{Clock, ManualClock};
use freezer::store::faulty::{Fault, Faulty};
use freezer::store::{ObjectName, Operation, Store, StoreExt};
use freezer::upkeep::{Below, GRACE, Going, Grace, Repack, Repacking, plan_repack, unneeded_bytes};
use jiff::SignedDuration;
use std::sync::Arc;

pub(super) const NOTHING: fn() -> Going = || Going::Unprotected(Retention::default());

/// Repacks as the program does.
pub(super) fn repack(
    access: &Access,
    clock: &ManualClock,
    below: f64,
    grace: SignedDuration,
) -> anyhow::Result<Repacking> {
    let (name, cancel) = (backup::name(), Cancel::new());
    let mut repack = Repack::new(Below(below));
    let mut step = || -> anyhow::Result<bool> {
        let step = locked(access, clock, "repack", |held| {
            let grace = Grace {
                now: clock.now(),
                length: grace,
            };
            repack.step(access, &name, held, grace, &cancel)
        });
        Ok(step??)
    };
    while step()? {}
    Ok(repack.done())
}

impl Series {
    /// Makes levels with four files in each segment.
    fn with_shared_segments(count: u64, files: u64, changes: u64) -> Self {
        Self::with_large_files_in(4 * (FILE_BYTES as u64 + 5000), count, files, changes)
    }

    fn repack(&self, below: f64, grace: SignedDuration) -> anyhow::Result<Repacking> {
        repack(&self.access, &self.clock, below, grace)
    }

    /// Returns views of every point in time by the manifests that were read when they were made.
    #[track_caller]
    fn check_from_old_manifests(&self, what: &str) {
        for level in self.levels() {
            let view = reading::of_manifest(
                &self.access,
                &backup::name(),
                self.manifests[&level].clone(),
            );
            assert!(
                reading::of_view(&view) == self.held[&level],
                "{what}: {level} has changed"
            );
        }
    }
}

#[test]
fn what_lies_among_what_is_needed_is_given_back() {
    // Four files share a segment of level 0, and three of each four are replaced later.
    let mut series = Series::with_shared_segments(1, 16, 0);
    for level in 1..4 {
        for segment in 0..4 {
            series.write_large(segment * 4 + level, level);
        }
        series.back_up();
    }
    series
        .prune(&last(1), SignedDuration::ZERO)
        .expect("pruned");
    series.has_data_of(
        16 + 12,
        "pruned: no segment of the first level is without a file that is needed",
    );
    let plan = plan_repack(&series.access, &backup::name(), Below(0.5)).expect("a plan");
    let before = series.stored_bytes();
    let done = series.repack(0.5, SignedDuration::ZERO).expect("repacked");
    assert_eq!(
        (done.levels, done.segments, done.damaged_segments),
        (1, 4, 0)
    );
    assert_eq!(
        (plan.segments, plan.copied_bytes, plan.freed_bytes),
        (done.segments, done.copied_bytes, done.freed_bytes)
    );
    series.check(&series.access, "repacked");
    series.check_from_old_manifests("repacked");
    series
        .prune(&NOTHING(), SignedDuration::ZERO)
        .expect("pruned");
    series.has_data_of(16, "the old segments have gone");
    assert!(
        before - series.stored_bytes() + 10_000 > done.freed_bytes,
        "{done:?}"
    );
    series.check(&series.access, "old segments have gone");
    series.check_from_old_manifests("old segments have gone");
    assert_eq!(check_all(&series.access, "old segments have gone"), 1);
    let again = plan_repack(&series.access, &backup::name(), Below(1.0)).expect("a plan");
    assert_eq!(
        again,
        Repacking::default(),
        "what is left to give back is not worth a new table"
    );
    // The manifest of the next level says where the frames are now.
    series.write_large(0, 77);
    let next = series.back_up();
    assert!(
        series.manifests[&next]
            .levels
            .iter()
            .any(|parts| parts.repacked == 1)
    );
    assert_eq!(series.manifests[&next].level, 4);
    series.check(&series.access, "the next level");
    check_all(&series.access, "the next level");
}

#[test]
fn a_level_is_repacked_again_and_again() {
    let mut series = Series::with_shared_segments(1, 12, 0);
    for round in 1..9 {
        series.write_large((round * 5) % 12, round);
        series.back_up();
        series
            .prune(&last(1), SignedDuration::ZERO)
            .expect("pruned");
        series.repack(1.0, SignedDuration::ZERO).expect("repacked");
        series
            .prune(&NOTHING(), SignedDuration::ZERO)
            .expect("pruned");
        let what = format!("round {round}");
        series.check(&series.access, &what);
        check_all(&series.access, &what);
        series.has_data_of(12, &what);
        assert_eq!(
            unneeded_bytes(&series.access, &backup::name()).expect("listed"),
            0
        );
        assert!(
            objects(series.store.as_ref(), "data/")
                .iter()
                .filter(|name| name.contains("/repacked/"))
                .count()
                <= 8
        );
    }
}

#[test]
fn who_reads_goes_on_within_the_grace_and_finds_what_was_moved_after_it() {
    let mut series = Series::with_shared_segments(1, 8, 0);
    let first = series.levels().remove(0);
    for file in [0, 1, 2, 4, 5, 6] {
        series.write_large(file, 1);
    }
    let newest = series.back_up();
    let name = backup::name();
    let open = |level: &LevelId| {
        reading::open(&series.access, &name, level, &reading::reader()).expect("it opens")
    };
    let (of_first, of_newest) = (open(&first), open(&newest));
    series.prune(&last(1), GRACE).expect("pruned");
    series.repack(0.5, GRACE).expect("repacked");
    assert!(
        reading::of_view(&of_first) == series.held[&first],
        "one that was withdrawn, within the grace"
    );
    assert!(
        reading::of_view(&of_newest) == series.held[&newest],
        "within the grace"
    );
    let again = series.prune(&NOTHING(), GRACE).expect("pruned");
    assert_eq!(again.freed_bytes, 0, "the grace is not over");
    series.pass(GRACE);
    let later = series.prune(&NOTHING(), GRACE).expect("pruned");
    assert!(later.freed_bytes > 6 * FILE_BYTES as u64, "{later:?}");
    series.has_data_of(8, "after the grace");
    // The views that were opened before, with nothing in their caches.
    let manifest = |level: &LevelId| {
        reading::of_manifest(&series.access, &name, series.manifests[level].clone())
    };
    assert!(
        reading::of_view(&manifest(&newest)) == series.held[&newest],
        "it finds what was moved"
    );
    let sound = &series.held[&first];
    let readable = reading::examine(&manifest(&first), sound, "a point in time that has gone");
    assert_eq!(
        readable.files, 2,
        "what others need of it can still be read: {readable:?}"
    );
    assert!(
        readable
            .first_error
            .is_some_and(|error| error.contains("has been removed"))
    );
}

#[test]
fn a_repack_can_be_cut_off_at_any_call() {
    let mut series = Series::with_shared_segments(1, 8, 0);
    for file in [1, 2, 3, 6, 7] {
        series.write_large(file, 1);
    }
    series.back_up();
    series
        .prune(&last(1), SignedDuration::ZERO)
        .expect("pruned");
    let copy = || copy_of(&series.store);
    let end = |access: &Access, what: &str| {
        series.pass(SignedDuration::from_hours(2));
        repack(access, &series.clock, 0.6, SignedDuration::ZERO)
            .unwrap_or_else(|error| panic!("{what}: {error:?}"));
        prune(access, &series.clock, &NOTHING(), SignedDuration::ZERO)
            .unwrap_or_else(|error| panic!("{what}: {error:?}"));
        series.check(access, what);
    };
    for grace in [SignedDuration::ZERO, GRACE] {
        let counting = Arc::new(Faulty::new(copy()));
        repack(
            &Access::open(counting.clone(), None).expect("it opens"),
            &series.clock,
            0.6,
            grace,
        )
        .expect("no fault");
        let calls = counting.calls().all();
        end(
            &Access::open(counting.clone(), None).expect("it opens"),
            "no fault",
        );
        let data_when_done = objects(counting.as_ref(), &data_prefix(&backup::name())).len();
        assert!(calls > 15, "only {calls} calls");
        for call in 1..calls {
            for fault in [
                Fault::at_any(call),
                Fault::at_any(call).for_good(),
                Fault::at_any(call).after_effect().for_good(),
            ] {
                let store = Arc::new(Faulty::new(copy()).with(fault));
                let access = Access::open(store.clone(), None).expect("the first call is sound");
                let _outcome = repack(&access, &series.clock, 0.6, grace);
                let mended = store.mended();
                let access = Access::open(mended.clone(), None).expect("it opens");
                series.check(&access, &format!("{fault:?}"));
                // A prune removes what the repack left, and nothing else.
                prune(
                    &access,
                    &ManualClock::at(series.clock.now() + SignedDuration::from_hours(2)),
                    &NOTHING(),
                    SignedDuration::ZERO,
                )
                .unwrap_or_else(|error| panic!("{fault:?}: {error:?}"));
                series.check(&access, &format!("{fault:?}, pruned"));
                assert_eq!(
                    unneeded_bytes(&access, &backup::name()).expect("listed"),
                    0,
                    "{fault:?}"
                );
                end(&access, &format!("{fault:?}, ended"));
                assert_eq!(
                    objects(mended.as_ref(), &data_prefix(&backup::name())).len(),
                    data_when_done,
                    "{fault:?}"
                );
            }
        }
    }
}

#[test]
fn a_damaged_segment_stays_as_it_is_and_the_others_are_repacked() {
    let mut series = Series::with_shared_segments(1, 12, 0);
    for file in [1, 2, 3, 5, 6, 7, 9, 10, 11] {
        series.write_large(file, 1);
    }
    let newest = series.back_up();
    series
        .prune(&last(1), SignedDuration::ZERO)
        .expect("pruned");
    let full = series.manifests[&newest]
        .levels
        .iter()
        .find(|parts| parts.id != newest)
        .expect("it leans on one")
        .id
        .clone();
    let segment = LevelOf {
        backup: backup::name(),
        level: full.clone(),
    }
    .data_name(Folder::Segments, 1);
    let sound = series.store.get(&segment, u64::MAX).expect("it is there");
    let mut bytes = sound.clone();
    bytes[1000] ^= 1;
    series.store.put(&segment, &vec![bytes]).expect("stored");
    let done = series.repack(0.5, SignedDuration::ZERO).expect("repacked");
    assert_eq!((done.segments, done.damaged_segments), (2, 1));
    series
        .prune(&NOTHING(), SignedDuration::ZERO)
        .expect("pruned");
    let view = reading::open(&series.access, &backup::name(), &newest, &reading::reader())
        .expect("it opens");
    let readable = reading::examine(&view, &series.held[&newest], "one is damaged");
    assert_eq!(readable.files, 11, "{readable:?}");
    // When the segment is back, the level is whole.
    series.store.put(&segment, &vec![sound]).expect("stored");
    series.check(&series.access, "brought back");
    check_all(&series.access, "brought back");
}

#[test]
fn where_a_level_was_repacked_to_is_needed_and_damage_to_it_is_noticed() {
    let mut series = Series::with_shared_segments(1, 8, 0);
    for file in [1, 2, 3, 5, 6, 7] {
        series.write_large(file, 1);
    }
    let newest = series.back_up();
    series
        .prune(&last(1), SignedDuration::ZERO)
        .expect("pruned");
    series.repack(0.5, SignedDuration::ZERO).expect("repacked");
    series
        .prune(&NOTHING(), SignedDuration::ZERO)
        .expect("pruned");
    let name = objects(series.store.as_ref(), "data/")
        .into_iter()
        .find(|name| name.contains("/repacked/"))
        .expect("there is one");
    let name = ObjectName::new(name).expect("listed");
    let sound = series.store.get(&name, u64::MAX).expect("it is there");
    for at in [0, sound.len() / 2, sound.len() - 1] {
        let mut flipped = sound.clone();
        flipped[at] ^= 4;
        for harmed in [flipped, sound[..at].to_vec()] {
            series.store.put(&name, &vec![harmed]).expect("stored");
            let view = reading::open(&series.access, &backup::name(), &newest, &reading::reader())
                .expect("it opens");
            let readable = reading::examine(&view, &series.held[&newest], "it is damaged");
            assert_eq!(readable.files, 6, "{readable:?}");
            let before = series.stored_bytes();
            series
                .prune(&NOTHING(), SignedDuration::ZERO)
                .expect("pruned");
            series
                .repack(1.0, SignedDuration::ZERO)
                .expect("it changes nothing");
            assert_eq!(series.stored_bytes(), before, "everything stays");
            let damages = damage_of(&series.access, &newest);
            assert!(
                damages.iter().any(|damage| damage.contains(name.as_str())),
                "{damages:?}"
            );
        }
    }
    series.store.put(&name, &vec![sound]).expect("stored");
    series.check(&series.access, "brought back");
}

#[test]
fn a_repack_and_a_run_keep_each_other_out() {
    let series = Series::with_shared_segments(3, 8, 3);
    series
        .prune(&last(1), SignedDuration::ZERO)
        .expect("pruned");
    let gated = Arc::new(Faulty::new(series.store.clone()));
    let access = Access::open(gated.clone(), None).expect("it opens");
    series.write("other", &torture::noise(1, 100));
    let mut request = series.request();
    request.lock = Some(BackupLock {
        host: "here".to_owned(),
        patience: Patience::None,
    });
    std::thread::scope(|scope| {
        let gate = gated.gate(Operation::Get);
        let running =
            scope.spawn(|| run(&request, &access, &series.clock, &Silent, &Cancel::new()));
        gate.wait_for(1);
        series
            .repack(1.0, SignedDuration::ZERO)
            .expect_err("a run is under way");
        gate.open();
        running.join().expect("no panic").expect("a backup");
    });
    series
        .repack(1.0, SignedDuration::ZERO)
        .expect("now it may");
}
