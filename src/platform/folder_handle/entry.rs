//! Entries of a folder, and what may be wrong with them.

use std::ffi::OsString;
use std::io;

/// An entry of a folder, as a listing shows it.
#[derive(Debug)]
pub struct FolderEntry {
    /// The name.
    pub name: OsString,
    /// Its kind. A link is a link, whatever it points to.
    pub kind: EntryKind,
}

/// The kind of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// A regular file.
    File,
    /// A folder.
    Folder,
    /// A symbolic link, or anything else that leads to another place.
    Link,
    /// A device, a pipe or a socket.
    Other,
}

/// Why users can write to a folder that the folder above does not let write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Intrusion {
    /// Another user owns it.
    ForeignOwner,
    /// Its mode lets more users write than the mode of the uppermost folder.
    MoreWriters,
}

/// Whether an error of a [`FolderHandle`](super::FolderHandle) says that a symbolic link is in the
/// way.
pub fn is_link(error: &io::Error) -> bool {
    error
        .get_ref()
        .is_some_and(|inner| inner.is::<LinkInTheWay>())
}

/// The error where a symbolic link stands in the place of a folder or file.
#[derive(Debug, thiserror::Error)]
#[error("a symbolic link is in the way, and freezer does not follow links here")]
struct LinkInTheWay;

/// Returns the error of a walk that meets a symbolic link.
pub(super) fn link_in_the_way() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, LinkInTheWay)
}
