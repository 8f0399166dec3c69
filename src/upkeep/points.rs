//! The points in time of one backup, as far as upkeep needs them: which levels each leans on.

use super::PruneError;
use super::check::is_damage;
use crate::catalog::{Access, AccessError, Catalog, in_order, is_stray, outlines};
use crate::format::manifest::Outline;
use crate::model::order::{WrongDate, wrong_dates};
use crate::model::{BackupName, LevelId, LevelSerial, Ranges};
use crate::store;
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A point in time.
#[derive(Debug)]
pub(super) struct Point {
    pub(super) level: LevelId,
    /// What its manifest says; nothing when that cannot be read.
    pub(super) known: Result<Known, AccessError>,
    /// Whether it cannot be read, has no data, and nothing is known to lean on it: no manifest that
    /// was damaged, but an object that has the name of one.
    pub(super) is_stray: bool,
}

impl Point {
    /// When it began by the clock of its run; by its name, where its manifest cannot be read.
    pub(super) fn date(&self) -> Timestamp {
        self.known
            .as_ref()
            .map_or_else(|_| self.level.started(), |known| known.date)
    }
}

/// What a manifest says, without its trees and tables.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) serial: LevelSerial,
    pub(super) date: Timestamp,
    parent: Option<LevelId>,
    pub(super) number: u32,
    pub(super) tags: Vec<String>,
    pub(super) stored_bytes: u64,
    /// Levels whose streams it leans on.
    leans_on: Vec<Lean>,
    /// Levels that hold a run of its index.
    index_in: Vec<u32>,
}

/// A level that a point in time leans on.
#[derive(Clone, Debug)]
struct Lean {
    /// As a number of [`Points::levels`].
    level: u32,
    /// Which bytes of its stream are needed; nothing when all of them are.
    live: Option<Arc<Ranges>>,
}

/// All points in time of a backup, in the order in which they were made. Each level's id is in memory once, however many
/// manifests name it.
#[derive(Debug, Default)]
pub(super) struct Points {
    pub(super) points: Vec<Point>,
    levels: Vec<LevelId>,
    numbers: BTreeMap<LevelId, u32>,
    /// Which level has which serial, as far as any manifest says.
    serials: BTreeMap<LevelSerial, LevelId>,
    /// What was last said to be needed of each level: most of what a manifest says, the next one
    /// says too.
    last_live: BTreeMap<u32, Arc<Ranges>>,
}

/// The parts of levels that must stay.
#[derive(Debug, Default)]
pub(super) struct Needed {
    /// Levels whose streams are needed, and which bytes; all where it does not say.
    streams: BTreeMap<LevelId, Option<Ranges>>,
    /// Levels whose index objects are.
    indexes: BTreeSet<LevelId>,
    /// Everything of levels up to this one is: who knows.
    all_up_to: Option<LevelId>,
    /// Everything is.
    all: bool,
}

/// What is needed of the stream of a level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Needs<'needed> {
    /// No byte, and no frame table.
    Nothing,
    /// These bytes.
    Some(&'needed Ranges),
    /// All of it.
    All,
}

impl Points {
    /// Reads the manifests of a backup.
    pub(super) fn read(access: &Access, backup: &BackupName) -> Result<Self, PruneError> {
        let mut points = Self::default();
        points.read_new(access, backup)?;
        Ok(points)
    }

    /// Reads the manifests that were not there before, and drops the points in time that are not
    /// there any more.
    pub(super) fn read_new(
        &mut self,
        access: &Access,
        backup: &BackupName,
    ) -> Result<(), PruneError> {
        let levels = Catalog::new(access.store())
            .levels(backup)
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
        for (level, outline) in outlines(access, backup, new) {
            let known = match outline {
                // Withdrawn since it was listed.
                Err(AccessError::Store(error)) if error.kind() == store::ErrorKind::Missing => {
                    continue;
                }
                Err(AccessError::Store(error)) if !is_damage(&error) => {
                    return Err(PruneError::Manifest {
                        level,
                        source: AccessError::Store(error),
                    });
                }
                Err(error) => Err(error),
                Ok(outline) => Ok(self.known(outline)),
            };
            let is_stray = match &known {
                Ok(_) => false,
                Err(error) => {
                    is_stray(access, backup, &level, error).map_err(PruneError::Catalog)?
                }
            };
            self.points.push(Point {
                level,
                known,
                is_stray,
            });
        }
        self.sort();
        self.doubt_strays();
        Ok(())
    }

