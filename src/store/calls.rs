//! How often a store was called.

use super::Verb;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counts calls by what was attempted.
#[derive(Debug, Default)]
pub struct Calls {
    put: AtomicU64,
    get: AtomicU64,
    list: AtomicU64,
    delete: AtomicU64,
    join: AtomicU64,
}

impl Calls {
    /// Counts one more and returns how many there were before.
    pub(super) fn count(&self, verb: Verb) -> u64 {
        self.counter(verb)
            .map_or(0, |counter| counter.fetch_add(1, Ordering::SeqCst))
    }

    /// How many there were. A whole object and a part of one are both [`Verb::Get`]; opening is
    /// never counted.
    pub fn of(&self, verb: Verb) -> u64 {
        self.counter(verb)
            .map_or(0, |counter| counter.load(Ordering::SeqCst))
    }

    /// How many there were of every kind together.
    pub fn all(&self) -> u64 {
        [Verb::Put, Verb::Get, Verb::List, Verb::Delete, Verb::Join]
            .into_iter()
            .map(|verb| self.of(verb))
            .sum()
    }

    fn counter(&self, verb: Verb) -> Option<&AtomicU64> {
        match verb {
            Verb::Open => None,
            Verb::Put => Some(&self.put),
            Verb::Get => Some(&self.get),
            Verb::List => Some(&self.list),
            Verb::Delete => Some(&self.delete),
            Verb::Join => Some(&self.join),
        }
    }
}
