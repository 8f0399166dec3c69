//! Counts the troubles of a run on their way to the user.

use crate::model::{Progress, Trouble};
use std::sync::atomic::{AtomicU64, Ordering};

/// Passes everything on, and counts troubles.
pub(super) struct CountedProgress<'run> {
    progress: &'run dyn Progress,
    troubles: AtomicU64,
}

impl<'run> CountedProgress<'run> {
    /// Passes everything on to `progress`.
    pub(super) fn new(progress: &'run dyn Progress) -> Self {
        Self {
            progress,
            troubles: AtomicU64::new(0),
        }
    }

    /// Returns the number of troubles so far.
    pub(super) fn troubles(&self) -> u64 {
        self.troubles.load(Ordering::Relaxed)
    }
}

impl Progress for CountedProgress<'_> {
    fn stage(&self, name: &'static str) {
        self.progress.stage(name);
    }

    fn expect_total(&self, files: u64, bytes: u64) {
        self.progress.expect_total(files, bytes);
    }

    fn advance(&self, files: u64, bytes: u64) {
        self.progress.advance(files, bytes);
    }

    fn trouble(&self, trouble: Trouble) {
        self.troubles.fetch_add(1, Ordering::Relaxed);
        self.progress.trouble(trouble);
    }
}
