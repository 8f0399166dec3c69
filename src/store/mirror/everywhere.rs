//! A call that goes to all places at once.

use super::place::{MirrorPlace, Straggling, WaitLimits};
use crate::store::error::about;
use crate::store::{Error, ErrorKind, ObjectName, Operation, Store};
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

/// The result of one place, with its number.
type Arrival<T> = (usize, Result<T, Error>);

/// A place that has not done the call, and since when the others wait for it.
type Pending<'call> = (&'call MirrorPlace, Option<Straggling<'call>>);

/// One call, under way in all places that take part.
pub(super) struct Everywhere<'call, T> {
    verb: Operation,
    object: Option<&'call ObjectName>,
    limits: WaitLimits,
    pending: BTreeMap<usize, Pending<'call>>,
    arrivals: Receiver<Arrival<T>>,
    /// The moment at which the first place was done.
    first_done: Option<Instant>,
}

/// What happened while the mirror waited.
pub(super) enum MirrorStep<'call, T> {
    /// One place has done it.
    Done(T),
    /// These places failed, or are waited for no longer.
    Left(Vec<(&'call MirrorPlace, Error)>),
}

impl<'call, T: Send + 'static> Everywhere<'call, T> {
    /// Starts the call on a thread for each place. A place that is given up goes on by itself, and
    /// its result is ignored.
    pub(super) fn start(
        verb: Operation,
        object: Option<&'call ObjectName>,
        limits: WaitLimits,
        places: Vec<&'call MirrorPlace>,
        work: impl Fn(&dyn Store) -> Result<T, Error> + Send + Sync + 'static,
    ) -> Result<Self, Error> {
        let work = Arc::new(work);
        let (arrived, arrivals) = channel();
        for (number, place) in places.iter().enumerate() {
            let (work, store) = (Arc::clone(&work), Arc::clone(&place.store));
            let arrived = arrived.clone();
            spawn(move || drop(arrived.send((number, work(store.as_ref())))))
                .map_err(|error| about(ErrorKind::Failed, verb, object).because(error))?;
        }
        Ok(Self {
            verb,
            object,
            limits,
            pending: places
                .into_iter()
                .map(|place| (place, None))
                .enumerate()
                .collect(),
            arrivals,
            first_done: None,
        })
    }

    /// Waits until something happens; `None` when no place is left to wait for.
    pub(super) fn step(&mut self) -> Option<MirrorStep<'call, T>> {
        if self.pending.is_empty() {
            return None;
        }
        let (late, longest) = self.overdue();
        if !late.is_empty() {
            return Some(MirrorStep::Left(late));
        }
        let arrival = match longest {
            None => self
                .arrivals
                .recv()
                .map_err(|_| RecvTimeoutError::Disconnected),
            Some(longest) => self.arrivals.recv_timeout(longest),
        };
        Some(match arrival {
            Ok((number, Ok(value))) => {
                self.note_done(number);
                MirrorStep::Done(value)
            }
            Ok((number, Err(error))) => {
                let failed = self.pending.remove(&number);
                MirrorStep::Left(
                    failed
                        .map(|(place, _)| (place, error))
                        .into_iter()
                        .collect(),
                )
            }
            // The next step finds the places whose time is up.
            Err(RecvTimeoutError::Timeout) => MirrorStep::Left(Vec::new()),
            Err(RecvTimeoutError::Disconnected) => MirrorStep::Left(self.all_ended()),
        })
    }

    /// Takes out the places that are waited for no longer. Returns them, and how long the others
    /// may still take, once one has done it.
    fn overdue(&mut self) -> (Vec<(&'call MirrorPlace, Error)>, Option<Duration>) {
        let Some(first_done) = self.first_done else {
            return (Vec::new(), None);
        };
        let (mut late, mut longest) = (Vec::new(), Duration::MAX);
        let (verb, object, limits) = (self.verb, self.object, self.limits);
        self.pending.retain(
            |_, (place, _)| match place.wait_for(first_done.elapsed(), limits) {
                Ok(longer) => {
                    longest = longest.min(longer);
                    true
                }
                Err(too_slow) => {
                    let error = about(ErrorKind::Unavailable, verb, object).because(too_slow);
                    late.push((*place, error));
                    false
                }
            },
        );
        (late, Some(longest))
    }

    fn note_done(&mut self, number: usize) {
        self.pending.remove(&number);
        self.first_done
            .get_or_insert_with(crate::platform::monotonic);
        for (place, straggling) in self.pending.values_mut() {
            straggling.get_or_insert_with(|| Straggling::new(place));
        }
    }

    fn all_ended(&mut self) -> Vec<(&'call MirrorPlace, Error)> {
        let ended = || about(ErrorKind::Failed, self.verb, self.object).because("its thread ended");
        let pending = std::mem::take(&mut self.pending);
        pending
            .into_values()
            .map(|(place, _)| (place, ended()))
            .collect()
    }
}

/// Starts a thread that is not joined.
pub(super) fn spawn(work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    thread::Builder::new()
        .name("freezer-mirror".to_owned())
        .spawn(work)
        .map(drop)
}
