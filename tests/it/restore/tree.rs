//! A tree in memory to restore from, and its comparison with what is on disk.

use freezer::format::content_hash::ContentHashing;
use freezer::model::{
    Content, Device, Entry, Extent, FileOffset, Kind, LevelSerial, Metadata, Name, NodeId, Owner,
    StreamOffset, Time, TreePath, Xattr,
};
use freezer::platform::{Attributes, DirHandle, Sort, Xattrs};
use freezer::restore::RestoreSource;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::ops::ControlFlow;
use std::path::Path;

pub fn path(text: impl AsRef<[u8]>) -> TreePath {
    TreePath::parse(text.as_ref()).expect("a legal path")
}

/// Sorts as the index does: directory by directory, component by component.
type Key = (Vec<Vec<u8>>, Vec<u8>);

fn components(path: &TreePath) -> Vec<Vec<u8>> {
    path.components().map(<[u8]>::to_vec).collect()
}

fn key(path: &TreePath) -> Key {
    (
        path.parent()
            .map(|parent| components(&parent))
            .unwrap_or_default(),
        path.file_name().to_vec(),
    )
}

/// A tree in the making.
#[derive(Clone, Debug)]
pub struct Tree {
    entries: BTreeMap<Key, Entry>,
    stream: Vec<u8>,
    /// Second names, and the first names of the same files.
    links: Vec<(TreePath, TreePath)>,
    broken: BTreeSet<TreePath>,
}

impl Tree {
    /// Returns a tree that is an empty root.
    pub fn new() -> Self {
        let tree = Self {
            entries: BTreeMap::new(),
            stream: Vec::new(),
            links: Vec::new(),
            broken: BTreeSet::new(),
        };
        tree.with("", 0o755, Content::Directory)
    }

    /// Adds an entry that belongs to the user of the test. Its time is unlike any other, so that a
    /// time that is not set shows.
    pub fn with(mut self, at: impl AsRef<[u8]>, mode: u32, content: Content) -> Self {
        let path = path(at);
        let mtime = Time::new(
            1_000_000_000 + i64::try_from(self.entries.len()).expect("few"),
            123_456_789,
        );
        let (uid, gid) = (
            rustix::process::geteuid().as_raw(),
            rustix::process::getegid().as_raw(),
        );
        let owner = Owner {
            uid,
            gid,
            ..Owner::default()
        };
        let metadata = Metadata {
            mode,
            owner,
            mtime,
            links: 1,
            ..Metadata::default()
        };
        self.entries.insert(
            key(&path),
            Entry {
                path,
                metadata,
                content,
                link_to: None,
            },
        );
        self
    }

    pub fn directory(self, at: impl AsRef<[u8]>, mode: u32) -> Self {
        self.with(at, mode, Content::Directory)
    }

    pub fn file(self, at: impl AsRef<[u8]>, content: &[u8]) -> Self {
        self.sparse(at, content.len() as u64, &[(0, content)])
    }

    /// Adds a file of `size` bytes with data at some places.
    pub fn sparse(mut self, at: impl AsRef<[u8]>, size: u64, data: &[(u64, &[u8])]) -> Self {
        let mut extents = Vec::new();
        for (offset, bytes) in data.iter().filter(|(_, bytes)| !bytes.is_empty()) {
            let stream = StreamOffset(self.stream.len() as u64);
            self.stream.extend_from_slice(bytes);
            extents.push(Extent {
                at: FileOffset(*offset),
                level: LevelSerial(1),
                stream,
                length: bytes.len() as u64,
            });
        }
        self.with(at, 0o644, Content::File { size, extents })
    }

    pub fn symlink(self, at: impl AsRef<[u8]>, target: &[u8]) -> Self {
        self.with(at, 0o777, Content::Symlink(target.into()))
    }

    /// Adds another name of the file at `of`.
    pub fn link(mut self, at: &str, of: &str) -> Self {
        let entry = Entry {
            path: path(at),
            ..self.entries[&key(&path(of))].clone()
        };
        self.entries.insert(key(&entry.path), entry);
        self.links.push((path(at), path(of)));
        self
    }

    pub fn change(mut self, at: impl AsRef<[u8]>, change: impl FnOnce(&mut Metadata)) -> Self {
        change(
            &mut self
                .entries
                .get_mut(&key(&path(at)))
                .expect("it is there")
                .metadata,
        );
        self
    }

