//! The tree that a restore reads.

use crate::format::content_hash::ContentHashing;
use crate::model::{Entry, NodeId, TreePath};
use std::error::Error;
use std::ops::ControlFlow;

/// The tree of a point in time, which many threads read at once.
pub trait RestoreSource: Sync {
    /// Why an entry could not be read. It concerns that entry alone: the next call may succeed.
    type Error: Error + Send + Sync + 'static;

    /// The content of one file, looked up once so that many pieces of it can be read.
    type Content: Send + Sync;

    /// Finds the entry at `path`. The root is always there.
    fn find(&self, path: &TreePath) -> Result<Option<(NodeId, Entry)>, Self::Error>;

    /// Returns the entries of a directory in bytewise order of names. Ends with the first error.
    fn children(
        &self,
        directory: NodeId,
    ) -> impl Iterator<Item = Result<(NodeId, Entry), Self::Error>>;

    /// Returns the content of a regular file.
    fn content(&self, entry: &Entry) -> Result<Self::Content, Self::Error>;

    /// Returns how the content of files was hashed.
    fn hashing(&self) -> ContentHashing;

    /// Calls `take` with `length` bytes of a file from `from` on, piece after piece, until it
    /// breaks.
    ///
    /// The range lies within one extent of the file and is at most 4 MiB long. Succeeds only when
    /// all bytes were taken, or `take` broke.
    fn read(
        &self,
        content: &Self::Content,
        from: u64,
        length: u64,
        take: &mut dyn FnMut(&[u8]) -> ControlFlow<()>,
    ) -> Result<(), Self::Error>;
}
