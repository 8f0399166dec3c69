//! What several tests set up in the same way.

#[cfg(unix)]
pub mod disk;
pub mod stored_tree;
