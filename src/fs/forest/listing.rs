//! The points in time as a folder shows them: their numbers and names.

use super::entry::MAX_POINTS;
use crate::fs::ReadError;
use crate::model::{Dated, LevelId, Time};
use std::collections::HashSet;

/// Numbers of points, which stay the same as long as the process runs.
#[derive(Default)]
pub(super) struct PointNumbers {
    /// In the order in which they were first seen. The number of a point is its index plus 1. Never
    /// shrinks, so that a number never names another point.
    known: Vec<LevelId>,
}

impl PointNumbers {
    /// Returns the level with this number.
    pub(super) fn level(&self, number: u64) -> Option<&LevelId> {
        let index = usize::try_from(number).ok()?.checked_sub(1)?;
        self.known.get(index)
    }

    /// Returns the number of a level, and gives it one if it is new. The level is likely to be at
    /// `expected`.
    fn number(&mut self, level: &LevelId, expected: usize) -> Result<u64, ReadError> {
        let is_there = self.known.get(expected) == Some(level);
        let index = match is_there {
            true => Some(expected),
            false => self.known.iter().position(|known| known == level),
        };
        let index = match index {
            Some(index) => index,
            None if self.known.len() < MAX_POINTS => {
                self.known.push(level.clone());
                self.known.len() - 1
            }
            None => return Err(ReadError::TooMany),
        };
        Ok(index as u64 + 1)
    }
}

/// The points in time at one moment, in the order in which they were made.
pub(super) struct PointListing {
    pub(super) points: Vec<NamedPoint>,
    /// How often the listing was different from the one before.
    pub(super) changes: u32,
}

/// A point in time in the folder of points.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct NamedPoint {
    pub(super) number: u64,
    pub(super) name: String,
    /// When its run began.
    pub(super) started: Time,
}

impl PointListing {
    /// Returns the point with this number.
    pub(super) fn point(&self, number: u64) -> Result<&NamedPoint, ReadError> {
        self.points
            .iter()
            .find(|point| point.number == number)
            .ok_or(ReadError::NoSuchNode)
    }

    /// Returns when the newest point began; 1970 if there is none.
    pub(super) fn newest_time(&self) -> Time {
        self.points
            .last()
            .map_or(Time::default(), |point| point.started)
    }
}

/// Gives each point a number and a name. Names are dates in `zone`; a second point of the same date
/// gets `-2` behind it.
pub(super) fn name_points(
    levels: &[Dated],
    zone: &jiff::tz::TimeZone,
    numbers: &mut PointNumbers,
) -> Result<Vec<NamedPoint>, ReadError> {
    let mut points: Vec<NamedPoint> = Vec::with_capacity(levels.len());
    let mut names = HashSet::with_capacity(levels.len());
    for (expected, Dated { level, date }) in levels.iter().enumerate() {
        let number = numbers.number(level, expected)?;
        let base = date
            .to_zoned(zone.clone())
            .strftime("%Y-%m-%dT%H.%M.%S")
            .to_string();
        let mut name = base.clone();
        // Two in one second, or in the hour that the end of summer time repeats.
        for turn in 2.. {
            if names.insert(name.clone()) {
                break;
            }
            name = format!("{base}-{turn}");
        }
        let started = Time::new(
            date.as_second(),
            u32::try_from(date.subsec_nanosecond()).unwrap_or_default(),
        );
        points.push(NamedPoint {
            number,
            name,
            started,
        });
    }
    Ok(points)
}
