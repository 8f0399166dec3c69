//! A wrapper that tries again after failures that can pass.

use super::selection::LeftToRead;
use super::{
    Error, ErrorKind, HeldUntil, Join, ObjectInfo, ObjectName, Operation, Powers, PutUnlessThere,
    Rope, Selection, Store,
};
use crate::model::{Cancel, Interrupted};
use crate::platform;
use std::time::Duration;

/// The first pause lies below this, each further one below twice as much.
const FIRST: Duration = Duration::from_millis(500);

/// The longest pause that we choose. A store may ask for a longer one.
const LONGEST: Duration = Duration::from_secs(30);

/// A store in front of another that tries again when a call fails with [`ErrorKind::Unavailable`]:
/// the one kind of failure that can pass by itself.
///
/// Between tries it waits as long as the store asks (`Retry-After`), else a random time below a
/// bound that doubles with each failure. It gives up when the deadline would pass before the next
/// try, or when the run is to stop.
///
/// Every call of a [`Store`] can be made again without harm: objects are replaced whole, and
/// removing twice is removing.
pub struct Retry<S> {
    inner: S,
    persistence: Persistence,
}

/// How long to keep trying, and how to wait between tries.
pub(super) struct Persistence {
    deadline: Duration,
    cancel: Cancel,
    pause: Box<Pause>,
}

/// A function that waits for that time, or until the run is cancelled.
type Pause = dyn Fn(Duration, &Cancel) + Send + Sync;

/// All tries failed.
#[derive(Debug, thiserror::Error)]
#[error(
    "gave up on {location} after {tries} in {:.0} s",
    .elapsed.as_secs_f64(),
    tries = tries_in_words(*.tries)
)]
pub struct GaveUp {
    location: String,
    tries: u32,
    elapsed: Duration,
    /// The error of the last try.
    #[source]
    last: Option<Box<Error>>,
}

fn tries_in_words(tries: u32) -> String {
    if tries == 1 {
        "1 try".to_owned()
    } else {
        format!("{tries} tries")
    }
}

impl<S: Store> Retry<S> {
    /// Tries again for as long as `deadline`, counted from the first failure of a call.
    pub fn new(inner: S, deadline: Duration, cancel: Cancel) -> Self {
        Self::with_persistence(inner, Persistence::new(deadline, cancel))
    }

    pub(super) fn with_persistence(inner: S, persistence: Persistence) -> Self {
        Self { inner, persistence }
    }

    /// Waits by other means: for tests.
    #[must_use]
    pub fn with_pause(mut self, pause: impl Fn(Duration, &Cancel) + Send + Sync + 'static) -> Self {
        self.persistence.pause = Box::new(pause);
        self
    }

    fn attempt<T>(
        &self,
        verb: Operation,
        object: Option<&ObjectName>,
        work: impl FnMut() -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.persistence
            .attempt(|| self.inner.location(), verb, object, work)
    }
}

impl Persistence {
    pub(super) fn new(deadline: Duration, cancel: Cancel) -> Self {
        Self {
            deadline,
            cancel,
            pause: Box::new(platform::pause),
        }
    }

