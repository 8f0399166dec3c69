//! Several places as one store: everything is stored in each of them, and any of them can be read.
//!
//! A call that changes something goes to all places at once and returns when every place that still
//! takes part has done it. A place that fails, or that lets the others wait for too long
//! ([`Patience`]), takes no further part, and [`Mirror::outcomes`] says why. So whatever is stored
//! in a place, all that was stored before it is there too: a manifest that arrives is complete.
//! What a place has missed, a sync brings.
//!
//! A listing shows what any place has; a read asks the places one after the other.

use super::{Error, Joined, Kind, ObjectInfo, ObjectName, Rope, Store, Verb};
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// What becomes of a call when one of several places fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFailure {
    /// The others go on while there is one.
    Continue,
    /// The call fails.
    Abort,
}

/// How long a place may let the others wait.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// For one call: longer than that it stands still.
    pub for_one: Duration,
    /// For all calls together: longer than that it is too slow to go along.
    pub in_all: Duration,
}

/// Several places that hold the same.
pub struct Mirror {
    places: Vec<Place>,
    on_failure: OnFailure,
    patience: Patience,
}

struct Place {
    store: Arc<dyn Store>,
    /// Why it takes no further part.
    out: Mutex<Option<Arc<Error>>>,
    /// How long it has let the others wait.
    delay: Mutex<Delay>,
}

/// For how long there were calls that another place had done already.
#[derive(Debug, Default)]
struct Delay {
    /// How many such calls there are at the moment, and since when there are any.
    calls: u32,
    since: Option<Instant>,
    /// What there was before.
    before: Duration,
}

impl Delay {
    fn so_far(&self) -> Duration {
        self.before + self.since.map_or(Duration::ZERO, |since| since.elapsed())
    }

    fn begin(&mut self) {
        self.calls += 1;
        self.since.get_or_insert_with(crate::platform::monotonic);
    }

    fn end(&mut self) {
        self.calls = self.calls.saturating_sub(1);
        if self.calls == 0 {
            self.before = self.so_far();
            self.since = None;
        }
    }
}

/// Others wait for a place, until this is dropped.
struct Waiting<'place>(&'place Place);

impl<'place> Waiting<'place> {
    fn new(place: &'place Place) -> Self {
        place.delay().begin();
        Self(place)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.delay().end();
    }
}

/// What became of a place.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Which place.
    pub location: String,
    /// Why it takes no further part; nothing when all arrived there.
    pub failure: Option<Arc<Error>>,
}

/// A place let the others wait.
#[derive(Debug, thiserror::Error)]
enum TooSlow {
    #[error("the others had done it {} s before", .0.as_secs())]
    StandsStill(Duration),
    #[error("it is slower than the others, and let them wait for {} s in all", .0.as_secs())]
    FellBehind(Duration),
}

/// A place does not have what is leaned on.
#[derive(Debug, thiserror::Error)]
#[error("it lacks earlier points in time, which this one leans on")]
pub struct Behind;

/// The error of a place, for whoever called the mirror.
#[derive(Debug, thiserror::Error)]
#[error("{location} failed")]
struct OfPlace {
    location: String,
    source: Arc<Error>,
}

impl Place {
    fn failure(&self) -> Option<Arc<Error>> {
        self.out
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn delay(&self) -> MutexGuard<'_, Delay> {
        self.delay.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn leave(&self, why: Arc<Error>) {
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        if out.is_none() {
            tracing::warn!(store = %self.store.location(), error = &why as &dyn std::error::Error, "takes no further part");
            *out = Some(why);
        }
    }
}

impl Mirror {
    /// Several places as one. A place has at most as long as `patience` says to do what another has
    /// done already.
    pub fn new(stores: Vec<Arc<dyn Store>>, on_failure: OnFailure, patience: Patience) -> Self {
        let place = |store| Place {
            store,
            out: Mutex::new(None),
            delay: Mutex::default(),
        };
        Self {
            places: stores.into_iter().map(place).collect(),
            on_failure,
            patience,
        }
    }

