//! What several tests set up in the same way: trees, stores, levels, and ways to compare trees.

pub mod backup;
#[cfg(unix)]
pub mod disk;
pub mod oracle;
pub mod stored_tree;
pub mod torture;
