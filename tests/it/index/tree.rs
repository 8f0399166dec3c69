//! Compares the tree with a sorted list of the same entries.

use super::{directory, file, in_order, name, path, tree_of, write};
use freezer::index::{
    BlockAddress, BlockCache, BlockSource, IndexError, MemoryBlocks, Tree, TreeWriter,
};
use freezer::model::{Content, Entry, Name, NodeId, TreePath, Xattr};
use proptest::prelude::{Strategy, any, prop_assert_eq, proptest};
use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Trees of given directories with files of many shapes, some of them large enough for a block of
/// their own.
fn trees() -> impl Strategy<Value = Vec<Entry>> {
    let component = proptest::collection::vec(
        proptest::sample::select(vec![1u8, b' ', b'a', b'b', 0xff]),
        1..3,
    );
    let file_path = proptest::collection::vec(component, 1..5);
    let padding = proptest::sample::select(vec![0usize, 0, 10, 100, 3_000, 20_000]);
    proptest::collection::vec((file_path, padding, any::<bool>()), 0..60).prop_map(|files| {
        let mut entries = vec![directory(TreePath::root())];
        let mut seen = BTreeSet::new();
        for (components, padding, is_file) in files {
            let mut path = TreePath::root();
            for (depth, component) in components.iter().enumerate() {
                path.push(&Name::new(component.as_slice()).expect("legal by construction"));
                if seen.insert(path.clone()) {
                    let is_last = depth + 1 == components.len();
                    let mut entry = if is_last && is_file {
                        file(path.clone(), padding as u64 / 7)
                    } else {
                        directory(path.clone())
                    };
                    entry.metadata.inode = seen.len() as u64;
                    if is_last {
                        entry.metadata.xattrs = vec![Xattr {
                            name: b"user.x"[..].into(),
                            value: vec![b'x'; padding].into(),
                        }];
                    }
                    entries.push(entry);
                }
            }
        }
        in_order(entries)
    })
}

fn numbered(entries: &[Entry]) -> Vec<(NodeId, Entry)> {
    (0..).map(NodeId).zip(entries.iter().cloned()).collect()
}

fn children_in(model: &[(NodeId, Entry)], of: &TreePath) -> Vec<(NodeId, Entry)> {
    model
        .iter()
        .filter(|(_, entry)| entry.path.parent().as_ref() == Some(of))
        .cloned()
        .collect()
}

fn scanned(tree: &Tree, of: NodeId, after: Option<NodeId>) -> Vec<(NodeId, Vec<u8>, u64)> {
    let mut found = Vec::new();
    let scan = tree.scan(of, after, |node, name, attributes| {
        found.push((node, name.to_vec(), attributes.inode));
        ControlFlow::Continue(())
    });
    scan.expect("a sound tree");
    found
}

proptest! {
    #[test]
    fn the_tree_answers_as_a_list_of_its_entries_does(
        entries in trees(),
        stranger in proptest::collection::vec(1u8..120, 1..3),
    ) {
        let tree = tree_of(&entries);
        let model = numbered(&entries);
        prop_assert_eq!(tree.entries(), model.len() as u64);
        prop_assert_eq!(
            tree.all()
                .collect::<Result<Vec<_>, _>>()
                .expect("a sound tree"),
            model.clone()
        );
        let stranger = Name::new(
            stranger
                .iter()
                .filter(|byte| **byte != b'/')
                .copied()
                .collect::<Vec<_>>(),
        )
        .unwrap_or(name("q"));
        for (node, entry) in &model {
            prop_assert_eq!(tree.entry(*node).expect("sound"), Some(entry.clone()));
            prop_assert_eq!(
                tree.lookup(&entry.path).expect("sound"),
                Some((*node, entry.clone()))
            );
            let attributes = tree.attributes(*node).expect("sound").expect("it exists");
            prop_assert_eq!(
                (attributes.inode, attributes.size),
                (entry.metadata.inode, entry.content.size())
            );
            let unknown = entry.path.join(&stranger);
            let known = model
                .iter()
                .find(|(_, entry)| entry.path == unknown)
                .cloned();
            prop_assert_eq!(tree.lookup(&unknown).expect("sound"), known.clone());
            prop_assert_eq!(tree.child(*node, &stranger).expect("sound"), known);

            let children = children_in(&model, &entry.path);
            for (child, entry) in &children {
                let name = Name::new(entry.path.file_name()).expect("legal");
                prop_assert_eq!(
                    tree.child(*node, &name).expect("sound"),
                    Some((*child, entry.clone()))
                );
                prop_assert_eq!(
                    tree.child_attributes(*node, &name)
                        .expect("sound")
                        .map(|(child, _)| child),
                    Some(*child)
                );
            }
            for resume in 0..=children.len() {
                let after = resume.checked_sub(1).map(|last| children[last].0);
                let listed = tree
                    .children(*node, after)
                    .collect::<Result<Vec<_>, _>>()
                    .expect("sound");
                prop_assert_eq!(&listed, &children[resume..]);
                let lean: Vec<_> = listed
                    .iter()
                    .map(|(node, entry)| {
                        (*node, entry.path.file_name().to_vec(), entry.metadata.inode)
                    })
                    .collect();
                prop_assert_eq!(scanned(&tree, *node, after), lean);
            }
        }
        let none = NodeId(model.len() as u64);
        prop_assert_eq!(tree.entry(none).expect("sound"), None);
        prop_assert_eq!(tree.child(none, &stranger).expect("sound"), None);
        prop_assert_eq!(tree.children(none, None).count(), 0);
        prop_assert_eq!(tree.entry(NodeId(u64::MAX)).expect("sound"), None);
    }
}

