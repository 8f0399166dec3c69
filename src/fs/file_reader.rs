//! From a place in a file to its bytes: extents → frame table → frame cache → store.

use super::deadline::left_of;
use super::error::FrameSpan;
use super::extents::{Layout, Span};
use super::far::{Batch, Delay};
use super::frame_cache::{
    CacheCounts, FetchExtent, Flight, Frame, FrameCache, FrameKey, StreamNo, Whereabouts,
};
use super::pool::{Pool, Urgency};
use super::read_ahead::{Access, Plan, ReadAhead};
use super::{ReadError, ReadOptions};
use crate::catalog::names::{self, Folder, LevelOf};
use crate::catalog::stream;
use crate::format::frame::{Compression, Decoder, FrameError, Glimpse, Lane, Opener};
use crate::index::{
    BlockAddress, BlockCache, BlockSource, FrameRow, FrameTable, IndexError, RunRoot,
};
use crate::model::{
    BackupName, FrameNo, LevelId, LevelSerial, SegmentOffset, StoreId, StreamOffset,
};
use crate::store::{self, Store, StoreExt};
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

/// Whether a call may wait for a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Waiting {
    /// [`ReadError::WouldWait`] in place of waiting.
    Never,
    /// As long as [`ReadOptions::patience`] for each fetch.
    Allowed,
}

/// A piece of a file's content as it is at hand: without a copy.
#[derive(Clone, Debug)]
pub struct Piece(Inner);

#[derive(Clone, Debug)]
enum Inner {
    Data {
        frame: Arc<Frame>,
        range: Range<usize>,
    },
    Hole(u64),
}

impl Piece {
    /// Its bytes; `None` for a hole, which reads as zeros.
    pub fn data(&self) -> Option<&[u8]> {
        match &self.0 {
            Inner::Data { frame, range } => {
                Some(frame.bytes.get(range.clone()).unwrap_or_default())
            }
            Inner::Hole(_) => None,
        }
    }

    /// How many bytes of the file it covers.
    pub fn length(&self) -> u64 {
        match &self.0 {
            Inner::Data { range, .. } => range.len() as u64,
            Inner::Hole(length) => *length,
        }
    }
}

/// Where the objects of one level are, and how they are opened.
#[derive(Clone)]
pub(super) struct LevelObjects {
    pub(super) store: Arc<dyn Store>,
    pub(super) backup: BackupName,
    pub(super) id: LevelId,
    pub(super) opener: Opener,
}

/// A level that extents point into.
pub(super) struct LevelStream {
    /// What the frame cache knows it by.
    pub(super) stream: StreamNo,
    pub(super) objects: LevelObjects,
    pub(super) compression: Compression,
    /// Replaced when an object is missing and the level turns out to have been repacked.
    table: RwLock<CurrentTable>,
}

/// The frame table of a level, as far as is known.
#[derive(Clone)]
struct CurrentTable {
    table: FrameTable,
    /// How often the level was repacked before it was written.
    repacked: u32,
}

/// Every level of a point in time, by the number that extents name it by.
pub(super) type Levels = BTreeMap<LevelSerial, Arc<LevelStream>>;

/// What all points in time of a process read through: one cache, one set of threads.
pub struct FileReader {
    cache: Arc<FrameCache>,
    block_cache: Arc<BlockCache>,
    ahead: ReadAhead,
    /// How long the stores take.
    delay: Arc<Delay>,
    /// These alone call the store.
    fetchers: Arc<Pool>,
    /// One thread that looks up frames to fetch ahead: it may wait for the fetchers, so it cannot
    /// be one.
    planner: Pool,
    patience: Duration,
    /// Every level that was opened, by what its frames are bound to.
    streams: Mutex<HashMap<(StoreId, LevelId), StreamNo>>,
}

/// The frame that a read found, or what it wanted of it.
struct FoundFrame {
    frame: Arc<Frame>,
    /// Where all of it begins, and its length in bytes.
    start: StreamOffset,
    length: u64,
    /// Whether it had to be fetched or waited for.
    waited: bool,
}

