//! What this client knows of the stores that it has worked with, as `ssh` knows hosts.
//!
//! Encryption and signatures keep a provider from forging what a store holds. They do not keep it
//! from showing less: an older copy, an empty place, another store. A client that remembers what
//! it saw last notices that. It remembers for each store its id, its cipher, its version, its key
//! epoch and its places, and for each backup the newest point in time: the level, the serial and
//! the digest of the manifest.
//!
//! Only what was authenticated is remembered, that is a manifest that opened. A store that differs
//! from the memory is a [`Surprise`]: commands that read tell it and go on; commands that write or
//! remove refuse ([`Purpose`]). `--forget-store` makes the client forget the store.
//!
//! [`KnownStores`] is the memory of the client, [`Witness`] the part of it that an open store
//! carries along.
//!
//! Record: docs/design, "A client remembers each store that it has seen".

mod file;
mod memory;

pub use file::KnownStoresError;

use crate::format::identity::{Cipher, Identity};
use crate::model::{Advice, BackupName, KeyEpoch, LevelId, LevelSerial, StoreId};
use file::KnownFolder;
use memory::{KnownPoint, KnownStore};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The stores that this client knows.
#[derive(Clone, Debug)]
pub struct KnownStores(KnownFolder);

/// What a command does with a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// It reads: a surprise is told.
    Reading,
    /// It checks: surprises are collected, and the command ends with them.
    Checking,
    /// It writes or removes: a surprise ends it before it does.
    Writing,
}

/// A store is not what the client remembers.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Surprise {
    /// A place shows a store that this client has never seen, and used to show another one.
    #[error(
        "{place} shows another store than before: this machine knows store {known} there, and \
         found store {found}{}", InTheClear(*.is_plain)
    )]
    OtherStore {
        /// The location.
        place: String,
        /// The id that the client remembers.
        known: StoreId,
        /// The id that the store has.
        found: StoreId,
        /// Whether the known store was encrypted and this one is not.
        is_plain: bool,
    },
    /// A known store says that it is not encrypted, and it was.
    #[error("the store at {place} was encrypted and now says that it is not")]
    NotEncrypted {
        /// The location.
        place: String,
    },
    /// A store is of an earlier version than it was: somebody put an older identity back.
    #[error("the store at {place} was of version {known} and now says that it is of {found}")]
    Downgraded {
        /// The location.
        place: String,
        /// The version that the client remembers.
        known: u32,
        /// The version that the store has.
        found: u32,
    },
    /// The passphrase opens an earlier key epoch than before: the newer keys are gone.
    #[error(
        "the key of the store at {place} was rotated to epoch {}, and the passphrase opens only \
         epochs up to {}", .known.0, .found.0
    )]
    OlderKey {
        /// The location.
        place: String,
        /// The epoch that the client remembers.
        known: KeyEpoch,
        /// The newest epoch that the passphrase opens.
        found: KeyEpoch,
    },
    /// A place where this client knows a store is empty.
    #[error("{place} holds no store: this machine knows store {known} there")]
    Emptied {
        /// The location.
        place: String,
        /// The id that the client remembers.
        known: StoreId,
    },
    /// The newest point in time that the client saw is gone, and nothing newer is there.
    #[error(
        "{backup} has lost its newest points: this machine saw level {known}, and {}",
        Newest(.found.as_ref())
    )]
    Older {
        /// The backup.
        backup: BackupName,
        /// The newest level that the client saw.
        known: LevelId,
        /// The newest level that can be read now.
        found: Option<LevelId>,
    },
    /// The manifest of the newest point that the client saw has other bytes.
    #[error(
        "the manifest of level {level} of {backup} is not the one that this machine saw before"
    )]
    Changed {
        /// The backup.
        backup: BackupName,
        /// The level.
        level: LevelId,
    },
}

impl Advice for Surprise {
    fn hint(&self) -> Option<&str> {
        Some(Self::HINT)
    }
}

impl Surprise {
    /// What to do about it.
    const HINT: &'static str = "find out why before anything is written: is the disk mounted, was \
        the server restored from a backup, is it the right store? If all is well, --forget-store \
        makes this machine forget what it saw there";
}

/// Says that a store is not encrypted, where that matters.
struct InTheClear(bool);

