//! What the walk hands to the readers: pieces of directories.

use super::compare::Previous;
use crate::format::tar::DumpDir;
use crate::model::{Name, TreePath};
use crate::platform::{DirHandle, ListedName};
use std::sync::Arc;

/// A piece of one directory, listed but not read.
#[derive(Debug)]
pub(super) struct WalkStep {
    pub(super) directory: Arc<WalkedDirectory>,
    /// Whether this is the directory's first step: its own metadata is read with it.
    pub(super) is_first: bool,
    /// With the first step: all names of the directory, if they are known.
    pub(super) all_names: Option<DumpDir>,
    pub(super) names: Vec<WalkedName>,
    /// Whether names of the base are gone from the directory; known at the last step.
    pub(super) has_lost: bool,
}

/// A name in a directory, and the entry that the base has under it.
#[derive(Debug)]
pub(super) struct WalkedName {
    pub(super) listed: ListedName,
    pub(super) previous: Option<Previous>,
}

/// A directory that the walk visits.
#[derive(Debug)]
pub(super) struct WalkedDirectory {
    pub(super) path: TreePath,
    /// Absolute path on disk, which patterns may name.
    pub(super) on_disk: Vec<u8>,
    pub(super) access: DirectoryAccess,
    /// The file system that it is on; `None` if it could not be found out.
    pub(super) device: Option<u64>,
    /// The directory in the base that this one is compared with.
    pub(super) previous: Option<Previous>,
}

/// How a directory is reached.
#[derive(Debug)]
pub(super) enum DirectoryAccess {
    /// Through an open handle.
    Open(DirHandle),
    /// Only by its name in its parent: it could not be opened, or must not be entered.
    ByName {
        parent: Arc<WalkedDirectory>,
        name: Name,
    },
}

impl DirectoryAccess {
    /// Returns the open handle, if there is one.
    pub(super) fn handle(&self) -> Option<&DirHandle> {
        match self {
            Self::Open(handle) => Some(handle),
            Self::ByName { .. } => None,
        }
    }
}
