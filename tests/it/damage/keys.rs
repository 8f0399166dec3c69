//! Damage to the documents that open a store: its identity and its keys.

use super::{Change, Sound, harms};
use crate::support::backup::{self, CHEAP};
use freezer::catalog::{Access, AccessError, names};
use freezer::format::frame::Compression;
use freezer::format::identity::{Cipher, Identity};
use freezer::model::{Passphrase, Secret};
use freezer::store::memory::MemoryStore;
use freezer::store::{ObjectName, Store, StoreExt};
use std::sync::Arc;

fn key_of(sound: &Sound) -> ObjectName {
    let mut keys = Vec::new();
    let mut each = |object: freezer::store::ObjectInfo| {
        keys.push(object.name);
        true
    };
    sound.store.list(names::KEYS, &mut each).expect("listed");
    assert_eq!(keys.len(), 1);
    keys.remove(0)
}

/// Asserts that everything is as it was if the store opens. Returns the error if it does not.
#[track_caller]
fn refused(sound: &Sound, store: &Arc<MemoryStore>, what: &str) -> Option<AccessError> {
    match Access::open(store.clone(), sound.passphrase.as_ref()) {
        Err(error) => Some(error),
        Ok(access) => {
            for (level, whole) in sound.levels.iter().zip(&sound.wholes) {
                assert!(
                    &crate::support::reading::whole(&access, &backup::name(), level) == whole,
                    "{what}: it opens, and is another"
                );
            }
            None
        }
    }
}

#[test]
fn a_harmed_identity_or_key_is_an_error_that_names_it() {
    let sound = Sound::new(Compression::Gzip, Some(backup::passphrase()));
    for name in [names::identity_name(), key_of(&sound)] {
        for (kind, body) in harms(&sound.bytes(&name)) {
            let what = format!("{name} {kind}");
            let deleted = body.is_none();
            let mut changes = vec![Change(name.clone(), body.clone())];
            if name == names::identity_name() {
                changes.push(Change(names::identity_copy_name(), body));
            }
            let store = sound.harmed(&changes);
            match refused(&sound, &store, &what) {
                // The damage hit white space, a comment or a date.
                None => assert!(!deleted, "{what}: it opens all the same"),
                Some(AccessError::IdentityForged(_) | AccessError::Downgraded(_)) => {
                    assert_eq!(name, names::identity_name(), "{what}")
                }
                Some(AccessError::Document { object, .. }) => assert_eq!(object, name, "{what}"),
                Some(AccessError::IdentityLost(_)) => {
                    assert!(deleted && name == names::identity_name(), "{what}")
                }
                Some(AccessError::KeysLost(_)) => {
                    assert!(deleted && name == key_of(&sound), "{what}")
                }
                Some(AccessError::WrongPassphrase(_) | AccessError::Key(_)) => {
                    assert_eq!(name, key_of(&sound), "{what}")
                }
                // A flip in the cipher's name makes it unknown; one in the id makes another store.
                Some(AccessError::NotEncrypted(_)) => {
                    panic!("{what}: an encrypted store is taken for a plain one")
                }
                Some(other) => panic!("{what}: {other}"),
            }
        }
    }
}

#[test]
fn no_flipped_bit_of_an_identity_or_key_opens_another_store() {
    let sound = Sound::new(Compression::Gzip, Some(backup::passphrase()));
    for name in [names::identity_name(), key_of(&sound)] {
        let body = sound.bytes(&name);
        for at in 0..body.len() {
            let mut flipped = body.clone();
            flipped[at] ^= 1 << (at % 7);
            let store = sound.harmed(&[Change(name.clone(), Some(flipped))]);
            if let Ok(access) = Access::open(store, sound.passphrase.as_ref()) {
                access
                    .manifest(&backup::name(), &sound.levels[0])
                    .unwrap_or_else(|error| panic!("byte {at} of {name}: {error}"));
            }
        }
    }
}

