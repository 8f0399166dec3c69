//! Why a backup could not be locked.

use crate::catalog::CatalogError;
use crate::model::{Advice, BackupName, Exit, Interrupted};
use crate::store;
use jiff::Timestamp;

/// A backup could not be locked, or its lock was lost.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process has the lock.
    #[error("{backup} is in use: {action} by process {pid} on {host}, since {since}")]
    Held {
        /// The backup.
        backup: BackupName,
        /// What the other process does, such as `backup`.
        action: String,
        /// The machine of the other process.
        host: String,
        /// The process number on that machine.
        pid: u32,
        /// When the other process began.
        since: Timestamp,
    },
    /// Another process has the lock, and its claim cannot be read.
    #[error("{backup} is in use by a run that began {since}")]
    HeldByUnknown {
        /// The backup.
        backup: BackupName,
        /// When the other process began.
        since: Timestamp,
    },
    /// Another process thought this one dead, and took the lock.
    #[error(
        "the lock of {0} was lost while it was held: the machine stood still, or the store could \
         not be reached for too long"
    )]
    Lost(BackupName),
    /// The caller asked to stop while this waited for the lock.
    #[error("interrupted while waiting for the lock of {backup}")]
    Interrupted {
        /// The backup.
        backup: BackupName,
        /// The wish to stop.
        source: Interrupted,
    },
    /// The store failed.
    #[error("could not lock {backup}")]
    Store {
        /// The backup.
        backup: BackupName,
        /// What the store said.
        source: store::Error,
    },
    /// The levels could not be listed.
    #[error("could not list the levels of the backup that is to be locked")]
    Catalog(#[source] CatalogError),
    /// The system gave no random number.
    #[error("could not make an id for the lock")]
    Random(#[source] getrandom::Error),
}

impl Advice for LockError {
    fn exit(&self) -> Option<Exit> {
        match self {
            Self::Held { .. } | Self::HeldByUnknown { .. } => Some(Exit::InUse),
            Self::Lost(_)
            | Self::Interrupted { .. }
            | Self::Store { .. }
            | Self::Catalog(_)
            | Self::Random(_) => None,
        }
    }

    fn hint(&self) -> Option<&str> {
        match self {
            Self::Held { .. } | Self::HeldByUnknown { .. } => Some(
                "wait for it to end with --wait; if it died on another machine, its claim ends \
                 after ten minutes, or at once with freezer unlock BACKUP",
            ),
            Self::Lost(_) => Some("run it again: earlier points in time are unharmed"),
            Self::Interrupted { .. } | Self::Store { .. } | Self::Catalog(_) | Self::Random(_) => {
                None
            }
        }
    }
}
