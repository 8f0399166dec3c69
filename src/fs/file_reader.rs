//! From a place in a file to its bytes: extents → frame table → frame cache → store.
//!
//! `docs/how-a-mount-reads.md` follows a read through this file and those that it calls.

use super::extents::{Layout, Span};
use super::far::StoreDelay;
use super::fetch_ahead::FetchAhead;
use super::fetchers::Fetchers;
use super::frame::{DecodedFrame, StreamNo};
use super::frame_cache::{CacheCounts, FetchExtent, Flight, FrameCache, Whereabouts};
use super::level_stream::{LevelObjects, LevelStream, StoredBlocks, StreamsBySerial, TableFinder};
use super::piece::FilePiece;
use super::pool::Urgency;
use super::read_ahead::{ReadAhead, StreamRead};
use super::{ReadError, ReadOptions};
use crate::catalog::names::Folder;
use crate::format::frame::{Glimpse, Lane};
use crate::index::{BlockCache, BlockSource, FrameRow, FrameTable, IndexError};
use crate::model::{LevelId, StoreId, StreamOffset};
use std::collections::HashMap;
use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

/// Whether a call may wait for a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StoreWait {
    /// It returns [`ReadError::WouldWait`] instead.
    Never,
    /// It may, at most [`ReadOptions::patience`] for each fetch.
    Allowed,
}

/// What all points in time of a process read through: one cache, one set of threads.
pub struct FileReader {
    cache: Arc<FrameCache>,
    block_cache: Arc<BlockCache>,
    ahead: ReadAhead,
    fetch_ahead: FetchAhead,
    /// How long the stores take to answer.
    delay: Arc<StoreDelay>,
    fetchers: Fetchers,
    /// The number of each stream that was opened. A frame is bound to its store and level.
    streams: Mutex<HashMap<(StoreId, LevelId), StreamNo>>,
}

/// A frame, or the part of it that a read wanted.
struct ReadFrame {
    frame: Arc<DecodedFrame>,
    /// Where the whole frame begins in the stream.
    start: StreamOffset,
    /// Length of the whole frame in bytes.
    length: u64,
    /// Whether it had to be fetched or waited for.
    waited: bool,
}

/// Up to this length, a read is small: it wants little of a frame that it has to wait for.
const SMALL_READ_BYTES: u64 = 128 << 10;
/// From this file length on, a small read that is not at the file's beginning may be the only one
/// of its frame.
const LARGE_FILE_BYTES: u64 = 8 << 20;

/// One read of the bytes of a level's stream.
struct LevelRead<'read> {
    level: &'read Arc<LevelStream>,
    wait: StoreWait,
    /// [`FetchExtent::UntilShown`] for a read that seems to pick a spot, as databases do.
    extent: FetchExtent,
}

impl FileReader {
    /// Starts the threads.
    ///
    /// # Errors
    ///
    /// When the system gives no threads.
    pub fn new(options: &ReadOptions) -> io::Result<Self> {
        let cache = Arc::new(FrameCache::new(options.cache_bytes));
        let fetchers = Fetchers::new(options)?;
        let delay = Arc::default();
        Ok(Self {
            block_cache: BlockCache::new(options.index_cache_bytes),
            ahead: ReadAhead::new(options.cache_bytes as u64 / 2),
            fetch_ahead: FetchAhead::new(&cache, &fetchers, &delay)?,
            cache,
            delay,
            fetchers,
            streams: Mutex::default(),
        })
    }

    /// Returns how the frame cache did so far.
    pub fn counts(&self) -> CacheCounts {
        self.cache.counts()
    }

    /// Returns the threads that call stores.
    pub(super) fn fetchers(&self) -> &Fetchers {
        &self.fetchers
    }

