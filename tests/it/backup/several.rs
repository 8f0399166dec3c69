//! A run that goes to several stores of which one fails, at every call in turn.

use crate::support::reading::{self, Whole};
use crate::support::{backup, scratch, torture};
use freezer::backup::{BackupRequest, Levels, Lock, run};
use freezer::catalog::{Access, Catalog, LockRequest, Patience, with_lock};
use freezer::model::progress::Silent;
use freezer::model::{Cancel, LevelId};
use freezer::platform::ManualClock;
use freezer::store::Store;
use freezer::store::faulty::{Fault, Faulty};
use freezer::store::location::IfMissing;
use freezer::store::memory::MemoryStore;
use freezer::store::mirror::{self, Mirror, OnFailure};
use freezer::upkeep::{Pair, Wanted, sync};
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

fn request(source: &Path) -> BackupRequest {
    let mut request = backup::request(&[source]);
    request.levels = Levels::default();
    request.segment_bytes = 8 << 10;
    request.lock = Some(Lock {
        host: "here".to_owned(),
        patience: Patience::None,
    });
    request
}

/// A store and a copy that is known to be complete up to now.
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

#[track_caller]
fn check(access: &Access, held: &BTreeMap<LevelId, Whole>, what: &str) -> usize {
    let levels = Catalog::new(access.store())
        .levels(&backup::name())
        .expect("listed");
    for level in &levels {
        assert!(
            reading::whole(access, &backup::name(), level) == held[level],
            "{what}: {level}"
        );
    }
    levels.len()
}

#[test]
fn one_of_two_stores_may_fail_at_any_call_and_the_other_has_everything() {
    let room = scratch();
    let clock = ManualClock::at(Timestamp::now() + SignedDuration::from_hours(1));
    let write = |round: u64| {
        for file in 0..4 {
            if round == 0 || file == round % 4 {
                std::fs::write(
                    room.path().join(format!("file {file}")),
                    torture::noise(round * 10 + file, 20_000),
                )
                .expect("written");
            }
        }
    };
    let pass = || {
        use freezer::platform::Clock;
        clock.set(clock.now() + SignedDuration::from_hours(24));
    };
    let mut call = 0;
    loop {
        let good = backup::create_plain(Arc::new(MemoryStore::default()));
        let faulty =
            Arc::new(Faulty::new(MemoryStore::default()).with(Fault::at_any(call).for_good()));
        let mut held = BTreeMap::new();
        let Ok(copy) = good.copy_at(faulty.clone(), IfMissing::Create) else {
            call += 1;
            continue; // it fails before the run: the program then leaves it out
        };
        let (access, mirror) = both(&good, copy.store());
        let mut failed = false;
        for round in 0..3 {
            write(round);
            let report = run(
                &request(room.path()),
                &access,
                &clock,
                &Silent,
                &Cancel::new(),
            )
            .unwrap_or_else(|error| panic!("{call}: {error:?}"));
            let level = report.manifest.id;
            held.insert(
                level.clone(),
                reading::whole(&good, &backup::name(), &level),
            );
            pass();
            failed = mirror.outcomes()[1].failure.is_some();
        }
        assert_eq!(
            check(&good, &held, &format!("call {call}, the good one")),
            3
        );
        assert!(mirror.outcomes()[0].failure.is_none());
        let mended = pair(&good, faulty.mended());
        let count = check(&mended, &held, &format!("call {call}, the other"));
        assert!(
            failed || count == 3,
            "call {call}: it has {count} levels and nobody says that it failed"
        );
        if !failed {
            break;
        }
        assert!(count < 3 || failed);
        // What it missed is brought, and the next run goes to both.
        let (name, cancel, store) = (backup::name(), Cancel::new(), mended.store());
        let request_ = LockRequest {
            backup: &name,
            host: "here",
            action: "sync",
            patience: Patience::None,
        };
        let pair = Pair {
            from: &good,
            to: &mended,
        };
        let synced = with_lock(
            store.as_ref(),
            &Catalog::new(mended.store()),
            request_,
            &clock,
            &cancel,
            |_| true,
            |held| sync(pair, &name, held, (Wanted::Newer, 2), &Silent, &cancel),
        );
        synced
            .expect("locked")
            .unwrap_or_else(|error| panic!("{call}: {error:?}"));
        assert_eq!(
            check(&mended, &held, &format!("call {call}, brought up to date")),
            3
        );
        let (access, mirror) = both(&good, mended.store());
        write(3);
        let report = run(
            &request(room.path()),
            &access,
            &clock,
            &Silent,
            &Cancel::new(),
        )
        .expect("both are well");
        held.insert(
            report.manifest.id.clone(),
            reading::whole(&good, &backup::name(), &report.manifest.id),
        );
        pass();
        assert!(
            mirror
                .outcomes()
                .iter()
                .all(|outcome| outcome.failure.is_none()),
            "{call}: {:?}",
            mirror.outcomes()
        );
        assert_eq!(
            check(&mended, &held, &format!("call {call}, afterwards")),
            4
        );
        call += 1;
    }
    assert!(call > 30, "only {call} calls");
}
