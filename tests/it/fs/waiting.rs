//! Which calls wait for a store, and for how long.

use crate::support::stored_tree::{Planned, Recipe, StoredTree};
use freezer::fs::view::ROOT;
use freezer::fs::{FileReader, ReadError, ReadOptions};
use freezer::model::NodeId;
use freezer::store::faulty::{Fault, Faulty};
use freezer::store::memory::MemoryStore;
use freezer::store::{ErrorKind, Operation, Store};
use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

fn reader(patience: Duration) -> Arc<FileReader> {
    let fetch_threads = NonZeroUsize::new(2).expect("not zero");
    Arc::new(
        FileReader::new(&ReadOptions {
            fetch_threads,
            patience,
            ..ReadOptions::default()
        })
        .expect("threads can be started"),
    )
}

fn big_tree() -> Vec<Planned> {
    let files = (0..3000).map(|number| {
        Planned::file(
            &format!("file {number:05}"),
            format!("content {number}").repeat(20),
        )
    });
    std::iter::once(Planned::directory(""))
        .chain(files)
        .collect()
}

fn faulty_tree() -> (Arc<Faulty<MemoryStore>>, StoredTree) {
    faulty_tree_in_frames_of(50_000)
}

fn faulty_tree_in_frames_of(frame_bytes: usize) -> (Arc<Faulty<MemoryStore>>, StoredTree) {
    let memory = MemoryStore::default();
    let store = Arc::new(Faulty::new(memory));
    let stored = StoredTree::write(
        Arc::clone(&store) as Arc<dyn Store>,
        big_tree(),
        Recipe {
            frame_bytes,
            ..Recipe::default()
        },
    );
    (store, stored)
}

#[test]
fn a_view_at_hand_never_calls_the_store_and_answers_the_same_once_it_was_read() {
    let (store, stored) = faulty_tree();
    let view = stored.view();
    let at_hand = view.at_hand();
    let gets = || store.calls().of(Operation::Get);
    assert_eq!(gets(), 0, "opening a view loads nothing");
    let node = NodeId(2000);
    assert!(matches!(
        at_hand.attributes(node),
        Err(ReadError::WouldWait)
    ));
    assert!(matches!(
        at_hand.file(node).map(|_| ()),
        Err(ReadError::WouldWait)
    ));
    assert_eq!(gets(), 0);
    let mut buffer = [0; 100];
    view.file(node)
        .expect("a file")
        .read(0, &mut buffer)
        .expect("read");
    let before = gets();
    let file = at_hand.file(node).expect("its blocks are in memory");
    let mut again = [0; 100];
    file.read(0, &mut again).expect("its frame is in memory");
    assert_eq!(again, buffer);
    assert!(matches!(
        at_hand.list(ROOT, Some(NodeId(1)), |_| ControlFlow::Continue(())),
        Err(ReadError::WouldWait)
    ));
    assert_eq!(gets(), before);
}

#[test]
fn many_readers_of_one_frame_cost_one_fetch() {
    // The whole tree is one frame, so that there is no next one to fetch ahead.
    let (store, stored) = faulty_tree_in_frames_of(50_000_000);
    let view = stored.view();
    let nodes: Vec<_> = (1..9).map(NodeId).collect();
    for node in &nodes {
        view.attributes(*node).expect("there");
    }
    view.entry(NodeId(1)).expect("there");
    let gate = store.gate(Operation::Get);
    let before = store.calls().of(Operation::Get);
    let readers: Vec<_> = nodes
        .into_iter()
        .map(|node| {
            let view = view.clone();
            thread::spawn(move || {
                let mut buffer = [0; 10];
                view.file(node)
                    .expect("a file")
                    .read(0, &mut buffer)
                    .expect("read");
                buffer
            })
        })
        .collect();
    gate.wait_for(1);
    gate.open();
    for reader in readers {
        assert_eq!(&reader.join().expect("no panic")[..8], b"content ");
    }
    assert_eq!(view.cache_counts().fetched, 1);
    assert!(
        store.calls().of(Operation::Get) - before <= 2,
        "the frame, and a block of the frame table"
    );
}

#[test]
fn a_store_that_does_not_answer_is_an_error_after_the_deadline_and_nothing_before() {
    let (store, stored) = faulty_tree();
    let view = stored.view_through(&reader(Duration::from_millis(50)));
    let gate = store.gate(Operation::Get);
    let error = view
        .attributes(NodeId(2000))
        .expect_err("nothing was loaded");
    assert!(matches!(&error, ReadError::Index(_)), "{error:?}");
    assert_eq!(error.errno(), freezer::fs::Errno::Io);
    gate.open();
    // The two fetching threads are free again once the gate is open.
    let patient = stored.view();
    patient
        .attributes(NodeId(2000))
        .expect("the store answers again");
}

#[test]
fn an_error_of_the_store_is_not_remembered() {
    let memory = MemoryStore::default();
    let faulty = Arc::new(
        Faulty::new(memory).with(Fault::at(Operation::Get, 0).with_kind(ErrorKind::Denied)),
    );
    let stored = StoredTree::write(
        Arc::clone(&faulty) as Arc<dyn Store>,
        big_tree(),
        Recipe::default(),
    );
    let view = stored.view();
    let error = view
        .attributes(NodeId(2000))
        .expect_err("the first read is refused");
    assert_eq!(error.errno(), freezer::fs::Errno::Access);
    view.attributes(NodeId(2000)).expect("the second is not");
}

#[test]
fn a_reader_that_joined_a_fetch_that_fails_makes_one_of_its_own() {
    for number in 0..8 {
        let faulty =
            Arc::new(Faulty::new(MemoryStore::default()).with(Fault::at(Operation::Get, number)));
        let stored = StoredTree::write(
            Arc::clone(&faulty) as Arc<dyn Store>,
            big_tree(),
            Recipe {
                frame_bytes: 50_000,
                ..Recipe::default()
            },
        );
        let view = stored.view();
        let gate = faulty.gate(Operation::Get);
        let read = || {
            let mut buffer = [0; 12];
            view.file(NodeId(2000))?.read(0, &mut buffer)?;
            Ok::<_, ReadError>(buffer)
        };
        let ends: Vec<_> = thread::scope(|scope| {
            let readers: Vec<_> = (0..4).map(|_| scope.spawn(read)).collect();
            gate.wait_for(1);
            // Time for the others to find the fetch under way. A late one begins its own anyway.
            freezer::platform::pause(Duration::from_millis(30), &freezer::model::Cancel::new());
            gate.open();
            readers
                .into_iter()
                .map(|reader| reader.join().expect("no panic"))
                .collect()
        });
        let failed = ends.iter().filter(|end| end.is_err()).count();
        assert!(
            failed <= 1,
            "call {number}: the fault met one fetch, and {failed} readers were told of it"
        );
        for buffer in ends.into_iter().flatten() {
            assert_eq!(&buffer, b"content 1999", "call {number}");
        }
    }
}