/// Up to this, a read is small: one that wants little of what it has to wait for.
const SMALL_READ_BYTES: u64 = 128 << 10;
/// A small read inside a file of this length, not at its beginning, may be the only one that its
/// frame sees.
const LARGE_FILE_BYTES: u64 = 8 << 20;

/// How a read is to be answered.
#[derive(Clone, Copy)]
struct Manner {
    waiting: Waiting,
    /// Whether it looks like one that picks a spot, as databases do: the rest of the frame then
    /// waits until a second read comes for it.
    is_spot: bool,
}

thread_local! {
    /// Costly to make, so one for each fetching thread.
    static DECODER: RefCell<Decoder> = RefCell::new(Decoder::new());
}

impl FileReader {
    /// Starts the threads.
    ///
    /// # Errors
    ///
    /// When the system gives no threads.
    pub fn new(options: &ReadOptions) -> io::Result<Self> {
        Ok(Self {
            cache: Arc::new(FrameCache::new(options.cache_bytes)),
            block_cache: BlockCache::new(options.index_cache_bytes),
            ahead: ReadAhead::new(options.cache_bytes as u64 / 2),
            delay: Arc::default(),
            fetchers: Arc::new(Pool::new("freezer-fetch", options.fetch_threads)?),
            planner: Pool::new("freezer-ahead", NonZeroUsize::MIN)?,
            patience: options.patience,
            streams: Mutex::default(),
        })
    }

    /// How the frame cache did so far.
    pub fn counts(&self) -> CacheCounts {
        self.cache.counts()
    }

