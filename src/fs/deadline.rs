//! How long a thread that answers a request may still wait, over all that it waits for.

use std::cell::Cell;
use std::time::{Duration, Instant};

thread_local! {
    /// When whoever waits for this thread is told that it failed; nothing where each fetch has a
    /// patience of its own.
    static UNTIL: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// Puts back what held before, also when the work panics.
#[cfg(any(unix, test))]
struct Before(Option<Instant>);

#[cfg(any(unix, test))]
impl Drop for Before {
    fn drop(&mut self) {
        UNTIL.set(self.0);
    }
}

/// Does something that waits no longer than until then, however many fetches it makes.
#[cfg(any(unix, test))]
pub(super) fn until<T>(deadline: Option<Instant>, work: impl FnOnce() -> T) -> T {
    let _before = Before(UNTIL.replace(deadline));
    work()
}

/// How long one fetch may take that would have `patience` by itself.
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
                    "one fetch has no more than its own"
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
