//! Answers what cut-off runs left: what the next run can take from it, and what goes.
//!
//! A run that was cut off has a claim that was ended, and no manifest. If it left a checkpoint, the
//! next run may take from its stream what has not changed since. The new manifest then names that
//! stream; what the checkpoint does not name of it goes with its claim. Until such a manifest is
//! there the claim stays, so that the next holder of the lock finds all of it again.
//!
//! Why nothing that is needed can go: only the manifest of a later run can name its stream. Such a
//! run has a later id, or one that says that it is out of order; or the claim is dated in the
//! future, where runs of earlier versions did not say so. Where there is such a manifest, and it
//! was not made before the claim's run by their serials, all of them are read before anything is
//! removed.
//!
//! | file | question |
//! |---|---|
//! | `checkpoints` | which checkpoints can the next run take from? |
//! | `clearing` | how is data removed that no manifest names? |

mod checkpoints;
mod clearing;

use super::lock::Held;
use super::{Access, Catalog, CatalogError, Order, is_stray};
use crate::format::checkpoint::Checkpoint;
use crate::format::manifest::{LevelParts, Manifest};
use crate::model::order::is_ahead;
use crate::model::{BackupName, LevelId, LevelSerial};
use checkpoints::{newest_checkpoint, usable_checkpoints};
use clearing::{Clearing, clear};
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::error::Error;

/// The data that cut-off runs of a backup left. Its owner has the backup's lock.
#[derive(Debug, Default)]
pub struct Left {
    /// All cut-off runs, oldest first.
    runs: Vec<(LevelId, RunFate)>,
    checkpoints: Vec<Checkpoint>,
    /// All levels that exist.
    published: Vec<LevelId>,
    /// When this was looked at.
    now: Timestamp,
}

/// What is to become of a run's data and claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RunFate {
    /// Its level exists: it ended well, and only its claim was left.
    Published,
    /// No manifest names its data, and none will.
    Useless,
    /// A checkpoint names its stream, and the next level may.
    Kept,
    /// Levels were made since that may name its stream.
    Older,
}

impl Left {
    /// Looks at what was left when the lock was taken. Costs nothing when that is nothing.
    ///
    /// # Errors
    ///
    /// [`CatalogError`] when the store cannot be asked: nothing may be removed then. A checkpoint
    /// that cannot be used is no error.
    pub fn read(access: &Access, held: &Held<'_>, now: Timestamp) -> Result<Self, CatalogError> {
        if held.left().is_empty() {
            return Ok(Self::default());
        }
        let backup = held.backup();
        let published = Catalog::new(access.store()).levels(backup)?;
        let open = open_runs(access, held, &published, now)?;
        let checkpoints = usable_checkpoints(access, backup, &open, now)?;
        let is_kept = |id: &LevelId| {
            checkpoints
                .iter()
                .flat_map(|checkpoint| &checkpoint.levels)
                .any(|parts| parts.id == *id)
        };
        let fate = |id: &LevelId| match (published.binary_search(id).is_ok(), open.contains(id)) {
            (true, _) => RunFate::Published,
            (false, false) => RunFate::Older,
            (false, true) if is_kept(id) => RunFate::Kept,
            (false, true) => RunFate::Useless,
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

    /// Gives up all checkpoints, for a caller that takes nothing: the data that they kept is of no
    /// use then.
    #[must_use]
    pub fn without_checkpoints(mut self) -> Self {
        self.checkpoints.clear();
        for (_, fate) in &mut self.runs {
            if *fate == RunFate::Kept {
                *fate = RunFate::Useless;
            }
        }
        self
    }

    /// Returns the checkpoints that can be taken from, newest first. They agree on which stream has
    /// which serial.
    pub fn checkpoints(&self) -> &[Checkpoint] {
        &self.checkpoints
    }

    /// Returns the streams that the checkpoints name, each once.
    pub fn streams(&self) -> Vec<LevelParts> {
        let all = self
            .checkpoints
            .iter()
            .flat_map(|checkpoint| &checkpoint.levels);
        let by_serial: BTreeMap<LevelSerial, &LevelParts> =
            all.map(|parts| (parts.serial, parts)).collect();
        by_serial.into_values().rev().cloned().collect()
    }

    /// Returns the runs whose data stays until the next level is made.
    pub fn kept(&self) -> impl Iterator<Item = &LevelId> {
        self.runs
            .iter()
            .filter(|(_, fate)| *fate == RunFate::Kept)
            .map(|(id, _)| id)
    }

    /// Removes the data that nobody has a use for, and the claims that go with it. Stops at the
    /// first that may not be removed.
    ///
    /// # Errors
    ///
    /// [`CatalogError::Level`]; the next holder of the lock finds again what is left then.
    pub fn remove(&self, access: &Access, held: &Held<'_>) -> Result<(), CatalogError> {
        for (id, fate) in &self.runs {
            let clearing = match fate {
                RunFate::Kept => continue,
                RunFate::Published => Clearing::Checkpoints,
                RunFate::Useless => Clearing::Everything,
                // Manifests are read only where something can come of it: a client that may only
                // add objects has all its claims for ever.
                RunFate::Older if !held.remove_terms(id) => break,
                RunFate::Older => self.unnamed_data(access, held.backup(), id),
            };
            if !clear(access, held, id, clearing)? {
                break;
            }
        }
        Ok(())
    }

    /// Removes what was kept, once a level has been made: its manifest says which of it stays.
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
            let clearing = parts.map_or(Clearing::Everything, |parts| {
                Clearing::AllBut(Box::new(parts.clone()))
            });
            if !clear(access, held, id, clearing)? {
                break;
            }
        }
        Ok(())
    }

