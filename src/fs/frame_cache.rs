//! Decoded frames: bounded in bytes, least recently used first to go, one fetch each however many
//! wait.

use super::ReadError;
use crate::model::{FrameNo, StreamOffset};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::ops::{ControlFlow, Range};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Number of a level's stream in one cache. A level's serial will not do: every backup of a store
/// has a level 1, and the serial of a level that was withdrawn can be given again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct StreamNo(pub(super) u64);

/// A frame's stream bytes, decoded and authenticated.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) stream: StreamNo,
    pub(super) start: StreamOffset,
    pub(super) bytes: Vec<u8>,
}

impl Frame {
    /// The frame's bytes from `at` on; empty when the frame does not hold `at`.
    pub(super) fn from(&self, at: StreamOffset) -> &[u8] {
        let skipped =
            at.0.checked_sub(self.start.0)
                .and_then(|skipped| usize::try_from(skipped).ok());
        skipped
            .and_then(|skipped| self.bytes.get(skipped..))
            .unwrap_or_default()
    }

    /// Where the frame after it begins.
    pub(super) fn end(&self) -> StreamOffset {
        StreamOffset(self.start.0.saturating_add(self.bytes.len() as u64))
    }
}

/// Names a frame before its bytes are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct FrameKey {
    pub(super) stream: StreamNo,
    pub(super) number: FrameNo,
    pub(super) start: StreamOffset,
}

/// What fetches and decodes one frame. Shows a piece of it on the way, if it comes to that; what it
/// shows is authentic.
type Fetch = Box<dyn FnOnce(&mut Show<'_>) -> Result<Vec<u8>, ReadError> + Send>;

/// Takes a piece of a frame and where in the stream it begins.
/// Says whether the rest is wanted.
pub(super) type Show<'flight> = dyn FnMut(StreamOffset, &[u8]) -> ControlFlow<()> + 'flight;

/// How much of a frame is decoded for who asks first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FetchExtent {
    /// All of it.
    Whole,
    /// What is shown, if nobody else asks meanwhile and it is the first time. Who asks again has it
    /// decoded whole.
    UntilShown,
}

/// How many frames are remembered as left off.
const MOST_LEFT_OFF: usize = 256;

/// What a frame costs besides its bytes, so that very small frames are bounded too.
const OVERHEAD_BYTES: usize = 256;

/// The frames at hand. Its bytes never exceed its limit; what callers still hold of a frame that
/// went is theirs.
pub(super) struct FrameCache {
    limit_bytes: usize,
    state: Mutex<State>,
}

/// The frames held, their order of use, and the fetches under way: they change together.
#[derive(Default)]
struct State {
    held: BTreeMap<(StreamNo, StreamOffset), Held>,
    /// From least to most recently used.
    by_use: BTreeMap<u64, (StreamNo, StreamOffset)>,
    uses: u64,
    bytes: usize,
    flights: HashMap<FrameKey, Arc<Flight>>,
    /// Frames of which a piece was all that was wanted, the latest behind.
    left_off: VecDeque<FrameKey>,
    counts: CacheCounts,
}

struct Held {
    frame: Arc<Frame>,
    last_use: u64,
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
    /// Frames that had to go.
    pub evicted: u64,
    /// Bytes held now.
    pub held_bytes: u64,
}

/// Where a wanted frame is.
pub(super) enum Whereabouts {
    /// At hand.
    Here(Arc<Frame>),
    /// Being fetched, or about to be: [`Flight::run`] it, then [`Flight::wait`].
    Coming(Arc<Flight>),
}

impl FrameCache {
    pub(super) fn new(limit_bytes: usize) -> Self {
        Self {
            limit_bytes,
            state: Mutex::default(),
        }
    }

    pub(super) fn counts(&self) -> CacheCounts {
        let state = self.lock();
        CacheCounts {
            held_bytes: state.bytes as u64,
            ..state.counts
        }
    }

    /// The frame that holds byte `at` of a level's stream, if it is at hand.
    pub(super) fn find(&self, stream: StreamNo, at: StreamOffset) -> Option<Arc<Frame>> {
        let mut state = self.lock();
        let (key, held) = state.held.range(..=(stream, at)).next_back()?;
        if key.0 != stream || held.frame.end() <= at {
            return None;
        }
        let key = *key;
        state.counts.hits += 1;
        state.touch(key)
    }

    /// Whether the frame is at hand, or coming.
    pub(super) fn is_known(&self, key: FrameKey) -> bool {
        let state = self.lock();
        state.held.contains_key(&(key.stream, key.start)) || state.flights.contains_key(&key)
    }

