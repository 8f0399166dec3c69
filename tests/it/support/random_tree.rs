//! Random trees, and the model that anything that shows such a tree is compared with: a `View` in
//! `tests/it/fs`, a mount in the kernel in `tests/mount`.

use super::stored_tree::{Planned, Recipe};
use freezer::format::frame::Compression;
use freezer::model::{Content, Device, Kind, Metadata, Time, TreePath, Xattr};
use proptest::prelude::*;
use proptest::sample::Index;
use std::collections::BTreeMap;

/// A directory: its files by number, then its directories, each with its own entries.
#[derive(Clone, Debug)]
struct RandomDirectory {
    others: BTreeMap<u16, Leaf>,
    directories: BTreeMap<u16, RandomDirectory>,
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

fn directory() -> impl Strategy<Value = RandomDirectory> {
    let leaves = || prop::collection::btree_map(any::<u16>(), leaf(), 0..12);
    let empty = leaves().prop_map(|others| RandomDirectory {
        others,
        directories: BTreeMap::new(),
    });
    empty.prop_recursive(3, 30, 5, move |inner| {
        let directories = prop::collection::btree_map(any::<u16>(), inner, 0..5);
        (leaves(), directories).prop_map(|(mut others, directories)| {
            others.retain(|name, _| !directories.contains_key(name));
            RandomDirectory {
                others,
                directories,
            }
        })
    })
}

/// Returns a name of a length that depends on the number, with bytes that shells dislike. Names
/// sort like their numbers.
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

fn plan_leaf(path: &str, metadata: Metadata, leaf: &Leaf) -> Planned {
    match leaf {
        Leaf::Fifo => Planned::new(path, metadata, Content::Fifo),
        Leaf::Link(target) => {
            Planned::new(path, metadata, Content::Symlink(target.as_slice().into()))
        }
        Leaf::Device(major, minor) => Planned::new(
            path,
            metadata,
            Content::CharDevice(Device {
                major: *major,
                minor: *minor,
            }),
        ),
        Leaf::File { pieces, tail } => {
            let content = Content::File {
                size: *tail,
                extents: Vec::new(),
            };
            Planned {
                data: pieces.clone(),
                ..Planned::new(path, metadata, content)
            }
        }
    }
}

/// Appends the entries of a directory in index order.
fn plan(directory: &RandomDirectory, path: &str, out: &mut Vec<Planned>) {
    let mut entries: BTreeMap<u16, Option<&Leaf>> = directory
        .others
        .iter()
        .map(|(name, leaf)| (*name, Some(leaf)))
        .collect();
    entries.extend(directory.directories.keys().map(|name| (*name, None)));
    for (number, leaf) in entries {
        let path = format!("{path}/{}", name_of(number));
        let metadata = metadata_of(number);
        out.push(match leaf {
            Some(leaf) => plan_leaf(&path, metadata, leaf),
            None => Planned::new(&path, metadata, Content::Directory),
        });
    }
    for (number, inner) in &directory.directories {
        plan(inner, &format!("{path}/{}", name_of(*number)), out);
    }
}

/// Returns all entries of a random tree in index order, the root first.
pub fn random_tree() -> impl Strategy<Value = Vec<Planned>> {
    directory().prop_map(|directory| {
        let mut planned = vec![Planned::directory("")];
        plan(&directory, "", &mut planned);
        planned
    })
}

/// Returns how a tree may be stored.
pub fn random_recipe() -> impl Strategy<Value = Recipe> {
    let method = prop::sample::select(Compression::ALL.to_vec());
    (method, any::<bool>(), 100_usize..5000, any::<bool>()).prop_map(
        |(compression, encrypted, frame_bytes, stretches)| Recipe {
            compression,
            encrypted,
            frame_bytes,
            segment_bytes: 4000,
            number: 1,
            stretches,
        },
    )
}

/// One read: of which file, from where on, and how many bytes.
#[derive(Clone, Debug)]
pub struct RandomRead {
    file: Index,
    from: Index,
    length: usize,
}

/// Returns thirty reads of up to 9,000 bytes.
pub fn random_reads() -> impl Strategy<Value = Vec<RandomRead>> {
    let read = (any::<Index>(), any::<Index>(), 0_usize..9000);
    let read = read.prop_map(|(file, from, length)| RandomRead { file, from, length });
    prop::collection::vec(read, 30)
}

/// What `stat` shows of an entry.
#[derive(Debug, PartialEq, Eq)]
pub struct ShownAttributes {
    pub kind: Kind,
    pub mode: u32,
    /// Length in bytes; 0 for a directory.
    pub size: u64,
    pub mtime: Time,
    /// Of a device.
    pub numbers: Option<Device>,
}

/// A stored tree as something shows it. Each call panics if it cannot be answered.
pub trait ShownTree {
    fn attributes(&self, path: &TreePath) -> ShownAttributes;
    /// The names in a directory, in the order in which they are listed.
    fn names(&self, directory: &TreePath) -> Vec<Vec<u8>>;
    fn link_target(&self, link: &TreePath) -> Vec<u8>;
    /// The extended attributes of a file or directory, sorted by name.
    fn xattrs(&self, path: &TreePath) -> Vec<Xattr>;
    fn read(&self, file: &TreePath, from: u64, length: usize) -> Vec<u8>;
    /// Where the first data at or after `from` begins.
    fn next_data(&self, file: &TreePath, from: u64) -> Option<u64>;
    /// Where the first hole at or after `from` begins; the end of the file counts as one.
    fn next_hole(&self, file: &TreePath, from: u64) -> Option<u64>;
}

/// Compares all of a tree that is shown with the one that was stored, and does some reads.
pub fn check(
    planned: &[Planned],
    reads: &[RandomRead],
    shown: &impl ShownTree,
) -> Result<(), TestCaseError> {
    for Planned { entry, .. } in planned {
        let (path, kind) = (&entry.path, entry.content.kind());
        let expected = ShownAttributes {
            kind,
            mode: entry.metadata.mode,
            size: entry.content.size(),
            mtime: entry.metadata.mtime,
            numbers: match entry.content {
                Content::CharDevice(numbers) => Some(numbers),
                _ => None,
            },
        };
        prop_assert_eq!(shown.attributes(path), expected, "{}", path);
        if let Content::Symlink(target) = &entry.content {
            prop_assert_eq!(&*shown.link_target(path), &**target, "{}", path);
        }
        if matches!(kind, Kind::File | Kind::Directory) {
            prop_assert_eq!(
                shown.xattrs(path),
                entry.metadata.xattrs.clone(),
                "{}",
                path
            );
        }
        if kind == Kind::Directory {
            prop_assert_eq!(shown.names(path), names_in(planned, path), "{}", path);
        }
    }
    let is_file = |planned: &&Planned| planned.entry.content.kind() == Kind::File;
    let files: Vec<_> = planned.iter().filter(is_file).collect();
    for read in reads.iter().filter(|_| !files.is_empty()) {
        let file: &&Planned = read.file.get(&files);
        check_read(file, read, shown)?;
    }
    Ok(())
}

fn check_read(
    planned: &Planned,
    read: &RandomRead,
    shown: &impl ShownTree,
) -> Result<(), TestCaseError> {
    let (path, content) = (&planned.entry.path, content_of(planned));
    let from = read.from.index(content.len() + 10);
    let expected = content.get(from..).unwrap_or_default();
    let expected = &expected[..expected.len().min(read.length)];
    let got = shown.read(path, from as u64, read.length);
    prop_assert!(
        got == expected,
        "{}: other bytes than {} from {} on",
        path,
        read.length,
        from
    );
    let is_data = |at: u64| {
        let mut pieces = planned.data.iter();
        pieces.any(|(begin, bytes)| (*begin..*begin + bytes.len() as u64).contains(&at))
    };
    let (from, end) = (from as u64, content.len() as u64);
    let data = (from..end).find(|at| is_data(*at));
    prop_assert_eq!(shown.next_data(path, from), data, "{} from {}", path, from);
    let hole = (from..end).find(|at| !is_data(*at));
    let hole = hole.or((from < end).then_some(end));
    prop_assert_eq!(shown.next_hole(path, from), hole, "{} from {}", path, from);
    Ok(())
}

fn names_in(planned: &[Planned], directory: &TreePath) -> Vec<Vec<u8>> {
    planned
        .iter()
        .map(|planned| &planned.entry.path)
        .filter(|path| path.parent().as_ref() == Some(directory))
        .map(|path| path.file_name().to_vec())
        .collect()
}

/// Returns the content of a file, holes as zeros.
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
