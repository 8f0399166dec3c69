//! Puts content into the kernel's page cache before the kernel asks for it
//! (`FUSE_NOTIFY_STORE`, see `fs/fuse/notify.c` in Linux).

use super::counts::RequestCounts;
use crate::fs::FilePiece;
use fuser::{INodeNo, Notifier};
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// The page cache of one mount.
pub(in crate::fs) struct KernelCache {
    notifier: Notifier,
    counts: Arc<RequestCounts>,
}

impl KernelCache {
    /// Wraps the means to tell the kernel something.
    pub(in crate::fs) fn new(notifier: Notifier, counts: Arc<RequestCounts>) -> Self {
        Self { notifier, counts }
    }

    /// Stores the whole content of a file. Reading it then takes no request.
    ///
    /// # Errors
    ///
    /// When the kernel takes no content, as after the end of the mount.
    pub(in crate::fs) fn store(&self, inode: u64, content: &[FilePiece]) -> io::Result<()> {
        // In one call: the kernel does not take a page for whole that two calls fill.
        self.notifier
            .store(INodeNo(inode), 0, &FilePiece::joined(content))?;
        self.counts.sent_ahead.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}
