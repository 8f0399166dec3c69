//! The frame cache: decoded frames, and one fetch for each frame however many readers wait for it.
//!
//! A reader that misses gets a [`Flight`]: the one fetch of that frame that is planned or under
//! way. It hands the flight to a thread, then waits for the bytes that it wants. The flight may
//! show these bytes before the whole frame is decoded.

use super::ReadError;
use super::frame::{DecodedFrame, FrameKey, StreamNo};
use super::frame_lru::FrameLru;
use crate::model::StreamOffset;
use std::collections::{HashMap, VecDeque};
use std::ops::{ControlFlow, Range};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Fetches and decodes one frame. May show a part of it on the way; what it shows is authentic.
type Fetch = Box<dyn FnOnce(&mut ShowPart<'_>) -> Result<Vec<u8>, ReadError> + Send>;

/// Takes a part of a frame and where in the stream that part begins. Breaks when the rest of the
/// frame is not wanted.
pub(super) type ShowPart<'flight> = dyn FnMut(StreamOffset, &[u8]) -> ControlFlow<()> + 'flight;

/// How much of a frame is decoded for the reader that asks first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FetchExtent {
    /// All of it.
    Whole,
    /// The part that is shown, as long as this is the first request for the frame and no other
    /// reader asks meanwhile. The next request has all of it decoded.
    UntilShown,
}

/// Most frames that are remembered as left off.
const MAX_LEFT_OFF: usize = 256;

/// Decoded frames within a limit of bytes, and the fetches under way.
///
/// Frames that were evicted live on as long as a caller holds a piece of them.
pub(super) struct FrameCache {
    state: Mutex<CacheState>,
}

/// Frames and flights change together, under one lock.
struct CacheState {
    frames: FrameLru,
    flights: HashMap<FrameKey, Arc<Flight>>,
    /// Frames of which only a part was decoded, the latest last.
    left_off: VecDeque<FrameKey>,
    counts: CacheCounts,
}

/// How the cache did so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct CacheCounts {
    /// Reads that found their frame.
    pub hits: u64,
    /// Frames that were fetched and decoded.
    pub fetched: u64,
    /// Frames that were fetched, and decoded no further than a read wanted.
    pub left_off: u64,
    /// Fetches that failed.
    pub failed: u64,
    /// Frames that were evicted.
    pub evicted: u64,
    /// Bytes held now.
    pub held_bytes: u64,
}

/// Where a wanted frame is.
pub(super) enum Whereabouts {
    /// In the cache.
    Here(Arc<DecodedFrame>),
    /// Being fetched, or about to be: [`Flight::run`] it, then [`Flight::wait`].
    Coming(Arc<Flight>),
}

impl FrameCache {
    /// Returns an empty cache that will hold at most `limit_bytes`.
    pub(super) fn new(limit_bytes: usize) -> Self {
        let state = CacheState {
            frames: FrameLru::new(limit_bytes),
            flights: HashMap::new(),
            left_off: VecDeque::new(),
            counts: CacheCounts::default(),
        };
        Self {
            state: Mutex::new(state),
        }
    }

    /// Returns how the cache did so far.
    pub(super) fn counts(&self) -> CacheCounts {
        let state = self.lock();
        CacheCounts {
            held_bytes: state.frames.bytes() as u64,
            ..state.counts
        }
    }

    /// Returns the frame that holds byte `at` of a stream, if the cache has it.
    pub(super) fn find(&self, stream: StreamNo, at: StreamOffset) -> Option<Arc<DecodedFrame>> {
        let mut state = self.lock();
        let frame = state.frames.find(stream, at)?;
        state.counts.hits += 1;
        Some(frame)
    }

    /// Whether the frame is in the cache or has a flight.
    pub(super) fn is_known(&self, key: FrameKey) -> bool {
        let state = self.lock();
        state.frames.holds(key.position()) || state.flights.contains_key(&key)
    }

