//! The damage matrix for repairs: mended blocks are as they were, the next backup stores lost data
//! again, and nothing that could be read before is worse.

use super::{Change, Readable, Sound, harms, small_objects};
use crate::support::{backup, copy_of, reading};
use freezer::backup::Levels;
use freezer::catalog::names::Folder;
use freezer::catalog::{Access, Catalog, LockRequest, Patience, objects_below, with_lock};
use freezer::format::frame::Compression;
use freezer::format::manifest::Manifest;
use freezer::model::progress::Silent;
use freezer::model::{BackupName, Cancel, LevelId};
use freezer::platform::SystemClock;
use freezer::store::memory::MemoryStore;
use freezer::store::trial::Trial;
use freezer::store::{ObjectName, Store, StoreExt};
use freezer::upkeep::{Depth, Portion, Repaired, check, remove_unreadable, repair};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Repairs as the program does after a yes.
pub(super) fn repair_all(access: &Access, backup: &BackupName) -> (Repaired, u64) {
    let (catalog, cancel) = (Catalog::new(access.store()), Cancel::new());
    let request = LockRequest {
        backup,
        host: "here",
        action: "repair",
        patience: Patience::None,
    };
    let repaired = with_lock(
        access,
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

pub(super) fn everything(store: &dyn Store) -> BTreeMap<ObjectName, Vec<u8>> {
    let body = |name: &ObjectName| store.get(name, u64::MAX).expect("listed");
    let all = objects_below(store, "").expect("listed");
    all.into_iter()
        .map(|object| (object.name.clone(), body(&object.name)))
        .collect()
}

/// Returns how much of each level can be read; `None` where it does not open.
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

/// Harms a store, repairs it and makes the next level. Returns what the repair did, and that level.
#[track_caller]
fn mend(sound: &Sound, changes: &[Change], what: &str) -> (Repaired, Manifest) {
    let store = sound.harmed(changes);
    let before = readable(sound, &store, what);
    let bytes_before = everything(store.as_ref());
    let access = sound.open(&store);
    // A trial changes nothing, and reports what the repair then does.
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
    // Only manifests went that nobody can open, and only blocks changed that were damaged.
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
    // A second repair finds the damage that is left, and mends nothing.
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
    // The next level is whole, and so is the one after it.
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
            // The manifest holds the first block too.
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