    /// Does something that calls a store, on a thread that may hang in it, and waits as long as
    /// patience allows.
    ///
    /// `work` must not wait for this reader's threads itself.
    pub(super) fn attempt<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, ReadError> + Send + 'static,
    ) -> Result<T, ReadError> {
        attempt(&self.fetchers, self.patience, work)
    }

    /// What the stream of a level is called in the caches: the same each time it is asked, and no
    /// other's.
    pub(super) fn stream(&self, store: StoreId, level: &LevelId) -> StreamNo {
        let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        let next = StreamNo(streams.len() as u64);
        *streams.entry((store, level.clone())).or_insert(next)
    }

    /// Where blocks of all lanes are kept.
    pub(super) fn block_cache(&self) -> &Arc<BlockCache> {
        &self.block_cache
    }

    /// What loads the blocks of one lane of a level.
    pub(super) fn blocks(
        &self,
        objects: LevelObjects,
        lane: Lane,
        folder: Folder,
    ) -> Arc<dyn BlockSource> {
        Arc::new(StoredBlocks {
            fetchers: Arc::clone(&self.fetchers),
            patience: self.patience,
            objects,
            lane,
            folder,
        })
    }

    /// The bytes of a file from `from` on: `length` of them, or fewer where the file ends before.
    pub(super) fn pieces(
        &self,
        layout: &Layout,
        levels: &Levels,
        from: u64,
        length: u64,
        waiting: Waiting,
    ) -> Result<Vec<Piece>, ReadError> {
        let mut pieces = Vec::with_capacity(2);
        for span in layout.spans(from, length) {
            match span {
                Span::Hole(length) => pieces.push(Piece(Inner::Hole(length))),
                Span::Data {
                    level,
                    stream,
                    length,
                } => {
                    let level = levels.get(&level).ok_or(ReadError::NoSuchLevel(level))?;
                    let is_spot =
                        from > 0 && length <= SMALL_READ_BYTES && layout.size() >= LARGE_FILE_BYTES;
                    self.data(
                        level,
                        stream,
                        length,
                        Manner { waiting, is_spot },
                        &mut pieces,
                    )?;
                }
            }
        }
        Ok(pieces)
    }

    fn data(
        &self,
        level: &Arc<LevelStream>,
        from: StreamOffset,
        length: u64,
        manner: Manner,
        pieces: &mut Vec<Piece>,
    ) -> Result<(), ReadError> {
        let end = StreamOffset(from.0.saturating_add(length));
        let mut at = from;
        while at < end {
            let found = self.frame(level, at, end, manner)?;
            let here = found.frame.from(at).len();
            let taken = usize::try_from(end.0 - at.0)
                .unwrap_or(usize::MAX)
                .min(here);
            let skipped = found.frame.bytes.len() - here;
            let (frame_end, frame_length) = (
                StreamOffset(found.start.0.saturating_add(found.length)),
                found.length,
            );
            let access = Access {
                stream: level.stream,
                from: at,
                length: taken as u64,
                waited: found.waited,
                frame_end,
                frame_length,
            };
            if let Some(plan) = self.ahead.note(access, self.delay.bytes_ahead()) {
                self.fetch_ahead(level, plan);
            }
            pieces.push(Piece(Inner::Data {
                frame: found.frame,
                range: skipped..skipped + taken,
            }));
            at = StreamOffset(at.0 + taken as u64);
        }
        Ok(())
    }

    /// The frame that holds `at`, or as much of it as stands before `until`. Where it is missing it
    /// may be somewhere else by now.
    fn frame(
        &self,
        level: &Arc<LevelStream>,
        at: StreamOffset,
        until: StreamOffset,
        manner: Manner,
    ) -> Result<FoundFrame, ReadError> {
        loop {
            let current = level.current();
            match self.frame_by(&current.table, level, (at, until), manner) {
                // Each time round the table is a newer one.
                Err(error) if error.is_missing() && level.has_newer(self, current.repacked)? => {}
                found => return found,
            }
        }
    }

    fn frame_by(
        &self,
        table: &FrameTable,
        level: &Arc<LevelStream>,
        (at, until): (StreamOffset, StreamOffset),
        manner: Manner,
    ) -> Result<FoundFrame, ReadError> {
        if let Some(frame) = self.cache.find(level.stream, at) {
            return Ok(FoundFrame {
                start: frame.start,
                length: frame.bytes.len() as u64,
                frame,
                waited: false,
            });
        }
        if manner.waiting == Waiting::Never {
            return Err(ReadError::WouldWait);
        }
        let row = table.locate(at)?;
        let row_end = StreamOffset(row.start.0.saturating_add(u64::from(row.raw_length)));
        let mut has_joined = false;
        let frame = loop {
            let (flight, is_own) = match self.flight(level, row, at..until, manner) {
                (Whereabouts::Here(frame), _) => break frame,
                (Whereabouts::Coming(flight), is_own) => (flight, is_own),
            };
            self.have_fetched(&flight);
            // A small read over the edge of a frame: the next one comes at the same time. What is
            // wrong with it shows when it is its turn.
            if row_end < until
                && until.0 - at.0 <= SMALL_READ_BYTES
                && let Ok(next) = table.locate(row_end)
                && let (Whereabouts::Coming(next), _) =
                    self.flight(level, next, row_end..until, manner)
            {
                self.have_fetched(&next);
            }
            match flight.wait(at..until.min(row_end), left_of(self.patience)) {
                // Someone else's fetch, which ran into trouble that may be over: once more, in what
                // time is left.
                Err(error) if error.is_passing() && !is_own && !has_joined => has_joined = true,
                waited => break waited?,
            }
        };
        // A frame table that leads astray must not make an endless loop.
        if frame.from(at).is_empty() {
            return Err(ReadError::Index(IndexError::PastEnd {
                at,
                end: frame.end(),
            }));
        }
        Ok(FoundFrame {
            frame,
            start: row.start,
            length: u64::from(row.raw_length),
            waited: true,
        })
    }

    fn have_fetched(&self, flight: &Arc<Flight>) {
        let runner = Arc::clone(flight);
        self.fetchers.submit(Urgency::Wanted, move || runner.run());
    }

    /// The frame of a row, and whether it is fetched because of this call. What is wanted of it is
    /// shown first then.
    fn flight(
        &self,
        level: &Arc<LevelStream>,
        row: FrameRow,
        wanted: Range<StreamOffset>,
        manner: Manner,
    ) -> (Whereabouts, bool) {
        let key = FrameKey {
            stream: level.stream,
            number: row.number,
            start: row.start,
        };
        let within = |at: StreamOffset| {
            usize::try_from(at.0.saturating_sub(row.start.0)).unwrap_or(usize::MAX)
        };
        let (from, until) = (within(wanted.start), within(wanted.end));
        let extent = if manner.is_spot {
            FetchExtent::UntilShown
        } else {
            FetchExtent::Whole
        };
        let mut is_own = false;
        let whereabouts = self.cache.get(key, extent, || {
            is_own = true;
            let (level, delay) = (Arc::clone(level), Arc::clone(&self.delay));
            Box::new(move |show| {
                let mut show =
                    |bytes: &[u8]| show(wanted.start, bytes.get(from..until).unwrap_or_default());
                level.fetch(
                    &row,
                    Some(Glimpse {
                        until,
                        show: &mut show,
                    }),
                    &delay,
                )
            })
        });
        (whereabouts, is_own)
    }

    fn fetch_ahead(&self, level: &Arc<LevelStream>, plan: Plan) {
        if !self.planner.has_room_ahead() {
            return;
        }
        let (cache, fetchers, level) = (
            Arc::clone(&self.cache),
            Arc::clone(&self.fetchers),
            Arc::clone(level),
        );
        let delay = Arc::clone(&self.delay);
        // No more than a step, as a request may go on behind what is planned: the cache has to hold
        // all of it.
        let together = delay
            .bytes_together()
            .map_or(0, |most| most.min(self.ahead.far_step(u64::MAX)));
        self.planner.submit(Urgency::Ahead, move || {
            let table = level.current().table;
            let mut batch: Option<Batch> = None;
            let mut at = plan.from;
            while fetchers.has_room_ahead() {
                let is_planned = at < plan.until;
                // Whatever is wrong here is told to whoever really wants the frame; the stream's
                // end is no error at all.
                let Ok(row) = table.locate(at) else { break };
                at = StreamOffset(row.start.0.saturating_add(u64::from(row.raw_length.max(1))));
                // Another reader's, or another of this one's, as the kernel asks for several places
                // of a file at once.
                let is_known = cache.is_known(FrameKey {
                    stream: level.stream,
                    number: row.number,
                    start: row.start,
                });
                // A request goes on to the end of its segment where it may: no small rest is a
                // request of its own.
                let is_added = !is_known
                    && batch
                        .as_mut()
                        .is_some_and(|batch| batch.push(row, together));
                if !is_added && !is_planned {
                    break;
                }
                if !is_added
                    && !is_known
                    && let Some(full) = batch.replace(Batch::new(row))
                {
                    begin(full, &level, &cache, &fetchers, &delay);
                }
            }
            if let Some(last) = batch {
                begin(last, &level, &cache, &fetchers, &delay);
            }
        });
    }
}

