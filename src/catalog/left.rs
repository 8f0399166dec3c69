//! What runs left that were cut off: what the next run can take from them, and what goes.
//!
//! A run that was cut off has a claim that was ended, and no manifest. If it left a checkpoint, the
//! next run may take from its stream what has not changed since; the new manifest then names that
//! stream, and what the checkpoint does not name of it goes with its claim. Until such a manifest
//! is there the claim stays, so that whoever comes next finds all of it again.
//!
//! Why nothing that is needed can go: only the manifest of a later run can name its stream. Such a
//! run has a later id, or one that says that it is out of order; or the claim is dated in the
//! future, where runs of earlier versions did not say so. Where there is such a manifest, and it
//! was not made before the claim's run by their serials, all of them are read before anything is
//! removed.

use super::lock::Held;
use super::names::{self, Folder, LevelOf, Meaning};
use super::{Access, Catalog, CatalogError, Order, Verb, is_stray};
use crate::format::checkpoint::{Checkpoint, MAX_CHECKPOINT_BYTES};
use crate::format::manifest::{LevelParts, Manifest};
use crate::model::order::is_ahead;
use crate::model::{BackupName, FrameNo, LevelId, LevelSerial};
use crate::store::{self, ErrorKind, ObjectInfo, Store, StoreExt};
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeMap;
use std::error::Error;

/// A checkpoint that is older is of no use: a backup that nobody went on with for so long is begun
/// anew.
const KEPT_FOR: SignedDuration = SignedDuration::from_hours(30 * 24);

/// So many runs in a row that were cut off are taken from; of more, the newest.
const MOST_TAKEN: usize = 8;

/// What cut-off runs of a backup left. Whoever has this has the backup's lock.
#[derive(Debug, Default)]
pub struct Left {
    /// All of them, oldest first.
    runs: Vec<(LevelId, Fate)>,
    checkpoints: Vec<Checkpoint>,
    /// All levels that exist.
    published: Vec<LevelId>,
    /// When this was looked at.
    now: Timestamp,
}

/// What is to become of a run's data and claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// Its level exists: it ended well, and only its claim was left.
    Published,
    /// No manifest names it, and none will.
    Useless,
    /// A checkpoint names its stream, and the next level may.
    Kept,
    /// Levels were made since that may name its stream.
    Older,
}

/// What manifests say of a cut-off run's stream.
enum Naming {
    Named(Box<LevelParts>),
    Unnamed,
    /// One that cannot be read may name it.
    Doubtful,
}

impl Left {
    /// Looks at what was left when the lock was taken. Costs nothing when that is nothing.
    ///
    /// # Errors
    ///
    /// [`CatalogError`] when the store cannot be asked: then nothing of it may be removed. A
    /// checkpoint that cannot be used is no error.
    pub fn read(access: &Access, held: &Held<'_>, now: Timestamp) -> Result<Self, CatalogError> {
        if held.left().is_empty() {
            return Ok(Self::default());
        }
        let backup = held.backup();
        let published = Catalog::new(access.store()).levels(backup)?;
        let mut newest_serial = None;
        let mut open: Vec<LevelId> = Vec::new();
        for id in held.left() {
            let is_open = match later(&published, id, now) {
                Later::None => true,
                Later::Some => false,
                Later::Doubtful => {
                    let newest = match newest_serial {
                        Some(known) => known,
                        None => *newest_serial.insert(newest_of(access, backup, now)?),
                    };
                    let own = newest_checkpoint(access, backup, id)
                        .map_err(|source| failed(Verb::Open, backup, id, source))?
                        .map(|checkpoint| checkpoint.serial);
                    own.is_some_and(|own| newest.is_some_and(|newest| newest < own))
                }
            };
            if is_open {
                open.push(id.clone());
            }
        }
        let mut checkpoints: Vec<Checkpoint> = Vec::new();
        for id in open.iter().rev() {
            if checkpoints.len() == MOST_TAKEN {
                break;
            }
            checkpoints.extend(
                usable(access, backup, id, now, &open)?
                    .filter(|checkpoint| agrees(&checkpoints, checkpoint)),
            );
        }
        checkpoints.sort_by_key(|checkpoint| std::cmp::Reverse(checkpoint.serial));
        let is_kept = |id: &LevelId| {
            checkpoints
                .iter()
                .flat_map(|checkpoint| &checkpoint.levels)
                .any(|parts| parts.id == *id)
        };
        let is_open = |id: &LevelId| open.contains(id);
        let fate = |id: &LevelId| match (published.binary_search(id).is_ok(), is_open(id)) {
            (true, _) => Fate::Published,
            (false, false) => Fate::Older,
            (false, true) if is_kept(id) => Fate::Kept,
            (false, true) => Fate::Useless,
        };
        let runs = held
            .left()
            .iter()
            .map(|id| (id.clone(), fate(id)))
            .collect();
        Ok(Self {
            runs,
            checkpoints,
            published,
            now,
        })
    }