    /// Returns the frame, or its one flight. Calls `fetch` only if there is neither; what that
    /// returns is not called before the flight runs.
    pub(super) fn get(
        self: &Arc<Self>,
        key: FrameKey,
        extent: FetchExtent,
        fetch: impl FnOnce() -> Fetch,
    ) -> Whereabouts {
        let mut state = self.lock();
        if let Some(frame) = state.frames.get(key.position()) {
            return Whereabouts::Here(frame);
        }
        if let Some(flight) = state.flights.get(&key) {
            flight.is_wanted_whole.store(true, Ordering::Relaxed);
            return Whereabouts::Coming(Arc::clone(flight));
        }
        let was_left_off = state.left_off.contains(&key);
        let flight = Arc::new(Flight {
            key,
            cache: Arc::clone(self),
            is_wanted_whole: AtomicBool::new(extent == FetchExtent::Whole || was_left_off),
            stage: Mutex::new(FlightStage::Planned(fetch())),
            changed: Condvar::new(),
        });
        state.flights.insert(key, Arc::clone(&flight));
        Whereabouts::Coming(flight)
    }

    /// Ends a flight early if only the part shown is wanted. Returns whether it did: the next
    /// request for the frame then gets a new flight.
    fn leave_off(&self, flight: &Flight) -> bool {
        let mut state = self.lock();
        // Read under the lock under which others find the flight: so no reader comes to wait for a
        // rest that never arrives.
        if flight.is_wanted_whole.load(Ordering::Relaxed) {
            return false;
        }
        state.flights.remove(&flight.key);
        if state.left_off.len() >= MAX_LEFT_OFF {
            state.left_off.pop_front();
        }
        state.left_off.push_back(flight.key);
        state.counts.left_off += 1;
        true
    }

