//! One writer of a backup at a time.

use crate::support::{backup, reading, scratch, torture};
use freezer::backup::{BackupError, BackupRequest, Report, run};
use freezer::catalog::names::{LOCKS, LevelOf, Meaning, Term, claim_name, data_prefix, meaning};
use freezer::catalog::{Access, Catalog, LockError, Patience};
use freezer::format::claim::Claim;
use freezer::model::progress::Silent;
use freezer::model::{Cancel, LevelId, Progress, Trouble};
use freezer::platform::{ManualClock, Running, SystemClock};
use freezer::store::faulty::{Fault, Faulty};
use freezer::store::memory::MemoryStore;
use freezer::store::{ErrorKind, Operation, Store, StoreExt};
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::time::Duration;

fn request(tree: &Path, patience: Patience) -> BackupRequest {
    let mut request = backup::request(&[tree]);
    request.lock.as_mut().expect("set").patience = patience;
    request
}

fn make(access: &Access, tree: &Path, patience: Patience) -> Result<Report, BackupError> {
    run(
        &request(tree, patience),
        access,
        &SystemClock,
        &Silent,
        &Cancel::new(),
    )
}

fn objects(store: &dyn Store, prefix: &str) -> Vec<String> {
    let mut names = Vec::new();
    let listed = store.list(prefix, &mut |object| {
        names.push(object.name.to_string());
        true
    });
    listed.expect("listed");
    names
}

fn levels(access: &Access) -> Vec<LevelId> {
    Catalog::new(access.store())
        .levels(&backup::name())
        .expect("listed")
}

/// Makes a store with a claim of another process.
fn claimed(id: &str, until: Timestamp, process: Running) -> (Arc<MemoryStore>, Access) {
    let store = Arc::new(MemoryStore::default());
    let access = backup::create_plain(store.clone());
    let claim = Claim::new(
        "web-1",
        "backup",
        "2026-11-22T22:34:50Z".parse().expect("a moment"),
        process,
    );
    let name = claim_name(
        &backup::name(),
        &id.parse().expect("legal"),
        Term::Until(until),
    );
    store.put(&name, &vec![claim.encode()]).expect("stored");
    (store, access)
}

const EARLIER: &str = "20261122T223450.123Z-1a2b3c4d";

fn elsewhere() -> Running {
    Running {
        boot: Some("another".to_owned()),
        machine: Some("another".to_owned()),
        ..Running::this_process()
    }
}

fn in_an_hour() -> Timestamp {
    Timestamp::now() + SignedDuration::from_hours(1)
}

/// Halts a run when it has begun.
struct Halting {
    reached: Barrier,
    go_on: Barrier,
}

impl Progress for Halting {
    fn stage(&self, _: &'static str) {
        self.reached.wait();
        self.go_on.wait();
    }
    fn expect_total(&self, _: u64, _: u64) {}
    fn advance(&self, _: u64, _: u64) {}
    fn trouble(&self, trouble: Trouble) {
        panic!("{trouble}");
    }
}

#[test]
fn a_second_run_names_the_first_and_fails_or_waits_for_it() {
    let room = scratch();
    std::fs::write(room.path().join("file"), b"content").expect("written");
    let store = Arc::new(MemoryStore::default());
    let access = backup::create_plain(store.clone());
    let halting = Halting {
        reached: Barrier::new(2),
        go_on: Barrier::new(2),
    };
    let (tree, access, halting) = (room.path(), &access, &halting);
    std::thread::scope(|scope| {
        let first = scope.spawn(move || {
            run(
                &request(tree, Patience::None),
                access,
                &SystemClock,
                halting,
                &Cancel::new(),
            )
        });
        halting.reached.wait();
        let beside = access.clone();
        let error = make(&beside, tree, Patience::None).expect_err("the lock is held");
        let BackupError::Lock(LockError::Held {
            host, pid, action, ..
        }) = &error
        else {
            panic!("{error:?}")
        };
        assert_eq!(
            (host.as_str(), *pid, action.as_str()),
            ("host", std::process::id(), "backup")
        );
        let outcome = make(&beside, tree, Patience::For(Duration::from_millis(100)));
        assert!(
            matches!(outcome, Err(BackupError::Lock(LockError::Held { .. }))),
            "{outcome:?}"
        );
        // Readers do not see the run.
        assert!(levels(&beside).is_empty());
        let third = scope.spawn(move || make(&beside, tree, Patience::Endless));
        halting.go_on.wait();
        first.join().expect("no panic").expect("a level");
        third
            .join()
            .expect("no panic")
            .expect("a level after the wait");
    });
    assert_eq!(levels(access).len(), 2);
    assert!(objects(store.as_ref(), LOCKS).is_empty(), "a claim is left");
}

