//! The damage matrix for repairs: what can be mended is as it was, what is lost is stored again by
//! the next backup, and nothing that could be read before is worse.

use super::{Change, Readable, Sound, harms, small_objects};
use crate::support::stored_tree::{Planned, Recipe, StoredTree};
use crate::support::torture::noise;
use crate::support::{backup, copy_of, reading};
use freezer::backup::Levels;
use freezer::catalog::names::{self, Folder};
use freezer::catalog::{Access, Catalog, LockRequest, Patience, lost_parts, with_lock};
use freezer::format::frame::{Compression, Sealer};
use freezer::format::manifest::Manifest;
use freezer::model::progress::Silent;
use freezer::model::{BackupName, Cancel, LevelId};
use freezer::platform::SystemClock;
use freezer::store::memory::MemoryStore;
use freezer::store::trial::Trial;
use freezer::store::{ObjectInfo, ObjectName, Store, StoreExt};
use freezer::upkeep::{Depth, Portion, Repaired, check, remove_unreadable, repair};
use std::collections::BTreeMap;
use std::sync::Arc;

/// As the program does it, with a yes.
fn repair_all(access: &Access, backup: &BackupName) -> (Repaired, u64) {
    let (catalog, store, cancel) = (Catalog::new(access.store()), access.store(), Cancel::new());
    let request = LockRequest {
        backup,
        host: "here",
        action: "repair",
        patience: Patience::None,
    };
    let repaired = with_lock(
        store.as_ref(),
        &catalog,
        request,
        &SystemClock,
        &cancel,
        |_| true,
        |held| {
            let levels = catalog.levels(backup).expect("listed");
            let repaired = repair(access, backup, &levels, &mut |_, _| {}, &Silent, &cancel)
                .expect("the store answers");
            let removed =
                remove_unreadable(access, backup, &repaired, held).expect("the store answers");
            (repaired, removed)
        },
    );
    repaired.expect("nobody else has the lock")
}

fn everything(store: &dyn Store) -> BTreeMap<ObjectName, Vec<u8>> {
    let mut names = Vec::new();
    let mut each = |object: ObjectInfo| {
        names.push(object.name);
        true
    };
    store.list("", &mut each).expect("listed");
    names
        .into_iter()
        .map(|name| (name.clone(), store.get(&name, u64::MAX).expect("listed")))
        .collect()
}

/// How much of each level can be read; nothing where it does not open.
fn readable(sound: &Sound, store: &Arc<MemoryStore>, what: &str) -> [Option<Readable>; 2] {
    [0, 1].map(|level| {
        let view = reading::open(
            &sound.open(store),
            &backup::name(),
            &sound.levels[level],
            &reading::reader(),
        )
        .ok()?;
        Some(reading::examine(&view, &sound.wholes[level], what))
    })
}

fn is_as_good(before: &Option<Readable>, after: &Option<Readable>) -> bool {
    match (before, after) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(before), Some(after)) => {
            before.entries <= after.entries && before.files <= after.files
        }
    }
}

