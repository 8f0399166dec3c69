//! Names the backup that is worked on, and the open store that it lies in.

use crate::catalog::Access;
use crate::catalog::names::LevelOf;
use crate::model::{BackupName, LevelId};
use crate::store::Store;
use std::sync::Arc;

/// A backup in an open store.
#[derive(Clone, Copy)]
pub(super) struct BackupIn<'run> {
    pub(super) access: &'run Access,
    pub(super) backup: &'run BackupName,
}

impl<'run> BackupIn<'run> {
    pub(super) fn new(access: &'run Access, backup: &'run BackupName) -> Self {
        Self { access, backup }
    }

    /// Returns the store that the backup lies in.
    pub(super) fn store(&self) -> Arc<dyn Store> {
        self.access.store()
    }

    /// Names a level of the backup.
    pub(super) fn level(&self, level: &LevelId) -> LevelOf {
        LevelOf::new(self.backup, level)
    }
}
