//! Decoded blocks in memory, shared by all runs of a process and bounded in bytes.

use super::node::Node;
use super::{BlockPlace, IndexError};
use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// What a cached block costs beyond its node: its places in the map and in the queue.
const OVERHEAD_BYTES: usize = 128;

/// Keeps decoded blocks, those used again longest (second chance), and never more bytes of them
/// than its capacity. A block that is being read stays in memory until its readers let go of it, in
/// the cache or not.
#[derive(Debug)]
pub struct BlockCache {
    capacity_bytes: usize,
    runs: AtomicU64,
    /// Guards which blocks are kept and which are being loaded.
    state: Mutex<State>,
}

/// Which run, and the number of the block in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct CacheKey {
    run: RunNumber,
    block: u64,
}

/// Number of an opened run in its cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct RunNumber(u64);

/// A block, with what the parent said of it when it was checked.
#[derive(Debug)]
pub(super) struct CachedNode {
    pub(super) node: Node,
    pub(super) claim: Claim,
}

/// What a parent says of a child. Another parent must not say anything else of the same block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Claim {
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

/// A load under way, for those who wait for it.
#[derive(Debug, Default)]
struct Load {
    /// Guards how it ended.
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

/// No code here can panic while it holds a lock and has changed half of what the lock guards.
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

    /// How many bytes the kept blocks take, never more than the capacity.
    pub fn used_bytes(&self) -> usize {
        lock(&self.state).used_bytes
    }

    /// A number for a run that is being opened.
    pub(super) fn register_run(&self) -> RunNumber {
        RunNumber(self.runs.fetch_add(1, Ordering::Relaxed))
    }

    /// Returns the block if it is kept.
    pub(super) fn get(&self, run: RunNumber, block: u64) -> Option<Arc<CachedNode>> {
        lock(&self.state).get(CacheKey { run, block })
    }

    /// Returns the block, calling `load` if it is not kept and no other thread is about to have it.
    /// A failure is not remembered. Who waited for another's fetch that failed has one more begun
    /// after it asked: what was wrong may be over.
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
    /// How the load ended; `None` when the waiting thread has to load itself.
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

/// Ends a load however the loading function ends, so that nobody waits for ever.
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
    use super::super::block::BlockAddress;
    use super::super::node::{Node, NodeBuilder};
    use super::{BlockCache, BlockPlace, CachedNode, Claim, IndexError, RunNumber};
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
            claim: Claim {
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
    fn the_cache_never_holds_more_than_its_capacity_and_keeps_what_is_used() {
        let cache = BlockCache::new(10_000);
        for block in 0..1000 {
            cache
                .get_or_load(RUN, block, || Ok(node(800)))
                .expect("it loads");
            assert!(cache.used_bytes() <= 10_000);
            assert!(
                cache.get(RUN, 0).is_some(),
                "block 0 is used all the time, and was dropped after {block}"
            );
        }
        assert!(cache.used_bytes() > 8_000, "it is filled");
        assert!(cache.get(RunNumber(1), 0).is_none(), "runs do not mix");
        cache
            .get_or_load(RUN, 2000, || Ok(node(20_000)))
            .expect("too large to be kept, yet read");
        assert!(cache.get(RUN, 2000).is_none());
        assert!(cache.get(RUN, 0).is_some(), "and nothing made room for it");
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

    /// Four threads want one block. The first load fails, and not before the others wait for it, so
    /// that they cannot come too late to share it; `next` is how later ones end. Returns how many
    /// threads got the block, and how many loads there were.
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
    fn who_waited_for_a_fetch_that_failed_has_one_more_begun() {
        let cache = BlockCache::new(100_000);
        assert_eq!(shared_failure(&cache, || Ok(node(10))), (3, 2));
    }

    #[test]
    fn a_failure_that_lasts_is_told_to_all_and_not_remembered() {
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
    fn a_load_that_panics_leaves_nobody_waiting() {
        let cache = BlockCache::new(100_000);
        let loading =
            std::panic::AssertUnwindSafe(|| cache.get_or_load(RUN, 1, || panic!("in the test")));
        std::panic::catch_unwind(loading).expect_err("it panics");
        cache
            .get_or_load(RUN, 1, || Ok(node(10)))
            .expect("the next one loads");
    }
}