#[test]
fn of_many_runs_that_begin_at_once_one_works_at_a_time_and_all_succeed() {
    let room = scratch();
    std::fs::write(room.path().join("file"), b"content").expect("written");
    let access = backup::create_plain(Arc::new(MemoryStore::default()));
    let (inside, most, start) = (AtomicUsize::new(0), AtomicUsize::new(0), Barrier::new(6));
    let work = |_: &freezer::catalog::Held<'_>| {
        most.fetch_max(inside.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        std::thread::yield_now();
        inside.fetch_sub(1, Ordering::SeqCst);
    };
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                let name = backup::name();
                let request = freezer::catalog::LockRequest {
                    backup: &name,
                    host: "host",
                    action: "test",
                    patience: Patience::Endless,
                };
                start.wait();
                freezer::catalog::with_lock(
                    &access,
                    request,
                    &SystemClock,
                    &Cancel::new(),
                    |()| true,
                    work,
                )
                .expect("its turn");
            });
        }
    });
    assert_eq!(most.into_inner(), 1, "two runs had the lock at once");
    assert!(objects(access.store().as_ref(), LOCKS).is_empty());
}

#[test]
fn a_claim_of_another_machine_holds_until_it_expires() {
    let room = scratch();
    let clock = ManualClock::at("2026-11-22T22:40:00Z".parse().expect("a moment"));
    let until = "2026-11-22T22:44:50Z".parse().expect("a moment");
    let (_, access) = claimed(EARLIER, until, elsewhere());
    let attempt = || {
        run(
            &request(room.path(), Patience::None),
            &access,
            &clock,
            &Silent,
            &Cancel::new(),
        )
    };
    let error = attempt().expect_err("the claim holds");
    assert!(
        matches!(&error, BackupError::Lock(LockError::Held { host, .. }) if host == "web-1"),
        "{error:?}"
    );
    clock.set(until);
    attempt().expect("the claim has expired");
    assert!(objects(access.store().as_ref(), LOCKS).is_empty());
}

#[test]
fn a_claim_of_an_ended_process_on_this_machine_holds_no_longer() {
    let room = scratch();
    let dead = Running {
        pid: (1 << 22) + 1,
        ..Running::this_process()
    };
    let (store, access) = claimed(EARLIER, in_an_hour(), dead);
    // The data of its run is removed with it; data of other levels stays.
    let left = LevelOf {
        backup: backup::name(),
        level: EARLIER.parse().expect("legal"),
    };
    store
        .put(
            &left.data_name(freezer::catalog::names::Folder::Segments, 0),
            &vec![vec![1; 10]],
        )
        .expect("stored");
    let made = make(&access, room.path(), Patience::None)
        .expect("nobody holds the lock")
        .manifest
        .id;
    let data = objects(store.as_ref(), &data_prefix(&backup::name()));
    assert!(
        !data.is_empty() && data.iter().all(|name| name.contains(made.as_str())),
        "{data:?}"
    );
    assert!(objects(store.as_ref(), LOCKS).is_empty());
}

