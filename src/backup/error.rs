//! Why a run made no level.

use super::sources::SourceError;
use crate::catalog::{CatalogError, LockError};
use crate::format::frame::FrameError;
use crate::format::manifest::ManifestError;
use crate::format::segment::TooManySegments;
use crate::format::tar::TarError;
use crate::index::IndexError;
use crate::model::{Advice, BackupName, Interrupted, hints};
use crate::store;

/// Why there is no new level.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The sources cannot be backed up.
    #[error("nothing was backed up")]
    Source(#[source] SourceError),
    /// The sources hold no file, and the newest point in time had some.
    #[error(
        "{} no file any more, and the newest point in time of {backup} has {files}; no point in \
         time was added",
        if *.sources == 1 { "the source holds" } else { "the sources hold" }
    )]
    Emptied {
        /// The backup.
        backup: Box<BackupName>,
        /// How many sources there are.
        sources: usize,
        /// How many files the newest point in time has.
        files: u64,
    },
    /// The store did not take an object.
    #[error("could not store the backup")]
    Store(#[source] store::Error),
    /// The catalog could not be read, or the manifest could not be published.
    #[error("could not complete the backup")]
    Catalog(#[source] CatalogError),
    /// Another run of the same backup held the lock, or took it over before this run could publish.
    #[error("no point in time was added")]
    Lock(#[source] LockError),
    /// A frame could not be compressed or encrypted.
    #[error("could not compress or encrypt a frame")]
    Frame(#[source] FrameError),
    /// A block of the index is longer than a frame may be.
    #[error("a block of the index is longer than a frame may be")]
    BlockTooLong,
    /// The level needs more segments than can be numbered.
    #[error("could not store all data in one level")]
    Segments(#[source] TooManySegments),
    /// An entry could not be written as a tar member: a bug.
    #[error("could not write the tar stream")]
    Member(#[source] TarError),
    /// The index could not be written.
    #[error("could not write the index")]
    Index(#[source] IndexError),
    /// The index of the level that this one builds on could not be read.
    #[error("could not read the index of the previous level")]
    Base(#[source] IndexError),
    /// The manifest could not be encoded or sealed.
    #[error("could not make the manifest")]
    Manifest(#[source] ManifestError),
    /// The system did not start a thread.
    #[error("could not start a thread")]
    Thread(#[source] std::io::Error),
    /// The caller asked the run to stop.
    #[error("the backup was interrupted; no point in time was added")]
    Interrupted(#[source] Interrupted),
    /// Another part of the run failed; its error says why.
    #[error("the backup stopped because another part of it failed")]
    Stopped,
}

impl Advice for BackupError {
    fn hint(&self) -> Option<&str> {
        match self {
            Self::Interrupted(_) => {
                Some("run it again: it goes on from its last checkpoint, if it had reached one")
            }
            Self::Emptied { .. } => Some(
                "is the disk mounted, and is this the right path? If all is well, --allow-empty \
                 makes the point in time",
            ),
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