    /// Puts the points in time into the order in which they were made.
    fn sort(&mut self) {
        self.points
            .sort_by(|left, right| left.level.cmp(&right.level));
        let serials: BTreeMap<LevelId, LevelSerial> = self
            .points
            .iter()
            .filter_map(|point| Some((point.level.clone(), point.known.as_ref().ok()?.serial)))
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

    /// A point in time that another names was one, whatever has become of it.
    fn doubt_strays(&mut self) {
        let Self {
            points, numbers, ..
        } = self;
        let parents: BTreeSet<LevelId> = points
            .iter()
            .filter_map(|point| point.known.as_ref().ok()?.parent.clone())
            .collect();
        for point in points.iter_mut().filter(|point| point.is_stray) {
            point.is_stray = !numbers.contains_key(&point.level) && !parents.contains(&point.level);
        }
    }

    /// What is wrong with the dates of the points in time whose manifests can be read.
    pub(super) fn wrong_dates(&self, now: Timestamp) -> Vec<(&Point, WrongDate)> {
        let readable: Vec<&Point> = self
            .points
            .iter()
            .filter(|point| point.known.is_ok())
            .collect();
        let dates: Vec<Timestamp> = readable.iter().map(|point| point.date()).collect();
        readable
            .into_iter()
            .zip(wrong_dates(&dates, now))
            .filter_map(|(point, wrong)| Some((point, wrong?)))
            .collect()
    }

    /// Whether ids tell in which order levels were made, as far as anything is known of that. One
    /// that cannot be read then leans on none with a later id.
    fn ids_ascend(&self) -> bool {
        let of_points = self
            .points
            .iter()
            .filter(|point| !point.is_stray)
            .map(|point| &point.level);
        let mut ids = of_points.chain(self.serials.values());
        self.serials.values().is_sorted() && !ids.any(LevelId::is_out_of_order)
    }

    fn known(&mut self, outline: Outline) -> Known {
        let index_serials = outline.index_serials();
        let date = outline.date();
        let (mut leans_on, mut index_in) = (Vec::new(), Vec::new());
        self.serials.insert(outline.serial, outline.id.clone());
        for level in outline.levels {
            let number = self.number(&level.id);
            self.serials.insert(level.serial, level.id.clone());
            // As long as a level is there itself, all of its stream is a tar archive that other
            // programs can read.
            let live = level
                .live
                .filter(|_| level.id != outline.id)
                .map(|live| self.shared(number, live));
            leans_on.push(Lean {
                level: number,
                live,
            });
            if index_serials.contains(&level.serial) {
                index_in.push(number);
            }
        }
        Known {
            serial: outline.serial,
            date,
            parent: outline.parent.map(|parent| parent.id),
            number: outline.level,
            tags: outline.tags,
            stored_bytes: outline.bytes.stored,
            leans_on,
            index_in,
        }
    }

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

    fn number(&mut self, level: &LevelId) -> u32 {
        if let Some(number) = self.numbers.get(level) {
            return *number;
        }
        let number = u32::try_from(self.levels.len()).unwrap_or(u32::MAX);
        self.levels.push(level.clone());
        self.numbers.insert(level.clone(), number);
        number
    }

    fn id(&self, number: u32) -> Option<&LevelId> {
        self.levels.get(number as usize)
    }

    /// What those of the points in time need that `stays` says stay. One that cannot be read may
    /// need every level up to itself; all there are where ids do not tell which those are.
    pub(super) fn needed(&self, stays: impl Fn(&LevelId) -> bool) -> Needed {
        let mut needed = Needed::default();
        let (mut streams, mut indexes) = (
            BTreeMap::<u32, Option<Ranges>>::new(),
            BTreeSet::<u32>::new(),
        );
        let mut last: BTreeMap<u32, &Arc<Ranges>> = BTreeMap::new();
        for point in self.points.iter().filter(|point| stays(&point.level)) {
            let Ok(known) = &point.known else {
                match point.is_stray {
                    true => {}
                    false if self.ids_ascend() => needed.all_up_to(&point.level),
                    false => needed.all = true,
                }
                continue;
            };
            for Lean { level, live } in &known.leans_on {
                let all = streams
                    .entry(*level)
                    .or_insert_with(|| Some(Ranges::default()));
                match (live, &mut *all) {
                    (None, all) => *all = None,
                    (Some(live), Some(all))
                        if !last
                            .insert(*level, live)
                            .is_some_and(|last| Arc::ptr_eq(last, live)) =>
                    {
                        *all = all.union(live)
                    }
                    (Some(_), _) => {}
                }
            }
            indexes.extend(&known.index_in);
        }
        needed.streams = streams
            .into_iter()
            .filter_map(|(number, live)| Some((self.id(number)?.clone(), live)))
            .collect();
        needed.indexes = indexes
            .into_iter()
            .filter_map(|number| self.id(number))
            .cloned()
            .collect();
        needed
    }

    /// The newest point in time whose manifest can be read and leans on a level.
    pub(super) fn newest_that_leans_on(&self, level: &LevelId) -> Option<&LevelId> {
        let number = self.numbers.get(level)?;
        let leans = |point: &&Point| {
            point
                .known
                .as_ref()
                .is_ok_and(|known| known.leans_on.iter().any(|lean| lean.level == *number))
        };
        self.points
            .iter()
            .rev()
            .find(leans)
            .map(|point| &point.level)
    }

    /// The levels that a point in time needs, its own first.
    pub(super) fn needed_by<'points>(
        &'points self,
        level: &'points LevelId,
    ) -> impl Iterator<Item = &'points LevelId> {
        let known = self
            .points
            .iter()
            .find(|point| point.level == *level)
            .and_then(|point| point.known.as_ref().ok());
        let leans_on = known
            .into_iter()
            .flat_map(|known| &known.leans_on)
            .filter_map(|lean| self.id(lean.level));
        std::iter::once(level).chain(leans_on.filter(move |other| *other != level))
    }

    /// The levels that any of these points in time names.
    pub(super) fn named_by(&self, going: &BTreeSet<LevelId>) -> BTreeSet<LevelId> {
        let mut named = BTreeSet::new();
        for point in self
            .points
            .iter()
            .filter(|point| going.contains(&point.level))
        {
            named.insert(point.level.clone());
            if let Ok(known) = &point.known {
                named.extend(
                    known
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

impl Needed {
    /// Keeps everything of levels up to this one.
    pub(super) fn all_up_to(&mut self, level: &LevelId) {
        self.all_up_to = self.all_up_to.take().max(Some(level.clone()));
    }

    /// Keeps everything of a level.
    pub(super) fn whole(&mut self, level: LevelId) {
        self.streams.insert(level.clone(), None);
        self.indexes.insert(level);
    }

    fn is_doubtful(&self, level: &LevelId) -> bool {
        self.all || self.all_up_to.as_ref().is_some_and(|last| level <= last)
    }

    /// Whether the index of a level must stay.
    pub(super) fn index(&self, level: &LevelId) -> bool {
        self.indexes.contains(level) || self.is_doubtful(level)
    }

    /// What of the stream of a level must stay.
    pub(super) fn stream(&self, level: &LevelId) -> Needs<'_> {
        match self.streams.get(level) {
            _ if self.is_doubtful(level) => Needs::All,
            None => Needs::Nothing,
            Some(None) => Needs::All,
            Some(Some(live)) => Needs::Some(live),
        }
    }
}
