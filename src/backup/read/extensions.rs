//! Reads what not every source has: inode flags and birth times.

use super::child::ListedChild;
use crate::model::{Extensions, InodeFlags, TreePath};
use crate::platform::{DirHandle, FileHandle};
use std::error::Error;
use std::io;

/// Returns the extensions of an open directory.
pub(super) fn of_directory(path: &TreePath, directory: &DirHandle) -> Extensions {
    Extensions {
        inode_flags: flags(path, directory.inode_flags()),
        birth: directory.birth(),
        ..Extensions::default()
    }
}

/// Returns the extensions of an open file, but for the hash of its content.
pub(super) fn of_file(path: &TreePath, file: &FileHandle) -> Extensions {
    Extensions {
        inode_flags: flags(path, file.inode_flags()),
        birth: file.birth(),
        ..Extensions::default()
    }
}

/// Returns the extensions of an entry that is not open, and that cannot be opened or needs not be.
pub(super) fn of_unopened(child: &ListedChild<'_>) -> Extensions {
    Extensions {
        birth: child.directory.birth_of_child(child.name),
        ..Extensions::default()
    }
}

fn flags(path: &TreePath, read: io::Result<Option<InodeFlags>>) -> Option<InodeFlags> {
    read.unwrap_or_else(|error| {
        tracing::warn!(
            %path,
            error = &error as &dyn Error,
            "could not read its inode flags; it is kept without them"
        );
        None
    })
}
