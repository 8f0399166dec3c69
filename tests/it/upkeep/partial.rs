//! Levels of which only a part is still needed: that part stays, and the rest goes.

use super::{FILE_BYTES, Series, damage_of, last, objects, prune};
use crate::support::{backup, copy_of, reading};
use freezer::catalog::Access;
use freezer::catalog::names::{Folder, LevelOf, data_prefix, level_prefix};
use freezer::format::manifest::Manifest;
use freezer::fs::Errno;
use freezer::model::progress::Silent;
use freezer::model::{Cancel, LevelId, Retention};
use freezer::store::faulty::{Fault, Faulty};
use freezer::store::{Store, StoreExt};
use freezer::upkeep::{Depth, GRACE, Going, Portion, check, unneeded_bytes};
use jiff::SignedDuration;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Asserts that a check finds no damage in any point in time. Returns how many there are.
#[track_caller]
pub(super) fn check_all(access: &Access, what: &str) -> usize {
    let levels = freezer::catalog::Catalog::new(access.store())
        .levels(&backup::name())
        .expect("listed");
    let look = |levels: &[LevelId], depth| {
        let mut found = |of: &[LevelId], damage| panic!("{what}: {of:?}: {damage}");
        check(
            access,
            &backup::name(),
            levels,
            depth,
            &mut found,
            &Silent,
            &Cancel::new(),
        )
        .expect("checked");
    };
    // All together, as they share what they lean on; then each alone, as it needs less.
    look(&levels, Depth::Structure);
    look(&levels, Depth::Data(Portion::All));
    for level in &levels {
        look(std::slice::from_ref(level), Depth::Structure);
    }
    levels.len()
}

impl Series {
    fn manifest(&self, level: &LevelId) -> Manifest {
        self.access
            .manifest(&backup::name(), level)
            .expect("it opens")
    }

    /// Removes a segment of the full level that a point in time leans on.
    fn lose_a_segment_below(&self, level: &LevelId) {
        let manifest = self.manifest(level);
        let full = &manifest.levels.last().expect("the full one").id;
        let data = objects(self.store.as_ref(), &level_prefix(&backup::name(), full));
        let lost = data
            .into_iter()
            .find(|name| name.contains("/segments/"))
            .expect("some are left");
        self.store
            .delete(&freezer::store::ObjectName::new(lost).expect("listed"))
            .expect("removed");
    }

    /// Returns how many files' data must be there: that of the points in time that are left, and
    /// all of their own levels.
    fn files_needed(&self) -> u64 {
        let mut needed = BTreeSet::new();
        for level in self.levels() {
            let own = self.manifest(&level).serial;
            for (entry, _) in &self.held[&level] {
                needed.extend(entry.places());
            }
            // A later level may have replaced files of this one. Its stream stays all the same, as
            // long as its manifest is there.
            let stored_here = self
                .held
                .values()
                .flatten()
                .flat_map(|(entry, _)| entry.places())
                .filter(|place| place.0 == own);
            needed.extend(stored_here);
        }
        needed.len() as u64
    }

    /// Asserts that the stored bytes are those of this many files, and of little else.
    #[track_caller]
    pub(super) fn has_data_of(&self, files: u64, what: &str) {
        let bytes = self.stored_bytes();
        let least = files * FILE_BYTES as u64;
        let most = least + least / 100 + 20_000 * (1 + self.held.len() as u64);
        assert!(
            (least..=most).contains(&bytes),
            "{what}: {bytes} bytes of data, {files} files are {least}"
        );
    }
}

#[test]
fn what_only_points_in_time_needed_that_went_goes_with_them() {
    let series = Series::with_large_files(7, 12, 2);
    series.has_data_of(12 + 6 * 2, "before");
    let pruned = series
        .prune(&last(2), SignedDuration::ZERO)
        .expect("pruned");
    assert_eq!((pruned.points, pruned.waiting_bytes), (5, 0));
    // The newest level has twelve files; the one before it had two others.
    series.has_data_of(14, "after");
    assert!(pruned.freed_bytes > 9 * FILE_BYTES as u64, "{pruned:?}");
    series.check(&series.access, "after");
    check_all(&series.access, "after");
    assert_eq!(
        unneeded_bytes(&series.access, &backup::name()).expect("listed"),
        0
    );
}

#[test]
fn whatever_goes_in_whatever_order_what_is_left_takes_no_more_than_it_needs() {
    for seed in 0..4_usize {
        let series = Series::with_large_files(8, 10, 3);
        let mut left = series.levels();
        let mut turn = seed;
        while left.len() > 1 {
            turn = (turn * 5 + 3) % 101;
            let level = left.remove(turn % left.len());
            series
                .prune(&Going::Named(level.clone()), SignedDuration::ZERO)
                .expect("pruned");
            let what = format!("seed {seed}, {} left", left.len());
            series.check(&series.access, &what);
            series.has_data_of(series.files_needed(), &what);
            check_all(&series.access, &what);
        }
    }
}

