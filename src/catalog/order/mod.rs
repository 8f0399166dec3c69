//! Answers in which order the levels of a backup were made, and when each began.
//!
//! Both are in the manifests: the serial, which grows from run to run, and the date. Opening every
//! manifest for every question would cost a request for each, so names are believed where they
//! cannot mislead:
//!
//! - An id says when its run began. A level that finds a later id when it is made says so in its
//!   own ([`LevelId::is_out_of_order`]). Where no level says so, ids ascend as serials do: one
//!   listing tells the order, and nothing is opened.
//! - A date is looked up where the id is more than a day in the future, or less than a second after
//!   the one before: earlier versions moved levels there.
//! - A level that is wanted, or that a new one leans on, is opened before it is relied on.
//!
//! So one listing is enough where no clock was ever wrong. After one that was, every manifest is
//! opened, several at once; an [`OrderMemory`] keeps what they said for callers that ask again.
//!
//! An object that has the name of a manifest and does not open has no serial. It is placed by its
//! name, moves no other, and is passed over unless it may be a point in time that was damaged.
//!
//! Record: docs/design, "Order comes from the chain".

#[cfg(test)]
mod tests;

use super::stray::has_data;
use super::{Access, AccessError, Catalog, CatalogError, LevelVerb, outlines};
use crate::model::order::is_ahead;
use crate::model::{BackupName, Dated, LevelId, LevelSerial};
use crate::store;
use jiff::{SignedDuration, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

/// Ids that follow each other closer than this may have been moved there.
const MOVED: SignedDuration = SignedDuration::from_secs(1);

/// The serials and dates that manifests gave. Manifests never change.
#[derive(Debug, Default)]
pub struct OrderMemory(BTreeMap<LevelId, Remembered>);

/// What the manifest of a level says of its order.
#[derive(Clone, Copy, Debug)]
struct Remembered {
    serial: LevelSerial,
    date: Timestamp,
}

/// The points in time of a backup, in the order in which they were made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Order {
    points: Vec<Dated>,
    unreadable: BTreeSet<LevelId>,
}

impl Order {
    /// Finds the order by one listing, and by the manifests where names do not tell.
    ///
    /// # Errors
    ///
    /// [`CatalogError`] when the store cannot be asked. Damage is no error.
    pub fn read(
        access: &Access,
        backup: &BackupName,
        now: Timestamp,
    ) -> Result<Self, CatalogError> {
        Self::read_with(&mut OrderMemory::default(), access, backup, now)
    }

    /// Finds the order for a caller that asks again and again: no manifest is opened twice.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    pub fn read_with(
        memory: &mut OrderMemory,
        access: &Access,
        backup: &BackupName,
        now: Timestamp,
    ) -> Result<Self, CatalogError> {
        let levels = Catalog::new(access.store()).levels(backup)?;
        memory.forget_others(&levels);
        let mut unreadable = BTreeSet::new();
        memory.learn(access, backup, doubtful_ids(&levels, now), &mut unreadable)?;
        let tells_disorder = |level: &LevelId| {
            level.is_out_of_order() || is_ahead(level.started(), now) && !unreadable.contains(level)
        };
        if levels.iter().any(tells_disorder) {
            let others = levels
                .iter()
                .filter(|level| !unreadable.contains(*level))
                .cloned()
                .collect();
            memory.learn(access, backup, others, &mut unreadable)?;
        }
        let dated = |level: LevelId| {
            let date = memory.0.get(&level).map(|known| known.date);
            Dated {
                date: date.unwrap_or_else(|| level.started()),
                level,
            }
        };
        let serial = |level: &LevelId| memory.0.get(level).map(|known| known.serial);
        let order = Self {
            points: in_order(levels, serial).into_iter().map(dated).collect(),
            unreadable,
        };
        order.compare(access, backup)?;
        Ok(order)
    }

    /// Compares the levels with what this client remembers of the backup: tells a surprise where
    /// the store is read, fails where it is to be changed.
    fn compare(&self, access: &Access, backup: &BackupName) -> Result<(), CatalogError> {
        let Some(witness) = access.witness() else {
            return Ok(());
        };
        let newest = || {
            let mut outlines = self
                .levels()
                .rev()
                .map(|level| (level, access.outline(backup, level)));
            let readable = outlines.find_map(|(level, outline)| Some((level, outline.ok()?)));
            readable.map(|(level, outline)| (level.clone(), outline.serial))
        };
        let listed = |level: &LevelId| self.levels().any(|own| own == level);
        witness
            .compare(backup, listed, newest)
            .map_err(|surprise| CatalogError::Surprise(Box::new(surprise)))
    }

    /// Returns all points in time, those that were made first in front.
    pub fn points(&self) -> &[Dated] {
        &self.points
    }

    /// Leaves out objects that were looked at and are no points in time, and any that come last:
    /// the last one is then a point in time, though it may have been damaged.
    ///
    /// # Errors
    ///
    /// [`CatalogError`] when the store cannot be asked.
    pub fn without_strays(
        mut self,
        memory: &mut OrderMemory,
        access: &Access,
        backup: &BackupName,
    ) -> Result<Self, CatalogError> {
        let mut strays = BTreeSet::new();
        for level in &self.unreadable {
            if !has_data(access, backup, level)? {
                strays.insert(level.clone());
            }
        }
        self.points.retain(|point| !strays.contains(&point.level));
        while let Some(Dated { level: last, .. }) = self.points.last() {
            memory.learn(access, backup, vec![last.clone()], &mut self.unreadable)?;
            if memory.0.contains_key(last) || has_data(access, backup, last)? {
                break;
            }
            self.points.pop();
        }
        Ok(self)
    }

    /// Returns the ids of the points in time, those that were made first in front.
    pub fn levels(&self) -> impl DoubleEndedIterator<Item = &LevelId> + Clone {
        self.points.iter().map(|point| &point.level)
    }

    /// Returns whether a manifest was looked at and could not be read. A manifest that was not
    /// looked at may be unreadable all the same.
    pub fn is_unreadable(&self, level: &LevelId) -> bool {
        self.unreadable.contains(level)
    }

    /// Returns the points in time that are more than a day in the future and whose manifests open.
    pub fn ahead(&self, now: Timestamp) -> impl Iterator<Item = &Dated> {
        self.points
            .iter()
            .filter(move |point| is_ahead(point.date, now))
            .filter(|point| !self.unreadable.contains(&point.level))
    }
}

