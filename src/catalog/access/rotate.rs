//! Gives a store a new master key.
//!
//! The new key begins an epoch. Every frame names the epoch of its key, so what was stored before
//! can still be read: the key document of the new epoch wraps the keys of all epochs. It is one
//! object, so a rotation has happened as soon as that is stored, and not before. After that the
//! documents of earlier epochs go, because who knows their passphrases could read nothing new.
//!
//! Record: docs/design, "Format 2 of the store".

use super::documents::{self, put};
use super::{Access, AccessError};
use crate::catalog::names;
use crate::format::keys::{KdfCost, KeySlot};
use crate::model::{KeyEpoch, Passphrase};
use crate::store::Store;

/// What a rotation did.
#[derive(Debug)]
pub struct Rotated {
    /// The epoch that has begun.
    pub epoch: KeyEpoch,
    /// The id of its only key document.
    pub key: String,
    /// The documents of earlier epochs that were removed. Their passphrases open the store no more.
    pub retired: Vec<KeySlot>,
}

impl Access {
    /// Makes a new master key, which the passphrase opens that opened the store. The caller sees to
    /// it that no other rotation is under way.
    ///
    /// # Errors
    ///
    /// [`AccessError::NotEncrypted`]; [`AccessError`] otherwise. The store opens with the
    /// passphrase whatever happens; passphrases of earlier epochs may still open what was stored
    /// before.
    pub fn rotate_key(
        &self,
        passphrase: &Passphrase,
        cost: KdfCost,
        now: jiff::Timestamp,
    ) -> Result<Rotated, AccessError> {
        let Some(unlocked) = &self.unlocked else {
            return Err(AccessError::NotEncrypted(self.store.location()));
        };
        self.expect_writable()?;
        let store = self.store.as_ref();
        let earlier = self.keys()?;
        let master = unlocked.master.rotated().map_err(AccessError::Key)?;
        let slot = KeySlot::seal(
            &master,
            self.identity.id,
            passphrase.expose(),
            cost,
            now,
            &unlocked.slot.comment,
        )
        .map_err(AccessError::Key)?;
        put(store, &names::key_name(&slot.id), slot.encode())?;
        // Nothing goes before it is certain that the new document opens the store.
        let opened = documents::unlock(store, self.identity.id, passphrase)?;
        if opened.slot.id != slot.id {
            return Err(AccessError::OldKey(store.location()));
        }
        let mut retired = Vec::new();
        for old in earlier {
            if old.epoch() < slot.epoch() {
                store
                    .delete(&names::key_name(&old.id))
                    .map_err(AccessError::Store)?;
                retired.push(old);
            }
        }
        Ok(Rotated {
            epoch: slot.epoch(),
            key: slot.id,
            retired,
        })
    }
}
