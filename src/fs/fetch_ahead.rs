//! Carries out what `read_ahead` plans: finds the frames, and has them fetched alone or together.

use super::batch::FrameBatch;
use super::far::StoreDelay;
use super::fetchers::Fetchers;
use super::frame_cache::{FetchExtent, Flight, FrameCache, Whereabouts};
use super::level_stream::LevelStream;
use super::pool::{ThreadPool, Urgency};
use super::read_ahead::AheadPlan;
use crate::index::FrameRow;
use crate::model::StreamOffset;
use std::io;
use std::num::NonZeroUsize;
use std::sync::Arc;

/// Fetches frames ahead of readers.
pub(super) struct FetchAhead {
    requests: AheadRequests,
    /// One thread that looks up frames. It may wait for the fetching threads, so it cannot be one
    /// of them.
    planner: ThreadPool,
}

/// What the planning thread works with.
#[derive(Clone)]
struct AheadRequests {
    cache: Arc<FrameCache>,
    fetchers: Fetchers,
    delay: Arc<StoreDelay>,
}

impl FetchAhead {
    /// Starts the planning thread.
    ///
    /// # Errors
    ///
    /// When the system gives no thread.
    pub(super) fn new(
        cache: &Arc<FrameCache>,
        fetchers: &Fetchers,
        delay: &Arc<StoreDelay>,
    ) -> io::Result<Self> {
        Ok(Self {
            requests: AheadRequests {
                cache: Arc::clone(cache),
                fetchers: fetchers.clone(),
                delay: Arc::clone(delay),
            },
            planner: ThreadPool::new("freezer-ahead", NonZeroUsize::MIN)?,
        })
    }

    /// Has the planned bytes fetched, and returns at once. Does nothing when too many plans wait.
    ///
    /// A request may go on behind the plan's end. It brings at most `max_request_bytes`, so that
    /// the cache can hold all of it.
    pub(super) fn submit(&self, level: &Arc<LevelStream>, plan: AheadPlan, max_request_bytes: u64) {
        if !self.planner.has_room_ahead() {
            return;
        }
        let (requests, level) = (self.requests.clone(), Arc::clone(level));
        let request_bytes = requests
            .delay
            .request_bytes()
            .map_or(0, |bytes| bytes.min(max_request_bytes));
        self.planner.submit(Urgency::Ahead, move || {
            requests.submit_plan(&level, plan, request_bytes);
        });
    }
}

impl AheadRequests {
    /// Cuts a plan into requests of at most `request_bytes` each; into single frames for 0.
    fn submit_plan(&self, level: &Arc<LevelStream>, plan: AheadPlan, request_bytes: u64) {
        let table = level.current().table;
        let mut batch: Option<FrameBatch> = None;
        let mut at = plan.from;
        while self.fetchers.pool().has_room_ahead() {
            let is_planned = at < plan.until;
            // A reader that wants the frame gets the error; the stream's end is no error at all.
            let Ok(row) = table.locate(at) else { break };
            at = StreamOffset(row.start.0.saturating_add(u64::from(row.raw_length.max(1))));
            // Another reader may have asked for the frame, or this one itself: the kernel asks for
            // several places of a file at once.
            let is_known = self.cache.is_known(level.key_of(&row));
            // A request goes on to the end of its segment where it may, so that no small rest
            // becomes a request of its own.
            let is_added = !is_known
                && batch
                    .as_mut()
                    .is_some_and(|batch| batch.push(row, request_bytes));
            if !is_added && !is_planned {
                break;
            }
            if !is_added
                && !is_known
                && let Some(full) = batch.replace(FrameBatch::new(row))
            {
                self.begin(full, level);
            }
        }
        if let Some(last) = batch {
            self.begin(last, level);
        }
    }

    /// Has the frames of a batch fetched that are neither in the cache nor on their way.
    fn begin(&self, batch: FrameBatch, level: &Arc<LevelStream>) {
        let batch = Arc::new(batch);
        let rows = batch.rows().iter();
        let mut flights: Vec<_> = rows.map(|row| self.flight(&batch, row, level)).collect();
        if let [alone] = flights.as_mut_slice() {
            if let Some(flight) = alone.take() {
                let pool = self.fetchers.pool();
                pool.submit(Urgency::Ahead, move || flight.run());
            }
            return;
        }
        if flights.iter().all(Option::is_none) {
            return;
        }
        let (this, level) = (self.clone(), Arc::clone(level));
        self.fetchers.pool().submit(Urgency::Ahead, move || {
            let decode = |flight: &mut Option<Arc<Flight>>| {
                if let Some(flight) = flight.take() {
                    let pool = this.fetchers.pool();
                    pool.submit(Urgency::Begun, move || flight.run());
                }
            };
            batch.load(&level, &this.delay, &mut |index| {
                if let Some(flight) = flights.get_mut(index) {
                    decode(flight);
                }
            });
            // The frames that did not arrive.
            flights.iter_mut().for_each(decode);
        });
    }

    /// Returns the flight of a row's frame; `None` when the cache has the frame.
    fn flight(
        &self,
        batch: &Arc<FrameBatch>,
        row: &FrameRow,
        level: &Arc<LevelStream>,
    ) -> Option<Arc<Flight>> {
        let key = level.key_of(row);
        let whereabouts = self.cache.get(key, FetchExtent::Whole, || {
            let (batch, level) = (Arc::clone(batch), Arc::clone(level));
            let (row, delay) = (*row, Arc::clone(&self.delay));
            Box::new(move |_| batch.frame(&level, &row, &delay))
        });
        match whereabouts {
            Whereabouts::Here(_) => None,
            Whereabouts::Coming(flight) => Some(flight),
        }
    }
}
