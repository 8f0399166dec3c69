//! The damage matrix for frame tables of several blocks: that many frames take long to back up, so
//! the level is written by hand.

use super::harms;
use crate::support::reading::{self, Readable, Whole};
use crate::support::stored_tree::{Planned, Recipe, StoredTree, reader};
use crate::support::torture::noise;
use freezer::store::memory::MemoryStore;
use freezer::store::{ObjectInfo, ObjectName, Store, StoreExt};
use std::sync::Arc;

fn stored(encrypted: bool) -> StoredTree {
    let files =
        (0..200).map(|number| Planned::file(&format!("file {number:05}"), noise(number, 1000)));
    let recipe = Recipe {
        encrypted,
        frame_bytes: 150,
        segment_bytes: 5_000,
        ..Recipe::default()
    };
    StoredTree::write(
        Arc::new(MemoryStore::default()),
        std::iter::once(Planned::directory("")).chain(files),
        recipe,
    )
}

fn whole(stored: &StoredTree) -> Whole {
    let view = stored.view();
    view.all()
        .map(|entry| {
            let (_, entry) = entry.expect("sound");
            let content = reading::content(&view, &entry).expect("sound");
            (entry, content)
        })
        .collect()
}

fn objects(stored: &StoredTree) -> Vec<ObjectName> {
    let mut found = Vec::new();
    let mut each = |object: ObjectInfo| {
        found.push(object.name);
        true
    };
    stored.store.list("data/", &mut each).expect("listed");
    found.retain(|name| name.as_str().contains("/frames/"));
    found
}

#[test]
fn damage_to_a_frame_table_is_an_error_for_what_it_hits_and_everything_else_reads() {
    for encrypted in [true, false] {
        let stored = stored(encrypted);
        let whole = whole(&stored);
        let all = Readable::all_of(&whole);
        let names = objects(&stored);
        assert!(names.len() > 1, "{names:?}");
        let body = |name: &ObjectName| stored.store.get(name, u64::MAX).expect("it is there");
        let examine = |what: &str| {
            let readable = reading::examine(&stored.view_through(&reader(1 << 20)), &whole, what);
            assert_eq!(
                readable.entries, all.entries,
                "{what}: the index is not hurt"
            );
            readable
        };
        for name in &names {
            let sound = body(name);
            for (kind, harmed) in harms(&sound) {
                let what = format!("{name} {kind}");
                let unharmed = harmed
                    .as_ref()
                    .is_some_and(|harmed| harmed.starts_with(&sound));
                match harmed {
                    Some(harmed) => stored.store.put(name, &vec![harmed]).expect("stored"),
                    None => stored.store.delete(name).expect("removed"),
                }
                let readable = examine(&what);
                assert_eq!(readable == all, unharmed, "{what}: {readable:?}");
                assert!(
                    readable.files > all.files / 4,
                    "{what}: only {} of {} files are left",
                    readable.files,
                    all.files
                );
                stored
                    .store
                    .put(name, &vec![sound.clone()])
                    .expect("stored");
            }
        }
        let (first, last) = (&names[0], &names[names.len() - 1]);
        let swapped = [body(first), body(last)];
        for (name, body) in [last, first].into_iter().zip(&swapped) {
            stored.store.put(name, &vec![body.clone()]).expect("stored");
        }
        assert!(
            examine("swapped").files < all.files,
            "two objects swapped: not noticed"
        );
    }
}