#[test]
fn a_claim_that_cannot_be_read_holds() {
    let room = scratch();
    let (store, access) = claimed(EARLIER, in_an_hour(), elsewhere());
    let claim = objects(store.as_ref(), LOCKS)
        .pop()
        .and_then(freezer::store::ObjectName::new)
        .expect("one");
    store
        .put(&claim, &vec![b"\x1b[2J".to_vec()])
        .expect("stored");
    let error = make(&access, room.path(), Patience::None).expect_err("the lock is held");
    assert!(
        matches!(error, BackupError::Lock(LockError::HeldByUnknown { .. })),
        "{error:?}"
    );
}

/// Ends the run's claim while it runs, as another run does that takes it for dead.
struct Usurper(Arc<MemoryStore>);

impl Progress for Usurper {
    fn stage(&self, _: &'static str) {
        for name in objects(self.0.as_ref(), LOCKS) {
            let name = freezer::store::ObjectName::new(name).expect("legal");
            let Some(Meaning::Claim(of, _)) = meaning(&name) else {
                panic!("{name} is no claim")
            };
            self.0
                .put(&claim_name(&of.backup, &of.level, Term::Over), &vec![])
                .expect("stored");
        }
    }
    fn expect_total(&self, _: u64, _: u64) {}
    fn advance(&self, _: u64, _: u64) {}
    fn trouble(&self, trouble: Trouble) {
        panic!("{trouble}");
    }
}

#[test]
fn a_run_that_lost_its_lock_makes_no_level() {
    let room = scratch();
    let store = Arc::new(MemoryStore::default());
    let access = backup::create_plain(store.clone());
    let outcome = run(
        &request(room.path(), Patience::None),
        &access,
        &SystemClock,
        &Usurper(store),
        &Cancel::new(),
    );
    assert!(
        matches!(outcome, Err(BackupError::Lock(LockError::Lost(_)))),
        "{outcome:?}"
    );
    assert!(levels(&access).is_empty());
    make(&access, room.path(), Patience::None).expect("the next run succeeds");
}

#[test]
fn runs_succeed_one_after_the_other_where_nothing_may_be_removed() {
    let room = scratch();
    let mut store = Faulty::new(MemoryStore::default());
    for call in 0..40 {
        store = store.with(Fault::at(Operation::Delete, call).with_kind(ErrorKind::Denied));
    }
    let store = Arc::new(store);
    let access = backup::create_plain(store.clone());
    for round in 0..5_u64 {
        std::fs::write(room.path().join("file"), torture::noise(round, 100_000)).expect("written");
        make(&access, room.path(), Patience::None).expect("a level");
    }
    let tries = store.calls().of(Operation::Delete);
    assert!(
        (5..=10).contains(&tries),
        "{tries} attempts: each run tries once for old objects and once for its own claim"
    );
    // A run that may remove objects removes the old claims.
    let access = Access::open(store.mended(), None).expect("opened");
    make(&access, room.path(), Patience::None).expect("a level");
    assert!(objects(access.store().as_ref(), LOCKS).is_empty());
    assert_eq!(levels(&access).len(), 6);
    for level in levels(&access) {
        reading::whole(&access, &backup::name(), &level);
    }
}

#[test]
fn the_next_run_removes_the_data_of_a_failed_one() {
    let room = scratch();
    std::fs::write(room.path().join("file"), torture::noise(1, 16 << 20)).expect("written");
    let sound = Arc::new(MemoryStore::default());
    drop(backup::create_plain(sound.clone()));
    let store = Arc::new(Faulty::new(sound.clone()).with(Fault::at(Operation::Put, 3)));
    let access = Access::open(store, None).expect("opened");
    make(&access, room.path(), Patience::None).expect_err("a put fails");
    let data = data_prefix(&backup::name());
    assert!(
        !objects(sound.as_ref(), &data).is_empty(),
        "the failed run left nothing"
    );
    let made = make(&access, room.path(), Patience::None)
        .expect("a level")
        .manifest
        .id;
    let of: BTreeSet<_> = objects(sound.as_ref(), &data)
        .into_iter()
        .map(|name| name.contains(made.as_str()))
        .collect();
    assert_eq!(of, BTreeSet::from([true]), "data of the failed run is left");
    assert!(objects(sound.as_ref(), LOCKS).is_empty());
}

