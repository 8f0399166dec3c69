//! Why a scheduler cannot work.

use crate::sched::connection::ApiError;
use crate::sched::journal::JournalError;
use std::io;
use std::path::PathBuf;

/// Why a scheduler cannot work.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// Its folder.
    #[error("could not use the folder {path}")]
    Folder {
        /// Which one.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// There is another one.
    #[error("a scheduler with the folder {0} runs already")]
    Another(PathBuf),
    /// Its journal.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The server, where it was to be asked once.
    #[error(transparent)]
    Server(#[from] ApiError),
    /// Its files are another's.
    #[error("the scheduler has ended")]
    Closed,
    /// The thread that talks with the server is gone: a bug.
    #[error("the talk with the server has ended by itself; see what was logged before")]
    Deaf,
}