    /// Returns the number of a level's stream in the caches: the same at each call, and given to no
    /// other stream.
    pub(super) fn stream(&self, store: StoreId, level: &LevelId) -> StreamNo {
        let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        let next = StreamNo(streams.len() as u64);
        *streams.entry((store, level.clone())).or_insert(next)
    }

    /// Returns the cache of index and frame table blocks.
    pub(super) fn block_cache(&self) -> &Arc<BlockCache> {
        &self.block_cache
    }

    /// Returns the blocks of one lane of a level, which are loaded when they are asked for.
    pub(super) fn blocks(
        &self,
        objects: LevelObjects,
        lane: Lane,
        folder: Folder,
    ) -> Arc<dyn BlockSource> {
        Arc::new(StoredBlocks {
            fetchers: self.fetchers.clone(),
            objects,
            lane,
            folder,
        })
    }

    /// Returns the bytes of a range of a file; fewer where the file ends before the range does.
    pub(super) fn pieces(
        &self,
        layout: &Layout,
        levels: &StreamsBySerial,
        range: Range<u64>,
        wait: StoreWait,
    ) -> Result<Vec<FilePiece>, ReadError> {
        let mut pieces = Vec::with_capacity(2);
        let is_in_large_file = range.start > 0 && layout.size() >= LARGE_FILE_BYTES;
        let length = range.end.saturating_sub(range.start);
        for span in layout.spans(range.start, length) {
            match span {
                Span::Hole(length) => pieces.push(FilePiece::hole(length)),
                Span::Data {
                    level,
                    stream,
                    length,
                } => {
                    let is_spot = is_in_large_file && length <= SMALL_READ_BYTES;
                    let read = LevelRead {
                        level: levels.get(&level).ok_or(ReadError::NoSuchLevel(level))?,
                        wait,
                        extent: if is_spot {
                            FetchExtent::UntilShown
                        } else {
                            FetchExtent::Whole
                        },
                    };
                    let end = StreamOffset(stream.0.saturating_add(length));
                    self.read(&read, stream..end, &mut pieces)?;
                }
            }
        }
        Ok(pieces)
    }

    /// Appends the bytes of a range of the stream to `pieces`, and has the next ones fetched ahead.
    fn read(
        &self,
        read: &LevelRead<'_>,
        range: Range<StreamOffset>,
        pieces: &mut Vec<FilePiece>,
    ) -> Result<(), ReadError> {
        let mut at = range.start;
        while at < range.end {
            let found = self.frame(read, at..range.end)?;
            let here = found.frame.from(at).len();
            let taken = usize::try_from(range.end.0 - at.0)
                .unwrap_or(usize::MAX)
                .min(here);
            let skipped = found.frame.bytes.len() - here;
            let note = StreamRead {
                stream: read.level.stream,
                from: at,
                length: taken as u64,
                waited: found.waited,
                frame_end: StreamOffset(found.start.0.saturating_add(found.length)),
                frame_length: found.length,
            };
            if let Some(plan) = self.ahead.note(note, self.delay.bytes_ahead()) {
                let max_request_bytes = self.ahead.far_step(u64::MAX);
                self.fetch_ahead.submit(read.level, plan, max_request_bytes);
            }
            pieces.push(FilePiece::of_frame(found.frame, skipped..skipped + taken));
            at = StreamOffset(at.0 + taken as u64);
        }
        Ok(())
    }

    /// Returns the frame that holds the first byte of `wanted`, or as much of it as `wanted`
    /// covers. When its object is missing, looks for it where a repack may have put it.
    fn frame(
        &self,
        read: &LevelRead<'_>,
        wanted: Range<StreamOffset>,
    ) -> Result<ReadFrame, ReadError> {
        let finder = TableFinder {
            fetchers: &self.fetchers,
            block_cache: &self.block_cache,
        };
        loop {
            let current = read.level.current();
            match self.frame_by(&current.table, read, wanted.clone()) {
                // Ends: each turn has a newer table.
                Err(error)
                    if error.is_missing()
                        && read.level.find_newer(&finder, current.repacked)? => {}
                found => return found,
            }
        }
    }

