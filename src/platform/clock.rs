//! The time of day (the `Clock` seam), and spans of time.

use crate::model::Cancel;
use jiff::Timestamp;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How often a pause looks whether it is to end early.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Tells the time. Code that needs the time takes one of these; nothing else reads the system's
/// clock.
pub trait Clock: Send + Sync {
    /// Returns the moment of the call. Two calls may return the same moment, and the clock may step
    /// back.
    fn now(&self) -> Timestamp;

    /// Returns how long to wait in real time for `span` to pass on this clock. A clock for tests
    /// may let it pass at once.
    fn pass(&self, span: Duration, meanwhile: Meanwhile) -> Duration {
        let _ = meanwhile;
        span
    }
}

/// What happens while a caller waits for a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meanwhile {
    /// Nothing: only the moment ends the wait.
    Nothing,
    /// Other threads or processes are at work, and may end the wait earlier.
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
    /// The moment that it shows.
    now: Mutex<Timestamp>,
}

impl ManualClock {
    /// Returns a clock that shows `now`.
    pub fn at(now: Timestamp) -> Self {
        Self {
            now: Mutex::new(now),
        }
    }

    /// Sets the clock, forward or back.
    pub fn set(&self, now: Timestamp) {
        *self.now.lock().unwrap_or_else(PoisonError::into_inner) = now;
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        *self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the moment of the call on a clock that only goes forward, to measure spans of time. It
/// has no date, and a change of the system's clock does not move it.
#[expect(
    clippy::disallowed_methods,
    reason = "the one home of the monotonic clock"
)]
pub fn monotonic() -> Instant {
    Instant::now()
}

/// Waits for `length`. Returns at most 100 ms after `cancel` is requested.
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