    /// The same, for one who wants to take nothing: all that no manifest names is of no use.
    #[must_use]
    pub fn without_checkpoints(mut self) -> Self {
        self.checkpoints.clear();
        for (_, fate) in &mut self.runs {
            if *fate == Fate::Kept {
                *fate = Fate::Useless;
            }
        }
        self
    }

    /// What can be taken from, newest first. They agree on which stream has which serial.
    pub fn checkpoints(&self) -> &[Checkpoint] {
        &self.checkpoints
    }

    /// The streams that the checkpoints name, each once.
    pub fn streams(&self) -> Vec<LevelParts> {
        let all = self
            .checkpoints
            .iter()
            .flat_map(|checkpoint| &checkpoint.levels);
        let by_serial: BTreeMap<LevelSerial, &LevelParts> =
            all.map(|parts| (parts.serial, parts)).collect();
        by_serial.into_values().rev().cloned().collect()
    }

    /// The runs whose data stays until the next level is made.
    pub fn kept(&self) -> impl Iterator<Item = &LevelId> {
        self.runs
            .iter()
            .filter(|(_, fate)| *fate == Fate::Kept)
            .map(|(id, _)| id)
    }

    /// Removes the data that is of no use to anybody, and the claims that go with it. Stops at the
    /// first that may not be removed.
    ///
    /// # Errors
    ///
    /// [`CatalogError::Level`]; what is left then is found again by the next holder of the lock.
    pub fn remove(&self, access: &Access, held: &Held<'_>) -> Result<(), CatalogError> {
        for (id, fate) in &self.runs {
            let naming = match fate {
                Fate::Kept => continue,
                Fate::Published => None,
                Fate::Useless => Some(Naming::Unnamed),
                // Manifests are read only where something can come of it: a client that may only
                // add objects has all its claims for ever.
                Fate::Older if !held.remove_terms(id) => break,
                Fate::Older => Some(self.naming(access, held.backup(), id)),
            };
            if !clear(access, held, id, naming)? {
                break;
            }
        }
        Ok(())
    }

    /// Does the same with what was kept, once a level has been made: its manifest says which of it
    /// stays.
    ///
    /// # Errors
    ///
    /// As [`remove`](Self::remove).
    pub fn settle(
        &self,
        access: &Access,
        held: &Held<'_>,
        manifest: &Manifest,
    ) -> Result<(), CatalogError> {
        for id in self.kept() {
            let parts = manifest.levels.iter().find(|parts| parts.id == *id);
            let naming = parts.map_or(Naming::Unnamed, |parts| {
                Naming::Named(Box::new(parts.clone()))
            });
            if !clear(access, held, id, Some(naming))? {
                break;
            }
        }
        Ok(())
    }

    fn naming(&self, access: &Access, backup: &BackupName, id: &LevelId) -> Naming {
        let mut naming = Naming::Unnamed;
        let is_later = |level: &&LevelId| {
            *level > id || level.is_out_of_order() || is_ahead(id.started(), self.now)
        };
        for level in self.published.iter().rev().filter(is_later) {
            match access.manifest(backup, level) {
                Ok(manifest) => {
                    if let Some(parts) = manifest.levels.into_iter().find(|parts| parts.id == *id) {
                        return Naming::Named(Box::new(parts));
                    }
                }
                Err(error) if matches!(is_stray(access, backup, level, &error), Ok(true)) => {}
                Err(error) => {
                    tracing::warn!(%level, error = &error as &dyn Error, "its manifest cannot be read; what it may name stays");
                    naming = Naming::Doubtful;
                }
            }
        }
        naming
    }
}

/// Whether names tell of a level that a later run made than one that was cut off.
enum Later {
    /// There is none.
    None,
    /// There is.
    Some,
    /// A clock was wrong: nobody knows.
    Doubtful,
}