#[test]
fn a_wrong_passphrase_says_so_and_a_forged_plain_store_is_refused() {
    let sound = Sound::new(Compression::Gzip, Some(backup::passphrase()));
    let store = sound.harmed(&[]);
    let wrong: Passphrase = Secret::new(b"correct hors".to_vec());
    let error = Access::open(store.clone(), Some(&wrong)).expect_err("it is wrong");
    assert_eq!(error.to_string(), "wrong passphrase for the store memory:");
    assert!(matches!(
        Access::open(store.clone(), None),
        Err(AccessError::PassphraseNeeded(_))
    ));

    let identity = Identity::decode(&sound.bytes(&names::identity_name())).expect("sound");
    let forged = Identity::new(identity.id, Cipher::None, identity.created).seal(None);
    let store = sound.harmed(&[Change(names::identity_name(), Some(forged.encode()))]);
    let error =
        Access::open(store.clone(), sound.passphrase.as_ref()).expect_err("it was encrypted");
    assert_eq!(
        error.to_string(),
        "a passphrase was given, but the store memory: is not encrypted"
    );
    // This holds even without a passphrase, as the data is not plain.
    let access = Access::open(store, None).expect("a plain store needs none");
    assert!(matches!(
        access.manifest(&backup::name(), &sound.levels[0]),
        Err(AccessError::Manifest { .. })
    ));
}

#[test]
fn a_key_of_another_store_opens_nothing() {
    let sound = Sound::new(Compression::Gzip, Some(backup::passphrase()));
    let other = Arc::new(MemoryStore::default());
    let access = backup::create_encrypted(other.clone());
    let key = names::key_name(access.opened_by().expect("it is encrypted"));
    let body = other.get(&key, u64::MAX).expect("it is there");
    let store = sound.harmed(&[
        Change(key, Some(body.clone())),
        Change(key_of(&sound), None),
    ]);
    assert!(matches!(
        Access::open(store, sound.passphrase.as_ref()),
        Err(AccessError::WrongPassphrase(_))
    ));
    // Next to a key that opens, it does no harm.
    let store = sound.harmed(&[Change(names::key_name("00000000"), Some(body))]);
    Access::open(store, sound.passphrase.as_ref()).expect("its own key opens it");
}

#[test]
fn a_damaged_key_does_not_keep_another_from_opening() {
    let sound = Sound::new(Compression::Gzip, Some(backup::passphrase()));
    let store = sound.harmed(&[]);
    let second: Passphrase = Secret::new(b"battery staple".to_vec());
    sound
        .open(&store)
        .add_key(&second, CHEAP, jiff::Timestamp::UNIX_EPOCH, "second")
        .expect("added");
    let key = key_of(&sound);
    for (kind, body) in harms(&sound.bytes(&key)) {
        match body {
            Some(body) => store.put(&key, &vec![body]).expect("stored"),
            None => store.delete(&key).expect("removed"),
        }
        Access::open(store.clone(), Some(&second))
            .unwrap_or_else(|error| panic!("{kind}: {error}"));
    }
}

#[test]
fn keys_that_somebody_added_cost_their_reader_a_bounded_time() {
    let sound = Sound::new(Compression::Gzip, Some(backup::passphrase()));
    let genuine: serde_json::Value =
        serde_json::from_slice(&sound.bytes(&key_of(&sound))).expect("JSON");
    let forged = |number: u32, memory_kib: u32, passes: u32| {
        let id = format!("{number:08x}");
        let mut key = genuine.clone();
        key["id"] = id.as_str().into();
        key["cost"]["memory_kib"] = memory_kib.into();
        key["cost"]["passes"] = passes.into();
        Change(names::key_name(&id), Some(key.to_string().into_bytes()))
    };
    // The genuine key is cheaper than these, which no reader tries before it.
    let costly: Vec<Change> = (0..3).map(|number| forged(number, 256 << 10, 8)).collect();
    let store = sound.harmed(&costly);
    let opened = Access::open(store.clone(), sound.passphrase.as_ref());
    opened.expect("the cheap key comes first");
    let wrong = Secret::new(b"another".to_vec());
    let error = Access::open(store, Some(&wrong)).expect_err("none opens");
    assert!(matches!(error, AccessError::TooManyKeys(_)), "{error}");
}
