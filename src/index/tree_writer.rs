//! Writes the tree of a point in time.

use super::node_number::{node_of, rank_of, run_of};
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
    /// How many runs the tree has below this one.
    number: usize,
    /// Buffers for a key and a value.
    key: Vec<u8>,
    value: Vec<u8>,
}

impl TreeWriter {
    /// Begins a tree of one run. The first entry must be the root.
    pub fn new() -> Self {
        Self::default()
    }

    /// Begins a run that lies on top of `number` others.
    pub(super) fn of_run(number: usize) -> Self {
        Self {
            number,
            ..Self::default()
        }
    }

    /// Returns how many entries were pushed.
    pub fn entries(&self) -> u64 {
        self.run.entries()
    }

    /// Appends an entry and returns its node. A link names a record of this run or of an older one
    /// by its node.
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
        if entry.link_to.is_some_and(|first| !self.comes_before(first)) {
            return Err(unfit("it links to an entry that does not come before it"));
        }
        entry_codec::encode(entry, self.number, &mut self.value);
        if self.value.len() > MAX_BLOCK_BYTES - BLOCK_OVERHEAD_BYTES {
            return Err(unfit("it has too many extents or extended attributes"));
        }
        let rank = self.run.push(&self.key, &self.value, sink)?;
        Ok(node_of(self.number, rank))
    }

    /// Returns whether a record lies in an older run, or was pushed before.
    fn comes_before(&self, record: NodeId) -> bool {
        let run = run_of(record);
        run < self.number || run == self.number && rank_of(record) < self.run.entries()
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
