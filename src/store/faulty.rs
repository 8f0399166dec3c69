//! A wrapper that fails or waits where a test tells it to.

use super::{
    Calls, CreateOnce, Error, ErrorKind, Join, ObjectInfo, ObjectName, Operation, Powers,
    PutUnlessThere, Rope, Selection, Store,
};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

/// One failure of a [`Faulty`] store: at which call, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    verb: Option<Operation>,
    number: u64,
    kind: ErrorKind,
    effect: Effect,
    lasting: FaultLasts,
}

/// Whether the failing call does its work in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Effect {
    Missing,
    Done,
}

/// Whether one call fails or all that follow too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FaultLasts {
    Once,
    ForGood,
}

impl Fault {
    /// The call of that kind with that number, counted from 0, fails once with
    /// [`ErrorKind::Unavailable`] and has no effect.
    pub fn at(verb: Operation, number: u64) -> Self {
        Self {
            verb: Some(verb),
            number,
            kind: ErrorKind::Unavailable,
            effect: Effect::Missing,
            lasting: FaultLasts::Once,
        }
    }

    /// As [`at`](Self::at), counting calls of every kind.
    pub fn at_any(number: u64) -> Self {
        Self {
            verb: None,
            ..Self::at(Operation::Put, number)
        }
    }

    /// The caller is told of another kind of failure.
    #[must_use]
    pub fn with_kind(self, kind: ErrorKind) -> Self {
        Self { kind, ..self }
    }

    /// The call has its effect in the store, yet the caller is told that it failed: an answer was
    /// lost.
    #[must_use]
    pub fn after_effect(self) -> Self {
        Self {
            effect: Effect::Done,
            ..self
        }
    }

    /// Every call after this one fails too and has no effect: the caller was cut off.
    #[must_use]
    pub fn for_good(self) -> Self {
        Self {
            lasting: FaultLasts::ForGood,
            ..self
        }
    }
}

/// A store in front of another that behaves just like it but for the faults and gates it was given.
pub struct Faulty<S> {
    inner: Arc<S>,
    faults: Vec<Fault>,
    calls: Calls,
    /// Counts the calls of every kind together and serialises the numbering.
    numbering: Mutex<u64>,
    struck: Calls,
    cut: AtomicBool,
    gates: Mutex<Vec<(Operation, Arc<Latch>)>>,
}

impl<S: Store> Faulty<S> {
    /// Wraps a store without any fault: only counts its calls.
    pub fn new(inner: S) -> Self {
        Self {
            inner: Arc::new(inner),
            faults: Vec::new(),
            calls: Calls::default(),
            numbering: Mutex::new(0),
            struck: Calls::default(),
            cut: AtomicBool::new(false),
            gates: Mutex::new(Vec::new()),
        }
    }

    /// Adds a fault.
    #[must_use]
    pub fn with(mut self, fault: Fault) -> Self {
        self.faults.push(fault);
        self
    }

    /// Fails at the put with that number, counted from 0, and at every call after it.
    pub fn cut_at_put(inner: S, number: u64) -> Self {
        Self::new(inner).with(Fault::at(Operation::Put, number).for_good())
    }

    /// Fails at the call with that number, whatever it is, and at every call after it.
    pub fn cut_at(inner: S, number: u64) -> Self {
        Self::new(inner).with(Fault::at_any(number).for_good())
    }

    /// Returns the store behind it, without faults.
    pub fn mended(&self) -> Arc<S> {
        Arc::clone(&self.inner)
    }

    /// Returns the counts of calls, failed ones included.
    pub fn calls(&self) -> &Calls {
        &self.calls
    }

    /// Returns whether any fault has struck yet.
    pub fn has_struck(&self) -> bool {
        self.struck.all() > 0
    }

    /// Returns whether all failed calls were of that operation.
    pub fn has_struck_nothing_but(&self, verb: Operation) -> bool {
        self.struck.all() == self.struck.of(verb)
    }

    /// Closes a gate: calls of that kind wait before they do anything, until it is opened.
    pub fn gate(&self, verb: Operation) -> Gate {
        let latch = Arc::new(Latch::default());
        self.gates().push((verb, Arc::clone(&latch)));
        Gate { latch }
    }

    fn gates(&self) -> MutexGuard<'_, Vec<(Operation, Arc<Latch>)>> {
        self.gates.lock().expect("nothing panics while it is held")
    }

    /// Numbers the call, waits at gates, and fails the call if a fault is due.
    fn call<T>(
        &self,
        verb: Operation,
        name: Option<&ObjectName>,
        work: impl FnOnce(&S) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let due = self.due(verb);
        let latches: Vec<_> = self
            .gates()
            .iter()
            .filter(|(of, _)| *of == verb)
            .map(|(_, latch)| Arc::clone(latch))
            .collect();
        latches.iter().for_each(|latch| latch.pass());
        let Some((kind, effect)) = due else {
            return work(&self.inner);
        };
        self.struck.count(verb);
        if effect == Effect::Done {
            work(&self.inner)?;
        }
        let error = name.map_or_else(
            || Error::of_store(kind, verb),
            |name| Error::new(kind, verb, name),
        );
        Err(error.because("a fault that the test asked for"))
    }

    fn due(&self, verb: Operation) -> Option<(ErrorKind, Effect)> {
        let mut calls_before = self
            .numbering
            .lock()
            .expect("nothing panics while it is held");
        let (any, of_verb) = (*calls_before, self.calls.count(verb));
        *calls_before += 1;
        if self.cut.load(Ordering::SeqCst) {
            return Some((ErrorKind::Unavailable, Effect::Missing));
        }
        let fault = self.faults.iter().find(|fault| match fault.verb {
            Some(of) => of == verb && fault.number == of_verb,
            None => fault.number == any,
        })?;
        if fault.lasting == FaultLasts::ForGood {
            self.cut.store(true, Ordering::SeqCst);
        }
        Some((fault.kind, fault.effect))
    }
}

