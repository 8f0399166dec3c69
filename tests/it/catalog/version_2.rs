//! What version 2 of a store adds: a tag and a second copy of its identity, features, key epochs
//! and hidden names. None of it can be taken away unnoticed.

use crate::support::backup;
use freezer::backup::Levels;
use freezer::catalog::{Access, AccessError, Catalog, names};
use freezer::format::DocumentError;
use freezer::format::keys::KdfCost;
use freezer::model::{BackupRef, KeyEpoch, Passphrase};
use freezer::store::faulty::{Fault, Faulty};
use freezer::store::memory::MemoryStore;
use freezer::store::{ObjectName, Store, StoreExt};
use std::sync::Arc;

const CHEAP: KdfCost = KdfCost {
    memory_kib: 64,
    passes: 1,
    lanes: 1,
};

fn now() -> jiff::Timestamp {
    "2026-11-30T12:00:00Z".parse().expect("a moment")
}

fn copy_of(store: &dyn Store) -> MemoryStore {
    let copy = MemoryStore::default();
    store
        .list("", &mut |object| {
            let bytes = store.get(&object.name, u64::MAX).expect("read");
            copy.put(&object.name, &vec![bytes]).expect("stored");
            true
        })
        .expect("listed");
    copy
}

fn open(store: &Arc<impl Store + 'static>) -> Result<Access, AccessError> {
    Access::open(
        Arc::clone(store) as Arc<dyn Store>,
        Some(&backup::passphrase()),
    )
}

fn open_plain(store: &Arc<impl Store + 'static>) -> Result<Access, AccessError> {
    Access::open(Arc::clone(store) as Arc<dyn Store>, None)
}

fn tree() -> tempfile::TempDir {
    let room = crate::support::scratch();
    std::fs::write(room.path().join("file"), "hello").expect("written");
    room
}

/// Every point in time of the backup opens; returns how many there are.
#[track_caller]
fn readable(access: &Access) -> usize {
    let catalog = Catalog::new(access.store());
    let wanted: BackupRef = backup::name().to_string().parse().expect("a name");
    let found = catalog.find(&wanted).expect("the backup is there");
    let levels = catalog.levels(&found).expect("listed");
    for level in &levels {
        access.manifest(&found, level).expect("it opens");
    }
    levels.len()
}

fn names_in(store: &dyn Store) -> Vec<String> {
    let mut names = Vec::new();
    store
        .list("", &mut |object| {
            names.push(object.name.to_string());
            true
        })
        .expect("listed");
    names
}

fn name(text: &str) -> ObjectName {
    ObjectName::new(text).expect("legal")
}

/// Changes the text of a document.
fn change(store: &dyn Store, object: &ObjectName, from: &str, to: &str) {
    let text = store.get(object, u64::MAX).expect("read");
    let text = String::from_utf8(text).expect("text");
    assert!(text.contains(from), "{object} has no {from}: {text}");
    store
        .put(object, &vec![text.replace(from, to).into_bytes()])
        .expect("stored");
}

#[test]
fn an_encrypted_store_shows_no_name_and_gives_all_of_them_back() {
    let (tree, inner) = (tree(), Arc::new(MemoryStore::default()));
    let access = backup::create_hidden(inner.clone());
    backup::back_up(&access, &[tree.path()], |_| {});
    let (host, own) = (backup::name().host().to_owned(), backup::name());
    for object in names_in(inner.as_ref()) {
        let parts: Vec<&str> = object.split('/').collect();
        assert!(
            !parts.contains(&host.as_str()) && !parts.contains(&own.name()),
            "{object}"
        );
    }
    let again = open(&inner).expect("opened");
    let mut found = Vec::new();
    Catalog::new(again.store())
        .backups(&mut |backup| {
            found.push(backup.name);
            true
        })
        .expect("listed");
    assert_eq!(found, [own]);
    assert_eq!(readable(&open(&inner).expect("opened")), 1);
    // A copy has the same names.
    let copy = Arc::new(copy_of(inner.as_ref()));
    assert_eq!(readable(&open(&copy).expect("opened")), 1);
}

