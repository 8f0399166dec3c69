//! Repairs of frame tables of several blocks, by the headers of the frames.

use super::repair::{everything, repair_all};
use super::{Change, Readable, harms, short_frames, tree_of_many_files};
use crate::support::stored_tree::StoredTree;
use crate::support::{backup, reading};
use freezer::catalog::{Access, lost_parts, names};
use freezer::format::frame::Sealer;
use freezer::store::Store;
use freezer::store::memory::MemoryStore;
use std::sync::Arc;

/// Writes a level with a frame table of several blocks by hand, in a store that opens.
fn with_long_table(encrypted: bool) -> (Arc<MemoryStore>, Access, StoredTree) {
    let store = Arc::new(MemoryStore::default());
    let access = if encrypted {
        backup::create_encrypted(store.clone())
    } else {
        backup::create_plain(store.clone())
    };
    let stored = StoredTree::write_level(
        store.clone(),
        tree_of_many_files(),
        short_frames(encrypted),
        access.store_id(),
        access.protection(),
    );
    let sealer = Sealer::new(
        access.store_id(),
        stored.manifest.id.clone(),
        access.protection(),
    );
    let sealed = stored.manifest.seal(&sealer).expect("sealed");
    store
        .put(
            &names::manifest_name(&stored.backup, &stored.manifest.id),
            &vec![sealed],
        )
        .expect("stored");
    (store, access, stored)
}

#[test]
fn a_frame_table_is_written_again_from_the_headers_of_its_frames_and_without_headers_left_alone() {
    for encrypted in [true, false] {
        let (store, access, stored) = with_long_table(encrypted);
        let whole = reading::whole(&access, &stored.backup, &stored.manifest.id);
        let all = Readable::all_of(&whole);
        let tables: Vec<_> = everything(store.as_ref())
            .into_iter()
            .filter(|(name, _)| name.as_str().contains("/frames/"))
            .collect();
        assert!(tables.len() > 1, "{} objects", tables.len());
        let read = |what: &str| {
            let view = reading::open(
                &access,
                &stored.backup,
                &stored.manifest.id,
                &reading::reader(),
            )
            .expect("it opens");
            reading::examine(&view, &whole, what)
        };
        let mut cases: Vec<(String, Vec<Change>)> = Vec::new();
        for (name, body) in &tables {
            cases.extend(harms(body).into_iter().map(|(kind, harmed)| {
                (format!("{name} {kind}"), vec![Change(name.clone(), harmed)])
            }));
        }
        cases.push((
            "all tables deleted".to_owned(),
            tables
                .iter()
                .map(|(name, _)| Change(name.clone(), None))
                .collect(),
        ));
        for (what, changes) in cases {
            let is_hurt = changes.iter().any(|Change(name, harmed)| {
                let body = &tables
                    .iter()
                    .find(|(other, _)| other == name)
                    .expect("one of them")
                    .1;
                !harmed
                    .as_ref()
                    .is_some_and(|harmed| harmed.starts_with(body))
            });
            for Change(name, harmed) in changes {
                match harmed {
                    Some(harmed) => store.put(&name, &vec![harmed]).expect("stored"),
                    None => store.delete(&name).expect("removed"),
                }
            }
            let before = read(&what);
            let (repaired, _) = repair_all(&access, &stored.backup);
            let after = read(&what);
            if encrypted {
                assert_eq!(after, all, "{what}: {repaired:?}");
                assert_eq!(
                    repaired.frame_tables.mended > 0,
                    is_hurt,
                    "{what}: {repaired:?}"
                );
                assert!(
                    repaired.frame_tables.left == 0 && repaired.lost.is_empty(),
                    "{what}: {repaired:?}"
                );
            } else {
                assert_eq!(after, before, "{what}");
                assert_eq!(
                    repaired.frame_tables.left > 0,
                    is_hurt,
                    "{what}: {repaired:?}"
                );
                assert_eq!(
                    !lost_parts(store.as_ref(), &stored.backup)
                        .expect("listed")
                        .is_empty(),
                    is_hurt,
                    "{what}"
                );
            }
            for (name, body) in &tables {
                store.put(name, &vec![body.clone()]).expect("stored");
            }
            // Everything is back, files that were noted as lost included.
            repair_all(&access, &stored.backup);
            assert!(
                lost_parts(store.as_ref(), &stored.backup)
                    .expect("listed")
                    .is_empty(),
                "{what}"
            );
        }
    }
}

#[test]
fn a_frame_table_whose_segments_are_hurt_too_is_not_guessed() {
    let (store, access, stored) = with_long_table(true);
    let whole = reading::whole(&access, &stored.backup, &stored.manifest.id);
    let objects = everything(store.as_ref());
    let table = objects
        .keys()
        .find(|name| name.as_str().contains("/frames/"))
        .expect("one");
    let segments: Vec<_> = objects
        .keys()
        .filter(|name| name.as_str().contains("/segments/"))
        .collect();
    for harm in 0..3 {
        let segment = segments[1];
        let mut body = objects[segment].clone();
        match harm {
            0 => body[16] ^= 1, // the raw length in the first header
            1 => body[20] ^= 1, // the payload's length
            _ => body.truncate(body.len() / 2),
        }
        store.put(segment, &vec![body]).expect("stored");
        store.delete(table).expect("removed");
        repair_all(&access, &stored.backup);
        let view = reading::open(
            &access,
            &stored.backup,
            &stored.manifest.id,
            &reading::reader(),
        )
        .expect("it opens");
        // Whatever reads is right: `examine` panics at anything else.
        let readable = reading::examine(&view, &whole, &format!("harm {harm}"));
        assert!(readable.files < Readable::all_of(&whole).files);
        for (name, body) in &objects {
            store.put(name, &vec![body.clone()]).expect("stored");
        }
    }
}
