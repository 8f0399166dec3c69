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

/// The first byte of a row: what kind of row it is.
const WHOLE_FRAME: u8 = 1;
const STRETCH: u8 = 2;
/// Reserved: the bytes have moved to another place of the stream, or to another stream.
const MOVED: u8 = 3;

/// The least number of a frame that holds stretches of others: all numbers below it are those of the
/// frames that a level was made with.
const LEAST_JOINED: u64 = 1 << 32;

/// Where a stretch of the stream lies in its frame, if the frame holds more than that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// Where the stretch begins in the content of the frame.
    pub skip: u32,
    /// Length of the whole content in bytes.
    pub frame_bytes: u32,
}

/// A row of a frame table: one frame of the stream, or a stretch of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameRow {
    /// The frame's number, from 0.
    pub number: FrameNo,
    /// Where the content begins in the stream.
    pub start: StreamOffset,
    /// How many bytes of the stream the row has; never 0.
    pub raw_length: u32,
    /// Number of the segment that holds the frame.
    pub segment: u32,
    /// Where the frame begins in the segment.
    pub offset: SegmentOffset,
    /// Length of the frame as stored, in bytes.
    pub stored_length: u32,
    /// The checksum of a bare frame; `None` for a sealed frame, which has a tag.
    pub checksum: Option<[u8; 16]>,
    /// Which part of the frame the row has; `None` for all of it.
    pub stretch: Option<Stretch>,
}

impl FrameRow {
    /// Returns where the content of the row ends in the stream.
    pub fn end(&self) -> StreamOffset {
        StreamOffset(self.start.0.saturating_add(u64::from(self.raw_length)))
    }

    /// Returns what the frame must be when it is opened. `compression` is the method of the level.
    pub fn expected(&self, compression: Compression) -> ExpectedFrame {
        ExpectedFrame {
            number: self.number,
            raw_length: self
                .stretch
                .map_or(self.raw_length, |stretch| stretch.frame_bytes),
            compression,
            checksum: self.checksum,
        }
    }

    /// Returns the bytes of the row among those of its frame.
    pub fn part_of(&self, mut frame: Vec<u8>) -> Vec<u8> {
        if let Some(Stretch { skip, .. }) = self.stretch {
            let skip = usize::try_from(skip).unwrap_or(usize::MAX).min(frame.len());
            frame.drain(..skip);
            frame.truncate(usize::try_from(self.raw_length).unwrap_or(usize::MAX));
        }
        frame
    }

    /// Returns whether the row has a part of the same frame as another one.
    pub fn shares_frame_with(&self, other: &Self) -> bool {
        self.stretch.is_some() && other.stretch.is_some() && self.number == other.number
    }

    fn encode(&self) -> Vec<u8> {
        let mut value = vec![match self.stretch {
            None => WHOLE_FRAME,
            Some(_) => STRETCH,
        }];
        put_varint(&mut value, self.number.0);
        put_varint(&mut value, u64::from(self.raw_length));
        put_varint(&mut value, u64::from(self.segment));
        put_varint(&mut value, self.offset.0);
        put_varint(&mut value, u64::from(self.stored_length));
        if let Some(Stretch { skip, frame_bytes }) = self.stretch {
            put_varint(&mut value, u64::from(frame_bytes));
            put_varint(&mut value, u64::from(skip));
        }
        value.extend(self.checksum.iter().flatten());
        value
    }

    fn decode(item: Item<'_>) -> Result<Self, Flaw> {
        let start = <[u8; 8]>::try_from(item.key).map_err(|_| "a key is not a stream offset")?;
        let mut reader = Reader::new(item.value);
        let kind = reader.u8()?;
        if kind == MOVED {
            return Err("its bytes have moved: only a newer version of freezer can follow".into());
        }
        if kind != WHOLE_FRAME && kind != STRETCH {
            return Err(
                format!("this version of freezer does not know rows of kind {kind}").into(),
            );
        }
        let row = Self {
            start: StreamOffset(u64::from_be_bytes(start)),
            number: FrameNo(reader.varint()?),
            raw_length: reader.varint_u32()?,
            segment: reader.varint_u32()?,
            offset: SegmentOffset(reader.varint()?),
            stored_length: reader.varint_u32()?,
            stretch: match kind {
                STRETCH => Some(Stretch {
                    frame_bytes: reader.varint_u32()?,
                    skip: reader.varint_u32()?,
                }),
                _ => None,
            },
            checksum: match reader.take_rest() {
                [] => None,
                rest => Some(
                    rest.try_into()
                        .map_err(|_| "a checksum does not have 16 bytes")?,
                ),
            },
        };
        if row.start.0 < item.rank || !row.has_possible_number() {
            return Err(format!("it cannot be the row of frame {}", row.number.0).into());
        }
        if row.raw_length == 0 || row.start.0.checked_add(u64::from(row.raw_length)).is_none() {
            return Err("a frame is empty, or too long".into());
        }
        if !row.fits_its_frame() {
            return Err("it has more than its frame".into());
        }
        Ok(row)
    }

    /// Returns whether a row at this place of the stream can have this number.
    fn has_possible_number(&self) -> bool {
        match self.stretch {
            Some(_) => self.number.0 >= LEAST_JOINED,
            None => self.number.0 <= self.start.0 && (self.number.0 > 0 || self.start.0 == 0),
        }
    }

    fn fits_its_frame(&self) -> bool {
        self.stretch.is_none_or(|Stretch { skip, frame_bytes }| {
            skip.checked_add(self.raw_length)
                .is_some_and(|end| end <= frame_bytes)
        })
    }
}

/// The next row of a table.
#[derive(Clone, Copy, Debug, Default)]
struct NextFrame {
    /// The number of the next whole frame.
    number: u64,
    /// Where the last whole frame ends in the stream.
    frame_start: u64,
    /// Where the last row ends in the stream.
    start: u64,
}

impl NextFrame {
    /// Returns what follows a row that may be this one.
    fn after(self, row: &FrameRow) -> Self {
        let end = row.end().0;
        match row.stretch {
            Some(_) => Self { start: end, ..self },
            None => Self {
                number: row.number.0.saturating_add(1),
                frame_start: end,
                start: end,
            },
        }
    }

    /// Returns whether `row` can be the next row of the table. Frames may be missing before it, or
    /// be there as stretches; each of them had at least one byte.
    fn may_be(self, row: &FrameRow) -> bool {
        if row.start.0 < self.start {
            return false;
        }
        if row.stretch.is_some() {
            return true;
        }
        match row.number.0.checked_sub(self.number) {
            Some(0) => row.start.0 == self.frame_start,
            Some(left_out) => self
                .frame_start
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
        if row.number.0 == self.next.number && row.stretch.is_none() {
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
            Some(_) if self.next.may_be(row) && row.fits_its_frame() => {
                self.run
                    .push(&row.start.0.to_be_bytes(), &row.encode(), sink)?;
                self.next = self.next.after(row);
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
        self.run
            .at(rank)?
            .map_or(Ok(None), |cursor| row_at(&cursor))
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
    let expected = before.map_or(NextFrame::default(), |row| NextFrame::default().after(row));
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
