//! Changing what a file system knows of a thing.

use crate::model::{Time, Xattr};
use std::io;

/// What is known of a file, directory, link or device can be set through this.
///
/// The order matters to the kernel: a change of owner takes setuid bits and file capabilities away,
/// and an access ACL decides what the group bits of the mode mean. So: owner, attributes, mode,
/// ACLs, and the time last.
pub trait Attributes {
    /// Sets user and group by number; `None` leaves one as it is.
    fn set_owner(&self, uid: Option<u32>, gid: Option<u32>) -> io::Result<()>;

    /// Sets all of `0o7777`. Refused for a symbolic link.
    fn set_mode(&self, mode: u32) -> io::Result<()>;

    /// Sets the time of the last change of content; that of the last access stays.
    fn set_mtime(&self, mtime: Time) -> io::Result<()>;

    /// Sets an extended attribute, in place of one of that name.
    fn set_xattr(&self, xattr: &Xattr) -> io::Result<()>;

    /// Removes an extended attribute; one that is not there counts as removed.
    fn remove_xattr(&self, name: &[u8]) -> io::Result<()>;
}