proptest! {
    // Every directory is tried with every entry, so a few trees are enough.
    #![proptest_config(proptest::test_runner::Config::with_cases(32))]

    #[test]
    fn a_listing_may_resume_after_an_entry_of_another_directory(entries in trees()) {
        let tree = tree_of(&entries);
        let model = numbered(&entries);
        for (of, directory) in &model {
            for (after, _) in &model {
                let wanted: Vec<_> = children_in(&model, &directory.path)
                    .into_iter()
                    .filter(|(node, _)| node > after)
                    .collect();
                let listed = tree
                    .children(*of, Some(*after))
                    .collect::<Result<Vec<_>, _>>()
                    .expect("sound");
                prop_assert_eq!(listed, wanted);
            }
        }
    }
}

/// Returns names with so little in common that a tree of 40,000 entries has three heights.
fn directory_name(number: usize) -> String {
    format!("{number:03}-{}", "d".repeat(200))
}

fn many() -> Vec<Entry> {
    let directories = (0..400).map(|number| directory(path(&directory_name(number))));
    let files = (0..400).flat_map(|number| {
        let parent = path(&directory_name(number));
        (0..100).map(move |file_number| {
            file(
                parent.join(&name(&format!("name-{file_number:03}"))),
                file_number % 3,
            )
        })
    });
    in_order(
        std::iter::once(directory(TreePath::root()))
            .chain(directories)
            .chain(files),
    )
}

#[test]
fn a_tree_of_many_blocks_has_a_small_root_and_loads_few_blocks_for_a_name() {
    let entries = many();
    let (root, blocks) = write(&entries).expect("sound entries");
    assert_eq!(root.height, 2);
    assert!(root.node.len() <= 17 * 1024, "{}", root.node.len());
    assert!(blocks.blocks().iter().all(|block| block.len() <= 16 * 1024));
    let loads = Arc::new(AtomicUsize::new(0));
    let source = Counted {
        blocks,
        loads: Arc::clone(&loads),
        broken: AtomicBool::new(false),
    };
    let tree = Tree::open(root, Arc::new(source), BlockCache::new(1 << 30)).expect("a sound tree");
    assert_eq!(loads.load(Ordering::Relaxed), 0, "opening loads nothing");
    let wanted = path(&format!("{}/name-017", directory_name(42)));
    let (node, found) = tree.lookup(&wanted).expect("sound").expect("it is there");
    assert_eq!(found.path, wanted);
    assert_eq!(loads.load(Ordering::Relaxed), 2);
    assert_eq!(
        tree.entry(node).expect("sound").map(|entry| entry.path),
        Some(wanted)
    );
    assert_eq!(loads.load(Ordering::Relaxed), 2, "what was loaded is kept");
    for ((number, found), entry) in tree.all().map(|found| found.expect("sound")).zip(&entries) {
        assert_eq!(
            (&found, tree.entry(number).expect("sound").as_ref()),
            (entry, Some(entry))
        );
    }
    assert_eq!(tree.all().count(), entries.len());
}