/// Harms a store, repairs it, makes the next level. Gives what the repair did, and that level.
#[track_caller]
fn mend(sound: &Sound, changes: &[Change], what: &str) -> (Repaired, Manifest) {
    let store = sound.harmed(changes);
    let before = readable(sound, &store, what);
    let bytes_before = everything(store.as_ref());
    let access = sound.open(&store);
    // A trial changes nothing, and says what the repair then does.
    let levels = Catalog::new(access.store())
        .levels(&backup::name())
        .expect("listed");
    let trial = access.through(Arc::new(Trial::new(access.store())));
    let tried = repair(
        &trial,
        &backup::name(),
        &levels,
        &mut |_, _| {},
        &Silent,
        &Cancel::new(),
    )
    .expect("the store answers");
    assert!(
        everything(store.as_ref()) == bytes_before,
        "{what}: a trial changed the store"
    );
    let (repaired, removed) = repair_all(&access, &backup::name());
    assert_eq!(format!("{tried:?}"), format!("{repaired:?}"), "{what}");
    assert_eq!(removed, repaired.unreadable.len() as u64, "{what}");
    // No object went but manifests that nobody can open, and none changed but blocks that were
    // damaged.
    let after = everything(store.as_ref());
    for (name, body) in &bytes_before {
        match after.get(name) {
            Some(now) => assert!(
                now == body || changes.iter().any(|change| change.0 == *name),
                "{what}: {name} was changed"
            ),
            None => assert!(
                name.as_str().starts_with("manifests/")
                    && repaired
                        .unreadable
                        .iter()
                        .any(|point| name.as_str().ends_with(point.level.as_str())),
                "{what}: {name} was removed"
            ),
        }
    }
    let now = readable(sound, &store, what);
    for (before, now) in before.iter().zip(&now) {
        assert!(
            now.is_none() || is_as_good(before, now),
            "{what}: {before:?} and then {now:?}"
        );
    }
    // Once more finds what is left of it, and mends nothing.
    let (again, removed) = repair_all(&access, &backup::name());
    assert_eq!(
        (again.index.mended, again.frame_tables.mended, removed),
        (0, 0, 0),
        "{what}"
    );
    assert_eq!(
        (again.checked.damages, again.lost.clone()),
        (
            repaired.checked.damages - repaired.unreadable.len() as u64,
            repaired.lost.clone()
        ),
        "{what}"
    );
    // The next level is whole, and so is one after it.
    let next = |_: u32| {
        let report = backup::back_up(&access, &[sound.tree.path()], |request| {
            small_objects(request, sound.compression);
            request.levels = Levels::default();
        });
        let whole = reading::whole(&access, &backup::name(), &report.manifest.id);
        for ((entry, content), (expected, expected_content)) in whole.iter().zip(&sound.wholes[1]) {
            assert!(
                entry.path == expected.path && content == expected_content,
                "{what}: {} of the next backup",
                entry.path
            );
        }
        assert_eq!(
            whole.len(),
            sound.wholes[1].len(),
            "{what}: the next backup"
        );
        let mut told = |_: &[LevelId], damage| panic!("{what}: {damage}");
        let level = std::slice::from_ref(&report.manifest.id);
        if repaired.checked.damages == repaired.unreadable.len() as u64 {
            check(
                &access,
                &backup::name(),
                level,
                Depth::Data(Portion::All),
                &mut told,
                &Silent,
                &Cancel::new(),
            )
            .expect("it answers");
        }
        report.manifest
    };
    let made = next(1);
    next(2);
    (repaired, made)
}

fn some_of(names: &[ObjectName]) -> [&ObjectName; 3] {
    [&names[0], &names[names.len() / 2], &names[names.len() - 1]]
}

fn matrix(passphrase: Option<freezer::model::Passphrase>) {
    let sound = Sound::new(Compression::Gzip, passphrase);
    let (nothing, next) = mend(&sound, &[], "nothing");
    assert_eq!(
        (
            nothing.checked.damages,
            nothing.lost.len(),
            nothing.unreadable.len()
        ),
        (0, 0, 0)
    );
    assert_eq!(next.level, 1);
    for name in some_of(&sound.objects(1, Folder::Segments)) {
        let body = sound.bytes(name);
        for (kind, harmed) in harms(&body) {
            let what = format!("{name} {kind}");
            let is_hurt = !harmed
                .as_ref()
                .is_some_and(|harmed| harmed.starts_with(&body));
            let (repaired, next) = mend(&sound, &[Change(name.clone(), harmed)], &what);
            assert_eq!(
                repaired.lost.len(),
                usize::from(is_hurt),
                "{what}: {repaired:?}"
            );
            assert_eq!(repaired.checked.files_touched > 0, is_hurt, "{what}");
            assert_eq!(
                next.level, 1,
                "{what}: a full level, for one damaged object"
            );
            assert!(
                next.counts.changed >= repaired.checked.files_touched,
                "{what}: {:?}",
                next.counts
            );
        }
    }
    let index = sound.objects(1, Folder::Index);
    for (position, name) in some_of(&index).into_iter().enumerate() {
        let body = sound.bytes(name);
        for (kind, harmed) in harms(&body) {
            let what = format!("{name} {kind}");
            let is_hurt = !harmed
                .as_ref()
                .is_some_and(|harmed| harmed.starts_with(&body));
            let (repaired, _) = mend(&sound, &[Change(name.clone(), harmed)], &what);
            // The first block is in the manifest too.
            let is_known = position == 0;
            assert_eq!(
                repaired.index.mended > 0,
                is_hurt && is_known,
                "{what}: {repaired:?}"
            );
            assert_eq!(
                repaired.index.left > 0,
                is_hurt && !is_known,
                "{what}: {repaired:?}"
            );
            assert!(repaired.lost.is_empty(), "{what}: no data is hurt");
        }
    }
    for level in [0, 1] {
        let name = sound.manifest(level);
        for (kind, harmed) in harms(&sound.bytes(&name)) {
            let is_there = harmed.is_some();
            let what = format!("{name} {kind}");
            let (repaired, _) = mend(&sound, &[Change(name.clone(), harmed)], &what);
            assert_eq!(repaired.unreadable.len(), usize::from(is_there), "{what}");
        }
    }
    let segments = sound.objects(1, Folder::Segments);
    let swapped = [
        Change(segments[0].clone(), Some(sound.bytes(&segments[1]))),
        Change(segments[1].clone(), Some(sound.bytes(&segments[0]))),
    ];
    let (repaired, next) = mend(&sound, &swapped, "two segments swapped");
    assert_eq!((repaired.lost.len(), next.level), (1, 1));
    let both = [
        Change(segments[0].clone(), None),
        Change(index[index.len() - 1].clone(), None),
        Change(sound.manifest(0), Some(vec![1, 2, 3])),
    ];
    let (repaired, _) = mend(&sound, &both, "a segment, an index object and a manifest");
    assert_eq!((repaired.lost.len(), repaired.unreadable.len()), (1, 1));
}

