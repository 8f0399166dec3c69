//! Entries: files, directories, links and devices in the tree of a point in time.

use super::{Extensions, FileOffset, LevelSerial, NodeId, StreamOffset, Time, TreePath};

/// One file, directory, link or device in the tree of a point in time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The path in the tree.
    pub path: TreePath,
    /// Everything except path and content.
    pub metadata: Metadata,
    /// The kind of the entry, and its content.
    pub content: Content,
    /// The node of the record that the names of a hard-linked file have in common; `None` for that
    /// record itself. It is the first name in index order, unless that one has moved since. Every
    /// name repeats metadata and extents, so that each can be read alone.
    pub link_to: Option<NodeId>,
}

impl Entry {
    /// Lists the stream bytes that the entry needs: level, offset and length of its content, then
    /// of its signatures.
    pub fn places(&self) -> impl Iterator<Item = (LevelSerial, StreamOffset, u64)> {
        let extents = match &self.content {
            Content::File { extents, .. } => extents.as_slice(),
            _ => &[],
        };
        let content = extents
            .iter()
            .map(|extent| (extent.level, extent.stream, extent.length));
        content.chain(
            self.metadata
                .signatures
                .iter()
                .map(|place| (place.level, place.stream, place.length)),
        )
    }
}

/// The kind of an entry, and its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// A regular file.
    File {
        /// Length in bytes, holes included.
        size: u64,
        /// Where the data is: in the order of file offsets, without overlap. Bytes outside all
        /// extents are holes.
        extents: Vec<Extent>,
    },
    /// A directory. Its entries have paths of their own.
    Directory,
    /// A symbolic link and its target: any bytes except NUL.
    Symlink(Box<[u8]>),
    /// A character device.
    CharDevice(Device),
    /// A block device.
    BlockDevice(Device),
    /// A named pipe.
    Fifo,
}

/// The kind of an entry alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A character device.
    CharDevice,
    /// A block device.
    BlockDevice,
    /// A named pipe.
    Fifo,
}

impl Content {
    /// Returns the kind alone.
    pub fn kind(&self) -> Kind {
        match self {
            Self::File { .. } => Kind::File,
            Self::Directory => Kind::Directory,
            Self::Symlink(_) => Kind::Symlink,
            Self::CharDevice(_) => Kind::CharDevice,
            Self::BlockDevice(_) => Kind::BlockDevice,
            Self::Fifo => Kind::Fifo,
        }
    }

    /// Returns the length in bytes as `stat` shows it: the size of a file, the length of a symbolic
    /// link's target, otherwise 0.
    pub fn size(&self) -> u64 {
        match self {
            Self::File { size, .. } => *size,
            Self::Symlink(target) => target.len() as u64,
            Self::Directory | Self::CharDevice(_) | Self::BlockDevice(_) | Self::Fifo => 0,
        }
    }
}

/// A piece of a file's content: the `length` bytes from `at` in the file are those from `stream` in
/// the tar stream of `level`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Extent {
    /// Where the piece begins in the file.
    pub at: FileOffset,
    /// The level whose stream has the bytes.
    pub level: LevelSerial,
    /// Where the bytes begin in that level's stream.
    pub stream: StreamOffset,
    /// Length in bytes; never 0.
    pub length: u64,
}

/// A run of bytes in a file that are data and not a hole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DataRun {
    /// Where the run begins in the file.
    pub at: FileOffset,
    /// Length in bytes; never 0.
    pub length: u64,
}

impl DataRun {
    /// Returns the end of the run in the file; `None` if no file is that long.
    pub fn end(&self) -> Option<u64> {
        self.at.0.checked_add(self.length)
    }
}

impl Extent {
    /// Returns where the piece ends in the file.
    pub fn end(&self) -> u64 {
        self.at.0.saturating_add(self.length)
    }
}

/// Everything about an entry except its path and content.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Metadata {
    /// Permission bits with setuid, setgid and sticky: `st_mode & 0o7777`.
    pub mode: u32,
    /// User and group of the entry.
    pub owner: Owner,
    /// Last change of the content.
    pub mtime: Time,
    /// Last change of content or metadata, by the source's clock. Serves to notice changes; never
    /// restored.
    pub ctime: Time,
    /// `st_dev` of the source. Serves to notice changes.
    pub device: u64,
    /// `st_ino` of the source. Serves to notice changes.
    pub inode: u64,
    /// `st_nlink` of the source.
    pub links: u32,
    /// `st_blocks` of the source: allocated units of 512 bytes.
    pub blocks: u64,
    /// Extended attributes, sorted by name, with values as the kernel gives them. They include
    /// POSIX ACLs (`system.posix_acl_access`, `…_default`) and file capabilities
    /// (`security.capability`).
    pub xattrs: Vec<Xattr>,
    /// Places of the content's signatures, sorted by level: one for each level that has some of the
    /// content and made a signature. They serve to notice changed blocks; never restored.
    pub signatures: Vec<SignaturePlace>,
    /// What not every source has.
    pub extensions: Extensions,
}

/// The place of a signature of a file's blocks: bytes of a level's tar stream, like content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SignaturePlace {
    /// The level whose stream has the signature, and the blocks that it describes.
    pub level: LevelSerial,
    /// Where the signature begins in that stream.
    pub stream: StreamOffset,
    /// Length in bytes; never 0.
    pub length: u64,
}

/// User and group of an entry: numbers, and names if the source knew them.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct Owner {
    /// User number.
    pub uid: u32,
    /// Group number.
    pub gid: u32,
    /// User name; empty if the source has none for the number.
    pub user: Box<[u8]>,
    /// Group name; empty if the source has none for the number.
    pub group: Box<[u8]>,
}

/// One extended attribute.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Xattr {
    /// Full name with its namespace, such as `user.comment`.
    pub name: Box<[u8]>,
    /// The value, as the kernel gives it.
    pub value: Box<[u8]>,
}

/// The numbers of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Device {
    /// Major number.
    pub major: u32,
    /// Minor number.
    pub minor: u32,
}