impl std::fmt::Display for InTheClear {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0 {
            ", which is not encrypted as the known one was"
        } else {
            ""
        })
    }
}

/// Says which level is the newest, if there is one.
struct Newest<'a>(Option<&'a LevelId>);

impl std::fmt::Display for Newest<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Some(level) => write!(f, "the newest is now {level}"),
            None => f.write_str("no point is left"),
        }
    }
}

impl KnownStores {
    /// The memory that is kept in `folder`, which need not exist yet.
    pub fn new(folder: PathBuf) -> Self {
        Self(KnownFolder::new(folder))
    }

    /// Compares a store with the memory of its place.
    ///
    /// A store that the client knows from another place is no surprise: disks are exchanged, and
    /// stores move. A store that it never saw is one where it knows another.
    ///
    /// # Errors
    ///
    /// When the memory cannot be read.
    pub fn surprise_at(
        &self,
        place: &str,
        found: &Identity,
    ) -> Result<Option<Surprise>, KnownStoresError> {
        let is_plain =
            |known: &KnownStore| known.cipher != Cipher::None && found.cipher == Cipher::None;
        let known = self.0.read(found.id)?;
        if known.as_ref().is_some_and(is_plain) {
            let place = place.to_owned();
            return Ok(Some(Surprise::NotEncrypted { place }));
        }
        if let Some(known) = known
            .as_ref()
            .filter(|known| known.version > found.version())
        {
            return Ok(Some(Surprise::Downgraded {
                place: place.to_owned(),
                known: known.version,
                found: found.version(),
            }));
        }
        let is_known_here = |known: &KnownStore| known.places.contains_key(place);
        if known.as_ref().is_some_and(is_known_here) {
            return Ok(None);
        }
        let other = self.at(place)?;
        // A store that is known from elsewhere may come here, but not in the clear.
        let other = other.filter(|other| known.is_none() || is_plain(other));
        Ok(other.map(|other| Surprise::OtherStore {
            place: place.to_owned(),
            known: other.id,
            found: found.id,
            is_plain: is_plain(&other),
        }))
    }

    /// Returns whether the client has seen a store in a place.
    ///
    /// # Errors
    ///
    /// When the memory cannot be read.
    pub fn knows(&self, place: &str, id: StoreId) -> Result<bool, KnownStoresError> {
        let known = self.0.read(id)?;
        Ok(known.is_some_and(|known| known.places.contains_key(place)))
    }

    /// Compares a place without a store with the memory.
    ///
    /// # Errors
    ///
    /// When the memory cannot be read.
    pub fn surprise_of_nothing_at(
        &self,
        place: &str,
    ) -> Result<Option<Surprise>, KnownStoresError> {
        Ok(self.at(place)?.map(|known| Surprise::Emptied {
            place: place.to_owned(),
            known: known.id,
        }))
    }

    /// Forgets every store that the client knows at a place. Documents that cannot be read stay.
    ///
    /// # Errors
    ///
    /// When the memory cannot be changed.
    pub fn forget_place(&self, place: &str) -> Result<(), KnownStoresError> {
        for id in self.0.ids()? {
            let is_there = |known: &KnownStore| known.places.contains_key(place);
            if self
                .0
                .read(id)
                .is_ok_and(|known| known.as_ref().is_some_and(is_there))
            {
                self.0.remove(id)?;
            }
        }
        Ok(())
    }

    /// Forgets a store, even if its document cannot be read.
    ///
    /// # Errors
    ///
    /// When the memory cannot be changed.
    pub fn forget(&self, id: StoreId) -> Result<(), KnownStoresError> {
        self.0.remove(id)
    }

    /// Starts to watch an open store: what is known of it, and what will be learnt.
    ///
    /// # Errors
    ///
    /// When the memory cannot be read.
    pub fn watch(
        &self,
        place: &str,
        identity: &Identity,
        purpose: Purpose,
    ) -> Result<Witness, KnownStoresError> {
        let known = self.0.read(identity.id)?;
        let epoch = known.as_ref().map_or(KeyEpoch::NONE, |known| known.epoch);
        let is_newer = known
            .as_ref()
            .is_some_and(|known| known.version < identity.version());
        let here = known.and_then(|mut known| known.places.remove(place));
        let is_new_place = here.is_none() || is_newer;
        Ok(Witness {
            stores: self.clone(),
            id: identity.id,
            cipher: identity.cipher,
            version: identity.version(),
            place: place.to_owned(),
            purpose,
            seen: Mutex::new(Seen {
                known: here.unwrap_or_default(),
                learnt: BTreeMap::new(),
                removed: BTreeSet::new(),
                surprises: Vec::new(),
                is_new_place,
                epoch,
                is_new_epoch: false,
            }),
        })
    }

