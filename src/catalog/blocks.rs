//! The blocks of a level's index or frame table, straight from the store.

use super::Access;
use super::names::{self, Folder};
use crate::format::frame::{Decoder, Lane, Opener};
use crate::index::{BlockAddress, BlockSource, IndexError};
use crate::model::{BackupName, LevelId};
use crate::store::Store;
use std::sync::Arc;

/// Reads one block with one call of the store; waits as long as that takes.
pub struct Blocks {
    store: Arc<dyn Store>,
    backup: BackupName,
    level: LevelId,
    lane: Lane,
    opener: Opener,
}

impl Blocks {
    /// The blocks of `lane`, which is [`Lane::Index`] or [`Lane::FrameTable`].
    pub fn new(access: &Access, backup: &BackupName, level: &LevelId, lane: Lane) -> Self {
        Self { store: access.store(), backup: backup.clone(), level: level.clone(), lane, opener: access.opener(level) }
    }
}

impl BlockSource for Blocks {
    fn load(&self, address: &BlockAddress) -> Result<Vec<u8>, IndexError> {
        let folder = if self.lane == Lane::Index { Folder::Index } else { Folder::Frames };
        let object = names::data_name(&self.backup, &self.level, folder, address.object);
        let length = usize::try_from(address.length).map_err(|error| IndexError::fetch(*address, error))?;
        let stored = self.store.get_range(&object, address.offset.0, length).map_err(|error| IndexError::fetch(*address, error))?;
        let opened = self.opener.open(&mut Decoder::new(), self.lane, address.number, stored);
        opened.map_err(|error| IndexError::fetch(*address, error))
    }
}
