//! Several places as one store, in memory.

use super::{Behind, Mirror, OnFailure, WaitLimits};
use crate::store::altered::{Alteration, Altered};
use crate::store::faulty::{Fault, Faulty};
use crate::store::memory::MemoryStore;
use crate::store::{
    Discard, Error, ErrorKind, ObjectInfo, ObjectName, Operation, Rope, Selection, Store, StoreExt,
};
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

const MINUTE: WaitLimits = WaitLimits {
    for_one: Duration::from_mins(1),
    in_all: Duration::from_mins(1),
};

#[test]
fn what_is_stored_is_in_every_place_and_read_from_any() {
    let places = [
        Arc::new(MemoryStore::default()),
        Arc::new(MemoryStore::default()),
    ];
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
        ErrorKind::TooLarge
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
        ErrorKind::Missing
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
    let whole = Arc::new(MemoryStore::default());
    let broken = Arc::new(Faulty::new(MemoryStore::default()).with(Fault::at(Operation::Put, 1)));
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
        Some(ErrorKind::Unavailable)
    );
    assert!(outcomes[1].failure.is_none());
    assert_eq!(mirror.get(&name("c"), 9).expect("read"), b"");
}

#[test]
fn when_no_place_is_left_or_one_must_not_fail_the_call_fails() {
    let broken = || Arc::new(Faulty::cut_at(MemoryStore::default(), 0));
    let all = Mirror::new(vec![broken(), broken()], OnFailure::Continue, MINUTE);
    let error = all.put(&name("a"), &vec![]).expect_err("nobody takes it");
    assert_eq!(
        (error.kind(), error.object()),
        (ErrorKind::Unavailable, Some(&name("a")))
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
        vec![Arc::new(MemoryStore::default()), broken()],
        OnFailure::Abort,
        MINUTE,
    );
    strict
        .put(&name("a"), &vec![])
        .expect_err("one of them failed");
}

fn lean_on(mirror: &Mirror, object: &str) -> Result<(), Error> {
    let lean_on = mirror.powers().lean_on.expect("several places can");
    lean_on(&name(object))
}

#[test]
fn a_place_that_lacks_what_is_leaned_on_takes_no_further_part() {
    let places = [
        Arc::new(MemoryStore::default()),
        Arc::new(MemoryStore::default()),
    ];
    places[1]
        .put(&name("base"), &vec![b"x".to_vec()])
        .expect("stored");
    let mirror = Mirror::new(
        vec![places[0].clone(), places[1].clone()],
        OnFailure::Continue,
        MINUTE,
    );
    lean_on(&mirror, "base").expect("one has it");
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
    lean_on(&mirror, "nowhere").expect_err("nobody is left");
}

/// Stores nothing before it is let go.
struct Stuck(Arc<(Mutex<bool>, Condvar)>);

impl Alteration for Stuck {
    fn inner(&self) -> &dyn Store {
        &Discard
    }

    fn put(&self, _: &ObjectName, _: &Rope) -> Result<(), Error> {
        let (is_free, changed) = &*self.0;
        drop(
            changed
                .wait_while(is_free.lock().expect("no panic"), |is_free| !*is_free)
                .expect("no panic"),
        );
        Ok(())
    }
}

