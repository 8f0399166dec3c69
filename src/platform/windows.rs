//! Windows: reading trees is refused by name until it can be done with everything a tree holds there.
//!
//! The handles are types without a value, so what follows their `open` cannot be reached and need not pretend.

use super::{DataRun, Listed, Stat};
use crate::model::{Name, Owner, Xattr};
use std::io;
use std::path::Path;

/// An open directory: none can be had.
#[derive(Debug)]
pub enum DirHandle {}

impl DirHandle {
    /// Refuses.
    pub fn open(_: &Path) -> io::Result<Self> {
        Err(refused("reading directory trees"))
    }

    /// Opens a directory in this one.
    pub fn open_child(&self, _: &Name) -> io::Result<Self> {
        match *self {}
    }

    /// Opens a regular file in this directory for reading.
    pub fn open_file(&self, _: &Name) -> io::Result<FileHandle> {
        match *self {}
    }

    /// All names.
    pub fn list(&self) -> io::Result<Vec<Listed>> {
        match *self {}
    }

    /// What this directory is.
    pub fn stat(&self) -> io::Result<Stat> {
        match *self {}
    }

    /// What a name in this directory stands for.
    pub fn stat_child(&self, _: &Name) -> io::Result<Stat> {
        match *self {}
    }

    /// The target of a symbolic link in this directory.
    pub fn read_link(&self, _: &Name) -> io::Result<Box<[u8]>> {
        match *self {}
    }
}

/// A file open for reading: none can be had.
#[derive(Debug)]
pub enum FileHandle {}

impl FileHandle {
    /// Refuses.
    pub fn open(_: &Path) -> io::Result<Self> {
        Err(refused("reading files with their metadata"))
    }

    /// What it is.
    pub fn stat(&self) -> io::Result<Stat> {
        match *self {}
    }

    /// Reads from an offset on.
    pub fn read_at(&self, _: &mut [u8], _: u64) -> io::Result<usize> {
        match *self {}
    }

    /// Where the data is.
    pub fn data_runs(&self, _: &Stat) -> DataRuns<'_> {
        match *self {}
    }
}

/// The runs of data in a file.
#[derive(Debug)]
pub struct DataRuns<'file>(&'file FileHandle);

impl Iterator for DataRuns<'_> {
    type Item = io::Result<DataRun>;

    fn next(&mut self) -> Option<Self::Item> {
        match *self.0 {}
    }
}

/// Reads extended attributes of handles that cannot be had.
#[derive(Debug, Default)]
pub struct Xattrs(());

/// What [`Xattrs`] can be asked about.
pub trait Handle {
    /// Whatever the handle is, it does not exist.
    fn unreachable(&self) -> !;
}

impl Handle for DirHandle {
    fn unreachable(&self) -> ! {
        match *self {}
    }
}

impl Handle for FileHandle {
    fn unreachable(&self) -> ! {
        match *self {}
    }
}

impl Xattrs {
    /// A reader that has not met any file system.
    pub fn new() -> Self {
        Self::default()
    }

    /// The attributes of an open file or directory.
    pub fn of_open(&self, open: &impl Handle, _: u64) -> io::Result<Vec<Xattr>> {
        open.unreachable()
    }

    /// The attributes of what must not be opened.
    pub fn of_child(&self, directory: &DirHandle, _: &Name) -> io::Result<Vec<Xattr>> {
        match *directory {}
    }
}

/// Owners by number alone: this system has no such numbers, so none has a name.
#[derive(Debug, Default)]
pub struct Owners(());

impl Owners {
    /// One that knows nobody.
    pub fn new() -> Self {
        Self::default()
    }

    /// The owner with these numbers, without names.
    pub fn named(&self, uid: u32, gid: u32) -> Owner {
        Owner { uid, gid, ..Owner::default() }
    }

    /// The numbers as they were.
    pub fn numbers(&self, owner: &Owner) -> (u32, u32) {
        (owner.uid, owner.gid)
    }
}

/// Refuses: the configuration has to name the host.
pub fn host_name() -> io::Result<String> {
    Err(refused("asking for the host name"))
}

fn refused(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, format!("{what} is not supported on Windows"))
}
