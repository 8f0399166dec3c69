//! The points in time of one backup, as far as upkeep needs them: which levels each leans on.

use super::PruneError;
use super::check::is_damage;
use crate::catalog::{Access, AccessError, Catalog};
use crate::format::manifest::Outline;
use crate::model::{BackupName, LevelId};
use crate::store;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// Manifests that are read at once: they are small, and reading them from afar is waiting.
const READERS: usize = 8;

/// A point in time.
#[derive(Debug)]
pub(super) struct Point {
    pub(super) level: LevelId,
    /// What its manifest says; nothing when that cannot be read.
    pub(super) known: Result<Known, AccessError>,
}

/// What a manifest says, without its trees and tables.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) number: u32,
    pub(super) tags: Vec<String>,
    pub(super) stored_bytes: u64,
    /// Levels whose streams it leans on, as numbers of [`Points::levels`].
    leans_on: Vec<u32>,
    /// Levels that hold a run of its index.
    index_in: Vec<u32>,
}

/// All points in time of a backup, oldest first. Each level's id is in memory once, however many manifests name it.
#[derive(Debug, Default)]
pub(super) struct Points {
    pub(super) points: Vec<Point>,
    levels: Vec<LevelId>,
    numbers: BTreeMap<LevelId, u32>,
}

/// The parts of levels that must stay.
#[derive(Debug, Default)]
pub(super) struct Needed {
    /// Levels whose stream and frame table are needed.
    streams: BTreeSet<LevelId>,
    /// Levels whose index objects are.
    indexes: BTreeSet<LevelId>,
    /// Everything of levels up to this one is: who knows.
    all_up_to: Option<LevelId>,
}

impl Points {
    /// Reads the manifests of a backup.
    pub(super) fn read(access: &Access, backup: &BackupName) -> Result<Self, PruneError> {
        let mut points = Self::default();
        points.read_new(access, backup)?;
        Ok(points)
    }

    /// Reads the manifests that were not there before, and drops the points in time that are not there any more.
    pub(super) fn read_new(&mut self, access: &Access, backup: &BackupName) -> Result<(), PruneError> {
        let levels = Catalog::new(access.store()).levels(backup).map_err(PruneError::Catalog)?;
        let there: BTreeSet<&LevelId> = levels.iter().collect();
        self.points.retain(|point| there.contains(&point.level));
        let known: BTreeSet<LevelId> = self.points.iter().map(|point| point.level.clone()).collect();
        let new: Vec<LevelId> = levels.into_iter().filter(|level| !known.contains(level)).collect();
        for (level, outline) in outlines(access, backup, new) {
            let known = match outline {
                // Withdrawn since it was listed.
                Err(AccessError::Store(error)) if error.kind() == store::Kind::Missing => continue,
                Err(AccessError::Store(error)) if !is_damage(&error) => {
                    return Err(PruneError::Manifest { level, source: AccessError::Store(error) });
                }
                Err(error) => Err(error),
                Ok(outline) => Ok(self.known(outline)),
            };
            self.points.push(Point { level, known });
        }
        self.points.sort_by(|left, right| left.level.cmp(&right.level));
        Ok(())
    }

    fn known(&mut self, outline: Outline) -> Known {
        let index_serials = outline.index_serials();
        let (mut leans_on, mut index_in) = (Vec::new(), Vec::new());
        for level in outline.levels {
            let number = self.number(&level.id);
            leans_on.push(number);
            if index_serials.contains(&level.serial) {
                index_in.push(number);
            }
        }
        Known { number: outline.level, tags: outline.tags, stored_bytes: outline.bytes.stored, leans_on, index_in }
    }

    fn number(&mut self, level: &LevelId) -> u32 {
        if let Some(number) = self.numbers.get(level) {
            return *number;
        }
        let number = u32::try_from(self.levels.len()).unwrap_or(u32::MAX);
        self.levels.push(level.clone());
        self.numbers.insert(level.clone(), number);
        number
    }

    fn ids<'points>(&'points self, numbers: &'points [u32]) -> impl Iterator<Item = &'points LevelId> {
        numbers.iter().filter_map(|number| self.levels.get(*number as usize))
    }

    /// What those of the points in time need that `stays` says stay. One that cannot be read may need every level up to itself.
    pub(super) fn needed(&self, stays: impl Fn(&LevelId) -> bool) -> Needed {
        let mut needed = Needed::default();
        let (mut streams, mut indexes) = (BTreeSet::new(), BTreeSet::new());
        for point in self.points.iter().filter(|point| stays(&point.level)) {
            match &point.known {
                Ok(known) => {
                    streams.extend(&known.leans_on);
                    indexes.extend(&known.index_in);
                }
                Err(_) => needed.all_up_to(&point.level),
            }
        }
        let ids = |numbers: BTreeSet<&u32>| numbers.into_iter().filter_map(|number| self.levels.get(*number as usize)).cloned().collect();
        needed.streams = ids(streams);
        needed.indexes = ids(indexes);
        needed
    }

    /// The levels that any of these points in time names.
    pub(super) fn named_by(&self, going: &BTreeSet<LevelId>) -> BTreeSet<LevelId> {
        let mut named = BTreeSet::new();
        for point in self.points.iter().filter(|point| going.contains(&point.level)) {
            named.insert(point.level.clone());
            if let Ok(known) = &point.known {
                named.extend(self.ids(&known.leans_on).cloned());
            }
        }
        named
    }
}

impl Needed {
    /// Keeps everything of levels up to this one.
    pub(super) fn all_up_to(&mut self, level: &LevelId) {
        self.all_up_to = self.all_up_to.take().max(Some(level.clone()));
    }

    /// Keeps everything of a level.
    pub(super) fn whole(&mut self, level: LevelId) {
        self.streams.insert(level.clone());
        self.indexes.insert(level);
    }

    /// Whether the stream of a level, or with `index` its index, must stay.
    pub(super) fn holds(&self, level: &LevelId, part: super::space::Part) -> bool {
        let of_part = match part {
            super::space::Part::Stream => &self.streams,
            super::space::Part::Index => &self.indexes,
        };
        of_part.contains(level) || self.all_up_to.as_ref().is_some_and(|last| level <= last)
    }
}

/// Reads manifests, several at once.
fn outlines(access: &Access, backup: &BackupName, levels: Vec<LevelId>) -> Vec<(LevelId, Result<Outline, AccessError>)> {
    let next = AtomicUsize::new(0);
    let read = || {
        let mut mine = Vec::new();
        while let Some(level) = levels.get(next.fetch_add(1, Ordering::Relaxed)) {
            mine.push((level.clone(), access.outline(backup, level)));
        }
        mine
    };
    thread::scope(|scope| {
        let readers: Vec<_> = (1..READERS.min(levels.len())).map(|_| scope.spawn(read)).collect();
        let mut all = read();
        for reader in readers {
            all.extend(reader.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        all
    })
}
