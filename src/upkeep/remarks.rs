//! What a store holds of a backup beside its points in time: worth knowing, and no damage.

use super::PruneError;
use super::points::Points;
use super::space::Space;
use super::unneeded::Streams;
use super::withdrawn::Notes;
use crate::catalog::names::{self, Folder};
use crate::catalog::{Access, claims};
use crate::model::order::WrongDate;
use crate::model::{BackupName, LevelId};
use crate::store::{ObjectName, StoreExt};
use jiff::Timestamp;
use std::collections::BTreeMap;

/// Something that is no part of any point in time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Remark {
    /// A run has claimed the backup and seems to be at work; what it stored so far.
    UnderWay {
        /// The level that it makes, if it makes one.
        level: LevelId,
        /// Its data.
        bytes: u64,
    },
    /// A run was cut off. The next one that gets the backup's lock removes or uses what is left of
    /// it.
    CutOff {
        /// The level that it was to make.
        level: LevelId,
        /// Its data.
        bytes: u64,
    },
    /// Data that no point in time needs and no run has claimed: a prune removes it.
    Unneeded {
        /// Of how many levels.
        levels: u64,
        /// How much.
        bytes: u64,
    },
    /// A point in time has a date that cannot be right. It moves no other, and no rule lets it go.
    WrongDate {
        /// Which.
        level: LevelId,
        /// The date.
        date: Timestamp,
        /// What is wrong with it.
        wrong: WrongDate,
    },
    /// An object has the name of a manifest, and is none: it is in the way of nothing, and a repair
    /// removes it.
    Stray {
        /// Which.
        object: ObjectName,
    },
    /// The store lets nobody remove a point in time, or anything that it needs, before then.
    Locked {
        /// Which point in time.
        level: LevelId,
        /// When the first of what it needs is free.
        until: Timestamp,
    },
    /// Notes of points in time that went, whose data is kept for those who read it, if the grace is
    /// not over.
    Notes {
        /// How many.
        count: u64,
        /// The moment of the newest.
        newest: Timestamp,
    },
}

/// Looks for what is beside the points in time of a backup. Lists its data, its claims and its
/// notes, and reads its manifests; changes nothing.
///
/// # Errors
///
/// [`PruneError`].
pub fn remarks(
    access: &Access,
    backup: &BackupName,
    now: Timestamp,
) -> Result<Vec<Remark>, PruneError> {
    // Data first: what is published after that has its manifest by the time those are read.
    let space = Space::read(access, backup).map_err(PruneError::List)?;
    let claims = claims(&access.store(), backup, now).map_err(PruneError::List)?;
    let points = Points::read(access, backup)?;
    let mut unneeded = Streams::default()
        .unneeded(access, backup, (&points, &space, &points.needed(|_| true)))?
        .by_level;
    let mut remarks = Vec::new();
    for (level, is_live) in claims {
        let bytes = unneeded.remove(&level).unwrap_or_default();
        remarks.push(if is_live {
            Remark::UnderWay { level, bytes }
        } else {
            Remark::CutOff { level, bytes }
        });
    }
    if !unneeded.is_empty() {
        remarks.push(Remark::Unneeded {
            levels: unneeded.len() as u64,
            bytes: unneeded.values().sum(),
        });
    }
    for (point, wrong) in points.wrong_dates(now) {
        remarks.push(Remark::WrongDate {
            level: point.level.clone(),
            date: point.date(),
            wrong,
        });
    }
    remarks.extend(
        points
            .points
            .iter()
            .filter(|point| point.is_stray)
            .map(|point| Remark::Stray {
                object: names::manifest_name(backup, &point.level),
            }),
    );
    // What one run stored is locked until one moment.
    let mut locks = BTreeMap::new();
    for point in &points.points {
        let mut until = None;
        for level in points.needed_by(&point.level) {
            let of_level = match locks.get(level) {
                Some(known) => *known,
                None => {
                    let segment = space
                        .of(level)
                        .and_then(|objects| objects.segments.keys().next());
                    let object = match segment {
                        Some(number) => names::data_name(backup, level, Folder::Segments, *number),
                        None => names::manifest_name(backup, level),
                    };
                    let of_level = access
                        .store()
                        .held_until(&object)
                        .map_err(PruneError::List)?;
                    locks.insert(level.clone(), of_level);
                    of_level
                }
            };
            let Some(of_level) = of_level else {
                until = None;
                break;
            };
            until = Some(until.map_or(of_level, |until: Timestamp| until.min(of_level)));
        }
        if let Some(until) = until {
            remarks.push(Remark::Locked {
                level: point.level.clone(),
                until,
            });
        }
    }
    let notes = Notes::list(access, backup).map_err(PruneError::List)?;
    if let Some(newest) = notes.newest() {
        remarks.push(Remark::Notes {
            count: notes.count(),
            newest,
        });
    }
    Ok(remarks)
}
