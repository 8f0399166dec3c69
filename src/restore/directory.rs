//! A directory that is being filled.

use super::RestoreSource;
use super::attributes::{Start, TargetMetadata};
use super::run::RestoreRun;
use crate::model::{Kind, TreePath};
use crate::platform::DirHandle;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A directory of the target. It is open until all entries in it and below it are done, and then
/// gets its metadata.
#[derive(Debug)]
pub(super) struct TargetDirectory {
    pub handle: DirHandle,
    pub path: TreePath,
    /// Whether new entries in it surely belong to this process and have just the mode they were
    /// made with.
    pub plain: bool,
    /// Whether it was empty, and no other user can reach into it yet.
    pub private: bool,
    /// The metadata it gets in the end. `None` for a directory that was there and was not itself
    /// selected.
    wanted: Option<TargetMetadata>,
    start: Start,
    parent: Option<Arc<Self>>,
    /// How many things are left to do in it: the walk itself, each file handed to a writer, and
    /// each directory below.
    outstanding: AtomicUsize,
}

impl TargetDirectory {
    /// Returns a directory that the walk has entered. [`RestoreRun::leave`] ends that.
    pub(super) fn new(
        handle: DirHandle,
        path: TreePath,
        wanted: Option<TargetMetadata>,
        start: Start,
        parent: Option<&Arc<Self>>,
    ) -> Self {
        if let Some(parent) = parent {
            parent.enter();
        }
        Self {
            handle,
            path,
            plain: false,
            private: false,
            wanted,
            start,
            parent: parent.cloned(),
            outstanding: AtomicUsize::new(1),
        }
    }

    /// Counts one more thing to do in it. [`RestoreRun::leave`] ends each.
    pub(super) fn enter(&self) {
        self.outstanding.fetch_add(1, Ordering::Relaxed);
    }
}

impl<S: RestoreSource> RestoreRun<'_, S> {
    /// Counts one thing as done in `directory`. After the last, the directory gets its metadata,
    /// and so may those above it.
    pub(super) fn leave(&self, directory: &Arc<TargetDirectory>) {
        let mut directory = directory;
        // Acquire and Release, so that the last thread sees what the others did.
        while directory.outstanding.fetch_sub(1, Ordering::AcqRel) == 1 {
            if let Some(wanted) = &directory.wanted {
                self.apply(
                    &directory.handle,
                    Kind::Directory,
                    wanted,
                    directory.start,
                    |error| self.trouble(&directory.path, error),
                );
            }
            match &directory.parent {
                Some(parent) => directory = parent,
                None => break,
            }
        }
    }
}
