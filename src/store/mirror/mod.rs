//! Several places as one store: everything is stored in each of them, and any of them can be read.
//!
//! A call that changes something goes to all places at once (`everywhere`) and returns when every
//! place that still takes part has done it. A place that fails, or that lets the others wait for
//! longer than its [`WaitLimits`], takes no further part, and [`Mirror::outcomes`] says why. So
//! whatever is stored in a place, all that was stored before it is there too: a manifest that
//! arrives is complete. What a place has missed, a sync brings.
//!
//! A listing shows what any place has; a read asks the places one after the other (`anywhere`).

mod anywhere;
mod everywhere;
mod listing;
mod place;
#[cfg(test)]
mod tests;

pub use place::WaitLimits;

use super::error::about;
use super::selection::LeftToRead;
use super::{
    Error, ErrorKind, HeldUntil, Join, ObjectInfo, ObjectName, Operation, Powers, Rope, Selection,
    Store, StoreExt, check_prefix,
};
use everywhere::{Everywhere, MirrorStep};
use jiff::Timestamp;
use listing::PlaceNames;
use place::MirrorPlace;
use std::sync::Arc;

/// How many names of each place a listing holds in memory.
const MOST_NAMES: usize = 500_000;

/// How a call ends when one of several places fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFailure {
    /// The others go on while there is one.
    Continue,
    /// The call fails.
    Abort,
}

/// Several places that hold the same.
pub struct Mirror {
    places: Vec<MirrorPlace>,
    on_failure: OnFailure,
    limits: WaitLimits,
}

/// How a place ended.
#[derive(Clone, Debug)]
pub struct PlaceOutcome {
    /// The store there, as people write it.
    pub location: String,
    /// Why it takes no further part; `None` when everything arrived there.
    pub failure: Option<Arc<Error>>,
}

/// A place does not have what the next objects need.
#[derive(Debug, thiserror::Error)]
#[error("it lacks earlier points in time that this one needs; `freezer sync` brings them")]
pub struct Behind;

/// The error of a place, for the caller of the mirror.
#[derive(Debug, thiserror::Error)]
#[error("{location} failed")]
struct OfPlace {
    location: String,
    source: Arc<Error>,
}

impl Mirror {
    /// Makes several places one store. A place may let the others wait as long as `limits` say.
    pub fn new(stores: Vec<Arc<dyn Store>>, on_failure: OnFailure, limits: WaitLimits) -> Self {
        Self {
            places: stores.into_iter().map(MirrorPlace::new).collect(),
            on_failure,
            limits,
        }
    }

    /// Returns how each place ended, in the order in which they were given.
    pub fn outcomes(&self) -> Vec<PlaceOutcome> {
        let outcome = |place: &MirrorPlace| PlaceOutcome {
            location: place.store.location(),
            failure: place.failure(),
        };
        self.places.iter().map(outcome).collect()
    }

    fn taking_part(&self) -> Vec<&MirrorPlace> {
        self.places
            .iter()
            .filter(|place| place.failure().is_none())
            .collect()
    }

    /// Takes a place out. Fails when the whole call has to.
    fn give_up(
        &self,
        place: &MirrorPlace,
        verb: Operation,
        object: Option<&ObjectName>,
        error: Error,
    ) -> Result<(), Error> {
        let error = Arc::new(error);
        place.leave(Arc::clone(&error));
        match self.on_failure {
            OnFailure::Continue => Ok(()),
            OnFailure::Abort => Err(Self::failed(verb, object, place, error)),
        }
    }

    /// Makes the error for a call that failed because of a place.
    fn failed(
        verb: Operation,
        object: Option<&ObjectName>,
        place: &MirrorPlace,
        why: Arc<Error>,
    ) -> Error {
        let error = about(why.kind(), verb, object).not_before(why.retry_after());
        error.because(OfPlace {
            location: place.store.location(),
            source: why,
        })
    }

    fn nobody_left(&self, verb: Operation, object: Option<&ObjectName>) -> Error {
        let first = self
            .places
            .iter()
            .find_map(|place| Some((place, place.failure()?)));
        match first {
            Some((place, why)) => Self::failed(verb, object, place, why),
            None => about(ErrorKind::Failed, verb, object).because("there is no store"),
        }
    }