#[test]
fn either_copy_of_the_identity_opens_the_store_and_the_other_is_mended() {
    for is_encrypted in [false, true] {
        let inner = Arc::new(MemoryStore::default());
        let (open, access): (fn(&Arc<MemoryStore>) -> _, _) = if is_encrypted {
            (open, backup::create_hidden(inner.clone()))
        } else {
            (open_plain, backup::create_plain(inner.clone()))
        };
        let right = access.identity().encode();
        let both = [names::identity_name(), names::identity_copy_name()];
        let damages: [fn(&MemoryStore, &ObjectName); 4] = [
            |store, object| store.delete(object).expect("removed"),
            |store, object| store.put(object, &vec![b"{".to_vec()]).expect("stored"),
            |store, object| change(store, object, "\"created\": \"19", "\"created\": \"18"),
            |store, object| change(store, object, "\"id\": \"", "\"id\": \"0\", \"x\": \""),
        ];
        for (object, damage) in both
            .iter()
            .flat_map(|object| damages.map(|to| (object, to)))
        {
            let harmed = Arc::new(copy_of(inner.as_ref()));
            damage(&harmed, object);
            let access = open(&harmed).unwrap_or_else(|error| panic!("{object}: {error:?}"));
            assert_eq!(access.identity().encode(), right, "{object}");
            let mended = access.mend_identity().expect("mended");
            assert_eq!(mended.len(), 1, "{object}: {mended:?}");
            assert_eq!(&mended[0].object, object);
            for object in &both {
                assert_eq!(harmed.get(object, 9999).expect("there"), right);
            }
            assert_eq!(access.mend_identity().expect("nothing to do"), []);
        }
    }
}

#[test]
fn an_encrypted_store_is_not_taken_for_less_than_it_is() {
    let inner = Arc::new(MemoryStore::default());
    backup::create_hidden(inner.clone());
    let forge = |from: &str, to: &str| {
        let store = Arc::new(copy_of(inner.as_ref()));
        for object in [names::identity_name(), names::identity_copy_name()] {
            change(store.as_ref(), &object, from, to);
        }
        store
    };
    let text = String::from_utf8(inner.get(&names::identity_name(), 9999).expect("there"));
    let text = text.expect("text");
    let identity = text.trim();
    let id = identity
        .lines()
        .find(|line| line.contains("\"id\""))
        .expect("it has an id");
    let of_version_1 = format!(
        "{{\"format\": \"freezer store\", \"version\": 1,{id}\
         \"cipher\": \"aes-256-cfb+hmac-sha256\", \"created\": \"2026-11-22T22:34:50Z\"}}"
    );
    let older = open(&forge(identity, &of_version_1)).expect_err("an older identity");
    assert!(matches!(older, AccessError::Downgraded(_)), "{older:?}");
    let features = identity
        .split_once("\"requires\": ")
        .and_then(|(_, rest)| rest.split_once(']'))
        .map(|(list, _)| format!("{list}]"))
        .expect("it has features");
    let fewer = open(&forge(&features, "[]")).expect_err("without its features");
    assert!(matches!(fewer, AccessError::IdentityForged(_)), "{fewer:?}");
    // Without encryption the identity is another store's, and the keys are still there.
    let plain = backup::create_plain(Arc::new(MemoryStore::default()));
    let plain = String::from_utf8(plain.identity().encode()).expect("text");
    let store = forge(identity, plain.trim());
    let refused = open(&store).expect_err("not encrypted");
    assert!(
        matches!(refused, AccessError::NotEncrypted(_)),
        "{refused:?}"
    );
    let access = open_plain(&store).expect("it can be read");
    let refused = access.expect_writable().expect_err("it has keys");
    assert!(
        matches!(refused, AccessError::KeysInTheClear(_)),
        "{refused:?}"
    );
}

#[test]
fn a_store_of_a_newer_program_is_read_if_it_allows_that_and_never_changed() {
    use base64::{Engine, engine::general_purpose::STANDARD};
    use sha2::{Digest, Sha256};
    let inner = Arc::new(MemoryStore::default());
    let access = backup::create_plain(inner.clone());
    let (id, created) = (access.store_id(), access.identity().created);
    let put = |requires: &str, allows: &str| {
        let lines = |names: &str| names.split_whitespace().map(|n| format!("{n}\n")).collect();
        let (required, allowed): (String, String) = (lines(requires), lines(allows));
        let tag = Sha256::new()
            .chain_update(b"freezer-store-2\0")
            .chain_update(id.0)
            .chain_update([0])
            .chain_update(format!("none\n{created}\n{required}\n{allowed}"))
            .finalize();
        let list =
            |names: &str| -> Vec<String> { names.split_whitespace().map(str::to_owned).collect() };
        let document = serde_json::json!({
            "format": "freezer store", "version": 2, "id": id.to_string(), "cipher": "none",
            "created": created.to_string(), "requires": list(requires), "allows": list(allows),
            "epoch": 0, "tag": STANDARD.encode(tag),
        });
        let bytes = serde_json::to_vec(&document).expect("JSON");
        inner
            .put(&names::identity_name(), &vec![bytes])
            .expect("put");
    };
    put("", "later");
    let access = open_plain(&inner).expect("it can be read");
    for refused in [
        access.expect_writable().expect_err("not known"),
        access.mend_identity().expect_err("not known"),
        access.plan_upgrade().expect_err("not known"),
    ] {
        assert!(
            matches!(refused, AccessError::ReadOnly { .. }),
            "{refused:?}"
        );
    }
    put("later", "");
    let refused = open_plain(&inner).expect_err("required");
    let AccessError::Document { source, .. } = refused else {
        panic!("{refused:?}")
    };
    assert!(matches!(source, DocumentError::Feature(_)), "{source:?}");
    put("hidden-names", "");
    let access = open_plain(&inner).expect("the copy is used: this cannot be a plain store");
    assert!(!access.identity().hides_names());
}

