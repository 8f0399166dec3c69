//! What a restore reads from.

use crate::model::{Entry, NodeId, TreePath};
use std::error::Error;
use std::ops::ControlFlow;

/// A tree of a point in time, read by many threads at once.
pub trait Source: Sync {
    /// Why something could not be read. It concerns that thing alone: the next call may succeed.
    type Error: Error + Send + Sync + 'static;

    /// Whatever makes reading one file cheap, however many pieces it is in.
    type Content: Send + Sync;

    /// What is at `path`; the root is always there.
    fn find(&self, path: &TreePath) -> Result<Option<(NodeId, Entry)>, Self::Error>;

    /// The entries of a directory in bytewise order of names. Ends with the first error.
    fn children(
        &self,
        directory: NodeId,
    ) -> impl Iterator<Item = Result<(NodeId, Entry), Self::Error>>;

    /// The content of a regular file.
    fn content(&self, entry: &Entry) -> Result<Self::Content, Self::Error>;

    /// Calls `take` with the bytes of a file from `from` on, piece after piece, `length` in all,
    /// until it breaks.
    ///
    /// The range lies within one extent of the file and is 4 MiB at most. Ends well only when all
    /// was taken, or `take` broke.
    fn read(
        &self,
        content: &Self::Content,
        from: u64,
        length: u64,
        take: &mut dyn FnMut(&[u8]) -> ControlFlow<()>,
    ) -> Result<(), Self::Error>;
}
