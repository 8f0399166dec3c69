//! Counters of calls to a store.

use super::Operation;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counts calls by operation.
#[derive(Debug, Default)]
pub struct Calls {
    put: AtomicU64,
    get: AtomicU64,
    list: AtomicU64,
    delete: AtomicU64,
    join: AtomicU64,
}

impl Calls {
    /// Counts one more call and returns the count before it.
    pub(super) fn count(&self, verb: Operation) -> u64 {
        self.counter(verb)
            .map_or(0, |counter| counter.fetch_add(1, Ordering::SeqCst))
    }

    /// Returns the count of an operation. Every read is [`Operation::Get`]; opening is never
    /// counted.
    pub fn of(&self, verb: Operation) -> u64 {
        self.counter(verb)
            .map_or(0, |counter| counter.load(Ordering::SeqCst))
    }

    /// Returns the count of all operations together.
    pub fn all(&self) -> u64 {
        [
            Operation::Put,
            Operation::Get,
            Operation::List,
            Operation::Delete,
            Operation::Join,
        ]
        .into_iter()
        .map(|verb| self.of(verb))
        .sum()
    }

    fn counter(&self, verb: Operation) -> Option<&AtomicU64> {
        match verb {
            Operation::Open => None,
            Operation::Put => Some(&self.put),
            Operation::Get => Some(&self.get),
            Operation::List => Some(&self.list),
            Operation::Delete => Some(&self.delete),
            Operation::Join => Some(&self.join),
        }
    }
}