/// A source that counts loads, and fails them while it is broken.
struct Counted {
    blocks: MemoryBlocks,
    loads: Arc<AtomicUsize>,
    broken: AtomicBool,
}

impl BlockSource for Counted {
    fn load(&self, address: &BlockAddress) -> Result<Vec<u8>, IndexError> {
        self.loads.fetch_add(1, Ordering::Relaxed);
        if self.broken.load(Ordering::Relaxed) {
            Err(IndexError::fetch(*address, std::fmt::Error))
        } else {
            self.blocks.load(address)
        }
    }
}

#[test]
fn a_store_that_fails_is_an_error_and_never_an_empty_directory_and_is_asked_again() {
    let (root, blocks) = write(&many()).expect("sound entries");
    let source = Arc::new(Counted {
        blocks,
        loads: Arc::default(),
        broken: AtomicBool::new(true),
    });
    let tree = Tree::open(
        root,
        Arc::clone(&source) as Arc<dyn BlockSource>,
        BlockCache::new(1 << 30),
    )
    .expect("a sound root");
    let is_fetch = |error: &IndexError| matches!(error, IndexError::Fetch { .. });
    assert!(is_fetch(
        &tree
            .lookup(&path(&directory_name(1)))
            .expect_err("the source is broken")
    ));
    let listed: Vec<_> = tree.children(NodeId(0), None).collect();
    assert!(
        matches!(listed.as_slice(), [Err(error)] if is_fetch(error)),
        "one error, and not an end without it"
    );
    tree.scan(NodeId(0), None, |_, _, _| ControlFlow::Continue(()))
        .expect_err("the source is broken");
    source.broken.store(false, Ordering::Relaxed);
    assert_eq!(
        tree.children(NodeId(0), None).filter(Result::is_ok).count(),
        400
    );
    // The source breaks in the middle of a directory: the listing stops with an error.
    let fresh = write(&many()).map(|(root, _)| {
        Tree::open(
            root,
            Arc::clone(&source) as Arc<dyn BlockSource>,
            BlockCache::new(0),
        )
    });
    let fresh = fresh.expect("sound entries").expect("a sound root");
    let mut listing = fresh.children(NodeId(50), None);
    assert!(matches!(listing.next(), Some(Ok(_))));
    source.broken.store(true, Ordering::Relaxed);
    let rest: Vec<_> = listing.collect();
    assert!(matches!(
        rest.split_last(),
        Some((Err(_), listed)) if listed.iter().all(Result::is_ok) && listed.len() < 99
    ));
}

#[test]
fn a_tree_that_must_not_wait_answers_from_memory_or_with_an_error() {
    let (root, blocks) = write(&many()).expect("sound entries");
    let loads = Arc::new(AtomicUsize::new(0));
    let source = Counted {
        blocks,
        loads: Arc::clone(&loads),
        broken: AtomicBool::new(false),
    };
    let tree = Tree::open(root, Arc::new(source), BlockCache::new(1 << 30)).expect("a sound tree");
    let wanted = path(&format!("{}/name-017", directory_name(42)));
    let error = tree
        .cached_only()
        .lookup(&wanted)
        .expect_err("it is not in memory yet");
    assert!(matches!(error, IndexError::NotCached(_)));
    assert_eq!(loads.load(Ordering::Relaxed), 0);
    let found = tree.lookup(&wanted).expect("sound");
    assert_eq!(
        tree.cached_only()
            .lookup(&wanted)
            .expect("it is in memory now"),
        found
    );
}

#[test]
fn many_threads_read_one_tree_through_a_cache_that_is_too_small() {
    let entries = many();
    let (root, blocks) = write(&entries).expect("sound entries");
    let cache = BlockCache::new(200_000);
    let tree = Tree::open(root, Arc::new(blocks), Arc::clone(&cache)).expect("a sound tree");
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (tree, entries, cache) = (&tree, &entries, &cache);
            scope.spawn(move || {
                for step in 0..3000 {
                    let rank = (step * 7919 + thread * 104_729) % entries.len();
                    assert_eq!(
                        tree.entry(NodeId(rank as u64)).expect("sound").as_ref(),
                        Some(&entries[rank])
                    );
                    assert!(cache.used_bytes() <= 200_000);
                }
            });
        }
    });
}

