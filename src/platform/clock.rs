//! What time it is: the `Clock` seam.

use crate::model::Cancel;
use jiff::Timestamp;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How often a pause looks at the flag that ends it early.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Tells the time. Whatever needs it is handed one; nothing else reads the system's clock.
pub trait Clock: Send + Sync {
    /// The moment of the call. Two calls may give the same moment, or step back with the system's
    /// clock.
    fn now(&self) -> Timestamp;

    /// How long to wait, really, for `span` of this clock to pass, when meanwhile other things go
    /// on or nothing does. A clock for tests may let it pass at once.
    fn pass(&self, span: Duration, meanwhile: Meanwhile) -> Duration {
        let _ = meanwhile;
        span
    }
}

/// What goes on while somebody waits for a moment to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meanwhile {
    /// Nothing: only the moment can end the wait.
    Nothing,
    /// Others are at work, who may end it before.
    Work,
}

/// The system's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// A clock that stands still until it is set, for tests.
#[derive(Debug)]
pub struct ManualClock {
    /// Guards the moment it shows.
    now: Mutex<Timestamp>,
}

impl ManualClock {
    /// A clock that shows `now`.
    pub fn at(now: Timestamp) -> Self {
        Self {
            now: Mutex::new(now),
        }
    }

    /// Sets it, forward or back.
    pub fn set(&self, now: Timestamp) {
        *self.now.lock().unwrap_or_else(PoisonError::into_inner) = now;
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        *self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The moment of the call on a clock that only goes forward, for lengths of time: it has no date,
/// and a change of the system's clock does not move it.
#[expect(
    clippy::disallowed_methods,
    reason = "the one home of the monotonic clock"
)]
pub fn monotonic() -> Instant {
    Instant::now()
}

/// Waits that long, or until `cancel` is requested: a tenth of a second later at most.
pub fn pause(length: Duration, cancel: &Cancel) {
    let until = monotonic() + length;
    while !cancel.is_requested() {
        let left = until.saturating_duration_since(monotonic());
        if left.is_zero() {
            return;
        }
        std::thread::park_timeout(left.min(LOOK_EVERY));
    }
}

#[cfg(test)]
mod tests {
    use super::{Clock, ManualClock};
    use jiff::Timestamp;

    #[test]
    fn a_manual_clock_shows_what_it_was_set_to() {
        let clock = ManualClock::at(Timestamp::UNIX_EPOCH);
        assert_eq!(clock.now(), Timestamp::UNIX_EPOCH);
        clock.set(Timestamp::MAX);
        assert_eq!(clock.now(), Timestamp::MAX);
    }
}
