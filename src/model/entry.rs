//! What is known of one file, directory, link or device.

use super::{FileOffset, LevelSerial, NodeId, StreamOffset, Time, TreePath};

/// One thing in the tree of a point in time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Where it stands in the tree.
    pub path: TreePath,
    /// Everything but the content.
    pub metadata: Metadata,
    /// What it is, and what it holds.
    pub content: Content,
    /// For every name of a hard-linked file but the first in index order: the node of the first.
    /// Metadata and extents are repeated here, so that each name can be read alone.
    pub link_to: Option<NodeId>,
}

impl Entry {
    /// Every run of stream bytes that it needs to stay: those of its content, then those of its
    /// signatures.
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

/// What kind of thing an entry is, and what it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// A regular file.
    File {
        /// Length in bytes, holes included.
        size: u64,
        /// Where the data is: ordered by file offset, not overlapping. What no extent covers is a
        /// hole.
        extents: Vec<Extent>,
    },
    /// A directory. Its entries follow under keys of their own.
    Directory,
    /// A symbolic link and its target, any bytes but NUL.
    Symlink(Box<[u8]>),
    /// A character device.
    CharDevice(Device),
    /// A block device.
    BlockDevice(Device),
    /// A named pipe.
    Fifo,
}

/// The kinds of [`Content`] without what they hold.
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
    /// The kind alone.
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

    /// Length in bytes as `stat` shows it: of a file its size, of a symbolic link its target's
    /// length, else 0.
    pub fn size(&self) -> u64 {
        match self {
            Self::File { size, .. } => *size,
            Self::Symlink(target) => target.len() as u64,
            Self::Directory | Self::CharDevice(_) | Self::BlockDevice(_) | Self::Fifo => 0,
        }
    }
}

/// A piece of a file's content: `length` bytes from `at` in the file are the bytes from `stream` in
/// the tar stream of `level`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Extent {
    /// Where the piece begins in the file.
    pub at: FileOffset,
    /// The level that stores the bytes.
    pub level: LevelSerial,
    /// Where the bytes begin in that level's stream.
    pub stream: StreamOffset,
    /// How many bytes; never 0.
    pub length: u64,
}

/// A run of bytes in a file that are data, not hole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DataRun {
    /// Where it begins in the file.
    pub at: FileOffset,
    /// How many bytes; never 0.
    pub length: u64,
}

impl DataRun {
    /// The first byte after the run; `None` if no file can have one there.
    pub fn end(&self) -> Option<u64> {
        self.at.0.checked_add(self.length)
    }
}

impl Extent {
    /// Where the piece ends in the file.
    pub fn end(&self) -> u64 {
        self.at.0.saturating_add(self.length)
    }
}

/// Everything known of an entry but its name and content.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Metadata {
    /// Permission bits with setuid, setgid and sticky: `st_mode & 0o7777`.
    pub mode: u32,
    /// Who owns it.
    pub owner: Owner,
    /// Last change of the content.
    pub mtime: Time,
    /// Last change of content or metadata, by the source's clock; used to notice changes, never
    /// restored.
    pub ctime: Time,
    /// `st_dev` of the source; used to notice changes.
    pub device: u64,
    /// `st_ino` of the source; used to notice changes.
    pub inode: u64,
    /// `st_nlink` of the source.
    pub links: u32,
    /// `st_blocks` of the source: 512-byte units that were allocated.
    pub blocks: u64,
    /// Extended attributes sorted by name, POSIX ACLs (`system.posix_acl_access`, `…_default`) and
    /// file capabilities (`security.capability`) among them, each value as the kernel gives it.
    pub xattrs: Vec<Xattr>,
    /// Where signatures of the content are, one for each level that holds some of it and made one,
    /// sorted by level; used to notice which blocks changed, never restored.
    pub signatures: Vec<SignaturePlace>,
}

/// Where a signature of a file's blocks is: bytes of a level's tar stream, like content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SignaturePlace {
    /// The level that stores it, beside the blocks that it is of.
    pub level: LevelSerial,
    /// Where it begins in that level's stream.
    pub stream: StreamOffset,
    /// How many bytes; never 0.
    pub length: u64,
}

/// The owner of an entry, by number and, where the source knew them, by name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct Owner {
    /// User number.
    pub uid: u32,
    /// Group number.
    pub gid: u32,
    /// User name; empty when the source has none for the number.
    pub user: Box<[u8]>,
    /// Group name; empty when the source has none for the number.
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

/// A device's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Device {
    /// Major number.
    pub major: u32,
    /// Minor number.
    pub minor: u32,
}
