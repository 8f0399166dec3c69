//! Answers which backups and levels exist, by the names of a store's objects, and changes that.
//!
//! A manifest is bytes here: what it says, and whether it is genuine, is the business of
//! [`Access`](super::Access). Which levels others lean on is in manifests, so
//! [`Catalog::withdraw`] does not know it.

use super::listing::CatalogSize;
use super::names::{self, LevelOf, Meaning};
use super::{CatalogError, LevelVerb};
use crate::model::order::is_ahead;
use crate::model::{BackupName, BackupRef, LevelId};
use crate::store::{self, ObjectInfo, Rope, Store, StoreExt};
use jiff::Timestamp;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Least likeness, as `strsim` measures it (1 is equal), at which a name is shown as similar.
const LEAST_LIKENESS: f64 = 0.5;

/// How many similar names are shown.
const MOST_SIMILAR: usize = 3;

/// A backup as a listing shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backup {
    /// Name of the backup. A part too long for an object's name is cut ([`names`]).
    pub name: BackupName,
    /// Number of its levels; never 0.
    pub levels: u64,
    /// The level with the latest id.
    pub newest: LevelId,
    /// All levels, in the order of their ids.
    ids: Vec<LevelId>,
}

impl Backup {
    /// Returns the level with the latest id that is at most a day in the future, and how many ids
    /// are further ahead. A clock that was wrong made those, or they are no levels at all.
    pub fn newest_of(&self, now: Timestamp) -> (Option<&LevelId>, u64) {
        let ahead = self
            .ids
            .iter()
            .filter(|level| is_ahead(level.started(), now));
        let ahead = ahead.count();
        let newest = self.ids.iter().rev().nth(ahead);
        (newest, ahead as u64)
    }
}

/// The backups of one store.
#[derive(Clone)]
pub struct Catalog {
    store: Arc<dyn Store>,
}

