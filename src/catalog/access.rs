//! Opening a store: its identity, and the keys that a passphrase gives.

use super::names;
use crate::format::DocumentError;
use crate::format::frame::{Opener, Protection};
use crate::format::identity::{Cipher, Identity};
use crate::format::keys::{KdfCost, KeyError, KeySlot, MasterKey};
use crate::format::manifest::{self, MAX_MANIFEST_BYTES, Manifest, ManifestError, Outline};
use crate::model::{Advice, BackupName, LevelId, Passphrase, StoreId, hints};
use crate::store::location::IfMissing;
use crate::store::{self, Created, ObjectName, Store};
use std::sync::Arc;

/// Most bytes an identity or key document may have.
const MAX_DOCUMENT_BYTES: u64 = 64 << 10;

/// An open store: where its objects are, and what opens them.
#[derive(Clone)]
pub struct Access {
    store: Arc<dyn Store>,
    identity: Identity,
    protection: Protection,
    /// With encryption: the key everything leans on, and the slot that gave it.
    unlocked: Option<Arc<(MasterKey, String)>>,
}

impl std::fmt::Debug for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Access")
            .field("store", &self.store.location())
            .field("identity", &self.identity)
            .finish_non_exhaustive()
    }
}

/// Why a store could not be opened or its keys not be changed.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// There is no store at that place.
    #[error("there is no freezer store at {0}")]
    NoStore(String),
    /// There are backups, but the document that says how to read them is gone.
    #[error("{0} holds backups, but its freezer.json is missing")]
    IdentityLost(String),
    /// It is encrypted, and there is no key left that a passphrase could open.
    #[error("the store {0} is encrypted, but its keys are missing")]
    KeysLost(String),
    /// It is encrypted, and no passphrase was given.
    #[error("the store {0} is encrypted, and no passphrase was given")]
    PassphraseNeeded(String),
    /// No key opens with this passphrase.
    #[error("wrong passphrase for the store {0}")]
    WrongPassphrase(String),
    /// A passphrase was given for a store that encrypts nothing.
    #[error("a passphrase was given, but the store {0} is not encrypted")]
    NotEncrypted(String),
    /// There is one already.
    #[error("there is a freezer store at {0} already")]
    Exists(String),
    /// It is a store of its own, not a copy.
    #[error("{there} is another store than {here}, and no copy of it")]
    OtherStore {
        /// The one.
        here: String,
        /// The other.
        there: String,
    },
    /// No such key.
    #[error("there is no key {0}")]
    NoKey(String),
    /// The last way in may not be removed.
    #[error("{0} is the only key that is left: without it nothing in the store could be read")]
    LastKey(String),
    /// A document is damaged or newer than this program.
    #[error("could not use {object}")]
    Document {
        /// Which.
        object: ObjectName,
        /// What is wrong with it.
        source: DocumentError,
    },
    /// A key could not be made or used.
    #[error("could not use the passphrase")]
    Key(#[source] KeyError),
    /// A manifest could not be read.
    #[error("could not read the manifest of level {level}")]
    Manifest {
        /// Whose.
        level: LevelId,
        /// What is wrong with it.
        source: ManifestError,
    },
    /// The store failed.
    #[error("could not use the store")]
    Store(#[source] store::Error),
}

impl Advice for AccessError {
    fn hint(&self) -> Option<&str> {
        match self {
            Self::NoStore(_) => {
                Some("freezer backup PATH makes one there; --store PATH names another")
            }
            Self::IdentityLost(_) => Some(
                "put freezer.json back from a copy of the store: without it nothing in the store \
                 can be read",
            ),
            Self::PassphraseNeeded(_) => Some(hints::PASS_FILE),
            Self::KeysLost(_) => Some(
                "put the folder keys back from a copy of the store: without one of its keys \
                 nothing in the store can be read",
            ),
            Self::WrongPassphrase(_) => Some(
                "any passphrase that freezer key add has added opens the store; upper and lower \
                 case differ",
            ),
            Self::NotEncrypted(_) => Some(
                "leave --encrypt-pass-file out, or name the store you meant; if this one was \
                 encrypted before, somebody has put another in its place",
            ),
            Self::Exists(_) => Some("choose another place with --store PATH"),
            Self::OtherStore { .. } => {
                Some("name an empty place, or one that was made as a copy of this store")
            }
            Self::NoKey(_) => Some("freezer key list shows the keys"),
            Self::LastKey(_) => Some("freezer key change replaces its passphrase by a new one"),
            Self::Document { .. } | Self::Manifest { .. } => Some(hints::DAMAGED),
            Self::Key(_) | Self::Store(_) => None,
        }
    }
}

impl Access {
    /// Makes a store where there is none: encrypted, if there is a passphrase.
    ///
    /// # Errors
    ///
    /// [`AccessError::Exists`], [`AccessError::IdentityLost`] when something else is there.
    pub fn create(
        store: Arc<dyn Store>,
        passphrase: Option<&Passphrase>,
        cost: KdfCost,
        now: jiff::Timestamp,
        comment: &str,
    ) -> Result<Self, AccessError> {
        Self::make(store, passphrase, cost, now, comment, None)
    }

    /// Makes a store where others may be about to make one too, as nodes do whose first backups
    /// begin together.
    ///
    /// Where [`Store::put_new`] works, its first caller has made the store. Elsewhere `wait` lets
    /// so much time pass that calls to the store which had begun before have ended: whoever puts
    /// its key and then looks sees those that were put before; the one whose key comes first goes
    /// on, the others wait longer, until they see a store, or know that a key is what a cut-off run
    /// has left. At last each looks whose store it is.
    ///
    /// # Errors
    ///
    /// As [`Access::create`]; [`AccessError::Exists`] where another was faster: its store can be
    /// opened then.
    pub fn create_among_others(
        store: Arc<dyn Store>,
        passphrase: Option<&Passphrase>,
        cost: KdfCost,
        now: jiff::Timestamp,
        wait: &dyn Fn(),
    ) -> Result<Self, AccessError> {
        Self::make(
            store,
            passphrase,
            cost,
            now,
            "made with the store",
            Some(wait),
        )
    }

    /// Puts the identity where the store cannot see to it that only one does. Returns whether it is
    /// there: others may have been faster.
    fn settle(
        store: &dyn Store,
        identity: &Identity,
        key: Option<&str>,
        wait: Option<&dyn Fn()>,
    ) -> Result<bool, AccessError> {
        if let (Some(key), Some(wait)) = (key, wait) {
            let own = names::key_name(key);
            let (mut before_own, mut others) = (0, 0);
            let seen = store.list(names::KEYS, &mut |object| {
                before_own += u32::from(object.name < own);
                others += u32::from(object.name != own);
                true
            });
            seen.map_err(AccessError::Store)?;
            if others > 0 {
                (0..=before_own).for_each(|_| wait());
            }
        }
        match Self::nothing_there(store) {
            Ok(()) => {}
            Err(AccessError::Exists(_)) => return Ok(false),
            Err(other) => return Err(other),
        }
        let put = store
            .put_unless_there(&names::identity_name(), &vec![identity.encode()])
            .map_err(AccessError::Store)?;
        match wait {
            None if put => return Ok(true),
            Some(wait) if put => wait(),
            _ => {}
        }
        // Also when it was refused: its first answer may have been lost, and the refusal been for
        // what it stored itself.
        Ok(Self::identity(store)?.id == identity.id)
    }

    fn make(
        store: Arc<dyn Store>,
        passphrase: Option<&Passphrase>,
        cost: KdfCost,
        now: jiff::Timestamp,
        comment: &str,
        wait: Option<&dyn Fn()>,
    ) -> Result<Self, AccessError> {
        Self::nothing_there(store.as_ref())?;
        let mut id = [0; 16];
        getrandom::fill(&mut id).map_err(|error| AccessError::Key(KeyError::Random(error)))?;
        let id = StoreId(id);
        let cipher = if passphrase.is_some() {
            Cipher::Aes256Cfb
        } else {
            Cipher::None
        };
        let identity = Identity {
            id,
            cipher,
            created: now,
        };
        let unlocked = match passphrase {
            None => None,
            Some(passphrase) => {
                let master = MasterKey::generate().map_err(AccessError::Key)?;
                let slot = KeySlot::seal(&master, id, passphrase.expose(), cost, now, comment)
                    .map_err(AccessError::Key)?;
                // The key is there before anything can need it.
                put(store.as_ref(), &names::key_name(&slot.id), slot.encode())?;
                Some(Arc::new((master, slot.id)))
            }
        };
        let key = unlocked
            .as_ref()
            .map(|unlocked: &Arc<(MasterKey, String)>| unlocked.1.as_str());
        let is_own = match store
            .put_new(&names::identity_name(), &vec![identity.encode()])
            .map_err(AccessError::Store)?
        {
            Created::New => true,
            Created::WasThere => false,
            Created::Cannot => Self::settle(store.as_ref(), &identity, key, wait)?,
        };
        if !is_own {
            if let Some(key) = key {
                forget_key(store.as_ref(), key);
            }
            return Err(AccessError::Exists(store.location()));
        }
        tracing::info!(store = %store.location(), encrypted = passphrase.is_some(), "made a store");
        Ok(Self::assemble(store, identity, unlocked))
    }

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
        let identity = Self::identity(store.as_ref())?;
        let unlocked = match (identity.cipher, passphrase) {
            (Cipher::None, None) => None,
            (Cipher::None, Some(_)) => return Err(AccessError::NotEncrypted(store.location())),
            (Cipher::Aes256Cfb, None) => {
                return Err(AccessError::PassphraseNeeded(store.location()));
            }
            (Cipher::Aes256Cfb, Some(passphrase)) => Some(Arc::new(Self::unlock(
                store.as_ref(),
                &identity,
                passphrase,
            )?)),
        };
        Ok(Self::assemble(store, identity, unlocked))
    }

    /// The copy of this store that is at another place. With [`IfMissing::Create`] an empty place
    /// becomes one: it gets the identity and the keys, so that the same passphrases open it and
    /// everything that is sealed for this store can be copied there as it is. A copy gets keys that
    /// it lacks.
    ///
    /// # Errors
    ///
    /// [`AccessError::OtherStore`] where another store is; [`AccessError::NoStore`] where there is
    /// none, unless it is made.
    pub fn copy_at(
        &self,
        place: Arc<dyn Store>,
        if_missing: IfMissing,
    ) -> Result<Self, AccessError> {
        match Self::identity(place.as_ref()) {
            Ok(identity)
                if identity.id == self.identity.id && identity.cipher == self.identity.cipher => {}
            Ok(_) => {
                return Err(AccessError::OtherStore {
                    here: self.store.location(),
                    there: place.location(),
                });
            }
            Err(AccessError::NoStore(_)) if if_missing == IfMissing::Create => {}
            Err(other) => return Err(other),
        }
        let copy = self.through(place);
        if if_missing == IfMissing::Create {
            self.give_keys_to(&copy)?;
        }
        Ok(copy)
    }

    /// Keys first: what needs them comes after.
    fn give_keys_to(&self, copy: &Self) -> Result<(), AccessError> {
        let list = |store: &dyn Store| {
            let mut objects = Vec::new();
            let listed = store.list(names::KEYS, &mut |object| {
                objects.push(object.name);
                true
            });
            listed.map(|()| objects).map_err(AccessError::Store)
        };
        let there = list(copy.store.as_ref())?;
        for key in list(self.store.as_ref())?
            .into_iter()
            .filter(|key| !there.contains(key))
        {
            let bytes = self
                .store
                .get(&key, MAX_DOCUMENT_BYTES)
                .map_err(AccessError::Store)?;
            put(copy.store.as_ref(), &key, bytes)?;
        }
        let name = names::identity_name();
        match copy.store.get(&name, MAX_DOCUMENT_BYTES) {
            Err(error) if error.kind() == store::Kind::Missing => {
                let bytes = self
                    .store
                    .get(&name, MAX_DOCUMENT_BYTES)
                    .map_err(AccessError::Store)?;
                put(copy.store.as_ref(), &name, bytes)?;
                tracing::info!(store = %copy.store.location(), "made a copy of the store");
                Ok(())
            }
            there => there.map(drop).map_err(AccessError::Store),
        }
    }

    /// Whether the store at a place is encrypted, without opening it.
    ///
    /// # Errors
    ///
    /// [`AccessError::NoStore`] among others.
    pub fn is_encrypted(store: &dyn Store) -> Result<bool, AccessError> {
        Ok(Self::identity(store)?.cipher != Cipher::None)
    }

    fn assemble(
        store: Arc<dyn Store>,
        identity: Identity,
        unlocked: Option<Arc<(MasterKey, String)>>,
    ) -> Self {
        let protection = match &unlocked {
            None => Protection::Checksum,
            Some(unlocked) => Protection::Encrypted(Arc::new(unlocked.0.frame_keys(identity.id))),
        };
        Self {
            store,
            identity,
            protection,
            unlocked,
        }
    }

    fn nothing_there(store: &dyn Store) -> Result<(), AccessError> {
        match Self::identity(store) {
            Err(AccessError::NoStore(_)) => Ok(()),
            Err(other) => Err(other),
            Ok(_) => Err(AccessError::Exists(store.location())),
        }
    }

    fn identity(store: &dyn Store) -> Result<Identity, AccessError> {
        let name = names::identity_name();
        match store.get(&name, MAX_DOCUMENT_BYTES) {
            Ok(bytes) => Identity::decode(&bytes).map_err(|source| AccessError::Document {
                object: name,
                source,
            }),
            Err(error) if error.kind() == store::Kind::Missing => {
                let mut has_backups = false;
                let seen = store.list(names::MANIFESTS, &mut |_| {
                    has_backups = true;
                    false
                });
                seen.map_err(AccessError::Store)?;
                Err(if has_backups {
                    AccessError::IdentityLost(store.location())
                } else {
                    AccessError::NoStore(store.location())
                })
            }
            Err(error) => Err(AccessError::Store(error)),
        }
    }

    fn unlock(
        store: &dyn Store,
        identity: &Identity,
        passphrase: &Passphrase,
    ) -> Result<(MasterKey, String), AccessError> {
        let mut damaged = None;
        let slots = slots(store)?;
        if slots.is_empty() {
            return Err(AccessError::KeysLost(store.location()));
        }
        for slot in slots {
            match slot.and_then(|slot| {
                let master = slot
                    .open(identity.id, passphrase.expose())
                    .map_err(AccessError::Key)?;
                Ok(master.map(|master| (master, slot.id)))
            }) {
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

    /// The same store with the same keys, its objects had and stored through another way to it.
    #[must_use]
    pub fn through(&self, store: Arc<dyn Store>) -> Self {
        Self {
            store,
            ..self.clone()
        }
    }

    /// The store itself.
    pub fn store(&self) -> Arc<dyn Store> {
        Arc::clone(&self.store)
    }

    /// Its identity.
    pub fn store_id(&self) -> StoreId {
        self.identity.id
    }

    /// Whether what is in it is encrypted, and how.
    pub fn cipher(&self) -> Cipher {
        self.identity.cipher
    }

    /// What its frames are protected by.
    pub fn protection(&self) -> Protection {
        self.protection.clone()
    }

    /// Opens the frames of a level.
    pub fn opener(&self, level: &LevelId) -> Opener {
        Opener::new(self.identity.id, level.clone(), self.protection.clone())
    }

    /// Reads the manifest of a level.
    ///
    /// # Errors
    ///
    /// [`AccessError::Store`], and [`AccessError::Manifest`] when it is damaged or not what it
    /// claims to be.
    pub fn manifest(&self, backup: &BackupName, level: &LevelId) -> Result<Manifest, AccessError> {
        self.manifest_and_digest(backup, level)
            .map(|(manifest, _)| manifest)
    }

    /// The same, and what those that lean on it know it by.
    ///
    /// # Errors
    ///
    /// As [`manifest`](Self::manifest).
    pub fn manifest_and_digest(
        &self,
        backup: &BackupName,
        level: &LevelId,
    ) -> Result<(Manifest, String), AccessError> {
        let stored = self
            .store
            .get(&names::manifest_name(backup, level), MAX_MANIFEST_BYTES)
            .map_err(AccessError::Store)?;
        let failed = |source| AccessError::Manifest {
            level: level.clone(),
            source,
        };
        let digest = manifest::digest(&stored);
        let manifest = Manifest::open(stored, &self.opener(level)).map_err(failed)?;
        let claimed = manifest
            .backup()
            .map_err(|source| failed(ManifestError::Document(source)))?;
        let is_of_backup = claimed == *backup || names::as_listed(&claimed) == *backup;
        if is_of_backup && manifest.id == *level {
            Ok((manifest, digest))
        } else {
            Err(failed(ManifestError::Document(DocumentError::Content(
                "it belongs to another backup or level",
            ))))
        }
    }

    /// Reads the manifest of a level without its trees and tables: much faster where it leans on
    /// many levels.
    ///
    /// # Errors
    ///
    /// As [`manifest`](Self::manifest).
    pub fn outline(&self, backup: &BackupName, level: &LevelId) -> Result<Outline, AccessError> {
        let stored = self
            .store
            .get(&names::manifest_name(backup, level), MAX_MANIFEST_BYTES)
            .map_err(AccessError::Store)?;
        let failed = |source| AccessError::Manifest {
            level: level.clone(),
            source,
        };
        let outline = Outline::open(stored, &self.opener(level)).map_err(failed)?;
        let claimed = outline
            .backup()
            .map_err(|source| failed(ManifestError::Document(source)))?;
        let is_of_backup = claimed == *backup || names::as_listed(&claimed) == *backup;
        if is_of_backup && outline.id == *level {
            Ok(outline)
        } else {
            Err(failed(ManifestError::Document(DocumentError::Content(
                "it belongs to another backup or level",
            ))))
        }
    }

    /// The keys of the store, oldest first.
    ///
    /// # Errors
    ///
    /// [`AccessError::Document`] when one is damaged.
    pub fn keys(&self) -> Result<Vec<KeySlot>, AccessError> {
        let mut keys = slots(self.store.as_ref())?
            .into_iter()
            .collect::<Result<Vec<_>, _>>()?;
        keys.sort_by(|left, right| (left.created, &left.id).cmp(&(right.created, &right.id)));
        Ok(keys)
    }

    /// The key that opened this store; none without encryption.
    pub fn opened_by(&self) -> Option<&str> {
        self.unlocked.as_deref().map(|(_, id)| id.as_str())
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
            &unlocked.0,
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

    /// Takes a key away; its passphrase opens the store no longer.
    ///
    /// # Errors
    ///
    /// [`AccessError::NoKey`]; [`AccessError::LastKey`] when no other is left.
    pub fn remove_key(&self, id: &str) -> Result<(), AccessError> {
        let keys = self.keys()?;
        if !keys.iter().any(|key| key.id == id) {
            return Err(AccessError::NoKey(id.to_owned()));
        }
        if keys.len() == 1 {
            return Err(AccessError::LastKey(id.to_owned()));
        }
        self.store
            .delete(&names::key_name(id))
            .map_err(AccessError::Store)
    }
}

/// Removes the key of a store that was not made. One that stays opens nothing.
fn forget_key(store: &dyn Store, id: &str) {
    if let Err(error) = store.delete(&names::key_name(id)) {
        tracing::warn!(error = &error as &dyn std::error::Error, key = %id, "a key that opens nothing stays in the store");
    }
}

fn put(store: &dyn Store, name: &ObjectName, bytes: Vec<u8>) -> Result<(), AccessError> {
    store.put(name, &vec![bytes]).map_err(AccessError::Store)
}

/// Every key of a store, each read or not.
fn slots(store: &dyn Store) -> Result<Vec<Result<KeySlot, AccessError>>, AccessError> {
    let mut found = Vec::new();
    let listed = store.list(names::KEYS, &mut |object| {
        found.push(object.name);
        true
    });
    listed.map_err(AccessError::Store)?;
    let slots = found
        .into_iter()
        .filter(|name| name.as_str().ends_with(".json"))
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
