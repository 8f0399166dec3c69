//! Errors of a restore, and of one entry in it.

use crate::model::{Advice, InodeFlags, Interrupted, TreePath, hints};
use std::error::Error;
use std::fmt;
use std::io;
use std::path::PathBuf;

/// Why a restore did not take place, or ended early.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The selection names an entry that the backup does not have.
    #[error("the backup has no {0}")]
    Missing(TreePath),
    /// The target could not be made or opened.
    #[error("could not open the target {}", .path.display())]
    Target {
        /// The target.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// The target is a store or lies in one.
    #[error(
        "cannot restore to {}: it is in the store {}, whose backups that would overwrite",
        .path.display(),
        .store.display()
    )]
    InStore {
        /// The target.
        path: PathBuf,
        /// The store.
        store: PathBuf,
    },
    /// The target has entries, and none may be replaced.
    #[error("the target {} is not empty", .0.display())]
    NotEmpty(PathBuf),
    /// The list of entries to restore could not be read.
    #[error("could not read {path:?} of the backup's tree")]
    Tree {
        /// The directory or entry that could not be read.
        path: TreePath,
        /// The error of the source.
        source: Box<dyn Error + Send + Sync>,
    },
    /// There is no room for more. Entries that were not restored are not named.
    #[error("the target is full, at {path}")]
    Full {
        /// The first entry without room.
        path: TreePath,
        /// The attempt that failed.
        source: EntryError,
    },
    /// The user asked to stop.
    #[error("the restore was interrupted")]
    Interrupted(#[source] Interrupted),
    /// The system gives no thread for writing.
    #[error("could not start a thread")]
    Thread(#[source] io::Error),
}

impl Advice for RestoreError {
    fn hint(&self) -> Option<&str> {
        match self {
            Self::Missing(_) => Some("freezer ls BACKUP shows what there is"),
            Self::Target { .. } => {
                Some("name a directory that you may write to: --target DIRECTORY")
            }
            Self::InStore { .. } => Some(
                "name a directory outside the store: --target DIRECTORY; you can move it from \
                 there",
            ),
            Self::NotEmpty(_) => {
                Some("name another, or give --overwrite to replace files that have the same names")
            }
            Self::Full { .. } => Some("make room and run it again with --overwrite"),
            Self::Interrupted(_) => Some(
                "the files that are there are whole; run it again with --overwrite for the rest",
            ),
            Self::Thread(_) => Some(hints::THREADS),
            Self::Tree { .. } => None,
        }
    }
}

/// Why one entry is not restored, or not with all its metadata.
#[derive(Debug, thiserror::Error)]
#[error("could not {attempted}")]
pub struct EntryError {
    /// The attempt that failed.
    pub attempted: Attempt,
    /// Why it failed: the error of the system or of the backup.
    pub source: Box<dyn Error + Send + Sync>,
}

impl EntryError {
    pub(super) fn new(attempted: Attempt, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self {
            attempted,
            source: source.into(),
        }
    }

    /// Whether the target has no room, so that all other entries will fail as well.
    pub(super) fn is_full(&self) -> bool {
        // An attribute may find no room in an inode on a disk that has plenty.
        !matches!(self.attempted, Attempt::SetXattr(_))
            && self
                .source
                .downcast_ref::<io::Error>()
                .is_some_and(|error| {
                    matches!(
                        error.kind(),
                        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
                    )
                })
    }
}

/// A step of restoring one entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attempt {
    /// Reading its content from the backup. The entry is not made.
    Read,
    /// Reading the list of a directory's entries from the backup. Entries that could not be listed
    /// are not made.
    List,
    /// Making it. For a directory, no entry in it is made either.
    Create,
    /// Restoring into a directory that was there and is a store. No entry in it is made.
    Enter,
    /// Making it another name of a file that is there. It is made as a file of its own instead.
    Link,
    /// Writing its content. The entry is not made.
    Write,
    /// Putting it in the place of an entry with the same name, which is still there.
    Replace,
    /// Setting its owner.
    SetOwner,
    /// Setting its mode.
    SetMode,
    /// Setting its time.
    SetTime,
    /// Setting these inode flags, which `chattr` names by letters.
    SetFlags(InodeFlags),
    /// Setting or removing the extended attribute of this name.
    SetXattr(Box<[u8]>),
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Read => "read its content from the backup",
            Self::List => "read the list of its entries from the backup",
            Self::Create => "create it",
            Self::Enter => "restore into it",
            Self::Link => "make it a hard link",
            Self::Write => "write its content",
            Self::Replace => "put it in the place of the entry that is there",
            Self::SetOwner => "set its owner",
            Self::SetMode => "set its mode",
            Self::SetTime => "set its time",
            Self::SetFlags(flags) => return write!(f, "set its inode flags (chattr +{flags})"),
            Self::SetXattr(name) => {
                return write!(f, "set its extended attribute {}", name.escape_ascii());
            }
        })
    }
}