#[test]
fn a_rotation_cut_off_at_any_call_loses_nothing() {
    let tree = tree();
    let before = {
        let store = Arc::new(MemoryStore::default());
        let access = backup::create_hidden(store.clone());
        let other = Passphrase::new(b"other".to_vec());
        access
            .add_key(&other, CHEAP, now(), "other")
            .expect("added");
        backup::back_up(&access, &[tree.path()], |_| {});
        store
    };
    let calls = {
        let store = Arc::new(Faulty::new(copy_of(before.as_ref())));
        let access = open(&store).expect("opened");
        let opening = store.calls().all();
        let rotated = access
            .rotate_key(&backup::passphrase(), CHEAP, now())
            .expect("no fault");
        assert_eq!((rotated.epoch, rotated.retired.len()), (KeyEpoch(2), 2));
        opening..store.calls().all()
    };
    assert!(calls.end - calls.start > 5, "{calls:?}");
    for cut in calls {
        for fault in [Fault::at_any(cut), Fault::at_any(cut).after_effect()] {
            let store = Arc::new(Faulty::new(copy_of(before.as_ref())).with(fault.for_good()));
            let access = open(&store).expect("opened");
            access
                .rotate_key(&backup::passphrase(), CHEAP, now())
                .expect_err("the cut must be reported");
            let mended = store.mended();
            let access = open(&mended).expect("it opens as before");
            assert_eq!(readable(&access), 1, "{fault:?}");
            access.expect_writable().expect("the newest epoch");
            backup::back_up(&access, &[tree.path()], |_| {});
            let rotated = access
                .rotate_key(&backup::passphrase(), CHEAP, now())
                .expect("it can be repeated");
            let access = open(&mended).expect("opened");
            assert_eq!(access.key_epoch(), Some(rotated.epoch));
            assert_eq!(access.keys().expect("listed").len(), 1, "{fault:?}");
            assert_eq!(readable(&access), 2, "{fault:?}");
        }
    }
}

#[test]
fn what_is_stored_after_a_rotation_is_closed_to_who_knows_only_what_was_before() {
    let (tree, inner) = (tree(), Arc::new(MemoryStore::default()));
    let first = backup::create_hidden(inner.clone());
    backup::back_up(&first, &[tree.path()], |_| {});
    let old_key = names::key_name(first.opened_by().expect("encrypted"));
    let old_slot = inner.get(&old_key, 9999).expect("there");
    first
        .rotate_key(&backup::passphrase(), CHEAP, now())
        .expect("rotated");
    let second = open(&inner).expect("opened");
    let new = backup::back_up(&second, &[tree.path()], |_| {}).manifest;
    assert_eq!(readable(&second), 2);
    let refused = first
        .manifest(&backup::name(), &new.id)
        .expect_err("of a later epoch");
    assert!(format!("{refused:?}").contains("Epoch"), "{refused:?}");
    // Somebody puts the old key back, and takes the new one away.
    let only_old = copy_of(inner.as_ref());
    for object in names_in(&only_old) {
        if object.starts_with("keys/") {
            only_old.delete(&name(&object)).expect("removed");
        }
    }
    only_old
        .put(&old_key, &vec![old_slot.clone()])
        .expect("stored");
    let only_old = Arc::new(only_old);
    let back = open(&only_old).expect("opened");
    assert!(back.manifest(&backup::name(), &new.id).is_err());
    // Beside the new one, the new one counts.
    inner.put(&old_key, &vec![old_slot]).expect("stored");
    let both = open(&inner).expect("opened");
    assert_eq!(both.key_epoch(), Some(KeyEpoch(2)));
    // The key that alone opens the newest epoch cannot be removed.
    let newest = both.opened_by().expect("encrypted").to_owned();
    let refused = both.remove_key(&newest).expect_err("the last of its epoch");
    assert!(matches!(refused, AccessError::LastKey(_)), "{refused:?}");
    first
        .expect_writable()
        .expect("it was opened before the rotation");
}

