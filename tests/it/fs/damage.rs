//! Damage in the store: an error for the files it hits, while all others read.

use crate::support::stored_tree::{Planned, Recipe, StoredTree};
use freezer::fs::view::{ROOT, View};
use freezer::fs::{Errno, ReadError};
use freezer::model::{Kind, NodeId};
use freezer::store::memory::MemoryStore;
use freezer::store::{ObjectName, Store, StoreExt};
use std::ops::ControlFlow;
use std::sync::Arc;

fn tree() -> Vec<Planned> {
    let noise = |seed: u32| -> Vec<u8> {
        let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(1);
        let step = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state.to_be_bytes()[0]
        };
        std::iter::repeat_with(step).take(900).collect()
    };
    let files = (0..500).map(|number| Planned::file(&format!("file {number:05}"), noise(number)));
    std::iter::once(Planned::directory(""))
        .chain(files)
        .collect()
}

fn objects(store: &dyn Store) -> Vec<(ObjectName, u64)> {
    let mut objects = Vec::new();
    store
        .list("data/", &mut |object| {
            objects.push((object.name, object.length));
            true
        })
        .expect("listed");
    objects
}

/// Reads everything. Returns how many files failed. Panics where bytes are wrong rather than
/// missing.
fn read_all(view: &View, tree: &[Planned]) -> usize {
    let mut failed = 0;
    for (number, planned) in tree
        .iter()
        .enumerate()
        .filter(|(_, planned)| planned.entry.content.kind() == Kind::File)
    {
        let mut buffer = [0; 1000];
        match view
            .file(NodeId(number as u64))
            .and_then(|file| file.read(0, &mut buffer))
        {
            Ok(length) => assert_eq!(
                &buffer[..length],
                planned.data[0].1,
                "wrong bytes were served"
            ),
            Err(error) => {
                assert_eq!(error.errno(), Errno::Io, "{error:?}");
                failed += 1;
            }
        }
    }
    failed
}

fn list_all(view: &View) -> Result<usize, ReadError> {
    let mut names = 0;
    view.list(ROOT, None, |_| {
        names += 1;
        ControlFlow::Continue(())
    })?;
    Ok(names)
}

enum Harm {
    Flip(usize),
    Cut,
    Delete,
    Swap(ObjectName),
}

fn harm(store: &dyn Store, name: &ObjectName, harm: &Harm) {
    let mut body = store.get(name, u64::MAX).expect("there");
    match harm {
        Harm::Flip(at) => body[*at] ^= 0x10,
        Harm::Cut => body.truncate(body.len() / 2),
        Harm::Delete => return store.delete(name).expect("deleted"),
        Harm::Swap(other) => {
            let others = store.get(other, u64::MAX).expect("there");
            store.put(other, &vec![body.clone()]).expect("stored");
            body = others;
        }
    }
    store.put(name, &vec![body]).expect("stored");
}

#[test]
fn damage_is_an_error_for_the_files_it_hits_and_all_others_read() {
    for encrypted in [true, false] {
        let tree = tree();
        let recipe = Recipe {
            encrypted,
            frame_bytes: 30_000,
            segment_bytes: 100_000,
            ..Recipe::default()
        };
        let fresh = || StoredTree::write(Arc::new(MemoryStore::default()), tree.clone(), recipe);
        let names = objects(&*fresh().store);
        assert!(names.len() > 5, "{names:?}");
        for (place, (name, length)) in names.iter().enumerate() {
            let lane =
                |name: &ObjectName| name.as_str().rsplit('/').nth(1).expect("a lane").to_owned();
            let other = names[(place + 1) % names.len()].0.clone();
            let other = Some(other).filter(|other| lane(other) == lane(name) && other != name);
            let middle = usize::try_from(*length / 2).expect("small");
            let last = usize::try_from(length - 1).expect("small");
            let harms = [
                ("flip", Harm::Flip(middle)),
                ("flip the last", Harm::Flip(last)),
                ("cut", Harm::Cut),
                ("delete", Harm::Delete),
            ];
            for (what, harm_done) in harms
                .into_iter()
                .chain(other.map(|other| ("swap", Harm::Swap(other))))
            {
                let stored = fresh();
                harm(&*stored.store, name, &harm_done);
                let view = stored.view();
                let failed = read_all(&view, &tree);
                let listed = list_all(&view);
                let all = tree.len() - 1;
                assert!(
                    failed > 0 || listed.is_err(),
                    "{what} of {name} went unnoticed"
                );
                match (&lane(name)[..], what) {
                    ("segments", _) => {
                        assert_eq!(listed.expect("the index is sound"), all);
                        assert!(
                            failed < all,
                            "{what} of {name}: {failed} of {all} files failed"
                        );
                    }
                    ("index", "flip") => assert!(
                        failed < all,
                        "{what} of {name}: {failed} of {all} files failed"
                    ),
                    _ => (),
                }
            }
        }
    }
}

#[test]
fn an_error_names_the_segment() {
    let stored = StoredTree::write(Arc::new(MemoryStore::default()), tree(), Recipe::default());
    let (name, _) = objects(&*stored.store)
        .into_iter()
        .find(|(name, _)| name.as_str().contains("/segments/"))
        .expect("a segment");
    harm(&*stored.store, &name, &Harm::Flip(100));
    let error = stored
        .view()
        .file(NodeId(1))
        .expect("the index is sound")
        .read(0, &mut [0; 10])
        .expect_err("damaged");
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    assert!(
        text.contains(name.as_str()) && text.contains("frame 0"),
        "{text}"
    );
}
