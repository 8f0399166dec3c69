//! The metadata of an entry in a file system, the same on every system.

use crate::model::{Device, Kind, Name, Time};

/// The sort of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sort {
    /// One of the kinds that a backup can keep.
    Kept(Kind),
    /// A socket: it has no meaning without the process that made it.
    Socket,
    /// A sort of this system that freezer does not know.
    Unknown,
}

/// One name in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedName {
    /// The name, without a path.
    pub name: Name,
    /// The sort of the entry, if the file system lists it with the name, as most do. Else only
    /// `stat` knows it.
    pub sort: Option<Sort>,
}

/// The metadata of an entry that can be read without opening it. Symbolic links are never followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stat {
    /// The sort of the entry.
    pub sort: Sort,
    /// Permission bits with setuid, setgid and sticky: `st_mode & 0o7777`.
    pub mode: u32,
    /// User number of the owner.
    pub uid: u32,
    /// Group number of the owner.
    pub gid: u32,
    /// Length in bytes, holes included. For a symbolic link the length of its target, where the
    /// system keeps that.
    pub size: u64,
    /// Last change of the content.
    pub mtime: Time,
    /// Last change of content or metadata.
    pub ctime: Time,
    /// The number of its file system: `st_dev`.
    pub device: u64,
    /// Its number in the file system: `st_ino`.
    pub inode: u64,
    /// How many names (hard links) it has.
    pub links: u32,
    /// Allocated space in units of 512 bytes.
    pub blocks: u64,
    /// The device that a device node stands for; zeros for any other entry.
    pub rdev: Device,
}

/// The holes of a shorter file are asked for only if its blocks say that it has some.
const ALWAYS_PROBED_BYTES: u64 = 128 * 1024;

impl Stat {
    /// Whether it is worth asking where the holes are. It is where the file has fewer blocks than
    /// its size needs. It is for large files, too: asking costs little beside reading them, and a
    /// small hole may not show in the blocks, which also count metadata.
    pub fn may_have_holes(&self) -> bool {
        self.size >= ALWAYS_PROBED_BYTES || self.blocks.saturating_mul(512) < self.size
    }
}
