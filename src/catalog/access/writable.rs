//! Says whether this program may change a store.

use super::documents::key_slots;
use super::{Access, AccessError};
use crate::catalog::{listing, names};
use crate::format::identity::Cipher;
use crate::format::keys::KeySlot;

impl Access {
    /// Fails where this program must not change the store. Every command that stores or removes
    /// something asks first.
    ///
    /// # Errors
    ///
    /// [`AccessError::NeedsUpgrade`] for a store of an earlier version; [`AccessError::ReadOnly`]
    /// for one with features that this program does not know; [`AccessError::OldKey`] where the
    /// passphrase opens an earlier key epoch than others do; [`AccessError::KeysInTheClear`] where
    /// a store has keys and says that it is not encrypted.
    pub fn expect_writable(&self) -> Result<(), AccessError> {
        if self.identity.is_earlier() {
            return Err(AccessError::NeedsUpgrade(self.store.location()));
        }
        self.expect_known_features()?;
        match &self.unlocked {
            Some(unlocked) if unlocked.newest_epoch > unlocked.master.epoch() => {
                Err(AccessError::OldKey(self.store.location()))
            }
            Some(_) => Ok(()),
            None => self.expect_no_keys(),
        }
    }

    /// Fails where the store has features without which it must not be changed.
    pub(super) fn expect_known_features(&self) -> Result<(), AccessError> {
        let features = self.identity.read_only_for();
        if features.is_empty() {
            return Ok(());
        }
        Err(AccessError::ReadOnly {
            store: self.store.location(),
            features: features.join(", "),
        })
    }

    /// Fails where a store that says it is not encrypted has keys.
    fn expect_no_keys(&self) -> Result<(), AccessError> {
        if self.identity.cipher != Cipher::None
            || !listing::is_any_below(self.store.as_ref(), names::KEYS)
                .map_err(AccessError::Store)?
        {
            return Ok(());
        }
        // Anything else below that prefix is junk, and no reason to keep anybody from working.
        let is_own_key = |slot: KeySlot| slot.is_bearable_key_of(self.identity.id);
        let keys = key_slots(self.store.as_ref())?;
        if keys.into_iter().flatten().any(is_own_key) {
            return Err(AccessError::KeysInTheClear(self.store.location()));
        }
        Ok(())
    }
}
