//! The frame table of a level: which frame holds a byte of the stream, and where that frame is stored.
//!
//! Layout: docs/format/index.md, "Frame table".

use super::bytes::{Reader, put_varint};
use super::error::Flaw;
use super::node::NodeBuilder;
use super::run::{Cursor, Item, Run};
use super::run_writer::RunWriter;
use super::{BlockCache, BlockSink, BlockSource, IndexError, RunRoot};
use crate::model::{FrameNo, SegmentOffset, StreamOffset};
use std::sync::Arc;

const VERSION: u8 = 1;

/// One frame of the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameRow {
    /// Its number; the first is 0.
    pub number: FrameNo,
    /// Where its bytes begin in the stream.
    pub start: StreamOffset,
    /// How many bytes of the stream it holds; never 0.
    pub raw_length: u32,
    /// Number of the segment that holds it.
    pub segment: u32,
    /// Where it begins in the segment.
    pub offset: SegmentOffset,
    /// Its length as stored.
    pub stored_length: u32,
    /// Of a frame that carries no authentication of its own: the first 16 bytes of its digest.
    pub checksum: Option<[u8; 16]>,
}

impl FrameRow {
    /// Where the next frame begins in the stream.
    pub fn end(&self) -> StreamOffset {
        StreamOffset(self.start.0.saturating_add(u64::from(self.raw_length)))
    }

    fn encode(&self) -> Vec<u8> {
        let mut value = vec![VERSION];
        put_varint(&mut value, self.number.0);
        put_varint(&mut value, u64::from(self.raw_length));
        put_varint(&mut value, u64::from(self.segment));
        put_varint(&mut value, self.offset.0);
        put_varint(&mut value, u64::from(self.stored_length));
        value.extend(self.checksum.iter().flatten());
        value
    }

    fn decode(item: Item<'_>) -> Result<Self, Flaw> {
        let start = <[u8; 8]>::try_from(item.key).map_err(|_| "a key is not a stream offset")?;
        let mut reader = Reader::new(item.value);
        let version = reader.u8()?;
        if version != VERSION {
            return Err(format!("rows of version {version} are not known to this version of freezer").into());
        }
        let row = Self {
            start: StreamOffset(u64::from_be_bytes(start)),
            number: FrameNo(reader.varint()?),
            raw_length: reader.varint_u32()?,
            segment: reader.varint_u32()?,
            offset: SegmentOffset(reader.varint()?),
            stored_length: reader.varint_u32()?,
            checksum: match reader.take_rest() {
                [] => None,
                rest => Some(rest.try_into().map_err(|_| "a checksum has not 16 bytes")?),
            },
        };
        if row.number.0 != item.rank {
            return Err(format!("it is of frame {}", row.number.0).into());
        }
        if row.number.0 == 0 && row.start.0 != 0 {
            return Err("the first frame does not begin at 0".into());
        }
        if row.raw_length == 0 || row.start.0.checked_add(u64::from(row.raw_length)).is_none() {
            return Err("a frame is empty, or too long".into());
        }
        Ok(row)
    }
}

/// Writes a frame table from its rows in stream order.
#[derive(Debug, Default)]
pub struct FrameTableWriter {
    run: RunWriter,
    end: u64,
}

impl FrameTableWriter {
    /// Begins a table.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends a row. Rows are numbered from 0, and each begins where the one before it ends.
    ///
    /// # Errors
    ///
    /// [`IndexError::OutOfOrder`] if this is not the next row; the writer is as it was. After an error of the sink the
    /// table cannot be finished.
    pub fn push(&mut self, row: &FrameRow, sink: &mut dyn BlockSink) -> Result<(), IndexError> {
        let end = row.start.0.checked_add(u64::from(row.raw_length)).filter(|_| row.raw_length > 0);
        match end {
            Some(end) if row.number.0 == self.run.entries() && row.start.0 == self.end => {
                self.run.push(&row.start.0.to_be_bytes(), &row.encode(), sink)?;
                self.end = end;
                Ok(())
            }
            _ => Err(IndexError::OutOfOrder { what: format!("frame {} at byte {} of the stream", row.number.0, row.start.0) }),
        }
    }

    /// The table of the rows so far. See [`TreeWriter::so_far`](super::TreeWriter::so_far).
    ///
    /// # Errors
    ///
    /// Those of the sink.
    pub fn so_far(&self, sink: &mut dyn BlockSink) -> Result<RunRoot, IndexError> {
        self.run.so_far(sink)
    }

    /// Ends the table.
    ///
    /// # Errors
    ///
    /// Those of the sink.
    pub fn finish(self, sink: &mut dyn BlockSink) -> Result<RunRoot, IndexError> {
        self.run.finish(sink)
    }
}

/// The raw bytes of the leaf that holds these rows: as [`FrameTableWriter`] makes it, if they are those of one leaf.
pub fn leaf_of(rows: &[FrameRow]) -> Vec<u8> {
    let mut node = NodeBuilder::new(0);
    rows.iter().for_each(|row| node.push(&row.start.0.to_be_bytes(), &row.encode()));
    node.take()
}

