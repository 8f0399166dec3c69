//! Makes a store, also where others may be making one at the same moment.
//!
//! Record: docs/design, "A store is made once".

use super::documents::{self, Unlocked, put};
use super::{Access, AccessError};
use crate::catalog::{listing, names};
use crate::format::identity::{Cipher, Identity};
use crate::format::keys::{KdfCost, KeyError, KeySlot, MasterKey};
use crate::model::{Passphrase, StoreId};
use crate::store::{Created, Store, StoreExt};
use std::sync::Arc;

/// What a new store is made of.
struct NewStore<'run> {
    passphrase: Option<&'run Passphrase>,
    cost: KdfCost,
    now: jiff::Timestamp,
    /// Comment of the store's first key.
    comment: &'run str,
    /// Lets calls of others end; `None` where nobody else makes a store there.
    wait: Option<&'run dyn Fn()>,
}

impl Access {
    /// Makes a store where there is none; it encrypts if there is a passphrase.
    ///
    /// # Errors
    ///
    /// [`AccessError::Exists`], and [`AccessError::IdentityLost`] when something else is there.
    pub fn create(
        store: Arc<dyn Store>,
        passphrase: Option<&Passphrase>,
        cost: KdfCost,
        now: jiff::Timestamp,
        comment: &str,
    ) -> Result<Self, AccessError> {
        let new = NewStore {
            passphrase,
            cost,
            now,
            comment,
            wait: None,
        };
        new.make(store)
    }

    /// Makes a store where others may be about to make one too, as nodes do whose first backups
    /// begin together.
    ///
    /// Where [`CreateOnce`](crate::store::CreateOnce) works, its first caller has made the store.
    /// Elsewhere each caller stores its key and then lists the keys. The one whose key comes first
    /// goes on. The others call `wait`, which lets calls end that had begun before, until they see
    /// a store or know that a key was left by a run that was cut off. At last each caller looks
    /// whose store it is.
    ///
    /// # Errors
    ///
    /// As [`Access::create`]; [`AccessError::Exists`] where another caller was faster: its store
    /// can be opened then.
    pub fn create_among_others(
        store: Arc<dyn Store>,
        passphrase: Option<&Passphrase>,
        cost: KdfCost,
        now: jiff::Timestamp,
        wait: &dyn Fn(),
    ) -> Result<Self, AccessError> {
        let new = NewStore {
            passphrase,
            cost,
            now,
            comment: "made with the store",
            wait: Some(wait),
        };
        new.make(store)
    }
}

impl NewStore<'_> {
    fn make(&self, store: Arc<dyn Store>) -> Result<Access, AccessError> {
        documents::expect_no_store(store.as_ref())?;
        let mut id = [0; 16];
        getrandom::fill(&mut id).map_err(|error| AccessError::Key(KeyError::Random(error)))?;
        let id = StoreId(id);
        let cipher = match self.passphrase {
            Some(_) => Cipher::Aes256Cfb,
            None => Cipher::None,
        };
        // The key is there before anything can need it.
        let unlocked = match self.passphrase {
            Some(passphrase) => Some(self.store_key(store.as_ref(), id, passphrase)?),
            None => None,
        };
        let master = unlocked.as_ref().map(|unlocked| &unlocked.master);
        let identity = match cipher {
            Cipher::None => Identity::new(id, cipher, self.now),
            Cipher::Aes256Cfb => Identity::new(id, cipher, self.now).with_hidden_names(),
        };
        let identity = identity.seal(master);
        let key = unlocked.as_ref().map(|unlocked| unlocked.slot.id.as_str());
        let is_own = match store
            .put_new(&names::identity_name(), &vec![identity.encode()])
            .map_err(AccessError::Store)?
        {
            Created::New => true,
            Created::WasThere => false,
            Created::Cannot => self.settle(store.as_ref(), &identity, key)?,
        };
        if !is_own {
            if let Some(key) = key {
                forget_key(store.as_ref(), key);
            }
            return Err(AccessError::Exists(store.location()));
        }
        // The copy comes second: a place is a store when its identity is there.
        put(
            store.as_ref(),
            &names::identity_copy_name(),
            identity.encode(),
        )?;
        tracing::info!(
            store = %store.location(),
            encrypted = self.passphrase.is_some(),
            "made a store"
        );
        Ok(Access::assemble(store, identity, unlocked))
    }

    /// Makes the key of a new store and stores it, sealed by the passphrase.
    fn store_key(
        &self,
        store: &dyn Store,
        id: StoreId,
        passphrase: &Passphrase,
    ) -> Result<Unlocked, AccessError> {
        let master = MasterKey::generate().map_err(AccessError::Key)?;
        let slot = KeySlot::seal(
            &master,
            id,
            passphrase.expose(),
            self.cost,
            self.now,
            self.comment,
        )
        .map_err(AccessError::Key)?;
        put(store, &names::key_name(&slot.id), slot.encode())?;
        Ok(Unlocked {
            newest_epoch: slot.epoch(),
            master,
            slot,
        })
    }

    /// Puts the identity where the store cannot see to it that only one caller does. Returns
    /// whether the identity that is there then is this one.
    fn settle(
        &self,
        store: &dyn Store,
        identity: &Identity,
        key: Option<&str>,
    ) -> Result<bool, AccessError> {
        if let (Some(key), Some(wait)) = (key, self.wait) {
            wait_for_earlier_keys(store, key, wait)?;
        }
        match documents::expect_no_store(store) {
            Ok(()) => {}
            Err(AccessError::Exists(_)) => return Ok(false),
            Err(other) => return Err(other),
        }
        let put = store
            .put_unless_there(&names::identity_name(), &vec![identity.encode()])
            .map_err(AccessError::Store)?;
        match self.wait {
            None if put => return Ok(true),
            Some(wait) if put => wait(),
            _ => {}
        }
        // A refusal is looked into as well: the first answer may have been lost, and the refusal
        // be for the identity that this very call stored.
        Ok(documents::identity(store)?.id == identity.id)
    }
}

/// Waits once if there are keys of others, and once more for each that comes before our own.
fn wait_for_earlier_keys(store: &dyn Store, key: &str, wait: &dyn Fn()) -> Result<(), AccessError> {
    let own = names::key_name(key);
    let (mut before_own, mut others) = (0, 0);
    let keys = listing::objects_below(store, names::KEYS).map_err(AccessError::Store)?;
    for object in keys {
        before_own += u32::from(object.name < own);
        others += u32::from(object.name != own);
    }
    if others > 0 {
        (0..=before_own).for_each(|_| wait());
    }
    Ok(())
}

/// Removes the key of a store that was not made. A key that stays opens nothing.
fn forget_key(store: &dyn Store, id: &str) {
    if let Err(error) = store.delete(&names::key_name(id)) {
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            key = %id,
            "a key that opens nothing stays in the store"
        );
    }
}
