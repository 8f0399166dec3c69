//! Why a file or directory is not in the backup as it should be.

use super::read_step::SourceFile;
use super::source_calls::NotAsked;
use crate::model::TreePath;
use crate::platform::NoAnswer;
use std::io;

/// Why a file could not be read, and how much of it is kept.
#[derive(Debug, thiserror::Error)]
pub enum Unread {
    /// One of several sources is not there.
    #[error("could not open it; the other paths are backed up")]
    Source(#[source] io::Error),
    /// A directory could not be opened or listed.
    #[error("could not list the directory; its content is left out")]
    List(#[source] io::Error),
    /// The file system did not answer in time.
    #[error("could not read it; it is left out")]
    NoAnswer(#[source] NoAnswer),
    /// The file system did not answer before.
    #[error("not read; it is left out")]
    NotAsked(#[source] NotAsked),
    /// A file could not be opened.
    #[error("could not open it; it is left out")]
    Open(#[source] io::Error),
    /// Type and metadata could not be read.
    #[error("could not read its metadata")]
    Stat(#[source] io::Error),
    /// Extended attributes could not be read.
    #[error("could not read its extended attributes; it is kept without them")]
    Xattrs(#[source] io::Error),
    /// The content of a small file could not be read, so it has no member.
    #[error("could not read its content; it is left out")]
    Small(#[source] io::Error),
    /// The content could not be read to its end.
    #[error("could not read all of its content; the rest is kept as zeros")]
    Content(#[source] io::Error),
    /// A directory took the place of something else, or came back, while the run was under way.
    #[error("became a directory after its parent was listed; it is left out")]
    Replaced,
    /// The file is shorter than it was when its header was written.
    #[error("shrank by {0} bytes while it was read; they are kept as zeros")]
    Shrank(u64),
}

impl Unread {
    /// Returns whether the file was simply gone by the time it was opened.
    pub(super) fn is_gone(&self) -> bool {
        match self {
            Self::Open(error) | Self::Stat(error) => error.kind() == io::ErrorKind::NotFound,
            Self::Source(_)
            | Self::List(_)
            | Self::NoAnswer(_)
            | Self::NotAsked(_)
            | Self::Xattrs(_)
            | Self::Small(_)
            | Self::Content(_)
            | Self::Replaced
            | Self::Shrank(_) => false,
        }
    }
}

/// Returns whether a file stayed as it was while it was read. If not, its content may mix both
/// versions, and the log says so.
pub(super) fn stayed_the_same(path: &TreePath, file: &SourceFile) -> bool {
    let before = &file.stat;
    if let Ok(after) = file.handle.stat()
        && (after.size, after.mtime, after.ctime) != (before.size, before.mtime, before.ctime)
    {
        tracing::warn!(
            %path,
            size_before = before.size,
            size_after = after.size,
            "changed while it was read"
        );
        return false;
    }
    true
}
