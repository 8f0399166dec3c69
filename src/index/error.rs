//! Errors of indexes and frame tables.

use super::block_address::{BlockAddress, BlockPlace};
use crate::model::{StreamOffset, TreePath};
use std::borrow::Cow;
use std::sync::Arc;

/// Why an index or a frame table could not be read or written.
///
/// Can be cloned, so that every thread that waited for one block gets the same error.
#[derive(Clone, Debug, thiserror::Error)]
pub enum IndexError {
    /// The bytes break a rule of the format: they are damaged, or a newer version wrote them.
    #[error("{block} is malformed: {what}")]
    Malformed {
        /// The rule that the block breaks.
        what: Cow<'static, str>,
        /// The malformed block.
        block: BlockPlace,
    },
    /// The source did not return a block. The next call that needs the block tries again.
    #[error("could not fetch {address}")]
    Fetch {
        /// The block.
        address: BlockAddress,
        /// The error of the [`BlockSource`](super::BlockSource).
        source: Arc<dyn std::error::Error + Send + Sync>,
    },
    /// The call may use only blocks in memory, and one that it needs is not there: see
    /// [`Tree::cached_only`](super::Tree::cached_only).
    #[error("{0} is not in memory")]
    NotCached(BlockAddress),
    /// The sink did not store a block. The run cannot be finished.
    #[error("could not store a block of the index")]
    Store {
        /// The error of the [`BlockSink`](super::BlockSink).
        source: Arc<dyn std::error::Error + Send + Sync>,
    },
    /// The stream ends at or before the wanted byte.
    #[error("the stream ends at byte {}, before byte {}", .end.0, .at.0)]
    PastEnd {
        /// The wanted byte.
        at: StreamOffset,
        /// Where the stream ends.
        end: StreamOffset,
    },
    /// No point in time needed the bytes when the table was written, so they were removed.
    #[error("byte {} of the stream has been removed", .at.0)]
    Gone {
        /// The wanted byte.
        at: StreamOffset,
    },
    /// An entry or a row does not come after the previous one: a bug of the writer's caller.
    #[error("{what} was pushed out of order")]
    OutOfOrder {
        /// The entry or row.
        what: String,
    },
    /// An index cannot hold this entry. The writer continues as if it had not been pushed.
    #[error("the index cannot hold {path}: {what}")]
    Unfit {
        /// The path of the entry.
        path: TreePath,
        /// The rule that the entry breaks.
        what: &'static str,
    },
}

impl IndexError {
    /// Makes the error of a [`BlockSource`](super::BlockSource) that did not return a block.
    pub fn fetch(
        address: BlockAddress,
        source: impl std::error::Error + Send + Sync + 'static,
    ) -> Self {
        Self::Fetch {
            address,
            source: Arc::new(source),
        }
    }

    /// Makes the error of a [`BlockSink`](super::BlockSink) that did not store a block.
    pub fn store(source: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::Store {
            source: Arc::new(source),
        }
    }
}

/// The rule that some bytes break, before their block is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Flaw(pub(super) Cow<'static, str>);

impl Flaw {
    /// Makes an error that names the block.
    pub(super) fn within(self, block: BlockPlace) -> IndexError {
        IndexError::Malformed {
            what: self.0,
            block,
        }
    }

    /// Adds the rank of the entry that has the flaw.
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
