//! Entries that get inode flags at the end.

use crate::model::{Entry, InodeFlags, Kind, TreePath};

/// An entry that is to get flags.
#[derive(Debug)]
pub(super) struct FlaggedEntry {
    pub(super) path: TreePath,
    pub(super) kind: Kind,
    pub(super) flags: InodeFlags,
}

impl FlaggedEntry {
    /// `None` for an entry without flags.
    pub(super) fn of(entry: &Entry) -> Option<Self> {
        Some(Self {
            path: entry.path.clone(),
            kind: entry.content.kind(),
            flags: entry.metadata.extensions.inode_flags?,
        })
    }
}
