//! Linux. Every call is relative to an open directory.

mod owners;
mod scan;
mod xattrs;

pub use owners::{Owners, host_name};
pub use scan::{DataRuns, DirHandle, FileHandle};
pub use xattrs::Xattrs;
