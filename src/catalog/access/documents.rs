//! The documents that make a place a store: its identity and its keys.

use super::AccessError;
use crate::catalog::{listing, names};
use crate::format::DocumentError;
use crate::format::identity::Identity;
use crate::format::keys::{KeySlot, MasterKey};
use crate::model::{KeyEpoch, Passphrase, StoreId};
use crate::store::{ObjectName, Store, StoreExt};
use std::cmp::Reverse;

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
    /// The key document that gave it.
    pub(super) slot: KeySlot,
    /// The newest epoch that any key document of the store says to open.
    pub(super) newest_epoch: KeyEpoch,
}

/// Stores a document.
pub(super) fn put(store: &dyn Store, name: &ObjectName, bytes: Vec<u8>) -> Result<(), AccessError> {
    store.put(name, &vec![bytes]).map_err(AccessError::Store)
}

/// The identity of a store, and where it was found.
pub(super) struct FoundIdentity {
    pub(super) identity: Identity,
    /// The document as it is stored.
    pub(super) bytes: Vec<u8>,
    /// Why it is that of the second copy; `None` if it is the first.
    pub(super) instead: Option<AccessError>,
}

impl FoundIdentity {
    /// Tells that the second copy stands in for the first.
    pub(super) fn tell(&self) {
        if let Some(error) = &self.instead {
            tracing::warn!(
                error = error as &dyn std::error::Error,
                "{} cannot be used, and its copy is used instead; freezer repair mends it",
                names::identity_name()
            );
        }
    }
}

/// Reads the identity of a store: the first copy, or the second where the first is lost or damaged.
pub(super) fn find_identity(store: &dyn Store) -> Result<FoundIdentity, AccessError> {
    let error = match read_identity(store, names::identity_name()) {
        Ok(first) => return Ok(first),
        Err(error) => error,
    };
    let may_be_mended = match &error {
        AccessError::Store(error) => error.kind().is_damage(),
        AccessError::Document { source, .. } => {
            matches!(source, DocumentError::Json(_) | DocumentError::Content(_))
        }
        _ => false,
    };
    if !may_be_mended {
        return Err(error);
    }
    if let Ok(second) = read_identity(store, names::identity_copy_name()) {
        return Ok(FoundIdentity {
            instead: Some(error),
            ..second
        });
    }
    if !error.is_missing() {
        return Err(error);
    }
    let has_backups = listing::is_any_below(store, names::MANIFESTS).map_err(AccessError::Store)?;
    Err(if has_backups {
        AccessError::IdentityLost(store.location())
    } else {
        AccessError::NoStore(store.location())
    })
}

/// Reads one copy of the identity.
pub(super) fn read_identity(
    store: &dyn Store,
    name: ObjectName,
) -> Result<FoundIdentity, AccessError> {
    let bytes = store
        .get(&name, MAX_DOCUMENT_BYTES)
        .map_err(AccessError::Store)?;
    let identity = Identity::decode(&bytes).map_err(|source| AccessError::Document {
        object: name,
        source,
    })?;
    Ok(FoundIdentity {
        identity,
        bytes,
        instead: None,
    })
}

/// Reads the identity of a store, from either copy.
pub(super) fn identity(store: &dyn Store) -> Result<Identity, AccessError> {
    find_identity(store).map(|found| found.identity)
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

/// Finds the key that the passphrase opens: of several the one of the newest epoch.
pub(super) fn unlock(
    store: &dyn Store,
    id: StoreId,
    passphrase: &Passphrase,
) -> Result<Unlocked, AccessError> {
    let slots = key_slots(store)?;
    if slots.is_empty() {
        return Err(AccessError::KeysLost(store.location()));
    }
    let mut damaged = None;
    let mut sound = Vec::new();
    for slot in slots {
        match slot {
            Ok(slot) => sound.push(slot),
            // Another slot may still open.
            Err(error) => damaged = Some(told(error)),
        }
    }
    let newest_epoch = sound.iter().map(KeySlot::epoch).max();
    // Nothing of a slot is authenticated before it opens. Whoever can add objects to the store
    // could keep its users waiting with costly ones: cheap ones are tried first, and not all.
    sound.sort_by_key(|slot| (slot.work_kib(), Reverse(slot.epoch())));
    let mut best: Option<Unlocked> = None;
    let mut work_kib = 0;
    for slot in sound {
        let has_newer = best
            .as_ref()
            .is_none_or(|best| slot.epoch() > best.slot.epoch());
        if !has_newer {
            continue;
        }
        work_kib += slot.work_kib();
        if work_kib > MOST_WORK_KIB {
            if best.is_some() {
                break;
            }
            return Err(AccessError::TooManyKeys(store.location()));
        }
        match slot.open(id, passphrase.expose()) {
            Ok(Some(master)) => {
                best = Some(Unlocked {
                    master,
                    slot,
                    newest_epoch: newest_epoch.unwrap_or(KeyEpoch::FIRST),
                });
            }
            Ok(None) => {}
            Err(error) => damaged = Some(told(AccessError::Key(error))),
        }
    }
    best.ok_or_else(|| damaged.unwrap_or_else(|| AccessError::WrongPassphrase(store.location())))
}

fn told(error: AccessError) -> AccessError {
    tracing::warn!(
        error = &error as &dyn std::error::Error,
        "a key cannot be used"
    );
    error
}
