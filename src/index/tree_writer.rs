//! Writes the tree of a point in time.

use super::run_writer::{self, RunWriter};
use super::{BlockSink, HeadBlock, IndexError, MAX_BLOCK_BYTES, RunRoot, entry_codec, key};
use crate::model::{Entry, NodeId};

/// An upper bound of the bytes that a block needs besides the value of its only entry.
const BLOCK_OVERHEAD_BYTES: usize = 64 * 1024;

/// Writes the tree of a point in time from its entries in index order: the entries of a directory,
/// sorted by name, then its subdirectories in the same order, each with everything below it. Holds
/// one unfinished block for each height of the tree, however many entries there are.
#[derive(Debug, Default)]
pub struct TreeWriter {
    run: RunWriter,
    /// Buffers for a key and a value.
    key: Vec<u8>,
    value: Vec<u8>,
}

impl TreeWriter {
    /// Begins a tree. The first entry must be the root.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns how many entries were pushed, which is the rank of the next one.
    pub fn entries(&self) -> u64 {
        self.run.entries()
    }

    /// Appends an entry and returns its rank. If the run is the only one of a tree, the rank is the
    /// entry's node. A link names its target by the rank in this run.
    ///
    /// # Errors
    ///
    /// [`IndexError::Unfit`] and [`IndexError::OutOfOrder`] leave the writer unchanged. After an
    /// error of the sink, the tree cannot be finished.
    pub fn push(&mut self, entry: &Entry, sink: &mut dyn BlockSink) -> Result<NodeId, IndexError> {
        key::of_path_into(&entry.path, &mut self.key);
        let unfit = |what| IndexError::Unfit {
            path: entry.path.clone(),
            what,
        };
        if !run_writer::fits(&self.key) {
            return Err(unfit("its path is too long"));
        }
        if !self.run.may_follow(&self.key) {
            return Err(IndexError::OutOfOrder {
                what: entry.path.to_string(),
            });
        }
        entry_codec::check(entry).map_err(unfit)?;
        if entry
            .link_to
            .is_some_and(|first| first.0 >= self.run.entries())
        {
            return Err(unfit("it links to an entry that does not come before it"));
        }
        entry_codec::encode(entry, &mut self.value);
        if self.value.len() > MAX_BLOCK_BYTES - BLOCK_OVERHEAD_BYTES {
            return Err(unfit("it has too many extents or extended attributes"));
        }
        self.run.push(&self.key, &self.value, sink).map(NodeId)
    }

    /// Marks a key of older runs as gone; see [`entry_codec::GONE`].
    pub(super) fn push_gone(
        &mut self,
        key: &[u8],
        sink: &mut dyn BlockSink,
    ) -> Result<(), IndexError> {
        if !self.run.may_follow(key) {
            return Err(IndexError::OutOfOrder {
                what: key.escape_ascii().to_string(),
            });
        }
        self.run.push(key, &entry_codec::GONE, sink).map(drop)
    }

    /// Ends a copy of the tree here: returns what [`finish`](Self::finish) would return. The writer
    /// itself continues unchanged. The sink gets a block of each height for the copy.
    ///
    /// # Errors
    ///
    /// The errors of the sink.
    pub fn so_far(&self, sink: &mut dyn BlockSink) -> Result<RunRoot, IndexError> {
        self.run.so_far(sink)
    }

    /// Ends the tree. A small tree, up to 64 KiB, fits into the root: the sink then gets no block.
    ///
    /// # Errors
    ///
    /// The errors of the sink.
    pub fn finish(self, sink: &mut dyn BlockSink) -> Result<RunRoot, IndexError> {
        self.run.finish(sink)
    }

    /// Ends the tree, and also returns the blocks at the beginning of the root's listing. With
    /// them, listing the root needs no other block.
    ///
    /// # Errors
    ///
    /// The errors of the sink.
    pub fn finish_with_head(
        self,
        sink: &mut dyn BlockSink,
    ) -> Result<(RunRoot, Vec<HeadBlock>), IndexError> {
        self.run.finish_with_head(sink)
    }
}
