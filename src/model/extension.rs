//! What an entry says beyond the metadata that every system has: its extensions.

use super::Time;
use std::fmt;

/// Length of a [`ContentHash`] in bytes.
pub const CONTENT_HASH_BYTES: usize = 20;

/// A hash of a file's whole content, taken while the content was stored.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ContentHash(pub [u8; CONTENT_HASH_BYTES]);

impl fmt::Display for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The flags of an inode that `chattr` sets, with the numbers of `FS_IOC_GETFLAGS`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct InodeFlags(pub u32);

/// An extension that this version of freezer does not know.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct UnknownExtension {
    /// Its type.
    pub number: u64,
    /// Its value.
    pub value: Box<[u8]>,
}

impl UnknownExtension {
    /// Returns whether nobody may read the entry without knowing the extension.
    pub fn is_critical(&self) -> bool {
        self.number % 2 == 1
    }
}

/// An entry cannot be used without an extension of this type, which this version of freezer does not
/// know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "it was written by a newer version of freezer, whose extension {0} this version does not know; \
     use the newer version"
)]
pub struct NotUnderstood(pub u64);

/// The extensions of an entry.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Extensions {
    /// The hash of a file's content; `None` where it was not taken.
    pub content_hash: Option<ContentHash>,
    /// The inode flags; `None` where there are none, or the source has no such flags.
    pub inode_flags: Option<InodeFlags>,
    /// When the inode was made; `None` where the source does not tell.
    pub birth: Option<Time>,
    /// Extensions of newer versions, sorted by type. They are kept as they are for as long as the
    /// entry does not change.
    pub unknown: Vec<UnknownExtension>,
}

impl Extensions {
    /// Refuses an entry that nobody may use without knowing one of its unknown extensions.
    ///
    /// # Errors
    ///
    /// [`NotUnderstood`], which names the first of them.
    pub fn understood(&self) -> Result<(), NotUnderstood> {
        let critical = self.unknown.iter().find(|unknown| unknown.is_critical());
        critical.map_or(Ok(()), |unknown| Err(NotUnderstood(unknown.number)))
    }

    /// Returns whether there is none.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
