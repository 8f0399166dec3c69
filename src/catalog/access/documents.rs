//! The documents that make a place a store: its identity and its keys.

use super::AccessError;
use crate::catalog::{listing, names};
use crate::format::identity::Identity;
use crate::format::keys::{KeySlot, MasterKey};
use crate::model::Passphrase;
use crate::store::{self, ObjectName, Store, StoreExt};

/// Most bytes that an identity or key document may have.
pub(super) const MAX_DOCUMENT_BYTES: u64 = 64 << 10;

/// How much memory is written at most to find the key that a passphrase opens, in KiB: that of
/// some 100 slots with the usual cost, some five seconds on one core.
const MOST_WORK_KIB: u64 = 4 << 20;

/// How many key documents are read at most.
const MOST_SLOTS: usize = 1000;

/// The key of an encrypted store, unlocked.
pub(super) struct Unlocked {
    /// The key that everything in the store is encrypted under.
    pub(super) master: MasterKey,
    /// Id of the key document that gave it.
    pub(super) slot_id: String,
}

/// Stores a document.
pub(super) fn put(store: &dyn Store, name: &ObjectName, bytes: Vec<u8>) -> Result<(), AccessError> {
    store.put(name, &vec![bytes]).map_err(AccessError::Store)
}

/// Reads the identity of a store.
pub(super) fn identity(store: &dyn Store) -> Result<Identity, AccessError> {
    let name = names::identity_name();
    match store.get(&name, MAX_DOCUMENT_BYTES) {
        Ok(bytes) => Identity::decode(&bytes).map_err(|source| AccessError::Document {
            object: name,
            source,
        }),
        Err(error) if error.kind() == store::ErrorKind::Missing => {
            let has_backups =
                listing::is_any_below(store, names::MANIFESTS).map_err(AccessError::Store)?;
            Err(if has_backups {
                AccessError::IdentityLost(store.location())
            } else {
                AccessError::NoStore(store.location())
            })
        }
        Err(error) => Err(AccessError::Store(error)),
    }
}

/// Fails unless the place is empty, so that a store can be made there.
pub(super) fn expect_no_store(store: &dyn Store) -> Result<(), AccessError> {
    match identity(store) {
        Err(AccessError::NoStore(_)) => Ok(()),
        Err(other) => Err(other),
        Ok(_) => Err(AccessError::Exists(store.location())),
    }
}

/// Reads every key of a store. A key that cannot be read does not hide the others.
pub(super) fn key_slots(
    store: &dyn Store,
) -> Result<Vec<Result<KeySlot, AccessError>>, AccessError> {
    let found = listing::objects_below(store, names::KEYS).map_err(AccessError::Store)?;
    let slots = found
        .into_iter()
        .map(|object| object.name)
        .filter(|name| name.as_str().ends_with(".json"))
        .take(MOST_SLOTS)
        .map(|name| {
            let bytes = store
                .get(&name, MAX_DOCUMENT_BYTES)
                .map_err(AccessError::Store)?;
            KeySlot::decode(&bytes).map_err(|source| AccessError::Document {
                object: name,
                source,
            })
        });
    Ok(slots.collect())
}

/// Finds the key that the passphrase opens.
pub(super) fn unlock(
    store: &dyn Store,
    identity: &Identity,
    passphrase: &Passphrase,
) -> Result<Unlocked, AccessError> {
    let mut damaged = None;
    let mut slots = key_slots(store)?;
    if slots.is_empty() {
        return Err(AccessError::KeysLost(store.location()));
    }
    // Nothing of a slot is authenticated before it opens. Whoever can add objects to the store
    // could keep its users waiting with costly ones: cheap ones are tried first, and not all.
    slots.sort_by_key(|slot| slot.as_ref().map_or(0, KeySlot::work_kib));
    let mut work_kib = 0;
    for slot in slots {
        work_kib += slot.as_ref().map_or(0, KeySlot::work_kib);
        if work_kib > MOST_WORK_KIB {
            return Err(AccessError::TooManyKeys(store.location()));
        }
        let opened = slot.and_then(|slot| {
            let master = slot
                .open(identity.id, passphrase.expose())
                .map_err(AccessError::Key)?;
            Ok(master.map(|master| Unlocked {
                master,
                slot_id: slot.id,
            }))
        });
        match opened {
            Ok(Some(unlocked)) => return Ok(unlocked),
            Ok(None) => {}
            // Another slot may still open.
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "a key cannot be used"
                );
                damaged = Some(error);
            }
        }
    }
    Err(damaged.unwrap_or_else(|| AccessError::WrongPassphrase(store.location())))
}
