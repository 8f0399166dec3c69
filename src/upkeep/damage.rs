//! What a check can find.

use crate::catalog::stream::RepackedError;
use crate::catalog::{AccessError, TreeError};
use crate::format::frame::FrameError;
use crate::index::IndexError;
use crate::model::TreePath;
use crate::store::{self, ObjectName};

/// One thing that is not as it should be.
#[derive(Debug, thiserror::Error)]
pub enum Damage {
    /// The level cannot be opened at all.
    #[error("the manifest cannot be read")]
    Manifest(#[source] AccessError),
    /// An object that must be there is not.
    #[error("{0} is missing")]
    Missing(ObjectName),
    /// An object has not the length that its frames fill.
    #[error("{object} has {found} bytes, and should have {expected}")]
    Length {
        /// Which.
        object: ObjectName,
        /// What the store says.
        found: u64,
        /// What the frame table says.
        expected: u64,
    },
    /// A part of a frame table cannot be read.
    #[error("the frame table cannot be read from frame {frame} on")]
    FrameTable {
        /// Where it begins to be unreadable.
        frame: u64,
        /// Why.
        source: IndexError,
    },
    /// Where a level was repacked to cannot be read.
    #[error("{object} cannot be read")]
    Repacked {
        /// What should say so.
        object: ObjectName,
        /// Why.
        source: RepackedError,
    },
    /// The frame table does not account for the whole stream.
    #[error("the frame table ends at byte {found} of the stream, which has {expected}")]
    StreamEnd {
        /// Where it ends.
        found: u64,
        /// What the manifest says.
        expected: u64,
    },
    /// A frame does not lie where frames can lie.
    #[error("frame {frame} lies outside of its segment {object}")]
    Place {
        /// Which frame.
        frame: u64,
        /// Where it should lie.
        object: ObjectName,
    },
    /// A frame could not be fetched.
    #[error("frame {frame} of {object} cannot be fetched")]
    Fetch {
        /// Which frame.
        frame: u64,
        /// Where it lies.
        object: ObjectName,
        /// What the store said.
        source: store::Error,
    },
    /// A frame is not what was stored.
    #[error("frame {frame} of {object} is damaged")]
    Frame {
        /// Which frame.
        frame: u64,
        /// Where it lies.
        object: ObjectName,
        /// What is wrong with it.
        source: FrameError,
    },
    /// The index cannot be opened.
    #[error("the index cannot be opened")]
    Index(#[source] TreeError),
    /// A part of the index cannot be read that this point in time does not need, but those that
    /// lean on it may.
    #[error("a part of the index that newer parts replace cannot be read")]
    Replaced(#[source] IndexError),
    /// What is in a directory cannot be read, from some name on.
    #[error("what is in {path:?} cannot be read")]
    Directory {
        /// Which directory.
        path: TreePath,
        /// Why.
        source: IndexError,
    },
    /// The tree has another number of entries than the manifest says.
    #[error("the tree has {found} entries, and should have {expected}")]
    Entries {
        /// How many were found.
        found: u64,
        /// How many the manifest says.
        expected: u64,
    },
    /// An extent names a level or a part of a stream that is not there.
    #[error("{0:?} leans on a part of the stream that does not exist")]
    Extent(TreePath),
    /// A file whose content is touched by damage that was told before.
    #[error("{0:?} cannot be read as a whole")]
    File(TreePath),
}
