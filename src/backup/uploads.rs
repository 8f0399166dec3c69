//! Stores objects on several threads while the next ones are being made.

use super::error::BackupError;
use crate::format::segment::Pieces;
use crate::store::{ObjectName, Rope, Store};
use crossbeam_channel::{Receiver, Sender, bounded};
use std::collections::BTreeSet;
use std::error::Error;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

/// The side of the upload threads: takes objects and keeps the outcome.
pub(super) struct Uploads {
    objects: Receiver<Upload>,
    /// Gets the pieces of stored objects back.
    pieces: Pieces,
    stored_bytes: AtomicU64,
    /// The first failure; those that follow from it are dropped.
    failure: Mutex<Option<BackupError>>,
}

/// Hands objects over. Waits while all threads are busy: memory then holds one object for each
/// thread, and one that fills.
#[derive(Clone)]
pub(super) struct Uploader {
    objects: Sender<Upload>,
    pieces: Pieces,
    in_flight: Arc<InFlight>,
}

/// What must happen before and after an object is stored.
#[derive(Debug, Default)]
pub(super) struct AfterOthers {
    /// The object must not be there before everything that these cover.
    pub(super) after: Vec<Receipt>,
    /// An object to remove once this one is stored, where objects may be removed.
    pub(super) replaces: Option<ObjectName>,
}

/// An object on its way to the store.
struct Upload {
    name: ObjectName,
    body: Rope,
    ticket: Ticket,
    order: AfterOthers,
}

/// Marks an object as under way.
struct Ticket {
    in_flight: Arc<InFlight>,
    number: u64,
}

/// The objects that one producer has handed over and that are not stored yet.
#[derive(Default)]
struct InFlight {
    /// Guards the open tickets.
    tickets: Mutex<Tickets>,
    changed: Condvar,
}

#[derive(Default)]
struct Tickets {
    next: u64,
    open: BTreeSet<u64>,
}

/// Everything that a producer had handed over at some moment.
#[derive(Clone)]
pub(super) struct Receipt {
    in_flight: Arc<InFlight>,
    before: u64,
}

impl std::fmt::Debug for Receipt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Receipt")
            .field("before", &self.before)
            .finish_non_exhaustive()
    }
}

impl InFlight {
    fn lock(&self) -> std::sync::MutexGuard<'_, Tickets> {
        self.tickets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(self: &Arc<Self>) -> Ticket {
        let mut tickets = self.lock();
        let number = tickets.next;
        tickets.next += 1;
        tickets.open.insert(number);
        Ticket {
            in_flight: Arc::clone(self),
            number,
        }
    }
}

impl Ticket {
    /// Tells all waiting threads that the object is stored, or that it will not be.
    fn close(self) {
        self.in_flight.lock().open.remove(&self.number);
        self.in_flight.changed.notify_all();
    }
}

impl Receipt {
    /// Waits until all of it is stored or has failed.
    ///
    /// This ends: a producer goes on only once a thread has taken its object, so other threads hold
    /// everything that the receipt covers.
    fn wait(&self) {
        let tickets = self.in_flight.lock();
        let is_under_way = |tickets: &mut Tickets| {
            tickets
                .open
                .first()
                .is_some_and(|first| *first < self.before)
        };
        drop(
            self.in_flight
                .changed
                .wait_while(tickets, is_under_way)
                .unwrap_or_else(PoisonError::into_inner),
        );
    }
}

impl Uploads {
    /// Makes both sides.
    pub(super) fn new() -> (Self, Uploader) {
        let (sender, objects) = bounded(0);
        let pieces = Pieces::default();
        let uploads = Self {
            objects,
            pieces: pieces.clone(),
            stored_bytes: AtomicU64::new(0),
            failure: Mutex::new(None),
        };
        let uploader = Uploader {
            objects: sender,
            pieces,
            in_flight: Arc::default(),
        };
        (uploads, uploader)
    }

    /// Stores objects until no uploader is left. After a failure it only takes them away. Each
    /// upload thread runs this.
    pub(super) fn serve(&self, store: &dyn Store) {
        while let Ok(upload) = self.objects.recv() {
            upload.order.after.iter().for_each(Receipt::wait);
            // After a failure objects are still taken, so that no producer waits for ever.
            if !self.has_failed() {
                self.put(store, &upload.name, upload.body, upload.order.replaces);
            }
            upload.ticket.close();
        }
    }

