//! Windows. Reading trees fails with an error that says so, until it can be done with all metadata
//! of that system.
//!
//! The handles are types without a value, so code behind their `open` cannot run and need not
//! pretend. Other modules do not see that, or the compiler would call their code unreachable.

use super::{Attributes, ListedName, Stat};
use crate::model::{DataRun, Device, InodeFlags, Kind, Name, Owner, Time, Xattr};
use std::io;
use std::path::{Path, PathBuf};

/// A type without a value.
#[derive(Debug)]
enum NoValue {}

/// Always fails.
pub(super) fn into_group(_: &mut std::process::Command, _: Option<u32>) -> io::Result<()> {
    Err(refused("process groups"))
}

/// Always fails.
pub(super) fn end_group(_: u32, _: super::process::End) -> io::Result<()> {
    Err(refused("process groups"))
}

/// Always fails.
pub(super) fn end_process(_: &super::Running, _: super::process::End) -> io::Result<()> {
    Err(refused("ending another process"))
}

/// Always fails.
pub(super) fn kill_marked(_: u32, _: &str, _: &str) -> io::Result<usize> {
    Err(refused("ending other processes"))
}

/// Returns the exit code of a process.
pub(super) fn exit_code(status: std::process::ExitStatus) -> i32 {
    status.code().unwrap_or(-1)
}

/// A mount. This system has none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// Its number.
    pub id: u64,
    /// The number of the mount that it lies in, or on.
    pub parent: u64,
    /// Major and minor number of the file system.
    pub device: (u32, u32),
    /// The folder of the file system that is shown.
    pub root: PathBuf,
    /// The place where it is mounted.
    pub place: PathBuf,
    /// The kind of file system.
    pub kind: String,
}

/// Always fails.
pub fn mounts() -> io::Result<Vec<Mount>> {
    Err(refused("the table of mounts"))
}

/// Always fails.
pub fn mount_id(_: &Path) -> io::Result<u64> {
    Err(refused("the table of mounts"))
}

/// Always `None`: this system does not tell.
pub fn device_mounted_on(_: &[u8]) -> Option<u64> {
    None
}

/// An open directory. There can be none.
#[derive(Debug)]
pub struct DirHandle(NoValue);

impl DirHandle {
    /// Always fails.
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

    /// Returns all names.
    pub fn list(&self) -> io::Result<Vec<ListedName>> {
        match self.0 {}
    }

    /// Returns the metadata of this directory.
    pub fn stat(&self) -> io::Result<Stat> {
        match self.0 {}
    }

    /// Returns the number of the mount that this directory is in.
    pub fn mount(&self) -> io::Result<u64> {
        match self.0 {}
    }

    /// Returns a path that leads here.
    pub fn path(&self) -> PathBuf {
        match self.0 {}
    }

    /// Returns the metadata of an entry of this directory.
    pub fn stat_child(&self, _: &Name) -> io::Result<Stat> {
        match self.0 {}
    }

    /// Returns the target of a symbolic link in this directory.
    pub fn read_link(&self, _: &Name) -> io::Result<Box<[u8]>> {
        match self.0 {}
    }

    /// Returns the flags of this directory.
    pub fn inode_flags(&self) -> io::Result<Option<InodeFlags>> {
        match self.0 {}
    }

    /// Sets the flags of this directory.
    pub fn set_inode_flags(&self, _: InodeFlags) -> io::Result<()> {
        match self.0 {}
    }

    /// Returns when this directory was made.
    pub fn birth(&self) -> Option<Time> {
        match self.0 {}
    }

    /// Returns when an entry of this directory was made.
    pub fn birth_of_child(&self, _: &Name) -> Option<Time> {
        match self.0 {}
    }
}

/// A file open for reading. There can be none.
#[derive(Debug)]
pub struct FileHandle(NoValue);

impl FileHandle {
    /// Always fails.
    pub fn open(_: &Path) -> io::Result<Self> {
        Err(refused("reading files with their metadata"))
    }

    /// Returns the metadata of the file.
    pub fn stat(&self) -> io::Result<Stat> {
        match self.0 {}
    }

    /// Reads from an offset on.
    pub fn read_at(&self, _: &mut [u8], _: u64) -> io::Result<usize> {
        match self.0 {}
    }

    /// Returns the flags of the file.
    pub fn inode_flags(&self) -> io::Result<Option<InodeFlags>> {
        match self.0 {}
    }

    /// Sets the flags of the file.
    pub fn set_inode_flags(&self, _: InodeFlags) -> io::Result<()> {
        match self.0 {}
    }

