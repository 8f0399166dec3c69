//! What a caller says when it asks for the lock of a backup.

use crate::model::BackupName;
use std::time::Duration;

/// What to do while another process has the lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// Fail at once.
    None,
    /// Wait for it, at most this long.
    For(Duration),
    /// Wait until it is free.
    Endless,
}

/// Which backup a caller wants to lock, and what it tells others about itself.
#[derive(Clone, Copy)]
pub struct LockRequest<'run> {
    /// The backup that is to be changed.
    pub backup: &'run BackupName,
    /// Name of this machine, for other processes to show.
    pub host: &'run str,
    /// What the caller is going to do, such as `backup`, for other processes to show.
    pub action: &'run str,
    /// What to do while another process has the lock.
    pub patience: Patience,
}
