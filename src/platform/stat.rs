//! What a file system says of a thing in it, the same on every system.

use crate::model::{Device, Kind, Name, Time};

/// What sort of thing a directory holds under a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sort {
    /// One that a backup can keep.
    Kept(Kind),
    /// A socket: it has no meaning without the process that made it.
    Socket,
    /// Something this system has and we do not know.
    Unknown,
}

/// One name in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedName {
    /// The name.
    pub name: Name,
    /// What it stands for, where the file system tells that with the name (most do); else only
    /// `stat` knows.
    pub sort: Option<Sort>,
}

/// Everything known of a thing without opening it. Symbolic links are never followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stat {
    /// What it is.
    pub sort: Sort,
    /// Permission bits with setuid, setgid and sticky: `st_mode & 0o7777`.
    pub mode: u32,
    /// User number of the owner.
    pub uid: u32,
    /// Group number of the owner.
    pub gid: u32,
    /// Length in bytes, holes included; of a symbolic link that of its target, where the system
    /// keeps it.
    pub size: u64,
    /// Last change of the content.
    pub mtime: Time,
    /// Last change of content or metadata.
    pub ctime: Time,
    /// The file system it is on: `st_dev`.
    pub device: u64,
    /// Its number there: `st_ino`.
    pub inode: u64,
    /// How many names it has.
    pub links: u32,
    /// Space that is allocated, in units of 512 bytes.
    pub blocks: u64,
    /// Of a device node: the device it stands for. Else zeros.
    pub rdev: Device,
}

/// A file shorter than this is asked for holes only if its blocks say that it has some.
const ALWAYS_PROBED_BYTES: u64 = 128 * 1024;

impl Stat {
    /// Whether it is worth asking where the holes are: fewer blocks than the size needs, or a file
    /// so large that asking costs nothing beside reading it (blocks also count what is not data, so
    /// they can hide a small hole).
    pub fn may_have_holes(&self) -> bool {
        self.size >= ALWAYS_PROBED_BYTES || self.blocks.saturating_mul(512) < self.size
    }
}
