//! How a tree becomes a level.
//!
//! One direction, each arrow a bounded channel, each box a thread or several:
//!
//! ```text
//! walk ─steps→ read (×n) ─found, in order→ archive ─raw frames→ seal (×n) ─→ collect ─segments→ uploads (×n) → store
//!                                             └──index blocks──────────────────────────────────────↑
//! ```
//!
//! When all have ended well, the manifest is published: that makes the level exist. Nothing comes
//! back up but errors and progress. Start reading at [`run`].
//!
//! Invariants: an entry's extents point at bytes that went into the stream before it went into the
//! index; the stream is a tar archive whatever happens to the files; memory does not grow with the
//! number of files.

mod archive;
mod base;
mod blocks;
mod checkpoint;
mod collect;
mod compare;
mod content;
mod index_writer;
mod lane;
mod live;
mod moved;
mod read;
mod resume;
mod run;
mod sources;
mod stream;
mod uploads;
mod walk;

pub use archive::Taken;
pub use base::Levels;
pub use blocks::{BlockOptions, Engine};
pub use checkpoint::CheckpointRule;
pub use compare::{Evidence, Lies, SameContent};
pub use read::Unread;
pub use run::{BackupRequest, Lock, Report, run};
pub use sources::SourceError;
pub use stream::{FrameSizes, LARGE_FILE_BYTES};
pub use walk::Mounts;

use crate::catalog::{CatalogError, LockError};
use crate::format::frame::FrameError;
use crate::format::manifest::ManifestError;
use crate::format::segment::TooManySegments;
use crate::format::tar::TarError;
use crate::index::IndexError;
use crate::model::{Advice, Interrupted, hints};
use crate::store;

/// Why there is no new level.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// What was to be backed up cannot be.
    #[error("nothing was backed up")]
    Source(#[source] SourceError),
    /// The store did not take an object.
    #[error("the backup could not be stored")]
    Store(#[source] store::Error),
    /// The catalog could not be read, or the manifest not be published.
    #[error("the backup could not be completed")]
    Catalog(#[source] CatalogError),
    /// Another run of the same backup is under way, or was when this one was to be completed.
    #[error("there is no new level")]
    Lock(#[source] LockError),
    /// A frame could not be made.
    #[error("a frame could not be made")]
    Frame(#[source] FrameError),
    /// A block of the index is longer than a frame may be.
    #[error("a block of the index is too long")]
    BlockTooLong,
    /// Too many segments.
    #[error("the level is too long")]
    Segments(#[source] TooManySegments),
    /// An entry could not be written as a member: a bug.
    #[error("the stream could not be written")]
    Member(#[source] TarError),
    /// The index could not be written.
    #[error("the index could not be written")]
    Index(#[source] IndexError),
    /// The index of the level it is compared with could not be read.
    #[error("the index of the last level could not be read")]
    Base(#[source] IndexError),
    /// The manifest could not be made.
    #[error("the manifest could not be made")]
    Manifest(#[source] ManifestError),
    /// A thread could not be started.
    #[error("a thread could not be started")]
    Thread(#[source] std::io::Error),
    /// It was asked to stop.
    #[error("the backup was interrupted; it left no level")]
    Interrupted(#[source] Interrupted),
    /// Another part of the run has failed, and said why.
    #[error("the backup was stopped")]
    Stopped,
}

impl Advice for BackupError {
    fn hint(&self) -> Option<&str> {
        match self {
            Self::Interrupted(_) => {
                Some("run it again: it goes on from its last checkpoint, if it had reached one")
            }
            Self::Thread(_) => Some(hints::THREADS),
            Self::Segments(_) => Some("allow larger segments: --max-segment-size"),
            Self::Base(_) => {
                Some("freezer check names what is damaged; --no-incremental needs no earlier level")
            }
            Self::BlockTooLong | Self::Member(_) | Self::Index(_) | Self::Stopped => {
                Some(hints::BUG)
            }
            Self::Lock(_)
            | Self::Source(_)
            | Self::Store(_)
            | Self::Catalog(_)
            | Self::Frame(_)
            | Self::Manifest(_) => None,
        }
    }
}