#[test]
fn the_next_run_leans_on_what_is_left_of_a_level() {
    let mut series = Series::with_large_files(5, 12, 2);
    series
        .prune(&last(1), SignedDuration::ZERO)
        .expect("pruned");
    series.has_data_of(12, "the newest alone");
    let before = series.stored_bytes();
    series.write_large(3, 99);
    let next = series.back_up();
    assert_eq!(
        series.manifest(&next).level,
        5,
        "no new full level is needed"
    );
    assert!(series.stored_bytes() < before + FILE_BYTES as u64 + 20_000);
    series
        .prune(&last(1), SignedDuration::ZERO)
        .expect("pruned");
    series.check(&series.access, "the next");
    series.has_data_of(12, "the next");
    check_all(&series.access, "the next");
}

#[test]
fn a_segment_that_is_needed_and_lost_is_noticed_by_check_and_by_the_next_run() {
    let mut series = Series::with_large_files(4, 12, 2);
    series
        .prune(&last(1), SignedDuration::ZERO)
        .expect("pruned");
    let newest = series.levels().remove(0);
    series.lose_a_segment_below(&newest);
    let damages = damage_of(&series.access, &newest);
    for part in ["is missing", "cannot be read as a whole"] {
        let count = damages
            .iter()
            .filter(|damage| damage.contains(part))
            .count();
        assert_eq!(count, 1, "{part}: {damages:?}");
    }
    let next = series.back_up();
    assert_eq!(
        series.manifest(&next).level,
        0,
        "it leans on nothing that is not whole"
    );
}

#[test]
fn a_repair_takes_what_has_gone_for_no_loss_and_what_is_lost_for_one() {
    let mut series = Series::with_large_files(5, 12, 2);
    series
        .prune(&last(2), SignedDuration::ZERO)
        .expect("pruned");
    super::repack::repack(&series.access, &series.clock, 1.0, SignedDuration::ZERO)
        .expect("repacked");
    series
        .prune(
            &Going::Unprotected(Retention::default()),
            SignedDuration::ZERO,
        )
        .expect("pruned");
    let repaired = |series: &Series| {
        let (levels, mut found) = (series.levels(), |_: &[LevelId], _| {});
        freezer::upkeep::repair(
            &series.access,
            &backup::name(),
            &levels,
            &mut found,
            &Silent,
            &Cancel::new(),
        )
        .expect("looked at")
    };
    let before = objects(series.store.as_ref(), "");
    let done = repaired(&series);
    assert_eq!(
        (
            done.checked.damages,
            done.lost.len(),
            done.frame_tables.left
        ),
        (0, 0, 0),
        "{done:?}"
    );
    assert_eq!(
        objects(series.store.as_ref(), ""),
        before,
        "nothing was lost, so nothing is noted"
    );
    // This segment is needed; others of its level have gone.
    let newest = series.levels().pop().expect("one");
    series.lose_a_segment_below(&newest);
    let done = repaired(&series);
    assert_eq!(done.lost.len(), 1, "{done:?}");
    assert!(
        done.lost[0].bytes < 3 * FILE_BYTES as u64,
        "no more is lost than is needed and not there: {done:?}"
    );
    let next = series.back_up();
    assert_eq!(series.manifest(&next).level, 5, "it leans on what is left");
    series.held.retain(|level, _| *level == next);
    assert!(
        reading::whole(&series.access, &backup::name(), &next) == series.held[&next],
        "and has the file again"
    );
}

#[test]
fn a_level_whose_own_point_in_time_is_there_stays_a_whole_archive() {
    // All files are replaced at once: no later point in time needs the data in the middle.
    let mut series = Series::with_large_files(2, 6, 6);
    for file in 0..6 {
        series.write_large(file, 50);
    }
    series.back_up();
    let levels = series.levels();
    series
        .prune(&Going::Named(levels[0].clone()), SignedDuration::ZERO)
        .expect("pruned");
    let own = &series.manifest(&levels[1]).levels[0];
    let of = LevelOf {
        backup: backup::name(),
        level: levels[1].clone(),
    };
    for number in 0..own.segments {
        series
            .store
            .get(&of.data_name(Folder::Segments, number), u64::MAX)
            .expect("it is there");
    }
    series.check(&series.access, "after");
}