impl Catalog {
    /// Looks at the backups of `store`. Asks it nothing yet, and keeps no answer.
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self { store }
    }

    /// Calls `found` for each backup that has a level, until it returns `false`. Backups come in
    /// the order of their objects' names.
    ///
    /// One listing of all manifests. Memory holds one backup.
    pub fn backups(&self, found: &mut dyn FnMut(Backup) -> bool) -> Result<(), CatalogError> {
        let mut current: Option<Backup> = None;
        let mut wanted = true;
        self.each_level(names::MANIFESTS, &mut |of| {
            match &mut current {
                Some(backup) if backup.name == of.backup => {
                    backup.levels += 1;
                    backup.newest = of.level.clone();
                    backup.ids.push(of.level);
                }
                other => {
                    let before = other.replace(Backup {
                        name: of.backup,
                        levels: 1,
                        newest: of.level.clone(),
                        ids: vec![of.level],
                    });
                    wanted = before.is_none_or(&mut *found);
                }
            }
            wanted
        })?;
        if wanted {
            current.map(found);
        }
        Ok(())
    }

    /// Returns the levels of a backup in the order of their ids; none when there is no such backup.
    /// An [`Order`](super::Order) knows in which order they were made, and which of these objects
    /// are manifests at all.
    pub fn levels(&self, backup: &BackupName) -> Result<Vec<LevelId>, CatalogError> {
        let mut levels = Vec::new();
        self.each_level(&names::manifests_prefix(backup), &mut |of| {
            levels.push(of.level);
            true
        })?;
        Ok(levels)
    }

    /// Finds the backup that a user means: `host/name` if that exists, else the one backup of that
    /// name on any host.
    ///
    /// # Errors
    ///
    /// [`CatalogError::UnknownBackup`] with similar names; [`CatalogError::Ambiguous`] when several
    /// hosts have it.
    pub fn find(&self, wanted: &BackupRef) -> Result<BackupName, CatalogError> {
        if let Some((host, name)) = wanted.host_and_name()
            && let Ok(exact) = BackupName::new(host, name)
            && self.exists(&exact)?
        {
            return Ok(exact);
        }
        let mut candidates = Vec::new();
        let mut near: Vec<(f64, BackupName)> = Vec::new();
        let cut = BackupName::new("any", wanted.name())
            .map(|whole| names::as_listed(&whole))
            .ok();
        self.backups(&mut |backup| {
            if cut
                .as_ref()
                .is_some_and(|cut| cut.name() == backup.name.name())
            {
                candidates.push(backup.name);
            } else {
                let likeness = likeness(wanted.name(), &backup.name);
                let place = near.partition_point(|(other, _)| *other >= likeness);
                if likeness >= LEAST_LIKENESS && place < MOST_SIMILAR {
                    near.insert(place, (likeness, backup.name));
                    near.truncate(MOST_SIMILAR);
                }
            }
            true
        })?;
        let wanted = wanted.name().to_owned();
        match (candidates.pop(), candidates.is_empty()) {
            (Some(only), true) => Ok(only),
            (Some(last), false) => {
                candidates.push(last);
                Err(CatalogError::Ambiguous { wanted, candidates })
            }
            (None, _) => Err(CatalogError::UnknownBackup {
                wanted,
                near: near.into_iter().map(|(_, name)| name).collect(),
            }),
        }
    }

    /// Returns the manifest of a level as it was published, of at most `limit` bytes.
    pub fn manifest(
        &self,
        backup: &BackupName,
        level: &LevelId,
        limit: u64,
    ) -> Result<Vec<u8>, CatalogError> {
        self.store
            .get(&names::manifest_name(backup, level), limit)
            .map_err(CatalogError::of_level(LevelVerb::Open, backup, level))
    }

    /// Makes a level exist, once all that its manifest names has been stored.
    ///
    /// One call looks whether the level is there, and one stores its manifest. When the second is
    /// cut off, the level exists or does not; there is nothing in between.
    ///
    /// # Errors
    ///
    /// [`CatalogError::Exists`] when there is a level of that id; nothing has changed then. After
    /// any other error the level may exist all the same, as the answer may have been lost.
    pub fn publish(
        &self,
        backup: &BackupName,
        level: &LevelId,
        manifest: Vec<u8>,
    ) -> Result<(), CatalogError> {
        let fail = CatalogError::of_level(LevelVerb::Publish, backup, level);
        let name = names::manifest_name(backup, level);
        if self.is_published(&name).map_err(&fail)? {
            return Err(CatalogError::Exists {
                backup: backup.clone(),
                level: level.clone(),
            });
        }
        self.store.put(&name, &Rope::from([manifest])).map_err(fail)
    }

    /// Removes a level: its manifest first, then its data. Also removes data without a manifest,
    /// which a run left that was cut off.
    ///
    /// No other level may lean on it. A call that was cut off can be repeated.
    pub fn withdraw(&self, backup: &BackupName, level: &LevelId) -> Result<(), CatalogError> {
        let fail = CatalogError::of_level(LevelVerb::Withdraw, backup, level);
        self.store
            .delete(&names::manifest_name(backup, level))
            .map_err(&fail)?;
        self.remove_data(backup, level).map(drop).map_err(fail)
    }

    /// Removes the data objects of a level. Returns whether there was any.
    ///
    /// Removes only objects whose names are of the layout. Anything else that somebody put there
    /// stays, and is logged.
    fn remove_data(&self, backup: &BackupName, level: &LevelId) -> Result<bool, store::Error> {
        let (mut removed, mut any) = (Ok(()), false);
        let mut remove = |object: ObjectInfo| {
            match names::meaning(&object.name) {
                Some(Meaning::Data { .. } | Meaning::Whole(..)) => {
                    any = true;
                    removed = self.store.delete(&object.name);
                }
                _ => tracing::warn!(
                    object = %object.name,
                    "this object belongs to no backup, and stays where it is"
                ),
            }
            removed.is_ok()
        };
        let listed = self
            .store
            .list(&names::level_prefix(backup, level), &mut remove);
        listed.and(removed).map(|()| any)
    }

    /// Removes the data that a run left which was cut off, unless its level exists. Returns whether
    /// there was any.
    ///
    /// The caller has the backup's lock.
    pub fn remove_leftover(
        &self,
        backup: &BackupName,
        level: &LevelId,
    ) -> Result<bool, CatalogError> {
        let fail = CatalogError::of_level(LevelVerb::Withdraw, backup, level);
        let manifest = names::manifest_name(backup, level);
        if self.is_published(&manifest).map_err(&fail)? {
            return Ok(false);
        }
        self.remove_data(backup, level).map_err(fail)
    }

    fn is_published(&self, manifest: &store::ObjectName) -> Result<bool, store::Error> {
        match self.store.get(manifest, 0) {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == store::ErrorKind::TooLarge => Ok(true),
            Err(error) if error.kind() == store::ErrorKind::Missing => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Returns the levels that have data but do not exist, of one backup or of all: cut-off runs
    /// left them.
    ///
    /// The data of a run that is under way looks the same: before any of it is removed, the caller
    /// has to know that there is no such run. Memory holds the ids of all levels that have data.
    pub fn leftovers(&self, of: Option<&BackupName>) -> Result<Vec<LevelOf>, CatalogError> {
        let mut with_data = BTreeSet::new();
        let mut last = None;
        self.each_level(
            &of.map_or_else(|| names::DATA.to_owned(), names::data_prefix),
            &mut |of| {
                if last.as_ref() != Some(&of) {
                    last = Some(of.clone());
                    with_data.insert(of);
                }
                true
            },
        )?;
        // Manifests second: a level that is published meanwhile has one by now.
        self.each_level(
            &of.map_or_else(|| names::MANIFESTS.to_owned(), names::manifests_prefix),
            &mut |of| {
                with_data.remove(&of);
                true
            },
        )?;
        Ok(with_data.into_iter().collect())
    }

    fn exists(&self, backup: &BackupName) -> Result<bool, CatalogError> {
        let mut exists = false;
        self.each_level(&names::manifests_prefix(backup), &mut |_| {
            exists = true;
            false
        })?;
        Ok(exists)
    }

    /// Calls `found` with the level of each manifest or data object below `prefix`, until that
    /// returns `false`. Other objects are passed over. More than a catalog can hold is an error.
    fn each_level(
        &self,
        prefix: &str,
        found: &mut dyn FnMut(LevelOf) -> bool,
    ) -> Result<(), CatalogError> {
        let mut size = CatalogSize::default();
        let mut each = |object: ObjectInfo| match names::meaning(&object.name) {
            Some(Meaning::Manifest(of) | Meaning::Data { of, .. }) => {
                size.has_room_for(&of) && found(of)
            }
            Some(
                Meaning::Whole(..) | Meaning::Claim(..) | Meaning::Withdrawn(_) | Meaning::Lost(_),
            )
            | None => {
                tracing::debug!(object = %object.name, "not an object of a backup");
                true
            }
        };
        let listed = self.store.list(prefix, &mut each);
        listed
            .and_then(|()| size.check())
            .map_err(|source| CatalogError::List { source })
    }
}

/// Returns how much a backup's name looks like the wanted one, with its host or without: 0 to 1.
fn likeness(wanted: &str, backup: &BackupName) -> f64 {
    let to = |name: &str| {
        strsim::normalized_damerau_levenshtein(&wanted.to_lowercase(), &name.to_lowercase())
    };
    let (_, last) = wanted.rsplit_once('/').unwrap_or(("", wanted));
    let last_part = if last == backup.name() { 0.9 } else { 0.0 };
    to(backup.name())
        .max(to(&backup.to_string()))
        .max(last_part)
}
