//! Why a scheduler cannot work.

use crate::model::{Advice, hints};
use crate::sched::connection::ApiError;
use crate::sched::journal::JournalError;
use std::io;
use std::path::PathBuf;

/// Why a scheduler cannot work.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// The folder of the scheduler, or a file in it, cannot be used.
    #[error("could not use the folder {path}")]
    Folder {
        /// The path.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// Another scheduler uses the folder.
    #[error("a scheduler with the folder {0} runs already")]
    Another(PathBuf),
    /// The journal cannot be used.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The server did not answer a scheduler that runs once.
    #[error(transparent)]
    Server(#[from] ApiError),
    /// The scheduler has ended, and its files may belong to another.
    #[error("the scheduler has ended")]
    Closed,
    /// The thread that talks with the server is gone: a bug.
    #[error("the thread that talks with the server has ended; the log says why")]
    Deaf,
}

impl Advice for DaemonError {
    fn hint(&self) -> Option<&str> {
        match self {
            // Transparent: the causes of this error are those of the other one.
            Self::Server(error) => error.hint(),
            Self::Another(_) => Some("freezer scheduler stop ends it"),
            Self::Deaf => Some(hints::BUG),
            Self::Folder { .. } | Self::Journal(_) | Self::Closed => None,
        }
    }
}