    /// How much longer a place is waited for that has not done what another did `waited` ago, or
    /// why no longer.
    fn wait_for(&self, place: &Place, waited: Duration) -> Result<Duration, TooSlow> {
        let delay = place.delay().so_far();
        match (
            self.patience.for_one.checked_sub(waited),
            self.patience.in_all.checked_sub(delay),
        ) {
            (None | Some(Duration::ZERO), _) => Err(TooSlow::StandsStill(self.patience.for_one)),
            (_, None | Some(Duration::ZERO)) => Err(TooSlow::FellBehind(delay)),
            (Some(for_one), Some(in_all)) => Ok(for_one.min(in_all)),
        }
    }

    /// What became of each place, in the order they were given.
    pub fn outcomes(&self) -> Vec<Outcome> {
        self.places
            .iter()
            .map(|place| Outcome {
                location: place.store.location(),
                failure: place.failure(),
            })
            .collect()
    }

    fn taking_part(&self) -> Vec<&Place> {
        self.places
            .iter()
            .filter(|place| place.failure().is_none())
            .collect()
    }

    /// The places failed: what the caller is told.
    fn failed(verb: Verb, object: Option<&ObjectName>, place: &Place, why: Arc<Error>) -> Error {
        let error = super::error::about(why.kind(), verb, object).not_before(why.retry_after());
        error.because(OfPlace {
            location: place.store.location(),
            source: why,
        })
    }

    fn nobody_left(&self, verb: Verb, object: Option<&ObjectName>) -> Error {
        let first = self
            .places
            .iter()
            .find_map(|place| Some((place, place.failure()?)));
        match first {
            Some((place, why)) => Self::failed(verb, object, place, why),
            None => super::error::about(Kind::Failed, verb, object).because("there is no store"),
        }
    }

    /// Does it in every place that takes part.
    fn everywhere<T: Send + 'static>(
        &self,
        verb: Verb,
        object: Option<&ObjectName>,
        work: impl Fn(&dyn Store) -> Result<T, Error> + Send + Sync + 'static,
    ) -> Result<Vec<T>, Error> {
        let work = Arc::new(work);
        let places = self.taking_part();
        let (done, outcomes) = channel();
        for (number, place) in places.iter().enumerate() {
            let (work, store, done) = (Arc::clone(&work), Arc::clone(&place.store), done.clone());
            // One that is given up goes on by itself: its outcome interests nobody.
            let started = thread::Builder::new()
                .name("freezer-mirror".to_owned())
                .spawn(move || drop(done.send((number, work(store.as_ref())))));
            if let Err(error) = started {
                return Err(super::error::about(Kind::Failed, verb, object).because(error));
            }
        }
        drop(done);
        let mut waiting: BTreeMap<usize, (&Place, Option<Waiting<'_>>)> = places
            .into_iter()
            .map(|place| (place, None))
            .enumerate()
            .collect();
        let (mut values, mut first_done) = (Vec::new(), None);
        while !waiting.is_empty() {
            let mut left: Vec<(&Place, Error)> = Vec::new();
            let mut longest = Duration::MAX;
            if let Some(at) = first_done {
                waiting.retain(
                    |_, (place, _)| match self.wait_for(place, Instant::elapsed(&at)) {
                        Ok(longer) => {
                            longest = longest.min(longer);
                            true
                        }
                        Err(too_slow) => {
                            left.push((
                                place,
                                super::error::about(Kind::Unavailable, verb, object)
                                    .because(too_slow),
                            ));
                            false
                        }
                    },
                );
            }
            let outcome = match (left.is_empty(), first_done) {
                (false, _) => Err(RecvTimeoutError::Timeout),
                (true, None) => outcomes.recv().map_err(|_| RecvTimeoutError::Disconnected),
                (true, Some(_)) => outcomes.recv_timeout(longest),
            };
            match outcome {
                Ok((number, Ok(value))) => {
                    waiting.remove(&number);
                    values.push(value);
                    first_done.get_or_insert_with(crate::platform::monotonic);
                    for (place, others) in waiting.values_mut() {
                        others.get_or_insert_with(|| Waiting::new(place));
                    }
                }
                Ok((number, Err(error))) => {
                    left.extend(waiting.remove(&number).map(|(place, _)| (place, error)))
                }
                // Whose time is up is seen at the next turn.
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    let ended = || {
                        super::error::about(Kind::Failed, verb, object).because("its thread ended")
                    };
                    left.extend(
                        std::mem::take(&mut waiting)
                            .into_values()
                            .map(|(place, _)| (place, ended())),
                    );
                }
            }
            for (place, error) in left {
                let error = Arc::new(error);
                place.leave(Arc::clone(&error));
                if self.on_failure == OnFailure::Abort {
                    return Err(Self::failed(verb, object, place, error));
                }
            }
        }
        if values.is_empty() {
            Err(self.nobody_left(verb, object))
        } else {
            Ok(values)
        }
    }

