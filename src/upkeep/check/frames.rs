//! Checks the frames of one level: whether they tile its stream and its segments, and whether each
//! can be read.

use super::checker::Checker;
use super::damage::Damage;
use super::frame_reader::{FrameReaders, SegmentBatch, UnreadableFrame, Why};
use crate::catalog::names::{self, Folder};
use crate::catalog::stream::{is_live, open_frame_table};
use crate::format::manifest::LevelParts;
use crate::index::{FrameRow, FrameTable};
use crate::model::Ranges;
use crate::store::ObjectName;
use crate::upkeep::error::CheckError;
use crate::upkeep::frames_at_once::AdjacentFrames;
use crossbeam_channel::Sender;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// A check of one level's frames.
pub(super) struct FrameCheck<'check, 'run> {
    checker: &'check mut Checker<'run>,
    parts: &'check LevelParts,
    /// Lengths of the segments that are there.
    lengths: &'check BTreeMap<u32, u64>,
    /// The segments that are to be read; `None` where none is.
    to_read: Option<&'check BTreeSet<u32>>,
    /// The segment of the last frame.
    segment: u32,
    /// The last row, if it has only a stretch of its frame.
    last_stretch: Option<FrameRow>,
    /// Where the frames of each segment end so far.
    ends: BTreeMap<u32, u64>,
    /// Segments of which it is not known where their frames end.
    unsure: BTreeSet<u32>,
    /// Bytes of the stream that cannot be read.
    unreadable: Vec<Range<u64>>,
    /// Segments that are needed and missing, of a level of which only a part is needed.
    missing: BTreeSet<u32>,
}

/// The result of a check of a level's frames.
pub(super) struct FramesSeen {
    /// The bytes of the stream that cannot be read.
    pub(super) unreadable: Ranges,
    /// How many segments are missing, where the frame table tells which are needed.
    pub(super) missing_segments: u32,
}

/// What a walk through a frame table has seen.
#[derive(Default)]
struct TableWalk {
    /// Where the last frame ends in the stream.
    stream_end: u64,
    /// Whether the row before could not be read. What cannot be read is told once, where it begins.
    in_gap: bool,
    /// Whether any row could not be read.
    had_gap: bool,
    /// Frames that wait to be handed out together.
    batch: Option<AdjacentFrames>,
}

impl<'check, 'run> FrameCheck<'check, 'run> {
    pub(super) fn new(
        checker: &'check mut Checker<'run>,
        parts: &'check LevelParts,
        lengths: &'check BTreeMap<u32, u64>,
        to_read: Option<&'check BTreeSet<u32>>,
    ) -> Self {
        Self {
            checker,
            parts,
            lengths,
            to_read,
            segment: 0,
            last_stretch: None,
            ends: BTreeMap::new(),
            unsure: BTreeSet::new(),
            unreadable: Vec::new(),
            missing: BTreeSet::new(),
        }
    }

    /// Looks at every frame.
    pub(super) fn check(mut self) -> Result<FramesSeen, CheckError> {
        if self.to_read.is_some_and(|segments| !segments.is_empty()) {
            let readers = FrameReaders {
                store: self.checker.of.store(),
                opener: self.checker.access().opener(&self.parts.id),
                compression: self.parts.compression,
                progress: self.checker.progress,
            };
            let failed = readers.read(|batches| self.walk_table(Some(batches)))?;
            failed.into_iter().for_each(|frame| self.tell_frame(frame));
        } else {
            self.walk_table(None)?;
        }
        Ok(FramesSeen {
            unreadable: Ranges::new(self.unreadable),
            missing_segments: u32::try_from(self.missing.len()).unwrap_or(u32::MAX),
        })
    }

    fn tell_frame(&mut self, failed: UnreadableFrame) {
        let UnreadableFrame { row, object, why } = failed;
        self.unreadable.push(row.start.0..row.end().0);
        let frame = row.number.0;
        self.checker.tell(match why {
            Why::Fetch(source) => Damage::Fetch {
                frame,
                object,
                source,
            },
            Why::Frame(source) => Damage::Frame {
                frame,
                object,
                source,
            },
        });
    }

    fn object_of(&self, segment: u32) -> ObjectName {
        names::data_name(
            self.checker.backup(),
            &self.parts.id,
            Folder::Segments,
            segment,
        )
    }

    /// Goes through the frame table and hands frames out to be read.
    fn walk_table(&mut self, batches: Option<&Sender<SegmentBatch>>) -> Result<(), CheckError> {
        let of = self.checker.of;
        match open_frame_table(of.access, of.backup, self.parts) {
            Ok(table) => {
                let walk = self.walk_rows(&table, batches)?;
                self.end_of_table(&walk);
            }
            Err(source) => {
                let frame = 0;
                self.checker.tell(Damage::FrameTable { frame, source });
                self.unreadable.push(0..self.parts.stream_bytes);
            }
        }
        Ok(())
    }

