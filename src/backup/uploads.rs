//! Stores objects from several threads while the next ones are being made.

use super::BackupError;
use crate::format::segment::Pieces;
use crate::store::{ObjectName, Rope, Store};
use crossbeam_channel::{Receiver, Sender, bounded};
use std::collections::BTreeSet;
use std::error::Error;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

/// The threads' side: what is to be stored, and what came of it.
pub(super) struct Uploads {
    objects: Receiver<Upload>,
    /// What is stored goes back to them.
    pieces: Pieces,
    stored_bytes: AtomicU64,
    /// The first failure; what follows from it is not worth telling.
    failure: Mutex<Option<BackupError>>,
}

/// Hands objects over. Waits while all threads are busy, so that memory holds one object for each
/// of them and one that fills.
#[derive(Clone)]
pub(super) struct Uploader {
    objects: Sender<Upload>,
    pieces: Pieces,
    pending: Arc<Pending>,
}

/// An object on its way to the store.
struct Upload {
    name: ObjectName,
    body: Rope,
    /// It is one of these until it is stored.
    ticket: (Arc<Pending>, u64),
    /// These must be stored before.
    after: Vec<Receipt>,
    /// Of no use once it is stored.
    replaces: Option<ObjectName>,
}

/// The objects that one producer has handed over and that are not stored yet.
#[derive(Default)]
struct Pending {
    state: Mutex<PendingState>,
    changed: Condvar,
}

#[derive(Default)]
struct PendingState {
    next: u64,
    tickets: BTreeSet<u64>,
}

/// All that a producer had handed over at some moment.
#[derive(Clone)]
pub(super) struct Receipt {
    pending: Arc<Pending>,
    before: u64,
}

impl std::fmt::Debug for Receipt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Receipt")
            .field("before", &self.before)
            .finish_non_exhaustive()
    }
}

impl Pending {
    fn enter(self: &Arc<Self>) -> (Arc<Self>, u64) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let ticket = state.next;
        state.next += 1;
        state.tickets.insert(ticket);
        (Arc::clone(self), ticket)
    }

    fn leave(&self, ticket: u64) {
        self.state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .tickets
            .remove(&ticket);
        self.changed.notify_all();
    }
}

impl Receipt {
    /// Waits until all of it is stored, or has failed to be. Other threads have all of it in hand:
    /// a producer asks for a receipt when what it handed over has been taken.
    fn wait(&self) {
        let state = self
            .pending
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let is_under_way = |state: &mut PendingState| {
            state
                .tickets
                .first()
                .is_some_and(|first| *first < self.before)
        };
        drop(
            self.pending
                .changed
                .wait_while(state, is_under_way)
                .unwrap_or_else(PoisonError::into_inner),
        );
    }
}

impl Uploads {
    /// Both sides.
    pub(super) fn new() -> (Self, Uploader) {
        let (sender, objects) = bounded(0);
        let pieces = Pieces::default();
        let uploads = Self {
            objects,
            pieces: pieces.clone(),
            stored_bytes: AtomicU64::new(0),
            failure: Mutex::new(None),
        };
        (
            uploads,
            Uploader {
                objects: sender,
                pieces,
                pending: Arc::default(),
            },
        )
    }

    /// Stores what is handed over until nobody is left to do so, or a store call fails. Run by each
    /// thread.
    pub(super) fn serve(&self, store: &dyn Store) {
        while let Ok(upload) = self.objects.recv() {
            let (pending, ticket) = (Arc::clone(&upload.ticket.0), upload.ticket.1);
            self.put(store, upload);
            pending.leave(ticket);
        }
    }

    fn put(&self, store: &dyn Store, upload: Upload) {
        let Upload {
            name,
            body,
            after,
            replaces,
            ..
        } = upload;
        after.iter().for_each(Receipt::wait);
        if self.has_failed() {
            return; // take the rest away, so that nobody waits for a place in the queue
        }
        let length: u64 = body.iter().map(|piece| piece.len() as u64).sum();
        let done = store.put(&name, &body);
        self.pieces.give_back(body);
        match done {
            Ok(()) => {
                self.stored_bytes.fetch_add(length, Ordering::Relaxed);
                tracing::debug!(object = %name, stored_bytes = length, "stored");
                let removed = replaces.map_or(Ok(()), |older| store.delete(&older));
                removed.unwrap_or_else(|error| {
                    tracing::debug!(error = &error as &dyn Error, "an older checkpoint stays")
                });
            }
            Err(error) => self.fail(BackupError::Store(error)),
        }
    }

    /// Keeps the first failure of the run.
    pub(super) fn fail(&self, error: BackupError) {
        self.failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get_or_insert(error);
    }

