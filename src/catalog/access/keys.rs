//! Lists, adds and removes the keys of a store.

use super::documents::{key_slots, put};
use super::{Access, AccessError};
use crate::catalog::names;
use crate::format::keys::{KdfCost, KeySlot};
use crate::model::Passphrase;
use crate::store::Store;

impl Access {
    /// Returns the keys of the store, oldest first.
    ///
    /// # Errors
    ///
    /// [`AccessError::Document`] when one is damaged.
    pub fn keys(&self) -> Result<Vec<KeySlot>, AccessError> {
        let mut keys = key_slots(self.store.as_ref())?
            .into_iter()
            .collect::<Result<Vec<_>, _>>()?;
        keys.sort_by(|left, right| (left.created, &left.id).cmp(&(right.created, &right.id)));
        Ok(keys)
    }

    /// Returns the id of the key that opened this store; `None` without encryption.
    pub fn opened_by(&self) -> Option<&str> {
        self.unlocked
            .as_deref()
            .map(|unlocked| unlocked.slot.id.as_str())
    }

    /// Lets another passphrase open the store. Returns the new key's id.
    ///
    /// # Errors
    ///
    /// [`AccessError::NotEncrypted`] where there is nothing to open.
    pub fn add_key(
        &self,
        passphrase: &Passphrase,
        cost: KdfCost,
        now: jiff::Timestamp,
        comment: &str,
    ) -> Result<String, AccessError> {
        let Some(unlocked) = &self.unlocked else {
            return Err(AccessError::NotEncrypted(self.store.location()));
        };
        let slot = KeySlot::seal(
            &unlocked.master,
            self.identity.id,
            passphrase.expose(),
            cost,
            now,
            comment,
        )
        .map_err(AccessError::Key)?;
        put(
            self.store.as_ref(),
            &names::key_name(&slot.id),
            slot.encode(),
        )?;
        Ok(slot.id)
    }

    /// Removes a key: its passphrase no longer opens the store.
    ///
    /// # Errors
    ///
    /// [`AccessError::NoKey`]; [`AccessError::LastKey`] when no other is left.
    pub fn remove_key(&self, id: &str) -> Result<(), AccessError> {
        let keys = self.keys()?;
        let Some(key) = keys.iter().find(|key| key.id == id) else {
            return Err(AccessError::NoKey(id.to_owned()));
        };
        // A key of an earlier epoch does not open what was stored since.
        let is_other = |other: &KeySlot| other.id != id && other.epoch() >= key.epoch();
        if !keys.iter().any(is_other) {
            return Err(AccessError::LastKey(id.to_owned()));
        }
        self.store
            .delete(&names::key_name(id))
            .map_err(AccessError::Store)
    }
}