#[test]
fn an_empty_tree_is_one() {
    let tree = tree_of(&[]);
    assert_eq!(tree.entries(), 0);
    assert_eq!(tree.all().count(), 0);
    assert_eq!(tree.entry(NodeId(0)).expect("sound"), None);
    assert_eq!(tree.lookup(&TreePath::root()).expect("sound"), None);
}

#[test]
fn a_file_of_a_million_extents_has_a_block_of_its_own_and_a_small_root() {
    let entries = [
        directory(TreePath::root()),
        file(path("a"), 1),
        file(path("sparse"), 1_000_000),
        file(path("z"), 1),
    ];
    let fewer = [entries[0].clone(), entries[2].clone()];
    for entries in [&entries[..], &fewer] {
        let (root, blocks) = write(entries).expect("sound entries");
        assert!(root.node.len() < 1000);
        assert_eq!(root.height, 1);
        let tree = super::open((root, blocks)).expect("a sound tree");
        let found: Vec<_> = tree.all().map(|found| found.expect("sound").1).collect();
        assert!(found == entries, "every entry reads back");
    }
}

#[test]
fn an_unfit_entry_is_refused_and_the_writer_goes_on() {
    let (mut writer, mut blocks) = (TreeWriter::new(), MemoryBlocks::default());
    let mut push = |entry: &Entry| writer.push(entry, &mut blocks);
    assert_eq!(
        push(&directory(TreePath::root())).expect("sound"),
        NodeId(0)
    );
    assert_eq!(push(&file(path("b"), 1)).expect("sound"), NodeId(1));
    assert!(matches!(
        push(&directory(path("a"))),
        Err(IndexError::OutOfOrder { .. })
    ));
    assert!(
        matches!(
            push(&directory(path("b"))),
            Err(IndexError::OutOfOrder { .. })
        ),
        "twice"
    );
    let mut deep = path("b");
    (0..200).for_each(|_| deep.push(&name(&"x".repeat(200))));
    assert!(matches!(
        push(&directory(deep)),
        Err(IndexError::Unfit { .. })
    ));
    let link = Entry {
        link_to: Some(NodeId(2)),
        ..file(path("c"), 1)
    };
    assert!(
        matches!(push(&link), Err(IndexError::Unfit { .. })),
        "a link to itself"
    );
    let mut unsorted = directory(path("c"));
    let xattr = |name: &[u8]| Xattr {
        name: name.into(),
        value: Box::default(),
    };
    unsorted.metadata.xattrs = vec![xattr(b"user.b"), xattr(b"user.a")];
    assert!(matches!(push(&unsorted), Err(IndexError::Unfit { .. })));
    assert!(matches!(
        push(&Entry {
            content: Content::Symlink(Box::default()),
            ..directory(path("c"))
        }),
        Err(IndexError::Unfit { .. })
    ));
    let link = Entry {
        link_to: Some(NodeId(1)),
        ..file(path("c"), 1)
    };
    assert_eq!(push(&link).expect("sound"), NodeId(2));
    let tree = super::open((
        writer.finish(&mut blocks).expect("memory takes all"),
        blocks,
    ))
    .expect("a sound tree");
    assert_eq!(
        tree.all()
            .map(|found| found.expect("sound").1.path)
            .collect::<Vec<_>>(),
        [path(""), path("b"), path("c")]
    );
}

#[test]
fn the_longest_keys_still_make_a_tree_with_a_small_root() {
    let deep = |last: u8| {
        let mut path = TreePath::root();
        (0..120).for_each(|_| path.push(&name(&"x".repeat(255))));
        path.join(&Name::new(vec![last; 255]).expect("legal"))
    };
    let entries: Vec<_> = std::iter::once(directory(TreePath::root()))
        .chain((b'a'..=b'z').map(|last| file(deep(last), 3000)))
        .collect();
    let (root, blocks) = write(&entries).expect("sound entries");
    assert!(
        root.height >= 2 && root.node.len() <= 64 * 1024,
        "{} {}",
        root.height,
        root.node.len()
    );
    let tree = super::open((root, blocks)).expect("a sound tree");
    assert!(
        tree.all()
            .map(|found| found.expect("sound").1)
            .eq(entries.iter().cloned())
    );
}
