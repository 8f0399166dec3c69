//! A directory that is being filled.

use super::Source;
use super::attributes::{Start, Wanted};
use super::run::Run;
use crate::model::{Kind, TreePath};
use crate::platform::DirHandle;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A directory of the target, open until all in it and below it is done, and then given its
/// metadata.
#[derive(Debug)]
pub(super) struct Directory {
    pub handle: DirHandle,
    pub path: TreePath,
    /// Whether what is made in it is certain to be ours, with just the mode it was made with.
    pub plain: bool,
    /// Whether nobody else can reach into it yet, and nothing was in it.
    pub private: bool,
    /// What it gets in the end; `None` for a place that was there and was not itself selected.
    wanted: Option<Wanted>,
    start: Start,
    parent: Option<Arc<Self>>,
    /// How much is still to be done in it: the walk itself, each file handed out, each directory
    /// below.
    outstanding: AtomicUsize,
}

impl Directory {
    /// A directory that the walk has entered. Ends with [`Run::leave`].
    pub(super) fn new(
        handle: DirHandle,
        path: TreePath,
        wanted: Option<Wanted>,
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

    /// One more thing is to be done in it. Each ends with [`Run::leave`].
    pub(super) fn enter(&self) {
        self.outstanding.fetch_add(1, Ordering::Relaxed);
    }
}

impl<S: Source> Run<'_, S> {
    /// One thing is done in `directory`. With the last, it gets its metadata, and so may those
    /// above it.
    pub(super) fn leave(&self, directory: &Arc<Directory>) {
        let mut directory = directory;
        // Acquire and Release: whoever is last sees what the others did.
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
