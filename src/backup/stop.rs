//! Tells the stages of a run when it must end early.

use super::error::BackupError;
use super::uploads::Uploads;
use crate::model::{Cancel, Interrupted};

/// Watches for the two events that end a run early: a request of the caller, and a failed upload.
#[derive(Clone, Copy)]
pub(super) struct StopSignal<'run> {
    pub(super) cancel: &'run Cancel,
    pub(super) uploads: &'run Uploads,
}

impl StopSignal<'_> {
    /// Fails once the run must end.
    ///
    /// # Errors
    ///
    /// [`BackupError::Interrupted`] if the caller asked for it, else [`BackupError::Stopped`].
    pub(super) fn check(&self) -> Result<(), BackupError> {
        if self.cancel.is_requested() {
            Err(BackupError::Interrupted(Interrupted))
        } else if self.uploads.has_failed() {
            Err(BackupError::Stopped)
        } else {
            Ok(())
        }
    }
}