    /// Does it again until it is done, fails for good, or takes too long.
    pub(super) fn attempt<T>(
        &self,
        location: impl Fn() -> String,
        verb: Operation,
        object: Option<&ObjectName>,
        mut work: impl FnMut() -> Result<T, Error>,
    ) -> Result<T, Error> {
        // Neither the clock of the system, which may be set, nor a pause that tests leave out.
        let (mut first_failure, mut paused) = (None, Duration::ZERO);
        let mut bound = FIRST;
        for tries in 1_u32.. {
            let error = match work() {
                Err(error) if error.kind() == ErrorKind::Unavailable => error,
                outcome => return outcome,
            };
            let elapsed = first_failure
                .get_or_insert_with(crate::platform::monotonic)
                .elapsed()
                .max(paused);
            let wait = error.retry_after().unwrap_or_else(|| below(bound));
            bound = (bound * 2).min(LONGEST);
            if self.cancel.is_requested() {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    tries,
                    "not trying again: interrupted"
                );
                return Err(
                    super::error::about(ErrorKind::Unavailable, verb, object).because(Interrupted)
                );
            }
            if elapsed.saturating_add(wait) > self.deadline {
                let gave_up = GaveUp {
                    location: location(),
                    tries,
                    elapsed,
                    last: Some(Box::new(error)),
                };
                return Err(
                    super::error::about(ErrorKind::Unavailable, verb, object).because(gave_up)
                );
            }
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                tries,
                wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX),
                "trying again"
            );
            (self.pause)(wait, &self.cancel);
            paused += wait;
        }
        Err(super::error::about(ErrorKind::Unavailable, verb, object))
    }
}

/// A random time between half the bound and the bound, so that many clients do not come back
/// together.
fn below(bound: Duration) -> Duration {
    let mut random = [0; 2];
    // Without randomness all come back at the bound, which does no harm.
    let share = getrandom::fill(&mut random).map_or(u16::MAX, |()| u16::from_le_bytes(random));
    bound / 2 + bound.mul_f64(f64::from(share) / f64::from(u16::MAX) / 2.0)
}

impl<S: Store> Store for Retry<S> {
    fn put(&self, name: &ObjectName, body: &Rope) -> Result<(), Error> {
        self.attempt(Operation::Put, Some(name), || self.inner.put(name, body))
    }

    /// Goes on after the last piece that was handed over: none is handed over twice.
    fn read(
        &self,
        name: &ObjectName,
        wanted: Selection<'_>,
        take: &mut dyn FnMut(Vec<u8>) -> bool,
    ) -> Result<(), Error> {
        let mut unread = LeftToRead::new(wanted);
        self.attempt(Operation::Get, Some(name), || {
            let outcome = self.inner.read(name, unread.wanted(), &mut |piece| {
                unread.hand_over(piece, take)
            });
            if unread.is_over() { Ok(()) } else { outcome }
        })
    }

    /// Goes on after the last object that was shown: none is shown twice.
    fn list(&self, prefix: &str, found: &mut dyn FnMut(ObjectInfo) -> bool) -> Result<(), Error> {
        let mut last: Option<ObjectName> = None;
        self.attempt(Operation::List, None, || {
            self.inner.list(prefix, &mut |object| {
                if last.as_ref().is_some_and(|last| object.name <= *last) {
                    return true;
                }
                last = Some(object.name.clone());
                found(object)
            })
        })
    }

    fn delete(&self, name: &ObjectName) -> Result<(), Error> {
        self.attempt(Operation::Delete, Some(name), || self.inner.delete(name))
    }

    fn location(&self) -> String {
        self.inner.location()
    }

