//! What every store is tested for, whatever it is wrapped in.

use freezer::store::{
    self, Created, ErrorKind, ObjectInfo, ObjectName, Powers, Rope, Store, StoreExt,
};
use proptest::prelude::*;
use std::collections::BTreeMap;

fn name(text: &str) -> ObjectName {
    ObjectName::new(text).unwrap_or_else(|| panic!("{text} is no legal name"))
}

/// One of the powers of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Power {
    CreateOnce,
    PutUnlessThere,
    HeldUntil,
    Join,
    LeanOn,
}

impl Power {
    /// Returns the powers that there are, in order.
    pub fn of(powers: &Powers<'_>) -> Vec<Self> {
        let Powers {
            create_once,
            put_unless_there,
            held_until,
            join,
            lean_on,
        } = powers;
        let there = [
            (create_once.is_some(), Self::CreateOnce),
            (put_unless_there.is_some(), Self::PutUnlessThere),
            (held_until.is_some(), Self::HeldUntil),
            (join.is_some(), Self::Join),
            (lean_on.is_some(), Self::LeanOn),
        ];
        there
            .into_iter()
            .filter_map(|(is_there, power)| is_there.then_some(power))
            .collect()
    }
}

/// A fresh, empty store that is tested.
pub struct Subject<'test> {
    pub store: &'test dyn Store,
    /// The powers that it has to have.
    pub powers: Vec<Power>,
    /// Whether it is wrapped. The store inside has tests of its own, so fewer rounds are enough.
    pub is_wrapped: bool,
}

impl Subject<'_> {
    /// Scales a number of rounds: a store in a network takes a hundred times as long for one.
    fn times(&self, near: u32) -> u32 {
        let is_far = ["azblob:", "s3:", "sftp:", "swift:", "webdav:"]
            .iter()
            .any(|scheme| self.store.location().starts_with(scheme));
        match (is_far, self.is_wrapped) {
            (false, false) => near,
            (false, true) => near / 2,
            (true, false) => near / 5,
            (true, true) => near / 25,
        }
        .max(1)
    }

    fn has(&self, power: Power) -> bool {
        self.powers.contains(&power)
    }
}

/// Names every test of the suite, for a macro that makes something of each.
macro_rules! suite {
    ($then:ident! $with:tt) => {
        $then! { $with
            a_store_has_the_powers_that_it_should_have
            what_was_stored_is_read_back_whole_and_in_parts
            nothing_but_the_whole_range_is_ever_returned
            an_object_is_replaced_whole
            what_is_missing_is_said_to_be_missing
            an_object_is_removed_once_or_twice
            objects_are_listed_in_order_until_it_is_enough
            a_listing_has_the_order_of_whole_names
            a_listing_takes_whole_components_only
            a_listing_may_remove_what_it_is_shown
            readers_see_one_version_or_another_never_a_mixture
            putting_and_removing_side_by_side_loses_nothing
            of_several_that_make_an_object_one_has_made_it
            a_store_that_can_refuse_to_replace_does
            what_nobody_locked_is_free
            parts_become_one_object_in_the_order_of_their_names
        }
    };
}
pub(super) use suite;