/// Has the frames of a batch fetched that are not at hand and not coming.
fn begin(
    batch: Batch,
    level: &Arc<LevelStream>,
    cache: &Arc<FrameCache>,
    fetchers: &Arc<Pool>,
    delay: &Arc<Delay>,
) {
    let batch = Arc::new(batch);
    let flight = |row: &FrameRow| {
        let (row, key) = (
            *row,
            FrameKey {
                stream: level.stream,
                number: row.number,
                start: row.start,
            },
        );
        let (batch, level, delay) = (Arc::clone(&batch), Arc::clone(level), Arc::clone(delay));
        match cache.get(key, FetchExtent::Whole, || {
            Box::new(move |_| batch.frame(&level, &row, &delay))
        }) {
            Whereabouts::Here(_) => None,
            Whereabouts::Coming(flight) => Some(flight),
        }
    };
    let mut flights: Vec<_> = batch.rows().iter().map(flight).collect();
    if let [alone] = flights.as_mut_slice() {
        if let Some(flight) = alone.take() {
            fetchers.submit(Urgency::Ahead, move || flight.run());
        }
        return;
    }
    if flights.iter().all(Option::is_none) {
        return;
    }
    let (level, delay, pool) = (Arc::clone(level), Arc::clone(delay), Arc::clone(fetchers));
    fetchers.submit(Urgency::Ahead, move || {
        let decode = |flight: &mut Option<Arc<Flight>>| {
            if let Some(flight) = flight.take() {
                pool.submit(Urgency::Begun, move || flight.run());
            }
        };
        batch.load(&level, &delay, &mut |place| {
            flights.get_mut(place).map_or((), decode)
        });
        // Those that did not come.
        flights.iter_mut().for_each(decode);
    });
}

