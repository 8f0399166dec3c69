//! What can go wrong with a read.

use crate::catalog::stream::RepackedError;
use crate::format::frame::{FrameError, Lane};
use crate::index::IndexError;
use crate::model::{FrameNo, LevelId, LevelSerial};
use crate::store::{self, ObjectName};
use std::fmt;
use std::sync::Arc;

/// Where a frame is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrameSpan {
    /// Which sequence of frames it belongs to.
    pub lane: Lane,
    /// Its place in the sequence.
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
            Lane::Repacked => "frame table root",
            Lane::Checkpoint => "checkpoint",
        };
        write!(f, "{what} {} of segment {}", self.number.0, self.segment)
    }
}

/// Why something of a point in time could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The answer needs bytes that are not in memory, and the caller does not wait: see
    /// [`View::at_hand`](super::view::View::at_hand).
    #[error("that is not in memory")]
    WouldWait,
    /// No entry has that number.
    #[error("there is no such entry")]
    NoSuchNode,
    /// It is not a directory.
    #[error("it is not a directory")]
    NotADirectory,
    /// It is a directory, and has no content to read.
    #[error("it is a directory")]
    IsADirectory,
    /// It is of another kind than the call is for.
    #[error("it is not of a kind that can do that")]
    WrongKind,
    /// The store did not hand over the bytes.
    #[error("could not fetch {frame}")]
    Fetch {
        /// What was asked for.
        frame: FrameSpan,
        /// What the store said.
        source: store::Error,
    },
    /// Damage, tampering or the wrong key.
    #[error("could not use {frame}")]
    Damaged {
        /// What was read.
        frame: FrameSpan,
        /// What is wrong with it.
        source: FrameError,
    },
    /// The index or a frame table could not be read.
    #[error("could not read the index")]
    Index(#[source] IndexError),
    /// A level was repacked, and where to could not be found out.
    #[error("could not find where level {level} was repacked to")]
    Repacked {
        /// Which level.
        level: LevelId,
        /// Why.
        source: RepackedError,
    },
    /// An extent names a level that the manifest does not.
    #[error("the index names level {}, which the manifest does not", .0.0)]
    NoSuchLevel(LevelSerial),
    /// The store did not answer in time.
    #[error("the store did not answer in time")]
    Deadline,
    /// A bug in the fetch.
    #[error("the fetch of a frame panicked")]
    Panicked,
    /// A point in time could not be opened, or the points could not be listed.
    #[error("could not open {point}")]
    Open {
        /// Which one.
        point: String,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Numbers that no mount can hold: 2^40 entries, or 2^24 levels.
    #[error("there are more entries or levels than a mount can number")]
    TooMany,
    /// One fetch failed for several who waited for it.
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

/// What a system call says of an error; each front end has its own number for it.
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
    /// What the kernel is told. No wildcard: a new variant has to choose. Never "no such file":
    /// what cannot be read is not what is not there.
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
            | Self::Deadline
            | Self::Panicked
            | Self::Open { .. } => Errno::Io,
        }
    }

    /// Whether an object is not there that should be.
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

    /// Whether the store had trouble that may pass.
    pub(super) fn is_passing(&self) -> bool {
        match self {
            Self::Fetch { source, .. } => source.kind() == store::ErrorKind::Unavailable,
            Self::Shared(error) => error.is_passing(),
            _ => false,
        }
    }

    /// The error and its causes in one line.
    #[cfg_attr(
        windows,
        expect(
            dead_code,
            reason = "the front ends log it, and there is none for Windows"
        )
    )]
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
