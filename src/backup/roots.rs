//! Converts the root of a sorted run between the index, which writes it, and the documents that
//! keep it.

use crate::format::manifest::RootNode;
use crate::index::RunRoot;

/// Converts a root from the index into the form that documents keep.
pub(super) fn root_node(root: RunRoot) -> RootNode {
    RootNode {
        node: root.node,
        height: root.height,
        entries: root.entries,
    }
}

/// Converts a root from a document into the form that the index opens.
pub(super) fn run_root(root: &RootNode) -> RunRoot {
    RunRoot {
        node: root.node.clone(),
        height: root.height,
        entries: root.entries,
    }
}
