//! Compares files with their stored content, byte by byte: `--checksum`, for users that do not
//! trust the times of files.

use super::blocks::{EarlierStreams, StoredFrames, Unusable};
use super::read_step::SourceFile;
use crate::format::frame::Decoder;
use crate::model::{
    Cancel, Content, DataRun, Entry, Extent, FileOffset, LevelSerial, StreamOffset,
};
use crate::platform::FileHandle;
use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// Most frames that are kept. The readers go through a stream nearly in order, so these are the
/// current ones and some that they come back to.
const FRAMES_KEPT: usize = 8;

/// Bytes of a file that are read at once.
const PIECE_BYTES: usize = 256 << 10;

/// The content that earlier levels have stored. Several threads use it at once.
pub(super) struct StoredContent {
    streams: Arc<EarlierStreams>,
    cancel: Cancel,
    /// Bytes that were compared and not yet reported.
    compared: AtomicU64,
    /// Guards the streams that are open.
    opened: Mutex<HashMap<LevelSerial, Arc<StoredFrames>>>,
    /// Guards the frames that are kept, the newest last.
    frames: Mutex<VecDeque<SharedFrame>>,
}

/// The bytes of a row of a frame table that are in memory, or that one reader fetches while others
/// wait for them.
#[derive(Clone)]
struct SharedFrame {
    level: LevelSerial,
    start: StreamOffset,
    bytes: Arc<OnceLock<Option<Vec<u8>>>>,
}

impl StoredContent {
    pub(super) fn new(streams: &Arc<EarlierStreams>, cancel: &Cancel) -> Self {
        Self {
            streams: Arc::clone(streams),
            cancel: cancel.clone(),
            compared: AtomicU64::new(0),
            opened: Mutex::default(),
            frames: Mutex::default(),
        }
    }

    /// Returns how many bytes were compared since the last question.
    pub(super) fn take_compared(&self) -> u64 {
        self.compared.swap(0, Ordering::Relaxed)
    }

    /// Returns whether a file has the content of an earlier entry. If it cannot be compared, the
    /// answer is no: the file is stored again.
    pub(super) fn is_that_of(&self, file: &SourceFile, earlier: &Entry) -> bool {
        let Content::File { size, extents } = &earlier.content else {
            return false;
        };
        if *size != file.stat.size {
            return false;
        }
        self.compare(file, extents).unwrap_or_else(|error| {
            if !self.cancel.is_requested() {
                tracing::warn!(
                    path = %earlier.path,
                    %error,
                    "could not compare it with its stored content; it is stored again"
                );
            }
            false
        })
    }

