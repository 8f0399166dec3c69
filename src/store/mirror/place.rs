//! One place of a mirror: whether it takes part, and how long it has let the others wait.

use crate::store::{Error, Store};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long a place may let the others wait.
#[derive(Clone, Copy, Debug)]
pub struct WaitLimits {
    /// The longest for one call; a place that takes longer is stuck.
    pub for_one: Duration,
    /// The longest for all calls together; a place that takes longer is too slow.
    pub in_all: Duration,
}

/// A place let the others wait for too long.
#[derive(Debug, thiserror::Error)]
pub(super) enum TooSlow {
    #[error("the other stores were done {} s earlier", .0.as_secs())]
    StandsStill(Duration),
    #[error(
        "it is slower than the other stores, and kept them waiting for {} s in all",
        .0.as_secs()
    )]
    FellBehind(Duration),
}

/// A store of a mirror.
pub(super) struct MirrorPlace {
    pub(super) store: Arc<dyn Store>,
    /// Why it takes no further part.
    out: Mutex<Option<Arc<Error>>>,
    /// How long it has let the others wait.
    lag: Mutex<Lag>,
}

impl MirrorPlace {
    pub(super) fn new(store: Arc<dyn Store>) -> Self {
        Self {
            store,
            out: Mutex::new(None),
            lag: Mutex::default(),
        }
    }

    /// Returns why it takes no further part; `None` while it does.
    pub(super) fn failure(&self) -> Option<Arc<Error>> {
        self.out
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Takes it out, unless it is out already.
    pub(super) fn leave(&self, why: Arc<Error>) {
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        if out.is_none() {
            tracing::warn!(
                store = %self.store.location(),
                error = &why as &dyn std::error::Error,
                "this store takes no further part in the run"
            );
            *out = Some(why);
        }
    }

    /// Returns how much longer to wait for a call that another place has done `waited` ago, or why
    /// to wait no longer.
    pub(super) fn wait_for(
        &self,
        waited: Duration,
        limits: WaitLimits,
    ) -> Result<Duration, TooSlow> {
        let lag = self.lag().so_far();
        match (
            limits.for_one.checked_sub(waited),
            limits.in_all.checked_sub(lag),
        ) {
            (None | Some(Duration::ZERO), _) => Err(TooSlow::StandsStill(limits.for_one)),
            (_, None | Some(Duration::ZERO)) => Err(TooSlow::FellBehind(lag)),
            (Some(for_one), Some(in_all)) => Ok(for_one.min(in_all)),
        }
    }

    fn lag(&self) -> MutexGuard<'_, Lag> {
        self.lag.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// For how long there were calls that another place had done already.
#[derive(Debug, Default)]
struct Lag {
    /// How many such calls there are at the moment.
    calls: u32,
    /// Since when there are any.
    since: Option<Instant>,
    /// How long there were any before that.
    before: Duration,
}

impl Lag {
    fn so_far(&self) -> Duration {
        self.before + self.since.map_or(Duration::ZERO, |since| since.elapsed())
    }

    fn begin(&mut self) {
        self.calls += 1;
        self.since.get_or_insert_with(crate::platform::monotonic);
    }

    fn end(&mut self) {
        self.calls = self.calls.saturating_sub(1);
        if self.calls == 0 {
            self.before = self.so_far();
            self.since = None;
        }
    }
}

/// Counts as a call that the others wait for, until it is dropped.
pub(super) struct Straggling<'place>(&'place MirrorPlace);

impl<'place> Straggling<'place> {
    pub(super) fn new(place: &'place MirrorPlace) -> Self {
        place.lag().begin();
        Self(place)
    }
}

impl Drop for Straggling<'_> {
    fn drop(&mut self) {
        self.0.lag().end();
    }
}