    fn powers(&self) -> Powers<'_> {
        let inner = self.inner.powers();
        Powers {
            // Tried once: had the first attempt done it and its answer been lost, the second would
            // be told that somebody else did.
            create_once: inner.create_once,
            put_unless_there: inner.put_unless_there.map(|put| -> PutUnlessThere<'_> {
                Box::new(move |name, body| {
                    self.attempt(Operation::Put, Some(name), || put(name, body))
                })
            }),
            held_until: inner.held_until.map(|held_until| -> HeldUntil<'_> {
                Box::new(move |name| self.attempt(Operation::Get, Some(name), || held_until(name)))
            }),
            join: inner.join.map(|join| -> Join<'_> {
                Box::new(move |whole, parts, count| {
                    self.attempt(Operation::Join, Some(whole), || join(whole, parts, count))
                })
            }),
            // A question to several places, which try again themselves.
            lean_on: inner.lean_on,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{LONGEST, Retry};
    use crate::model::{Cancel, Interrupted};
    use crate::store::altered::{Alteration, Altered};
    use crate::store::faulty::{Fault, Faulty};
    use crate::store::memory::MemoryStore;
    use crate::store::{
        Discard, Error, ErrorKind, ObjectInfo, ObjectName, Operation, Rope, Selection, Store,
        StoreExt,
    };
    use std::error::Error as _;
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    fn name(text: &str) -> ObjectName {
        ObjectName::new(text).expect("legal")
    }

    /// A store with a minute of patience that notes its pauses in place of waiting.
    fn retry<S: Store>(inner: S) -> (Retry<S>, Arc<Mutex<Vec<Duration>>>) {
        let pauses: Arc<Mutex<Vec<Duration>>> = Arc::default();
        let noted = Arc::clone(&pauses);
        let retry = Retry::new(inner, Duration::from_mins(1), Cancel::new());
        (
            retry.with_pause(move |pause, _| noted.lock().expect("no panic").push(pause)),
            pauses,
        )
    }

    #[test]
    fn what_fails_for_now_is_tried_again_with_growing_pauses_and_jitter() {
        let faults = (0..5).map(|number| Fault::at(Operation::Put, number));
        let faulty = faults.fold(Faulty::new(MemoryStore::default()), Faulty::with);
        let (store, pauses) = retry(faulty);
        store
            .put(&name("a"), &vec![b"x".to_vec()])
            .expect("the sixth try");
        assert_eq!(store.get(&name("a"), 9).expect("stored"), b"x");
        let pauses = pauses.lock().expect("no panic");
        assert_eq!(pauses.len(), 5);
        for (number, pause) in (0..).zip(pauses.iter()) {
            let bound = Duration::from_millis(500 << number);
            assert!(
                *pause >= bound / 2 && *pause <= bound,
                "{number}: {pause:?}"
            );
        }
    }

    #[test]
    fn what_cannot_pass_is_told_at_once() {
        for kind in [
            ErrorKind::Missing,
            ErrorKind::Short,
            ErrorKind::TooLarge,
            ErrorKind::Denied,
            ErrorKind::Full,
            ErrorKind::Failed,
        ] {
            let (store, pauses) = retry(
                Faulty::new(MemoryStore::default())
                    .with(Fault::at(Operation::Get, 0).with_kind(kind)),
            );
            assert_eq!(
                store.get(&name("a"), 9).expect_err("the fault").kind(),
                kind
            );
            assert!(pauses.lock().expect("no panic").is_empty(), "{kind:?}");
        }
    }

    #[test]
    fn after_the_deadline_the_error_says_which_store_which_object_how_often_and_why() {
        let (store, pauses) = retry(Faulty::cut_at(MemoryStore::default(), 0));
        let error = store.get(&name("a/b"), 9).expect_err("for good");
        let waited: Duration = pauses.lock().expect("no panic").iter().sum();
        assert!(
            waited <= Duration::from_mins(1) && waited + 2 * LONGEST > Duration::from_mins(1),
            "{waited:?}"
        );
        assert_eq!(
            (error.kind(), error.object()),
            (ErrorKind::Unavailable, Some(&name("a/b")))
        );
        let cause = error.source().expect("a cause");
        assert!(
            cause.to_string().starts_with("gave up on memory: after "),
            "{cause}"
        );
        let last = cause.source().expect("the last failure");
        assert_eq!(
            last.source().expect("its cause").to_string(),
            "a fault that the test asked for"
        );
    }

    #[test]
    fn a_run_that_is_to_stop_waits_no_longer() {
        let cancel = Cancel::new();
        cancel.request();
        let store = Retry::new(
            Faulty::cut_at(MemoryStore::default(), 0),
            Duration::from_mins(10),
            cancel,
        );
        let error = store.get(&name("a"), 9).expect_err("at once");
        let source = std::error::Error::source(&error).expect("a cause");
        assert!(source.is::<Interrupted>(), "{source:?}");
    }

    /// Says that it is busy, and how long.
    struct Busy;

    impl Alteration for Busy {
        fn inner(&self) -> &dyn Store {
            &Discard
        }

        fn put(&self, name: &ObjectName, _: &Rope) -> Result<(), Error> {
            Err(Error::new(ErrorKind::Unavailable, Operation::Put, name)
                .not_before(Some(Duration::from_secs(25))))
        }
    }

    #[test]
    fn a_store_is_left_alone_as_long_as_it_asks() {
        let (store, pauses) = retry(Altered(Busy));
        store.put(&name("a"), &vec![]).expect_err("it stays busy");
        assert_eq!(
            *pauses.lock().expect("no panic"),
            [Duration::from_secs(25); 2]
        );
    }

    /// Breaks each listing off after three more objects than the one before, and each read after
    /// two pieces.
    struct BreaksOff(MemoryStore);

    impl Alteration for BreaksOff {
        fn inner(&self) -> &dyn Store {
            &self.0
        }

        /// Two pieces, then it breaks off.
        fn read(
            &self,
            name: &ObjectName,
            wanted: Selection<'_>,
            take: &mut dyn FnMut(Vec<u8>) -> bool,
        ) -> Result<(), Error> {
            let Selection::Pieces { offset, lengths } = wanted else {
                return self.0.read(name, wanted, take);
            };
            let come = lengths.get(..2).unwrap_or(lengths);
            self.0.get_pieces(name, offset, come, take)?;
            if come.len() < lengths.len() {
                Err(Error::new(ErrorKind::Unavailable, Operation::Get, name))
            } else {
                Ok(())
            }
        }

        fn list(
            &self,
            prefix: &str,
            found: &mut dyn FnMut(ObjectInfo) -> bool,
        ) -> Result<(), Error> {
            let round = self.0.calls().of(Operation::List) + 1;
            let mut left = 3 * round;
            let mut broke_off = false;
            self.0.list(prefix, &mut |object| {
                broke_off = left == 0;
                left = left.saturating_sub(1);
                !broke_off && found(object)
            })?;
            if broke_off {
                Err(Error::of_store(ErrorKind::Unavailable, Operation::List))
            } else {
                Ok(())
            }
        }
    }

    #[test]
    fn pieces_that_came_before_it_broke_off_come_once() {
        let (store, pauses) = retry(Altered(BreaksOff(MemoryStore::default())));
        store
            .put(&name("a"), &vec![b"0123456789abcdef".to_vec()])
            .expect("stored");
        let mut pieces = Vec::new();
        let mut take = |piece| {
            pieces.push(piece);
            true
        };
        store
            .get_pieces(&name("a"), 1, &[1, 2, 3, 4, 5], &mut take)
            .expect("the third time brings the last one");
        assert_eq!(pieces, [&b"1"[..], b"23", b"456", b"789a", b"bcdef"]);
        assert_eq!(pauses.lock().expect("no panic").len(), 2);
        store
            .get_pieces(&name("a"), 0, &[1, 1, 1], &mut |piece| piece == b"0")
            .expect("nobody wants the third");
        assert_eq!(pauses.lock().expect("no panic").len(), 2);
    }

    #[test]
    fn a_listing_that_broke_off_goes_on_where_it_was() {
        let memory = MemoryStore::default();
        (0..10).for_each(|number| {
            memory
                .put(&name(&format!("a/{number}")), &vec![])
                .expect("memory")
        });
        let (store, _) = retry(Altered(BreaksOff(memory)));
        let mut shown = Vec::new();
        let mut show = |object: ObjectInfo| {
            shown.push(object.name.to_string());
            true
        };
        store.list("a/", &mut show).expect("in the end");
        assert_eq!(
            shown,
            (0..10)
                .map(|number| format!("a/{number}"))
                .collect::<Vec<_>>()
        );
    }
}
