//! Points in time as people write them: the DATE of `name@DATE`.

mod choice;
mod form;
#[cfg(test)]
mod tests;

pub use choice::Choice;

use form::Form;
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan, Zoned};
use std::fmt;
use std::str::FromStr;

/// A moment as people write it. It chooses the newest level that began at or before it.
///
/// A day, a minute or a second reaches to its end, so that a time copied from a list finds the
/// level in that list. Days and clock times without a zone are those of the zone in which they are
/// resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PointInTime {
    text: Box<str>,
    form: Form,
}

/// A text is not a point in time. The message shows what would be one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} is not a point in time: write latest, a date (2026-11-22), \
     a date and time (2026-11-22T14:30, 2026-11-22T14:30:05+01:00), \
     today or yesterday with or without a time (yesterday 14:00), \
     a time back from now (-3h, -2d, -30m, -1w, 3h ago), or the id of a level"
)]
pub struct PointInTimeError {
    /// The text.
    pub text: String,
}

impl PointInTime {
    /// Returns `latest`, which chooses the newest level.
    pub fn latest() -> Self {
        Self {
            text: "latest".into(),
            form: Form::Latest,
        }
    }

    /// Returns the choice that this makes when it is `now` in `zone`. A moment out of range counts
    /// as the first or the last possible one.
    ///
    /// When clocks are set back, a clock time comes twice, and the later one counts. When they are
    /// set forward, a missing clock time moves forward with them.
    pub fn choice(&self, now: Timestamp, zone: &TimeZone) -> Choice {
        let today = || now.to_zoned(zone.clone());
        Choice::Until(match &self.form {
            Form::Latest => return Choice::Newest,
            Form::Level(id) => return Choice::Exactly(id.clone()),
            Form::Until(moment, lasts) => moment.saturating_add(*lasts).unwrap_or(Timestamp::MAX),
            Form::Clock(clock, lasts) => end_of_clock(*clock, *lasts, zone),
            Form::EndOf(day) => end_of_day(*day, zone),
            Form::DaysAgo(days, clock) => {
                let day = today().date().saturating_sub(days.days());
                clock.map_or_else(
                    || end_of_day(day, zone),
                    |(time, lasts)| end_of_clock(day.to_datetime(time), lasts, zone),
                )
            }
            Form::Back(span) => today().saturating_add(span.0).timestamp(),
        })
    }
}

impl PointInTime {
    /// Returns the first moment of the named time, when it is `now` in `zone`: the beginning of a
    /// day, of a minute and so on. Returns `None` for `latest`, which is not a moment.
    pub fn beginning(&self, now: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let start_of = |clock: DateTime| {
            let out_of_range = if clock.year() > 0 {
                Timestamp::MAX
            } else {
                Timestamp::MIN
            };
            zone.to_ambiguous_zoned(clock)
                .earlier()
                .map_or(out_of_range, |start| start.timestamp())
        };
        Some(match &self.form {
            Form::Latest => return None,
            Form::Level(id) => id.started(),
            Form::Until(moment, _) => *moment,
            Form::Clock(clock, _) => start_of(*clock),
            Form::EndOf(day) => start_of(day.to_datetime(Time::midnight())),
            Form::DaysAgo(days, clock) => {
                let day = now
                    .to_zoned(zone.clone())
                    .date()
                    .saturating_sub(days.days());
                start_of(day.to_datetime(clock.map_or(Time::midnight(), |(time, _)| time)))
            }
            Form::Back(span) => now
                .to_zoned(zone.clone())
                .saturating_add(span.0)
                .timestamp(),
        })
    }
}

impl FromStr for PointInTime {
    type Err = PointInTimeError;

    fn from_str(text: &str) -> Result<Self, PointInTimeError> {
        let trimmed = text.trim();
        let form = Form::parse(trimmed).ok_or_else(|| PointInTimeError {
            text: text.to_owned(),
        })?;
        Ok(Self {
            text: trimmed.into(),
            form,
        })
    }
}

impl fmt::Display for PointInTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn end_of_clock(clock: DateTime, lasts: SignedDuration, zone: &TimeZone) -> Timestamp {
    let out_of_range = if clock.year() > 0 {
        Timestamp::MAX
    } else {
        Timestamp::MIN
    };
    let start = zone
        .to_ambiguous_zoned(clock)
        .later()
        .map_or(out_of_range, |start| start.timestamp());
    start.saturating_add(lasts).unwrap_or(Timestamp::MAX)
}

fn end_of_day(day: Date, zone: &TimeZone) -> Timestamp {
    let next = day.tomorrow().and_then(|next| next.to_zoned(zone.clone()));
    let before = |next: Zoned| {
        next.timestamp()
            .saturating_sub(SignedDuration::from_nanos(1))
            .ok()
    };
    next.ok().and_then(before).unwrap_or(if day.year() > 0 {
        Timestamp::MAX
    } else {
        Timestamp::MIN
    })
}
