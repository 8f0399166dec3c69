//! One suite for every store: every kind alone, and every wrapper over every kind.
//!
//! `suite` holds the tests, `wrappers` the table of wrappers. A new kind is a line in
//! [`conformance`] below, and a new wrapper a line in [`wrappers`]. Alone, each test of a kind is a
//! test here. Wrapped, all tests of the suite are one test, as it takes longer to start a process
//! and find its server than to run most of them; its last line names the tests that failed.

mod suite;
mod wrappers;

use freezer::store::Store;
use freezer::store::faulty::Faulty;
use freezer::store::local::Local;
use freezer::store::memory::MemoryStore;
use freezer::store::{ObjectName, Operation, StoreExt};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use suite::{Power, SUITE, Subject};
use wrappers::{Wrap, Wrapped, wrappers};

/// A fresh, empty store, and everything that has to live as long.
type Fresh = (Arc<dyn Store>, Box<dyn Any>);

fn fresh(store: impl Store + 'static, kept: impl Any) -> Fresh {
    (Arc::new(store), Box::new(kept))
}

/// One module of tests for each kind: the powers it has, and an expression that makes a store.
macro_rules! conformance {
    ($(
        $(#[cfg($cfg:meta)])? $(#[ignore = $why:literal])?
        $kind:ident: [$($power:ident)*], $fresh:expr;
    )*) => { $(
        $(#[cfg($cfg)])?
        mod $kind {
            use super::*;

            const POWERS: &[Power] = &[$(Power::$power),*];

            fn fresh() -> Fresh {
                $fresh
            }

            suite::suite! { tests_alone! { $(#[ignore = $why])? } }
            wrappers! { tests_wrapped! { $(#[ignore = $why])? } }
        }
    )* };
}

/// A test of a kind alone for each test of the suite.
macro_rules! tests_alone {
    ($marks:tt $($test:ident)*) => {
        $(test_alone! { $marks $test })*
        test_alone_like_a_map! { $marks }
    };
}

macro_rules! test_alone {
    ({ $($marks:tt)* } $test:ident) => {
        #[test]
        $($marks)*
        fn $test() {
            let (store, _kept) = fresh();
            super::suite::$test(&Subject {
                store: &store,
                powers: POWERS.to_vec(),
                is_wrapped: false,
            });
        }
    };
}

macro_rules! test_alone_like_a_map {
    ({ $($marks:tt)* }) => {
        #[test]
        $($marks)*
        fn it_behaves_like_a_map() {
            super::like_a_map(10, &|| fresh());
        }
    };
}

/// A test of a wrapped kind for each wrapper.
macro_rules! tests_wrapped {
    ($marks:tt $($wrapper:ident: keeps $keeps:expr, adds $adds:expr, $wrap:expr;)*) => {
        mod wrapped {
            use super::*;

            $(test_wrapped! { $marks $wrapper: keeps $keeps, adds $adds, $wrap })*
        }
    };
}

macro_rules! test_wrapped {
    ({ $($marks:tt)* } $wrapper:ident: keeps $keeps:expr, adds $adds:expr, $wrap:expr) => {
        #[test]
        $($marks)*
        fn $wrapper() {
            let kept = POWERS.iter().filter(|power| $keeps.contains(power));
            let expected: Vec<Power> = kept.chain($adds).copied().collect();
            super::super::every_test(&expected, &fresh, &$wrap);
        }
    };
}

conformance! {
    memory: [CreateOnce], fresh_memory();
    local: [CreateOnce], {
        let folder = tempfile::tempdir().expect("a folder");
        super::fresh(Local::open(folder.path()).expect("a store"), folder)
    };
    #[cfg(unix)]
    #[ignore = "needs an SSH server, which tests/env/sshd.sh installs and starts"]
    sftp: [CreateOnce], super::fresh(crate::store::remote::sftp(), ());
    #[cfg(unix)]
    #[ignore = "needs Swift, which tests/env/swift.sh installs and starts"]
    s3: [PutUnlessThere HeldUntil], super::fresh(crate::store::remote::s3("conformance"), ());
    #[cfg(unix)]
    #[ignore = "needs Swift, which tests/env/swift.sh installs and starts"]
    swift_with_its_own_login: [PutUnlessThere Join],
        super::fresh(crate::store::remote::swift_v1("conformance"), ());
    #[cfg(unix)]
    #[ignore = "needs Swift and Keystone, which tests/env installs and starts"]
    swift_with_keystone: [PutUnlessThere Join],
        super::fresh(crate::store::remote::swift_keystone("conformance"), ());
    #[cfg(unix)]
    #[ignore = "needs a WebDAV server, which tests/env/webdav.sh installs and starts"]
    webdav: [], super::fresh(crate::store::remote::webdav(), ());
    #[cfg(all(unix, feature = "azblob"))]
    #[ignore = "needs Azurite, which tests/env/azurite.sh installs and starts"]
    azblob: [PutUnlessThere], super::fresh(crate::store::remote::azblob(), ());
}

fn fresh_memory() -> Fresh {
    fresh(MemoryStore::default(), ())
}

/// Runs the whole suite over a wrapped kind.
fn every_test(powers: &[Power], fresh: &dyn Fn() -> Fresh, wrap: &Wrap) {
    let wrapped = || {
        let (store, kept) = fresh();
        Wrapped::new(store, kept, wrap)
    };
    let mut failed = Vec::new();
    for (name, test) in SUITE {
        let run = || {
            let wrapped = wrapped();
            test(&Subject {
                store: &wrapped.store,
                powers: powers.to_vec(),
                is_wrapped: true,
            });
        };
        if catch_unwind(AssertUnwindSafe(run)).is_err() {
            failed.push(*name);
        }
    }
    assert!(failed.is_empty(), "failed, as told above: {failed:?}");
    like_a_map(2, &|| {
        let wrapped = wrapped();
        (Arc::clone(&wrapped.store), Box::new(wrapped))
    });
}

/// Does random things to a store and to a map, and compares.
fn like_a_map(cases: u32, fresh: &dyn Fn() -> Fresh) {
    let mut runner = TestRunner::new(ProptestConfig::with_cases(cases));
    let steps = proptest::collection::vec(suite::step(), 1..30);
    runner
        .run(&steps, |steps| {
            let (store, _kept) = fresh();
            suite::it_behaves_like_a_map(&store, &steps)
        })
        .unwrap_or_else(|error| panic!("{error}"));
}

/// A request for many pieces stays one request, whatever the store is wrapped in.
macro_rules! tests_of_one_request {
    ({} $($wrapper:ident: keeps $keeps:expr, adds $adds:expr, $wrap:expr;)*) => {
        mod many_pieces_are_one_request {
            use super::*;

            $(
                #[test]
                fn $wrapper() {
                    super::many_pieces_are_one_request(&$wrap);
                }
            )*
        }
    };
}

wrappers! { tests_of_one_request! {} }

fn many_pieces_are_one_request(wrap: &Wrap) {
    let counted = Arc::new(Faulty::new(MemoryStore::default()));
    let wrapped = Wrapped::new(counted.clone(), Box::new(()), wrap);
    let object = ObjectName::new("data/a").expect("legal");
    let body: Vec<u8> = (0..=99).collect();
    counted.put(&object, &vec![body.clone()]).expect("stored");
    let mut come = Vec::new();
    let mut take = |piece: Vec<u8>| {
        come.push(piece);
        true
    };
    wrapped
        .store
        .get_pieces(&object, 0, &[10; 10], &mut take)
        .expect("read");
    let expected: Vec<Vec<u8>> = body.chunks(10).map(<[u8]>::to_vec).collect();
    assert_eq!(come, expected);
    assert_eq!(counted.calls().of(Operation::Get), 1, "one request");
}