fn later(published: &[LevelId], id: &LevelId, now: Timestamp) -> Later {
    if is_ahead(id.started(), now) && !published.is_empty() {
        return Later::Doubtful;
    }
    match published.last() {
        Some(newest)
            if newest > id && !id.is_out_of_order() && !is_ahead(newest.started(), now) =>
        {
            Later::Some
        }
        Some(newest) if newest > id => Later::Doubtful,
        _ if published.iter().any(LevelId::is_out_of_order) => Later::Doubtful,
        _ => Later::None,
    }
}

/// The highest serial of all manifests that can be read; `None` where one cannot.
fn newest_of(
    access: &Access,
    backup: &BackupName,
    now: Timestamp,
) -> Result<Option<LevelSerial>, CatalogError> {
    let order = Order::read(access, backup, now)?;
    for level in order.levels().rev() {
        match access.manifest(backup, level) {
            Ok(manifest) => return Ok(Some(manifest.serial)),
            Err(error) if is_stray(access, backup, level, &error)? => {}
            Err(_) => return Ok(None),
        }
    }
    Ok(Some(LevelSerial(0)))
}

/// Removes what a run left, as far as no manifest names it, then its claim. Returns whether that is
/// gone, or is to stay.
fn clear(
    access: &Access,
    held: &Held<'_>,
    id: &LevelId,
    naming: Option<Naming>,
) -> Result<bool, CatalogError> {
    let backup = held.backup();
    match naming {
        None => {
            if !remove_checkpoints(access, backup, id) {
                return Ok(false);
            }
        }
        Some(Naming::Doubtful) => return Ok(true),
        Some(Naming::Named(parts)) => remove_surplus(access, backup, &parts)?,
        Some(Naming::Unnamed) => {
            let any = Catalog::new(access.store()).remove_leftover(backup, id)?;
            tracing::info!(%backup, level = %id, any, "removed what a run left that was cut off");
        }
    }
    Ok(held.remove_claim(id))
}

/// Removes the checkpoints of a level that was made. Returns whether they are gone.
fn remove_checkpoints(access: &Access, backup: &BackupName, level: &LevelId) -> bool {
    let (store, of) = (
        access.store(),
        LevelOf {
            backup: backup.clone(),
            level: level.clone(),
        },
    );
    let mut removed = Ok(());
    let listed = store.list(&of.checkpoints_prefix(), &mut |object| {
        removed = store.delete(&object.name);
        removed.is_ok()
    });
    listed
        .and(removed)
        .inspect_err(|error| tracing::debug!(%error, "a checkpoint stays that nobody needs"))
        .is_ok()
}

/// Removes what a cut-off run stored after its checkpoint, and what only the next run had a use
/// for: no manifest names either.
fn remove_surplus(
    access: &Access,
    backup: &BackupName,
    parts: &LevelParts,
) -> Result<(), CatalogError> {
    let (store, of) = (
        access.store(),
        LevelOf {
            backup: backup.clone(),
            level: parts.id.clone(),
        },
    );
    let mut is_repacked = false;
    let listed = store.list(&of.repacked_prefix(), &mut |_| {
        is_repacked = true;
        false
    });
    listed.map_err(|source| failed(Verb::Withdraw, backup, &parts.id, source))?;
    let mut removed = Ok(());
    let is_surplus = |object: &ObjectInfo| match names::meaning(&object.name) {
        Some(Meaning::Data { folder, number, .. }) => match folder {
            // Where it was repacked since, higher numbers are in use.
            Folder::Segments => !is_repacked && number >= parts.segments,
            Folder::Frames => !is_repacked && number >= parts.frame_table_segments,
            Folder::Repacked => false,
            Folder::Index | Folder::Checkpoints => true,
        },
        _ => false,
    };
    let listed = store.list(&names::level_prefix(backup, &parts.id), &mut |object| {
        if is_surplus(&object) {
            removed = store.delete(&object.name);
        }
        removed.is_ok()
    });
    listed
        .and(removed)
        .map_err(|source| failed(Verb::Withdraw, backup, &parts.id, source))
}

fn failed(verb: Verb, backup: &BackupName, level: &LevelId, source: store::Error) -> CatalogError {
    CatalogError::Level {
        verb,
        backup: backup.clone(),
        level: level.clone(),
        source,
    }
}

