//! A run that stores in two places, one of which fails at every call in turn.

use crate::support::reading::{self, Whole};
use crate::support::{backup, scratch, torture};
use freezer::backup::{BackupLock, BackupRequest, Levels, run};
use freezer::catalog::{Access, Catalog, LockRequest, Patience, with_lock};
use freezer::model::progress::Silent;
use freezer::model::{Cancel, LevelId};
use freezer::platform::{Clock, ManualClock};
use freezer::store::Store;
use freezer::store::faulty::{Fault, Faulty};
use freezer::store::location::IfMissing;
use freezer::store::memory::MemoryStore;
use freezer::store::mirror::{self, Mirror, OnFailure};
use freezer::upkeep::{LevelsToCopy, Pair, SyncOptions, sync};
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

fn request(source: &Path) -> BackupRequest {
    let mut request = backup::request(&[source]);
    request.levels = Levels::default();
    request.segment_bytes = 8 << 10;
    request.lock = Some(BackupLock {
        host: "here".to_owned(),
        patience: Patience::None,
    });
    request
}

/// Opens a copy of a store in another place.
fn pair(access: &Access, place: Arc<dyn Store>) -> Access {
    access
        .copy_at(place, IfMissing::Create)
        .expect("an empty place")
}

const PATIENCE: mirror::WaitLimits = mirror::WaitLimits {
    for_one: Duration::from_mins(1),
    in_all: Duration::from_mins(1),
};

fn both(good: &Access, other: Arc<dyn Store>) -> (Access, Arc<Mirror>) {
    let mirror = Arc::new(Mirror::new(
        vec![good.store(), other],
        OnFailure::Continue,
        PATIENCE,
    ));
    (good.through(mirror.clone()), mirror)
}

/// A source that changes, the levels that were made of it, and what each holds.
struct Rounds {
    room: TempDir,
    clock: ManualClock,
    held: BTreeMap<LevelId, Whole>,
}

impl Rounds {
    fn new() -> Self {
        Self {
            room: scratch(),
            clock: ManualClock::at(Timestamp::now() + SignedDuration::from_hours(1)),
            held: BTreeMap::new(),
        }
    }

    /// Changes the source, and makes a level a day after the one before. `good` is the store that
    /// does not fail.
    #[track_caller]
    fn back_up(&mut self, access: &Access, good: &Access, round: u64, what: &str) {
        for file in (0..4).filter(|file| round == 0 || *file == round % 4) {
            let path = self.room.path().join(format!("file {file}"));
            std::fs::write(path, torture::noise(round * 10 + file, 20_000)).expect("written");
        }
        let request = request(self.room.path());
        let level = run(&request, access, &self.clock, &Silent, &Cancel::new())
            .unwrap_or_else(|error| panic!("{what}: {error:?}"))
            .manifest
            .id;
        let whole = reading::whole(good, &backup::name(), &level);
        self.held.insert(level, whole);
        self.clock
            .set(self.clock.now() + SignedDuration::from_hours(24));
    }

    /// Checks all levels of a store, and returns their number.
    #[track_caller]
    fn check(&self, access: &Access, what: &str) -> usize {
        let levels = Catalog::new(access.store())
            .levels(&backup::name())
            .expect("listed");
        for level in &levels {
            assert!(
                reading::whole(access, &backup::name(), level) == self.held[level],
                "{what}: {level}"
            );
        }
        levels.len()
    }

    /// Copies all levels that `to` lacks.
    fn bring_up_to_date(&self, from: &Access, to: &Access) {
        let (name, cancel) = (backup::name(), Cancel::new());
        let lock = LockRequest {
            backup: &name,
            host: "here",
            action: "sync",
            patience: Patience::None,
        };
        let pair = Pair { from, to };
        with_lock(
            to,
            lock,
            &self.clock,
            &cancel,
            |_| true,
            |held| {
                let options = SyncOptions {
                    levels: LevelsToCopy::Newer,
                    jobs: 2,
                };
                sync(pair, &name, held, options, &Silent, &cancel)
            },
        )
        .expect("locked")
        .unwrap_or_else(|error| panic!("{error:?}"));
    }
}

#[test]
fn one_of_two_stores_may_fail_at_any_call_and_the_other_is_complete() {
    let mut call = 0;
    loop {
        let good = backup::create_plain(Arc::new(MemoryStore::default()));
        let faulty =
            Arc::new(Faulty::new(MemoryStore::default()).with(Fault::at_any(call).for_good()));
        let Ok(copy) = good.copy_at(faulty.clone(), IfMissing::Create) else {
            call += 1;
            continue; // it fails before the run: the program then leaves it out
        };
        let what = format!("call {call}");
        let (access, mirror) = both(&good, copy.store());
        let mut rounds = Rounds::new();
        for round in 0..3 {
            rounds.back_up(&access, &good, round, &what);
        }
        let failed = mirror.outcomes()[1].failure.is_some();
        assert_eq!(rounds.check(&good, &format!("{what}, the good store")), 3);
        assert!(mirror.outcomes()[0].failure.is_none());
        let mended = pair(&good, faulty.mended());
        let count = rounds.check(&mended, &format!("{what}, the other store"));
        assert!(
            failed || count == 3,
            "{what}: the store has {count} levels, and no outcome says that it failed"
        );
        if !failed {
            break;
        }
        rounds.bring_up_to_date(&good, &mended);
        assert_eq!(rounds.check(&mended, &format!("{what}, up to date")), 3);
        let (access, mirror) = both(&good, mended.store());
        rounds.back_up(&access, &good, 3, &what);
        let outcomes = mirror.outcomes();
        assert!(
            outcomes.iter().all(|outcome| outcome.failure.is_none()),
            "{what}: {outcomes:?}"
        );
        assert_eq!(rounds.check(&mended, &format!("{what}, afterwards")), 4);
        call += 1;
    }
    assert!(call > 30, "only {call} calls");
}
