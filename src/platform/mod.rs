//! What differs between systems: reading and writing directory trees with all their metadata,
//! owners, child processes, the clock.
//!
//! Makes every direct system call except those of stores and FUSE. Knows nothing of backups: it
//! deals in names, bytes and numbers. Errors are [`std::io::Error`]; the caller knows the path and
//! adds it.
//!
//! `unix/` and `windows.rs` offer the same items, chosen by `cfg` on the lines below. A call that a
//! system cannot do fails with [`std::io::ErrorKind::Unsupported`] and a text that names it. It
//! never does nothing in silence.
//!
//! | item | purpose | Windows |
//! |---|---|---|
//! | [`DirHandle`], [`FileHandle`] | read a tree relative to open directories | refused at `open` |
//! | [`NewFile`], [`UnopenedEntry`], [`Attributes`] | write a tree, likewise | refused at `open` |
//! | [`Xattrs`] | reads extended attributes, ACLs and capabilities | refused |
//! | [`folder_handle`] | a folder of a store; follows no link | looks before each step |
//! | [`CacheDir`] | such a folder that only this user may write to | rights are not checked |
//! | [`PatientCaller`], [`calls`] | leaves a call behind that gets no answer | as elsewhere |
//! | [`Owners`] | user and group numbers to names and back, remembered | no names |
//! | [`process`] | starts programs, moves to the background | starting only |
//! | [`terminal`] | asks the person at the terminal | refused |
//! | [`Running`] | tells whether a process still runs | its number alone |
//! | [`set_nice`], [`set_io_priority`] | priorities of this process | refused |
//! | [`flush_file_systems`] | writes out what the kernel holds back | refused |
//! | [`mounts`], [`mount_id`], [`device_mounted_on`] | the table of mounts | refused |
//! | [`resolve`], [`folders_around`] | where a path leads, and its folders | as elsewhere |
//! | [`host_name`] | the name that this machine calls itself | refused |
//!
//! Start reading at [`DirHandle`].
//!
//! Invariant: a name is resolved relative to an open directory, one component at a time, and never
//! through a symbolic link, except in the path that opens a root. So a tree that changes while it
//! is read, by mischief or not, never leads out of itself.

mod attributes;
mod cache_dir;
pub mod calls;
mod clock;
pub mod durable;
pub mod folder_handle;
mod patient_caller;
mod places;
pub mod private_file;
pub mod process;
mod running;
mod stat;
#[cfg(unix)]
#[path = "unix/mod.rs"]
mod system;
#[cfg(windows)]
#[path = "windows.rs"]
mod system;
pub mod terminal;

pub use attributes::Attributes;
pub use cache_dir::{CacheDir, CachedFile, Distrust};
pub use clock::{Clock, ManualClock, Meanwhile, SystemClock, monotonic, pause};
pub use patient_caller::{NoAnswer, PatientCaller};
pub use places::{folders_around, resolve};
pub use running::Running;
pub use stat::{ListedName, Sort, Stat};
pub use system::{
    DataRuns, DirHandle, FileHandle, Mount, NewFile, Owners, ProcessIdentity, UnopenedEntry,
    Xattrs, device_mounted_on, flush_file_systems, forbid_core_files, host_name, mount_id, mounts,
    prefer_large_pages, raise_open_files_limit, set_io_priority, set_nice,
};
