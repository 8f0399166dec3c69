//! The fate of a point in time, and the reasons for it.

use crate::model::order::WrongDate;
use jiff::Timestamp;
use std::fmt;

/// The fate of a point in time in a prune.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It stays, for these reasons: at least one.
    Stays(Vec<Reason>),
    /// It goes.
    Goes,
}

/// Why a point in time stays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// There are no rules.
    NoRule,
    /// Its manifest cannot be read.
    Unreadable,
    /// It is only an object with the name of a manifest: it cannot be read, has no data, and
    /// nothing depends on it.
    Stray,
    /// It has features that this program does not know.
    Newer,
    /// The clock of its run was wrong.
    WrongDate(WrongDate),
    /// It is the newest one that can be read.
    Newest,
    /// It is one of the newest: [`Retention::last`](super::Retention::last).
    Last,
    /// It is the newest of an hour, day, week, month or year that is kept.
    Period(Period),
    /// It is young enough: [`Retention::within`](super::Retention::within).
    Within,
    /// It has this tag, which is kept.
    Tag(String),
    /// It began late enough: [`Retention::since`](super::Retention::since).
    Young,
    /// The store does not let anyone remove it before this moment.
    Locked(Timestamp),
}

/// The kinds of period of which the newest point in time can stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Period {
    /// An hour of the clock.
    Hour,
    /// A day of the calendar.
    Day,
    /// A week, which begins on Monday.
    Week,
    /// A month of the calendar.
    Month,
    /// A year of the calendar.
    Year,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRule => f.write_str("no rule"),
            Self::Unreadable => f.write_str("unreadable"),
            Self::Stray => f.write_str("not a point in time"),
            Self::Newer => f.write_str("made for a newer freezer"),
            Self::WrongDate(WrongDate::Ahead) => f.write_str("in the future"),
            Self::WrongDate(WrongDate::OutOfOrder) => f.write_str("wrong clock"),
            Self::Newest => f.write_str("newest"),
            Self::Last => f.write_str("last"),
            Self::Period(Period::Hour) => f.write_str("hourly"),
            Self::Period(Period::Day) => f.write_str("daily"),
            Self::Period(Period::Week) => f.write_str("weekly"),
            Self::Period(Period::Month) => f.write_str("monthly"),
            Self::Period(Period::Year) => f.write_str("yearly"),
            Self::Within => f.write_str("within"),
            Self::Tag(tag) => write!(f, "tag {tag}"),
            Self::Young => f.write_str("young"),
            Self::Locked(until) => write!(f, "locked until {until:.0}"),
        }
    }
}
