//! Windows: reading trees is refused by name until it can be done with everything a tree holds
//! there.
//!
//! The handles are types without a value (hidden from other modules, or their code would be called
//! unreachable), so what follows their `open` cannot be reached and need not pretend.

use super::{Attributes, ListedName, Stat};
use crate::model::{DataRun, Device, Kind, Name, Owner, Time, Xattr};
use std::io;
use std::path::{Path, PathBuf};

/// What there is none of.
#[derive(Debug)]
enum Nothing {}

/// Refuses.
pub(super) fn into_group(_: &mut std::process::Command, _: Option<u32>) -> io::Result<()> {
    Err(refused("process groups"))
}

/// Refuses.
pub(super) fn end_group(_: u32, _: super::process::End) -> io::Result<()> {
    Err(refused("process groups"))
}

/// Refuses.
pub(super) fn end_process(_: &super::Running, _: super::process::End) -> io::Result<()> {
    Err(refused("ending another process"))
}

/// Refuses.
pub(super) fn kill_marked(_: u32, _: &str, _: &str) -> io::Result<usize> {
    Err(refused("ending other processes"))
}

/// The number that a process ended with.
pub(super) fn exit_code(status: std::process::ExitStatus) -> i32 {
    status.code().unwrap_or(-1)
}

/// A mount: none can be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// The system's number for it.
    pub id: u64,
    /// The number of the mount that it lies in, or on.
    pub parent: u64,
    /// Which file system, as major and minor number.
    pub device: (u32, u32),
    /// Which folder of the file system is shown.
    pub root: PathBuf,
    /// Where it is mounted.
    pub place: PathBuf,
    /// What kind of file system it is.
    pub kind: String,
}

/// Refuses.
pub fn mounts() -> io::Result<Vec<Mount>> {
    Err(refused("the table of mounts"))
}

/// Refuses.
pub fn mount_id(_: &Path) -> io::Result<u64> {
    Err(refused("the table of mounts"))
}

/// An open directory: none can be had.
#[derive(Debug)]
pub struct DirHandle(Nothing);

impl DirHandle {
    /// Refuses.
    pub fn open(_: &Path) -> io::Result<Self> {
        Err(refused("reading directory trees"))
    }

    /// Opens a directory in this one.
    pub fn open_child(&self, _: &Name) -> io::Result<Self> {
        match self.0 {}
    }

    /// Opens a regular file in this directory for reading.
    pub fn open_file(&self, _: &Name) -> io::Result<FileHandle> {
        match self.0 {}
    }

    /// All names.
    pub fn list(&self) -> io::Result<Vec<ListedName>> {
        match self.0 {}
    }

    /// What this directory is.
    pub fn stat(&self) -> io::Result<Stat> {
        match self.0 {}
    }

    /// The number of the mount that this directory is in.
    pub fn mount(&self) -> io::Result<u64> {
        match self.0 {}
    }

    /// A path that leads here.
    pub fn path(&self) -> PathBuf {
        match self.0 {}
    }

    /// What a name in this directory stands for.
    pub fn stat_child(&self, _: &Name) -> io::Result<Stat> {
        match self.0 {}
    }

    /// The target of a symbolic link in this directory.
    pub fn read_link(&self, _: &Name) -> io::Result<Box<[u8]>> {
        match self.0 {}
    }
}

/// A file open for reading: none can be had.
#[derive(Debug)]
pub struct FileHandle(Nothing);

impl FileHandle {
    /// Refuses.
    pub fn open(_: &Path) -> io::Result<Self> {
        Err(refused("reading files with their metadata"))
    }

    /// What it is.
    pub fn stat(&self) -> io::Result<Stat> {
        match self.0 {}
    }

    /// Reads from an offset on.
    pub fn read_at(&self, _: &mut [u8], _: u64) -> io::Result<usize> {
        match self.0 {}
    }

    /// Where the data is.
    pub fn data_runs(&self, _: &Stat) -> DataRuns<'_> {
        match self.0 {}
    }
}

/// The runs of data in a file.
#[derive(Debug)]
pub struct DataRuns<'file>(&'file FileHandle);

impl Iterator for DataRuns<'_> {
    type Item = io::Result<DataRun>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.0.0 {}
    }
}

/// Making things in a directory that cannot be had.
impl DirHandle {
    /// Makes a directory.
    pub fn create_dir(&self, _: &Name, _: u32) -> io::Result<()> {
        match self.0 {}
    }

    /// Makes a regular file.
    pub fn create_file(&self, _: &Name, _: u32) -> io::Result<NewFile> {
        match self.0 {}
    }

    /// Makes a symbolic link.
    pub fn create_symlink(&self, _: &Name, _: &[u8]) -> io::Result<()> {
        match self.0 {}
    }

    /// Makes a FIFO or a device node.
    pub fn create_special(&self, _: &Name, _: Kind, _: Device, _: u32) -> io::Result<()> {
        match self.0 {}
    }

