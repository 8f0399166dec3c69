//! A cache of decoded blocks, which all runs of a process share. It is bounded in bytes.

use super::node::Node;
use super::{BlockPlace, IndexError};
use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// The memory that a cached block takes besides its node: its places in the map and in the queue.
const OVERHEAD_BYTES: usize = 128;

/// Keeps decoded blocks, never more bytes of them than its capacity. Blocks that are used again
/// stay longest (second chance). A block stays in memory while a reader holds it, whether it is in
/// the cache or not.
#[derive(Debug)]
pub struct BlockCache {
    capacity_bytes: usize,
    runs: AtomicU64,
    /// Guards the blocks that are kept and those that are being loaded.
    state: Mutex<State>,
}

/// A run, and the number of a block in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct CacheKey {
    run: RunNumber,
    block: u64,
}

/// The number of an opened run in its cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct RunNumber(u64);

/// A block that was checked, and what its parent says of it.
#[derive(Debug)]
pub(super) struct CachedNode {
    pub(super) node: Node,
    pub(super) claim: BlockClaim,
}

/// The properties of a block, as its parent gives them. Every parent of a block must give the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BlockClaim {
    pub(super) place: BlockPlace,
    pub(super) height: u8,
    pub(super) first_rank: u64,
    pub(super) entries: u64,
}

#[derive(Debug, Default)]
struct State {
    used_bytes: usize,
    kept: HashMap<CacheKey, Kept>,
    /// Every key of `kept`, once, in the order of eviction.
    queue: VecDeque<CacheKey>,
    loading: HashMap<CacheKey, Arc<Load>>,
}

#[derive(Debug)]
struct Kept {
    node: Arc<CachedNode>,
    bytes: usize,
    used_since_queued: bool,
}

type Loaded = Result<Arc<CachedNode>, IndexError>;

/// A load under way, for the threads that wait for it.
#[derive(Debug, Default)]
struct Load {
    /// Guards how the load ended.
    outcome: Mutex<Outcome>,
    ended: Condvar,
}

#[derive(Debug, Default)]
enum Outcome {
    #[default]
    UnderWay,
    Ended(Loaded),
    /// The loading thread panicked.
    Abandoned,
}

/// Locks a mutex, poisoned or not: no code here can panic after it has changed a part of what the
/// lock guards.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl BlockCache {
    /// Makes an empty cache that holds at most `capacity_bytes`. With 0 it keeps nothing.
    pub fn new(capacity_bytes: usize) -> Arc<Self> {
        Arc::new(Self {
            capacity_bytes,
            runs: AtomicU64::new(0),
            state: Mutex::default(),
        })
    }

    /// Returns how many bytes the kept blocks take: never more than the capacity.
    pub fn used_bytes(&self) -> usize {
        lock(&self.state).used_bytes
    }

    /// Returns a number for a run that is being opened.
    pub(super) fn register_run(&self) -> RunNumber {
        RunNumber(self.runs.fetch_add(1, Ordering::Relaxed))
    }

    /// Returns the block if it is kept.
    pub(super) fn get(&self, run: RunNumber, block: u64) -> Option<Arc<CachedNode>> {
        lock(&self.state).get(CacheKey { run, block })
    }

    /// Returns the block. If it is not kept, calls `load`, or waits for the thread that is loading
    /// it. Failures are not remembered. If the fetch of another thread fails, a thread that waited
    /// for it takes part in one more fetch: the cause may be over.
    pub(super) fn get_or_load(
        &self,
        run: RunNumber,
        block: u64,
        load: impl FnOnce() -> Result<CachedNode, IndexError>,
    ) -> Loaded {
        let key = CacheKey { run, block };
        let mut has_waited = false;
        let own = loop {
            let mut state = lock(&self.state);
            if let Some(node) = state.get(key) {
                return Ok(node);
            }
            if let Some(other) = state.loading.get(&key).cloned() {
                drop(state);
                match other.wait() {
                    Some(Err(IndexError::Fetch { .. })) if !has_waited => has_waited = true,
                    Some(loaded) => return loaded,
                    None => {}
                }
            } else {
                let own = Arc::new(Load::default());
                state.loading.insert(key, Arc::clone(&own));
                break own;
            }
        };
        let mut ending = Ending {
            cache: self,
            key,
            load: &own,
            outcome: Outcome::Abandoned,
        };
        let loaded = load().map(Arc::new);
        ending.outcome = Outcome::Ended(loaded.clone());
        drop(ending);
        loaded
    }

    fn keep(&self, state: &mut State, key: CacheKey, node: &Arc<CachedNode>) {
        let bytes = OVERHEAD_BYTES + size_of::<CachedNode>() + node.node.memory_bytes();
        let Some(room) = self.capacity_bytes.checked_sub(bytes) else {
            return;
        };
        state.shrink_to(room);
        state.kept.insert(
            key,
            Kept {
                node: Arc::clone(node),
                bytes,
                used_since_queued: false,
            },
        );
        state.queue.push_back(key);
        state.used_bytes += bytes;
    }
}

