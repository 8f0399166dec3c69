//! Opens the copy of a store, and makes an empty place one.

use super::documents::{self, MAX_DOCUMENT_BYTES, put};
use super::{Access, AccessError};
use crate::catalog::{listing, names};
use crate::format::identity::Identity;
use crate::format::keys::KeySlot;
use crate::store::location::IfMissing;
use crate::store::{self, ObjectName, Store, StoreExt};
use std::sync::Arc;

impl Access {
    /// Opens the copy of this store that is at `place`.
    ///
    /// With [`IfMissing::Create`] an empty place becomes a copy: it gets the identity and the keys.
    /// The same passphrases open it, and all that is sealed for this store can be copied there as
    /// it is. A copy that exists gets the keys that it lacks.
    ///
    /// # Errors
    ///
    /// [`AccessError::OtherStore`] where another store is; [`AccessError::NoStore`] where there is
    /// none and none is to be made.
    pub fn copy_at(
        &self,
        place: Arc<dyn Store>,
        if_missing: IfMissing,
    ) -> Result<Self, AccessError> {
        let is_same = |identity: &Identity| {
            identity.id == self.identity.id && identity.cipher == self.identity.cipher
        };
        match documents::identity(place.as_ref()) {
            Ok(identity) if is_same(&identity) && identity.version() < self.identity.version() => {
                return Err(AccessError::NeedsUpgrade(place.location()));
            }
            Ok(identity) if is_same(&identity) => {}
            Ok(_) => {
                return Err(AccessError::OtherStore {
                    here: self.store.location(),
                    there: place.location(),
                });
            }
            Err(AccessError::NoStore(_)) if if_missing == IfMissing::Create => {}
            Err(other) => return Err(other),
        }
        let copy = self.at(place);
        if if_missing == IfMissing::Create {
            self.expect_writable()?;
            self.give_keys_to(&copy)?;
        }
        Ok(copy)
    }

    /// Copies the keys, then the identity, which makes the place a store, and its copy. Keys of
    /// epochs before this store's go: their passphrases open this store no more.
    fn give_keys_to(&self, copy: &Self) -> Result<(), AccessError> {
        let there = keys(copy.store.as_ref())?;
        for key in keys(self.store.as_ref())? {
            if !there.contains(&key) && self.is_key(&key)? {
                self.give_document(copy, &key)?;
            }
        }
        for name in [names::identity_name(), names::identity_copy_name()] {
            match copy.store.get(&name, MAX_DOCUMENT_BYTES) {
                Err(error) if error.kind() == store::ErrorKind::Missing => {
                    put(copy.store.as_ref(), &name, self.identity.encode())?;
                    tracing::info!(store = %copy.store.location(), object = %name, "copied");
                }
                there => there.map(drop).map_err(AccessError::Store)?,
            }
        }
        self.retire_keys_of(copy)
    }

    fn retire_keys_of(&self, copy: &Self) -> Result<(), AccessError> {
        let Some(epoch) = self.key_epoch() else {
            return Ok(());
        };
        let store = copy.store.as_ref();
        let slots = documents::key_slots(store)?.into_iter().flatten();
        for slot in slots.filter(|slot| slot.epoch() < epoch) {
            store
                .delete(&names::key_name(&slot.id))
                .map_err(AccessError::Store)?;
            tracing::info!(store = %store.location(), key = %slot.id, "removed an earlier key");
        }
        Ok(())
    }

    /// Returns whether an object among the keys is one. Nothing else goes across: it would cost
    /// whoever opens the copy time.
    fn is_key(&self, name: &ObjectName) -> Result<bool, AccessError> {
        let slot = match self.store.get(name, MAX_DOCUMENT_BYTES) {
            Ok(bytes) => KeySlot::decode(&bytes).ok(),
            Err(error) if error.kind().is_damage() => None,
            Err(error) => return Err(AccessError::Store(error)),
        };
        let is_key = slot.is_some_and(|slot| {
            names::key_name(&slot.id) == *name && slot.is_bearable_key_of(self.identity.id)
        });
        if !is_key {
            tracing::warn!(object = %name, "this is no key of the store, and is not copied");
        }
        Ok(is_key)
    }

    fn give_document(&self, copy: &Self, name: &ObjectName) -> Result<(), AccessError> {
        let bytes = self
            .store
            .get(name, MAX_DOCUMENT_BYTES)
            .map_err(AccessError::Store)?;
        put(copy.store.as_ref(), name, bytes)
    }
}

fn keys(store: &dyn Store) -> Result<Vec<ObjectName>, AccessError> {
    let objects = listing::objects_below(store, names::KEYS).map_err(AccessError::Store)?;
    Ok(objects.into_iter().map(|object| object.name).collect())
}
