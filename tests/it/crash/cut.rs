//! Cut off at every call to the store in turn.

use super::{Start, build, passphrases, small_objects};
use crate::support::backup;
use freezer::backup::run;
use freezer::catalog::Access;
use freezer::model::Cancel;
use freezer::model::progress::Silent;
use freezer::platform::SystemClock;
use freezer::store::faulty::{Fault, Faulty};
use freezer::store::memory::Memory;
use freezer::store::{Kind, Verb};
use std::path::Path;
use std::sync::Arc;

/// Opens the store and makes a level, as the program does.
fn make_level(start: &Start, tree: &Path, store: &Arc<Faulty<Memory>>) -> Result<(), anyhow::Error> {
    let access = Access::open(store.clone(), start.passphrase.as_ref())?;
    let mut request = backup::request(&[tree]);
    small_objects(&mut request);
    run(&request, &access, &SystemClock, &Silent, &Cancel::new())?;
    Ok(())
}

/// The same on a store with a fault; the store behind it, and how it went.
fn make_level_with(start: &Start, tree: &Path, fault: Fault) -> (Arc<Memory>, Result<(), anyhow::Error>) {
    let store = Arc::new(Faulty::new(start.copy()).with(fault));
    let outcome = make_level(start, tree, &store);
    assert!(store.has_struck(), "{fault:?} did not strike");
    (store.mended(), outcome)
}

/// How often that calls the store, and how often to put.
fn calls_of_a_run(start: &Start, tree: &Path) -> (u64, u64) {
    let store = Arc::new(Faulty::new(start.copy()));
    make_level(start, tree, &store).expect("no fault");
    (store.calls().all(), store.calls().of(Verb::Put))
}

#[test]
fn a_run_cut_off_at_any_call_leaves_no_half_level_and_the_next_run_succeeds() {
    let room = tempfile::tempdir().expect("a directory");
    build(room.path());
    for passphrase in passphrases() {
        let start = Start::new(room.path(), passphrase);
        let (calls, puts) = calls_of_a_run(&start, room.path());
        assert!(puts > 8, "only {puts} puts: the tree is too small for this test");
        for call in 0..calls {
            let (before, after) = (Fault::at_any(call), Fault::at_any(call).after_effect());
            for fault in [before, before.for_good(), after, after.for_good()] {
                let what = format!("call {call} of {calls}, {fault:?}");
                let (mended, outcome) = make_level_with(&start, room.path(), fault);
                outcome.expect_err(&what);
                let access = start.open(mended);
                let levels = start.check(&access, &what);
                let published = call + 1 == calls && (fault == after || fault == after.for_good());
                assert_eq!(levels.len(), usize::from(published), "{what}: new levels");
                backup::back_up(&access, &[room.path()], small_objects);
                assert_eq!(start.check(&access, &what).len(), levels.len() + 1, "{what}: the next run");
            }
        }
    }
}

#[test]
fn a_store_that_is_full_says_so_and_keeps_what_it_has() {
    let room = tempfile::tempdir().expect("a directory");
    build(room.path());
    let start = Start::new(room.path(), None);
    let (_, puts) = calls_of_a_run(&start, room.path());
    for put in 0..puts {
        let (mended, outcome) = make_level_with(&start, room.path(), Fault::at(Verb::Put, put).with_kind(Kind::Full).for_good());
        let error = outcome.expect_err("it is full");
        assert!(format!("{error:#}").contains("the store is full"), "put {put}: {error:#}");
        assert!(start.check(&start.open(mended), &format!("full at put {put}")).is_empty());
    }
}
