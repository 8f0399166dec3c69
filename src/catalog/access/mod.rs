//! Opens a store: its identity, and the keys that a passphrase gives.
//!
//! | file | question |
//! |---|---|
//! | `create` | how does a place become a store? |
//! | `copy` | how does a place become the copy of a store? |
//! | `keys` | which passphrases open the store? |
//! | `manifests` | what does a level's manifest say, and is it genuine? |
//! | `documents` | what do the identity and the keys in a store say? |
//! | `vouched` | is the identity the one that the key vouches for? |
//! | `writable` | may this program change the store? |
//! | `mend` | are both copies of the identity there? |
//! | `upgrade` | how does a store become one of the newest version? |
//! | `rotate` | how does a store get a new master key? |

mod copy;
mod create;
mod documents;
mod error;
mod keys;
mod manifests;
mod mend;
mod rotate;
mod upgrade;
mod vouched;
mod writable;

pub use error::AccessError;
pub use mend::IdentityCopy;
pub use rotate::Rotated;
pub use upgrade::Upgrade;

use crate::catalog::known::Witness;
use crate::format::frame::{Opener, Protection};
use crate::format::identity::{Cipher, Identity};
use crate::model::{KeyEpoch, LevelId, Passphrase, StoreId};
use crate::store::Store;
use documents::Unlocked;
use std::sync::Arc;

/// An open store: where its objects are, and what opens them.
#[derive(Clone)]
pub struct Access {
    store: Arc<dyn Store>,
    identity: Identity,
    protection: Protection,
    /// The key that everything leans on; `None` without encryption.
    unlocked: Option<Arc<Unlocked>>,
    /// Compares what is seen with what this client remembers; `None` where nobody remembers.
    witness: Option<Arc<Witness>>,
}

impl std::fmt::Debug for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Access")
            .field("store", &self.store.location())
            .field("identity", &self.identity)
            .finish_non_exhaustive()
    }
}

impl Access {
    /// Opens a store.
    ///
    /// # Errors
    ///
    /// [`AccessError::PassphraseNeeded`], [`AccessError::WrongPassphrase`],
    /// [`AccessError::KeysLost`], and [`AccessError::NotEncrypted`]: a passphrase for a store
    /// without encryption is refused, so that a forged store in place of an encrypted one is
    /// noticed.
    pub fn open(
        store: Arc<dyn Store>,
        passphrase: Option<&Passphrase>,
    ) -> Result<Self, AccessError> {
        let found = documents::find_identity(store.as_ref())?;
        found.tell();
        match (found.identity.cipher, passphrase) {
            (Cipher::None, None) => Ok(Self::assemble(store, found.identity, None)),
            (Cipher::None, Some(_)) => Err(AccessError::NotEncrypted(store.location())),
            (Cipher::Aes256Cfb, None) => Err(AccessError::PassphraseNeeded(store.location())),
            (Cipher::Aes256Cfb, Some(passphrase)) => {
                let (identity, unlocked) = vouched::unlock(store.as_ref(), found, passphrase)?;
                Ok(Self::assemble(store, identity, Some(unlocked)))
            }
        }
    }

    fn assemble(store: Arc<dyn Store>, identity: Identity, unlocked: Option<Unlocked>) -> Self {
        let protection = match &unlocked {
            None => Protection::Checksum,
            Some(unlocked) => {
                Protection::Encrypted(Arc::new(unlocked.master.frame_keys(identity.id)))
            }
        };
        Self {
            store,
            identity,
            protection,
            unlocked: unlocked.map(Arc::new),
            witness: None,
        }
    }

    /// Returns the same store, watched by a witness: manifests and listings are compared with what
    /// this client remembers.
    #[must_use]
    pub fn watched_by(&self, witness: Arc<Witness>) -> Self {
        Self {
            witness: Some(witness),
            ..self.clone()
        }
    }

    /// Returns the same store without a witness: several stores behind a mirror, say, of which each
    /// may be behind the others.
    #[must_use]
    pub fn unwatched(&self) -> Self {
        Self {
            witness: None,
            ..self.clone()
        }
    }

    /// Returns what watches the store, if anything does.
    pub fn witness(&self) -> Option<&Witness> {
        self.witness.as_deref()
    }

    /// Returns whether the store at a place is encrypted, without opening it.
    ///
    /// # Errors
    ///
    /// [`AccessError::NoStore`] among others.
    pub fn is_encrypted(store: &dyn Store) -> Result<bool, AccessError> {
        Ok(documents::identity(store)?.cipher != Cipher::None)
    }

    /// Reads which store is at a place, without opening it.
    ///
    /// # Errors
    ///
    /// [`AccessError::NoStore`] among others.
    pub fn identity_at(store: &dyn Store) -> Result<Identity, AccessError> {
        let found = documents::find_identity(store)?;
        found.tell();
        Ok(found.identity)
    }

    /// Returns the same store with the same keys, whose objects are reached through `store`.
    #[must_use]
    pub fn through(&self, store: Arc<dyn Store>) -> Self {
        Self {
            store,
            ..self.clone()
        }
    }

    /// Returns the store itself.
    pub fn store(&self) -> Arc<dyn Store> {
        Arc::clone(&self.store)
    }

    /// Returns the document that says which store it is.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Returns the store's identity.
    pub fn store_id(&self) -> StoreId {
        self.identity.id
    }

    /// Returns how the store encrypts, if it does.
    pub fn cipher(&self) -> Cipher {
        self.identity.cipher
    }

    /// Returns the newest epoch of the master key that the passphrase opened; `None` without
    /// encryption.
    pub fn key_epoch(&self) -> Option<KeyEpoch> {
        self.unlocked
            .as_deref()
            .map(|unlocked| unlocked.master.epoch())
    }

    /// Returns what protects the store's frames.
    pub fn protection(&self) -> Protection {
        self.protection.clone()
    }

    /// Returns what opens the frames of a level.
    pub fn opener(&self, level: &LevelId) -> Opener {
        Opener::new(self.identity.id, level.clone(), self.protection.clone())
    }
}