    fn compare(&self, file: &SourceFile, extents: &[Extent]) -> Result<bool, Unusable> {
        let SourceFile { handle: file, stat } = file;
        let size = usize::try_from(stat.size).unwrap_or(PIECE_BYTES);
        let mut piece = vec![0; PIECE_BYTES.min(size)];
        // Outside of all extents the entry has holes: the file may have zeros there.
        for run in file.data_runs(stat) {
            let run = run?;
            for hole in holes(run, extents) {
                if !self.all_pieces(file, hole, &mut piece, |_, bytes| {
                    Ok(bytes.iter().all(|byte| *byte == 0))
                })? {
                    return Ok(false);
                }
            }
        }
        for extent in extents {
            let run = DataRun {
                at: extent.at,
                length: extent.length,
            };
            let is_same = |at: u64, bytes: &[u8]| {
                self.holds(extent.level, extent.stream.0 + (at - extent.at.0), bytes)
            };
            if !self.all_pieces(file, run, &mut piece, is_same)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Returns whether all pieces of a run pass.
    fn all_pieces(
        &self,
        file: &FileHandle,
        run: DataRun,
        piece: &mut [u8],
        passes: impl Fn(u64, &[u8]) -> Result<bool, Unusable>,
    ) -> Result<bool, Unusable> {
        let (mut at, mut left) = (run.at.0, run.length);
        while left > 0 {
            if self.cancel.is_requested() {
                return Err("the run was asked to stop".into());
            }
            let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(piece.len());
            let space = piece.get_mut(..wanted).ok_or("no room")?;
            let read = file.read_at(space, at)?;
            self.compared.fetch_add(read as u64, Ordering::Relaxed);
            if read < wanted || !passes(at, space)? {
                return Ok(false);
            }
            (at, left) = (at + wanted as u64, left - wanted as u64);
        }
        Ok(true)
    }

    /// Returns whether a level's stream has these bytes at `at`.
    fn holds(&self, level: LevelSerial, mut at: u64, mut bytes: &[u8]) -> Result<bool, Unusable> {
        let stream = self.stream(level)?;
        while !bytes.is_empty() {
            let row = stream.locate(at)?;
            let frame = self.frame(level, row.start);
            let stored = frame.bytes.get_or_init(|| {
                stream
                    .fetch(&row, &mut Decoder::new())
                    .inspect_err(|error| {
                        tracing::warn!(
                            level = level.0,
                            frame = row.number.0,
                            %error,
                            "could not read a stored frame"
                        )
                    })
                    .ok()
            });
            let stored = stored.as_ref().ok_or("could not read a stored frame")?;
            let from = usize::try_from(at - row.start.0)?;
            let there = stored
                .get(from..)
                .filter(|there| !there.is_empty())
                .ok_or("a frame is shorter than its table says")?;
            let (now, later) = bytes.split_at(there.len().min(bytes.len()));
            if there.get(..now.len()) != Some(now) {
                return Ok(false);
            }
            (at, bytes) = (at + now.len() as u64, later);
        }
        Ok(true)
    }

    fn stream(&self, level: LevelSerial) -> Result<Arc<StoredFrames>, Unusable> {
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(stream) = opened.get(&level) {
            return Ok(Arc::clone(stream));
        }
        let stream = Arc::new(self.streams.frames(level)?);
        opened.insert(level, Arc::clone(&stream));
        Ok(stream)
    }

    fn frame(&self, level: LevelSerial, start: StreamOffset) -> SharedFrame {
        let mut frames = self.frames.lock().unwrap_or_else(PoisonError::into_inner);
        let place = frames
            .iter()
            .position(|frame| (frame.level, frame.start) == (level, start));
        let frame = place
            .and_then(|place| frames.remove(place))
            .unwrap_or_else(|| SharedFrame {
                level,
                start,
                bytes: Arc::default(),
            });
        if frames.len() >= FRAMES_KEPT {
            frames.pop_front();
        }
        frames.push_back(frame.clone());
        frame
    }
}

/// Returns the parts of a run that no extent covers.
fn holes(run: DataRun, extents: &[Extent]) -> Vec<DataRun> {
    let end = run.at.0.saturating_add(run.length);
    let mut holes = Vec::new();
    let mut at = run.at.0;
    let mut hole = |from: u64, to: u64| {
        if from < to {
            holes.push(DataRun {
                at: FileOffset(from),
                length: to - from,
            });
        }
    };
    let first = extents.partition_point(|extent| extent.end() <= at);
    for extent in extents
        .iter()
        .skip(first)
        .take_while(|extent| extent.at.0 < end)
    {
        hole(at, extent.at.0);
        at = extent.end();
    }
    hole(at, end);
    holes
}

#[cfg(test)]
mod tests {
    use super::holes;
    use crate::model::{DataRun, Extent, FileOffset, LevelSerial, StreamOffset};

    #[test]
    fn holes_are_the_bytes_that_no_extent_covers() {
        let extent = |at, length| Extent {
            at: FileOffset(at),
            level: LevelSerial(1),
            stream: StreamOffset(0),
            length,
        };
        let extents = [extent(10, 10), extent(20, 5), extent(40, 10)];
        let of = |at, length| -> Vec<(u64, u64)> {
            holes(
                DataRun {
                    at: FileOffset(at),
                    length,
                },
                &extents,
            )
            .iter()
            .map(|hole| (hole.at.0, hole.length))
            .collect()
        };
        assert_eq!(of(0, 60), [(0, 10), (25, 15), (50, 10)]);
        assert_eq!(of(12, 5), []);
        assert_eq!(of(24, 2), [(25, 1)]);
        assert_eq!(of(26, 4), [(26, 4)]);
        assert_eq!(of(45, 20), [(50, 15)]);
    }
}
