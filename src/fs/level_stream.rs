//! The stream of one level: where its frames are stored, and how they are fetched and opened.

use super::ReadError;
use super::error::FrameSpan;
use super::far::StoreDelay;
use super::fetchers::Fetchers;
use super::frame::{FrameKey, StreamNo};
use crate::catalog::names::{self, Folder, LevelOf};
use crate::catalog::stream;
use crate::format::frame::{Compression, Decoder, FrameError, Glimpse, Lane, Opener};
use crate::index::{BlockAddress, BlockCache, BlockSource, FrameRow, FrameTable, IndexError};
use crate::model::{BackupName, FrameNo, LevelId, LevelSerial};
use crate::store::{self, ObjectName, Store, StoreExt};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

thread_local! {
    /// Decoders are costly to make, so each fetching thread keeps one.
    static DECODER: RefCell<Decoder> = RefCell::new(Decoder::new());
}

/// The objects of one level, and the keys that open them.
#[derive(Clone)]
pub(super) struct LevelObjects {
    pub(super) store: Arc<dyn Store>,
    pub(super) backup: BackupName,
    pub(super) id: LevelId,
    pub(super) opener: Opener,
}

impl LevelObjects {
    fn object(&self, folder: Folder, number: u32) -> ObjectName {
        names::data_name(&self.backup, &self.id, folder, number)
    }

    /// Fetches and opens one block of an index or a frame table.
    fn block(
        &self,
        lane: Lane,
        folder: Folder,
        address: &BlockAddress,
    ) -> Result<Vec<u8>, ReadError> {
        let segment = self.object(folder, address.object);
        let frame = |number: FrameNo, segment: &ObjectName| FrameSpan {
            lane,
            number,
            segment: segment.clone(),
        };
        let stored = self
            .store
            .get_range(&segment, address.offset.0, address.length as usize)
            .map_err(|source| ReadError::Fetch {
                frame: frame(address.number, &segment),
                source,
            })?;
        let opened: Result<_, FrameError> = DECODER
            .with_borrow_mut(|decoder| self.opener.open(decoder, lane, address.number, stored));
        opened.map_err(|source| ReadError::Damaged {
            frame: frame(address.number, &segment),
            source,
        })
    }
}

/// The blocks of an index or a frame table in a store.
pub(super) struct StoredBlocks {
    pub(super) fetchers: Fetchers,
    pub(super) objects: LevelObjects,
    pub(super) lane: Lane,
    pub(super) folder: Folder,
}

impl BlockSource for StoredBlocks {
    fn load(&self, address: &BlockAddress) -> Result<Vec<u8>, IndexError> {
        let (objects, lane, folder, address) =
            (self.objects.clone(), self.lane, self.folder, *address);
        self.fetchers
            .attempt(move || objects.block(lane, folder, &address))
            .map_err(|error| IndexError::fetch(address, error))
    }
}

/// Every level of a point in time, by the serial that extents name it by.
pub(super) type StreamsBySerial = BTreeMap<LevelSerial, Arc<LevelStream>>;

/// A level that extents point into.
pub(super) struct LevelStream {
    /// The stream's number in the caches.
    pub(super) stream: StreamNo,
    objects: LevelObjects,
    compression: Compression,
    /// Replaced when an object is missing and the level turns out to have been repacked.
    table: RwLock<CurrentTable>,
}

/// The newest frame table of a level that is known here.
#[derive(Clone)]
pub(super) struct CurrentTable {
    pub(super) table: FrameTable,
    /// How often the level had been repacked when the table was written.
    pub(super) repacked: u32,
}

/// Finds a newer frame table of a level.
pub(super) struct TableFinder<'reader> {
    pub(super) fetchers: &'reader Fetchers,
    pub(super) block_cache: &'reader Arc<BlockCache>,
}

impl LevelStream {
    /// Describes a level; loads nothing.
    pub(super) fn new(
        stream: StreamNo,
        objects: LevelObjects,
        compression: Compression,
        table: CurrentTable,
    ) -> Self {
        Self {
            stream,
            objects,
            compression,
            table: RwLock::new(table),
        }
    }