/// The frame table of a level. Reads a block when it is first needed; cheap to clone, and may be used from many threads at
/// once.
#[derive(Clone, Debug)]
pub struct FrameTable {
    run: Run,
}

impl FrameTable {
    /// Opens a table by the root that its manifest keeps. Loads nothing.
    ///
    /// # Errors
    ///
    /// [`IndexError::Malformed`] if the root is.
    pub fn open(root: RunRoot, source: Arc<dyn BlockSource>, cache: Arc<BlockCache>) -> Result<Self, IndexError> {
        Run::open(root, source, cache).map(|run| Self { run })
    }

    /// The same table for those who must not wait: see [`Tree::cached_only`](super::Tree::cached_only).
    #[must_use]
    pub fn cached_only(&self) -> Self {
        Self { run: self.run.cached_only() }
    }

    /// How many frames the level has.
    pub fn frames(&self) -> u64 {
        self.run.entries()
    }

    /// The frame that holds the byte at `at`.
    ///
    /// # Errors
    ///
    /// [`IndexError::PastEnd`] if the stream ends at or before `at`; [`IndexError::Fetch`] and [`IndexError::Malformed`].
    pub fn locate(&self, at: StreamOffset) -> Result<FrameRow, IndexError> {
        let cursor = self.run.seek_back(&at.0.to_be_bytes())?;
        let Some(row) = row_at(&cursor)? else {
            return Err(IndexError::PastEnd { at, end: StreamOffset(0) });
        };
        if at < row.end() {
            Ok(row)
        } else if row.number.0 + 1 == self.frames() {
            Err(IndexError::PastEnd { at, end: row.end() })
        } else {
            Err(cursor.malformed("it does not end where the next begins".into()))
        }
    }

    /// The row of a frame; `None` when there is no such frame.
    ///
    /// # Errors
    ///
    /// [`IndexError::Fetch`] and [`IndexError::Malformed`].
    pub fn row(&self, number: FrameNo) -> Result<Option<FrameRow>, IndexError> {
        self.run.at(number.0)?.map_or(Ok(None), |cursor| row_at(&cursor))
    }

    /// The row after `row`; `None` when that is the last.
    ///
    /// # Errors
    ///
    /// [`IndexError::Fetch`], and [`IndexError::Malformed`] also if it does not begin where `row` ends.
    pub fn next(&self, row: &FrameRow) -> Result<Option<FrameRow>, IndexError> {
        let Some(cursor) = self.run.at(row.number.0.saturating_add(1))? else {
            return Ok(None);
        };
        let next = row_at(&cursor)?;
        check_tiling(row.end(), next.as_ref()).map_err(|flaw| cursor.malformed(flaw))?;
        Ok(next)
    }

    /// Where the stream ends: how many bytes it has.
    ///
    /// # Errors
    ///
    /// [`IndexError::Fetch`] and [`IndexError::Malformed`].
    pub fn stream_end(&self) -> Result<StreamOffset, IndexError> {
        match self.frames().checked_sub(1) {
            None => Ok(StreamOffset(0)),
            Some(last) => Ok(self.row(FrameNo(last))?.map_or(StreamOffset(0), |row| row.end())),
        }
    }

    /// All rows in stream order. Ends with the first error.
    pub fn rows(&self) -> Rows {
        Rows { state: RowsState::Begin(self.clone()) }
    }
}

fn row_at(cursor: &Cursor) -> Result<Option<FrameRow>, IndexError> {
    cursor.current().map(|item| FrameRow::decode(item).map_err(|flaw| cursor.malformed(flaw))).transpose()
}

fn check_tiling(end: StreamOffset, next: Option<&FrameRow>) -> Result<(), Flaw> {
    if next.is_none_or(|next| next.start == end) { Ok(()) } else { Err("it does not begin where the one before it ends".into()) }
}

/// What [`FrameTable::rows`] lists.
#[derive(Debug)]
pub struct Rows {
    state: RowsState,
}

#[derive(Debug)]
enum RowsState {
    Begin(FrameTable),
    At { cursor: Cursor, end: StreamOffset },
    Ended,
}

impl Rows {
    fn try_next(&mut self) -> Result<Option<FrameRow>, IndexError> {
        let (cursor, end) = match std::mem::replace(&mut self.state, RowsState::Ended) {
            RowsState::Ended => return Ok(None),
            RowsState::Begin(table) => (table.run.seek(&[])?, StreamOffset(0)),
            RowsState::At { mut cursor, end } => {
                cursor.advance()?;
                (cursor, end)
            }
        };
        let row = row_at(&cursor)?;
        check_tiling(end, row.as_ref()).map_err(|flaw| cursor.malformed(flaw))?;
        if let Some(row) = &row {
            self.state = RowsState::At { cursor, end: row.end() };
        }
        Ok(row)
    }
}

impl Iterator for Rows {
    type Item = Result<FrameRow, IndexError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.try_next().transpose()
    }
}
