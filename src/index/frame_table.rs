//! The frame table of a level: which frame holds a byte of the stream, and where that frame is
//! stored.
//!
//! Layout: docs/format/index.md, "Frame table".

use super::bytes::{Reader, put_varint};
use super::error::Flaw;
use super::node::NodeBuilder;
use super::run::{Cursor, Item, RunReader};
use super::run_writer::RunWriter;
use super::{BlockCache, BlockSink, BlockSource, IndexError, RunRoot};
use crate::format::frame::{Compression, ExpectedFrame};
use crate::model::{FrameNo, SegmentOffset, StreamOffset};
use std::sync::Arc;

const VERSION: u8 = 1;

/// A row of a frame table: one frame of the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameRow {
    /// The frame's number, from 0.
    pub number: FrameNo,
    /// Where the frame's content begins in the stream.
    pub start: StreamOffset,
    /// Length of the content in bytes; never 0.
    pub raw_length: u32,
    /// Number of the segment that holds the frame.
    pub segment: u32,
    /// Where the frame begins in the segment.
    pub offset: SegmentOffset,
    /// Length of the frame as stored, in bytes.
    pub stored_length: u32,
    /// The checksum of a bare frame; `None` for a sealed frame, which has a tag.
    pub checksum: Option<[u8; 16]>,
}

impl FrameRow {
    /// Returns where the next frame begins in the stream.
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
            return Err(
                format!("this version of freezer does not know rows of version {version}").into(),
            );
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
                rest => Some(
                    rest.try_into()
                        .map_err(|_| "a checksum does not have 16 bytes")?,
                ),
            },
        };
        if row.number.0 < item.rank || row.start.0 < row.number.0 {
            return Err(format!("it cannot be the row of frame {}", row.number.0).into());
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

/// The next frame of a stream.
#[derive(Clone, Copy, Debug, Default)]
struct NextFrame {
    number: u64,
    /// Where the frame begins in the stream, in bytes.
    start: u64,
}

impl NextFrame {
    fn after(row: &FrameRow) -> Self {
        Self {
            number: row.number.0.saturating_add(1),
            start: row.end().0,
        }
    }

    /// Returns whether `row` can be the next row of the table. Frames may be missing before it;
    /// each of them had at least one byte.
    fn may_be(self, row: &FrameRow) -> bool {
        match row.number.0.checked_sub(self.number) {
            Some(0) => row.start.0 == self.start,
            Some(left_out) => self
                .start
                .checked_add(left_out)
                .is_some_and(|least| row.start.0 >= least),
            None => false,
        }
    }
}

/// Writes a frame table from its rows in stream order.
#[derive(Debug, Default)]
pub struct FrameTableWriter {
    run: RunWriter,
    next: NextFrame,
}

impl FrameTableWriter {
    /// Begins a table.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends a row. Rows have numbers from 0, and each begins where the previous one ends.
    ///
    /// # Errors
    ///
    /// [`IndexError::OutOfOrder`] if this is not the next row; the writer is then unchanged. After
    /// an error of the sink, the table cannot be finished.
    pub fn push(&mut self, row: &FrameRow, sink: &mut dyn BlockSink) -> Result<(), IndexError> {
        if row.number.0 == self.next.number {
            self.push_later(row, sink)
        } else {
            Err(out_of_order(row))
        }
    }

    /// Appends a row. Frames before it may be missing from the table, because they were removed.
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
            Some(_) if self.next.may_be(row) => {
                self.run
                    .push(&row.start.0.to_be_bytes(), &row.encode(), sink)?;
                self.next = NextFrame::after(row);
                Ok(())
            }
            _ => Err(out_of_order(row)),
        }
    }

    /// Ends a copy of the table here. See [`TreeWriter::so_far`](super::TreeWriter::so_far).
    ///
    /// # Errors
    ///
    /// The errors of the sink.
    pub fn so_far(&self, sink: &mut dyn BlockSink) -> Result<RunRoot, IndexError> {
        self.run.so_far(sink)
    }

    /// Ends the table.
    ///
    /// # Errors
    ///
    /// The errors of the sink.
    pub fn finish(self, sink: &mut dyn BlockSink) -> Result<RunRoot, IndexError> {
        self.run.finish(sink)
    }
}

/// Returns the raw leaf that holds these rows. It equals the one that [`FrameTableWriter`] makes,
/// if they are the rows of one leaf.
pub fn leaf_of(rows: &[FrameRow]) -> Vec<u8> {
    let mut node = NodeBuilder::new(0);
    rows.iter()
        .for_each(|row| node.push(&row.start.0.to_be_bytes(), &row.encode()));
    node.take()
}

