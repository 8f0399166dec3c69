//! Answers which points in time a backup has, and which levels each leans on.

use super::backup_in::BackupIn;
use super::error::PruneError;
use crate::catalog::{AccessError, Catalog, CatalogError, in_order, is_stray, outlines};
use crate::format::manifest::Outline;
use crate::model::order::{WrongDate, wrong_dates};
use crate::model::{LevelId, LevelSerial, Ranges};
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A point in time.
#[derive(Debug)]
pub(super) struct BackupPoint {
    pub(super) level: LevelId,
    /// What its manifest says; the error when that cannot be read.
    pub(super) facts: Result<PointFacts, AccessError>,
    /// Whether it cannot be read, has no data, and nothing is known to lean on it. Then it is no
    /// manifest that was damaged, but an object that has the name of one.
    pub(super) is_stray: bool,
}

impl BackupPoint {
    /// Returns when it began, by the clock of its run; by its name, where its manifest cannot be
    /// read.
    pub(super) fn date(&self) -> Timestamp {
        self.facts
            .as_ref()
            .map_or_else(|_| self.level.started(), |facts| facts.date)
    }

    /// Returns whether it has features that this program does not know, so that it must stay as it
    /// is.
    pub(super) fn is_read_only(&self) -> bool {
        self.facts.as_ref().is_ok_and(|facts| facts.is_read_only)
    }
}

/// What a manifest says, without its trees and tables.
#[derive(Clone, Debug)]
pub(super) struct PointFacts {
    pub(super) serial: LevelSerial,
    /// A serial that no level had when this one was made.
    pub(super) next_serial: LevelSerial,
    /// Whether it has features that this program does not know.
    pub(super) is_read_only: bool,
    pub(super) date: Timestamp,
    parent: Option<LevelId>,
    pub(super) number: u32,
    pub(super) tags: Vec<String>,
    pub(super) stored_bytes: u64,
    /// Levels whose streams it leans on.
    pub(super) leans_on: Vec<Lean>,
    /// Levels that hold a run of its index, as numbers like [`Lean::level`].
    pub(super) index_in: Vec<u32>,
}

/// A level that a point in time leans on.
#[derive(Clone, Debug)]
pub(super) struct Lean {
    /// Place of the level in [`BackupPoints::levels`].
    pub(super) level: u32,
    /// Bytes of its stream that are needed; `None` when all of them are.
    pub(super) live: Option<Arc<Ranges>>,
}

/// All points in time of a backup, in the order in which they were made.
///
/// Each level's id is in memory once, however many manifests name it.
#[derive(Debug, Default)]
pub(super) struct BackupPoints {
    pub(super) points: Vec<BackupPoint>,
    levels: Vec<LevelId>,
    numbers: BTreeMap<LevelId, u32>,
    /// Levels by their serials, as far as any manifest names them.
    serials: BTreeMap<LevelSerial, LevelId>,
    /// The bytes of each level that the last manifest needs. Most manifests need the same bytes as
    /// the one before, so these are shared.
    last_live: BTreeMap<u32, Arc<Ranges>>,
}

impl BackupPoints {
    /// Reads the manifests of a backup.
    pub(super) fn read(of: BackupIn<'_>) -> Result<Self, PruneError> {
        let mut points = Self::default();
        points.read_new(of)?;
        Ok(points)
    }

    /// Reads the manifests that were not there before, and drops the points in time that are gone.
    pub(super) fn read_new(&mut self, of: BackupIn<'_>) -> Result<(), PruneError> {
        let levels = Catalog::new(of.store())
            .levels(of.backup)
            .map_err(PruneError::Catalog)?;
        let there: BTreeSet<&LevelId> = levels.iter().collect();
        self.points.retain(|point| there.contains(&point.level));
        let known: BTreeSet<LevelId> = self
            .points
            .iter()
            .map(|point| point.level.clone())
            .collect();
        let new: Vec<LevelId> = levels
            .into_iter()
            .filter(|level| !known.contains(level))
            .collect();
        for (level, outline) in outlines(of.access, of.backup, new) {
            let facts = match outline {
                // Withdrawn since it was listed.
                Err(error) if error.is_missing() => continue,
                Err(source) if source.is_outage() => {
                    return Err(PruneError::Manifest { level, source });
                }
                Err(error) => Err(error),
                Ok(outline) => Ok(self.facts(outline)),
            };
            let is_stray = match &facts {
                Ok(_) => false,
                Err(error) => {
                    is_stray(of.access, of.backup, &level, error).map_err(PruneError::Catalog)?
                }
            };
            self.points.push(BackupPoint {
                level,
                facts,
                is_stray,
            });
        }
        self.sort();
        self.doubt_strays();
        self.compare(of)
    }

