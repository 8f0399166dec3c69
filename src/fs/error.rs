//! Errors of reading a point in time.

use crate::catalog::stream::RepackedError;
use crate::format::content_hash::OtherContent;
use crate::format::frame::{FrameError, Lane};
use crate::index::IndexError;
use crate::model::{FrameNo, LevelId, LevelSerial, NotUnderstood};
use crate::store::{self, ObjectName};
use std::fmt;
use std::sync::Arc;

/// Names a stored frame in messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrameSpan {
    /// The sequence of frames that it belongs to.
    pub lane: Lane,
    /// Its number in the sequence.
    pub number: FrameNo,
    /// The object that holds it.
    pub segment: ObjectName,
}

impl fmt::Display for FrameSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.lane {
            Lane::Data => "frame",
            Lane::Index => "index block",
            Lane::FrameTable => "frame table block",
            Lane::Manifest => "manifest",
            Lane::Note => "note",
            Lane::Repacked => "frame table root",
            Lane::Checkpoint => "checkpoint",
        };
        write!(f, "{what} {} of segment {}", self.number.0, self.segment)
    }
}

/// Why a part of a point in time could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The answer needs bytes that are not in memory, and the caller does not wait: see
    /// [`View::at_hand`](super::view::View::at_hand).
    #[error("the answer is not in memory")]
    WouldWait,
    /// No entry has that number.
    #[error("there is no such entry")]
    NoSuchNode,
    /// The entry is not a directory, and the call is for directories.
    #[error("the entry is not a directory")]
    NotADirectory,
    /// The entry is a directory, which has no content to read.
    #[error("the entry is a directory")]
    IsADirectory,
    /// The entry is of another kind than the call is for.
    #[error("an entry of this kind has no such property")]
    WrongKind,
    /// Only a newer version of freezer can read the entry.
    #[error(transparent)]
    NotUnderstood(#[from] NotUnderstood),
    /// The content of a file is not what was stored.
    #[error(transparent)]
    OtherContent(#[from] OtherContent),
    /// The store did not hand over the bytes.
    #[error("could not fetch {frame}")]
    Fetch {
        /// The frame that was asked for.
        frame: FrameSpan,
        /// The error of the store.
        source: store::Error,
    },
    /// Damage, tampering or the wrong key.
    #[error("could not use {frame}")]
    Damaged {
        /// The frame that was read.
        frame: FrameSpan,
        /// The check that it failed.
        source: FrameError,
    },
    /// The index or a frame table could not be read.
    #[error("could not read the index")]
    Index(#[source] IndexError),
    /// A level was repacked, and its new frame table could not be found.
    #[error("could not find the new frame table of level {level}, which was repacked")]
    Repacked {
        /// The level that was repacked.
        level: LevelId,
        /// Why the frame table could not be found.
        source: RepackedError,
    },
    /// An extent names a level that the manifest does not list.
    #[error("the index names level {}, which the manifest does not list", .0.0)]
    NoSuchLevel(LevelSerial),
    /// The store did not answer in time.
    #[error("the store did not answer in time")]
    Deadline,
    /// A bug: the thread that fetched a frame panicked.
    #[error("the fetch of a frame panicked: a bug in freezer, please report it")]
    Panicked,
    /// A point in time could not be opened, or the points could not be listed.
    #[error("could not open {point}")]
    Open {
        /// The point in time, as messages name it.
        point: String,
        /// The error of the source of points.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// More than a mount can number: 2^40 entries, or 2^24 points in time.
    #[error("there are more entries or points in time than a mount can number")]
    TooMany,
    /// One fetch failed for several readers that waited for it.
    #[error(transparent)]
    Shared(Arc<ReadError>),
}

impl From<IndexError> for ReadError {
    fn from(error: IndexError) -> Self {
        match error {
            IndexError::NotCached(_) => Self::WouldWait,
            error => Self::Index(error),
        }
    }
}

/// Error codes of system calls. Each front end has its own number for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Errno {
    /// `EIO`
    Io,
    /// `EACCES`
    Access,
    /// `ENOTDIR`
    NotADirectory,
    /// `EISDIR`
    IsADirectory,
    /// `EINVAL`
    Invalid,
    /// `ESTALE`
    Stale,
    /// `EOVERFLOW`
    Overflow,
    /// `EAGAIN`
    Again,
}

impl ReadError {
    /// Returns the code for the kernel. Never "no such file": an entry that cannot be read is not
    /// an entry that is missing. No wildcard, so that a new variant has to choose.
    pub fn errno(&self) -> Errno {
        match self {
            Self::WouldWait => Errno::Again,
            Self::NoSuchNode => Errno::Stale,
            Self::NotADirectory => Errno::NotADirectory,
            Self::IsADirectory => Errno::IsADirectory,
            Self::WrongKind => Errno::Invalid,
            Self::Fetch { source, .. } if source.kind() == store::ErrorKind::Denied => {
                Errno::Access
            }
            Self::Index(IndexError::Fetch { source, .. }) => {
                source.downcast_ref::<Self>().map_or(Errno::Io, Self::errno)
            }
            Self::TooMany => Errno::Overflow,
            Self::Shared(error) => error.errno(),
            Self::Fetch { .. }
            | Self::Damaged { .. }
            | Self::Index(_)
            | Self::Repacked { .. }
            | Self::NoSuchLevel(_)
            | Self::NotUnderstood(_)
            | Self::OtherContent(_)
            | Self::Deadline
            | Self::Panicked
            | Self::Open { .. } => Errno::Io,
        }
    }

    /// Whether the store lacks an object that should be there.
    pub(super) fn is_missing(&self) -> bool {
        match self {
            Self::Fetch { source, .. } => source.kind() == store::ErrorKind::Missing,
            Self::Index(IndexError::Fetch { source, .. }) => {
                source.downcast_ref::<Self>().is_some_and(Self::is_missing)
            }
            Self::Shared(error) => error.is_missing(),
            _ => false,
        }
    }

    /// Whether the store was unavailable, which may pass.
    pub(super) fn is_passing(&self) -> bool {
        match self {
            Self::Fetch { source, .. } => source.kind() == store::ErrorKind::Unavailable,
            Self::Shared(error) => error.is_passing(),
            _ => false,
        }
    }

    /// Returns the error and its causes in one line.
    pub(super) fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        text
    }
}
