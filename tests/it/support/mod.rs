//! What several tests need: a tree that holds everything a Linux tree can hold, and two ways to compare trees.

pub mod backup;
pub mod oracle;
pub mod torture;