impl State {
    fn get(&mut self, key: CacheKey) -> Option<Arc<CachedNode>> {
        self.kept.get_mut(&key).map(|kept| {
            kept.used_since_queued = true;
            Arc::clone(&kept.node)
        })
    }

    fn shrink_to(&mut self, bytes: usize) {
        while self.used_bytes > bytes
            && let Some(key) = self.queue.pop_front()
        {
            match self.kept.get_mut(&key) {
                Some(kept) if kept.used_since_queued => {
                    kept.used_since_queued = false;
                    self.queue.push_back(key);
                }
                _ => self.used_bytes -= self.kept.remove(&key).map_or(0, |kept| kept.bytes),
            }
        }
    }
}

impl Load {
    /// Waits until the load has ended. Returns `None` if the waiting thread has to load the block
    /// itself.
    fn wait(&self) -> Option<Loaded> {
        let outcome = lock(&self.outcome);
        let under_way = |outcome: &mut Outcome| matches!(outcome, Outcome::UnderWay);
        match &*self
            .ended
            .wait_while(outcome, under_way)
            .unwrap_or_else(PoisonError::into_inner)
        {
            Outcome::Ended(loaded) => Some(loaded.clone()),
            Outcome::UnderWay | Outcome::Abandoned => None,
        }
    }
}

