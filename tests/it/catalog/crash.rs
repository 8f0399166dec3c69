//! Publishing and withdrawing levels, cut off at every call to the store in turn.

use super::{back_up, backup, catalog, data_of, level, objects};
use freezer::catalog::names::LevelOf;
use freezer::model::LevelId;
use freezer::store::altered::{Alteration, Altered};
use freezer::store::faulty::{Fault, Faulty};
use freezer::store::memory::MemoryStore;
use freezer::store::{self, ErrorKind, Store, StoreExt};
use std::sync::{Arc, Once};

/// Asserts that exactly these levels exist, and everything that they name.
#[track_caller]
fn assert_whole(store: &Arc<MemoryStore>, expected: &[LevelId]) {
    let docs = backup("h", "docs");
    assert_eq!(catalog(store).levels(&docs).expect("listed"), expected);
    for level in expected {
        assert_eq!(
            catalog(store).manifest(&docs, level, 99).expect("read"),
            b"manifest"
        );
        for object in data_of(&docs, level) {
            store
                .get(&object, 99)
                .expect("what an existing level names exists");
        }
    }
}

fn one_level() -> MemoryStore {
    let store = Arc::new(MemoryStore::default());
    back_up(&store, &backup("h", "docs"), &level(0)).expect("no fault");
    Arc::into_inner(store).expect("nobody else holds it")
}

#[test]
fn a_run_cut_off_at_any_call_leaves_no_level_and_what_it_left_can_be_removed() {
    let docs = backup("h", "docs");
    let calls = {
        let store = Arc::new(Faulty::new(one_level()));
        back_up(&store, &docs, &level(1)).expect("no fault");
        assert_whole(&store.mended(), &[level(0), level(1)]);
        store.calls().all()
    };
    for cut in 0..calls {
        let store = Arc::new(Faulty::cut_at(one_level(), cut));
        back_up(&store, &docs, &level(1)).expect_err("the cut must be reported");
        let mended = store.mended();
        assert_whole(&mended, &[level(0)]);

        let left = if cut == 0 {
            vec![]
        } else {
            vec![LevelOf {
                backup: docs.clone(),
                level: level(1),
            }]
        };
        assert_eq!(
            catalog(&mended).leftovers(None).expect("listed"),
            left,
            "cut at call {cut}"
        );
        assert_eq!(
            catalog(&mended).leftovers(Some(&docs)).expect("listed"),
            left,
            "cut at call {cut}"
        );
        assert_eq!(
            catalog(&mended)
                .leftovers(Some(&backup("h", "other")))
                .expect("listed"),
            []
        );
        back_up(&mended, &docs, &level(2)).expect("the next run needs no repair");
        left.iter().for_each(|of| {
            catalog(&mended)
                .withdraw(&of.backup, &of.level)
                .expect("removed")
        });
        assert_whole(&mended, &[level(0), level(2)]);
        assert_eq!(catalog(&mended).leftovers(None).expect("listed"), []);
        assert_eq!(
            objects(&*mended).len(),
            2 * 7,
            "nothing is left of the run that was cut at call {cut}"
        );
    }
}

#[test]
fn a_level_whose_removal_is_cut_off_at_any_call_is_whole_or_gone_and_the_rest_stays() {
    let docs = backup("h", "docs");
    let two_levels = || {
        let store = Arc::new(one_level());
        back_up(&store, &docs, &level(1)).expect("no fault");
        Arc::into_inner(store).expect("nobody else holds it")
    };
    let calls = {
        let store = Arc::new(Faulty::new(two_levels()));
        catalog(&store)
            .withdraw(&docs, &level(0))
            .expect("no fault");
        store.calls().all()
    };
    assert_eq!(calls, 8, "a manifest, a listing, six objects");
    for cut in 0..calls {
        for fault in [Fault::at_any(cut), Fault::at_any(cut).after_effect()] {
            let store = Arc::new(Faulty::new(two_levels()).with(fault.for_good()));
            catalog(&store)
                .withdraw(&docs, &level(0))
                .expect_err("the cut must be reported");
            let mended = store.mended();
            let gone = objects(&*mended).len() < 14;
            assert_eq!(
                gone,
                cut > 0 || fault != Fault::at_any(cut),
                "{fault:?}: the first call makes it not exist"
            );
            assert_whole(
                &mended,
                [level(0), level(1)].get(usize::from(gone)..).expect("two"),
            );

            catalog(&mended)
                .withdraw(&docs, &level(0))
                .expect("it can be repeated");
            assert_whole(&mended, &[level(1)]);
            assert_eq!(objects(&*mended).len(), 7, "{fault:?}");
        }
    }
}