    pub fn xattr(self, at: impl AsRef<[u8]>, name: &str, value: &[u8]) -> Self {
        self.change(at, |metadata| {
            metadata.xattrs.push(Xattr {
                name: name.as_bytes().into(),
                value: value.into(),
            });
            metadata
                .xattrs
                .sort_by(|one, other| one.name.cmp(&other.name));
        })
    }

    /// Makes the content of a file unreadable.
    pub fn broken(mut self, at: &str) -> Self {
        self.broken.insert(path(at));
        self
    }

    /// Returns the tree as an index has it.
    pub fn memory(&self) -> Memory {
        let mut entries: Vec<Entry> = self.entries.values().cloned().collect();
        for (_, of) in &self.links {
            let same = |entry: &Entry| {
                entry.path == *of || self.links.contains(&(entry.path.clone(), of.clone()))
            };
            let names: Vec<usize> = (0..entries.len())
                .filter(|at| same(&entries[*at]))
                .collect();
            for at in &names {
                entries[*at].metadata.links = u32::try_from(names.len()).expect("few");
                entries[*at].link_to = (*at != names[0]).then_some(NodeId(names[0] as u64));
            }
        }
        let mut children = BTreeMap::<TreePath, Vec<NodeId>>::new();
        for (at, entry) in entries.iter().enumerate() {
            if let Some(parent) = entry.path.parent() {
                children.entry(parent).or_default().push(NodeId(at as u64));
            }
        }
        Memory {
            entries,
            children,
            stream: self.stream.clone(),
            broken: self.broken.clone(),
        }
    }
}

/// A tree that can be restored.
#[derive(Debug)]
pub struct Memory {
    pub entries: Vec<Entry>,
    children: BTreeMap<TreePath, Vec<NodeId>>,
    stream: Vec<u8>,
    broken: BTreeSet<TreePath>,
}

impl Memory {
    fn at(&self, node: NodeId) -> &Entry {
        &self.entries[usize::try_from(node.0).expect("small")]
    }

    /// Returns the bytes of a file, holes included.
    pub fn content(&self, entry: &Entry) -> Vec<u8> {
        let Content::File { size, extents } = &entry.content else {
            panic!("{} is no file", entry.path)
        };
        let mut content = vec![0; usize::try_from(*size).expect("small")];
        for extent in extents {
            let at = usize::try_from(extent.at.0).expect("small");
            let data = self.bytes(extent.stream.0, extent.length);
            content[at..at + data.len()].copy_from_slice(data);
        }
        content
    }

    fn bytes(&self, from: u64, length: u64) -> &[u8] {
        let from = usize::try_from(from).expect("small");
        &self.stream[from..from + usize::try_from(length).expect("small")]
    }
}

impl RestoreSource for Memory {
    type Error = io::Error;
    type Content = Entry;

    fn hashing(&self) -> ContentHashing {
        ContentHashing::default()
    }

    fn find(&self, path: &TreePath) -> io::Result<Option<(NodeId, Entry)>> {
        Ok(self
            .entries
            .iter()
            .position(|entry| entry.path == *path)
            .map(|at| (NodeId(at as u64), self.entries[at].clone())))
    }

    fn children(&self, directory: NodeId) -> impl Iterator<Item = io::Result<(NodeId, Entry)>> {
        let children = self
            .children
            .get(&self.at(directory).path)
            .map_or(&[][..], Vec::as_slice);
        children
            .iter()
            .map(|node| Ok((*node, self.at(*node).clone())))
    }

    fn content(&self, entry: &Entry) -> io::Result<Entry> {
        Ok(entry.clone())
    }

    fn read(
        &self,
        entry: &Entry,
        from: u64,
        length: u64,
        take: &mut dyn FnMut(&[u8]) -> ControlFlow<()>,
    ) -> io::Result<()> {
        let Content::File { extents, .. } = &entry.content else {
            panic!("{} is no file", entry.path)
        };
        let extent = extents
            .iter()
            .find(|extent| extent.at.0 <= from && from + length <= extent.end())
            .expect("within one extent");
        let data = self.bytes(extent.stream.0 + (from - extent.at.0), length);
        if self.broken.contains(&entry.path) {
            // A part of it is readable.
            return match take(&data[..data.len() / 2]) {
                ControlFlow::Continue(()) => Err(io::Error::other("frame 7 fails authentication")),
                ControlFlow::Break(()) => Ok(()),
            };
        }
        for piece in data.chunks(100_000) {
            if take(piece).is_break() {
                break;
            }
        }
        Ok(())
    }
}