/// Ends a load when it is dropped, however the loading function ends, so that no thread waits for
/// ever.
struct Ending<'a> {
    cache: &'a BlockCache,
    key: CacheKey,
    load: &'a Load,
    outcome: Outcome,
}

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        {
            let mut state = lock(&self.cache.state);
            state.loading.remove(&self.key);
            if let Outcome::Ended(Ok(node)) = &self.outcome {
                self.cache.keep(&mut state, self.key, node);
            }
        }
        *lock(&self.load.outcome) = std::mem::take(&mut self.outcome);
        self.load.ended.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::super::BlockAddress;
    use super::super::node::{Node, NodeBuilder};
    use super::{BlockCache, BlockClaim, BlockPlace, CachedNode, IndexError, RunNumber};
    use crate::model::{FrameNo, SegmentOffset};
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicUsize, Ordering};

    const RUN: RunNumber = RunNumber(0);

    fn node(value_bytes: usize) -> CachedNode {
        let mut builder = NodeBuilder::new(0);
        builder.push(b"key", &vec![0; value_bytes]);
        let node = Node::decode(builder.take()).expect("a sound node");
        CachedNode {
            node,
            claim: BlockClaim {
                place: BlockPlace::Root,
                height: 0,
                first_rank: 0,
                entries: 1,
            },
        }
    }

    fn failure() -> IndexError {
        let address = BlockAddress {
            number: FrameNo(0),
            object: 0,
            offset: SegmentOffset(0),
            length: 0,
        };
        IndexError::fetch(address, std::fmt::Error)
    }

    #[test]
    fn the_cache_keeps_used_blocks_and_never_exceeds_its_capacity() {
        let cache = BlockCache::new(10_000);
        for block in 0..1000 {
            cache
                .get_or_load(RUN, block, || Ok(node(800)))
                .expect("it loads");
            assert!(cache.used_bytes() <= 10_000);
            assert!(
                cache.get(RUN, 0).is_some(),
                "block 0 is used all the time, but was dropped after {block}"
            );
        }
        assert!(cache.used_bytes() > 8_000, "it is nearly full");
        assert!(cache.get(RunNumber(1), 0).is_none(), "runs do not mix");
        cache
            .get_or_load(RUN, 2000, || Ok(node(20_000)))
            .expect("it loads although it is too large to be kept");
        assert!(cache.get(RUN, 2000).is_none());
        assert!(cache.get(RUN, 0).is_some(), "no block made room for it");
    }

    #[test]
    fn threads_that_want_one_block_at_once_load_it_once() {
        let (cache, loads, barrier) = (
            BlockCache::new(100_000),
            AtomicUsize::new(0),
            Barrier::new(8),
        );
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    barrier.wait();
                    let loaded = cache.get_or_load(RUN, 1, || {
                        loads.fetch_add(1, Ordering::Relaxed);
                        Ok(node(10))
                    });
                    loaded.expect("it loads");
                });
            }
        });
        assert_eq!(loads.into_inner(), 1);
    }

    /// Lets four threads ask for one block. The first load fails as soon as the other three wait
    /// for it; later loads end as `next` says. Returns how many threads got the block, and how many
    /// loads there were.
    fn shared_failure(
        cache: &BlockCache,
        next: impl Fn() -> Result<CachedNode, IndexError> + Sync,
    ) -> (usize, usize) {
        let loads = AtomicUsize::new(0);
        let load = || {
            cache.get_or_load(RUN, 1, || {
                if loads.fetch_add(1, Ordering::Relaxed) > 0 {
                    return next();
                }
                while std::sync::Arc::strong_count(
                    &super::lock(&cache.state).loading[&super::CacheKey { run: RUN, block: 1 }],
                ) < 2 + 3
                {
                    std::thread::yield_now();
                }
                Err(failure())
            })
        };
        let loaded = std::thread::scope(|scope| {
            let waiting: Vec<_> = (0..4).map(|_| scope.spawn(load)).collect();
            waiting
                .into_iter()
                .filter_map(|thread| thread.join().expect("no panic").ok())
                .count()
        });
        (loaded, loads.into_inner())
    }

    #[test]
    fn a_thread_that_waited_for_a_failed_fetch_takes_part_in_another() {
        let cache = BlockCache::new(100_000);
        assert_eq!(shared_failure(&cache, || Ok(node(10))), (3, 2));
    }

    #[test]
    fn a_lasting_failure_reaches_every_thread_and_is_not_remembered() {
        let cache = BlockCache::new(100_000);
        let (loaded, loads) = shared_failure(&cache, || Err(failure()));
        assert!(
            loaded == 0 && (2..=4).contains(&loads),
            "{loaded} of {loads}"
        );
        cache
            .get_or_load(RUN, 1, || Ok(node(10)))
            .expect("asked again, it loads");
    }

    #[test]
    fn a_load_that_panics_leaves_no_thread_waiting() {
        let cache = BlockCache::new(100_000);
        let loading =
            std::panic::AssertUnwindSafe(|| cache.get_or_load(RUN, 1, || panic!("in the test")));
        std::panic::catch_unwind(loading).expect_err("it panics");
        cache
            .get_or_load(RUN, 1, || Ok(node(10)))
            .expect("the next one loads");
    }
}