    /// Whether the run has failed already.
    pub(super) fn has_failed(&self) -> bool {
        self.failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .is_some()
    }

    /// The outcome, when all threads have ended.
    pub(super) fn finish(self) -> Result<u64, BackupError> {
        match self
            .failure
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner)
        {
            None => Ok(self.stored_bytes.into_inner()),
            Some(error) => Err(error),
        }
    }
}

impl Uploader {
    /// One for another producer: its receipts are of what is handed over with it alone.
    pub(super) fn for_another(&self) -> Self {
        Self {
            objects: self.objects.clone(),
            pieces: self.pieces.clone(),
            pending: Arc::default(),
        }
    }

    /// What the bodies of objects are best made of: it gets them back when they are stored.
    pub(super) fn pieces(&self) -> Pieces {
        self.pieces.clone()
    }

    /// Hands an object over.
    ///
    /// # Errors
    ///
    /// [`BackupError::Stopped`] when the threads are gone; [`Uploads::finish`] tells why.
    pub(super) fn store(&self, name: ObjectName, body: Rope) -> Result<(), BackupError> {
        self.send(name, body, Vec::new(), None)
    }

    /// Hands an object over that must not be there before all that the receipts are of is. Once it
    /// is, `replaces` is removed if it may be.
    ///
    /// # Errors
    ///
    /// As [`store`](Self::store).
    pub(super) fn store_after(
        &self,
        after: Vec<Receipt>,
        name: ObjectName,
        body: Rope,
        replaces: Option<ObjectName>,
    ) -> Result<(), BackupError> {
        self.send(name, body, after, replaces)
    }

    /// What tells when all is stored that was handed over with this one and its clones.
    pub(super) fn receipt(&self) -> Receipt {
        let before = self
            .pending
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .next;
        Receipt {
            pending: Arc::clone(&self.pending),
            before,
        }
    }

    fn send(
        &self,
        name: ObjectName,
        body: Rope,
        after: Vec<Receipt>,
        replaces: Option<ObjectName>,
    ) -> Result<(), BackupError> {
        let ticket = self.pending.enter();
        self.objects
            .send(Upload {
                name,
                body,
                ticket,
                after,
                replaces,
            })
            .map_err(|_| BackupError::Stopped)
    }
}

#[cfg(test)]
mod tests {
    use super::Uploads;
    use crate::store::faulty::Faulty;
    use crate::store::memory::MemoryStore;
    use crate::store::{ObjectName, Operation, StoreExt};

    fn name(text: &str) -> ObjectName {
        ObjectName::new(text).expect("legal")
    }

    #[test]
    fn what_must_come_after_others_does_however_many_threads_there_are() {
        for threads in [1, 2, 5] {
            let (uploads, data) = Uploads::new();
            let index = data.for_another();
            let store = Faulty::new(MemoryStore::default());
            std::thread::scope(|scope| {
                // The first put of each thread stands still until another thread has looked what is
                // there.
                let gate = store.gate(Operation::Put);
                let (uploads, store) = (&uploads, &store);
                for _ in 0..threads {
                    scope.spawn(move || uploads.serve(store));
                }
                scope.spawn(move || {
                    for number in 0..4 {
                        index
                            .store(name(&format!("index-{number}")), vec![vec![1]])
                            .expect("taken");
                    }
                    let receipts = vec![index.receipt(), data.receipt()];
                    data.store_after(
                        receipts,
                        name("checkpoint"),
                        vec![vec![2]],
                        Some(name("index-0")),
                    )
                    .expect("taken");
                });
                gate.wait_for(1);
                assert!(
                    store.mended().get(&name("checkpoint"), 9).is_err(),
                    "it is there before what it names"
                );
                gate.open();
            });
            uploads.finish().expect("no fault");
            store.mended().get(&name("checkpoint"), 9).expect("stored");
            store
                .mended()
                .get(&name("index-0"), 9)
                .expect_err("replaced");
            store.mended().get(&name("index-3"), 9).expect("stored");
        }
    }

    #[test]
    fn after_a_failure_nothing_is_stored_that_names_what_is_not_there() {
        let (uploads, data) = Uploads::new();
        let store = Faulty::new(MemoryStore::default())
            .with(crate::store::faulty::Fault::at(Operation::Put, 0));
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| uploads.serve(&store));
            }
            data.store(name("segment"), vec![vec![1]]).expect("taken");
            data.store_after(
                vec![data.receipt()],
                name("checkpoint"),
                vec![vec![2]],
                None,
            )
            .expect("taken");
            drop(data);
        });
        uploads.finish().expect_err("the fault");
        store
            .mended()
            .get(&name("checkpoint"), 9)
            .expect_err("it would name what is not there");
    }
}
