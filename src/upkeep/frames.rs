//! The frames of one level: whether they tile stream and segments, and whether each can be read.

use super::check::{Check, CheckError, is_damage};
use super::damage::Damage;
use crate::catalog::Blocks;
use crate::catalog::stream::is_live;
use crate::format::frame::{Decoder, FrameError, Lane, Opener};
use crate::format::manifest::LevelParts;
use crate::index::{BlockCache, FrameRow, FrameTable, RunRoot};
use crate::model::{Interrupted, Progress, Ranges};
use crate::store::{self, ObjectName, Store};
use crossbeam_channel::{Receiver, Sender, bounded};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;
use std::thread;

/// Most bytes of neighbouring frames that are fetched at once.
const BATCH_BYTES: u64 = 4 << 20;

/// Most bytes of frame table blocks that are kept.
const TABLE_CACHE_BYTES: usize = 4 << 20;

/// One level's frames under check.
pub(super) struct Frames<'check, 'run> {
    check: &'check mut Check<'run>,
    parts: &'check LevelParts,
    /// Lengths of the segments that are there.
    lengths: &'check BTreeMap<u32, u64>,
    /// The segments that are to be read; nothing where none is.
    reads: Option<&'check BTreeSet<u32>>,
    /// The segment of the last frame, and where the frames of each segment end so far.
    segment: u32,
    ends: BTreeMap<u32, u64>,
    /// Segments of which it is not known where their frames end.
    unsure: BTreeSet<u32>,
    unreadable: Vec<Range<u64>>,
    /// Segments that are needed and not there, of a level of which not all is.
    missing: BTreeSet<u32>,
}

/// What was seen of the frames of a level.
pub(super) struct Seen {
    /// Which parts of the stream cannot be read.
    pub(super) unreadable: Ranges,
    /// How many segments are missing, where the frame table tells which are needed.
    pub(super) missing_segments: u32,
}

/// Neighbouring frames of one segment.
struct Batch {
    object: ObjectName,
    rows: Vec<FrameRow>,
}

/// A frame that could not be read.
struct Failed {
    row: FrameRow,
    object: ObjectName,
    why: Why,
}

enum Why {
    Fetch(store::Error),
    Frame(FrameError),
}

impl<'check, 'run> Frames<'check, 'run> {
    pub(super) fn new(
        check: &'check mut Check<'run>,
        parts: &'check LevelParts,
        lengths: &'check BTreeMap<u32, u64>,
        reads: Option<&'check BTreeSet<u32>>,
    ) -> Self {
        Self {
            check,
            parts,
            lengths,
            reads,
            segment: 0,
            ends: BTreeMap::new(),
            unsure: BTreeSet::new(),
            unreadable: Vec::new(),
            missing: BTreeSet::new(),
        }
    }