    /// Asks one place after the other until one has it.
    fn anywhere<T: Send + 'static>(
        &self,
        object: &ObjectName,
        read: impl Fn(&dyn Store) -> Result<T, Error> + Send + Sync + 'static,
    ) -> Result<T, Error> {
        let read = Arc::new(read);
        let places = self.taking_part();
        let mut lacking = None;
        for place in &places {
            let (done, outcome) = channel();
            let (work, store) = (Arc::clone(&read), Arc::clone(&place.store));
            let started = thread::Builder::new()
                .name("freezer-mirror".to_owned())
                .spawn(move || drop(done.send(work(store.as_ref()))));
            if let Err(error) = started {
                return Err(Error::new(Kind::Failed, Verb::Get, object).because(error));
            }
            // The last one may take the time that it needs.
            let is_last = std::ptr::eq(*place, *places.last().unwrap_or(place));
            let outcome = if is_last {
                outcome.recv().map_err(|_| RecvTimeoutError::Disconnected)
            } else {
                outcome.recv_timeout(self.patience.for_one)
            };
            let error = match outcome {
                Ok(Ok(value)) => return Ok(value),
                Ok(Err(error)) if matches!(error.kind(), Kind::Missing | Kind::Short) => {
                    lacking.get_or_insert(error);
                    continue;
                }
                Ok(Err(error)) if error.kind() == Kind::TooLarge => return Err(error),
                Ok(Err(error)) => error,
                Err(_) => Error::new(Kind::Unavailable, Verb::Get, object)
                    .because(TooSlow::StandsStill(self.patience.for_one)),
            };
            let error = Arc::new(error);
            place.leave(Arc::clone(&error));
            if self.on_failure == OnFailure::Abort {
                return Err(Self::failed(Verb::Get, Some(object), place, error));
            }
        }
        Err(lacking.unwrap_or_else(|| self.nobody_left(Verb::Get, Some(object))))
    }
}

impl Store for Mirror {
    fn put(&self, name: &ObjectName, body: &Rope) -> Result<(), Error> {
        // A place that is given up goes on with its own.
        let (object, body) = (name.clone(), Arc::new(body.clone()));
        self.everywhere(Verb::Put, Some(name), move |store| {
            store.put(&object, &body)
        })
        .map(drop)
    }

    fn get(&self, name: &ObjectName, limit: u64) -> Result<Vec<u8>, Error> {
        let object = name.clone();
        self.anywhere(name, move |store| store.get(&object, limit))
    }

    fn get_range(&self, name: &ObjectName, offset: u64, length: usize) -> Result<Vec<u8>, Error> {
        let object = name.clone();
        self.anywhere(name, move |store| store.get_range(&object, offset, length))
    }

    /// Memory holds what is shown: meant for the few listings of a backup.
    fn list(&self, prefix: &str, found: &mut dyn FnMut(ObjectInfo) -> bool) -> Result<(), Error> {
        let below = prefix.to_owned();
        let listings = self.everywhere(Verb::List, None, move |store| {
            let mut objects = Vec::new();
            store.list(&below, &mut |object| {
                objects.push(object);
                true
            })?;
            Ok(objects)
        })?;
        let all: BTreeMap<ObjectName, u64> = listings
            .into_iter()
            .flatten()
            .map(|object| (object.name, object.length))
            .collect();
        for (name, length) in all {
            if !found(ObjectInfo { name, length }) {
                break;
            }
        }
        Ok(())
    }

