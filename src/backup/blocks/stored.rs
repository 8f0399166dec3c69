//! The tar streams of earlier levels, read for the signatures in them.

use crate::catalog::names::{self, Folder};
use crate::catalog::{Access, Blocks};
use crate::format::frame::{Compression, Decoder, Lane, Opener};
use crate::format::manifest::LevelParts;
use crate::index::{BlockCache, FrameRow, FrameTable, RunRoot};
use crate::model::{BackupName, LevelId, LevelSerial, StreamOffset};
use crate::store::{Store, StoreExt};
use std::error::Error;
use std::ops::Range;
use std::sync::Arc;

/// Most bytes of frame table blocks that are kept.
const TABLE_CACHE_BYTES: usize = 1 << 20;

/// Why stored bytes cannot be used. It is for the log alone: what cannot be compared is stored
/// again.
pub(in crate::backup) type Unusable = Box<dyn Error + Send + Sync>;

/// The streams of levels, and of runs that were cut off, that files may have parts in.
pub(in crate::backup) struct Streams {
    access: Access,
    backup: BackupName,
    levels: Vec<LevelParts>,
}

impl Streams {
    pub(in crate::backup) fn new(
        access: &Access,
        backup: &BackupName,
        levels: Vec<LevelParts>,
    ) -> Self {
        Self {
            access: access.clone(),
            backup: backup.clone(),
            levels,
        }
    }

    /// The stream of a level.
    pub(super) fn open(&self, level: LevelSerial) -> Result<StoredStream, Unusable> {
        Ok(StoredStream {
            frames: self.frames(level)?,
            decoder: Decoder::new(),
            frame: None,
        })
    }

    /// The frames of a level's stream.
    pub(in crate::backup) fn frames(&self, level: LevelSerial) -> Result<StoredFrames, Unusable> {
        let parts = self
            .levels
            .iter()
            .find(|parts| parts.serial == level)
            .ok_or("the level is not among those it leans on")?;
        let root = RunRoot {
            node: parts.frame_table.node.clone(),
            height: parts.frame_table.height,
            entries: parts.frame_table.entries,
        };
        let blocks = Blocks::new(&self.access, &self.backup, &parts.id, Lane::FrameTable);
        Ok(StoredFrames {
            store: self.access.store(),
            backup: self.backup.clone(),
            level: parts.id.clone(),
            table: FrameTable::open(root, Arc::new(blocks), BlockCache::new(TABLE_CACHE_BYTES))?,
            opener: self.access.opener(&parts.id),
            compression: parts.compression,
        })
    }
}

/// The frames of one stream. May be used from several threads at once.
pub(in crate::backup) struct StoredFrames {
    store: Arc<dyn Store>,
    backup: BackupName,
    level: LevelId,
    table: FrameTable,
    opener: Opener,
    compression: Compression,
}

impl StoredFrames {
    /// The frame that holds a byte of the stream.
    pub(in crate::backup) fn locate(&self, at: u64) -> Result<FrameRow, Unusable> {
        Ok(self.table.locate(StreamOffset(at))?)
    }

    /// Its bytes.
    pub(in crate::backup) fn fetch(
        &self,
        row: &FrameRow,
        decoder: &mut Decoder,
    ) -> Result<Vec<u8>, Unusable> {
        let object = names::data_name(&self.backup, &self.level, Folder::Segments, row.segment);
        let stored =
            self.store
                .get_range(&object, row.offset.0, usize::try_from(row.stored_length)?)?;
        let expected = row.expected(self.compression);
        Ok(self.opener.open_data(decoder, &expected, stored)?)
    }
}

/// The stream of one level. Keeps the frame that was read last.
pub(super) struct StoredStream {
    frames: StoredFrames,
    decoder: Decoder,
    frame: Option<(FrameRow, Vec<u8>)>,
}

impl StoredStream {
    /// Fills `buffer` with the bytes from `at` on.
    pub(super) fn read(&mut self, mut at: u64, buffer: &mut [u8]) -> Result<(), Unusable> {
        let mut rest = buffer;
        while !rest.is_empty() {
            let (start, bytes) = self.frame_at(at)?;
            let skipped = usize::try_from(at - start)?;
            let there = bytes
                .get(skipped..)
                .filter(|there| !there.is_empty())
                .ok_or("a frame is shorter than its table says")?;
            let length = there.len().min(rest.len());
            let (now, later) = rest.split_at_mut(length);
            now.copy_from_slice(there.get(..length).unwrap_or_default());
            at += length as u64;
            rest = later;
        }
        Ok(())
    }

    /// The bytes of a range; the caller has made sure that it is not too long.
    pub(super) fn bytes(&mut self, range: Range<u64>) -> Result<Vec<u8>, Unusable> {
        let mut bytes = vec![0; usize::try_from(range.end.saturating_sub(range.start))?];
        self.read(range.start, &mut bytes)?;
        Ok(bytes)
    }

    fn frame_at(&mut self, at: u64) -> Result<(u64, &[u8]), Unusable> {
        let is_here = |row: &FrameRow| row.start.0 <= at && at < row.end().0;
        if !self.frame.as_ref().is_some_and(|(row, _)| is_here(row)) {
            let row = self.frames.locate(at)?;
            let bytes = self.frames.fetch(&row, &mut self.decoder)?;
            self.frame = Some((row, bytes));
        }
        let (row, bytes) = self.frame.as_ref().ok_or("no frame")?;
        Ok((row.start.0, bytes))
    }
}
