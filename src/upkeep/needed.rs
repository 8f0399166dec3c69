//! Answers which parts of which levels must stay.

use super::points::{BackupPoints, Lean};
use crate::model::{LevelId, Ranges};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The parts of levels that must stay.
#[derive(Debug, Default)]
pub(super) struct Needed {
    /// Levels whose streams are needed, and which bytes; `None` when all of them are.
    streams: BTreeMap<LevelId, Option<Ranges>>,
    /// Levels whose index objects are needed.
    indexes: BTreeSet<LevelId>,
    /// Everything of levels up to this one must stay: nobody knows what needs them.
    all_up_to: Option<LevelId>,
    /// Whether everything must stay.
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

impl Needed {
    /// Adds up what those points in time need that `stays` picks.
    ///
    /// One that cannot be read may need every level up to itself; or all levels, where ids do not
    /// tell which were made before it.
    pub(super) fn by(points: &BackupPoints, stays: impl Fn(&LevelId) -> bool) -> Self {
        let mut needed = Self::default();
        let mut streams = NeededStreams::default();
        let mut indexes = BTreeSet::<u32>::new();
        for point in points.points.iter().filter(|point| stays(&point.level)) {
            match &point.facts {
                Ok(facts) => {
                    facts.leans_on.iter().for_each(|lean| streams.add(lean));
                    indexes.extend(&facts.index_in);
                }
                Err(_) if point.is_stray => {}
                Err(_) if points.ids_ascend() => needed.all_up_to(&point.level),
                Err(_) => needed.all = true,
            }
        }
        needed.streams = streams
            .live
            .into_iter()
            .filter_map(|(number, live)| Some((points.id(number)?.clone(), live)))
            .collect();
        needed.indexes = indexes
            .into_iter()
            .filter_map(|number| points.id(number))
            .cloned()
            .collect();
        needed
    }

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

    /// Returns whether the index of a level must stay.
    pub(super) fn index(&self, level: &LevelId) -> bool {
        self.indexes.contains(level) || self.is_doubtful(level)
    }

    /// Returns what of the stream of a level must stay.
    pub(super) fn stream(&self, level: &LevelId) -> Needs<'_> {
        match self.streams.get(level) {
            _ if self.is_doubtful(level) => Needs::All,
            None => Needs::Nothing,
            Some(None) => Needs::All,
            Some(Some(live)) => Needs::Some(live),
        }
    }
}

/// Adds up the bytes that are needed of each level.
#[derive(Default)]
struct NeededStreams<'points> {
    /// By the numbers of the levels; `None` when all bytes are needed.
    live: BTreeMap<u32, Option<Ranges>>,
    /// What was added last of each level. Manifests share what is the same, and that is not added
    /// twice.
    last: BTreeMap<u32, &'points Arc<Ranges>>,
}

impl<'points> NeededStreams<'points> {
    fn add(&mut self, lean: &'points Lean) {
        let sum = self
            .live
            .entry(lean.level)
            .or_insert_with(|| Some(Ranges::default()));
        let Some(live) = &lean.live else {
            *sum = None;
            return;
        };
        let Some(all) = sum else { return };
        let last = self.last.insert(lean.level, live);
        if !last.is_some_and(|last| Arc::ptr_eq(last, live)) {
            *all = all.union(live);
        }
    }
}