    /// Returns the newest frame table that is known.
    pub(super) fn current(&self) -> CurrentTable {
        self.table
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Returns the name of a row's frame in the caches.
    pub(super) fn key_of(&self, row: &FrameRow) -> FrameKey {
        FrameKey {
            stream: self.stream,
            number: row.number,
            start: row.start,
        }
    }

    /// Looks for a frame table that is newer than the one with this `repacked` number, and makes it
    /// the current one. Returns whether there is one.
    pub(super) fn find_newer(
        &self,
        finder: &TableFinder<'_>,
        repacked: u32,
    ) -> Result<bool, ReadError> {
        if self.current().repacked > repacked {
            return Ok(true); // another thread has found it meanwhile
        }
        let objects = self.objects.clone();
        let newer = finder.fetchers.attempt(move || {
            let of = LevelOf {
                backup: objects.backup,
                level: objects.id,
            };
            let newer = stream::newer(objects.store.as_ref(), &objects.opener, &of, repacked);
            newer.map_err(|source| ReadError::Repacked {
                level: of.level,
                source,
            })
        })?;
        let Some(newer) = newer else { return Ok(false) };
        let root = newer.frame_table.into();
        let blocks = Arc::new(StoredBlocks {
            fetchers: finder.fetchers.clone(),
            objects: self.objects.clone(),
            lane: Lane::FrameTable,
            folder: Folder::Frames,
        });
        let table = FrameTable::open(root, blocks, Arc::clone(finder.block_cache))?;
        let mut current = self.table.write().unwrap_or_else(PoisonError::into_inner);
        if current.repacked < newer.number {
            *current = CurrentTable {
                table,
                repacked: newer.number,
            };
        }
        Ok(true)
    }

    /// Fetches, authenticates and decodes one frame, and returns the bytes of the row.
    pub(super) fn fetch(
        &self,
        row: &FrameRow,
        glimpse: Option<Glimpse<'_>>,
        delay: &StoreDelay,
    ) -> Result<Vec<u8>, ReadError> {
        let stored = self.stored(row, delay);
        let stored = stored.map_err(|source| ReadError::Fetch {
            frame: self.span_of(row),
            source,
        })?;
        self.decode(row, stored, glimpse)
    }

    /// Fetches one frame as it is stored.
    fn stored(&self, row: &FrameRow, delay: &StoreDelay) -> Result<Vec<u8>, store::Error> {
        let name = self.objects.object(Folder::Segments, row.segment);
        let began = crate::platform::monotonic();
        let length = row.stored_length as usize;
        let stored = self.objects.store.get_range(&name, row.offset.0, length)?;
        delay.note(began.elapsed());
        Ok(stored)
    }

    /// Fetches the frames of these stored lengths that stand from `first` on, with one request.
    /// Hands each to `take` as soon as it arrives, until `take` returns `false`.
    pub(super) fn stored_pieces(
        &self,
        first: &FrameRow,
        lengths: &[usize],
        delay: &StoreDelay,
        take: &mut dyn FnMut(Vec<u8>) -> bool,
    ) -> Result<(), store::Error> {
        let name = self.objects.object(Folder::Segments, first.segment);
        let mut began = Some(crate::platform::monotonic());
        self.objects
            .store
            .get_pieces(&name, first.offset.0, lengths, &mut |piece| {
                if let Some(began) = began.take() {
                    delay.note(began.elapsed());
                }
                take(piece)
            })
    }

    /// Authenticates and decodes a stored frame, and returns the bytes of the row.
    pub(super) fn decode(
        &self,
        row: &FrameRow,
        stored: Vec<u8>,
        glimpse: Option<Glimpse<'_>>,
    ) -> Result<Vec<u8>, ReadError> {
        let expected = row.expected(self.compression);
        // A reader that waits for the beginning of a frame cannot use that of a stretch.
        let glimpse = glimpse.filter(|_| row.stretch.is_none());
        let opener = &self.objects.opener;
        let opened = DECODER.with_borrow_mut(|decoder| {
            opener.open_data_showing(decoder, &expected, stored, glimpse)
        });
        let opened = opened.map_err(|source| ReadError::Damaged {
            frame: self.span_of(row),
            source,
        })?;
        Ok(row.part_of(opened))
    }

    fn span_of(&self, row: &FrameRow) -> FrameSpan {
        FrameSpan {
            lane: Lane::Data,
            number: row.number,
            segment: self.objects.object(Folder::Segments, row.segment),
        }
    }
}
