//! The counts in a manifest: entries and bytes.

use serde::{Deserialize, Serialize};

/// How many entries the run found, by outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Entries in the tree, the root included.
    pub entries: u64,
    /// Regular files. Each name of a hard-linked file counts.
    pub files: u64,
    /// Directories, the root included.
    pub directories: u64,
    /// Entries that the parent level does not have.
    pub new: u64,
    /// Entries that differ from those of the parent level.
    pub changed: u64,
    /// Entries that are the same in the parent level.
    pub unchanged: u64,
    /// Entries of the parent level that no longer exist.
    pub removed: u64,
    /// Entries that the run could not read, in whole or in part.
    pub failed: u64,
    /// Sockets and other entries that a backup cannot hold.
    pub skipped: u64,
}

/// How many bytes the level has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bytes {
    /// The sizes of all regular files together, holes included. A hard-linked file counts once.
    pub logical: u64,
    /// Length of the level's tar stream.
    pub stream: u64,
    /// Length of all objects of the level, as stored.
    pub stored: u64,
}
