//! What can go wrong with an index or a frame table.

use super::BlockAddress;
use crate::model::{StreamOffset, TreePath};
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

/// Why an index or a frame table could not be read or written.
///
/// Can be cloned, so that all who waited for one block are told the same.
#[derive(Clone, Debug, thiserror::Error)]
pub enum IndexError {
    /// The bytes are not what a writer of this format leaves: damage, or a newer version.
    #[error("{block} is malformed: {what}")]
    Malformed {
        /// What is wrong with it.
        what: Cow<'static, str>,
        /// In which block.
        block: BlockPlace,
    },
    /// A block could not be had. The next call that needs it tries again.
    #[error("could not fetch {address}")]
    Fetch {
        /// Which block.
        address: BlockAddress,
        /// What the [`BlockSource`](super::BlockSource) said.
        source: Arc<dyn std::error::Error + Send + Sync>,
    },
    /// Only blocks in memory may be used here, and one that is needed is not among them: see
    /// [`Tree::cached_only`](super::Tree::cached_only).
    #[error("{0} is not in memory")]
    NotCached(BlockAddress),
    /// A block could not be stored; the run cannot be finished.
    #[error("could not store a block of the index")]
    Store {
        /// What the [`BlockSink`](super::BlockSink) said.
        source: Arc<dyn std::error::Error + Send + Sync>,
    },
    /// The stream ends at or before the place that was asked for.
    #[error("the stream ends at byte {}, before byte {}", .end.0, .at.0)]
    PastEnd {
        /// What was asked for.
        at: StreamOffset,
        /// Where the stream ends.
        end: StreamOffset,
    },
    /// Nothing needed the bytes any more when the table was written, and they have gone.
    #[error("byte {} of the stream has been removed", .at.0)]
    Gone {
        /// What was asked for.
        at: StreamOffset,
    },
    /// What was pushed does not come after what was pushed before it. A bug of the writer's caller.
    #[error("{what} was pushed out of order")]
    OutOfOrder {
        /// What was pushed.
        what: String,
    },
    /// This entry cannot be kept in an index. The writer goes on as if it had not been pushed.
    #[error("{path} cannot be kept in the index: {what}")]
    Unfit {
        /// Which entry.
        path: TreePath,
        /// Which rule it breaks.
        what: &'static str,
    },
}

impl IndexError {
    /// A failed fetch of `address`, for [`BlockSource`](super::BlockSource)s.
    pub fn fetch(
        address: BlockAddress,
        source: impl std::error::Error + Send + Sync + 'static,
    ) -> Self {
        Self::Fetch {
            address,
            source: Arc::new(source),
        }
    }

    /// A failed append, for [`BlockSink`](super::BlockSink)s.
    pub fn store(source: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::Store {
            source: Arc::new(source),
        }
    }
}

/// Where a malformed block stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockPlace {
    /// The root, in the manifest.
    Root,
    /// A block of its own.
    At(BlockAddress),
}

impl fmt::Display for BlockPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => f.write_str("the root block"),
            Self::At(address) => address.fmt(f),
        }
    }
}

/// What is wrong with some bytes, said before it is known in which block they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Flaw(pub(super) Cow<'static, str>);

impl Flaw {
    /// Names the block.
    pub(super) fn within(self, block: BlockPlace) -> IndexError {
        IndexError::Malformed {
            what: self.0,
            block,
        }
    }

    /// Says which entry of the run has the flaw.
    pub(super) fn of_entry(self, rank: u64) -> Self {
        Self(format!("entry {rank}: {}", self.0).into())
    }
}

impl From<&'static str> for Flaw {
    fn from(what: &'static str) -> Self {
        Self(Cow::Borrowed(what))
    }
}

impl From<String> for Flaw {
    fn from(what: String) -> Self {
        Self(Cow::Owned(what))
    }
}
