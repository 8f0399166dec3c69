//! A view against the tree it was made of, in memory.

use crate::support::random_tree::{
    ShownAttributes, ShownTree, check, random_reads, random_recipe, random_tree,
};
use crate::support::stored_tree::{Planned, Recipe, StoredTree, reader};
use freezer::fs::ReadError;
use freezer::fs::view::{FileContent, ROOT, View};
use freezer::model::{Content, Kind, Metadata, Name, NodeId, TreePath, Xattr};
use freezer::store::memory::MemoryStore;
use proptest::prelude::*;
use std::ops::ControlFlow;
use std::sync::Arc;

/// A view, asked by paths.
struct ByPath<'view>(&'view View);

impl ByPath<'_> {
    fn node(&self, path: &TreePath) -> NodeId {
        self.0.lookup(path).expect("read").expect("there").0
    }

    fn file(&self, path: &TreePath) -> FileContent {
        self.0.file(self.node(path)).expect("a file")
    }
}

impl ShownTree for ByPath<'_> {
    fn attributes(&self, path: &TreePath) -> ShownAttributes {
        let shown = self.0.attributes(self.node(path)).expect("there");
        ShownAttributes {
            kind: shown.kind,
            mode: shown.mode,
            size: match shown.kind {
                Kind::Directory => 0,
                _ => shown.size,
            },
            mtime: shown.mtime,
            numbers: shown.numbers,
        }
    }

    fn names(&self, directory: &TreePath) -> Vec<Vec<u8>> {
        let listed = listed(self.0, self.node(directory), None);
        listed.into_iter().map(|(_, name)| name).collect()
    }

    fn link_target(&self, link: &TreePath) -> Vec<u8> {
        self.0
            .link_target(self.node(link))
            .expect("a link")
            .into_vec()
    }

    fn xattrs(&self, path: &TreePath) -> Vec<Xattr> {
        self.0.xattrs(self.node(path)).expect("read")
    }

    fn read(&self, file: &TreePath, from: u64, length: usize) -> Vec<u8> {
        let mut buffer = vec![0xaa; length];
        let got = self.file(file).read(from, &mut buffer).expect("read");
        assert!(
            buffer.drain(got..).all(|byte| byte == 0xaa),
            "the buffer behind the answer is left alone"
        );
        buffer
    }

    fn next_data(&self, file: &TreePath, from: u64) -> Option<u64> {
        self.file(file).next_data(from)
    }

    fn next_hole(&self, file: &TreePath, from: u64) -> Option<u64> {
        self.file(file).next_hole(from)
    }
}

fn listed(view: &View, directory: NodeId, after: Option<NodeId>) -> Vec<(NodeId, Vec<u8>)> {
    let mut names = Vec::new();
    view.list(directory, after, |child| {
        names.push((child.node, child.name.to_vec()));
        ControlFlow::Continue(())
    })
    .expect("listed");
    names
}

/// What only a view shows: its numbers, and where they lead.
fn check_numbers(planned: &[Planned], view: &View) -> Result<(), TestCaseError> {
    for (node, planned) in (0..).map(NodeId).zip(planned) {
        let entry = &planned.entry;
        let found = view.entry(node).expect("there");
        prop_assert_eq!(
            (&found.path, &found.metadata, found.content.kind()),
            (&entry.path, &entry.metadata, entry.content.kind())
        );
        prop_assert_eq!(ByPath(view).node(&entry.path), node);
        prop_assert_eq!(
            view.xattrs(node).expect("read"),
            entry.metadata.xattrs.clone()
        );
        if let Some(parent) = entry.path.parent() {
            let directory = view.parent(node).expect("read");
            prop_assert_eq!(&view.entry(directory).expect("there").path, &parent);
            let name = Name::new(entry.path.file_name()).expect("legal");
            let child = view.child(directory, &name).expect("read").expect("there");
            prop_assert_eq!(
                (child.node, child.inode, child.attributes),
                (node, node, view.attributes(node).expect("there"))
            );
        }
        if entry.content.kind() == Kind::Directory {
            let all = listed(view, node, None);
            if let Some((middle, _)) = all.get(all.len() / 2) {
                prop_assert_eq!(
                    &listed(view, node, Some(*middle)),
                    &all[all.len() / 2 + 1..]
                );
            }
        } else {
            let refused = view.list(node, None, |_| ControlFlow::Continue(()));
            prop_assert!(matches!(refused, Err(ReadError::NotADirectory)));
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn a_view_shows_the_tree_that_was_stored(
        planned in random_tree(),
        recipe in random_recipe(),
        cache_bytes in 0_usize..20_000,
        reads in random_reads(),
    ) {
        let store = Arc::new(MemoryStore::default());
        let stored = StoredTree::write(store, planned.clone(), recipe);
        let view = stored.view_through(&reader(cache_bytes));
        prop_assert_eq!(view.totals().entries, planned.len() as u64);
        check(&planned, &reads, &ByPath(&view))?;
        check_numbers(&planned, &view)?;
        prop_assert!(view.cache_counts().held_bytes <= cache_bytes as u64);
    }
}

#[test]
fn the_names_of_a_hard_linked_file_share_an_inode_and_read_alike() {
    let mut first = Planned::file("a", *b"hello");
    first.entry.metadata.links = 2;
    let mut second = Planned {
        data: Vec::new(),
        ..first.clone()
    };
    second.entry.path = TreePath::parse(b"b").expect("legal");
    second.entry.link_to = Some(NodeId(1));
    let stored = StoredTree::write(
        Arc::new(MemoryStore::default()),
        [Planned::directory(""), first, second],
        Recipe::default(),
    );
    let view = stored.view();
    let inode = |name: &[u8]| {
        view.child(ROOT, &Name::new(name).expect("legal"))
            .expect("read")
            .expect("there")
            .inode
    };
    assert_eq!(inode(b"a"), inode(b"b"));
    for node in [NodeId(1), NodeId(2)] {
        let mut buffer = [0; 10];
        let length = view
            .file(node)
            .expect("a file")
            .read(0, &mut buffer)
            .expect("read");
        assert_eq!(&buffer[..length], b"hello");
    }
}

#[test]
fn a_small_file_that_its_file_system_kept_without_blocks_takes_some_here() {
    let mut file = Planned::file("a", *b"hello");
    file.entry.metadata.blocks = 0;
    let hole = Planned::new(
        "b",
        Metadata::default(),
        Content::File {
            size: 1 << 30,
            extents: Vec::new(),
        },
    );
    let stored = StoredTree::write(
        Arc::new(MemoryStore::default()),
        [Planned::directory(""), file, hole],
        Recipe::default(),
    );
    let view = stored.view();
    assert_eq!(view.attributes(NodeId(1)).expect("there").blocks, 8);
    assert_eq!(
        view.attributes(NodeId(2)).expect("there").blocks,
        0,
        "nothing but a hole"
    );
}
