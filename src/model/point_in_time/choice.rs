//! The level that a point in time chooses.

use crate::model::{Dated, LevelId};
use jiff::Timestamp;

/// The level that a [`PointInTime`](super::PointInTime) chooses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice {
    /// The newest level.
    Newest,
    /// This level.
    Exactly(LevelId),
    /// The newest level that began at or before this moment.
    Until(Timestamp),
}

impl Choice {
    /// Returns the chosen level, and after it the levels that take its place in turn if it turns
    /// out to be none. `points` are in the order in which they were made.
    ///
    /// The newest level is the one that was made last, whatever its date. Among those that began at
    /// or before a moment, the one with the latest date comes first.
    pub fn among<'a>(&self, points: &'a [Dated]) -> Vec<&'a LevelId> {
        match self {
            Self::Newest => points.iter().rev().map(|point| &point.level).collect(),
            Self::Exactly(id) => points
                .iter()
                .map(|point| &point.level)
                .filter(|level| *level == id)
                .collect(),
            Self::Until(moment) => {
                let mut begun: Vec<_> = points
                    .iter()
                    .filter(|point| point.date <= *moment)
                    .collect();
                // The sort is stable: of equal dates, the level that was made last comes first.
                begun.sort_by_key(|point| point.date);
                begun.into_iter().rev().map(|point| &point.level).collect()
            }
        }
    }
}
