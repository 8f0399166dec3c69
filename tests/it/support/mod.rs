//! What several tests need: a tree that holds everything a Linux tree can hold, two ways to compare trees, and levels
//! made and read back.

pub mod backup;
#[cfg(unix)]
pub mod disk;
pub mod oracle;
pub mod reading;
pub mod stored_tree;
pub mod torture;