    fn at(&self, place: &str) -> Result<Option<KnownStore>, KnownStoresError> {
        for id in self.0.ids()? {
            if let Some(known) = self.0.read(id)?
                && known.places.contains_key(place)
            {
                return Ok(Some(known));
            }
        }
        Ok(None)
    }
}

/// Watches one open store for a run: compares what the run sees with the memory, and keeps what it
/// learns. Many threads may use it.
#[derive(Debug)]
pub struct Witness {
    stores: KnownStores,
    id: StoreId,
    cipher: Cipher,
    version: u32,
    place: String,
    purpose: Purpose,
    seen: Mutex<Seen>,
}

#[derive(Debug)]
struct Seen {
    /// What earlier runs saw.
    known: BTreeMap<BackupName, KnownPoint>,
    /// What this run saw or made, where it is newer.
    learnt: BTreeMap<BackupName, KnownPoint>,
    /// The levels that this run removed.
    removed: BTreeSet<(BackupName, LevelId)>,
    /// What differed, each once.
    surprises: Vec<Surprise>,
    is_new_place: bool,
    /// The newest key epoch that any run opened.
    epoch: KeyEpoch,
    is_new_epoch: bool,
}

impl Witness {
    /// Compares the key epoch that the passphrase opens with the memory, and takes note of it.
    ///
    /// # Errors
    ///
    /// [`Surprise::OlderKey`] where the store is to be changed.
    pub fn key_epoch(&self, found: KeyEpoch) -> Result<(), Surprise> {
        let known = {
            let mut seen = self.seen();
            if found > seen.epoch {
                seen.epoch = found;
                seen.is_new_epoch = true;
            }
            seen.epoch
        };
        if found == known {
            return Ok(());
        }
        self.surprised(Surprise::OlderKey {
            place: self.place.clone(),
            known,
            found,
        })
    }

    /// Compares the levels of a listing with the memory. `newest` opens the newest manifest that
    /// can be read; it is asked only where the level that the client knows is not listed. A
    /// surprise is told, or fails, as [`surprised`](Self::surprised) says.
    ///
    /// # Errors
    ///
    /// [`Surprise::Older`] where the store is to be changed.
    pub fn compare(
        &self,
        backup: &BackupName,
        is_listed: impl FnOnce(&LevelId) -> bool,
        newest: impl FnOnce() -> Option<(LevelId, LevelSerial)>,
    ) -> Result<(), Surprise> {
        let known = {
            let seen = self.seen();
            if let (Purpose::Writing, Some(surprise)) = (self.purpose, seen.surprises.first()) {
                return Err(surprise.clone());
            }
            match seen.known.get(backup) {
                Some(known)
                    if !seen
                        .removed
                        .contains(&(backup.clone(), known.level.clone())) =>
                {
                    known.clone()
                }
                _ => return Ok(()),
            }
        };
        if is_listed(&known.level) {
            return Ok(());
        }
        let found = newest();
        let is_newer = |(_, serial): &(LevelId, LevelSerial)| *serial > known.serial;
        if found.as_ref().is_some_and(is_newer) {
            return Ok(());
        }
        self.surprised(Surprise::Older {
            backup: backup.clone(),
            known: known.level,
            found: found.map(|(level, _)| level),
        })
    }

    /// Takes a surprise: tells it once where the store is read, returns it as an error where the
    /// store is to be changed.
    ///
    /// # Errors
    ///
    /// The surprise.
    pub fn surprised(&self, surprise: Surprise) -> Result<(), Surprise> {
        let mut seen = self.seen();
        let is_new = !seen.surprises.contains(&surprise);
        if is_new {
            seen.surprises.push(surprise.clone());
        }
        match self.purpose {
            Purpose::Writing => Err(surprise),
            Purpose::Checking => Ok(()),
            Purpose::Reading => {
                if is_new {
                    tracing::warn!("{surprise}");
                }
                Ok(())
            }
        }
    }