impl<S: Store> Store for Faulty<S> {
    fn put(&self, name: &ObjectName, body: &Rope) -> Result<(), Error> {
        self.call(Operation::Put, Some(name), |inner| inner.put(name, body))
    }

    fn read(
        &self,
        name: &ObjectName,
        wanted: Selection<'_>,
        take: &mut dyn FnMut(Vec<u8>) -> bool,
    ) -> Result<(), Error> {
        self.call(Operation::Get, Some(name), |inner| {
            inner.read(name, wanted, take)
        })
    }

    fn list(&self, prefix: &str, found: &mut dyn FnMut(ObjectInfo) -> bool) -> Result<(), Error> {
        self.call(Operation::List, None, |inner| inner.list(prefix, found))
    }

    fn delete(&self, name: &ObjectName) -> Result<(), Error> {
        self.call(Operation::Delete, Some(name), |inner| inner.delete(name))
    }

    fn location(&self) -> String {
        self.inner.location()
    }

    fn powers(&self) -> Powers<'_> {
        let inner = self.inner.powers();
        Powers {
            create_once: inner.create_once.map(|create_once| -> CreateOnce<'_> {
                Box::new(move |name, body| {
                    self.call(Operation::Put, Some(name), |_| create_once(name, body))
                })
            }),
            put_unless_there: inner.put_unless_there.map(|put| -> PutUnlessThere<'_> {
                Box::new(move |name, body| {
                    self.call(Operation::Put, Some(name), |_| put(name, body))
                })
            }),
            // Neither counted nor failed, as no run depends on it.
            held_until: inner.held_until,
            join: inner.join.map(|join| -> Join<'_> {
                Box::new(move |whole, parts, count| {
                    self.call(Operation::Join, Some(whole), |_| join(whole, parts, count))
                })
            }),
            lean_on: inner.lean_on,
        }
    }
}

/// Holds calls of a [`Faulty`] store back until it is opened or dropped.
pub struct Gate {
    latch: Arc<Latch>,
}

impl Gate {
    /// Waits until that many calls stand at the gate.
    pub fn wait_for(&self, calls: usize) {
        let state = self.latch.state();
        drop(
            self.latch
                .changed
                .wait_while(state, |state| state.arrived < calls)
                .expect("nothing panics while it is held"),
        );
    }

    /// Lets all calls through, those to come as well.
    pub fn open(self) {
        drop(self);
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.latch.state().open = true;
        self.latch.changed.notify_all();
    }
}

/// The state that a gate shares with the calls that wait at it.
#[derive(Default)]
struct Latch {
    state: Mutex<LatchState>,
    changed: Condvar,
}

#[derive(Default)]
struct LatchState {
    open: bool,
    arrived: usize,
}

impl Latch {
    fn state(&self) -> MutexGuard<'_, LatchState> {
        self.state.lock().expect("nothing panics while it is held")
    }

    fn pass(&self) {
        let mut state = self.state();
        state.arrived += 1;
        self.changed.notify_all();
        drop(
            self.changed
                .wait_while(state, |state| !state.open)
                .expect("nothing panics while it is held"),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::{Fault, Faulty};
    use crate::store::memory::MemoryStore;
    use crate::store::{ErrorKind, ObjectName, Operation, Store, StoreExt};

    fn name(text: &str) -> ObjectName {
        ObjectName::new(text).expect("legal")
    }

    #[test]
    fn a_cut_store_stays_cut_and_keeps_what_it_had() {
        let store = Faulty::cut_at_put(MemoryStore::default(), 1);
        store.put(&name("a"), &vec![]).expect("before the cut");
        store.put(&name("b"), &vec![]).expect_err("the cut");
        store.get(&name("a"), 9).expect_err("after the cut");
        assert!(store.has_struck());
        assert_eq!(
            (store.calls().of(Operation::Put), store.calls().all()),
            (2, 3)
        );
        store
            .mended()
            .get(&name("a"), 9)
            .expect("what was stored stays");
        assert_eq!(
            store
                .mended()
                .get(&name("b"), 9)
                .expect_err("never stored")
                .kind(),
            ErrorKind::Missing
        );
    }

    #[test]
    fn a_lost_answer_is_a_failure_with_effect_and_only_once() {
        let store = Faulty::new(MemoryStore::default()).with(
            Fault::at(Operation::Put, 0)
                .after_effect()
                .with_kind(ErrorKind::Full),
        );
        assert_eq!(
            store
                .put(&name("a"), &vec![b"x".to_vec()])
                .expect_err("told so")
                .kind(),
            ErrorKind::Full
        );
        assert_eq!(store.get(&name("a"), 9).expect("it is there"), b"x");
        store.put(&name("b"), &vec![]).expect("only once");
    }

    #[test]
    fn a_gate_holds_calls_of_its_kind_until_it_opens() {
        let store = Faulty::new(MemoryStore::default());
        store.put(&name("a"), &vec![]).expect("no fault");
        let gate = store.gate(Operation::Get);
        std::thread::scope(|scope| {
            let readers = [
                scope.spawn(|| store.get(&name("a"), 9)),
                scope.spawn(|| store.get(&name("a"), 9)),
            ];
            gate.wait_for(2);
            store
                .put(&name("b"), &vec![])
                .expect("another kind is not held");
            assert_eq!(store.mended().calls().of(Operation::Get), 0);
            gate.open();
            readers
                .into_iter()
                .for_each(|reader| drop(reader.join().expect("no panic").expect("no fault")));
        });
    }
}