macro_rules! table {
    ({} $($test:ident)*) => {
        /// Every test of the suite, with its name.
        pub const SUITE: &[(&str, fn(&Subject<'_>))] = &[$((stringify!($test), $test)),*];
    };
}
suite! { table! {} }

fn rope(bytes: &[u8]) -> Rope {
    bytes.chunks(7).map(<[u8]>::to_vec).collect()
}

fn put(store: &dyn Store, object: &str, body: &[u8]) {
    store
        .put(&name(object), &rope(body))
        .unwrap_or_else(|error| panic!("{object}: {error}"));
}

fn listed(store: &dyn Store, prefix: &str) -> Vec<ObjectInfo> {
    let mut all = Vec::new();
    let mut keep = |info| {
        all.push(info);
        true
    };
    store.list(prefix, &mut keep).expect("listed");
    all
}

fn names_listed(store: &dyn Store, prefix: &str) -> Vec<String> {
    listed(store, prefix)
        .into_iter()
        .map(|info| info.name.to_string())
        .collect()
}

pub fn what_was_stored_is_read_back_whole_and_in_parts(subject: &Subject<'_>) {
    let store = subject.store;
    let body: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    let many_pieces: Rope = std::iter::once(vec![])
        .chain(body.chunks(11).map(<[u8]>::to_vec))
        .chain([vec![]])
        .collect();
    store
        .put(&name("data/h/n/segments/00000000"), &many_pieces)
        .expect("stored");
    put(store, "empty", b"");
    store
        .put(&name("no-pieces"), &vec![vec![], vec![]])
        .expect("stored");
    assert_eq!(
        store
            .get(&name("data/h/n/segments/00000000"), 100_000)
            .expect("read"),
        body
    );
    for (offset, length) in [
        (0, 100_000),
        (0, 1),
        (99_999, 1),
        (4095, 4098),
        (100_000, 0),
        (5, 0),
    ] {
        let part = store
            .get_range(&name("data/h/n/segments/00000000"), offset, length)
            .expect("read");
        let start = usize::try_from(offset).expect("small");
        assert_eq!(
            part,
            body[start..start + length],
            "{length} bytes at {offset}"
        );
    }
    for lengths in [vec![1], vec![4096, 1, 60_000], vec![100; 500], vec![99_990]] {
        let (mut at, mut came) = (10, 0);
        let mut take = |piece: Vec<u8>| {
            assert_eq!(
                piece,
                body[at..at + lengths[came]],
                "piece {came} of {}",
                lengths.len()
            );
            at += piece.len();
            came += 1;
            came < 300
        };
        store
            .get_pieces(&name("data/h/n/segments/00000000"), 10, &lengths, &mut take)
            .expect("read");
        assert_eq!(came, lengths.len().min(300), "until nobody wants more");
    }
    assert_eq!(store.get(&name("empty"), 0).expect("read"), b"");
    assert_eq!(store.get_range(&name("empty"), 0, 0).expect("read"), b"");
    assert_eq!(store.get(&name("no-pieces"), 9).expect("read"), b"");
    assert_eq!(
        listed(store, "data/"),
        [ObjectInfo {
            name: name("data/h/n/segments/00000000"),
            length: 100_000
        }]
    );
}

pub fn nothing_but_the_whole_range_is_ever_returned(subject: &Subject<'_>) {
    let store = subject.store;
    put(store, "a/b", b"0123456789");
    for (offset, length) in [
        (0, 11),
        (10, 1),
        (9, 2),
        (11, 0),
        (u64::MAX, 1),
        (1, usize::MAX),
        (u64::MAX, usize::MAX),
    ] {
        let error = store
            .get_range(&name("a/b"), offset, length)
            .expect_err("too far");
        assert_eq!(error.kind(), ErrorKind::Short, "{length} bytes at {offset}");
        assert_eq!(error.object(), Some(&name("a/b")));
    }
    for (offset, lengths) in [
        (0, vec![9, 2]),
        (10, vec![1]),
        (u64::MAX, vec![1]),
        (1, vec![usize::MAX, 1]),
    ] {
        let error = store
            .get_pieces(&name("a/b"), offset, &lengths, &mut |_| true)
            .expect_err("too far");
        assert_eq!(
            (error.kind(), error.object()),
            (ErrorKind::Short, Some(&name("a/b"))),
            "{lengths:?} at {offset}"
        );
    }
    assert_eq!(
        store
            .get(&name("a/b"), 9)
            .expect_err("over the limit")
            .kind(),
        ErrorKind::TooLarge
    );
    assert_eq!(
        store
            .get(&name("a/b"), 0)
            .expect_err("over the limit")
            .kind(),
        ErrorKind::TooLarge
    );
    assert_eq!(
        store
            .get(&name("a/b"), u64::MAX)
            .expect("within the limit")
            .len(),
        10
    );
}

pub fn an_object_is_replaced_whole(subject: &Subject<'_>) {
    let store = subject.store;
    put(store, "a/b", b"the first and longer one");
    assert_eq!(store.get_range(&name("a/b"), 4, 5).expect("read"), b"first");
    put(store, "a/b", b"second");
    assert_eq!(store.get(&name("a/b"), 99).expect("read"), b"second");
    assert_eq!(
        store.get_range(&name("a/b"), 0, 6).expect("read"),
        b"second"
    );
    assert_eq!(
        store
            .get_range(&name("a/b"), 4, 5)
            .expect_err("not from the first one")
            .kind(),
        ErrorKind::Short
    );
    assert_eq!(
        listed(store, ""),
        [ObjectInfo {
            name: name("a/b"),
            length: 6
        }]
    );
}

pub fn what_is_missing_is_said_to_be_missing(subject: &Subject<'_>) {
    let store = subject.store;
    put(store, "a/b", b"x");
    for object in ["a", "a/c", "a/b/c", "b", "a/b/c/d"] {
        assert_eq!(
            store.get(&name(object), 9).expect_err("missing").kind(),
            ErrorKind::Missing,
            "{object}"
        );
        assert_eq!(
            store
                .get_range(&name(object), 0, 0)
                .expect_err("missing")
                .kind(),
            ErrorKind::Missing,
            "{object}"
        );
        let pieces = store.get_pieces(&name(object), 0, &[1, 1], &mut |_| {
            panic!("a piece of {object}")
        });
        assert_eq!(
            pieces.expect_err("missing").kind(),
            ErrorKind::Missing,
            "{object}"
        );
    }
    for prefix in ["b/", "a/b/", "a/c/d/"] {
        assert_eq!(listed(store, prefix), [], "{prefix}");
    }
}

pub fn an_object_is_removed_once_or_twice(subject: &Subject<'_>) {
    let store = subject.store;
    put(store, "a/b/c", b"x");
    put(store, "a/d", b"y");
    assert_eq!(store.get_range(&name("a/b/c"), 0, 1).expect("read"), b"x");
    store.delete(&name("a/b/c")).expect("removed");
    store.delete(&name("a/b/c")).expect("it counts as removed");
    store
        .delete(&name("never/was"))
        .expect("it counts as removed");
    store.delete(&name("a")).expect("it is no object");
    assert_eq!(
        store
            .get_range(&name("a/b/c"), 0, 1)
            .expect_err("removed")
            .kind(),
        ErrorKind::Missing
    );
    assert_eq!(names_listed(store, ""), ["a/d"]);
    put(store, "a/b/c", b"again");
    assert_eq!(
        store.get_range(&name("a/b/c"), 0, 5).expect("read"),
        b"again"
    );
}

pub fn objects_are_listed_in_order_until_it_is_enough(subject: &Subject<'_>) {
    let store = subject.store;
    let objects: Vec<_> = (0..subject.times(1000))
        .map(|number| format!("data/{}/segments/{number:08}", number % 3))
        .collect();
    std::thread::scope(|scope| {
        for part in objects.chunks(objects.len() / 8) {
            scope.spawn(move || part.iter().for_each(|object| put(store, object, b"")));
        }
    });
    let mut expected = objects;
    expected.sort();
    assert_eq!(names_listed(store, ""), expected);
    assert_eq!(names_listed(store, "data/"), expected);
    expected.retain(|object| object.starts_with("data/1/"));
    assert_eq!(names_listed(store, "data/1/"), expected);
    let mut seen = 0;
    let mut stop_at_the_third = |info: ObjectInfo| {
        assert_eq!(
            Some(info.name.as_str()),
            expected.get(seen).map(String::as_str)
        );
        seen += 1;
        seen < 3
    };
    store
        .list("data/1/segments/", &mut stop_at_the_third)
        .expect("listed");
    assert_eq!(
        seen, 3,
        "the listing ends when it is told to, in folders above as well"
    );
}

pub fn a_listing_has_the_order_of_whole_names(subject: &Subject<'_>) {
    let store = subject.store;
    let mut objects = [
        "a/x", "a-b", "a.b", "a+b", "a,", "a0", "aa/y", "a%2F", "a~", "A", "Z/a", "_", "a/x-y",
        "a/-", "-", "~", "a=b@c", ".a/b",
    ];
    objects.iter().for_each(|object| put(store, object, b"z"));
    objects.sort_unstable();
    assert_eq!(names_listed(store, ""), objects);
    assert_eq!(names_listed(store, "a/"), ["a/-", "a/x", "a/x-y"]);
}

pub fn a_listing_takes_whole_components_only(subject: &Subject<'_>) {
    let store = subject.store;
    put(store, "aa/b", b"");
    put(store, "a/b", b"");
    assert_eq!(names_listed(store, "a/"), ["a/b"]);
    for prefix in ["a", "/", "../", "a//", "./", "a/.."] {
        store
            .list(prefix, &mut |info| {
                panic!("{} was shown for {prefix}", info.name)
            })
            .expect_err("not a prefix of whole components");
    }
}

pub fn a_listing_may_remove_what_it_is_shown(subject: &Subject<'_>) {
    let store = subject.store;
    (0..50).for_each(|number| put(store, &format!("data/{}/{number}", number % 4), b""));
    put(store, "kept", b"");
    let mut shown = 0;
    let mut remove = |info: ObjectInfo| {
        store.delete(&info.name).expect("removed");
        shown += 1;
        true
    };
    store.list("data/", &mut remove).expect("listed");
    assert_eq!(
        (shown, names_listed(store, "")),
        (50, vec!["kept".to_owned()])
    );
}

pub fn readers_see_one_version_or_another_never_a_mixture(subject: &Subject<'_>) {
    let store = subject.store;
    let version = |number: u8| vec![vec![number; 3000]; 1 + usize::from(number) % 7];
    let object = name("a/b/c");
    store.put(&object, &version(0)).expect("stored");
    let rounds = u8::try_from(subject.times(100)).expect("a hundred at most");
    // A Swift object server that has one copy looks for the newest file in a folder, and then opens
    // it: it may have been replaced in between. The S3 server of these tests is the same one, with
    // another face.
    let may_be_missing = ["swift:", "s3:"]
        .iter()
        .any(|scheme| store.location().starts_with(scheme));
    // Apache asks how long a file is, and then opens it: it may have been replaced by a longer one
    // in between.
    let may_be_cut = store.location().starts_with("webdav:");
    let there = |read: Result<Vec<u8>, store::Error>| match read {
        Err(error) if may_be_missing && error.kind() == ErrorKind::Missing => None,
        read => Some(read.expect("always there, and long enough")),
    };
    std::thread::scope(|scope| {
        for half in 0..2 {
            let object = &object;
            scope.spawn(move || {
                (0..rounds).for_each(|number| {
                    store
                        .put(object, &version(2 * number + half))
                        .expect("stored")
                })
            });
        }
        for _ in 0..2 {
            scope.spawn(|| {
                for _ in 0..3 * u16::from(rounds) {
                    if let Some(body) = there(store.get(&object, 1 << 20)) {
                        let whole = version(body[0]).concat();
                        let is_cut = may_be_cut
                            && body.len() < whole.len()
                            && body.iter().all(|byte| *byte == body[0]);
                        let of_it = body.iter().take_while(|byte| **byte == body[0]).count();
                        assert!(
                            body == whole || is_cut,
                            "{of_it} bytes of {}, and {} others",
                            whole.len(),
                            body.len() - of_it
                        );
                    }
                    if let Some(part) = there(store.get_range(&object, 1000, 2000)) {
                        assert_eq!(part, vec![part[0]; 2000]);
                    }
                }
            });
        }
    });
}

pub fn putting_and_removing_side_by_side_loses_nothing(subject: &Subject<'_>) {
    let store = subject.store;
    std::thread::scope(|scope| {
        for worker in 0..4 {
            scope.spawn(move || {
                for round in 0..subject.times(60) {
                    let object = name(&format!("data/deep/{}/{worker}", round % 2));
                    store
                        .put(&object, &rope(b"body"))
                        .expect("stored, whatever others remove beside it");
                    assert_eq!(store.get(&object, 9).expect("read"), b"body");
                    store.delete(&object).expect("removed");
                }
            });
        }
    });
    assert_eq!(listed(store, ""), []);
}

pub fn of_several_that_make_an_object_one_has_made_it(subject: &Subject<'_>) {
    let store = subject.store;
    for round in 0..subject.times(30) {
        let object = name(&format!("new/{round}"));
        let make = |writer: u8| {
            store
                .put_new(&object, &rope(&[writer; 100]))
                .expect("answered")
        };
        let made: Vec<Created> = std::thread::scope(|scope| {
            let make = &make;
            let all: Vec<_> = (0..6_u8)
                .map(|writer| scope.spawn(move || make(writer)))
                .collect();
            all.into_iter()
                .map(|one| one.join().expect("no panic"))
                .collect()
        });
        if !subject.has(Power::CreateOnce) {
            assert_eq!(made, [Created::Cannot; 6]);
            assert_eq!(
                store
                    .get(&object, 100)
                    .expect_err("nothing was done")
                    .kind(),
                ErrorKind::Missing
            );
            continue;
        }
        assert_eq!(
            made.iter().filter(|made| **made == Created::New).count(),
            1,
            "{made:?}"
        );
        let winner = made
            .iter()
            .position(|made| *made == Created::New)
            .expect("one of them");
        assert_eq!(
            store.get(&object, 100).expect("there"),
            vec![u8::try_from(winner).expect("few"); 100]
        );
        assert_eq!(
            store.put_new(&object, &rope(b"later")).expect("answered"),
            Created::WasThere
        );
        store.put(&object, &rope(b"in its place")).expect("stored");
        store.delete(&object).expect("removed");
        assert_eq!(
            store.put_new(&object, &rope(b"again")).expect("answered"),
            Created::New
        );
    }
}

pub fn a_store_that_can_refuse_to_replace_does(subject: &Subject<'_>) {
    let store = subject.store;
    let object = name("new/one");
    assert!(
        store
            .put_unless_there(&object, &rope(b"first"))
            .expect("answered"),
        "nothing was there"
    );
    assert_eq!(store.get(&object, 9).expect("there"), b"first");
    let replaced = store
        .put_unless_there(&object, &rope(b"second"))
        .expect("answered");
    assert_eq!(
        store.get(&object, 9).expect("there"),
        if replaced {
            b"second".to_vec()
        } else {
            b"first".to_vec()
        }
    );
    // Swift's own S3 interface, which these tests have for S3, does not hand the wish on.
    let is_heard = !store.location().starts_with("s3:");
    assert_eq!(
        replaced,
        !(is_heard && subject.has(Power::PutUnlessThere)),
        "{}",
        store.location()
    );
    store.delete(&object).expect("removed");
    assert!(
        store
            .put_unless_there(&object, &rope(b"third"))
            .expect("answered")
    );
}

pub fn a_store_has_the_powers_that_it_should_have(subject: &Subject<'_>) {
    assert_eq!(Power::of(&subject.store.powers()), subject.powers);
}

pub fn what_nobody_locked_is_free(subject: &Subject<'_>) {
    let store = subject.store;
    put(store, "a/b", b"x");
    for object in ["a/b", "a/c"] {
        let until = store.held_until(&name(object)).expect("answered");
        assert_eq!(until, None, "{object}");
    }
}

pub fn parts_become_one_object_in_the_order_of_their_names(subject: &Subject<'_>) {
    let store = subject.store;
    let Some(join) = store.powers().join else {
        return;
    };
    for number in [2, 0, 1] {
        let body = format!("part {number}, ");
        put(store, &format!("parts/{number}"), body.as_bytes());
    }
    join(&name("whole"), "parts/", 3).expect("joined");
    let whole = store.get(&name("whole"), 99).expect("there");
    assert_eq!(whole, b"part 0, part 1, part 2, ");
}

#[derive(Clone, Debug)]
pub enum Step {
    Put(&'static str, Vec<u8>),
    Delete(&'static str),
    Range(&'static str, u64, usize),
    List(&'static str),
}

pub fn step() -> impl Strategy<Value = Step> {
    let object = proptest::sample::select(vec!["a/b", "a/c/d", "a-b", "b/a", "b/a.x", "c"]);
    let prefix = proptest::sample::select(vec!["", "a/", "a/c/", "b/", "x/"]);
    prop_oneof![
        (
            object.clone(),
            proptest::collection::vec(any::<u8>(), 0..40)
        )
            .prop_map(|(object, body)| Step::Put(object, body)),
        object.clone().prop_map(Step::Delete),
        (object, 0_u64..50, 0_usize..50)
            .prop_map(|(object, offset, length)| Step::Range(object, offset, length)),
        prefix.prop_map(Step::List),
    ]
}

pub fn it_behaves_like_a_map(store: &dyn Store, steps: &[Step]) -> Result<(), TestCaseError> {
    let mut map: BTreeMap<&str, Vec<u8>> = BTreeMap::new();
    for step in steps {
        match step {
            Step::Put(object, body) => {
                store.put(&name(object), &rope(body)).expect("stored");
                map.insert(object, body.clone());
            }
            Step::Delete(object) => {
                store.delete(&name(object)).expect("removed");
                map.remove(object);
            }
            Step::Range(object, offset, length) => {
                let start = usize::try_from(*offset).expect("small");
                let expected = match map.get(object) {
                    None => Err(ErrorKind::Missing),
                    Some(body) => body
                        .get(start..start + length)
                        .map(<[u8]>::to_vec)
                        .ok_or(ErrorKind::Short),
                };
                prop_assert_eq!(
                    store
                        .get_range(&name(object), *offset, *length)
                        .map_err(|error| error.kind()),
                    expected
                );
            }
            Step::List(prefix) => {
                let expected: Vec<_> = map
                    .iter()
                    .filter(|(object, _)| object.starts_with(prefix))
                    .map(|(object, body)| ObjectInfo {
                        name: name(object),
                        length: body.len() as u64,
                    })
                    .collect();
                prop_assert_eq!(listed(store, prefix), expected);
            }
        }
    }
    Ok(())
}
