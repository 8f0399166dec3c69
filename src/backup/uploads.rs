//! Stores objects from several threads while the next ones are being made.

use super::BackupError;
use crate::store::{ObjectName, Rope, Store};
use crossbeam_channel::{Receiver, Sender, bounded};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// The threads' side: what is to be stored, and what came of it.
pub(super) struct Uploads {
    objects: Receiver<(ObjectName, Rope)>,
    stored_bytes: AtomicU64,
    /// The first failure; what follows from it is not worth telling.
    failure: Mutex<Option<BackupError>>,
}

/// Hands objects over. Waits while all threads are busy, so that memory holds one object for each of them and one that
/// fills.
#[derive(Clone)]
pub(super) struct Uploader(Sender<(ObjectName, Rope)>);

impl Uploads {
    /// Both sides.
    pub(super) fn new() -> (Self, Uploader) {
        let (sender, objects) = bounded(0);
        (Self { objects, stored_bytes: AtomicU64::new(0), failure: Mutex::new(None) }, Uploader(sender))
    }

    /// Stores what is handed over until nobody is left to do so, or a store call fails. Run by each thread.
    pub(super) fn serve(&self, store: &dyn Store) {
        while let Ok((name, body)) = self.objects.recv() {
            let length: u64 = body.iter().map(|piece| piece.len() as u64).sum();
            if self.has_failed() {
                continue; // take the rest away, so that nobody waits for a place in the queue
            }
            match store.put(&name, &body) {
                Ok(()) => {
                    self.stored_bytes.fetch_add(length, Ordering::Relaxed);
                    tracing::debug!(object = %name, stored_bytes = length, "stored");
                }
                Err(error) => self.fail(BackupError::Store(error)),
            }
        }
    }

    /// Keeps the first failure of the run.
    pub(super) fn fail(&self, error: BackupError) {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
    }

    /// Whether the run has failed already.
    pub(super) fn has_failed(&self) -> bool {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// The outcome, when all threads have ended.
    pub(super) fn finish(self) -> Result<u64, BackupError> {
        match self.failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
            None => Ok(self.stored_bytes.into_inner()),
            Some(error) => Err(error),
        }
    }
}

impl Uploader {
    /// Hands an object over.
    ///
    /// # Errors
    ///
    /// [`BackupError::Stopped`] when the threads are gone; [`Uploads::finish`] tells why.
    pub(super) fn store(&self, name: ObjectName, body: Rope) -> Result<(), BackupError> {
        self.0.send((name, body)).map_err(|_| BackupError::Stopped)
    }
}