    fn walk_rows(
        &mut self,
        table: &FrameTable,
        batches: Option<&Sender<SegmentBatch>>,
    ) -> Result<TableWalk, CheckError> {
        let mut walk = TableWalk::default();
        for number in 0..table.frames() {
            self.checker.go_on()?;
            match table.row(number) {
                Ok(Some(row)) => {
                    self.unreadable.push(walk.stream_end..row.start.0);
                    self.place(&row, walk.in_gap);
                    walk.in_gap = false;
                    walk.stream_end = row.end().0;
                    self.checker.checked.frames += 1;
                    if let Some(batches) = batches {
                        self.hand_out(row, &mut walk.batch, batches);
                    }
                }
                Ok(None) => break,
                Err(source) => {
                    if !walk.in_gap {
                        self.checker.tell(Damage::FrameTable {
                            frame: number,
                            source,
                        });
                    }
                    self.unsure.insert(self.segment);
                    (walk.in_gap, walk.had_gap) = (true, true);
                }
            }
        }
        if let (Some(batch), Some(batches)) = (walk.batch.take(), batches) {
            self.send(batch, batches);
        }
        Ok(walk)
    }

    /// Checks that the frames fill the segments and the stream.
    fn end_of_table(&mut self, walk: &TableWalk) {
        // In a level that was repacked, any segment may have frames in what could not be read.
        if !walk.had_gap || self.parts.repacked == 0 {
            self.segments_end();
        }
        if walk.stream_end != self.parts.stream_bytes {
            // A repack leaves out what nothing needs, also at the end of the stream.
            if !walk.in_gap && self.parts.repacked == 0 {
                self.checker.tell(Damage::StreamEnd {
                    found: walk.stream_end,
                    expected: self.parts.stream_bytes,
                });
            }
            self.unreadable
                .push(walk.stream_end..self.parts.stream_bytes);
        }
    }

    /// Checks that a frame lies right behind the one before it, in the same segment or at the
    /// beginning of the next. In a level that was repacked frames may lie in any order.
    fn place(&mut self, row: &FrameRow, after_gap: bool) {
        let end = row.offset.0.saturating_add(u64::from(row.stored_length));
        let is_repacked = self.parts.repacked > 0;
        let so_far = self.ends.get(&row.segment).copied().unwrap_or(0);
        let is_next =
            row.segment == self.segment || Some(row.segment) == self.segment.checked_add(1);
        let fits = after_gap || is_repacked || row.offset.0 == so_far && is_next;
        // Where frames lie in any order, their lengths add up to where they end.
        let last = self
            .last_stretch
            .replace(*row)
            .filter(|last| row.shares_frame_with(last));
        let so_far = if last.is_some() {
            so_far
        } else if is_repacked {
            so_far.saturating_add(u64::from(row.stored_length))
        } else {
            end
        };
        self.ends.insert(row.segment, so_far);
        self.segment = row.segment;
        if !fits || row.segment >= self.parts.segments {
            let object = self.object_of(row.segment);
            self.checker.tell(Damage::Place {
                frame: row.number.0,
                object,
            });
            self.unreadable.push(row.start.0..row.end().0);
            return;
        }
        // A segment that is missing or short is told once, as a segment.
        let length = self.lengths.get(&row.segment);
        if length.is_none() {
            self.note_missing(row);
        }
        if length.is_none_or(|length| end > *length) {
            self.unreadable.push(row.start.0..row.end().0);
        }
    }

    /// Tells once that a segment is missing, if a frame of it is needed and only the frame table
    /// tells that.
    fn note_missing(&mut self, row: &FrameRow) {
        let live = self.parts.live.as_ref();
        if live.is_some_and(|live| is_live(row, live)) && self.missing.insert(row.segment) {
            let object = self.object_of(row.segment);
            self.checker.tell(Damage::Missing(object));
        }
    }

    /// Checks that the frames fill their segments.
    fn segments_end(&mut self) {
        for (segment, expected) in std::mem::take(&mut self.ends) {
            let found = self
                .lengths
                .get(&segment)
                .copied()
                .filter(|found| *found != expected && !self.unsure.contains(&segment));
            if let Some(found) = found {
                let object = self.object_of(segment);
                self.checker.tell(Damage::Length {
                    object,
                    found,
                    expected,
                });
            }
        }
    }

    /// Adds a frame to the batch, or hands that out and begins another. Frames of segments that are
    /// missing or not chosen are not read.
    fn hand_out(
        &self,
        row: FrameRow,
        batch: &mut Option<AdjacentFrames>,
        batches: &Sender<SegmentBatch>,
    ) {
        if !self.lengths.contains_key(&row.segment)
            || !self
                .to_read
                .is_some_and(|chosen| chosen.contains(&row.segment))
        {
            return;
        }
        if batch.as_mut().is_some_and(|batch| batch.take(&row)) {
            return;
        }
        if let Some(full) = batch.replace(AdjacentFrames::new(row)) {
            self.send(full, batches);
        }
    }

    fn send(&self, frames: AdjacentFrames, batches: &Sender<SegmentBatch>) {
        let Some(first) = frames.rows().first() else {
            return;
        };
        let object = self.object_of(first.segment);
        // The readers live as long as this sender; were one to panic, the scope would end with its
        // panic.
        batches.send(SegmentBatch { object, frames }).ok();
    }
}
