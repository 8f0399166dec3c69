//! Threads that share a queue of work, and the first error that any of them met.

use crossbeam_channel::bounded;
use std::sync::{Mutex, PoisonError};
use std::thread;

/// Keeps the first error of several threads.
pub(super) struct FirstError<E>(Mutex<Option<E>>);

impl<E> FirstError<E> {
    pub(super) fn new() -> Self {
        Self(Mutex::new(None))
    }

    /// Keeps the error of a result, if it is the first.
    pub(super) fn note(&self, result: Result<(), E>) {
        if let Err(error) = result {
            self.0
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .get_or_insert(error);
        }
    }

    /// Returns whether there was an error.
    pub(super) fn is_there(&self) -> bool {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .is_some()
    }

    /// Returns the first error, if there was one.
    pub(super) fn into_result(self) -> Result<(), E> {
        match self.0.into_inner().unwrap_or_else(PoisonError::into_inner) {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }
}

/// Does `work` for each item that `feed` hands out, in `threads` threads. Returns when all of it
/// is done.
///
/// At most `waiting` items wait for a thread; handing out another one blocks until a thread takes
/// one. Handing out returns whether the threads still take items.
pub(super) fn share_out<T: Send>(
    threads: usize,
    waiting: usize,
    work: impl Fn(T) + Sync,
    feed: impl FnOnce(&dyn Fn(T) -> bool),
) {
    let (sender, items) = bounded::<T>(waiting);
    thread::scope(|scope| {
        for _ in 0..threads {
            let (items, work) = (items.clone(), &work);
            scope.spawn(move || items.into_iter().for_each(work));
        }
        drop(items);
        // The threads live as long as this sender.
        feed(&|item| sender.send(item).is_ok());
        drop(sender);
    });
}

#[cfg(test)]
mod tests {
    use super::{FirstError, share_out};
    use std::sync::atomic::{AtomicU64, Ordering};

    #[test]
    fn every_item_is_worked_on_once_and_the_first_error_is_kept() {
        let (sum, errors) = (AtomicU64::new(0), FirstError::new());
        share_out(
            3,
            0,
            |item: u64| {
                sum.fetch_add(item, Ordering::Relaxed);
                errors.note(if item == 7 { Err(item) } else { Ok(()) });
            },
            |hand_out| (1..=10).for_each(|item| assert!(hand_out(item))),
        );
        assert_eq!(sum.into_inner(), 55);
        assert!(errors.is_there());
        errors.note(Err(8));
        assert_eq!(errors.into_result(), Err(7));
    }
}
