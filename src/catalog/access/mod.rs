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

use crate::catalog::hidden::{HiddenStore, NameBook};
use crate::catalog::known::Witness;
use crate::catalog::names;
use crate::format::claim::MachineDigest;
use crate::format::frame::{Opener, Protection};
use crate::format::identity::{Cipher, Identity};
use crate::model::{BackupName, KeyEpoch, LevelId, Passphrase, StoreId};
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
    /// Hides the names of objects; `None` where they are not hidden.
    names: Option<Arc<NameBook>>,
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

/// Returns a store through which names are hidden, if there is a book of names.
fn with_names(store: Arc<dyn Store>, names: Option<&Arc<NameBook>>) -> Arc<dyn Store> {
    match names {
        Some(book) => Arc::new(HiddenStore::new(store, Arc::clone(book))),
        None => store,
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
        let hides_names = unlocked.as_ref().filter(|_| identity.hides_names());
        let names = hides_names.map(|unlocked| {
            let hider = unlocked.master.name_hider(identity.id);
            Arc::new(NameBook::new(identity.id, protection.clone(), hider))
        });
        Self {
            store: with_names(store, names.as_ref()),
            identity,
            protection,
            unlocked: unlocked.map(Arc::new),
            names,
            witness: None,
        }
    }

    /// Returns whether a backup is the one that `listed` names, by its own name or as it stands in
    /// names of objects.
    pub(super) fn is_listed_as(&self, backup: &BackupName, listed: &BackupName) -> bool {
        match &self.names {
            Some(book) => book.is_listed_as(backup, listed),
            None => names::is_listed_as(backup, listed),
        }
    }

    /// Returns this store at another place, where its objects have the names that they have here.
    fn at(&self, place: Arc<dyn Store>) -> Self {
        self.through(with_names(place, self.names.as_ref()))
    }

    /// Returns the same store, watched by a witness: manifests and listings are compared with what
    /// this client remembers.
    #[must_use]
    pub fn watched_by(&self, witness: Arc<Witness>) -> Self {
        // What this client knows need not be read from manifests to be listed.
        if let Some(book) = &self.names {
            witness
                .backups()
                .iter()
                .for_each(|backup| book.learn(backup));
        }
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

    /// Returns how claims of the store name machines.
    pub fn machine_digest(&self) -> MachineDigest {
        let master = self.unlocked.as_ref().map(|unlocked| &unlocked.master);
        let digest = MachineDigest::new(master, self.identity.id);
        if self.names.is_some() {
            digest.hiding_hosts()
        } else {
            digest
        }
    }

    /// Returns what opens the frames of a level.
    pub fn opener(&self, level: &LevelId) -> Opener {
        Opener::new(self.identity.id, level.clone(), self.protection.clone())
    }
}