    fn delete(&self, name: &ObjectName) -> Result<(), Error> {
        let object = name.clone();
        self.everywhere(Verb::Delete, Some(name), move |store| store.delete(&object))
            .map(drop)
    }

    fn join(&self, whole: &ObjectName, parts: &str, count: u64) -> Result<Joined, Error> {
        // Nothing leans on it, so a place that cannot do it stays.
        let mut outcome = Ok(Joined::Cannot);
        for place in self.taking_part() {
            match place.store.join(whole, parts, count) {
                Ok(Joined::Cannot) => {}
                Ok(Joined::Done) => outcome = outcome.map(|_| Joined::Done),
                Err(error) => outcome = Err(error),
            }
        }
        outcome
    }

    /// Places without it take no further part.
    fn lean_on(&self, object: &ObjectName) -> Result<(), Error> {
        for place in self.taking_part() {
            let error = match place.store.get(object, 0) {
                Ok(_) => continue,
                Err(error) if error.kind() == Kind::TooLarge => continue,
                Err(error) if error.kind() == Kind::Missing => {
                    Error::of_store(Kind::Failed, Verb::Put).because(Behind)
                }
                Err(error) => error,
            };
            let error = Arc::new(error);
            place.leave(Arc::clone(&error));
            if self.on_failure == OnFailure::Abort {
                return Err(Self::failed(Verb::Put, None, place, error));
            }
        }
        if self.taking_part().is_empty() {
            Err(self.nobody_left(Verb::Put, None))
        } else {
            Ok(())
        }
    }

    /// As long as any place holds it.
    fn held_until(&self, name: &ObjectName) -> Result<Option<Timestamp>, Error> {
        self.taking_part()
            .into_iter()
            .try_fold(None, |last, place| {
                Ok(last.max(place.store.held_until(name)?))
            })
    }

    fn location(&self) -> String {
        self.places
            .iter()
            .map(|place| place.store.location())
            .collect::<Vec<_>>()
            .join(" and ")
    }
}

#[cfg(test)]
mod tests {
    use super::{Behind, Mirror, OnFailure, Patience};
    use crate::store::faulty::{Fault, Faulty};
    use crate::store::memory::Memory;
    use crate::store::{Error, Kind, ObjectInfo, ObjectName, Rope, Store, Verb};
    use std::error::Error as _;
    use std::sync::{Arc, Condvar, Mutex};
    use std::time::Duration;

    fn name(text: &str) -> ObjectName {
        ObjectName::new(text).expect("legal")
    }

    fn listed(store: &dyn Store) -> Vec<String> {
        let mut names = Vec::new();
        let mut each = |object: ObjectInfo| {
            names.push(object.name.to_string());
            true
        };
        store.list("", &mut each).expect("listed");
        names
    }

    const MINUTE: Patience = Patience {
        for_one: Duration::from_mins(1),
        in_all: Duration::from_mins(1),
    };

    #[test]
    fn what_is_stored_is_in_every_place_and_read_from_any() {
        let places = [Arc::new(Memory::default()), Arc::new(Memory::default())];
        let mirror = Mirror::new(
            vec![places[0].clone(), places[1].clone()],
            OnFailure::Continue,
            MINUTE,
        );
        mirror
            .put(&name("a"), &vec![b"x".to_vec(), b"y".to_vec()])
            .expect("stored");
        assert!(
            places
                .iter()
                .all(|place| place.get(&name("a"), 9).expect("there") == b"xy")
        );
        places[0].delete(&name("a")).expect("removed");
        assert_eq!(mirror.get(&name("a"), 9).expect("in the second"), b"xy");
        assert_eq!(
            mirror.get(&name("a"), 1).expect_err("longer").kind(),
            Kind::TooLarge
        );
        assert_eq!(
            mirror.get_range(&name("a"), 1, 1).expect("in the second"),
            b"y"
        );
        places[0].put(&name("b"), &vec![]).expect("stored");
        assert_eq!(listed(&mirror), ["a", "b"], "what any place has");
        mirror.delete(&name("a")).expect("removed");
        assert_eq!(
            mirror.get(&name("a"), 9).expect_err("nowhere").kind(),
            Kind::Missing
        );
        assert!(
            mirror
                .outcomes()
                .iter()
                .all(|outcome| outcome.failure.is_none())
        );
    }

