//! What can go wrong with a restore, and with one thing in it.

use crate::model::{Advice, Interrupted, TreePath, hints};
use std::error::Error;
use std::fmt;
use std::io;
use std::path::PathBuf;

/// Why a restore did not take place, or ended early.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The selection names something that the backup does not have.
    #[error("the backup has no {0}")]
    Missing(TreePath),
    /// The target could not be made or opened.
    #[error("could not open the target {}", .path.display())]
    Target {
        /// The target.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The target is a store or lies in one.
    #[error("cannot restore to {}: it is in the store {}, whose backups that would overwrite", .path.display(), .store.display())]
    InStore {
        /// The target.
        path: PathBuf,
        /// The store.
        store: PathBuf,
    },
    /// The target holds something, and nothing may be replaced.
    #[error("the target {} is not empty", .0.display())]
    NotEmpty(PathBuf),
    /// The list of what there is to restore could not be read.
    #[error("could not read {path:?} of the backup's tree")]
    Tree {
        /// Which part of it.
        path: TreePath,
        /// Why.
        source: Box<dyn Error + Send + Sync>,
    },
    /// There is no room for more. What was not restored is not named.
    #[error("the target is full, at {path}")]
    Full {
        /// The first thing there was no room for.
        path: TreePath,
        /// What was attempted.
        source: FileError,
    },
    /// It was asked to stop.
    #[error("the restore was interrupted")]
    Interrupted(#[source] Interrupted),
    /// No thread could be had to write with.
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

/// What could not be done for one thing in the tree.
#[derive(Debug, thiserror::Error)]
#[error("could not {attempted}")]
pub struct FileError {
    /// What was attempted.
    pub attempted: Attempt,
    /// Why it failed.
    pub source: Box<dyn Error + Send + Sync>,
}

impl FileError {
    pub(super) fn new(attempted: Attempt, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self {
            attempted,
            source: source.into(),
        }
    }

    /// Whether it failed for want of room, so that all else will fail as well.
    pub(super) fn is_full(&self) -> bool {
        // An attribute can want room in an inode on a disk that has plenty.
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

/// What was attempted for one thing in the tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attempt {
    /// Reading its content from the backup. It is not there.
    Read,
    /// Reading from the backup what a directory holds. What is missing of it is not there.
    List,
    /// Making it. Of a directory, nothing that belongs into it is there.
    Create,
    /// Restoring into it: it is there, and is a store. Nothing that belongs into it is there.
    Enter,
    /// Making it another name of a file that is there. It was made as a file of its own.
    Link,
    /// Writing its content. It is not there.
    Write,
    /// Putting it in the place of what has its name. That is still there.
    Replace,
    /// Setting its owner.
    SetOwner,
    /// Setting its mode.
    SetMode,
    /// Setting its time.
    SetTime,
    /// Setting or removing the extended attribute of this name.
    SetXattr(Box<[u8]>),
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Read => "read its content from the backup",
            Self::List => "read from the backup what is in it",
            Self::Create => "create it",
            Self::Enter => "restore into it",
            Self::Link => "make it a hard link",
            Self::Write => "write its content",
            Self::Replace => "put it in the place of what is there",
            Self::SetOwner => "set its owner",
            Self::SetMode => "set its mode",
            Self::SetTime => "set its time",
            Self::SetXattr(name) => return write!(f, "set its attribute {}", name.escape_ascii()),
        })
    }
}