    /// Looks at every frame.
    pub(super) fn check(mut self) -> Result<Seen, CheckError> {
        let readers = match self.reads {
            Some(segments) if !segments.is_empty() => {
                thread::available_parallelism().map_or(1, usize::from)
            }
            _ => 0,
        };
        let compression = self.parts.compression;
        let opener = self.check.access.opener(&self.parts.id);
        let store = self.check.access.store();
        let progress = self.check.progress;
        let (batches, work) = bounded::<Batch>(2 * readers);
        let (failures, failed) = crossbeam_channel::unbounded::<Failed>();
        let table = thread::scope(|scope| {
            for number in 0..readers {
                let reader = Reader {
                    store: Arc::clone(&store),
                    opener: opener.clone(),
                    decoder: Decoder::new(),
                    compression,
                    progress,
                };
                let (work, failures) = (work.clone(), failures.clone());
                thread::Builder::new()
                    .name(format!("check-{number}"))
                    .spawn_scoped(scope, move || reader.serve(&work, &failures))
                    .map_err(CheckError::Thread)?;
            }
            drop((work, failures));
            self.table((readers > 0).then_some(&batches))?;
            drop(batches);
            Ok(())
        });
        table?;
        let mut failed: Vec<Failed> = failed.into_iter().collect();
        failed.sort_by_key(|failed| failed.row.number);
        for Failed { row, object, why } in failed {
            self.unreadable.push(row.start.0..row.end().0);
            let frame = row.number.0;
            self.check.tell(match why {
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
        let missing_segments = u32::try_from(self.missing.len()).unwrap_or(u32::MAX);
        Ok(Seen {
            unreadable: Ranges::new(self.unreadable),
            missing_segments,
        })
    }

    /// Goes through the frame table and hands the frames to those who read them.
    fn table(&mut self, batches: Option<&Sender<Batch>>) -> Result<(), CheckError> {
        let root = &self.parts.frame_table;
        let root = RunRoot {
            node: root.node.clone(),
            height: root.height,
            entries: root.entries,
        };
        let blocks = Blocks::new(
            self.check.access,
            self.check.backup,
            &self.parts.id,
            Lane::FrameTable,
        );
        let table =
            match FrameTable::open(root, Arc::new(blocks), BlockCache::new(TABLE_CACHE_BYTES)) {
                Ok(table) => table,
                Err(source) => {
                    self.check.tell(Damage::FrameTable { frame: 0, source });
                    self.unreadable.push(0..self.parts.stream_bytes);
                    return Ok(());
                }
            };
        let mut batch: Option<Batch> = None;
        let mut stream_end = 0;
        let mut number = 0;
        // What could not be read of the table is told once, where it begins.
        let (mut in_gap, mut had_gap) = (false, false);
        while number < table.frames() {
            if self.check.cancel.is_requested() {
                return Err(CheckError::Interrupted(Interrupted));
            }
            match table.row(number) {
                Ok(Some(row)) => {
                    self.unreadable.push(stream_end..row.start.0);
                    self.place(&row, in_gap);
                    in_gap = false;
                    stream_end = row.end().0;
                    self.check.checked.frames += 1;
                    if let Some(batches) = batches {
                        self.hand_out(row, &mut batch, batches);
                    }
                }
                Ok(None) => break,
                Err(source) => {
                    if !in_gap {
                        self.check.tell(Damage::FrameTable {
                            frame: number,
                            source,
                        });
                    }
                    self.unsure.insert(self.segment);
                    (in_gap, had_gap) = (true, true);
                }
            }
            number += 1;
        }
        if let (Some(batch), Some(batches)) = (batch, batches) {
            send(batches, batch);
        }
        // Of a level that was repacked, any segment may have frames in what could not be read.
        if !had_gap || self.parts.repacked == 0 {
            self.segments_end();
        }
        // Where the level was repacked, what nothing needs was left out at the end too.
        if stream_end != self.parts.stream_bytes {
            if !in_gap && self.parts.repacked == 0 {
                self.check.tell(Damage::StreamEnd {
                    found: stream_end,
                    expected: self.parts.stream_bytes,
                });
            }
            self.unreadable.push(stream_end..self.parts.stream_bytes);
        }
        Ok(())
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
        // Where they are in any order: the lengths of all frames in it.
        let so_far = if is_repacked {
            so_far.saturating_add(u64::from(row.stored_length))
        } else {
            end
        };
        self.ends.insert(row.segment, so_far);
        self.segment = row.segment;
        let object = self.check.segment(self.parts, row.segment);
        let is_there = self
            .lengths
            .get(&row.segment)
            .is_some_and(|length| end <= *length);
        if !fits || row.segment >= self.parts.segments {
            self.check.tell(Damage::Place {
                frame: row.number.0,
                object,
            });
            self.unreadable.push(row.start.0..row.end().0);
        } else if !is_there {
            // That the segment is missing or short is told for the segment.
            if !self.lengths.contains_key(&row.segment)
                && self
                    .parts
                    .live
                    .as_ref()
                    .is_some_and(|live| is_live(row, live))
                && self.missing.insert(row.segment)
            {
                self.check.tell(Damage::Missing(object));
            }
            self.unreadable.push(row.start.0..row.end().0);
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
                let object = self.check.segment(self.parts, segment);
                self.check.tell(Damage::Length {
                    object,
                    found,
                    expected,
                });
            }
        }
    }

    /// Adds a frame to the batch, or hands that out and begins another. Frames of segments that are
    /// missing or not chosen are not read.
    fn hand_out(&self, row: FrameRow, batch: &mut Option<Batch>, batches: &Sender<Batch>) {
        if !self.lengths.contains_key(&row.segment)
            || !self
                .reads
                .is_some_and(|chosen| chosen.contains(&row.segment))
        {
            return;
        }
        if let Some(current) = batch {
            let joined =
                current
                    .rows
                    .first()
                    .zip(current.rows.last())
                    .is_some_and(|(first, last)| {
                        let end = last.offset.0.saturating_add(u64::from(last.stored_length));
                        let length = end
                            .saturating_sub(first.offset.0)
                            .saturating_add(u64::from(row.stored_length));
                        last.segment == row.segment && end == row.offset.0 && length <= BATCH_BYTES
                    });
            if joined {
                current.rows.push(row);
                return;
            }
        }
        let object = self.check.segment(self.parts, row.segment);
        if let Some(full) = batch.replace(Batch {
            object,
            rows: vec![row],
        }) {
            send(batches, full);
        }
    }
}

fn send(batches: &Sender<Batch>, batch: Batch) {
    // The readers live as long as this sender; were one to panic, the scope would end with its
    // panic.
    batches.send(batch).ok();
}

/// Reads frames.
struct Reader<'run> {
    store: Arc<dyn Store>,
    opener: Opener,
    decoder: Decoder,
    compression: crate::format::frame::Compression,
    progress: &'run dyn Progress,
}

impl Reader<'_> {
    fn serve(mut self, work: &Receiver<Batch>, failures: &Sender<Failed>) {
        for Batch { object, rows } in work {
            let together = self.fetch_together(&object, &rows);
            for row in rows {
                let stored = match &together {
                    Some((start, bytes)) => slice(bytes, *start, &row),
                    None => None,
                };
                let stored = stored.map_or_else(|| self.fetch(&object, &row), Ok);
                let why = match stored {
                    Ok(stored) => self.open(&row, stored).err().map(Why::Frame),
                    Err(error) => Some(Why::Fetch(error)),
                };
                self.progress.advance(0, u64::from(row.raw_length));
                if let Some(why) = why {
                    failures
                        .send(Failed {
                            row,
                            object: object.clone(),
                            why,
                        })
                        .ok();
                }
            }
        }
    }

