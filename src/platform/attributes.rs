//! Setting the metadata of an entry.

use crate::model::{Time, Xattr};
use std::io;

/// Sets the metadata of a file, directory, link or device.
///
/// The order matters to the kernel: a change of owner removes setuid bits and file capabilities,
/// and an access ACL decides what the group bits of the mode mean. So the order is owner, extended
/// attributes, mode, ACLs, and last the time.
pub trait Attributes {
    /// Sets user and group by number. `None` leaves one as it is.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::InvalidInput`] for [`u32::MAX`], which nobody has: the system takes it for
    /// "leave it as it is".
    fn set_owner(&self, uid: Option<u32>, gid: Option<u32>) -> io::Result<()>;

    /// Returns the numbers of user and group.
    fn owner(&self) -> io::Result<(u32, u32)>;

    /// Sets all of `0o7777`. Fails for a symbolic link.
    fn set_mode(&self, mode: u32) -> io::Result<()>;

    /// Sets the time of the last change of content. The time of the last access stays.
    fn set_mtime(&self, mtime: Time) -> io::Result<()>;

    /// Sets an extended attribute, in place of one with the same name.
    fn set_xattr(&self, xattr: &Xattr) -> io::Result<()>;

    /// Removes an extended attribute. One that is not there counts as removed.
    fn remove_xattr(&self, name: &[u8]) -> io::Result<()>;
}