    /// Reads the manifests of later levels to find out what of a run's data none of them names.
    fn unnamed_data(&self, access: &Access, backup: &BackupName, id: &LevelId) -> Clearing {
        let mut clearing = Clearing::Everything;
        let is_later = |level: &&LevelId| {
            *level > id || level.is_out_of_order() || is_ahead(id.started(), self.now)
        };
        for level in self.published.iter().rev().filter(is_later) {
            match access.manifest(backup, level) {
                Ok(manifest) => {
                    if let Some(parts) = manifest.levels.into_iter().find(|parts| parts.id == *id) {
                        return Clearing::AllBut(Box::new(parts));
                    }
                }
                Err(error) if matches!(is_stray(access, backup, level, &error), Ok(true)) => {}
                Err(error) => {
                    tracing::warn!(
                        %level,
                        error = &error as &dyn Error,
                        "this manifest cannot be read; all data that it may name stays"
                    );
                    clearing = Clearing::Nothing;
                }
            }
        }
        clearing
    }
}

/// Returns the cut-off runs after which no level was made: the next run may go on with their data.
fn open_runs(
    access: &Access,
    held: &Held<'_>,
    published: &[LevelId],
    now: Timestamp,
) -> Result<Vec<LevelId>, CatalogError> {
    let backup = held.backup();
    let mut newest_serial = None;
    let mut open: Vec<LevelId> = Vec::new();
    for id in held.left() {
        let is_open = match later(published, id, now) {
            Later::None => true,
            Later::Some => false,
            Later::Doubtful => {
                let newest = match newest_serial {
                    Some(known) => known,
                    None => *newest_serial.insert(newest_of(access, backup, now)?),
                };
                let own =
                    newest_checkpoint(access, backup, id)?.map(|checkpoint| checkpoint.serial);
                own.is_some_and(|own| newest.is_some_and(|newest| newest < own))
            }
        };
        if is_open {
            open.push(id.clone());
        }
    }
    Ok(open)
}

/// Whether names tell of a level that was made after a run that was cut off.
enum Later {
    /// There is none.
    None,
    /// There is one.
    Some,
    /// A clock was wrong, so names do not tell.
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

/// Returns the highest serial of all manifests; `None` where one of them cannot be read.
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
