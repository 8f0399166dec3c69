//! How long a thread that answers a request may still wait, for all its fetches together.

use std::cell::Cell;
use std::time::{Duration, Instant};

thread_local! {
    /// When the request that this thread answers fails. `None` where each fetch has a patience of
    /// its own.
    static UNTIL: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// Restores the outer deadline when it is dropped, also when the work panics.
#[cfg(any(unix, test))]
struct OuterDeadline(Option<Instant>);

#[cfg(any(unix, test))]
impl Drop for OuterDeadline {
    fn drop(&mut self) {
        UNTIL.set(self.0);
    }
}

/// Runs `work`, which waits no longer than until `deadline`, however many fetches it makes.
#[cfg(any(unix, test))]
pub(super) fn until<T>(deadline: Option<Instant>, work: impl FnOnce() -> T) -> T {
    let _outer = OuterDeadline(UNTIL.replace(deadline));
    work()
}

/// Returns how long one fetch may take: `patience`, or what is left until the deadline.
pub(super) fn left_of(patience: Duration) -> Duration {
    UNTIL.get().map_or(patience, |deadline| {
        patience.min(deadline.saturating_duration_since(crate::platform::monotonic()))
    })
}

#[cfg(test)]
mod tests {
    use super::{left_of, until};
    use std::time::Duration;

    const MINUTE: Duration = Duration::from_mins(1);

    #[test]
    fn a_deadline_bounds_every_wait_of_its_thread_and_of_no_other_and_ends_with_the_work() {
        assert_eq!(left_of(MINUTE), MINUTE);
        until(Some(crate::platform::monotonic()), || {
            assert_eq!(left_of(MINUTE), Duration::ZERO);
            until(crate::platform::monotonic().checked_add(2 * MINUTE), || {
                assert_eq!(
                    left_of(MINUTE),
                    MINUTE,
                    "one fetch has no more than its own patience"
                )
            });
            assert_eq!(left_of(MINUTE), Duration::ZERO);
            std::thread::scope(|scope| {
                assert_eq!(
                    scope.spawn(|| left_of(MINUTE)).join().expect("no panic"),
                    MINUTE
                )
            });
        });
        assert_eq!(left_of(MINUTE), MINUTE);
    }
}
