//! The prefetch policy without a mount, as a front end or a library caller uses it.

use crate::support::HANG;
use crate::support::stored_tree::{Planned, Recipe, StoredTree};
use freezer::fs::FilePiece;
use freezer::fs::forest::{Forest, TOP};
use freezer::fs::prefetch::{AnsweredRead, Prefetcher, read_notes};
use freezer::store::memory::MemoryStore;
use std::ops::ControlFlow;
use std::sync::{Arc, mpsc};

fn content(directory: usize, file: usize) -> String {
    format!("line {file} of directory {directory}\n").repeat(1 + file % 90)
}

/// Two directories of forty small files each.
fn forest() -> Forest {
    let mut tree = vec![
        Planned::directory(""),
        Planned::directory("d0"),
        Planned::directory("d1"),
    ];
    for directory in 0..2 {
        let file = |file| {
            let path = format!("d{directory}/f{file:02}");
            Planned::file(&path, content(directory, file))
        };
        tree.extend((0..40).map(file));
    }
    let store = Arc::new(MemoryStore::default());
    Forest::of_tree(StoredTree::write(store, tree, Recipe::default()).view())
}

fn inodes(forest: &Forest, directory: u64) -> Vec<u64> {
    let mut inodes = Vec::new();
    forest
        .list(directory, 0, |entry| {
            inodes.push(entry.inode);
            ControlFlow::Continue(())
        })
        .expect("listed");
    inodes
}

#[test]
fn a_reader_in_order_gets_more_files_each_time_and_a_jump_gets_none() {
    let forest = forest();
    let directories = inodes(&forest, TOP);
    let files = inodes(&forest, directories[0]);
    let mut prefetcher = Prefetcher::new(forest.clone());
    let mut after = |inode: u64| -> Vec<u64> {
        let ahead = prefetcher.after_read(inode).expect("read");
        ahead.iter().map(|file| file.inode).collect()
    };
    assert_eq!(after(files[0]), [0; 0], "one file read is no order yet");
    assert_eq!(after(files[1]), files[2..6]);
    assert_eq!(after(files[3]), [0; 0], "it was delivered");
    assert_eq!(after(files[6]), files[7..15]);
    let others = inodes(&forest, directories[1]);
    assert_eq!(
        after(others[0]),
        others[1..9],
        "a walk goes on in the next directory"
    );
    assert_eq!(after(others[30]), others[31..33], "a jump gets a quarter");
    assert_eq!(after(others[20]), [0; 0], "and soon nothing");
}

#[test]
fn noted_reads_have_the_whole_content_of_the_files_that_follow_delivered() {
    let forest = forest();
    let files = inodes(&forest, inodes(&forest, TOP)[0]);
    let (notes, reads) = read_notes();
    let (sender, delivered) = mpsc::channel();
    reads
        .start(forest.clone(), move |inode, content: &[FilePiece]| {
            let content = FilePiece::joined(content).into_owned();
            sender.send((inode, content)).map_err(std::io::Error::other)
        })
        .expect("a thread");
    let note = |inode: u64, offset: u64| {
        notes.note(AnsweredRead {
            inode,
            offset,
            file_bytes: 100,
        });
    };
    note(files[0], 0);
    note(files[20], 4096); // not from the beginning: says nothing about the order of files
    note(files[1], 0);
    for (file, expected) in (2..6).zip(&files[2..]) {
        let (inode, bytes) = delivered.recv_timeout(HANG).expect("delivered");
        assert_eq!(inode, *expected);
        assert_eq!(String::from_utf8(bytes).expect("text"), content(0, file));
    }
    drop(notes);
    assert!(
        delivered.recv_timeout(HANG).is_err(),
        "the thread ends with the notes, and delivers nothing else"
    );
}
