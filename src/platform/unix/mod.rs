//! Linux. Every call is relative to an open directory.

mod background;
mod owners;
mod scan;
mod xattrs;

pub(super) use background::{leave_session, report_ready};
pub use owners::{Owners, host_name};
pub use scan::{DataRuns, DirHandle, FileHandle};
pub use xattrs::Xattrs;
