//! Writes a run: takes entries, makes blocks.

use super::node::{MAX_KEY_BYTES, MAX_SHARED_NODE_BYTES, NodeBuilder, NodeChild};
use super::{BlockSink, HeadBlock, IndexError, RunRoot};

/// Writes a run from its entries in the order of their keys. Holds one unfinished node for each
/// height.
#[derive(Clone, Debug, Default)]
pub(super) struct RunWriter {
    /// The unfinished nodes, by height.
    nodes: Vec<UnfinishedNode>,
    last_key: Vec<u8>,
    entries: u64,
    /// The full blocks on the path to the first entry.
    head: Vec<HeadBlock>,
}

#[derive(Clone, Debug)]
struct UnfinishedNode {
    node: NodeBuilder,
    first_rank: u64,
}

/// Returns whether a key is short enough for a run.
pub(super) fn fits(key: &[u8]) -> bool {
    key.len() <= MAX_KEY_BYTES
}

impl RunWriter {
    /// Returns how many entries were pushed.
    pub(super) fn entries(&self) -> u64 {
        self.entries
    }

    /// Returns whether an entry with this key may come next.
    pub(super) fn may_follow(&self, key: &[u8]) -> bool {
        self.entries == 0 || self.last_key.as_slice() < key
    }

    /// Appends an entry and returns its rank. The key must pass [`fits`] and
    /// [`may_follow`](Self::may_follow).
    pub(super) fn push(
        &mut self,
        key: &[u8],
        value: &[u8],
        sink: &mut dyn BlockSink,
    ) -> Result<u64, IndexError> {
        debug_assert!(fits(key) && self.may_follow(key), "the caller checks");
        let rank = self.entries;
        self.add(0, key, value, rank, sink)?;
        self.last_key.clear();
        self.last_key.extend_from_slice(key);
        self.entries += 1;
        Ok(rank)
    }

    fn add(
        &mut self,
        height: u8,
        key: &[u8],
        value: &[u8],
        rank: u64,
        sink: &mut dyn BlockSink,
    ) -> Result<(), IndexError> {
        if self
            .nodes
            .get(usize::from(height))
            .is_some_and(|unfinished| unfinished.node.is_full_for(key, value))
        {
            self.close(height, sink)?;
        }
        if self.nodes.len() == usize::from(height) {
            self.nodes.push(UnfinishedNode {
                node: NodeBuilder::new(height),
                first_rank: rank,
            });
        }
        if let Some(unfinished) = self.nodes.get_mut(usize::from(height)) {
            if unfinished.node.is_empty() {
                unfinished.first_rank = rank;
            }
            unfinished.node.push(key, value);
        }
        Ok(())
    }

    /// Stores the unfinished node of this height, and adds its address to the node above.
    fn close(&mut self, height: u8, sink: &mut dyn BlockSink) -> Result<(), IndexError> {
        let Some(UnfinishedNode { node, first_rank }) = self.nodes.get_mut(usize::from(height))
        else {
            return Ok(());
        };
        let first_rank = *first_rank;
        let first_key = node.first_key().to_vec();
        let raw = node.take();
        let address = sink.append(&raw)?;
        if first_rank == 0 && raw.len() <= MAX_SHARED_NODE_BYTES {
            self.head.push(HeadBlock {
                number: address.number,
                raw,
            });
        }
        self.add(
            height + 1,
            &first_key,
            &NodeChild {
                address,
                first_rank,
            }
            .encode(),
            first_rank,
            sink,
        )
    }

    /// Ends a copy of the run here, and leaves this one unchanged. The sink gets the unfinished
    /// blocks for the copy, and gets them again when they are full.
    pub(super) fn so_far(&self, sink: &mut dyn BlockSink) -> Result<RunRoot, IndexError> {
        self.clone().finish(sink)
    }

    /// Ends the run. If the run fits into one node of 64 KiB, the sink gets no block.
    pub(super) fn finish(self, sink: &mut dyn BlockSink) -> Result<RunRoot, IndexError> {
        self.finish_with_head(sink).map(|(root, _)| root)
    }

    /// Ends the run, and also returns the blocks on the path from the root to the first entry: one
    /// for each height.
    pub(super) fn finish_with_head(
        mut self,
        sink: &mut dyn BlockSink,
    ) -> Result<(RunRoot, Vec<HeadBlock>), IndexError> {
        let mut height = 0;
        loop {
            let is_top = usize::from(height) + 1 >= self.nodes.len();
            match self.nodes.get_mut(usize::from(height)) {
                None => {
                    return Ok((
                        RunRoot {
                            node: NodeBuilder::new(0).take(),
                            height: 0,
                            entries: 0,
                        },
                        self.head,
                    ));
                }
                Some(top) if is_top && top.node.length() <= MAX_SHARED_NODE_BYTES => {
                    return Ok((
                        RunRoot {
                            node: top.node.take(),
                            height,
                            entries: self.entries,
                        },
                        self.head,
                    ));
                }
                Some(_) => self.close(height, sink)?,
            }
            height += 1;
        }
    }
}
