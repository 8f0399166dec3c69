//! A view against the tree it was made of, in memory.

use crate::support::stored_tree::{Planned, Recipe, StoredTree, reader};
use freezer::format::frame::Compression;
use freezer::fs::ReadError;
use freezer::fs::view::{ROOT, View};
use freezer::model::{Content, Device, Kind, Metadata, Name, NodeId, Time, TreePath, Xattr};
use freezer::store::memory::MemoryStore;
use proptest::prelude::*;
use proptest::sample::Index;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

/// What is in a directory: files by name, then directories, each with what is in it.
#[derive(Clone, Debug)]
struct Directory {
    others: BTreeMap<u16, Leaf>,
    directories: BTreeMap<u16, Directory>,
}

#[derive(Clone, Debug)]
enum Leaf {
    File {
        pieces: Vec<(u64, Vec<u8>)>,
        tail: u64,
    },
    Link(Vec<u8>),
    Fifo,
    Device(u32, u32),
}

fn leaf() -> impl Strategy<Value = Leaf> {
    let piece = (0_u64..5000, prop::collection::vec(any::<u8>(), 1..3000));
    let file = (prop::collection::vec(piece, 0..4), 0_u64..5000).prop_map(|(gaps, tail)| {
        let mut at = 0;
        let mut pieces = Vec::new();
        for (gap, bytes) in gaps {
            let begin = at + gap;
            at = begin + bytes.len() as u64;
            pieces.push((begin, bytes));
        }
        Leaf::File {
            pieces,
            tail: at + tail,
        }
    });
    prop_oneof![
        5 => file,
        1 => prop::collection::vec(1_u8.., 1..300).prop_map(Leaf::Link),
        1 => Just(Leaf::Fifo),
        1 => (0_u32..0xfff, 0_u32..0xf_ffff).prop_map(|(major, minor)| Leaf::Device(major, minor)),
    ]
}

fn directory() -> impl Strategy<Value = Directory> {
    let leaves = || prop::collection::btree_map(any::<u16>(), leaf(), 0..12);
    let empty = leaves().prop_map(|others| Directory {
        others,
        directories: BTreeMap::new(),
    });
    empty.prop_recursive(3, 30, 5, move |inner| {
        let directories = prop::collection::btree_map(any::<u16>(), inner, 0..5);
        (leaves(), directories).prop_map(|(mut others, directories)| {
            others.retain(|name, _| !directories.contains_key(name));
            Directory {
                others,
                directories,
            }
        })
    })
}

/// Names of any bytes, of different lengths, in the order of their numbers.
fn name_of(number: u16) -> String {
    format!(
        "{number:05}{}",
        "\u{e9}\n ".repeat(usize::from(number % 30))
    )
}

fn metadata_of(number: u16) -> Metadata {
    let xattrs = if number.is_multiple_of(7) {
        vec![Xattr {
            name: (*b"user.a").into(),
            value: vec![7; usize::from(number % 100)].into(),
        }]
    } else {
        Vec::new()
    };
    Metadata {
        mode: u32::from(number) & 0o7777,
        mtime: Time::new(i64::from(number) - 30_000, u32::from(number) * 10_000),
        links: 1,
        xattrs,
        ..Metadata::default()
    }
}

fn plan(directory: &Directory, path: &str, out: &mut Vec<Planned>) {
    enum Either<'a> {
        Leaf(&'a Leaf),
        Directory,
    }
    let mut entries: BTreeMap<u16, Either<'_>> = directory
        .others
        .iter()
        .map(|(name, leaf)| (*name, Either::Leaf(leaf)))
        .collect();
    entries.extend(
        directory
            .directories
            .keys()
            .map(|name| (*name, Either::Directory)),
    );
    for (number, entry) in entries {
        let path = format!("{path}/{}", name_of(number));
        let metadata = metadata_of(number);
        let planned = match entry {
            Either::Directory => Planned::new(&path, metadata, Content::Directory),
            Either::Leaf(Leaf::Fifo) => Planned::new(&path, metadata, Content::Fifo),
            Either::Leaf(Leaf::Link(target)) => {
                Planned::new(&path, metadata, Content::Symlink(target.as_slice().into()))
            }
            Either::Leaf(Leaf::Device(major, minor)) => Planned::new(
                &path,
                metadata,
                Content::CharDevice(Device {
                    major: *major,
                    minor: *minor,
                }),
            ),
            Either::Leaf(Leaf::File { pieces, tail }) => {
                let content = Content::File {
                    size: *tail,
                    extents: Vec::new(),
                };
                Planned {
                    data: pieces.clone(),
                    ..Planned::new(&path, metadata, content)
                }
            }
        };
        out.push(planned);
    }
    for (number, inner) in &directory.directories {
        plan(inner, &format!("{path}/{}", name_of(*number)), out);
    }
}

