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

/// The flags that a user can set, and the letters that `chattr` has for them.
const LETTERS: [(u32, char); 16] = [
    (0x1, 's'),
    (0x2, 'u'),
    (0x4, 'c'),
    (0x8, 'S'),
    (0x10, 'i'),
    (0x20, 'a'),
    (0x40, 'd'),
    (0x80, 'A'),
    (0x400, 'm'),
    (0x4000, 'j'),
    (0x8000, 't'),
    (0x1_0000, 'D'),
    (0x2_0000, 'T'),
    (0x80_0000, 'C'),
    (0x200_0000, 'x'),
    (0x2000_0000, 'P'),
];

impl InodeFlags {
    /// The entry cannot be changed or removed.
    pub const IMMUTABLE: u32 = 0x10;
    /// The entry can only grow.
    pub const APPEND_ONLY: u32 = 0x20;

    /// Returns those of the flags that a user can set; `None` if there is none.
    pub fn settable(flags: u32) -> Option<Self> {
        let all = LETTERS.iter().fold(0, |all, (flag, _)| all | flag);
        Some(Self(flags & all)).filter(|flags| flags.0 != 0)
    }
}

impl fmt::Display for InodeFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        LETTERS
            .iter()
            .filter(|(flag, _)| self.0 & flag != 0)
            .try_for_each(|(_, letter)| write!(f, "{letter}"))
    }
}

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
