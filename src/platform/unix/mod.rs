//! Linux. Every call on a tree is relative to an open directory.

mod background;
mod groups;
mod identity;
mod inode_flags;
mod memory;
mod mounts;
mod owners;
mod priority;
mod running;
mod scan;
mod signals;
mod terminal;
mod write;
mod xattrs;

pub(super) use background::{leave_session, report_ready};
pub(super) use groups::{end_group, end_process, exit_code, into_group, kill_marked};
pub use identity::{ProcessIdentity, forbid_core_files, raise_open_files_limit};
pub use memory::prefer_large_pages;
pub use mounts::{Mount, device_mounted_on, mount_id, mounts};
pub use owners::{Owners, host_name};
pub use priority::{flush_file_systems, set_io_priority, set_nice};
pub(super) use running::{is_running, this_process};
pub(super) use scan::path_of_open;
pub use scan::{DataRuns, DirHandle, FileHandle};
pub(super) use signals::ending_signals;
pub(super) use terminal::{ask, ask_secret, is_there as terminal_is_there};
pub use write::{NewFile, UnopenedEntry};
pub use xattrs::Xattrs;
