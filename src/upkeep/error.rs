//! Why a check, a repair, a prune or a sync did not do all that it should.

use crate::catalog::{AccessError, CatalogError, LockError};
use crate::format::frame::FrameError;
use crate::format::manifest::ManifestError;
use crate::format::segment::TooManySegments;
use crate::index::IndexError;
use crate::model::{Advice, Interrupted, LevelId, hints};
use crate::store::{self, ObjectName};

/// A check did not take place, or ended early.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// The store could not be listed.
    #[error("could not list the store")]
    List(#[source] store::Error),
    /// The store refused or did not answer, which says nothing about what it holds.
    #[error("could not read the manifest of level {level}")]
    Manifest {
        /// The level of the manifest.
        level: LevelId,
        /// What the store said.
        source: AccessError,
    },
    /// The system gave no random number to choose segments by.
    #[error("could not choose which segments to read")]
    Random(#[source] getrandom::Error),
    /// The system gave no thread to read with.
    #[error("could not start a thread")]
    Thread(#[source] std::io::Error),
    /// The caller asked to stop.
    #[error("the check was interrupted")]
    Interrupted(#[source] Interrupted),
}

impl Advice for CheckError {
    fn hint(&self) -> Option<&str> {
        match self {
            Self::Thread(_) => Some(hints::THREADS),
            Self::Interrupted(_) => Some("nothing was changed; the damage named so far holds"),
            Self::List(_) | Self::Manifest { .. } | Self::Random(_) => None,
        }
    }
}

/// A repair did not take place, or ended early. Nothing that could be read before is worse than it
/// was; the repair can be repeated.
#[derive(Debug, thiserror::Error)]
pub enum RepairError {
    /// The check failed.
    #[error("could not find out what is damaged")]
    Check(#[source] CheckError),
    /// The store did not answer, which says nothing about what it holds.
    #[error("could not find out what is damaged")]
    Outage(#[source] Box<IndexError>),
    /// The root of a frame table is malformed.
    #[error("a frame table is malformed")]
    Index(#[source] IndexError),
    /// A block could not be sealed.
    #[error("could not make a block of an index or a frame table")]
    Frame(#[source] FrameError),
    /// A block is longer than memory can hold.
    #[error("a block is too long for this machine's memory")]
    TooLong,
    /// The store failed.
    #[error("could not use the store")]
    Store(#[source] store::Error),
    /// The note of the points in time that go could not be stored.
    #[error("stopped before anything was removed")]
    Note(#[source] PruneError),
    /// The lock was lost.
    #[error("stopped before anything was removed")]
    Lock(#[source] LockError),
}

impl Advice for RepairError {
    fn hint(&self) -> Option<&str> {
        match self {
            Self::Outage(_) => {
                Some("try again when the store can be reached: nothing was taken for damaged")
            }
            Self::Check(_)
            | Self::Index(_)
            | Self::Frame(_)
            | Self::TooLong
            | Self::Store(_)
            | Self::Note(_)
            | Self::Lock(_) => None,
        }
    }
}

/// A prune or a repack did not take place, or ended early. Every point in time that is left still
/// has all that it needs.
#[derive(Debug, thiserror::Error)]
pub enum PruneError {
    /// The backup's levels could not be listed, or the data of cut-off runs could not be removed.
    #[error("could not list the points in time and data of the backup")]
    Catalog(#[source] CatalogError),
    /// The store could not be listed or read.
    #[error("could not list the points in time and data of the backup")]
    List(#[source] store::Error),
    /// The store refused or did not answer, which says nothing about the manifest.
    #[error("could not read the manifest of level {level}")]
    Manifest {
        /// The level of the manifest.
        level: LevelId,
        /// What the store said.
        source: AccessError,
    },
    /// A manifest could not be removed, or the note of that could not be stored.
    #[error("could not withdraw a point in time")]
    Withdraw(#[source] store::Error),
    /// The note of what goes could not be sealed.
    #[error("could not make a note of the points in time that go")]
    Note(#[source] ManifestError),
    /// A run that was cut off still claims the level, and the claim cannot be removed.
    #[error("level {level} is still claimed by a run that was cut off")]
    Claimed {
        /// The claimed level.
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
        /// The level of the frame table.
        level: LevelId,
        /// What went wrong.
        source: IndexError,
    },
    /// Copied frames, or the record of their repack, could not be stored.
    #[error("could not store copied frames")]
    Store(#[source] store::Error),
    /// A block of a frame table could not be made.
    #[error("could not make a frame table")]
    Frame(#[source] FrameError),
    /// The record of a repack could not be sealed.
    #[error("could not make the root of a frame table")]
    Seal(#[source] ManifestError),
    /// The level has no numbers for segments left.
    #[error("the level cannot be repacked")]
    Segments(#[source] TooManySegments),
    /// The system gave no random number.
    #[error("could not make the name of an object")]
    Random(#[source] getrandom::Error),
    /// The caller asked to stop.
    #[error("the prune was interrupted; all that is left is whole")]
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
            | Self::Note(_)
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

/// A sync did not take place, or ended early. The levels of the copy are whole, and the next sync
/// goes on from there.
#[derive(Debug, thiserror::Error)]
pub enum SyncError {
    /// The levels of one of the two stores could not be listed, or a level not be published.
    #[error("could not bring the copy up to date")]
    Catalog(#[source] CatalogError),
    /// One of the two stores could not be listed.
    #[error("could not find out what the copy lacks")]
    List(#[source] store::Error),
    /// The store refused or did not answer, which says nothing about the manifest.
    #[error("could not read the manifest of level {level}")]
    Manifest {
        /// The level of the manifest.
        level: LevelId,
        /// What the store said.
        source: AccessError,
    },
    /// An object could not be read from the one store or stored in the other.
    #[error("could not copy {object}")]
    Copy {
        /// The object.
        object: ObjectName,
        /// What the store said.
        source: store::Error,
    },
    /// The store did not answer, so it is not known what the objects of a level must hold.
    #[error("could not read the frame table of level {level}")]
    Table {
        /// The level.
        level: LevelId,
        /// What the store said.
        source: Box<IndexError>,
    },
    /// The note of lost data of a level could not be stored in the copy.
    #[error("could not store a note of lost data in the copy")]
    Note(#[source] store::Error),
    /// The copy cannot take over a repack: it needs more of that level, or has repacked it too.
    #[error("level {level} was repacked in one of the stores, and is not the same in the other")]
    Repacked {
        /// The level.
        level: LevelId,
    },
    /// The lock was lost.
    #[error("stopped before a level was published")]
    Lock(#[source] LockError),
    /// The caller asked to stop.
    #[error("the sync was interrupted; the levels of the copy are whole")]
    Interrupted(#[source] Interrupted),
}

impl Advice for SyncError {
    fn hint(&self) -> Option<&str> {
        match self {
            Self::Copy { .. } | Self::Table { .. } | Self::Note(_) | Self::Interrupted(_) => {
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
