//! The frame table of a level: which frame holds a byte of the stream, and where that frame is
//! stored.
//!
//! Layout: docs/format/index.md, "Frame table".

use super::bytes::{Reader, put_varint};
use super::error::Flaw;
use super::node::NodeBuilder;
use super::run::{Cursor, Item, Run};
use super::run_writer::RunWriter;
use super::{BlockCache, BlockSink, BlockSource, IndexError, RunRoot};
use crate::format::frame::{Compression, ExpectedFrame};
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

    /// Returns what the frame must be when it is opened. `compression` is the method of the level.
    pub fn expected(&self, compression: Compression) -> ExpectedFrame {
        ExpectedFrame {
            number: self.number,
            raw_length: self.raw_length,
            compression,
            checksum: self.checksum,
        }
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
            return Err(format!(
                "rows of version {version} are not known to this version of freezer"
            )
            .into());
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
        if row.number.0 < item.rank || row.start.0 < row.number.0 {
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
    /// The number of the next frame of the stream, and where it begins.
    next: (u64, u64),
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
    /// [`IndexError::OutOfOrder`] if this is not the next row; the writer is as it was. After an
    /// error of the sink the table cannot be finished.
    pub fn push(&mut self, row: &FrameRow, sink: &mut dyn BlockSink) -> Result<(), IndexError> {
        if row.number.0 == self.next.0 {
            self.push_later(row, sink)
        } else {
            Err(out_of_order(row))
        }
    }

    /// Appends a row of a frame before which others may be left out of the table: they are not
    /// there any more.
    ///
    /// # Errors
    ///
    /// As [`push`](Self::push).
    pub fn push_later(
        &mut self,
        row: &FrameRow,
        sink: &mut dyn BlockSink,
    ) -> Result<(), IndexError> {
        let end = row
            .start
            .0
            .checked_add(u64::from(row.raw_length))
            .filter(|_| row.raw_length > 0);
        match end {
            Some(end) if follows(self.next, row) => {
                self.run
                    .push(&row.start.0.to_be_bytes(), &row.encode(), sink)?;
                self.next = (row.number.0 + 1, end);
                Ok(())
            }
            _ => Err(out_of_order(row)),
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

/// The raw bytes of the leaf that holds these rows: as [`FrameTableWriter`] makes it, if they are
/// those of one leaf.
pub fn leaf_of(rows: &[FrameRow]) -> Vec<u8> {
    let mut node = NodeBuilder::new(0);
    rows.iter()
        .for_each(|row| node.push(&row.start.0.to_be_bytes(), &row.encode()));
    node.take()
}

/// The frame table of a level. Reads a block when it is first needed; cheap to clone, and may be
/// used from many threads at once.
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
    pub fn open(
        root: RunRoot,
        source: Arc<dyn BlockSource>,
        cache: Arc<BlockCache>,
    ) -> Result<Self, IndexError> {
        Run::open(root, source, cache).map(|run| Self { run })
    }

    /// The same table for those who must not wait: see
    /// [`Tree::cached_only`](super::Tree::cached_only).
    #[must_use]
    pub fn cached_only(&self) -> Self {
        Self {
            run: self.run.cached_only(),
        }
    }

    /// How many frames the table has.
    pub fn frames(&self) -> u64 {
        self.run.entries()
    }

    /// The frame that holds the byte at `at`.
    ///
    /// # Errors
    ///
    /// [`IndexError::PastEnd`] if the last frame ends at or before `at`; [`IndexError::Gone`] if
    /// the frame was left out of the table; [`IndexError::Fetch`] and [`IndexError::Malformed`].
    pub fn locate(&self, at: StreamOffset) -> Result<FrameRow, IndexError> {
        let mut cursor = self.run.seek_back(&at.0.to_be_bytes())?;
        let before = row_at(&cursor)?;
        if let Some(row) = before.filter(|row| at < row.end()) {
            return Ok(row);
        }
        match before {
            Some(_) => cursor.advance()?,
            None => cursor = self.run.seek(&[])?,
        }
        let next = row_at(&cursor)?;
        check_order(before.as_ref(), next.as_ref()).map_err(|flaw| cursor.malformed(flaw))?;
        match next {
            Some(_) => Err(IndexError::Gone { at }),
            None => Err(IndexError::PastEnd {
                at,
                end: before.map_or(StreamOffset(0), |row| row.end()),
            }),
        }
    }

    /// The row at this place in the table, counted from 0; `None` when it has no more. Unless
    /// frames were left out, it is the frame of this number.
    ///
    /// # Errors
    ///
    /// [`IndexError::Fetch`] and [`IndexError::Malformed`].
    pub fn row(&self, rank: u64) -> Result<Option<FrameRow>, IndexError> {
        self.run
            .at(rank)?
            .map_or(Ok(None), |cursor| row_at(&cursor))
    }

    /// The row after `row`; `None` when that is the last.
    ///
    /// # Errors
    ///
    /// [`IndexError::Fetch`], and [`IndexError::Malformed`] also if it does not follow `row`.
    pub fn next(&self, row: &FrameRow) -> Result<Option<FrameRow>, IndexError> {
        let cursor = self
            .run
            .seek(&row.start.0.saturating_add(1).to_be_bytes())?;
        let next = row_at(&cursor)?;
        check_order(Some(row), next.as_ref()).map_err(|flaw| cursor.malformed(flaw))?;
        Ok(next)
    }

    /// Where the last frame of the table ends: how many bytes the stream has, unless its last
    /// frames were left out.
    ///
    /// # Errors
    ///
    /// [`IndexError::Fetch`] and [`IndexError::Malformed`].
    pub fn stream_end(&self) -> Result<StreamOffset, IndexError> {
        match self.frames().checked_sub(1) {
            None => Ok(StreamOffset(0)),
            Some(last) => Ok(self.row(last)?.map_or(StreamOffset(0), |row| row.end())),
        }
    }

    /// All rows in stream order. Ends with the first error.
    pub fn rows(&self) -> Rows {
        Rows {
            state: RowsState::Begin(self.clone()),
        }
    }
}

fn row_at(cursor: &Cursor) -> Result<Option<FrameRow>, IndexError> {
    cursor
        .current()
        .map(|item| FrameRow::decode(item).map_err(|flaw| cursor.malformed(flaw)))
        .transpose()
}

fn out_of_order(row: &FrameRow) -> IndexError {
    IndexError::OutOfOrder {
        what: format!(
            "frame {} at byte {} of the stream",
            row.number.0, row.start.0
        ),
    }
}

/// Whether a row can come where the next frame of the stream has this number and begins there.
/// Frames that were left out before it had a byte each at least.
fn follows((number, start): (u64, u64), row: &FrameRow) -> bool {
    match row.number.0.checked_sub(number) {
        Some(0) => row.start.0 == start,
        Some(left_out) => start
            .checked_add(left_out)
            .is_some_and(|least| row.start.0 >= least),
        None => false,
    }
}

fn check_order(before: Option<&FrameRow>, next: Option<&FrameRow>) -> Result<(), Flaw> {
    let expected = before.map_or((0, 0), |row| (row.number.0.saturating_add(1), row.end().0));
    if next.is_none_or(|next| follows(expected, next)) {
        Ok(())
    } else {
        Err("it does not follow the one before it".into())
    }
}

/// What [`FrameTable::rows`] lists.
#[derive(Debug)]
pub struct Rows {
    state: RowsState,
}

#[derive(Debug)]
enum RowsState {
    Begin(FrameTable),
    At { cursor: Cursor, last: FrameRow },
    Ended,
}

impl Rows {
    fn try_next(&mut self) -> Result<Option<FrameRow>, IndexError> {
        let (cursor, last) = match std::mem::replace(&mut self.state, RowsState::Ended) {
            RowsState::Ended => return Ok(None),
            RowsState::Begin(table) => (table.run.seek(&[])?, None),
            RowsState::At { mut cursor, last } => {
                cursor.advance()?;
                (cursor, Some(last))
            }
        };
        let row = row_at(&cursor)?;
        check_order(last.as_ref(), row.as_ref()).map_err(|flaw| cursor.malformed(flaw))?;
        if let Some(row) = row {
            self.state = RowsState::At { cursor, last: row };
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