    /// Runs the work in every place that takes part. Returns the results of those that have done
    /// it.
    fn everywhere<T: Send + 'static>(
        &self,
        verb: Operation,
        object: Option<&ObjectName>,
        work: impl Fn(&dyn Store) -> Result<T, Error> + Send + Sync + 'static,
    ) -> Result<Vec<T>, Error> {
        let places = self.taking_part();
        let mut call = Everywhere::start(verb, object, self.limits, places, work)?;
        let mut values = Vec::new();
        while let Some(step) = call.step() {
            match step {
                MirrorStep::Done(value) => values.push(value),
                MirrorStep::Left(left) => left
                    .into_iter()
                    .try_for_each(|(place, error)| self.give_up(place, verb, object, error))?,
            }
        }
        if values.is_empty() {
            Err(self.nobody_left(verb, object))
        } else {
            Ok(values)
        }
    }

    /// Lists what any place has, and holds at most `most` names of each.
    fn list_holding(
        &self,
        most: usize,
        prefix: &str,
        found: &mut dyn FnMut(ObjectInfo) -> bool,
    ) -> Result<(), Error> {
        let mut next = |after: Option<ObjectName>| {
            let below = prefix.to_owned();
            self.everywhere(Operation::List, None, move |store| {
                PlaceNames::read(store, &below, after.as_ref(), most)
            })
        };
        listing::merge(&mut next, found)
    }

    /// Joins where the places can. Nothing leans on it, so a place that cannot do it stays.
    fn join(&self, whole: &ObjectName, parts: &str, count: u64) -> Result<(), Error> {
        let mut outcome = Ok(());
        for place in self.taking_part() {
            if let Some(join) = place.store.powers().join {
                outcome = outcome.and(join(whole, parts, count));
            }
        }
        outcome
    }

    /// Takes out the places that do not have an object.
    fn lean_on(&self, object: &ObjectName) -> Result<(), Error> {
        for place in self.taking_part() {
            let error = match place.store.get(object, 0) {
                Ok(_) => continue,
                Err(error) if error.kind() == ErrorKind::TooLarge => continue,
                Err(error) if error.kind() == ErrorKind::Missing => {
                    Error::of_store(ErrorKind::Failed, Operation::Put).because(Behind)
                }
                Err(error) => error,
            };
            self.give_up(place, Operation::Put, None, error)?;
        }
        if self.taking_part().is_empty() {
            Err(self.nobody_left(Operation::Put, None))
        } else {
            Ok(())
        }
    }

    /// Returns the last moment until which any place holds an object.
    fn held_until(&self, name: &ObjectName) -> Result<Option<Timestamp>, Error> {
        self.taking_part()
            .into_iter()
            .try_fold(None, |last, place| {
                Ok(last.max(place.store.held_until(name)?))
            })
    }
}

impl Store for Mirror {
    fn put(&self, name: &ObjectName, body: &Rope) -> Result<(), Error> {
        // A place that is given up goes on with its own.
        let (object, body) = (name.clone(), Arc::new(body.clone()));
        self.everywhere(Operation::Put, Some(name), move |store| {
            store.put(&object, &body)
        })
        .map(drop)
    }

    /// Goes on in the next place behind the last piece that was handed over.
    fn read(
        &self,
        name: &ObjectName,
        wanted: Selection<'_>,
        take: &mut dyn FnMut(Vec<u8>) -> bool,
    ) -> Result<(), Error> {
        let places = self.taking_part();
        let mut unread = LeftToRead::new(wanted);
        let mut lacking = None;
        for (number, place) in places.iter().enumerate() {
            // The last one may take the time that it needs.
            let is_last = number + 1 == places.len();
            let patience = (!is_last).then_some(self.limits.for_one);
            match anywhere::read_from(place, name, &mut unread, patience, take) {
                Ok(()) => return Ok(()),
                Err(error) => match error.kind() {
                    ErrorKind::TooLarge => return Err(error),
                    ErrorKind::Missing | ErrorKind::Short => lacking = lacking.or(Some(error)),
                    _ => self.give_up(place, Operation::Get, Some(name), error)?,
                },
            }
        }
        Err(lacking.unwrap_or_else(|| self.nobody_left(Operation::Get, Some(name))))
    }

    fn list(&self, prefix: &str, found: &mut dyn FnMut(ObjectInfo) -> bool) -> Result<(), Error> {
        check_prefix(prefix)?;
        self.list_holding(MOST_NAMES, prefix, found)
    }

    fn delete(&self, name: &ObjectName) -> Result<(), Error> {
        let object = name.clone();
        self.everywhere(Operation::Delete, Some(name), move |store| {
            store.delete(&object)
        })
        .map(drop)
    }

    fn location(&self) -> String {
        self.places
            .iter()
            .map(|place| place.store.location())
            .collect::<Vec<_>>()
            .join(" and ")
    }

    /// No place knows what another was told at the same moment, so several cannot see to it that an
    /// object is made once.
    fn powers(&self) -> Powers<'_> {
        let can_join = |place: &&MirrorPlace| place.store.powers().join.is_some();
        let can_lock = |place: &&MirrorPlace| place.store.powers().held_until.is_some();
        let taking_part = self.taking_part();
        let joins = taking_part.iter().any(can_join);
        let locks = taking_part.iter().any(can_lock);
        Powers {
            create_once: None,
            put_unless_there: None,
            held_until: locks.then(|| -> HeldUntil<'_> { Box::new(|name| self.held_until(name)) }),
            join: joins.then(|| -> Join<'_> {
                Box::new(|whole, parts, count| self.join(whole, parts, count))
            }),
            lean_on: Some(Box::new(|object| self.lean_on(object))),
        }
    }
}
