//! A run that is cancelled at any moment, and a store that dies while a long file is read.

use super::{Start, build, passphrases, same_content, small_objects};
use crate::support::{backup, reading, scratch};
use freezer::backup::{BackupError, run};
use freezer::catalog::Catalog;
use freezer::model::{Cancel, Progress, Trouble};
use freezer::platform::SystemClock;
use freezer::store::faulty::Faulty;
use freezer::store::memory::MemoryStore;
use freezer::store::{ErrorKind, Operation};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A progress that asks to stop when it is called for the n-th time.
struct CancelAt {
    told: AtomicU64,
    bytes: AtomicU64,
    at: u64,
    cancel: Cancel,
}

impl CancelAt {
    fn new(at: u64) -> Self {
        Self {
            told: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            at,
            cancel: Cancel::new(),
        }
    }
}

impl Progress for CancelAt {
    fn stage(&self, _: &'static str) {}
    fn expect_total(&self, _: u64, _: u64) {}
    fn trouble(&self, trouble: Trouble) {
        panic!("{trouble}");
    }

    fn advance(&self, _: u64, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::SeqCst);
        if self.told.fetch_add(1, Ordering::SeqCst) == self.at {
            self.cancel.request();
        }
    }
}

#[test]
fn a_run_that_is_cancelled_leaves_no_level_and_the_next_run_succeeds() {
    let room = scratch();
    build(room.path());
    for passphrase in passphrases() {
        let start = Start::new(room.path(), passphrase);
        let mut request = backup::request(&[room.path()]);
        small_objects(&mut request);
        for at in [0, 1, 50, 95] {
            let store = Arc::new(start.copy());
            let access = start.open(store);
            let progress = CancelAt::new(at);
            let outcome = run(&request, &access, &SystemClock, &progress, &progress.cancel);
            let error = outcome.expect_err("it was cancelled");
            assert!(
                matches!(error, BackupError::Interrupted(_)),
                "{at}: {error:?}"
            );
            assert!(
                start
                    .check(&access, &format!("cancelled at {at}"))
                    .is_empty()
            );
            let next = backup::back_up(&access, &[room.path()], small_objects)
                .manifest
                .id;
            assert!(
                same_content(
                    &reading::whole(&access, &backup::name(), &next),
                    &start.whole
                ),
                "{at}: the next run"
            );
        }
    }
}

const LONG_BYTES: usize = 48 << 20;

#[test]
fn a_wish_to_stop_is_heard_inside_a_long_file() {
    let room = scratch();
    std::fs::write(room.path().join("long"), vec![7; LONG_BYTES]).expect("written");
    let access = backup::create_plain(Arc::new(MemoryStore::default()));
    let progress = CancelAt::new(3);
    let mut request = backup::request(&[room.path()]);
    small_objects(&mut request);
    let outcome = run(&request, &access, &SystemClock, &progress, &progress.cancel);
    assert!(matches!(outcome, Err(BackupError::Interrupted(_))));
    let read = progress.bytes.into_inner();
    assert!(read < 4 << 20, "it read {read} bytes before it stopped");
    assert!(
        Catalog::new(access.store())
            .levels(&backup::name())
            .expect("listed")
            .is_empty()
    );
}

#[test]
fn a_store_that_dies_ends_the_run_inside_a_long_file() {
    let room = scratch();
    std::fs::write(room.path().join("long"), vec![7; LONG_BYTES]).expect("written");
    let sound = Arc::new(MemoryStore::default());
    drop(backup::create_plain(sound.clone()));
    let store = Arc::new(
        Faulty::new(sound).with(
            freezer::store::faulty::Fault::at(Operation::Put, 1)
                .with_kind(ErrorKind::Full)
                .for_good(),
        ),
    );
    let access = freezer::catalog::Access::open(store, None).expect("it opens");
    let progress = CancelAt::new(u64::MAX);
    let mut request = backup::request(&[room.path()]);
    small_objects(&mut request);
    let outcome = run(&request, &access, &SystemClock, &progress, &progress.cancel);
    assert!(
        matches!(&outcome, Err(BackupError::Store(error)) if error.kind() == ErrorKind::Full),
        "{outcome:?}"
    );
    let read = progress.bytes.into_inner();
    assert!(
        read < LONG_BYTES as u64,
        "it read all of the file for a store that was dead from the start"
    );
}