    /// What differed from the memory in this run.
    pub fn surprises(&self) -> Vec<Surprise> {
        self.seen().surprises.clone()
    }

    /// Takes note of a manifest that opened.
    ///
    /// # Errors
    ///
    /// [`Surprise::Changed`] where it is the known one with other bytes.
    pub fn opened(
        &self,
        backup: &BackupName,
        level: &LevelId,
        serial: LevelSerial,
        digest: &str,
    ) -> Result<(), Surprise> {
        let mut seen = self.seen();
        let point = KnownPoint {
            level: level.clone(),
            serial,
            digest: digest.to_owned(),
        };
        let newest = seen.learnt.get(backup).or_else(|| seen.known.get(backup));
        match newest {
            Some(known) if known.level == *level && known.digest != digest => {
                let surprise = Surprise::Changed {
                    backup: backup.clone(),
                    level: level.clone(),
                };
                seen.surprises.push(surprise.clone());
                return Err(surprise);
            }
            Some(known) if known.serial >= serial => {}
            _ => {
                seen.learnt.insert(backup.clone(), point);
            }
        }
        Ok(())
    }

    /// Takes note of a level that this run has made.
    pub fn published(
        &self,
        backup: &BackupName,
        level: &LevelId,
        serial: LevelSerial,
        digest: &str,
    ) {
        let point = KnownPoint {
            level: level.clone(),
            serial,
            digest: digest.to_owned(),
        };
        self.seen().learnt.insert(backup.clone(), point);
    }

    /// Compares the backups of a listing with the memory: one that the client knows and that is not
    /// listed is a surprise.
    ///
    /// # Errors
    ///
    /// [`Surprise::Older`] where the store is to be changed.
    pub fn compare_backups(&self, listed: &[BackupName]) -> Result<(), Surprise> {
        let known: Vec<BackupName> = self.seen().known.keys().cloned().collect();
        for backup in known.iter().filter(|backup| !listed.contains(backup)) {
            self.compare(backup, |_| false, || None)?;
        }
        Ok(())
    }

    /// Returns the backups that this client knows in the place.
    pub fn backups(&self) -> Vec<BackupName> {
        self.seen().known.keys().cloned().collect()
    }

    /// Takes note that this run removes a level.
    pub fn removed(&self, backup: &BackupName, level: &LevelId) {
        let mut seen = self.seen();
        seen.removed.insert((backup.clone(), level.clone()));
        if seen
            .learnt
            .get(backup)
            .is_some_and(|point| point.level == *level)
        {
            seen.learnt.remove(backup);
        }
    }

    /// Writes down what the run has learnt. Does nothing where nothing is new, or where the store
    /// surprised: the next run is to be surprised too.
    ///
    /// # Errors
    ///
    /// When the memory cannot be changed.
    pub fn keep(&self) -> Result<(), KnownStoresError> {
        let seen = self.seen();
        if !seen.surprises.is_empty() {
            return Ok(());
        }
        let is_new = seen.is_new_place || seen.is_new_epoch;
        if !is_new && seen.learnt.is_empty() && seen.removed.is_empty() {
            return Ok(());
        }
        self.stores.0.update(self.id, |store| {
            let mut store = store.unwrap_or_else(|| KnownStore {
                id: self.id,
                cipher: self.cipher,
                version: self.version,
                epoch: seen.epoch,
                places: BTreeMap::new(),
            });
            store.version = store.version.max(self.version);
            store.epoch = store.epoch.max(seen.epoch);
            let backups = store.places.entry(self.place.clone()).or_default();
            backups.retain(|backup, point| {
                !seen
                    .removed
                    .contains(&(backup.clone(), point.level.clone()))
            });
            for (backup, learnt) in &seen.learnt {
                // Another run may have seen a newer point meanwhile.
                let is_newer = backups
                    .get(backup)
                    .is_none_or(|point| point.serial < learnt.serial);
                if is_newer {
                    backups.insert(backup.clone(), learnt.clone());
                }
            }
            store
        })
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Witness {
    /// Writes down what the run has learnt, also of a run that failed later.
    fn drop(&mut self) {
        if let Err(error) = self.keep() {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(
                error,
                "this machine does not remember what it saw of the store"
            );
        }
    }
}

#[cfg(test)]
mod tests;
