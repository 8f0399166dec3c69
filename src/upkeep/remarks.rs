//! Tells what an admin should know of a backup besides damage: data of cut-off runs, locks, wrong
//! dates.

use super::backup_in::BackupIn;
use super::error::PruneError;
use super::grace::Notes;
use super::inventory::Inventory;
use super::needed::Needed;
use super::points::BackupPoints;
use super::space::Space;
use super::streams::LevelStreams;
use super::unneeded::Unneeded;
use crate::catalog::names::{self, Folder};
use crate::catalog::{Access, ClaimState, claims};
use crate::model::order::WrongDate;
use crate::model::{BackupName, LevelId};
use crate::store::{ObjectName, StoreExt};
use jiff::Timestamp;
use std::collections::BTreeMap;

/// Something worth knowing beside damage that a check of the points in time finds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Remark {
    /// A run has claimed the backup and seems to be at work.
    UnderWay {
        /// Id of the level that it makes, if it makes one.
        level: LevelId,
        /// Bytes that it stored so far.
        bytes: u64,
    },
    /// A run was cut off. The next one that gets the backup's lock uses or removes its data.
    CutOff {
        /// Id of the level that it was to make.
        level: LevelId,
        /// Bytes that it stored.
        bytes: u64,
    },
    /// Data that no point in time needs and no run has claimed: a prune removes it.
    Unneeded {
        /// How many levels have such data.
        levels: u64,
        /// How many bytes that is.
        bytes: u64,
    },
    /// A level has data, and neither a manifest nor a claim, a checkpoint or a note explains it.
    /// This is damage: see [`Damage::NoManifest`](super::Damage::NoManifest).
    NoManifest {
        /// The level.
        level: LevelId,
        /// How many bytes that is.
        bytes: u64,
    },
    /// A point in time has a date that cannot be right. It moves no other, and no rule lets it go.
    WrongDate {
        /// The level of the point in time.
        level: LevelId,
        /// Its date.
        date: Timestamp,
        /// What is wrong with the date.
        wrong: WrongDate,
    },
    /// An object has the name of a manifest, and is none. It does no harm, and a repair removes it.
    Stray {
        /// The object.
        object: ObjectName,
    },
    /// The store lets nobody remove a point in time, or anything that it needs, before a moment.
    Locked {
        /// The level of the point in time.
        level: LevelId,
        /// When the first object can go that it needs.
        until: Timestamp,
    },
    /// Notes of points in time that went. Their data is kept for those who are reading it, until
    /// the grace is over.
    Notes {
        /// How many notes there are.
        count: u64,
        /// The moment of the newest.
        newest: Timestamp,
    },
}

/// Looks for what there is to tell besides damage. Lists the data, claims and notes of a backup,
/// and reads its manifests; changes nothing.
///
/// # Errors
///
/// [`PruneError`].
pub fn remarks(
    access: &Access,
    backup: &BackupName,
    now: Timestamp,
) -> Result<Vec<Remark>, PruneError> {
    let of = BackupIn::new(access, backup);
    // In this order: a run claims before it stores data, and publishes its manifest before it gives
    // the claim up. So data that is seen has a claim or a manifest, if a run made it just now.
    let space = Space::read(of).map_err(PruneError::List)?;
    let claims = claims(access, backup, now).map_err(PruneError::List)?;
    let points = BackupPoints::read(of)?;
    let inventory = Inventory { space, points };
    let mut remarks = of_data(of, &inventory, claims)?;
    remarks.extend(of_points(of, &inventory, now));
    remarks.extend(of_locks(of, &inventory)?);
    let notes = Notes::list(of).map_err(PruneError::List)?.made_by(now);
    let moments = notes.that_keep_data(of).map_err(PruneError::List)?;
    remarks.extend(moments.last().map(|newest| Remark::Notes {
        count: moments.len() as u64,
        newest: *newest,
    }));
    Ok(remarks)
}

