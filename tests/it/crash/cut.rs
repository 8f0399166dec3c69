//! A run that is cut off at every call to the store in turn.

use super::{Start, build, passphrases, same_content, small_objects};
use crate::support::{backup, reading};
use freezer::backup::run;
use freezer::catalog::Access;
use freezer::model::Cancel;
use freezer::model::progress::Silent;
use freezer::platform::SystemClock;
use freezer::store::faulty::{Fault, Faulty};
use freezer::store::memory::MemoryStore;
use freezer::store::{ErrorKind, Operation};
use std::path::Path;
use std::sync::Arc;

/// Opens the store and makes a level, as the program does.
fn make_level(
    start: &Start,
    tree: &Path,
    store: &Arc<Faulty<MemoryStore>>,
) -> Result<(), anyhow::Error> {
    let access = Access::open(store.clone(), start.passphrase.as_ref())?;
    let mut request = backup::request(&[tree]);
    small_objects(&mut request);
    run(&request, &access, &SystemClock, &Silent, &Cancel::new())?;
    Ok(())
}

/// Makes a level on a store with a fault. Returns the store behind the fault, and the outcome.
fn make_level_with(
    start: &Start,
    tree: &Path,
    fault: Fault,
) -> (Arc<Faulty<MemoryStore>>, Result<(), anyhow::Error>) {
    let store = Arc::new(Faulty::new(start.copy()).with(fault));
    let outcome = make_level(start, tree, &store);
    assert!(store.has_struck(), "{fault:?} did not strike");
    (store, outcome)
}

/// Counts the calls to the store until the level is there, and the puts among them. After that the
/// run lists and removes its claim; a failure there is no failure of the run.
fn calls_of_a_run(start: &Start, tree: &Path) -> (u64, u64) {
    let store = Arc::new(Faulty::new(start.copy()));
    make_level(start, tree, &store).expect("no fault");
    let after = store.calls().of(Operation::Delete) + 1;
    (
        store.calls().all() - after,
        store.calls().of(Operation::Put),
    )
}

#[test]
fn a_run_cut_off_at_any_call_leaves_no_half_level_and_the_next_run_succeeds() {
    let room = crate::support::scratch();
    build(room.path());
    for passphrase in passphrases() {
        let start = Start::new(room.path(), passphrase);
        let (calls, puts) = calls_of_a_run(&start, room.path());
        assert!(
            puts > 6,
            "only {puts} puts: the tree is too small for this test"
        );
        let before =
            (0..calls).flat_map(|call| [Fault::at_any(call), Fault::at_any(call).for_good()]);
        let after = (0..puts).map(|put| Fault::at(Operation::Put, put).after_effect());
        for fault in before.chain(after.flat_map(|fault| [fault, fault.for_good()])) {
            let (store, outcome) = make_level_with(&start, room.path(), fault);
            // A level does not need the one object that joins its segments for other programs.
            let needless = store.has_struck_nothing_but(Operation::Join);
            let struck = [
                Operation::Get,
                Operation::List,
                Operation::Put,
                Operation::Delete,
            ]
            .into_iter()
            .find(|verb| store.has_struck_nothing_but(*verb));
            assert_eq!(
                outcome.is_ok(),
                needless,
                "{fault:?} at a {struck:?}: {outcome:?}"
            );
            let access = start.open(store.mended());
            let new = start.check(&access, &format!("{fault:?}"));
            // The answer to the last put was lost, so the level is there and whole.
            let last = Fault::at(Operation::Put, puts - 1).after_effect();
            let is_there = needless || fault == last || fault == last.for_good();
            assert_eq!(new.len(), usize::from(is_there), "{fault:?}: new levels");
            let next = backup::back_up(&access, &[room.path()], small_objects)
                .manifest
                .id;
            assert!(
                same_content(
                    &reading::whole(&access, &backup::name(), &next),
                    &start.whole
                ),
                "{fault:?}: the next run"
            );
        }
    }
}

#[test]
fn a_store_that_is_full_says_so_and_keeps_what_it_has() {
    let room = crate::support::scratch();
    build(room.path());
    let start = Start::new(room.path(), None);
    let (_, puts) = calls_of_a_run(&start, room.path());
    for put in 0..puts {
        let (store, outcome) = make_level_with(
            &start,
            room.path(),
            Fault::at(Operation::Put, put)
                .with_kind(ErrorKind::Full)
                .for_good(),
        );
        let error = outcome.expect_err("it is full");
        assert!(
            format!("{error:#}").contains("the store is full"),
            "put {put}: {error:#}"
        );
        assert!(
            start
                .check(&start.open(store.mended()), &format!("full at put {put}"))
                .is_empty()
        );
    }
}