    #[test]
    fn a_place_that_fails_takes_no_further_part_and_the_others_go_on() {
        let whole = Arc::new(Memory::default());
        let broken = Arc::new(Faulty::new(Memory::default()).with(Fault::at(Verb::Put, 1)));
        let mirror = Mirror::new(
            vec![broken.clone(), whole.clone()],
            OnFailure::Continue,
            MINUTE,
        );
        ["a", "b", "c"].iter().for_each(|object| {
            mirror
                .put(&name(object), &vec![])
                .expect("one of them takes it")
        });
        assert_eq!(listed(whole.as_ref()), ["a", "b", "c"]);
        assert_eq!(
            listed(broken.mended().as_ref()),
            ["a"],
            "nothing after what is missing"
        );
        let outcomes = mirror.outcomes();
        assert_eq!(
            outcomes[0].failure.as_ref().map(|why| why.kind()),
            Some(Kind::Unavailable)
        );
        assert!(outcomes[1].failure.is_none());
        assert_eq!(mirror.get(&name("c"), 9).expect("read"), b"");
    }

    #[test]
    fn when_no_place_is_left_or_one_must_not_fail_the_call_fails() {
        let broken = || Arc::new(Faulty::cut_at(Memory::default(), 0));
        let all = Mirror::new(vec![broken(), broken()], OnFailure::Continue, MINUTE);
        let error = all.put(&name("a"), &vec![]).expect_err("nobody takes it");
        assert_eq!(
            (error.kind(), error.object()),
            (Kind::Unavailable, Some(&name("a")))
        );
        assert!(
            error
                .source()
                .expect("a cause")
                .to_string()
                .ends_with(" failed"),
            "{error:?}"
        );
        all.get(&name("a"), 9).expect_err("nobody is left");
        let strict = Mirror::new(
            vec![Arc::new(Memory::default()), broken()],
            OnFailure::Abort,
            MINUTE,
        );
        strict
            .put(&name("a"), &vec![])
            .expect_err("one of them failed");
    }

    #[test]
    fn a_place_that_lacks_what_is_leaned_on_takes_no_further_part() {
        let places = [Arc::new(Memory::default()), Arc::new(Memory::default())];
        places[1]
            .put(&name("base"), &vec![b"x".to_vec()])
            .expect("stored");
        let mirror = Mirror::new(
            vec![places[0].clone(), places[1].clone()],
            OnFailure::Continue,
            MINUTE,
        );
        mirror.lean_on(&name("base")).expect("one has it");
        mirror.put(&name("next"), &vec![]).expect("stored");
        assert_eq!(
            (listed(places[0].as_ref()), listed(places[1].as_ref())),
            (vec![], vec!["base".to_owned(), "next".to_owned()])
        );
        let why = mirror.outcomes()[0].failure.clone().expect("it is behind");
        assert!(
            why.source().is_some_and(|cause| cause.is::<Behind>()),
            "{why:?}"
        );
        mirror
            .lean_on(&name("nowhere"))
            .expect_err("nobody is left");
    }

    /// Stores nothing before it is let go.
    struct Stuck(Arc<(Mutex<bool>, Condvar)>);

    impl Store for Stuck {
        fn put(&self, _: &ObjectName, _: &Rope) -> Result<(), Error> {
            let (is_free, changed) = &*self.0;
            drop(
                changed
                    .wait_while(is_free.lock().expect("no panic"), |is_free| !*is_free)
                    .expect("no panic"),
            );
            Ok(())
        }

        fn get(&self, name: &ObjectName, _: u64) -> Result<Vec<u8>, Error> {
            Err(Error::new(Kind::Missing, Verb::Get, name))
        }

        fn get_range(&self, name: &ObjectName, _: u64, _: usize) -> Result<Vec<u8>, Error> {
            Err(Error::new(Kind::Missing, Verb::Get, name))
        }

        fn list(&self, _: &str, _: &mut dyn FnMut(ObjectInfo) -> bool) -> Result<(), Error> {
            Ok(())
        }

        fn delete(&self, _: &ObjectName) -> Result<(), Error> {
            Ok(())
        }