#[test]
fn a_lost_answer_to_the_last_put_leaves_a_whole_level() {
    let docs = backup("h", "docs");
    let store = Arc::new(
        Faulty::new(one_level()).with(Fault::at(freezer::store::Operation::Put, 6).after_effect()),
    );
    back_up(&store, &docs, &level(1)).expect_err("the answer was lost");
    assert_whole(&store.mended(), &[level(0), level(1)]);
}

#[test]
fn an_existing_level_is_never_replaced() {
    let docs = backup("h", "docs");
    let store = Arc::new(one_level());
    let error = catalog(&store)
        .publish(&docs, &level(0), b"another".to_vec())
        .expect_err("it exists");
    assert_eq!(
        error.to_string(),
        format!("level {} of h/docs exists already", level(0))
    );
    assert_whole(&store, &[level(0)]);
}

#[test]
fn a_store_that_cannot_say_whether_a_level_exists_is_not_written_to() {
    let store = Arc::new(
        Faulty::new(one_level())
            .with(Fault::at(freezer::store::Operation::Get, 0).with_kind(ErrorKind::Denied)),
    );
    catalog(&store)
        .publish(&backup("h", "docs"), &level(0), b"another".to_vec())
        .expect_err("denied");
    assert_whole(&store.mended(), &[level(0)]);
}

/// A store in which a run publishes its level after the first listing.
struct PublishedBetweenListings {
    inner: MemoryStore,
    level: (store::ObjectName, Once),
}

impl Alteration for PublishedBetweenListings {
    fn inner(&self) -> &dyn Store {
        &self.inner
    }

    fn list(
        &self,
        prefix: &str,
        found: &mut dyn FnMut(store::ObjectInfo) -> bool,
    ) -> Result<(), store::Error> {
        let listed = self.inner.list(prefix, found);
        self.level.1.call_once(|| {
            self.inner
                .put(&self.level.0, &vec![b"manifest".to_vec()])
                .expect("no fault")
        });
        listed
    }
}

#[test]
fn a_level_that_is_published_while_leftovers_are_looked_for_is_none() {
    let docs = backup("h", "docs");
    let manifest = freezer::catalog::names::manifest_name(&docs, &level(0));
    let store = Arc::new(Altered(PublishedBetweenListings {
        inner: MemoryStore::default(),
        level: (manifest, Once::new()),
    }));
    for object in data_of(&docs, &level(0)) {
        store.put(&object, &vec![]).expect("no fault");
    }
    assert_eq!(catalog(&store).leftovers(None).expect("listed"), []);
    assert_eq!(catalog(&store).levels(&docs).expect("listed"), [level(0)]);
}

#[test]
fn what_is_no_object_of_a_level_stays_when_its_data_is_removed() {
    let docs = backup("h", "docs");
    let stranger = |level: &LevelId| {
        let below = freezer::catalog::names::level_prefix(&docs, level);
        store::ObjectName::new(format!("{below}segments/letter.txt")).expect("legal")
    };
    let store = Arc::new(one_level());
    for object in data_of(&docs, &level(1))
        .into_iter()
        .chain([0, 1].map(|at| stranger(&level(at))))
    {
        store.put(&object, &vec![b"x".to_vec()]).expect("no fault");
    }
    catalog(&store).withdraw(&docs, &level(0)).expect("removed");
    assert!(
        catalog(&store)
            .remove_leftover(&docs, &level(1))
            .expect("removed")
    );
    let mut left = objects(&*store);
    left.sort_unstable();
    assert_eq!(left, [0, 1].map(|at| stranger(&level(at)).to_string()));
    assert!(
        !catalog(&store)
            .remove_leftover(&docs, &level(1))
            .expect("nothing of it is there")
    );
}