/// A claim that this machine's own process left before it last started, say.
fn dead() -> Running {
    Running {
        pid: (1 << 22) + 1,
        ..Running::this_process()
    }
}

#[test]
fn a_claim_says_which_machine_it_is_of_only_to_who_knows_the_store() {
    let store = Arc::new(MemoryStore::default());
    let passphrase = freezer::model::Passphrase::new(b"secret".to_vec());
    let encrypted = Access::create(
        Arc::new(MemoryStore::default()),
        Some(&passphrase),
        freezer::format::keys::KdfCost::default(),
        Timestamp::UNIX_EPOCH,
        "",
    );
    for access in [backup::create_plain(store), encrypted.expect("created")] {
        let this = Running::this_process();
        let name = backup::name();
        let request = freezer::catalog::LockRequest {
            backup: &name,
            host: "host",
            action: "test",
            patience: Patience::None,
        };
        let seen = freezer::catalog::with_lock(
            &access,
            request,
            &SystemClock,
            &Cancel::new(),
            |()| true,
            |_| {
                let store = access.store();
                let claim = objects(store.as_ref(), LOCKS).pop().expect("a claim");
                let claim = freezer::store::ObjectName::new(claim).expect("legal");
                let bytes = store.get(&claim, 1 << 14).expect("readable");
                let text = String::from_utf8(bytes).expect("text");
                for hidden in [&this.machine, &this.boot].into_iter().flatten() {
                    let (id, _) = hidden.split_once(' ').unwrap_or((hidden, ""));
                    assert!(!text.contains(id), "{text}");
                }
                assert!(Claim::decode(text.as_bytes()).is_ok(), "{text}");
            },
        );
        seen.expect("nobody holds the lock");
    }
}

#[test]
fn a_claim_of_an_ended_process_holds_no_longer_in_the_old_form_and_in_the_new() {
    let room = scratch();
    let (_, plain) = claimed(EARLIER, in_an_hour(), dead());
    let (store, hidden) = claimed(EARLIER, in_an_hour(), elsewhere());
    // The same claim, as this version writes it.
    let concealed = hidden.machine_digest().conceal(&dead());
    let claim = Claim::new("web-1", "backup", Timestamp::UNIX_EPOCH, concealed);
    let id: LevelId = EARLIER.parse().expect("legal");
    let name = claim_name(&backup::name(), &id, Term::Until(in_an_hour()));
    for object in objects(store.as_ref(), LOCKS) {
        let object = freezer::store::ObjectName::new(object).expect("legal");
        store.delete(&object).expect("deleted");
    }
    store.put(&name, &vec![claim.encode()]).expect("stored");
    for access in [plain, hidden] {
        make(&access, room.path(), Patience::None).expect("nobody holds the lock");
        assert!(objects(access.store().as_ref(), LOCKS).is_empty());
    }
    // A digest of another store is of a machine that is not known.
    let (store, access) = claimed(EARLIER, in_an_hour(), elsewhere());
    let other = backup::create_plain(Arc::new(MemoryStore::default()));
    let before_this_boot = Running {
        boot: Some("0".to_owned()),
        ..dead()
    };
    let foreign = other.machine_digest().conceal(&before_this_boot);
    let claim = Claim::new("web-1", "backup", Timestamp::UNIX_EPOCH, foreign);
    store.put(&name, &vec![claim.encode()]).expect("stored");
    let refused = make(&access, room.path(), Patience::None);
    assert!(matches!(refused, Err(BackupError::Lock(_))), "{refused:?}");
}
