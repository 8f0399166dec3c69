//! Why a prune or a sync did not do all that it should.

use crate::catalog::{AccessError, CatalogError, LockError};
use crate::format::frame::FrameError;
use crate::format::manifest::ManifestError;
use crate::format::segment::TooManySegments;
use crate::index::IndexError;
use crate::model::{Advice, Interrupted, LevelId};
use crate::store::{self, ObjectName};

/// A prune did not take place, or ended early. No point in time that is left misses anything then.
#[derive(Debug, thiserror::Error)]
pub enum PruneError {
    /// The backup's levels could not be listed, or what cut-off runs left not be removed.
    #[error("could not find out what there is")]
    Catalog(#[source] CatalogError),
    /// The store could not be listed or read.
    #[error("could not find out what there is")]
    List(#[source] store::Error),
    /// The store refused or did not answer: that says nothing of the manifest.
    #[error("could not read the manifest of level {level}")]
    Manifest {
        /// Of which level.
        level: LevelId,
        /// What went wrong.
        source: AccessError,
    },
    /// A manifest could not be removed, or no note of it be left.
    #[error("could not withdraw a point in time")]
    Withdraw(#[source] store::Error),
    /// A run that was cut off still claims the level, and the claim cannot be removed.
    #[error("level {level} is still claimed by a run that was cut off")]
    Claimed {
        /// Which.
        level: LevelId,
    },
    /// Data that nothing needs could not be removed.
    #[error("could not remove data that nothing needs")]
    Remove(#[source] store::Error),
    /// The lock was lost.
    #[error("stopped before anything was removed that a new level might need")]
    Lock(#[source] LockError),
    /// A frame table could not be read or written.
    #[error("could not copy the frame table of level {level}")]
    Table {
        /// Of which level.
        level: LevelId,
        /// What went wrong.
        source: IndexError,
    },
    /// What was copied could not be stored.
    #[error("could not store what was copied")]
    Store(#[source] store::Error),
    /// A block of a frame table could not be made.
    #[error("could not make a frame table")]
    Frame(#[source] FrameError),
    /// What supersedes a frame table could not be made.
    #[error("could not make the root of a frame table")]
    Seal(#[source] ManifestError),
    /// There are no more numbers for segments.
    #[error("the level cannot be repacked")]
    Segments(#[source] TooManySegments),
    /// No random number could be had.
    #[error("could not make a name")]
    Random(#[source] getrandom::Error),
    /// It was asked to stop.
    #[error("the prune was interrupted; what is left is whole")]
    Interrupted(#[source] Interrupted),
}

impl Advice for PruneError {
    fn hint(&self) -> Option<&str> {
        match self {
            Self::Claimed { .. } => Some(
                "the claim is below locks/ in the store; remove it by hand if the store cannot",
            ),
            Self::Remove(_) | Self::Interrupted(_) => {
                Some("run it again: it goes on where this one ended")
            }
            Self::Catalog(_)
            | Self::List(_)
            | Self::Manifest { .. }
            | Self::Withdraw(_)
            | Self::Table { .. }
            | Self::Store(_)
            | Self::Frame(_)
            | Self::Seal(_)
            | Self::Segments(_)
            | Self::Lock(_)
            | Self::Random(_) => None,
        }
    }
}

/// A sync did not take place, or ended early. What the copy has is whole, and the next sync goes on
/// from there.
#[derive(Debug, thiserror::Error)]
pub enum SyncError {
    /// The levels of one of the two could not be listed, or a level not be published.
    #[error("could not bring the copy up to date")]
    Catalog(#[source] CatalogError),
    /// One of the two could not be listed.
    #[error("could not find out what is missing")]
    List(#[source] store::Error),
    /// The store refused or did not answer: that says nothing of the manifest.
    #[error("could not read the manifest of level {level}")]
    Manifest {
        /// Of which level.
        level: LevelId,
        /// What went wrong.
        source: AccessError,
    },
    /// An object could not be read from the one or stored in the other.
    #[error("could not copy {object}")]
    Copy {
        /// Which.
        object: ObjectName,
        /// What went wrong.
        source: store::Error,
    },
    /// What is lost of a level could not be noted in the copy.
    #[error("could not note what is lost of a level")]
    Note(#[source] store::Error),
    /// The copy cannot take over where a level was repacked to: it needs more of that level, or has
    /// repacked it too.
    #[error("level {level} was repacked in one of the stores, and is not the same in the other")]
    Repacked {
        /// Which.
        level: LevelId,
    },
    /// The lock was lost.
    #[error("stopped before a level was published")]
    Lock(#[source] LockError),
    /// It was asked to stop.
    #[error("the sync was interrupted; what the copy has is whole")]
    Interrupted(#[source] Interrupted),
}

impl Advice for SyncError {
    fn hint(&self) -> Option<&str> {
        match self {
            Self::Copy { .. } | Self::Note(_) | Self::Interrupted(_) => {
                Some("run freezer sync again: it goes on where this one ended")
            }
            Self::Repacked { .. } => Some(
                "repack only the first of the two, and prune the copy by the same rules; or make \
                 a new copy elsewhere",
            ),
            Self::Catalog(_) | Self::List(_) | Self::Manifest { .. } | Self::Lock(_) => None,
        }
    }
}
