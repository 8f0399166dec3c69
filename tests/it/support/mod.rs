//! What several tests need: a tree that holds everything a Linux tree can hold, two ways to compare trees, and levels of
//! trees on disk and in memory.

pub mod backup;
pub mod oracle;
pub mod stored_tree;
pub mod torture;