#[test]
fn a_place_that_hangs_is_waited_for_once_and_no_longer_than_the_patience() {
    let gate = Arc::new((Mutex::new(false), Condvar::new()));
    let whole = Arc::new(MemoryStore::default());
    let mirror = Mirror::new(
        vec![Arc::new(Altered(Stuck(gate.clone()))), whole.clone()],
        OnFailure::Continue,
        WaitLimits {
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
            .starts_with("the other stores were done"),
        "{why:?}"
    );
    *gate.0.lock().expect("no panic") = true;
    gate.1.notify_all();
}

/// Takes its time for everything, and does it.
#[derive(Default)]
struct Slow(MemoryStore);

impl Alteration for Slow {
    fn inner(&self) -> &dyn Store {
        &self.0
    }

    fn put(&self, name: &ObjectName, body: &Rope) -> Result<(), Error> {
        crate::platform::pause(Duration::from_millis(20), &crate::model::Cancel::new());
        self.0.put(name, body)
    }
}

/// A fifth of a second for all calls: a slow place takes longer for thirty of them.
const SHORT: WaitLimits = WaitLimits {
    in_all: Duration::from_millis(200),
    ..MINUTE
};

/// A slow place and a fast one.
fn unequal() -> (Arc<Altered<Slow>>, Arc<MemoryStore>) {
    (Arc::default(), Arc::default())
}

fn put_all(mirror: &Mirror) -> Result<(), Error> {
    (0..30).try_for_each(|number| mirror.put(&name(&format!("a/{number:02}")), &vec![]))
}

#[test]
fn a_place_that_is_slower_all_the_time_is_left_behind_once_it_has_cost_the_others_too_much() {
    let (slow, fast) = unequal();
    let mirror = Mirror::new(vec![slow.clone(), fast.clone()], OnFailure::Continue, SHORT);
    put_all(&mirror).expect("the other takes it");
    let outcomes = mirror.outcomes();
    let why = outcomes[0]
        .failure
        .clone()
        .expect("600 ms are more than 200");
    assert!(
        why.source()
            .expect("a cause")
            .to_string()
            .starts_with("it is slower than the other stores"),
        "{why:?}"
    );
    assert!(outcomes[1].failure.is_none());
    // Its objects are the first of those that the other has, which are all of them.
    let (kept, all) = (listed(slow.as_ref()), listed(fast.as_ref()));
    assert!(all.len() == 30 && all.starts_with(&kept), "{kept:?}");
}

#[test]
fn a_slow_place_that_has_time_enough_takes_part_to_the_end() {
    let (slow, fast) = unequal();
    let patient = Mirror::new(vec![slow, fast], OnFailure::Continue, MINUTE);
    put_all(&patient).expect("stored");
    let outcomes = patient.outcomes();
    assert!(outcomes.iter().all(|outcome| outcome.failure.is_none()));
}

#[test]
fn where_no_place_must_be_left_out_the_call_fails_when_one_is_too_slow() {
    let (slow, fast) = unequal();
    let strict = Mirror::new(vec![slow, fast], OnFailure::Abort, SHORT);
    let error = put_all(&strict).expect_err("the slow one cost too much");
    assert_eq!(error.kind(), ErrorKind::Unavailable);
}

/// Hands over two pieces and then fails.
struct BreaksOff(MemoryStore);

impl Alteration for BreaksOff {
    fn inner(&self) -> &dyn Store {
        &self.0
    }

    fn read(
        &self,
        name: &ObjectName,
        wanted: Selection<'_>,
        take: &mut dyn FnMut(Vec<u8>) -> bool,
    ) -> Result<(), Error> {
        let mut left = 2;
        self.0.read(name, wanted, &mut |piece| {
            left -= 1;
            take(piece) && left > 0
        })?;
        Err(Error::new(ErrorKind::Unavailable, Operation::Get, name))
    }
}

#[test]
fn pieces_that_a_place_did_not_bring_come_from_the_next_and_none_twice() {
    let places: [Arc<dyn Store>; 2] = [
        Arc::new(Altered(BreaksOff(MemoryStore::default()))),
        Arc::new(MemoryStore::default()),
    ];
    let mirror = Mirror::new(places.to_vec(), OnFailure::Continue, MINUTE);
    let body = vec![b"abcdefghij".to_vec()];
    mirror.put(&name("a"), &body).expect("stored");
    let mut pieces = Vec::new();
    let mut take = |piece| {
        pieces.push(piece);
        true
    };
    mirror
        .get_pieces(&name("a"), 1, &[1, 2, 3, 2], &mut take)
        .expect("the second place has the rest");
    assert_eq!(pieces, [&b"b"[..], b"cd", b"efg", b"hi"]);
    assert!(mirror.outcomes()[0].failure.is_some(), "it failed");
    let mut first = Vec::new();
    mirror
        .get_pieces(&name("a"), 0, &[4, 4], &mut |piece| {
            first.push(piece);
            false
        })
        .expect("nobody wants the second");
    assert_eq!(first, [b"abcd"]);
}

#[test]
fn what_any_place_has_is_shown_once_and_in_order_however_few_names_are_held() {
    let places = [MemoryStore::default(), MemoryStore::default()].map(Arc::new);
    let name = |number: u32| ObjectName::new(format!("d/{number:03}")).expect("legal");
    for number in 0..40 {
        // Some are in both, and the second has none between 10 and 30.
        if number % 3 != 0 {
            places[0].put(&name(number), &vec![]).expect("stored");
        }
        if number % 2 == 0 && !(10..30).contains(&number) {
            places[1].put(&name(number), &vec![]).expect("stored");
        }
    }
    let expected: Vec<String> = (0..40)
        .filter(|number| number % 3 != 0 || number % 2 == 0 && !(10..30).contains(number))
        .map(|number| name(number).to_string())
        .collect();
    let stores: Vec<Arc<dyn Store>> = vec![places[0].clone(), places[1].clone()];
    let mirror = Mirror::new(stores, OnFailure::Abort, MINUTE);
    for most in [1, 2, 7, 100] {
        let mut names = Vec::new();
        let mut show = |object: ObjectInfo| {
            names.push(object.name.to_string());
            true
        };
        mirror.list_holding(most, "d/", &mut show).expect("listed");
        assert_eq!(names, expected, "{most} at once");
    }
    let mut shown = 0;
    let mut three = |_| {
        shown += 1;
        shown < 3
    };
    mirror
        .list_holding(2, "d/", &mut three)
        .expect("as far as was wanted");
    assert_eq!(shown, 3);
}
