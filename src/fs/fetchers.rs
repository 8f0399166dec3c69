//! The threads that alone call the store.

use super::ReadError;
use super::deadline::left_of;
use super::pool::{ThreadPool, Urgency};
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// A pool of fetching threads, and how long one fetch may take. Cheap to clone.
#[derive(Clone)]
pub(super) struct Fetchers {
    pool: Arc<ThreadPool>,
    /// How long a caller waits for one fetch before it is told that the fetch failed.
    patience: Duration,
}

impl Fetchers {
    /// Starts the threads.
    ///
    /// # Errors
    ///
    /// When the system gives no threads.
    pub(super) fn new(options: &super::ReadOptions) -> io::Result<Self> {
        Ok(Self {
            pool: Arc::new(ThreadPool::new("freezer-fetch", options.fetch_threads)?),
            patience: options.patience,
        })
    }

    /// Returns the threads.
    pub(super) fn pool(&self) -> &Arc<ThreadPool> {
        &self.pool
    }

    /// Returns how long the calling thread may wait for one fetch.
    pub(super) fn time_left(&self) -> Duration {
        left_of(self.patience)
    }

    /// Runs `work` on a fetching thread, which may hang in a dead store, and waits for it as long
    /// as patience allows.
    ///
    /// `work` must not wait for these threads itself.
    pub(super) fn attempt<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, ReadError> + Send + 'static,
    ) -> Result<T, ReadError> {
        let (sender, receiver) = crossbeam_channel::bounded(1);
        self.pool.submit(Urgency::Wanted, move || {
            // The caller may have given up.
            sender.send(work()).ok();
        });
        receiver
            .recv_timeout(self.time_left())
            .unwrap_or_else(|error| {
                Err(if error.is_timeout() {
                    ReadError::Deadline
                } else {
                    ReadError::Panicked
                })
            })
    }
}