/// Returns the levels whose ids may not tell their dates: those ahead of now, then those that may
/// have been moved.
fn doubtful_ids(levels: &[LevelId], now: Timestamp) -> Vec<LevelId> {
    let is_ahead = |level: &LevelId| is_ahead(level.started(), now);
    let moved = levels
        .windows(2)
        .filter(|pair| pair[1].started().duration_since(pair[0].started()) < MOVED)
        .map(|pair| &pair[1])
        .filter(|level| !is_ahead(level));
    let ahead = levels.iter().filter(|level| is_ahead(level));
    ahead.chain(moved).cloned().collect()
}

impl OrderMemory {
    /// Forgets levels that are gone, or they would fill the memory of a mount that lasts for years.
    fn forget_others(&mut self, levels: &[LevelId]) {
        if self.0.len() > levels.len() {
            let there: BTreeSet<&LevelId> = levels.iter().collect();
            self.0.retain(|level, _| there.contains(level));
        }
    }

    /// Opens the manifests of levels that are not known yet.
    fn learn(
        &mut self,
        access: &Access,
        backup: &BackupName,
        levels: Vec<LevelId>,
        unreadable: &mut BTreeSet<LevelId>,
    ) -> Result<(), CatalogError> {
        let unknown = levels
            .into_iter()
            .filter(|level| !self.0.contains_key(level))
            .collect();
        for (level, outline) in outlines(access, backup, unknown) {
            match outline {
                Ok(outline) => {
                    let known = Remembered {
                        serial: outline.serial,
                        date: outline.date(),
                    };
                    self.0.insert(level, known);
                }
                Err(AccessError::Store(source))
                    if source.kind() == store::ErrorKind::Unavailable =>
                {
                    return Err(CatalogError::Level {
                        verb: LevelVerb::Open,
                        backup: backup.clone(),
                        level,
                        source,
                    });
                }
                Err(_) => {
                    unreadable.insert(level);
                }
            }
        }
        Ok(())
    }
}

/// Puts levels, which ascend by their ids, into the order of their serials. A level without a
/// serial keeps its place among the ids.
pub fn in_order(
    levels: Vec<LevelId>,
    serial: impl Fn(&LevelId) -> Option<LevelSerial>,
) -> Vec<LevelId> {
    let mut last = LevelSerial(0);
    let ascend = levels.iter().filter_map(&serial).all(|serial| {
        let ascends = last <= serial;
        last = serial;
        ascends
    });
    if ascend {
        return levels;
    }
    let (mut placed, unplaced): (Vec<_>, Vec<_>) = levels
        .into_iter()
        .partition(|level| serial(level).is_some());
    placed.sort_by_cached_key(|level| (serial(level), level.clone()));
    for level in unplaced {
        let place = placed
            .iter()
            .position(|other| *other > level)
            .unwrap_or(placed.len());
        placed.insert(place, level);
    }
    placed
}
