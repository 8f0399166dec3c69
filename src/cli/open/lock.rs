//! The lock of a backup, for a command that changes it.

use crate::catalog::{Access, Held, LockError, LockRequest, Patience, with_lock};
use crate::model::{BackupName, Cancel};
use crate::platform::{SystemClock, host_name};

/// How a command takes the lock.
#[derive(Clone, Copy)]
pub(in crate::cli) struct LockTerms {
    /// The command, as another run is told that has to wait.
    pub(in crate::cli) action: &'static str,
    pub(in crate::cli) patience: Patience,
}

/// Does `work` with the lock of a backup, and gives the lock back.
///
/// Only for work that leaves nothing behind when it fails: the claim goes in any case.
pub(in crate::cli) fn holding<T>(
    access: &Access,
    backup: &BackupName,
    terms: LockTerms,
    clock: &SystemClock,
    cancel: &Cancel,
    work: impl FnOnce(&Held<'_>) -> T,
) -> Result<T, LockError> {
    let host = host_name().unwrap_or_else(|_| "unknown".to_owned());
    let request = LockRequest {
        backup,
        host: &host,
        action: terms.action,
        patience: terms.patience,
    };
    with_lock(access, request, clock, cancel, |_| true, work)
}