    /// Compares the points in time with what this client remembers of the backup.
    fn compare(&self, of: BackupIn<'_>) -> Result<(), PruneError> {
        let Some(witness) = of.access.witness() else {
            return Ok(());
        };
        let listed = |level: &LevelId| self.points.iter().any(|point| point.level == *level);
        let newest = || {
            let serial = |point: &BackupPoint| Some(point.facts.as_ref().ok()?.serial);
            let mut readable = self
                .points
                .iter()
                .rev()
                .filter_map(|point| Some((point.level.clone(), serial(point)?)));
            readable.next()
        };
        witness
            .compare(of.backup, listed, newest)
            .map_err(|surprise| PruneError::Catalog(CatalogError::Surprise(Box::new(surprise))))
    }

    /// Puts the points in time into the order in which they were made.
    fn sort(&mut self) {
        self.points
            .sort_by(|left, right| left.level.cmp(&right.level));
        let serials: BTreeMap<LevelId, LevelSerial> = self
            .points
            .iter()
            .filter_map(|point| Some((point.level.clone(), point.facts.as_ref().ok()?.serial)))
            .collect();
        let levels = self.points.iter().map(|point| point.level.clone());
        let places: BTreeMap<LevelId, usize> =
            in_order(levels.collect(), |level| serials.get(level).copied())
                .into_iter()
                .zip(0..)
                .collect();
        self.points
            .sort_by_key(|point| places.get(&point.level).copied());
    }

    /// Takes for damaged what another point in time names: it was one, whatever has become of it.
    fn doubt_strays(&mut self) {
        let Self {
            points, numbers, ..
        } = self;
        let parents: BTreeSet<LevelId> = points
            .iter()
            .filter_map(|point| point.facts.as_ref().ok()?.parent.clone())
            .collect();
        for point in points.iter_mut().filter(|point| point.is_stray) {
            point.is_stray = !numbers.contains_key(&point.level) && !parents.contains(&point.level);
        }
    }

    /// Returns the points in time that can be read and whose dates cannot be right.
    pub(super) fn wrong_dates(&self, now: Timestamp) -> Vec<(&BackupPoint, WrongDate)> {
        let readable: Vec<&BackupPoint> = self.readable().collect();
        let dates: Vec<Timestamp> = readable.iter().map(|point| point.date()).collect();
        readable
            .into_iter()
            .zip(wrong_dates(&dates, now))
            .filter_map(|(point, wrong)| Some((point, wrong?)))
            .collect()
    }

    /// Returns the points in time whose manifests can be read.
    pub(super) fn readable(&self) -> impl DoubleEndedIterator<Item = &BackupPoint> {
        self.points.iter().filter(|point| point.facts.is_ok())
    }

    /// Returns a serial that no level of the backup has had, as far as the manifests of these
    /// points in time say.
    pub(super) fn next_serial(&self, of: impl Fn(&LevelId) -> bool) -> Option<LevelSerial> {
        let points = self.points.iter().filter(|point| of(&point.level));
        let facts = points.filter_map(|point| point.facts.as_ref().ok());
        facts.map(|facts| facts.next_serial).max()
    }

    /// Returns whether a point in time cannot be read, and may lean on others all the same.
    pub(super) fn has_doubtful(&self) -> bool {
        self.points
            .iter()
            .any(|point| point.facts.is_err() && !point.is_stray)
    }

    /// Returns whether ids tell in which order levels were made, as far as manifests say. A point
    /// in time that cannot be read then leans on none with a later id.
    pub(super) fn ids_ascend(&self) -> bool {
        let of_points = self
            .points
            .iter()
            .filter(|point| !point.is_stray)
            .map(|point| &point.level);
        let mut ids = of_points.chain(self.serials.values());
        self.serials.values().is_sorted() && !ids.any(LevelId::is_out_of_order)
    }