#[test]
fn a_writer_with_a_passphrase_of_an_earlier_epoch_is_refused() {
    let inner = Arc::new(MemoryStore::default());
    let first = backup::create_hidden(inner.clone());
    let other = Passphrase::new(b"other".to_vec());
    let id = first.add_key(&other, CHEAP, now(), "").expect("added");
    let slot = inner.get(&names::key_name(&id), 9999).expect("there");
    first
        .rotate_key(&backup::passphrase(), CHEAP, now())
        .expect("rotated");
    inner
        .put(&names::key_name(&id), &vec![slot])
        .expect("stored");
    let store: Arc<dyn Store> = inner.clone();
    let access = Access::open(store, Some(&other)).expect("it reads what was before");
    let refused = access.expect_writable().expect_err("an earlier epoch");
    assert!(matches!(refused, AccessError::OldKey(_)), "{refused:?}");
}

#[test]
fn an_upgrade_cut_off_at_any_call_can_be_repeated() {
    let tree = tree();
    let before = {
        let store = Arc::new(MemoryStore::default());
        let access = backup::create_plain(store.clone());
        backup::back_up(&access, &[tree.path()], |_| {});
        let id = access.store_id();
        let old = format!(
            "{{\"format\":\"freezer store\",\"version\":1,\"id\":\"{id}\",\"cipher\":\"none\",\
             \"created\":\"2026-11-22T22:34:50Z\"}}"
        );
        let identity = names::identity_name();
        store.put(&identity, &vec![old.into_bytes()]).expect("put");
        store.delete(&names::identity_copy_name()).expect("removed");
        store
    };
    let upgrade = |access: &Access| {
        let refused = access.expect_writable().err();
        let plan = access.plan_upgrade()?;
        access.upgrade(&plan, None, CHEAP)?;
        Ok::<_, AccessError>(refused)
    };
    let calls = {
        let store = Arc::new(Faulty::new(copy_of(before.as_ref())));
        let access = open_plain(&store).expect("opened");
        let opening = store.calls().all();
        let refused = upgrade(&access).expect("no fault");
        assert!(matches!(refused, Some(AccessError::NeedsUpgrade(_))));
        opening..store.calls().all()
    };
    assert_eq!(calls.end - calls.start, 2, "two small objects");
    for cut in calls {
        for fault in [Fault::at_any(cut), Fault::at_any(cut).after_effect()] {
            let store = Arc::new(Faulty::new(copy_of(before.as_ref())).with(fault.for_good()));
            let access = open_plain(&store).expect("opened");
            upgrade(&access).expect_err("the cut must be reported");
            let mended = store.mended();
            let access = open_plain(&mended).expect("opened");
            assert_eq!(readable(&access), 1);
            upgrade(&access).expect("repeated");
            let access = open_plain(&mended).expect("opened");
            access.expect_writable().expect("upgraded");
            assert_eq!(access.wrong_identity_copies().expect("looked at"), []);
            let next = backup::back_up(&access, &[tree.path()], |request| {
                request.levels = Levels::default();
            });
            assert_eq!((next.manifest.serial.0, next.manifest.level), (2, 1));
        }
    }
}

#[test]
fn fields_of_a_later_program_are_never_rewritten() {
    let inner = Arc::new(MemoryStore::default());
    let access = backup::create_plain(inner.clone());
    let id = access.store_id();
    let old = format!(
        "{{\"format\":\"freezer store\",\"version\":1,\"id\":\"{id}\",\"cipher\":\"none\",\
         \"created\":\"2026-11-22T22:34:50Z\",\"later\":7}}"
    );
    inner
        .put(&names::identity_name(), &vec![old.into_bytes()])
        .expect("put");
    let access = open_plain(&inner).expect("unknown fields are ignored");
    let refused = access.plan_upgrade().expect_err("it would be rewritten");
    assert!(
        matches!(refused, AccessError::ForLater { .. }),
        "{refused:?}"
    );
}
