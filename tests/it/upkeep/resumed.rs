//! A run that is cut off and gone on with, while points in time go and levels are repacked in
//! between: nothing goes that is needed.

use super::repack::repack;
use super::{FILE_BYTES, Series, objects, prune};
use crate::support::{backup, reading};
use freezer::backup::{BackupRequest, CheckpointRule, run};
use freezer::catalog::{Access, Catalog};
use freezer::model::progress::Silent;
use freezer::model::{Cancel, LevelId, Retention, TreePath};
use freezer::platform::Clock;
use freezer::store::Operation;
use freezer::store::faulty::{Fault, Faulty};
use freezer::store::memory::MemoryStore;
use freezer::upkeep::{Going, plan};
use jiff::SignedDuration;
use jiff::tz::TimeZone;
use std::sync::Arc;
use std::time::Duration;

impl Series {
    /// Asks for a checkpoint after each member.
    fn request_with_checkpoints(&self) -> BackupRequest {
        let mut request = self.request();
        request.checkpoints = Some(CheckpointRule {
            least_bytes: 1,
            interval: Duration::ZERO,
        });
        request
    }

    /// Makes a run that is cut off at this put. Returns whether it was.
    fn is_cut_at(&self, put: u64) -> bool {
        let cut = Arc::new(
            Faulty::new(self.store.clone()).with(Fault::at(Operation::Put, put).for_good()),
        );
        let access = self.access.through(cut);
        let was_cut = run(
            &self.request_with_checkpoints(),
            &access,
            &self.clock,
            &Silent,
            &Cancel::new(),
        )
        .is_err();
        self.pass(SignedDuration::from_hours(2));
        was_cut
    }

    /// Returns the paths and contents of a level, without the places where they are stored.
    fn contents(access: &Access, level: &LevelId) -> Vec<(TreePath, Vec<u8>)> {
        reading::whole(access, &backup::name(), level)
            .into_iter()
            .map(|(entry, content)| (entry.path, content))
            .collect()
    }

    /// Asserts that the level reads as it did when it was made.
    #[track_caller]
    fn check_whole(&self, level: &LevelId, what: &str) {
        assert!(
            reading::whole(&self.access, &backup::name(), level) == self.held[level],
            "{what}: {level} has changed"
        );
    }

    /// Asserts that the level equals the tree as it is now.
    #[track_caller]
    fn check_is_the_tree(&self, level: &LevelId, what: &str) {
        let fresh = backup::create_plain(Arc::new(MemoryStore::default()));
        let expected = backup::back_up(&fresh, &[self.room.path()], |_| ())
            .manifest
            .id;
        assert!(
            Self::contents(&self.access, level) == Self::contents(&fresh, &expected),
            "{what}: another tree"
        );
    }
}

#[test]
fn a_run_goes_on_when_points_in_time_went_and_streams_were_repacked_meanwhile() {
    let mut cuts = 0;
    for put in (4..).step_by(3) {
        let mut series = Series::with_large_files_in(4 * (FILE_BYTES as u64 + 5000), 3, 12, 5);
        let mut any = false;
        for round in 0..3 {
            // Change files of every earlier level, and add one that no level has yet.
            (0..6).for_each(|file| series.write_large((file * 2 + round) % 12, 10 + round));
            series.write_large(12 + round, 20);
            any |= series.is_cut_at(put);
            let what = format!("put {put}, round {round}");
            let last = Going::Unprotected(Retention {
                last: 1,
                ..Retention::default()
            });
            prune(&series.access, &series.clock, &last, SignedDuration::ZERO)
                .unwrap_or_else(|error| panic!("{what}: {error:?}"));
            series.held.retain(|level, _| {
                Catalog::new(series.store.clone())
                    .levels(&backup::name())
                    .expect("listed")
                    .contains(level)
            });
            repack(&series.access, &series.clock, 0.9, SignedDuration::ZERO)
                .unwrap_or_else(|error| panic!("{what}: {error:?}"));
            for level in series.held.keys() {
                series.check_whole(level, &what);
            }
            let level = series.back_up_as(&series.request_with_checkpoints());
            series.check_is_the_tree(&level, &what);
            for level in series.held.keys() {
                series.check_whole(level, &what);
            }
        }
        if !any {
            break;
        }
        cuts += 1;
    }
    assert!(cuts >= 5, "only {cuts} cuts");
}

#[test]
fn a_plan_does_not_promise_the_bytes_that_the_next_run_goes_on_with() {
    let last = Going::Unprotected(Retention {
        last: 1,
        ..Retention::default()
    });
    let mut seen = 0;
    for put in (4..40).step_by(2) {
        let mut series = Series::with_large_files_in(4 * (FILE_BYTES as u64 + 5000), 3, 12, 5);
        series.write_large(1, 3);
        series.back_up_as(&series.request_with_checkpoints());
        (0..6).for_each(|file| series.write_large(file, 10));
        if !series.is_cut_at(put) {
            break;
        }
        if !objects(&series.store, "")
            .iter()
            .any(|name| name.contains("/checkpoints/"))
        {
            continue;
        }
        let planned = plan(
            &series.access,
            &backup::name(),
            &last,
            series.clock.now(),
            &TimeZone::UTC,
        )
        .expect("planned");
        let pruned =
            prune(&series.access, &series.clock, &last, SignedDuration::ZERO).expect("pruned");
        assert_eq!(
            planned.freed_bytes + planned.unneeded_bytes,
            pruned.freed_bytes,
            "put {put}"
        );
        seen += 1;
    }
    assert!(seen >= 3, "only {seen} runs left a checkpoint");
}
