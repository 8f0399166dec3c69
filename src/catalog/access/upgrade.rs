//! Makes a store of an earlier version one of the newest.
//!
//! Only what is small is rewritten: the identity, its copy, and the key of the passphrase that was
//! given. Levels stay as they are, and new ones can lean on them.
//!
//! A store that was cut off in between opens with every passphrase that opened it before: the
//! identity goes first, because a key of version 2 is refused beside an identity of version 1.

use super::documents::put;
use super::{Access, AccessError};
use crate::catalog::names;
use crate::format::identity::Identity;
use crate::format::keys::{KdfCost, KeySlot};
use crate::model::Passphrase;
use crate::store::ObjectName;

/// What an upgrade rewrites.
#[derive(Debug)]
pub struct Upgrade {
    identity: Option<Identity>,
    /// The key of the passphrase that was given, if it is of an earlier version.
    own: Option<KeySlot>,
    /// Keys of an earlier version that other passphrases open. They stay as they are.
    pub others: Vec<KeySlot>,
}

impl Upgrade {
    /// Returns whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.identity.is_none() && self.own.is_none()
    }

    /// Returns the objects that are rewritten, or replaced by others.
    pub fn objects(&self) -> Vec<ObjectName> {
        let identity = self.identity.iter();
        let identity = identity.flat_map(|_| [names::identity_name(), names::identity_copy_name()]);
        let own = self.own.iter().map(|slot| names::key_name(&slot.id));
        identity.chain(own).collect()
    }
}

impl Access {
    /// Finds out what an upgrade of this store rewrites.
    ///
    /// # Errors
    ///
    /// [`AccessError::ForLater`] if a document has fields that only a later program knows.
    pub fn plan_upgrade(&self) -> Result<Upgrade, AccessError> {
        if let Some(field) = self.identity.unknown_fields().next() {
            return Err(AccessError::ForLater {
                object: names::identity_name(),
                field: field.to_owned(),
            });
        }
        self.expect_known_features()?;
        let master = self.unlocked.as_deref().map(|unlocked| &unlocked.master);
        let identity = self.identity.is_earlier().then(|| {
            let Identity {
                id,
                cipher,
                created,
                ..
            } = self.identity;
            Identity::new(id, cipher, created).seal(master)
        });
        let is_earlier = |slot: &KeySlot| slot.version() < KeySlot::VERSION;
        let own = self.unlocked.as_deref().map(|unlocked| &unlocked.slot);
        let others = match own {
            None => Vec::new(),
            Some(own) => self
                .keys()?
                .into_iter()
                .filter(|slot| is_earlier(slot) && slot.id != own.id)
                .collect(),
        };
        Ok(Upgrade {
            identity,
            own: own.filter(|slot| is_earlier(slot)).cloned(),
            others,
        })
    }

    /// Upgrades the store as planned. `passphrase` is the one that opened it.
    ///
    /// # Errors
    ///
    /// [`AccessError`]. The store can be used then as before, and the upgrade be repeated.
    pub fn upgrade(
        &self,
        plan: &Upgrade,
        passphrase: Option<&Passphrase>,
        cost: KdfCost,
    ) -> Result<(), AccessError> {
        let store = self.store.as_ref();
        if let Some(identity) = &plan.identity {
            let bytes = identity.encode();
            put(store, &names::identity_copy_name(), bytes.clone())?;
            put(store, &names::identity_name(), bytes)?;
        }
        let (Some(old), Some(passphrase), Some(unlocked)) =
            (&plan.own, passphrase, self.unlocked.as_deref())
        else {
            return Ok(());
        };
        let new = KeySlot::seal(
            &unlocked.master,
            self.identity.id,
            passphrase.expose(),
            cost,
            old.created,
            &old.comment,
        )
        .map_err(AccessError::Key)?;
        put(store, &names::key_name(&new.id), new.encode())?;
        store
            .delete(&names::key_name(&old.id))
            .map_err(AccessError::Store)
    }
}