#[test]
fn what_other_programs_were_given_of_a_level_goes_when_the_level_is_no_more_whole() {
    let series = Series::with_large_files(4, 8, 2);
    let levels = series.levels();
    let whole = |level: &LevelId| {
        LevelOf {
            backup: backup::name(),
            level: level.clone(),
        }
        .stream_name(".tar")
    };
    for level in &levels {
        series
            .store
            .put(&whole(level), &vec![b"all segments".to_vec()])
            .expect("stored");
    }
    series
        .prune(&last(2), SignedDuration::ZERO)
        .expect("pruned");
    for (at, level) in levels.iter().enumerate() {
        // All of level 1 is needed, although its own point in time has gone.
        assert_eq!(
            series.store.get(&whole(level), 100).is_ok(),
            at >= 1,
            "level {at}"
        );
    }
}

#[test]
fn a_reader_of_what_went_reads_on_for_the_grace_and_is_then_told_never_wrong_bytes() {
    let series = Series::with_large_files(5, 12, 3);
    let first = series.levels().remove(0);
    let sound = &series.held[&first];
    let view = reading::open(&series.access, &backup::name(), &first, &reading::reader())
        .expect("it opens");
    let pruned = series.prune(&last(1), GRACE).expect("pruned");
    assert_eq!(pruned.freed_bytes, 0);
    assert!(
        reading::of_view(&view) == *sound,
        "the reader is not disturbed"
    );
    series.pass(GRACE);
    series
        .prune(&Going::Unprotected(Retention::default()), GRACE)
        .expect("pruned");
    series.has_data_of(12, "after the grace");
    // This view was opened before, and has nothing in its caches.
    let readable = reading::examine(
        &reading::of_manifest(
            &series.access,
            &backup::name(),
            view_manifest(&series, &first),
        ),
        sound,
        "late",
    );
    let all = reading::Readable::all_of(sound);
    assert!(
        readable.files < all.files,
        "{readable:?}: some of it has gone"
    );
    assert!(readable.first_error.is_some());
}

/// Returns the manifest of a level as a reader knows it that read it before it went.
fn view_manifest(series: &Series, level: &LevelId) -> Manifest {
    series.manifests[level].clone()
}

#[test]
fn what_a_mount_says_of_bytes_that_went_is_eio() {
    let series = Series::with_large_files(3, 6, 6);
    let first = series.levels().remove(0);
    let view = reading::open(&series.access, &backup::name(), &first, &reading::reader())
        .expect("it opens");
    let entries: Vec<_> = view
        .all()
        .collect::<Result<_, _>>()
        .expect("the index is at hand");
    series
        .prune(&last(1), SignedDuration::ZERO)
        .expect("pruned");
    let mut refused = 0;
    for (_, entry) in entries.iter().filter(|(_, entry)| {
        entry.content.size() > 0 && entry.content.kind() == freezer::model::Kind::File
    }) {
        let error = reading::content(&view, entry).expect_err("its bytes have gone");
        assert_eq!(error.errno(), Errno::Io, "{error}");
        refused += 1;
    }
    assert_eq!(refused, 6);
}

#[test]
fn a_prune_that_removes_parts_of_levels_can_be_cut_off_at_any_call() {
    let series = Series::with_large_files(5, 6, 2);
    let counting = Arc::new(Faulty::new(copy_of(&series.store)));
    prune(
        &Access::open(counting.clone(), None).expect("it opens"),
        &series.clock,
        &last(2),
        SignedDuration::ZERO,
    )
    .expect("no fault");
    let calls = counting.calls().all();
    let data_when_done = objects(counting.as_ref(), &data_prefix(&backup::name()));
    assert!(
        data_when_done.len() < objects(series.store.as_ref(), &data_prefix(&backup::name())).len()
    );
    for call in 1..calls {
        for fault in [
            Fault::at_any(call),
            Fault::at_any(call).for_good(),
            Fault::at_any(call).after_effect().for_good(),
        ] {
            let store = Arc::new(Faulty::new(copy_of(&series.store)).with(fault));
            let access = Access::open(store.clone(), None).expect("the first call is sound");
            let _outcome = prune(&access, &series.clock, &last(2), SignedDuration::ZERO);
            let mended = store.mended();
            let access = Access::open(mended.clone(), None).expect("it opens");
            series.check(&access, &format!("{fault:?}"));
            series.pass(SignedDuration::from_hours(2));
            prune(&access, &series.clock, &last(2), SignedDuration::ZERO)
                .unwrap_or_else(|error| panic!("{fault:?}: {error:?}"));
            series.check(&access, &format!("{fault:?}, pruned again"));
            assert_eq!(
                objects(mended.as_ref(), &data_prefix(&backup::name())),
                data_when_done,
                "{fault:?}"
            );
        }
    }
}