    fn settle(&self, key: FrameKey, result: Result<Vec<u8>, ReadError>) -> Landing {
        let mut state = self.lock();
        state.flights.remove(&key);
        match result {
            Ok(bytes) => {
                let frame = Arc::new(DecodedFrame {
                    stream: key.stream,
                    start: key.start,
                    bytes,
                });
                state.counts.fetched += 1;
                state.counts.evicted += state.frames.keep(&frame);
                Ok(frame)
            }
            Err(error) => {
                state.counts.failed += 1;
                Err(Arc::new(error))
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, CacheState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How a fetch ended, for all readers that wait for it.
type Landing = Result<Arc<DecodedFrame>, Arc<ReadError>>;

/// One fetch of one frame.
pub(super) struct Flight {
    key: FrameKey,
    cache: Arc<FrameCache>,
    /// Changed under the lock of the cache.
    is_wanted_whole: AtomicBool,
    stage: Mutex<FlightStage>,
    /// Signalled when a part of the frame is shown and when the flight lands.
    changed: Condvar,
}

enum FlightStage {
    /// No thread has begun.
    Planned(Fetch),
    /// A thread fetches. Holds the part of the frame that was shown, as a frame of its own.
    Flying(Option<Arc<DecodedFrame>>),
    /// The fetch is over. A frame is in the cache; an error is remembered only here.
    Landed(Landing),
}

impl Flight {
    /// Does the fetch on this thread, unless another thread has begun it.
    pub(super) fn run(&self) {
        let mut stage = self.lock();
        if !matches!(*stage, FlightStage::Planned(_)) {
            return;
        }
        let FlightStage::Planned(fetch) = std::mem::replace(&mut *stage, FlightStage::Flying(None))
        else {
            return;
        };
        drop(stage);
        let mut is_left_off = false;
        let mut show = |start, bytes: &[u8]| {
            let part = DecodedFrame {
                stream: self.key.stream,
                start,
                bytes: bytes.to_vec(),
            };
            *self.lock() = FlightStage::Flying(Some(Arc::new(part)));
            self.changed.notify_all();
            is_left_off = self.cache.leave_off(self);
            if is_left_off {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        };
        let result =
            catch_unwind(AssertUnwindSafe(|| fetch(&mut show))).unwrap_or(Err(ReadError::Panicked));
        if is_left_off {
            return; // the only reader that waits has what it wants
        }
        let landing = self.cache.settle(self.key, result);
        *self.lock() = FlightStage::Landed(landing);
        self.changed.notify_all();
    }

    /// Waits until all bytes of `wanted` that the frame has are there, but no longer than
    /// `patience`. The result may be only that part of the frame.
    ///
    /// # Errors
    ///
    /// The error of the fetch, the same for all readers that wait; [`ReadError::Deadline`].
    pub(super) fn wait(
        &self,
        wanted: Range<StreamOffset>,
        patience: Duration,
    ) -> Result<Arc<DecodedFrame>, ReadError> {
        let deadline = crate::platform::monotonic().checked_add(patience);
        let mut stage = self.lock();
        loop {
            match &*stage {
                FlightStage::Landed(landing) => return landing.clone().map_err(ReadError::Shared),
                FlightStage::Flying(Some(part))
                    if part.start <= wanted.start && part.end() >= wanted.end =>
                {
                    return Ok(Arc::clone(part));
                }
                _ => {}
            }
            let left = deadline.map_or(Duration::MAX, |deadline| {
                deadline.saturating_duration_since(crate::platform::monotonic())
            });
            if left.is_zero() {
                return Err(ReadError::Deadline);
            }
            stage = self
                .changed
                .wait_timeout(stage, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    fn lock(&self) -> MutexGuard<'_, FlightStage> {
        self.stage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::{FetchExtent, FrameCache, Whereabouts};
    use crate::fs::ReadError;
    use crate::fs::frame::{DecodedFrame, FrameKey, StreamNo};
    use crate::model::{FrameNo, StreamOffset};
    use std::ops::{ControlFlow, Range};
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Arc, Barrier, mpsc};
    use std::thread;
    use std::time::Duration;

    const FOREVER: Duration = Duration::MAX;
    /// All bytes of any frame.
    const ALL: Range<StreamOffset> = StreamOffset(0)..StreamOffset(u64::MAX);

    fn key(number: u64) -> FrameKey {
        FrameKey {
            stream: StreamNo(1),
            number: FrameNo(number),
            start: StreamOffset(number * 100),
        }
    }

    fn fetch(
        cache: &Arc<FrameCache>,
        number: u64,
        result: Result<Vec<u8>, ReadError>,
    ) -> Result<Arc<DecodedFrame>, ReadError> {
        match cache.get(key(number), FetchExtent::Whole, || Box::new(|_| result)) {
            Whereabouts::Here(frame) => Ok(frame),
            Whereabouts::Coming(flight) => {
                flight.run();
                flight.wait(ALL, FOREVER)
            }
        }
    }

    #[test]
    fn a_frame_is_fetched_once_however_many_wait() {
        let cache = Arc::new(FrameCache::new(1 << 20));
        let fetches = Arc::new(AtomicUsize::new(0));
        let all = Arc::new(Barrier::new(9));
        let readers: Vec<_> = (0..8)
            .map(|_| {
                let (cache, fetches, all) =
                    (Arc::clone(&cache), Arc::clone(&fetches), Arc::clone(&all));
                thread::spawn(move || {
                    let counted = Arc::clone(&fetches);
                    let gate = Arc::clone(&all);
                    let whereabouts = cache.get(key(3), FetchExtent::Whole, move || {
                        Box::new(move |_| {
                            counted.fetch_add(1, Ordering::SeqCst);
                            gate.wait(); // the fetch ends only after every reader has asked
                            Ok(vec![3; 100])
                        })
                    });
                    let Whereabouts::Coming(flight) = whereabouts else {
                        panic!("the cache had it before it was fetched")
                    };
                    let runner = Arc::clone(&flight);
                    let pool = thread::spawn(move || runner.run());
                    all.wait();
                    let frame = flight.wait(ALL, FOREVER).expect("fetched");
                    pool.join().expect("no panic");
                    frame.bytes.clone()
                })
            })
            .collect();
        for reader in readers {
            assert_eq!(reader.join().expect("no panic"), vec![3; 100]);
        }
        assert_eq!(fetches.load(Ordering::SeqCst), 1);
        assert_eq!(cache.counts().fetched, 1);
    }

    #[test]
    fn a_reader_that_wants_a_part_does_not_wait_for_the_rest() {
        let cache = Arc::new(FrameCache::new(1 << 20));
        let (go_on, gate) = mpsc::channel::<()>();
        let whereabouts = cache.get(key(1), FetchExtent::Whole, || {
            Box::new(move |show| {
                assert!(
                    show(StreamOffset(120), &[1; 40]).is_continue(),
                    "the rest is wanted"
                );
                gate.recv().expect("the test sends");
                Ok(vec![1; 100])
            })
        });
        let Whereabouts::Coming(flight) = whereabouts else {
            panic!("the cache had it before it was fetched")
        };
        let runner = Arc::clone(&flight);
        let fetching = thread::spawn(move || runner.run());
        let wait =
            |from, until, patience| flight.wait(StreamOffset(from)..StreamOffset(until), patience);
        assert_eq!(
            wait(130, 160, FOREVER)
                .expect("shown")
                .from(StreamOffset(130)),
            [1; 30]
        );
        for not_there_yet in [(130, 161), (119, 150)] {
            let error = wait(not_there_yet.0, not_there_yet.1, Duration::from_millis(1))
                .expect_err("not there yet");
            assert!(matches!(error, ReadError::Deadline), "{error}");
        }
        assert!(
            cache.find(StreamNo(1), StreamOffset(100)).is_none(),
            "a part is not kept as a frame"
        );
        go_on.send(()).expect("it waits");
        assert_eq!(flight.wait(ALL, FOREVER).expect("fetched").bytes, [1; 100]);
        fetching.join().expect("no panic");
        assert_eq!(
            cache
                .find(StreamNo(1), StreamOffset(199))
                .expect("kept")
                .bytes
                .len(),
            100
        );
    }

    #[test]
    fn all_waiting_readers_get_the_error_of_a_failed_fetch_and_the_next_one_tries_again() {
        let cache = Arc::new(FrameCache::new(1 << 20));
        let flights: Vec<_> = (0..3)
            .map(|_| {
                cache.get(key(1), FetchExtent::Whole, || {
                    Box::new(|_| Err(ReadError::NoSuchNode))
                })
            })
            .collect();
        for (turn, whereabouts) in flights.into_iter().enumerate() {
            let Whereabouts::Coming(flight) = whereabouts else {
                panic!("the cache cannot have it")
            };
            flight.run();
            let error = flight.wait(ALL, FOREVER).expect_err("the fetch failed");
            assert!(
                matches!(
                    &error,
                    ReadError::Shared(shared) if matches!(**shared, ReadError::NoSuchNode),
                ),
                "waiter {turn}: {error:?}"
            );
        }
        assert_eq!(cache.counts().failed, 1, "one fetch for the three");
        assert_eq!(
            fetch(&cache, 1, Ok(vec![7]))
                .expect("the next try works")
                .bytes,
            [7]
        );
    }

    /// A fetch of 100 bytes that shows ten of them, and counts how often it could go on.
    fn spot(cache: &Arc<FrameCache>, gone_on: &Arc<AtomicUsize>) -> Whereabouts {
        let gone_on = Arc::clone(gone_on);
        cache.get(key(1), FetchExtent::UntilShown, || {
            Box::new(move |show| match show(StreamOffset(120), &[1; 10]) {
                ControlFlow::Continue(()) => {
                    gone_on.fetch_add(1, Ordering::SeqCst);
                    Ok(vec![1; 100])
                }
                ControlFlow::Break(()) => Err(ReadError::NoSuchNode),
            })
        })
    }

    #[test]
    fn a_spot_is_decoded_alone_at_first_and_the_whole_frame_the_second_time() {
        let cache = Arc::new(FrameCache::new(1 << 20));
        let gone_on = Arc::new(AtomicUsize::new(0));
        let Whereabouts::Coming(flight) = spot(&cache, &gone_on) else {
            panic!("the cache cannot have it yet")
        };
        flight.run();
        let piece = flight
            .wait(StreamOffset(120)..StreamOffset(130), FOREVER)
            .expect("shown");
        assert_eq!(
            (
                piece.start,
                piece.bytes.len(),
                gone_on.load(Ordering::SeqCst)
            ),
            (StreamOffset(120), 10, 0)
        );
        assert!(
            cache.find(StreamNo(1), StreamOffset(120)).is_none(),
            "a part is not kept as a frame"
        );
        let Whereabouts::Coming(flight) = spot(&cache, &gone_on) else {
            panic!("it was left off")
        };
        flight.run();
        assert_eq!(
            (
                flight.wait(ALL, FOREVER).expect("fetched").bytes.len(),
                gone_on.load(Ordering::SeqCst)
            ),
            (100, 1)
        );
        assert!(cache.find(StreamNo(1), StreamOffset(199)).is_some());
        assert_eq!(
            (
                cache.counts().left_off,
                cache.counts().fetched,
                cache.counts().failed
            ),
            (1, 1, 0)
        );
    }

    #[test]
    fn no_reader_waits_for_the_rest_of_a_frame_that_is_left_off() {
        let cache = Arc::new(FrameCache::new(1 << 20));
        let gone_on = Arc::new(AtomicUsize::new(0));
        let Whereabouts::Coming(first) = spot(&cache, &gone_on) else {
            panic!("the cache cannot have it yet")
        };
        let Whereabouts::Coming(second) = spot(&cache, &gone_on) else {
            panic!("the cache cannot have it yet")
        };
        assert!(Arc::ptr_eq(&first, &second), "one fetch");
        first.run();
        assert_eq!(
            second.wait(ALL, FOREVER).expect("fetched").bytes.len(),
            100,
            "a reader that came before the end gets the rest"
        );
    }

    #[test]
    fn a_fetch_that_panics_is_an_error_for_the_readers_that_wait() {
        let cache = Arc::new(FrameCache::new(1 << 20));
        let Whereabouts::Coming(flight) = cache.get(key(1), FetchExtent::Whole, || {
            Box::new(|_| panic!("on purpose"))
        }) else {
            panic!("the cache cannot have it yet")
        };
        flight.run();
        flight.wait(ALL, FOREVER).expect_err("it panicked");
        fetch(&cache, 1, Ok(vec![1])).expect("it can be tried again");
    }

    #[test]
    fn a_reader_of_a_dead_store_gets_an_error_when_its_time_is_up() {
        let cache = Arc::new(FrameCache::new(1 << 20));
        let Whereabouts::Coming(flight) =
            cache.get(key(1), FetchExtent::Whole, || Box::new(|_| Ok(vec![])))
        else {
            panic!("the cache cannot have it yet")
        };
        assert!(matches!(
            flight.wait(ALL, Duration::ZERO),
            Err(ReadError::Deadline)
        ));
    }

    #[test]
    fn a_frame_larger_than_the_cache_is_served_and_not_kept() {
        let cache = Arc::new(FrameCache::new(1000));
        assert_eq!(
            fetch(&cache, 1, Ok(vec![1; 2000]))
                .expect("fetched")
                .bytes
                .len(),
            2000
        );
        assert!(cache.find(StreamNo(1), StreamOffset(100)).is_none());
        assert_eq!(cache.counts().held_bytes, 0);
    }
}