    fn facts(&mut self, outline: Outline) -> PointFacts {
        let index_serials = outline.index_serials();
        let date = outline.date();
        let next_serial = outline.next_serial();
        let is_read_only = !outline.read_only_for().is_empty();
        let (mut leans_on, mut index_in) = (Vec::new(), Vec::new());
        self.serials.insert(outline.serial, outline.id.clone());
        for level in outline.levels {
            let number = self.number(&level.id);
            self.serials.insert(level.serial, level.id.clone());
            // As long as a level is there itself, all of its stream stays: it is a tar archive that
            // other programs can read. What a newer program needs of a stream is not known here.
            let live = level
                .live
                .filter(|_| level.id != outline.id && !is_read_only)
                .map(|live| self.shared(number, live));
            leans_on.push(Lean {
                level: number,
                live,
            });
            if index_serials.contains(&level.serial) {
                index_in.push(number);
            }
        }
        PointFacts {
            serial: outline.serial,
            next_serial,
            is_read_only,
            date,
            parent: outline.parent.map(|parent| parent.id),
            number: outline.level,
            tags: outline.tags,
            stored_bytes: outline.bytes.stored,
            leans_on,
            index_in,
        }
    }

    /// Returns these ranges, shared with the last manifest if they are the same.
    fn shared(&mut self, level: u32, live: Ranges) -> Arc<Ranges> {
        match self.last_live.get(&level) {
            Some(last) if **last == live => Arc::clone(last),
            _ => {
                let live = Arc::new(live);
                self.last_live.insert(level, Arc::clone(&live));
                live
            }
        }
    }

    /// Returns the place of a level in [`Self::levels`], which it gets now if it has none.
    fn number(&mut self, level: &LevelId) -> u32 {
        if let Some(number) = self.numbers.get(level) {
            return *number;
        }
        let number = u32::try_from(self.levels.len()).unwrap_or(u32::MAX);
        self.levels.push(level.clone());
        self.numbers.insert(level.clone(), number);
        number
    }

    /// Returns the level at a place.
    pub(super) fn id(&self, number: u32) -> Option<&LevelId> {
        self.levels.get(number as usize)
    }

    /// Returns whether a level is a point in time, or any that can be read names it.
    pub(super) fn names(&self, level: &LevelId) -> bool {
        self.numbers.contains_key(level) || self.points.iter().any(|point| point.level == *level)
    }

    /// Returns the newest point in time that can be read and leans on a level.
    pub(super) fn newest_that_leans_on(&self, level: &LevelId) -> Option<&LevelId> {
        let number = self.numbers.get(level)?;
        let leans = |point: &&BackupPoint| {
            point
                .facts
                .as_ref()
                .is_ok_and(|facts| facts.leans_on.iter().any(|lean| lean.level == *number))
        };
        self.points
            .iter()
            .rev()
            .find(leans)
            .map(|point| &point.level)
    }

    /// Returns the levels that a point in time needs, its own first.
    pub(super) fn needed_by<'points>(
        &'points self,
        level: &'points LevelId,
    ) -> impl Iterator<Item = &'points LevelId> {
        let facts = self
            .points
            .iter()
            .find(|point| point.level == *level)
            .and_then(|point| point.facts.as_ref().ok());
        let leans_on = facts
            .into_iter()
            .flat_map(|facts| &facts.leans_on)
            .filter_map(|lean| self.id(lean.level));
        std::iter::once(level).chain(leans_on.filter(move |other| *other != level))
    }

    /// Returns the levels that any of these points in time names.
    pub(super) fn named_by(&self, going: &BTreeSet<LevelId>) -> BTreeSet<LevelId> {
        let mut named = BTreeSet::new();
        for point in self
            .points
            .iter()
            .filter(|point| going.contains(&point.level))
        {
            named.insert(point.level.clone());
            if let Ok(facts) = &point.facts {
                named.extend(
                    facts
                        .leans_on
                        .iter()
                        .filter_map(|lean| self.id(lean.level))
                        .cloned(),
                );
            }
        }
        named
    }
}