    /// All frames of a batch with one request; `None` when that fails, and each is to be tried
    /// alone.
    fn fetch_together(&self, object: &ObjectName, rows: &[FrameRow]) -> Option<(u64, Vec<u8>)> {
        let (first, last) = rows.first().zip(rows.last())?;
        let start = first.offset.0;
        let length = last
            .offset
            .0
            .checked_add(u64::from(last.stored_length))?
            .checked_sub(start)?;
        let bytes = self
            .store
            .get_range(object, start, usize::try_from(length).ok()?)
            .ok()?;
        Some((start, bytes))
    }

    fn fetch(&self, object: &ObjectName, row: &FrameRow) -> Result<Vec<u8>, store::Error> {
        let length = usize::try_from(row.stored_length).unwrap_or(usize::MAX);
        let fetched = self.store.get_range(object, row.offset.0, length);
        if let Err(error) = &fetched
            && !is_damage(error)
        {
            tracing::warn!(%object, error = error as &dyn std::error::Error, "the store did not answer; the frame counts as unreadable");
        }
        fetched
    }

    fn open(&mut self, row: &FrameRow, stored: Vec<u8>) -> Result<(), FrameError> {
        let bare = row.checksum.map(|checksum| (self.compression, checksum));
        self.opener
            .open_data(&mut self.decoder, row.number, row.raw_length, bare, stored)
            .map(|_| ())
    }
}

/// A frame out of bytes that begin at `start` of its segment.
fn slice(bytes: &[u8], start: u64, row: &FrameRow) -> Option<Vec<u8>> {
    let from = usize::try_from(row.offset.0.checked_sub(start)?).ok()?;
    let end = from.checked_add(usize::try_from(row.stored_length).ok()?)?;
    bytes.get(from..end).map(<[u8]>::to_vec)
}