/// Returns everything below a directory, by paths in it; the directory itself is the root.
pub fn names_below(root: &Path) -> BTreeSet<TreePath> {
    let mut names = BTreeSet::from([TreePath::root()]);
    let mut waiting = vec![(
        DirHandle::open(root).expect("a directory"),
        TreePath::root(),
    )];
    while let Some((directory, at)) = waiting.pop() {
        for listed in directory.list().expect("a listing") {
            names.insert(at.join(&listed.name));
            if directory
                .stat_child(&listed.name)
                .expect("it is there")
                .sort
                == Sort::Kept(Kind::Directory)
            {
                waiting.push((
                    directory.open_child(&listed.name).expect("a directory"),
                    at.join(&listed.name),
                ));
            }
        }
    }
    names
}

/// Compares all metadata of an entry with the entry at its place below `root`.
pub fn assert_restored(memory: &Memory, entry: &Entry, root: &Path) {
    let at = &entry.path;
    let mut directory = DirHandle::open(root).expect("a directory");
    let (stat, xattrs) = match at.parent() {
        None => (
            directory.stat().expect("the root"),
            Xattrs::new().of_open(&directory, 0).expect("attributes"),
        ),
        Some(parent) => {
            for name in parent.components() {
                directory = directory
                    .open_child(&Name::new(name).expect("legal"))
                    .unwrap_or_else(|error| panic!("{at}: {error}"));
            }
            let name = Name::new(at.file_name()).expect("legal");
            let stat = directory
                .stat_child(&name)
                .unwrap_or_else(|error| panic!("{at}: {error}"));
            if let Content::Symlink(target) = &entry.content {
                assert_eq!(directory.read_link(&name).expect("a link"), *target, "{at}");
            }
            if let Content::File { size, extents } = &entry.content {
                // A file may be closed to its owner; only root can read it then.
                let readable = stat.mode | 0o400;
                directory
                    .child(&name)
                    .set_mode(readable)
                    .expect("it is ours");
                let file = directory.open_file(&name).expect("a file");
                directory
                    .child(&name)
                    .set_mode(stat.mode)
                    .expect("it is ours");
                let mut content = vec![0; usize::try_from(*size).expect("small")];
                assert_eq!(
                    file.read_at(&mut content, 0).expect("readable"),
                    content.len(),
                    "{at}"
                );
                assert!(content == memory.content(entry), "{at} has other content");
                let most: u64 = extents.iter().map(|extent| extent.length + 8192).sum();
                assert!(
                    stat.blocks * 512 <= most + 4096,
                    "the holes of {at} were written"
                );
            }
            (
                stat,
                Xattrs::new()
                    .of_child(&directory, &name)
                    .expect("attributes"),
            )
        }
    };
    let wanted = &entry.metadata;
    assert_eq!(stat.sort, Sort::Kept(entry.content.kind()), "{at}");
    assert_eq!(stat.mtime, wanted.mtime, "time of {at}");
    assert_eq!(
        (stat.uid, stat.gid),
        (wanted.owner.uid, wanted.owner.gid),
        "owner of {at}"
    );
    assert_eq!(xattrs, wanted.xattrs, "attributes of {at}");
    if stat.sort != Sort::Kept(Kind::Symlink) {
        assert_eq!(
            stat.mode, wanted.mode,
            "mode of {at}: {:o} is not {:o}",
            stat.mode, wanted.mode
        );
    }
    if stat.sort != Sort::Kept(Kind::Directory) {
        assert_eq!(
            (stat.size, stat.links),
            (entry.content.size(), wanted.links),
            "size and links of {at}"
        );
    }
    match &entry.content {
        Content::CharDevice(numbers) | Content::BlockDevice(numbers) => {
            assert_eq!(stat.rdev, *numbers, "{at}")
        }
        _ => assert_eq!(stat.rdev, Device { major: 0, minor: 0 }, "{at}"),
    }
}

/// Compares a whole tree with the entries below `root`, both ways.
pub fn assert_all_restored(memory: &Memory, root: &Path) {
    let expected: BTreeSet<TreePath> = memory
        .entries
        .iter()
        .map(|entry| entry.path.clone())
        .collect();
    assert_eq!(names_below(root), expected);
    for entry in &memory.entries {
        assert_restored(memory, entry, root);
    }
}
