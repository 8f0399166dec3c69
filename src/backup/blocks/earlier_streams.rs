//! Reads the tar streams of earlier levels: their signatures, and the content of their files.

use crate::catalog::names::{self, Folder};
use crate::catalog::{Access, Blocks};
use crate::format::frame::{Compression, Decoder, Lane, Opener};
use crate::format::manifest::LevelParts;
use crate::index::{BlockCache, FrameRow, FrameTable};
use crate::model::{BackupName, LevelId, LevelSerial, StreamOffset};
use crate::store::{Store, StoreExt};
use std::error::Error;
use std::ops::Range;
use std::sync::Arc;

/// Most bytes of frame table blocks that are kept for one stream.
const TABLE_CACHE_BYTES: usize = 1 << 20;

/// Why stored bytes cannot be used. Only the log shows it: what cannot be compared is stored again.
pub(in crate::backup) type Unusable = Box<dyn Error + Send + Sync>;

/// The streams of earlier levels and of interrupted runs.
pub(in crate::backup) struct EarlierStreams {
    access: Access,
    backup: BackupName,
    levels: Vec<LevelParts>,
}

impl EarlierStreams {
    /// Opens nothing yet. `levels` are all levels that extents and signatures may name.
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

    /// Opens the stream of a level.
    pub(super) fn open(&self, level: LevelSerial) -> Result<EarlierStream, Unusable> {
        Ok(EarlierStream {
            frames: self.frames(level)?,
            decoder: Decoder::new(),
            frame: None,
        })
    }

    /// Opens the frames of a level's stream.
    pub(in crate::backup) fn frames(&self, level: LevelSerial) -> Result<StoredFrames, Unusable> {
        let parts = self
            .levels
            .iter()
            .find(|parts| parts.serial == level)
            .ok_or("no such level is in the manifest")?;
        let root = (&parts.frame_table).into();
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

/// The frames of one stream. Several threads may use it at once.
pub(in crate::backup) struct StoredFrames {
    store: Arc<dyn Store>,
    backup: BackupName,
    level: LevelId,
    table: FrameTable,
    opener: Opener,
    compression: Compression,
}

impl StoredFrames {
    /// Finds the frame that holds a byte of the stream.
    pub(in crate::backup) fn locate(&self, at: u64) -> Result<FrameRow, Unusable> {
        Ok(self.table.locate(StreamOffset(at))?)
    }

    /// Fetches a frame, and returns the bytes of the row before compression.
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
        let frame = self.opener.open_data(decoder, &expected, stored)?;
        Ok(row.part_of(frame))
    }
}

/// The stream of one level, as bytes. Keeps the frame that was read last.
pub(super) struct EarlierStream {
    frames: StoredFrames,
    decoder: Decoder,
    frame: Option<OpenFrame>,
}

/// A frame, and its bytes before compression.
struct OpenFrame {
    row: FrameRow,
    bytes: Vec<u8>,
}

impl OpenFrame {
    fn holds(&self, at: u64) -> bool {
        self.row.start.0 <= at && at < self.row.end().0
    }

    /// Returns the bytes from `at` on.
    fn bytes_from(&self, at: u64) -> Result<&[u8], Unusable> {
        let skipped = usize::try_from(at - self.row.start.0)?;
        let there = self.bytes.get(skipped..);
        Ok(there
            .filter(|there| !there.is_empty())
            .ok_or("a frame is shorter than its table says")?)
    }
}

impl EarlierStream {
    /// Fills `buffer` with the bytes from `at` on.
    pub(super) fn read(&mut self, mut at: u64, buffer: &mut [u8]) -> Result<(), Unusable> {
        let mut rest = buffer;
        while !rest.is_empty() {
            let there = self.frame_at(at)?.bytes_from(at)?;
            let length = there.len().min(rest.len());
            let (now, later) = rest.split_at_mut(length);
            now.copy_from_slice(there.get(..length).unwrap_or_default());
            at += length as u64;
            rest = later;
        }
        Ok(())
    }

    /// Returns the bytes of a range. The caller makes sure that memory can hold it.
    pub(super) fn bytes(&mut self, range: Range<u64>) -> Result<Vec<u8>, Unusable> {
        let mut bytes = vec![0; usize::try_from(range.end.saturating_sub(range.start))?];
        self.read(range.start, &mut bytes)?;
        Ok(bytes)
    }

    fn frame_at(&mut self, at: u64) -> Result<&OpenFrame, Unusable> {
        let frame = match self.frame.take().filter(|frame| frame.holds(at)) {
            Some(frame) => frame,
            None => {
                let row = self.frames.locate(at)?;
                let bytes = self.frames.fetch(&row, &mut self.decoder)?;
                OpenFrame { row, bytes }
            }
        };
        Ok(self.frame.insert(frame))
    }
}
