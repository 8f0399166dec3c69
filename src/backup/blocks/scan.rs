//! Goes through a file and finds the blocks that earlier levels have.
//!
//! A block is first expected where the blocks before it have moved to, and where it was. Only if it
//! is in neither place does a window roll along, byte by byte, until it holds an earlier block. So
//! most blocks cost one strong sum, and the earlier version is never read.

use super::block_plan::{BlockPlan, PlannedPiece};
use super::known_blocks::{KnownBlock, KnownBlocks};
use crate::format::signature::RollingSum;
use crate::model::{DataRun, FileOffset};
use std::io;
use std::ops::Range;

/// Bytes that are read at once.
const READ_BYTES: usize = 1 << 20;

/// Most strong sums in vain while the window rolls over one block; after that it ignores weak sums.
/// A file that is made to share weak sums then takes at most twice the time.
const MOST_VAIN_SUMS: u32 = 4;

/// A file that a scan reads.
pub(in crate::backup) trait Readable {
    /// Fills `buffer` from `offset` on. Fewer bytes mean that the file ends there.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
}

/// What a scan tells as it goes on.
pub(in crate::backup) enum Scanned<'scan> {
    /// This many bytes more need not be stored.
    Kept(u64),
    /// The data at a place in the file: all of it in order, but for new data at its end.
    Data(u64, &'scan [u8]),
    /// Some data could not be read.
    Unreadable,
}

/// Plans the data `runs` of a file. A part that cannot be read is planned as new; storing it reads
/// it again and reports the error.
///
/// Calls `tell` on the way; its error ends the scan.
pub(in crate::backup) fn scan<E>(
    file: &dyn Readable,
    runs: &[DataRun],
    known: &KnownBlocks,
    mut tell: impl FnMut(Scanned<'_>) -> Result<(), E>,
) -> Result<BlockPlan, E> {
    let mut scan = BlockScan {
        known,
        plan: BlockPlan::default(),
        shift: 0,
        home_hint: 0,
        shift_hint: 0,
    };
    for (number, run) in runs.iter().enumerate() {
        let is_last = number + 1 == runs.len();
        let end = run.at.0.saturating_add(run.length);
        let mut window = FileWindow {
            file,
            end,
            buffer: Vec::new(),
            start: run.at.0,
        };
        let (mut at, mut told_at, mut kept) = (run.at.0, run.at.0, 0);
        while at < end {
            match scan.step(&mut window, at) {
                Ok(next) => {
                    kept += scan.plan.kept_from(at);
                    // The end of the file is stored, and told of, when it is copied.
                    let is_at_end = is_last && next == end && !window.holds(at, next);
                    if !is_at_end && !window.tell(at..next, &mut tell)? {
                        tell(Scanned::Unreadable)?;
                    }
                    at = next;
                }
                Err(error) => {
                    tracing::debug!(%error, at, "could not compare blocks");
                    scan.plan.push(new(at, end));
                    tell(Scanned::Unreadable)?;
                    break;
                }
            }
            if at - told_at >= READ_BYTES as u64 {
                tell(Scanned::Kept(std::mem::take(&mut kept)))?;
                told_at = at;
            }
        }
        tell(Scanned::Kept(kept))?;
    }
    Ok(scan.plan)
}

fn new(from: u64, end: u64) -> PlannedPiece {
    PlannedPiece::New(DataRun {
        at: FileOffset(from),
        length: end.saturating_sub(from),
    })
}

/// The part of a file that is in memory.
struct FileWindow<'file> {
    file: &'file dyn Readable,
    /// Nothing is read from here on.
    end: u64,
    buffer: Vec<u8>,
    /// Where the buffer begins in the file.
    start: u64,
}

