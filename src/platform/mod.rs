//! What differs between systems: reading and writing directory trees with all their metadata,
//! owners, child processes, the clock.
//!
//! Owns every direct system call but those of stores and FUSE. Knows nothing of backups: it speaks
//! of names, bytes and numbers. Errors are [`std::io::Error`]; the caller knows the path and adds
//! it.
//!
//! `unix/` and `windows.rs` offer the same items, chosen by `cfg` on the lines below; what one of
//! them cannot do it refuses with [`std::io::ErrorKind::Unsupported`] and a text that names it,
//! never by doing nothing.
//!
//! | item | what it does | Windows |
//! |---|---|---|
//! | [`DirHandle`], [`FileHandle`] | read a tree relative to open directories | refused at `open` |
//! | [`DirHandle`], [`NewFile`], [`Child`], [`Attributes`] | write a tree, in the same way | refused at `open` |
//! | [`Xattrs`] | reads extended attributes, ACLs and capabilities among them | refused with the handles it needs |
//! | [`folder_handle`] | a store's folder, in which no link is followed | looked at before each step |
//! | [`CacheDir`] | a private folder, reached without following links; its owner and rights are checked | links are refused, rights are not looked at |
//! | [`Owners`] | numbers to names and back, remembered | no names |
//! | [`process`] | starts programs, goes to the background | starting only |
//! | [`terminal`] | asks for a secret | refused |
//! | [`Running`] | who this process is, and whether another still runs | its number alone |
//! | [`set_nice`], [`set_io_priority`], [`flush_file_systems`] | how much of the machine it takes; writes what waits | refused |
//! | [`mounts`], [`mount_id`] | which file systems are mounted where | refused |
//! | [`resolve`], [`folders_around`] | where a path leads, and what it lies in | as elsewhere |
//! | [`host_name`] | the name this machine calls itself | refused |
//!
//! Start reading at [`DirHandle`].
//!
//! Invariant: a name is only ever resolved relative to an open directory and one component at a
//! time, and a symbolic link is never followed, but in the path that opens a root. So a tree that
//! changes under us, by mischief or not, never leads out of itself.

mod attributes;
mod cache_dir;
mod clock;
pub mod durable;
pub mod folder_handle;
mod places;
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
pub use places::{folders_around, resolve};
pub use running::Running;
pub use stat::{ListedName, Sort, Stat};
pub use system::{
    Child, DataRuns, DirHandle, FileHandle, Mount, NewFile, Owners, ProcessIdentity, Xattrs,
    flush_file_systems, forbid_core_files, host_name, mount_id, mounts, prefer_large_pages,
    raise_open_files_limit, set_io_priority, set_nice,
};