    fn put(&self, store: &dyn Store, name: &ObjectName, body: Rope, replaces: Option<ObjectName>) {
        let length: u64 = body.iter().map(|piece| piece.len() as u64).sum();
        let done = store.put(name, &body);
        self.pieces.give_back(body);
        match done {
            Ok(()) => {
                self.stored_bytes.fetch_add(length, Ordering::Relaxed);
                tracing::debug!(object = %name, stored_bytes = length, "stored");
                let removed = replaces.map_or(Ok(()), |older| store.delete(&older));
                removed.unwrap_or_else(|error| {
                    tracing::debug!(
                        error = &error as &dyn Error,
                        "could not remove an older checkpoint"
                    )
                });
            }
            Err(error) => self.fail(BackupError::Store(error)),
        }
    }

    /// Records a failure, unless there was one before.
    pub(super) fn fail(&self, error: BackupError) {
        self.failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get_or_insert(error);
    }

    /// Returns whether a stage of the run has failed.
    pub(super) fn has_failed(&self) -> bool {
        self.failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .is_some()
    }

    /// Returns how many bytes were stored, once all threads have ended.
    ///
    /// # Errors
    ///
    /// The first failure of the run.
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
    /// Returns an uploader for another producer: each one's receipts cover only its own objects.
    /// Clones of an uploader share them.
    pub(super) fn for_another(&self) -> Self {
        Self {
            objects: self.objects.clone(),
            pieces: self.pieces.clone(),
            in_flight: Arc::default(),
        }
    }

    /// Returns the pool that the bodies of objects are made from, and go back to when stored.
    pub(super) fn pieces(&self) -> Pieces {
        self.pieces.clone()
    }

    /// Hands an object over.
    ///
    /// # Errors
    ///
    /// [`BackupError::Stopped`] when the threads are gone; [`Uploads::finish`] says why.
    pub(super) fn store(&self, name: ObjectName, body: Rope) -> Result<(), BackupError> {
        self.store_after(AfterOthers::default(), name, body)
    }

    /// Hands an object over that depends on others.
    ///
    /// # Errors
    ///
    /// As [`store`](Self::store).
    pub(super) fn store_after(
        &self,
        order: AfterOthers,
        name: ObjectName,
        body: Rope,
    ) -> Result<(), BackupError> {
        let ticket = self.in_flight.enter();
        self.objects
            .send(Upload {
                name,
                body,
                ticket,
                order,
            })
            .map_err(|_| BackupError::Stopped)
    }

    /// Returns a receipt for everything that this uploader and its clones have handed over.
    pub(super) fn receipt(&self) -> Receipt {
        Receipt {
            in_flight: Arc::clone(&self.in_flight),
            before: self.in_flight.lock().next,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{AfterOthers, Uploads};
    use crate::store::faulty::Faulty;
    use crate::store::memory::MemoryStore;
    use crate::store::{ObjectName, Operation, StoreExt};

    fn name(text: &str) -> ObjectName {
        ObjectName::new(text).expect("legal")
    }

    #[test]
    fn an_object_waits_for_those_it_names_with_any_number_of_threads() {
        for threads in [1, 2, 5] {
            let (uploads, data) = Uploads::new();
            let index = data.for_another();
            let store = Faulty::new(MemoryStore::default());
            std::thread::scope(|scope| {
                // The first put of each thread waits until this thread has looked at the store.
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
                    let order = AfterOthers {
                        after: receipts,
                        replaces: Some(name("index-0")),
                    };
                    data.store_after(order, name("checkpoint"), vec![vec![2]])
                        .expect("taken");
                });
                gate.wait_for(1);
                assert!(
                    store.mended().get(&name("checkpoint"), 9).is_err(),
                    "the checkpoint is stored before an object that it names"
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
    fn after_a_failure_no_object_is_stored_that_names_a_missing_one() {
        let (uploads, data) = Uploads::new();
        let store = Faulty::new(MemoryStore::default())
            .with(crate::store::faulty::Fault::at(Operation::Put, 0));
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| uploads.serve(&store));
            }
            data.store(name("segment"), vec![vec![1]]).expect("taken");
            let order = AfterOthers {
                after: vec![data.receipt()],
                replaces: None,
            };
            data.store_after(order, name("checkpoint"), vec![vec![2]])
                .expect("taken");
            drop(data);
        });
        uploads.finish().expect_err("the fault");
        store
            .mended()
            .get(&name("checkpoint"), 9)
            .expect_err("the checkpoint would name a missing segment");
    }
}
