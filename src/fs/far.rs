//! Stores that are far away: how long they take to answer, and what follows from it.
//!
//! A reader takes up to 800 MB/s, and an answer also takes time to arrive once it has begun. So
//! twice 800 MB have to be under way for each second of delay. From 5 ms of delay on, that amount
//! is fetched with four requests of up to 8 MiB each, since a request for a single frame would
//! spend most of its time waiting.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Bytes that have to be under way for each second of delay: twice what a reader takes in a second.
const BYTES_PER_SECOND: u64 = 1_600_000_000;

/// From this delay on, frames that follow each other are fetched together. Below it, single
/// requests spread the work over the threads better.
const FAR: Duration = Duration::from_millis(5);

/// Into how many requests the bytes under way are cut.
const REQUESTS: u64 = 4;

/// Most bytes of the stream that one request brings.
const MAX_REQUEST_BYTES: u64 = 8 << 20;

/// Moving average of a store's delay in nanoseconds, over roughly the last eight answers.
#[derive(Debug, Default)]
pub(super) struct StoreDelay(AtomicU64);

impl StoreDelay {
    /// Notes how long one answer took to begin.
    pub(super) fn note(&self, took: Duration) {
        let took = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX / 8);
        // Two threads that note at once lose one answer, which does no harm.
        let before = self.0.load(Ordering::Relaxed);
        let now = if before == 0 {
            took
        } else {
            before - before / 8 + took / 8
        };
        self.0.store(now, Ordering::Relaxed);
    }

    fn get(&self) -> Duration {
        Duration::from_nanos(self.0.load(Ordering::Relaxed))
    }

    /// Returns how many bytes should be under way for a reader that goes through a file.
    pub(super) fn bytes_ahead(&self) -> u64 {
        u64::try_from(self.get().as_nanos() * u128::from(BYTES_PER_SECOND) / 1_000_000_000)
            .unwrap_or(u64::MAX)
    }

    /// Returns how many bytes of the stream one request should bring; `None` when frames are to be
    /// fetched one by one.
    pub(super) fn request_bytes(&self) -> Option<u64> {
        (self.get() >= FAR).then(|| (self.bytes_ahead() / REQUESTS).min(MAX_REQUEST_BYTES))
    }
}

#[cfg(test)]
mod tests {
    use super::StoreDelay;
    use std::time::Duration;

    #[test]
    fn the_slower_the_store_the_more_is_under_way() {
        let delay = StoreDelay::default();
        delay.note(Duration::from_micros(300));
        assert!(delay.bytes_ahead() < 512 << 10, "{}", delay.bytes_ahead());
        assert_eq!(delay.request_bytes(), None);
        (0..100).for_each(|_| delay.note(Duration::from_millis(20)));
        assert!(
            (28_000_000..=32_000_000).contains(&delay.bytes_ahead()),
            "{}",
            delay.bytes_ahead()
        );
        assert_eq!(delay.request_bytes(), Some(delay.bytes_ahead() / 4));
        (0..100).for_each(|_| delay.note(Duration::from_secs(1)));
        assert_eq!(delay.request_bytes(), Some(8 << 20));
    }
}