        fn location(&self) -> String {
            "stuck:".to_owned()
        }
    }

    #[test]
    fn a_place_that_hangs_is_waited_for_once_and_no_longer_than_the_patience() {
        let gate = Arc::new((Mutex::new(false), Condvar::new()));
        let whole = Arc::new(Memory::default());
        let mirror = Mirror::new(
            vec![Arc::new(Stuck(gate.clone())), whole.clone()],
            OnFailure::Continue,
            Patience {
                for_one: Duration::from_millis(20),
                ..MINUTE
            },
        );
        (0..50).for_each(|number| {
            mirror
                .put(&name(&format!("a/{number}")), &vec![])
                .expect("the other takes it")
        });
        assert_eq!(listed(whole.as_ref()).len(), 50);
        let why = mirror.outcomes()[0].failure.clone().expect("too slow");
        assert!(
            why.source()
                .expect("a cause")
                .to_string()
                .starts_with("the others had done it"),
            "{why:?}"
        );
        *gate.0.lock().expect("no panic") = true;
        gate.1.notify_all();
    }

    /// Takes its time for everything, and does it.
    struct Slow(Memory);

    impl Store for Slow {
        fn put(&self, name: &ObjectName, body: &Rope) -> Result<(), Error> {
            crate::platform::pause(Duration::from_millis(20), &crate::model::Cancel::new());
            self.0.put(name, body)
        }

        fn get(&self, name: &ObjectName, limit: u64) -> Result<Vec<u8>, Error> {
            self.0.get(name, limit)
        }

        fn get_range(
            &self,
            name: &ObjectName,
            offset: u64,
            length: usize,
        ) -> Result<Vec<u8>, Error> {
            self.0.get_range(name, offset, length)
        }

        fn list(
            &self,
            prefix: &str,
            found: &mut dyn FnMut(ObjectInfo) -> bool,
        ) -> Result<(), Error> {
            self.0.list(prefix, found)
        }

        fn delete(&self, name: &ObjectName) -> Result<(), Error> {
            self.0.delete(name)
        }

        fn location(&self) -> String {
            "slow:".to_owned()
        }
    }

    #[test]
    fn a_place_that_is_slower_all_the_time_is_left_behind_once_it_has_cost_the_others_too_much() {
        let (slow, fast) = (
            Arc::new(Slow(Memory::default())),
            Arc::new(Memory::default()),
        );
        let put_all = |mirror: &Mirror| {
            (0..30).for_each(|number| {
                mirror
                    .put(&name(&format!("a/{number:02}")), &vec![])
                    .expect("the other takes it")
            });
        };
        let patience = Patience {
            in_all: Duration::from_millis(200),
            ..MINUTE
        };
        let mirror = Mirror::new(
            vec![slow.clone(), fast.clone()],
            OnFailure::Continue,
            patience,
        );
        put_all(&mirror);
        let outcomes = mirror.outcomes();
        let why = outcomes[0]
            .failure
            .clone()
            .expect("600 ms are more than 200");
        assert!(
            why.source()
                .expect("a cause")
                .to_string()
                .starts_with("it is slower than the others"),
            "{why:?}"
        );
        assert!(outcomes[1].failure.is_none());
        // What it has is the beginning of what the other has, which is everything.
        let (kept, all) = (listed(slow.as_ref()), listed(fast.as_ref()));
        assert!(all.len() == 30 && all.starts_with(&kept), "{kept:?}");

        let patient = Mirror::new(vec![slow, fast], OnFailure::Continue, MINUTE);
        put_all(&patient);
        assert!(
            patient
                .outcomes()
                .iter()
                .all(|outcome| outcome.failure.is_none()),
            "it had time enough"
        );
        let (slow, fast) = (
            Arc::new(Slow(Memory::default())),
            Arc::new(Memory::default()),
        );
        let strict = Mirror::new(vec![slow, fast], OnFailure::Abort, patience);
        let failed =
            (0..30).find_map(|number| strict.put(&name(&format!("a/{number:02}")), &vec![]).err());
        assert_eq!(
            failed.map(|error| error.kind()),
            Some(Kind::Unavailable),
            "where one must not be left out, the call fails"
        );
    }
}
