//! The flags of inodes that `chattr` sets, and when inodes were made.

use super::{DirHandle, FileHandle};
use crate::model::{InodeFlags, Name, Time};
use crate::platform::calls::{CallKind, during};
use rustix::fs::{AtFlags, IFlags, StatxFlags};
use rustix::io::Errno;
use std::io;
use std::os::fd::{AsFd, AsRawFd};

impl FileHandle {
    /// Returns the flags of the file that a user can set; `None` if there are none, or its file
    /// system has no such flags.
    pub fn inode_flags(&self) -> io::Result<Option<InodeFlags>> {
        flags_of(self)
    }

    /// Sets these flags, and clears all others that a user can set.
    pub fn set_inode_flags(&self, flags: InodeFlags) -> io::Result<()> {
        set_flags(self, flags)
    }

    /// Returns when the file was made, where the file system tells.
    pub fn birth(&self) -> Option<Time> {
        birth(self, c"", AtFlags::EMPTY_PATH)
    }
}

impl DirHandle {
    /// Returns the flags of this directory: see [`FileHandle::inode_flags`].
    pub fn inode_flags(&self) -> io::Result<Option<InodeFlags>> {
        flags_of(self)
    }

    /// Sets the flags of this directory: see [`FileHandle::set_inode_flags`].
    pub fn set_inode_flags(&self, flags: InodeFlags) -> io::Result<()> {
        set_flags(self, flags)
    }

    /// Returns when this directory was made, where the file system tells.
    pub fn birth(&self) -> Option<Time> {
        birth(self, c"", AtFlags::EMPTY_PATH)
    }

    /// Returns when an entry of this directory was made, where the file system tells.
    pub fn birth_of_child(&self, name: &Name) -> Option<Time> {
        birth(self, name.as_bytes(), AtFlags::SYMLINK_NOFOLLOW)
    }
}

fn flags_of(open: impl AsFd) -> io::Result<Option<InodeFlags>> {
    let about = open.as_fd().as_raw_fd();
    let flags = during(CallKind::Stat, about, || {
        rustix::fs::ioctl_getflags(open.as_fd())
    });
    match flags {
        Ok(flags) => Ok(InodeFlags::settable(flags.bits())),
        // What file systems say that have no flags.
        Err(Errno::NOTTY | Errno::OPNOTSUPP | Errno::INVAL | Errno::NOSYS) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn set_flags(open: impl AsFd, flags: InodeFlags) -> io::Result<()> {
    let about = open.as_fd().as_raw_fd();
    during(CallKind::Write, about, || {
        let before = rustix::fs::ioctl_getflags(open.as_fd())?.bits();
        let settable = InodeFlags::settable(before).map_or(0, |flags| flags.0);
        let wanted = IFlags::from_bits_retain(before & !settable | flags.0);
        rustix::fs::ioctl_setflags(open.as_fd(), wanted)
    })
    .map_err(io::Error::from)
}

fn birth(open: impl AsFd, path: impl rustix::path::Arg, how: AtFlags) -> Option<Time> {
    let about = open.as_fd().as_raw_fd();
    let found = during(CallKind::Stat, about, || {
        rustix::fs::statx(open.as_fd(), path, how, StatxFlags::BTIME)
    })
    .ok()?;
    let has_birth = found.stx_mask & StatxFlags::BTIME.bits() != 0;
    has_birth.then(|| Time::new(found.stx_btime.tv_sec, found.stx_btime.tv_nsec))
}
