//! What several tests need: a tree that holds everything a Linux tree can hold, two ways to compare trees, and levels
//! made and read back.

pub mod backup;
pub mod oracle;
pub mod reading;
pub mod torture;