    /// The frame, or the one fetch of it: `fetch` is used only if there is none yet, and not before
    /// the flight is run.
    pub(super) fn get(
        self: &Arc<Self>,
        key: FrameKey,
        extent: FetchExtent,
        fetch: impl FnOnce() -> Fetch,
    ) -> Whereabouts {
        let mut state = self.lock();
        if let Some(frame) = state.touch((key.stream, key.start)) {
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
            stage: Mutex::new(Stage::Planned(fetch())),
            changed: Condvar::new(),
        });
        state.flights.insert(key, Arc::clone(&flight));
        Whereabouts::Coming(flight)
    }

    /// Whether the rest of a frame can be left undone: then it is no longer in flight, and who asks
    /// next starts anew.
    fn leave_off(&self, flight: &Flight) -> bool {
        let mut state = self.lock();
        // Asked under the lock under which others find the flight: nobody can come to wait for a
        // rest that never comes.
        if flight.is_wanted_whole.load(Ordering::Relaxed) {
            return false;
        }
        state.flights.remove(&flight.key);
        if state.left_off.len() >= MOST_LEFT_OFF {
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
                let frame = Arc::new(Frame {
                    stream: key.stream,
                    start: key.start,
                    bytes,
                });
                state.counts.fetched += 1;
                state.keep(&frame, self.limit_bytes);
                Ok(frame)
            }
            Err(error) => {
                state.counts.failed += 1;
                Err(Arc::new(error))
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn touch(&mut self, key: (StreamNo, StreamOffset)) -> Option<Arc<Frame>> {
        let held = self.held.get_mut(&key)?;
        self.uses += 1;
        self.by_use.remove(&held.last_use);
        held.last_use = self.uses;
        self.by_use.insert(self.uses, key);
        Some(Arc::clone(&held.frame))
    }

    fn keep(&mut self, frame: &Arc<Frame>, limit_bytes: usize) {
        let cost = cost(frame);
        if cost > limit_bytes {
            return;
        }
        while self.bytes + cost > limit_bytes {
            let Some((_, oldest)) = self.by_use.pop_first() else {
                break;
            };
            if let Some(gone) = self.held.remove(&oldest) {
                self.bytes -= self::cost(&gone.frame);
                self.counts.evicted += 1;
            }
        }
        let key = (frame.stream, frame.start);
        self.uses += 1;
        self.by_use.insert(self.uses, key);
        self.held.insert(
            key,
            Held {
                frame: Arc::clone(frame),
                last_use: self.uses,
            },
        );
        self.bytes += cost;
    }
}

fn cost(frame: &Frame) -> usize {
    frame.bytes.capacity() + OVERHEAD_BYTES
}

/// How a fetch ended, for all who waited.
type Landing = Result<Arc<Frame>, Arc<ReadError>>;

/// One fetch of one frame.
pub(super) struct Flight {
    key: FrameKey,
    cache: Arc<FrameCache>,
    /// Changed under the lock of the cache.
    is_wanted_whole: AtomicBool,
    stage: Mutex<Stage>,
    /// Told when there is more to see.
    changed: Condvar,
}

/// How far a fetch is.
enum Stage {
    /// Nobody has begun.
    Planned(Fetch),
    /// Some thread is at it. A piece of the frame may be there already, as a frame of its own.
    Flying(Option<Arc<Frame>>),
    /// It is over. The frame is in the cache, or the error is not remembered there.
    Landed(Landing),
}

impl Flight {
    /// Does the fetch on this thread, unless another thread has begun it.
    pub(super) fn run(&self) {
        let mut stage = self.lock();
        if !matches!(*stage, Stage::Planned(_)) {
            return;
        }
        let Stage::Planned(fetch) = std::mem::replace(&mut *stage, Stage::Flying(None)) else {
            return;
        };
        drop(stage);
        let mut is_left_off = false;
        let mut show = |start, bytes: &[u8]| {
            let piece = Frame {
                stream: self.key.stream,
                start,
                bytes: bytes.to_vec(),
            };
            *self.lock() = Stage::Flying(Some(Arc::new(piece)));
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
            return; // the only one who waits has what it wants
        }
        let landing = self.cache.settle(self.key, result);
        *self.lock() = Stage::Landed(landing);
        self.changed.notify_all();
    }

    /// Waits until all bytes of `wanted` that the frame has are there, but no longer than
    /// `patience`. What it returns may be no more of the frame than that.
    ///
    /// # Errors
    ///
    /// What the fetch failed with, the same for all who wait; [`ReadError::Deadline`].
    pub(super) fn wait(
        &self,
        wanted: Range<StreamOffset>,
        patience: Duration,
    ) -> Result<Arc<Frame>, ReadError> {
        let deadline = crate::platform::monotonic().checked_add(patience);
        let mut stage = self.lock();
        loop {
            match &*stage {
                Stage::Landed(landing) => return landing.clone().map_err(ReadError::Shared),
                Stage::Flying(Some(piece))
                    if piece.start <= wanted.start && piece.end() >= wanted.end =>
                {
                    return Ok(Arc::clone(piece));
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

    fn lock(&self) -> MutexGuard<'_, Stage> {
        self.stage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::{FetchExtent, Frame, FrameCache, FrameKey, OVERHEAD_BYTES, StreamNo, Whereabouts};
    use crate::fs::ReadError;
    use crate::model::{FrameNo, StreamOffset};
    use proptest::prelude::*;
    use std::ops::{ControlFlow, Range};
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Arc, Barrier, mpsc};
    use std::thread;
    use std::time::Duration;

    const FOREVER: Duration = Duration::MAX;
    /// Of any frame.
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
    ) -> Result<Arc<Frame>, ReadError> {
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
                        panic!("it was here before it was fetched")
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
    fn who_wants_a_piece_does_not_wait_for_the_end() {
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
            panic!("it was here before it was fetched")
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
            "a piece is no frame"
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
    fn a_failed_fetch_is_told_to_all_who_wait_and_not_remembered() {
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
                panic!("nothing can be here")
            };
            flight.run();
            let error = flight.wait(ALL, FOREVER).expect_err("the fetch failed");
            assert!(
                matches!(&error, ReadError::Shared(shared) if matches!(**shared, ReadError::NoSuchNode)),
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

    /// A fetch of 100 bytes that shows ten of them, and says whether it was let go on.
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
    fn a_spot_is_shown_alone_at_first_and_the_second_time_the_frame_is_kept() {
        let cache = Arc::new(FrameCache::new(1 << 20));
        let gone_on = Arc::new(AtomicUsize::new(0));
        let Whereabouts::Coming(flight) = spot(&cache, &gone_on) else {
            panic!("not here yet")
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
            "a piece is no frame"
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
    fn nobody_waits_for_the_rest_of_a_frame_that_is_left_off() {
        let cache = Arc::new(FrameCache::new(1 << 20));
        let gone_on = Arc::new(AtomicUsize::new(0));
        let Whereabouts::Coming(first) = spot(&cache, &gone_on) else {
            panic!("not here yet")
        };
        let Whereabouts::Coming(second) = spot(&cache, &gone_on) else {
            panic!("not here yet")
        };
        assert!(Arc::ptr_eq(&first, &second), "one fetch");
        first.run();
        assert_eq!(
            second.wait(ALL, FOREVER).expect("fetched").bytes.len(),
            100,
            "who came before the end gets the rest"
        );
    }

    #[test]
    fn a_fetch_that_panics_is_an_error_for_those_who_wait() {
        let cache = Arc::new(FrameCache::new(1 << 20));
        let Whereabouts::Coming(flight) = cache.get(key(1), FetchExtent::Whole, || {
            Box::new(|_| panic!("as arranged"))
        }) else {
            panic!("not here yet")
        };
        flight.run();
        flight.wait(ALL, FOREVER).expect_err("it panicked");
        fetch(&cache, 1, Ok(vec![1])).expect("it can be tried again");
    }

    #[test]
    fn who_waits_for_a_dead_store_is_told_when_the_time_is_up() {
        let cache = Arc::new(FrameCache::new(1 << 20));
        let Whereabouts::Coming(flight) =
            cache.get(key(1), FetchExtent::Whole, || Box::new(|_| Ok(vec![])))
        else {
            panic!("not here yet")
        };
        assert!(matches!(
            flight.wait(ALL, Duration::ZERO),
            Err(ReadError::Deadline)
        ));
    }

    #[test]
    fn a_frame_is_found_by_each_of_its_bytes_and_by_no_other() {
        let cache = Arc::new(FrameCache::new(1 << 20));
        fetch(&cache, 1, Ok((0..50).collect())).expect("fetched");
        let byte = |at: u64| {
            cache
                .find(StreamNo(1), StreamOffset(at))
                .map(|frame| frame.from(StreamOffset(at))[0])
        };
        assert_eq!(byte(100), Some(0));
        assert_eq!(byte(149), Some(49));
        assert_eq!(byte(99), None);
        assert_eq!(byte(150), None);
        assert!(cache.find(StreamNo(2), StreamOffset(120)).is_none());
        assert!(cache.find(StreamNo(0), StreamOffset(120)).is_none());
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

    proptest! {
        /// Against a list of keys in order of use, the oldest in front.
        #[test]
        fn the_least_recently_used_goes_first_and_the_bound_holds(uses in prop::collection::vec((0_u64..12, 1_usize..100), 1..200)) {
            let room = 5 * (100 + OVERHEAD_BYTES);
            let cache = Arc::new(FrameCache::new(room));
            let mut model: Vec<(u64, usize)> = Vec::new();
            for (number, length) in uses {
                let here = model.iter().position(|(held, _)| *held == number);
                let length = here.map_or(length, |at| model[at].1);
                let frame = fetch(&cache, number, Ok(vec![0; length])).expect("fetched");
                prop_assert_eq!(frame.bytes.len(), length);
                if let Some(at) = here {
                    model.remove(at);
                }
                while model.iter().map(|(_, length)| length + OVERHEAD_BYTES).sum::<usize>() + length + OVERHEAD_BYTES > room {
                    model.remove(0);
                }
                model.push((number, length));
                prop_assert!(cache.counts().held_bytes <= room as u64);
                for number in 0..12 {
                    let held = cache.lock().held.contains_key(&(StreamNo(1), key(number).start));
                    prop_assert_eq!(held, model.iter().any(|(held, _)| *held == number));
                }
            }
        }
    }
}
