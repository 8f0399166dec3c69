//! The numbers of nodes: which entry of which run.

use crate::model::NodeId;

/// A node holds a rank in its low bits, which are as many as this. Above them it holds the number
/// of the run.
pub(super) const RANK_BITS: u32 = 34;

/// Returns the node of the entry with this rank in a run, which is counted from the oldest.
pub(super) fn node_of(run: usize, rank: u64) -> NodeId {
    NodeId((run as u64) << RANK_BITS | rank)
}

/// Returns the run of a node.
pub(super) fn run_of(node: NodeId) -> usize {
    usize::try_from(node.0 >> RANK_BITS).unwrap_or(usize::MAX)
}

/// Returns the rank of a node in its run.
pub(super) fn rank_of(node: NodeId) -> u64 {
    node.0 & ((1 << RANK_BITS) - 1)
}