impl LevelStream {
    /// The stream of a level whose frame table, after it was repacked so many times, is this.
    pub(super) fn new(
        stream: StreamNo,
        objects: LevelObjects,
        compression: Compression,
        (table, repacked): (FrameTable, u32),
    ) -> Self {
        Self {
            stream,
            objects,
            compression,
            table: RwLock::new(CurrentTable { table, repacked }),
        }
    }

    fn current(&self) -> CurrentTable {
        self.table
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Whether there is a newer frame table than the one that was written after so many times; it
    /// is the current one then.
    fn has_newer(&self, reader: &FileReader, repacked: u32) -> Result<bool, ReadError> {
        if self.current().repacked > repacked {
            return Ok(true); // another has found it meanwhile
        }
        let objects = self.objects.clone();
        let newer = reader.attempt(move || {
            let of = LevelOf {
                backup: objects.backup,
                level: objects.id,
            };
            let newer = stream::newer(objects.store.as_ref(), &objects.opener, &of, repacked);
            newer.map_err(|source| ReadError::Repacked {
                level: of.level,
                source,
            })
        })?;
        let Some(newer) = newer else { return Ok(false) };
        let root = RunRoot {
            node: newer.frame_table.node,
            height: newer.frame_table.height,
            entries: newer.frame_table.entries,
        };
        let blocks = reader.blocks(self.objects.clone(), Lane::FrameTable, Folder::Frames);
        let table = FrameTable::open(root, blocks, Arc::clone(reader.block_cache()))?;
        let mut current = self.table.write().unwrap_or_else(PoisonError::into_inner);
        if current.repacked < newer.number {
            *current = CurrentTable {
                table,
                repacked: newer.number,
            };
        }
        Ok(true)
    }

    /// Fetches, authenticates and decodes one frame.
    pub(super) fn fetch(
        &self,
        row: &FrameRow,
        glimpse: Option<Glimpse<'_>>,
        delay: &Delay,
    ) -> Result<Vec<u8>, ReadError> {
        let stored = self.stored(row.segment, row.offset, row.stored_length as usize, delay);
        let stored = stored.map_err(|source| ReadError::Fetch {
            frame: self.span_of(row),
            source,
        })?;
        self.decode(row, stored, glimpse)
    }

    /// Fetches what stands at a place of a segment.
    pub(super) fn stored(
        &self,
        segment: u32,
        offset: SegmentOffset,
        length: usize,
        delay: &Delay,
    ) -> Result<Vec<u8>, store::Error> {
        let name = names::data_name(
            &self.objects.backup,
            &self.objects.id,
            Folder::Segments,
            segment,
        );
        let began = crate::platform::monotonic();
        let stored = self.objects.store.get_range(&name, offset.0, length)?;
        delay.note(began.elapsed());
        Ok(stored)
    }

    /// Fetches what stands in pieces at a place of a segment, and hands each over as soon as it is
    /// there, until `take` returns `false`.
    pub(super) fn stored_pieces(
        &self,
        segment: u32,
        offset: SegmentOffset,
        lengths: &[usize],
        delay: &Delay,
        take: &mut dyn FnMut(Vec<u8>) -> bool,
    ) -> Result<(), store::Error> {
        let name = names::data_name(
            &self.objects.backup,
            &self.objects.id,
            Folder::Segments,
            segment,
        );
        let mut began = Some(crate::platform::monotonic());
        self.objects
            .store
            .get_pieces(&name, offset.0, lengths, &mut |piece| {
                if let Some(began) = began.take() {
                    delay.note(began.elapsed());
                }
                take(piece)
            })
    }

    /// Authenticates and decodes a frame as it is stored.
    pub(super) fn decode(
        &self,
        row: &FrameRow,
        stored: Vec<u8>,
        glimpse: Option<Glimpse<'_>>,
    ) -> Result<Vec<u8>, ReadError> {
        let expected = row.expected(self.compression);
        let opener = &self.objects.opener;
        let opened = DECODER.with_borrow_mut(|decoder| {
            opener.open_data_showing(decoder, &expected, stored, glimpse)
        });
        opened.map_err(|source| ReadError::Damaged {
            frame: self.span_of(row),
            source,
        })
    }

    fn span_of(&self, row: &FrameRow) -> FrameSpan {
        let segment = names::data_name(
            &self.objects.backup,
            &self.objects.id,
            Folder::Segments,
            row.segment,
        );
        FrameSpan {
            lane: Lane::Data,
            number: row.number,
            segment,
        }
    }
}

/// Where a stored frame is.
#[derive(Clone, Copy)]
struct Place {
    lane: Lane,
    folder: Folder,
    object: u32,
    offset: SegmentOffset,
    length: u32,
}

impl LevelObjects {
    /// Fetches the bytes and has them opened.
    fn open(
        &self,
        place: Place,
        number: FrameNo,
        open: impl FnOnce(&mut Decoder, Vec<u8>) -> Result<Vec<u8>, FrameError>,
    ) -> Result<Vec<u8>, ReadError> {
        let segment = names::data_name(&self.backup, &self.id, place.folder, place.object);
        let frame = || FrameSpan {
            lane: place.lane,
            number,
            segment: segment.clone(),
        };
        let length = place.length as usize;
        let stored = self
            .store
            .get_range(&segment, place.offset.0, length)
            .map_err(|source| ReadError::Fetch {
                frame: frame(),
                source,
            })?;
        DECODER
            .with_borrow_mut(|decoder| open(decoder, stored))
            .map_err(|source| ReadError::Damaged {
                frame: frame(),
                source,
            })
    }
}

/// The blocks of an index or a frame table in a store.
struct StoredBlocks {
    objects: LevelObjects,
    lane: Lane,
    folder: Folder,
    fetchers: Arc<Pool>,
    patience: Duration,
}

impl BlockSource for StoredBlocks {
    fn load(&self, address: &BlockAddress) -> Result<Vec<u8>, IndexError> {
        let (objects, lane, folder, address) =
            (self.objects.clone(), self.lane, self.folder, *address);
        let block = attempt(&self.fetchers, self.patience, move || {
            let place = Place {
                lane,
                folder,
                object: address.object,
                offset: address.offset,
                length: address.length,
            };
            objects.open(place, address.number, |decoder, stored| {
                objects.opener.open(decoder, lane, address.number, stored)
            })
        });
        block.map_err(|error| IndexError::fetch(address, error))
    }
}

fn attempt<T: Send + 'static>(
    fetchers: &Pool,
    patience: Duration,
    work: impl FnOnce() -> Result<T, ReadError> + Send + 'static,
) -> Result<T, ReadError> {
    let (tell, told) = crossbeam_channel::bounded(1);
    fetchers.submit(Urgency::Wanted, move || {
        // Who asked may have given up.
        tell.send(work()).ok();
    });
    told.recv_timeout(left_of(patience))
        .unwrap_or_else(|error| {
            Err(if error.is_timeout() {
                ReadError::Deadline
            } else {
                ReadError::Panicked
            })
        })
}