/// The frame table of a level: which frame holds a byte of the stream, and where it is stored.
/// Reads a block when a call first needs it. Cheap to clone, and may be used from many threads at
/// once.
#[derive(Clone, Debug)]
pub struct FrameTable {
    run: RunReader,
}

impl FrameTable {
    /// Opens a table by the root in a manifest. Loads nothing.
    ///
    /// # Errors
    ///
    /// [`IndexError::Malformed`] if the root is malformed.
    pub fn open(
        root: RunRoot,
        source: Arc<dyn BlockSource>,
        cache: Arc<BlockCache>,
    ) -> Result<Self, IndexError> {
        RunReader::open(root, source, cache).map(|run| Self { run })
    }

    /// Returns the same table, which never waits for a block: see
    /// [`Tree::cached_only`](super::Tree::cached_only).
    #[must_use]
    pub fn cached_only(&self) -> Self {
        Self {
            run: self.run.cached_only(),
        }
    }

    /// Returns how many frames the table has.
    pub fn frames(&self) -> u64 {
        self.run.entries()
    }

    /// Returns the frame that holds the byte at `at`.
    ///
    /// # Errors
    ///
    /// [`IndexError::PastEnd`] if the last frame ends at or before `at`; [`IndexError::Gone`] if
    /// the table no longer has the frame; [`IndexError::Fetch`] and [`IndexError::Malformed`].
    pub fn locate(&self, at: StreamOffset) -> Result<FrameRow, IndexError> {
        let mut cursor = self.run.seek_back(&at.0.to_be_bytes())?;
        let before = row_at(&cursor)?;
        if let Some(row) = before.filter(|row| at < row.end()) {
            self.check_place(&cursor, &row)?;
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

    /// Returns the row at this place in the table, from 0; `None` past the last. Unless frames are
    /// missing, it is the frame with this number.
    ///
    /// # Errors
    ///
    /// [`IndexError::Fetch`] and [`IndexError::Malformed`].
    pub fn row(&self, rank: u64) -> Result<Option<FrameRow>, IndexError> {
        let Some(cursor) = self.run.at(rank)? else {
            return Ok(None);
        };
        let row = row_at(&cursor)?;
        if let Some(row) = &row {
            self.check_place(&cursor, row)?;
        }
        Ok(row)
    }

    /// Refuses the row at `cursor` if it cannot follow the one before it. Where that cannot be read,
    /// the row stands for itself.
    fn check_place(&self, cursor: &Cursor, row: &FrameRow) -> Result<(), IndexError> {
        let rank = cursor.current().map_or(0, |item| item.rank);
        let before = rank
            .checked_sub(1)
            .and_then(|rank| self.run.at(rank).ok().flatten())
            .and_then(|cursor| row_at(&cursor).ok().flatten());
        match before {
            Some(before) => {
                check_order(Some(&before), Some(row)).map_err(|flaw| cursor.malformed(flaw))
            }
            None => Ok(()),
        }
    }

    /// Returns the row after `row`; `None` if that is the last one.
    ///
    /// # Errors
    ///
    /// [`IndexError::Fetch`]; [`IndexError::Malformed`], also if the next row cannot follow `row`.
    pub fn next(&self, row: &FrameRow) -> Result<Option<FrameRow>, IndexError> {
        let cursor = self
            .run
            .seek(&row.start.0.saturating_add(1).to_be_bytes())?;
        let next = row_at(&cursor)?;
        check_order(Some(row), next.as_ref()).map_err(|flaw| cursor.malformed(flaw))?;
        Ok(next)
    }

    /// Returns where the last frame of the table ends: the length of the stream, unless its last
    /// frames are missing.
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

    /// Lists all rows in stream order. Ends with the first error.
    pub fn rows(&self) -> FrameRows {
        FrameRows {
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

fn check_order(before: Option<&FrameRow>, next: Option<&FrameRow>) -> Result<(), Flaw> {
    let expected = before.map_or(NextFrame::default(), NextFrame::after);
    if next.is_none_or(|next| expected.may_be(next)) {
        Ok(())
    } else {
        Err("it cannot follow the previous row".into())
    }
}

/// Lists the rows of a table: see [`FrameTable::rows`].
#[derive(Debug)]
pub struct FrameRows {
    state: RowsState,
}

#[derive(Debug)]
enum RowsState {
    Begin(FrameTable),
    At { cursor: Cursor, last: FrameRow },
    Ended,
}

impl FrameRows {
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

impl Iterator for FrameRows {
    type Item = Result<FrameRow, IndexError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.try_next().transpose()
    }
}