/// The content as one piece.
fn content_of(planned: &Planned) -> Vec<u8> {
    let Content::File { size, .. } = planned.entry.content else {
        return Vec::new();
    };
    let mut content = vec![0; usize::try_from(size).expect("small")];
    for (at, bytes) in &planned.data {
        let at = usize::try_from(*at).expect("small");
        content[at..at + bytes.len()].copy_from_slice(bytes);
    }
    content
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

fn recipe() -> impl Strategy<Value = Recipe> {
    let method = prop::sample::select(Compression::ALL.to_vec());
    (method, any::<bool>(), 100_usize..5000).prop_map(|(compression, encrypted, frame_bytes)| {
        Recipe {
            compression,
            encrypted,
            frame_bytes,
            segment_bytes: 4000,
            number: 1,
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn a_view_shows_the_tree_that_was_stored(
        tree in directory(),
        recipe in recipe(),
        cache_bytes in 0_usize..20_000,
        reads in prop::collection::vec((any::<Index>(), any::<Index>(), 0_usize..9000), 30),
    ) {
        let mut planned = vec![Planned::directory("")];
        plan(&tree, "", &mut planned);
        let stored = StoredTree::write(Arc::new(MemoryStore::default()), planned.clone(), recipe);
        let view = stored.view_through(&reader(cache_bytes));
        prop_assert_eq!(view.totals().entries, planned.len() as u64);

        let planned_paths: Vec<_> = (0..).map(NodeId).zip(planned.iter().map(|planned| planned.entry.path.clone())).collect();
        for (expected, planned) in planned.iter().enumerate() {
            let node = NodeId(expected as u64);
            let entry = &planned.entry;
            let found = view.entry(node).expect("there");
            prop_assert_eq!((&found.path, &found.metadata, found.content.kind()), (&entry.path, &entry.metadata, entry.content.kind()));
            let (by_path, _) = view.lookup(&entry.path).expect("read").expect("there");
            prop_assert_eq!(by_path, node);
            let attributes = view.attributes(node).expect("there");
            prop_assert_eq!((attributes.kind, attributes.size, attributes.mtime), (entry.content.kind(), entry.content.size(), entry.metadata.mtime));
            prop_assert_eq!(view.xattrs(node).expect("read"), entry.metadata.xattrs.clone());
            if let Content::Symlink(target) = &entry.content {
                prop_assert_eq!(&view.link_target(node).expect("a link"), target);
            }
            if let Some(parent) = entry.path.parent() {
                let directory = view.parent(node).expect("read");
                prop_assert_eq!(&view.entry(directory).expect("there").path, &parent);
                let name = Name::new(entry.path.file_name()).expect("legal");
                let child = view.child(directory, &name).expect("read").expect("there");
                prop_assert_eq!((child.node, child.inode, child.attributes), (node, node, attributes));
            }
            if entry.content.kind() == Kind::Directory {
                let all = listed(&view, node, None);
                prop_assert_eq!(&all, &children_of(&planned_paths, &entry.path));
                if let Some((middle, _)) = all.get(all.len() / 2) {
                    prop_assert_eq!(&listed(&view, node, Some(*middle)), &all[all.len() / 2 + 1..]);
                }
            } else {
                prop_assert!(matches!(view.list(node, None, |_| ControlFlow::Continue(())), Err(ReadError::NotADirectory)));
            }
        }

        let files: Vec<_> = planned.iter().enumerate().filter(|(_, planned)| planned.entry.content.kind() == Kind::File).collect();
        if files.is_empty() {
            return Ok(());
        }
        for (which, from, length) in reads {
            let (node, planned) = which.get(&files);
            let content = content_of(planned);
            let from = from.index(content.len() + 10);
            let file = view.file(NodeId(*node as u64)).expect("a file");
            let mut buffer = vec![0xaa; length];
            let got = file.read(from as u64, &mut buffer).expect("read");
            let expected = content.get(from..).unwrap_or_default();
            prop_assert_eq!(&buffer[..got], &expected[..expected.len().min(length)]);
            prop_assert!(buffer[got..].iter().all(|byte| *byte == 0xaa), "what lies behind the answer is left alone");
        }
        prop_assert!(view.cache_counts().held_bytes <= cache_bytes as u64);
    }
}

fn children_of(all: &[(NodeId, TreePath)], directory: &TreePath) -> Vec<(NodeId, Vec<u8>)> {
    let children = all
        .iter()
        .filter(|(_, path)| path.parent().as_ref() == Some(directory));
    children
        .map(|(node, path)| (*node, path.file_name().to_vec()))
        .collect()
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