    fn frame_by(
        &self,
        table: &FrameTable,
        read: &LevelRead<'_>,
        wanted: Range<StreamOffset>,
    ) -> Result<ReadFrame, ReadError> {
        let at = wanted.start;
        if let Some(frame) = self.cache.find(read.level.stream, at) {
            return Ok(ReadFrame {
                start: frame.start,
                length: frame.bytes.len() as u64,
                frame,
                waited: false,
            });
        }
        if read.wait == StoreWait::Never {
            return Err(ReadError::WouldWait);
        }
        let row = table.locate(at)?;
        let frame = self.fetch(table, read, row, wanted)?;
        // A wrong frame table must not make an endless loop.
        if frame.from(at).is_empty() {
            return Err(ReadError::Index(IndexError::PastEnd {
                at,
                end: frame.end(),
            }));
        }
        Ok(ReadFrame {
            frame,
            start: row.start,
            length: u64::from(row.raw_length),
            waited: true,
        })
    }

    /// Has the frame of a row fetched, and waits for the bytes that are wanted of it.
    fn fetch(
        &self,
        table: &FrameTable,
        read: &LevelRead<'_>,
        row: FrameRow,
        wanted: Range<StreamOffset>,
    ) -> Result<Arc<DecodedFrame>, ReadError> {
        let row_end = StreamOffset(row.start.0.saturating_add(u64::from(row.raw_length)));
        let mut has_joined = false;
        loop {
            let (flight, is_own) = match self.flight(read, row, &wanted) {
                (Whereabouts::Here(frame), _) => return Ok(frame),
                (Whereabouts::Coming(flight), is_own) => (flight, is_own),
            };
            self.run(&flight);
            // A small read that crosses into the next frame: both are fetched at the same time. An
            // error of the next one shows when it is its turn.
            if row_end < wanted.end
                && wanted.end.0 - wanted.start.0 <= SMALL_READ_BYTES
                && let Ok(next) = table.locate(row_end)
                && let (Whereabouts::Coming(next), _) =
                    self.flight(read, next, &(row_end..wanted.end))
            {
                self.run(&next);
            }
            let awaited = wanted.start..wanted.end.min(row_end);
            match flight.wait(awaited, self.fetchers.time_left()) {
                // The fetch of another reader met trouble that may be over: try once more, in the
                // time that is left.
                Err(error) if error.is_passing() && !is_own && !has_joined => has_joined = true,
                landed => return landed,
            }
        }
    }

    fn run(&self, flight: &Arc<Flight>) {
        let flight = Arc::clone(flight);
        let pool = self.fetchers.pool();
        pool.submit(Urgency::Wanted, move || flight.run());
    }

    /// Returns the frame of a row, or its flight, and whether this call made the flight. That
    /// flight shows the wanted bytes first.
    fn flight(
        &self,
        read: &LevelRead<'_>,
        row: FrameRow,
        wanted: &Range<StreamOffset>,
    ) -> (Whereabouts, bool) {
        let within = |at: StreamOffset| {
            usize::try_from(at.0.saturating_sub(row.start.0)).unwrap_or(usize::MAX)
        };
        let (start, from, until) = (wanted.start, within(wanted.start), within(wanted.end));
        let key = read.level.key_of(&row);
        let mut is_own = false;
        let whereabouts = self.cache.get(key, read.extent, || {
            is_own = true;
            let (level, delay) = (Arc::clone(read.level), Arc::clone(&self.delay));
            Box::new(move |show| {
                let mut show =
                    |bytes: &[u8]| show(start, bytes.get(from..until).unwrap_or_default());
                let glimpse = Glimpse {
                    until,
                    show: &mut show,
                };
                level.fetch(&row, Some(glimpse), &delay)
            })
        });
        (whereabouts, is_own)
    }
}