    /// Returns when the file was made.
    pub fn birth(&self) -> Option<Time> {
        match self.0 {}
    }

    /// Returns the runs of data.
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

/// Makes entries in a directory.
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

    /// Gives a file another name.
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

    /// Returns an entry of this directory.
    pub fn child<'names>(&'names self, _: &'names Name) -> UnopenedEntry<'names> {
        match self.0 {}
    }
}

/// A new file. There can be none.
#[derive(Debug)]
pub struct NewFile(NoValue);

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

/// An entry of a directory. There can be none.
#[derive(Debug)]
pub struct UnopenedEntry<'names>(&'names DirHandle);

/// A type without a value.
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

impl Never for UnopenedEntry<'_> {
    fn never(&self) -> ! {
        match self.0.0 {}
    }
}

impl<Handle: Never> Attributes for Handle {
    fn set_owner(&self, _: Option<u32>, _: Option<u32>) -> io::Result<()> {
        self.never()
    }

    fn owner(&self) -> io::Result<(u32, u32)> {
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

/// Reads extended attributes.
#[derive(Debug, Default)]
pub struct Xattrs(());

impl Xattrs {
    /// Returns a reader.
    pub fn new() -> Self {
        Self::default()
    }

    /// Always fails.
    pub fn of_open<Open>(&self, _: &Open, _: u64) -> io::Result<Vec<Xattr>> {
        Err(refused("reading extended attributes"))
    }

    /// Returns the attributes of an entry that must not be opened.
    pub fn of_child(&self, directory: &DirHandle, _: &Name) -> io::Result<Vec<Xattr>> {
        match directory.0 {}
    }
}

/// The user and groups of this process. This system has no such numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessIdentity {
    /// Always 0.
    pub uid: u32,
    /// Always 0.
    pub gid: u32,
    /// Always empty.
    pub groups: Vec<u32>,
    /// Always `None`.
    pub umask: Option<u32>,
}

impl ProcessIdentity {
    /// Returns the same for each process.
    pub fn of_process() -> Self {
        Self {
            uid: 0,
            gid: 0,
            groups: Vec::new(),
            umask: None,
        }
    }

    /// Always `false`.
    pub fn is_root(&self) -> bool {
        false
    }
}

/// Does nothing: this system has no such limit.
pub fn raise_open_files_limit() {}

/// Does nothing: large pages need a special right on this system.
pub fn prefer_large_pages<T>(_: &mut [std::mem::MaybeUninit<T>]) {}

/// Does nothing: programs write no core files here. Users that may have the system write one may
/// read the memory anyway.
pub fn forbid_core_files() {}

/// Owners by number alone. This system has no such numbers, so none has a name.
#[derive(Debug, Default)]
pub struct Owners(());

impl Owners {
    /// Returns one that knows no names.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the owner with these numbers, without names.
    pub fn named(&self, uid: u32, gid: u32) -> Owner {
        Owner {
            uid,
            gid,
            ..Owner::default()
        }
    }

    /// Returns the numbers of the owner.
    pub fn numbers(&self, owner: &Owner) -> (u32, u32) {
        (owner.uid, owner.gid)
    }
}

/// Always fails: the configuration has to name the host.
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

pub(super) fn ask(_: &str, _: &crate::model::Cancel) -> io::Result<String> {
    Err(refused("asking a question"))
}

pub(super) fn ask_secret(_: &str) -> io::Result<crate::model::Passphrase> {
    Err(refused("asking for a passphrase"))
}

/// Always fails.
pub fn set_nice(_: i32) -> io::Result<()> {
    Err(refused("another CPU priority"))
}

/// Always fails.
pub fn set_io_priority(_: u8, _: u8) -> io::Result<()> {
    Err(refused("another priority of reads and writes"))
}

/// Always fails.
pub fn flush_file_systems() -> io::Result<()> {
    Err(refused("flushing file systems"))
}

fn refused(what: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::Unsupported,
        format!("{what} is not supported on Windows"),
    )
}

/// `SIGINT` and `SIGTERM`, by the numbers of the C runtime: this system has no others.
pub(super) fn ending_signals(_: super::process::HangUp) -> Vec<i32> {
    vec![2, 15]
}

/// Always `None`: this system does not tell.
pub(super) fn path_of_open(_: i32) -> Option<PathBuf> {
    None
}

/// Describes this process by its number alone.
pub fn this_process() -> super::Running {
    super::Running {
        pid: std::process::id(),
        machine: None,
        boot: None,
        namespace: None,
        began: None,
    }
}

/// Always `true`: this system does not tell.
pub fn is_running(_: u32, _: Option<u64>) -> bool {
    true
}