#[test]
fn a_repair_of_an_encrypted_store_mends_what_can_be_mended_and_the_next_backup_the_rest() {
    matrix(Some(backup::passphrase()));
}

#[test]
fn a_repair_of_a_plain_store_mends_what_can_be_mended_and_the_next_backup_the_rest() {
    matrix(None);
}

#[test]
fn a_store_that_does_not_answer_is_not_taken_for_damaged() {
    use freezer::store::faulty::{Fault, Faulty};
    let sound = Sound::new(Compression::Gzip, Some(backup::passphrase()));
    let counting = Arc::new(Faulty::new(copy_of(&sound.store)));
    let access = Access::open(counting.clone(), sound.passphrase.as_ref()).expect("it opens");
    repair_all(&access, &backup::name());
    let before = everything(&sound.store);
    for call in (3..counting.calls().all()).step_by(7) {
        let store =
            Arc::new(Faulty::new(copy_of(&sound.store)).with(Fault::at_any(call).for_good()));
        let Ok(access) = Access::open(store.clone(), sound.passphrase.as_ref()) else {
            continue;
        };
        let levels = sound.levels.to_vec();
        let ended = repair(
            &access,
            &backup::name(),
            &levels,
            &mut |_, _| {},
            &Silent,
            &Cancel::new(),
        );
        let after = everything(store.mended().as_ref());
        assert!(
            after == before,
            "call {call}: the store was changed: {ended:?}"
        );
    }
}

/// A level with a frame table of several blocks, written by hand, in a store that opens.
fn with_long_table(encrypted: bool) -> (Arc<MemoryStore>, Access, StoredTree) {
    let store = Arc::new(MemoryStore::default());
    let access = if encrypted {
        backup::create_encrypted(store.clone())
    } else {
        backup::create_plain(store.clone())
    };
    let files =
        (0..200).map(|number| Planned::file(&format!("file {number:05}"), noise(number, 1000)));
    let recipe = Recipe {
        encrypted,
        frame_bytes: 150,
        segment_bytes: 5_000,
        ..Recipe::default()
    };
    let tree = std::iter::once(Planned::directory("")).chain(files);
    let stored = StoredTree::write_level(
        store.clone(),
        tree,
        recipe,
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
            // All is there again: so are files that were noted as lost.
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
        // What reads is right: `examine` panics at anything else.
        let readable = reading::examine(&view, &whole, &format!("harm {harm}"));
        assert!(readable.files < Readable::all_of(&whole).files);
        for (name, body) in &objects {
            store.put(name, &vec![body.clone()]).expect("stored");
        }
    }
}