/// Whether a checkpoint gives every stream the serial that later ones give it.
fn agrees(later: &[Checkpoint], checkpoint: &Checkpoint) -> bool {
    let streams = || later.iter().flat_map(|later| &later.levels);
    let agrees = |parts: &LevelParts| {
        streams().all(|other| (other.serial == parts.serial) == (other.id == parts.id))
    };
    checkpoint.levels.iter().all(agrees)
}

/// The newest checkpoint of a cut-off run, if all that it names is there and can still be used.
fn usable(
    access: &Access,
    backup: &BackupName,
    id: &LevelId,
    now: Timestamp,
    open: &[LevelId],
) -> Result<Option<Checkpoint>, CatalogError> {
    let fail = |source| failed(Verb::Open, backup, id, source);
    let Some(checkpoint) = newest_checkpoint(access, backup, id).map_err(fail)? else {
        return Ok(None);
    };
    if checkpoint
        .at
        .checked_add(KEPT_FOR)
        .is_ok_and(|end| end < now)
    {
        tracing::info!(%backup, level = %id, "what a run left that was cut off is too old to be taken up");
        return Ok(None);
    }
    for parts in &checkpoint.levels {
        // Of a stream whose claim is gone nobody knows whether it is whole.
        if !open.contains(&parts.id) || !is_there(access, backup, parts).map_err(fail)? {
            tracing::warn!(%backup, level = %id, stream = %parts.id, "a part of what a cut-off run had stored is missing; it is not taken up");
            return Ok(None);
        }
    }
    Ok(Some(checkpoint))
}

fn newest_checkpoint(
    access: &Access,
    backup: &BackupName,
    id: &LevelId,
) -> Result<Option<Checkpoint>, store::Error> {
    let of = LevelOf {
        backup: backup.clone(),
        level: id.clone(),
    };
    let mut newest = None;
    access
        .store()
        .list(&of.checkpoints_prefix(), &mut |object| {
            if let Some(Meaning::Data {
                folder: Folder::Checkpoints,
                number,
                ..
            }) = names::meaning(&object.name)
            {
                newest = newest.max(Some(number));
            }
            true
        })?;
    let Some(number) = newest else {
        return Ok(None);
    };
    let stored = match access.store().get(
        &of.data_name(Folder::Checkpoints, number),
        MAX_CHECKPOINT_BYTES,
    ) {
        Ok(stored) => stored,
        Err(error)
            if !matches!(
                error.kind(),
                ErrorKind::Missing | ErrorKind::Short | ErrorKind::TooLarge
            ) =>
        {
            return Err(error);
        }
        Err(error) => {
            tracing::warn!(level = %id, error = &error as &dyn Error, "a checkpoint cannot be read");
            return Ok(None);
        }
    };
    let opened = Checkpoint::open(stored, &access.opener(id), FrameNo(number.into()));
    let is_its_own = |checkpoint: &Checkpoint| {
        let claimed = checkpoint.backup().ok();
        checkpoint.id == *id
            && checkpoint.store == access.store_id()
            && claimed
                .is_some_and(|claimed| claimed == *backup || names::as_listed(&claimed) == *backup)
    };
    match opened {
        Ok(checkpoint) if is_its_own(&checkpoint) => Ok(Some(checkpoint)),
        Ok(_) => {
            tracing::warn!(level = %id, "a checkpoint belongs to another backup");
            Ok(None)
        }
        Err(error) => {
            tracing::warn!(level = %id, error = &error as &dyn Error, "a checkpoint cannot be used");
            Ok(None)
        }
    }
}

/// Whether the objects of a stream are all where they should be.
fn is_there(
    access: &Access,
    backup: &BackupName,
    parts: &LevelParts,
) -> Result<bool, store::Error> {
    let (mut segments, mut frames) = (0_u32, 0_u32);
    access
        .store()
        .list(&names::level_prefix(backup, &parts.id), &mut |object| {
            if let Some(Meaning::Data { folder, number, .. }) = names::meaning(&object.name) {
                segments += u32::from(folder == Folder::Segments && number < parts.segments);
                frames +=
                    u32::from(folder == Folder::Frames && number < parts.frame_table_segments);
            }
            true
        })?;
    Ok((segments, frames) == (parts.segments, parts.frame_table_segments))
}
