//! Reads the blocks of a level's index or frame table straight from the store.

use super::Access;
use super::names::{self, Folder};
use crate::format::frame::{Decoder, Lane, Opener};
use crate::index::{BlockAddress, BlockSource, IndexError};
use crate::model::{BackupName, LevelId};
use crate::store::{self, Store, StoreExt};
use std::sync::{Arc, Mutex, PoisonError};

/// Most bytes that [`BlocksAhead`] asks for at once.
const MOST_AHEAD_BYTES: usize = 128 << 10;

/// Bytes that it asks for when blocks begin to follow each other. A stored block has some KiB.
const FIRST_AHEAD_BYTES: usize = 16 << 10;

/// Reads each block with one call of the store.
pub struct Blocks {
    store: Arc<dyn Store>,
    backup: BackupName,
    level: LevelId,
    lane: Lane,
    opener: Opener,
}

impl Blocks {
    /// Reads the blocks of `lane`, which is [`Lane::Index`] or [`Lane::FrameTable`].
    pub fn new(access: &Access, backup: &BackupName, level: &LevelId, lane: Lane) -> Self {
        Self {
            store: access.store(),
            backup: backup.clone(),
            level: level.clone(),
            lane,
            opener: access.opener(level),
        }
    }

    /// Turns this into a source for a reader that goes through most blocks in their order.
    pub fn ahead(self) -> BlocksAhead {
        BlocksAhead {
            blocks: self,
            window: Mutex::default(),
        }
    }

    fn fetch(&self, address: &BlockAddress, length: usize) -> Result<Vec<u8>, store::Error> {
        let folder = if self.lane == Lane::Index {
            Folder::Index
        } else {
            Folder::Frames
        };
        let object = names::data_name(&self.backup, &self.level, folder, address.object);
        self.store.get_range(&object, address.offset.0, length)
    }

    fn open(&self, address: &BlockAddress, stored: Vec<u8>) -> Result<Vec<u8>, IndexError> {
        let opened = self
            .opener
            .open(&mut Decoder::new(), self.lane, address.number, stored);
        opened.map_err(|error| IndexError::fetch(*address, error))
    }
}

impl BlockSource for Blocks {
    fn load(&self, address: &BlockAddress) -> Result<Vec<u8>, IndexError> {
        let stored = self
            .fetch(address, length_of(address)?)
            .map_err(|error| IndexError::fetch(*address, error))?;
        self.open(address, stored)
    }
}

fn length_of(address: &BlockAddress) -> Result<usize, IndexError> {
    usize::try_from(address.length).map_err(|error| IndexError::fetch(*address, error))
}

/// Reads blocks that follow each other with few calls of the store: it asks for up to 128 KiB at
/// once and keeps that.
pub struct BlocksAhead {
    blocks: Blocks,
    /// Guards the bytes that were read last.
    window: Mutex<ReadWindow>,
}

#[derive(Default)]
struct ReadWindow {
    /// Number of the object that the bytes are of.
    object: u32,
    /// Offset in that object at which the bytes begin.
    start: u64,
    bytes: Vec<u8>,
    /// How many bytes the last read asked for.
    reach: usize,
    /// Object and offset at which the last block that was returned ends.
    last: Option<(u32, u64)>,
}

impl ReadWindow {
    fn get(&self, address: &BlockAddress, length: usize) -> Option<Vec<u8>> {
        let from = usize::try_from(address.offset.0.checked_sub(self.start)?).ok()?;
        let bytes = self.bytes.get(from..from.checked_add(length)?)?;
        (self.object == address.object).then(|| bytes.to_vec())
    }

    fn fetch(
        &mut self,
        blocks: &Blocks,
        address: &BlockAddress,
        length: usize,
    ) -> Result<Vec<u8>, store::Error> {
        if self.last != Some((address.object, address.offset.0)) {
            self.reach = 0;
            return blocks.fetch(address, length);
        }
        let mut reach = self
            .reach
            .saturating_mul(2)
            .clamp(FIRST_AHEAD_BYTES, MOST_AHEAD_BYTES)
            .max(length);
        loop {
            match blocks.fetch(address, reach) {
                Ok(bytes) => {
                    (self.object, self.start, self.bytes, self.reach) =
                        (address.object, address.offset.0, bytes, reach);
                    return Ok(self.bytes.get(..length).unwrap_or_default().to_vec());
                }
                // The object ends earlier.
                Err(error) if error.kind() == store::ErrorKind::Short && reach > length => {
                    reach = (reach / 2).max(length)
                }
                Err(error) => return Err(error),
            }
        }
    }
}

impl BlockSource for BlocksAhead {
    fn load(&self, address: &BlockAddress) -> Result<Vec<u8>, IndexError> {
        let length = length_of(address)?;
        let stored = {
            let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
            let stored = match window.get(address, length) {
                Some(stored) => stored,
                None => window
                    .fetch(&self.blocks, address, length)
                    .map_err(|error| IndexError::fetch(*address, error))?,
            };
            window.last = Some((
                address.object,
                address.offset.0.saturating_add(length as u64),
            ));
            stored
        };
        self.blocks.open(address, stored)
    }
}