/// Tells of data that no point in time needs: of runs under way, of runs that were cut off, and
/// other.
fn of_data(
    of: BackupIn<'_>,
    inventory: &Inventory,
    claims: Vec<ClaimState>,
) -> Result<Vec<Remark>, PruneError> {
    let needed = Needed::by(&inventory.points, |_| true);
    let mut unneeded =
        Unneeded::find(of, inventory, &needed, &mut LevelStreams::default())?.by_level;
    let mut remarks = Vec::new();
    // A sync stores data under other ids than that of its claim.
    let is_of_sync = |claim: &ClaimState| inventory.space.of(&claim.level).is_none();
    let may_be_of_sync = claims.iter().any(is_of_sync);
    for ClaimState { level, holds } in claims {
        let bytes = unneeded.remove(&level).unwrap_or_default();
        remarks.push(if holds {
            Remark::UnderWay { level, bytes }
        } else {
            Remark::CutOff { level, bytes }
        });
    }
    if !may_be_of_sync {
        for level in unexplained(of, inventory, unneeded.keys())? {
            let bytes = unneeded.remove(&level).unwrap_or_default();
            remarks.push(Remark::NoManifest { level, bytes });
        }
    }
    if !unneeded.is_empty() {
        remarks.push(Remark::Unneeded {
            levels: unneeded.len() as u64,
            bytes: unneeded.values().sum(),
        });
    }
    Ok(remarks)
}

/// Returns the levels of these that nothing explains: no manifest names them, no run left a
/// checkpoint, and no note says that they were withdrawn.
fn unexplained<'levels>(
    of: BackupIn<'_>,
    inventory: &Inventory,
    levels: impl Iterator<Item = &'levels LevelId>,
) -> Result<Vec<LevelId>, PruneError> {
    let Inventory { space, points } = inventory;
    let has_checkpoint = |level: &LevelId| {
        space
            .of(level)
            .is_some_and(|objects| objects.has_checkpoint)
    };
    let mut levels: Vec<LevelId> = levels
        .filter(|level| !points.names(level) && !has_checkpoint(level))
        .cloned()
        .collect();
    if levels.is_empty() {
        return Ok(levels);
    }
    let noted = Notes::list(of)
        .and_then(|notes| notes.noted(of))
        .map_err(PruneError::List)?;
    levels.retain(|level| !noted.has(level));
    Ok(levels)
}

/// Tells of points in time with wrong dates, and of objects that are none.
fn of_points(of: BackupIn<'_>, inventory: &Inventory, now: Timestamp) -> Vec<Remark> {
    let points = &inventory.points;
    let dates = points.wrong_dates(now).into_iter();
    let dates = dates.map(|(point, wrong)| Remark::WrongDate {
        level: point.level.clone(),
        date: point.date(),
        wrong,
    });
    let strays = points.points.iter().filter(|point| point.is_stray);
    let strays = strays.map(|point| Remark::Stray {
        object: names::manifest_name(of.backup, &point.level),
    });
    dates.chain(strays).collect()
}

/// Tells of points in time that the store holds with all that they need.
fn of_locks(of: BackupIn<'_>, inventory: &Inventory) -> Result<Vec<Remark>, PruneError> {
    let points = &inventory.points;
    let mut ends = LockEnds {
        of,
        space: &inventory.space,
        known: BTreeMap::new(),
    };
    let mut remarks = Vec::new();
    for point in &points.points {
        let until = ends.first_of(points.needed_by(&point.level));
        remarks.extend(until?.map(|until| Remark::Locked {
            level: point.level.clone(),
            until,
        }));
    }
    Ok(remarks)
}

/// Asks until when the store holds levels, once for each.
struct LockEnds<'run> {
    of: BackupIn<'run>,
    space: &'run Space,
    known: BTreeMap<LevelId, Option<Timestamp>>,
}

impl LockEnds<'_> {
    /// Returns when the first of these levels is free; `None` when one is free already.
    fn first_of<'levels>(
        &mut self,
        levels: impl Iterator<Item = &'levels LevelId>,
    ) -> Result<Option<Timestamp>, PruneError> {
        let mut first = None;
        for level in levels {
            let Some(until) = self.of_level(level)? else {
                return Ok(None);
            };
            first = Some(first.map_or(until, |first: Timestamp| first.min(until)));
        }
        Ok(first)
    }

    /// Returns until when the store holds a level. A run locks all that it stores until one moment,
    /// so one object tells for its level.
    fn of_level(&mut self, level: &LevelId) -> Result<Option<Timestamp>, PruneError> {
        if let Some(known) = self.known.get(level) {
            return Ok(*known);
        }
        let segment = self
            .space
            .of(level)
            .and_then(|objects| objects.segments.keys().next());
        let object = match segment {
            Some(number) => names::data_name(self.of.backup, level, Folder::Segments, *number),
            None => names::manifest_name(self.of.backup, level),
        };
        let until = self
            .of
            .store()
            .held_until(&object)
            .map_err(PruneError::List)?;
        self.known.insert(level.clone(), until);
        Ok(until)
    }
}