impl FileWindow<'_> {
    /// Returns whether the bytes from `at` to `end` are in memory.
    fn holds(&self, at: u64, end: u64) -> bool {
        self.start <= at && end <= self.start + self.buffer.len() as u64
    }

    /// Tells of the bytes in a range, which are read if they are not in memory. Returns false if
    /// they cannot be read.
    fn tell<E>(
        &mut self,
        range: Range<u64>,
        tell: &mut impl FnMut(Scanned<'_>) -> Result<(), E>,
    ) -> Result<bool, E> {
        let mut at = range.start;
        while at < range.end {
            let length = (range.end - at).min(READ_BYTES as u64);
            let Ok(bytes) = self.bytes(at, length) else {
                return Ok(false);
            };
            let length = usize::try_from(length).unwrap_or(usize::MAX);
            tell(Scanned::Data(at, bytes.get(..length).unwrap_or_default()))?;
            at += length as u64;
        }
        Ok(true)
    }

    /// Returns the bytes from `at` on: at least `length` of them, unless the run ends before.
    /// Forgets the bytes before `at`.
    fn bytes(&mut self, at: u64, length: u64) -> io::Result<&[u8]> {
        let wanted = length.min(self.end.saturating_sub(at));
        let skipped = usize::try_from(at.saturating_sub(self.start))
            .unwrap_or(usize::MAX)
            .min(self.buffer.len());
        if ((self.buffer.len() - skipped) as u64) < wanted || at < self.start {
            self.buffer.drain(..skipped);
            self.start = at;
            let kept = self.buffer.len();
            let more = (READ_BYTES as u64)
                .max(wanted)
                .min(self.end - at - kept as u64);
            self.buffer
                .resize(kept + usize::try_from(more).unwrap_or(usize::MAX), 0);
            let read = self
                .file
                .read_at(&mut self.buffer[kept..], at + kept as u64)?;
            self.buffer.truncate(kept + read);
            if (self.buffer.len() as u64) < wanted {
                return Err(io::Error::new(
                    io::ErrorKind::UnexpectedEof,
                    "the file is shorter than it was",
                ));
            }
            return Ok(&self.buffer);
        }
        Ok(&self.buffer[skipped..])
    }
}

struct BlockScan<'known> {
    known: &'known KnownBlocks,
    plan: BlockPlan,
    /// How far the block that was found last has moved since the earlier version, in bytes.
    shift: i64,
    /// Index of the stretch that was asked for last for a block in its old place.
    home_hint: usize,
    /// Index of the stretch that was asked for last for a block that has moved.
    shift_hint: usize,
}

impl<'known> BlockScan<'known> {
    /// Plans the bytes at `at`, and returns where to go on.
    fn step(&mut self, window: &mut FileWindow<'_>, at: u64) -> io::Result<u64> {
        let known = self.known;
        let home = known.next_from(at, &mut self.home_hint);
        let moved = at
            .checked_add_signed(self.shift.wrapping_neg())
            .filter(|_| self.shift != 0);
        let moved = moved.and_then(|from| known.next_from(from, &mut self.shift_hint));
        let place_of = |block: KnownBlock<'_>, shift: i64| block.at.checked_add_signed(shift);
        let mut stop = window.end;
        for (block, shift) in [(moved, self.shift), (home, 0)] {
            let Some(block) = block else { continue };
            let Some(place) = place_of(block, shift) else {
                continue;
            };
            if place > at {
                stop = stop.min(place);
                continue;
            }
            let bytes = window.bytes(at, block.length)?;
            let is_same = usize::try_from(block.length)
                .ok()
                .and_then(|length| bytes.get(..length))
                .is_some_and(|bytes| known.key.strong(bytes) == *block.strong);
            if is_same {
                self.shift = shift;
                self.plan.push(PlannedPiece::Kept(block.at(at)));
                return Ok(at + block.length);
            }
            // The next block can begin here at the earliest.
            stop = stop.min(at + block.length);
        }
        self.roll(window, at, stop)
    }

    /// Looks for any block that begins between `at` and `stop`.
    fn roll(&mut self, window: &mut FileWindow<'_>, at: u64, stop: u64) -> io::Result<u64> {
        let block_bytes = self.known.block_bytes;
        let length = block_bytes as usize;
        // The window begins before this place: a block fits behind it, and the bytes fit in memory.
        let last = stop
            .min(window.end.saturating_sub(u64::from(block_bytes) - 1))
            .min(at.saturating_add(READ_BYTES as u64));
        if last <= at {
            self.plan.push(new(at, stop));
            return Ok(stop);
        }
        let bytes = window.bytes(at, last - at + u64::from(block_bytes))?;
        let positions = usize::try_from(last - at).unwrap_or(usize::MAX);
        let mut sum = RollingSum::of(&bytes[..length]);
        let mut vain = 0;
        for position in 0..positions {
            // `at` itself holds no expected block, but may hold one from elsewhere.
            if self.known.has_candidate(sum.value()) && vain < MOST_VAIN_SUMS {
                let mut strong = None;
                for block in self.known.candidates(sum.value()) {
                    let strong = *strong.get_or_insert_with(|| {
                        self.known.key.strong(&bytes[position..position + length])
                    });
                    if strong == *block.strong {
                        let found = at + position as u64;
                        self.plan.push(new(at, found));
                        self.plan.push(PlannedPiece::Kept(block.at(found)));
                        self.shift = found.cast_signed().wrapping_sub(block.at.cast_signed());
                        return Ok(found + block.length);
                    }
                }
                vain += u32::from(strong.is_some());
            }
            match bytes.get(position + length) {
                Some(into) => sum = sum.rolled(block_bytes, bytes[position], *into),
                None => break,
            }
        }
        self.plan.push(new(at, last));
        Ok(last)
    }
}
