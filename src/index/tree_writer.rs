//! Writing the tree of a point in time.

use super::run_writer::{self, RunWriter};
use super::{BlockSink, HeadBlock, IndexError, MAX_BLOCK_BYTES, RunRoot, entry_codec, key};
use crate::model::{Entry, NodeId};

/// What a block needs beside the value of its only entry, with some to spare.
const BLOCK_OVERHEAD_BYTES: usize = 64 * 1024;

/// Writes the tree of a point in time from its entries in index order: directory by directory, each
/// with its entries sorted by name, and after them its subdirectories in that order, each with all
/// that is below it. Holds one unfinished block for each height of the tree, however many entries
/// it has.
#[derive(Debug, Default)]
pub struct TreeWriter {
    run: RunWriter,
    /// Room for a key and a value, to be used again.
    key: Vec<u8>,
    value: Vec<u8>,
}

impl TreeWriter {
    /// Begins a tree. The first entry to be pushed is the root.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many entries were pushed, and so the rank of the next.
    pub fn entries(&self) -> u64 {
        self.run.entries()
    }

    /// Appends an entry and returns its rank, which is its node if the run is the only one of a
    /// tree. What it is a link to is named by its rank in this run.
    ///
    /// # Errors
    ///
    /// [`IndexError::Unfit`] and [`IndexError::OutOfOrder`] leave the writer as it was. After an
    /// error of the sink the tree cannot be finished.
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
            return Err(unfit(
                "it is a link to an entry that does not come before it",
            ));
        }
        entry_codec::encode(entry, &mut self.value);
        if self.value.len() > MAX_BLOCK_BYTES - BLOCK_OVERHEAD_BYTES {
            return Err(unfit("it has too many extents or extended attributes"));
        }
        self.run.push(&self.key, &self.value, sink).map(NodeId)
    }

    /// Says that what older runs have under this key is gone; see [`entry_codec::GONE`].
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

    /// What [`finish`](Self::finish) would give if nothing else came. The writer goes on as if it
    /// had not been asked; the sink has gained a block of each height.
    ///
    /// # Errors
    ///
    /// Those of the sink.
    pub fn so_far(&self, sink: &mut dyn BlockSink) -> Result<RunRoot, IndexError> {
        self.run.so_far(sink)
    }

    /// Ends the tree. A small one, of about 16 KiB, is all in the root and leaves nothing in the
    /// sink.
    ///
    /// # Errors
    ///
    /// Those of the sink.
    pub fn finish(self, sink: &mut dyn BlockSink) -> Result<RunRoot, IndexError> {
        self.run.finish(sink)
    }

    /// The same, and the blocks that hold the beginning of the root's listing: with them at hand,
    /// looking into the root takes no other block.
    ///
    /// # Errors
    ///
    /// Those of the sink.
    pub fn finish_with_head(
        self,
        sink: &mut dyn BlockSink,
    ) -> Result<(RunRoot, Vec<HeadBlock>), IndexError> {
        self.run.finish_with_head(sink)
    }
}
