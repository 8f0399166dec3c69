//! The damage matrix for frame tables of several blocks. A backup of so many frames would take
//! long, so the level is written by hand.

use super::{harms, short_frames, tree_of_many_files};
use crate::support::reading::{self, Readable, Whole};
use crate::support::stored_tree::{StoredTree, reader};
use freezer::catalog::objects_below;
use freezer::store::memory::MemoryStore;
use freezer::store::{ObjectName, Store, StoreExt};
use std::sync::Arc;

fn stored(encrypted: bool) -> StoredTree {
    StoredTree::write(
        Arc::new(MemoryStore::default()),
        tree_of_many_files(),
        short_frames(encrypted),
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
    let data = objects_below(stored.store.as_ref(), "data/").expect("listed");
    data.into_iter()
        .map(|object| object.name)
        .filter(|name| name.as_str().contains("/frames/"))
        .collect()
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