    /// Gives something another name.
    pub fn create_link(&self, _: &Name, _: &Self, _: &Name) -> io::Result<()> {
        match self.0 {}
    }

    /// Renames in this directory.
    pub fn rename_over(&self, _: &Name, _: &Name) -> io::Result<()> {
        match self.0 {}
    }

    /// Removes a name.
    pub fn remove(&self, _: &Name) -> io::Result<()> {
        match self.0 {}
    }

    /// What is called so here.
    pub fn child<'names>(&'names self, _: &'names Name) -> Child<'names> {
        match self.0 {}
    }
}

/// A file that was just made: none can be.
#[derive(Debug)]
pub struct NewFile(Nothing);

impl NewFile {
    /// Writes all of the data.
    pub fn write_all_at(&self, _: &[u8], _: u64) -> io::Result<()> {
        match self.0 {}
    }

    /// Sets the size.
    pub fn set_size(&self, _: u64) -> io::Result<()> {
        match self.0 {}
    }
}

/// Something in a directory that cannot be had.
#[derive(Debug)]
pub struct Child<'names>(&'names DirHandle);

/// What no value exists of.
pub trait Never {
    /// Cannot be called.
    fn never(&self) -> !;
}

impl Never for DirHandle {
    fn never(&self) -> ! {
        match self.0 {}
    }
}

impl Never for NewFile {
    fn never(&self) -> ! {
        match self.0 {}
    }
}

impl Never for Child<'_> {
    fn never(&self) -> ! {
        match self.0.0 {}
    }
}

impl<Handle: Never> Attributes for Handle {
    fn set_owner(&self, _: Option<u32>, _: Option<u32>) -> io::Result<()> {
        self.never()
    }

    fn set_mode(&self, _: u32) -> io::Result<()> {
        self.never()
    }

    fn set_mtime(&self, _: Time) -> io::Result<()> {
        self.never()
    }

    fn set_xattr(&self, _: &Xattr) -> io::Result<()> {
        self.never()
    }

    fn remove_xattr(&self, _: &[u8]) -> io::Result<()> {
        self.never()
    }
}

/// Reads extended attributes of handles that cannot be had.
#[derive(Debug, Default)]
pub struct Xattrs(());

impl Xattrs {
    /// A reader that has not met any file system.
    pub fn new() -> Self {
        Self::default()
    }

    /// Refuses.
    pub fn of_open<Open>(&self, _: &Open, _: u64) -> io::Result<Vec<Xattr>> {
        Err(refused("reading extended attributes"))
    }

    /// The attributes of what must not be opened.
    pub fn of_child(&self, directory: &DirHandle, _: &Name) -> io::Result<Vec<Xattr>> {
        match directory.0 {}
    }
}

/// Who this process acts as: this system has no such numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessIdentity {
    /// Always 0.
    pub uid: u32,
    /// Always 0.
    pub gid: u32,
    /// Always empty.
    pub groups: Vec<u32>,
    /// There is none.
    pub umask: Option<u32>,
}

impl ProcessIdentity {
    /// That of any process.
    pub fn of_process() -> Self {
        Self {
            uid: 0,
            gid: 0,
            groups: Vec::new(),
            umask: None,
        }
    }

    /// Never.
    pub fn is_root(&self) -> bool {
        false
    }
}

/// There is no such limit here.
pub fn raise_open_files_limit() {}

/// Large pages are for programs with a right of their own here.
pub fn prefer_large_pages<T>(_: &mut [std::mem::MaybeUninit<T>]) {}

/// Programs write no such files here; who may have the system do so may read its memory anyway.
pub fn forbid_core_files() {}

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
        Owner {
            uid,
            gid,
            ..Owner::default()
        }
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

pub(super) fn leave_session() -> io::Result<()> {
    Err(refused("going to the background"))
}

pub(super) fn report_ready(_: &[u8]) -> io::Result<()> {
    Err(refused("going to the background"))
}

pub(super) fn terminal_is_there() -> bool {
    false
}

pub(super) fn ask(_: &str) -> io::Result<String> {
    Err(refused("asking a question"))
}

pub(super) fn ask_secret(_: &str) -> io::Result<crate::model::Passphrase> {
    Err(refused("asking for a passphrase"))
}

/// Refuses.
pub fn set_nice(_: i32) -> io::Result<()> {
    Err(refused("another CPU priority"))
}

/// Refuses.
pub fn set_io_priority(_: u8, _: u8) -> io::Result<()> {
    Err(refused("another priority of reads and writes"))
}

/// Refuses.
pub fn flush_file_systems() -> io::Result<()> {
    Err(refused("flushing file systems"))
}

fn refused(what: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::Unsupported,
        format!("{what} is not supported on Windows"),
    )
}

/// This process, by its number alone.
pub fn this_process() -> super::Running {
    super::Running {
        pid: std::process::id(),
        machine: None,
        boot: None,
        namespace: None,
        began: None,
    }
}

/// Not known here.
pub fn is_running(_: u32, _: Option<u64>) -> bool {
    true
}
