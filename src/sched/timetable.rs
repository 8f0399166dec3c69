//! When a job is due.

use super::cron::{Cron, CronError, moment};
use crate::model::Interval;
use crate::model::job::{Field, FormedText, MomentText, When};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use std::time::Duration;

/// The largest number of missed moments that are counted one by one.
const MOST_COUNTED: u64 = 1000;

/// When a job runs.
#[derive(Clone, Debug)]
pub struct Timetable {
    kind: TimetableKind,
    start: Option<Timestamp>,
    end: Option<Timestamp>,
    zone: TimeZone,
}

#[derive(Clone, Debug)]
enum TimetableKind {
    /// Once, when it is armed.
    Now,
    /// Once, at that moment.
    Once(Timestamp),
    /// Nanoseconds between two moments.
    Every(i128),
    /// By the calendar.
    Calendar(Cron),
}

/// Why a timetable cannot be read.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum TimetableError {
    /// A moment that is none.
    #[error("{0} must be a moment as in 2026-11-24T12:30:00Z, not {1:?}")]
    Moment(&'static str, String),
    /// An interval that is none.
    #[error(
        "schedule_interval must be continuous or a number of seconds, minutes, hours, days or \
         weeks, not {0:?}"
    )]
    Interval(String),
    /// A field of the calendar that is none.
    #[error(transparent)]
    Field(#[from] CronError),
}

/// The moments of a timetable that have come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DueMoments {
    /// The moment of the run that is to begin.
    pub run: Option<Timestamp>,
    /// How many moments go by without one.
    pub missed: u64,
    /// All up to here are done with.
    pub handled: Timestamp,
}

/// The rule for moments at which the scheduler did not run.
#[derive(Clone, Copy, Debug)]
pub struct Lateness {
    /// How late a run may begin.
    pub grace: Duration,
    /// Whether one run is made up for all that were missed, however late.
    pub make_up: bool,
}

impl Timetable {
    /// Reads when a job runs. A date without an offset means `zone`, and so do the fields of the
    /// calendar.
    pub fn read(when: &When, zone: &TimeZone) -> Result<Self, TimetableError> {
        let date =
            |field: &Field<FormedText<MomentText>>, name: &'static str| match field.text().trim() {
                "" => Ok(None),
                text => read_moment(text, zone)
                    .map(Some)
                    .ok_or_else(|| TimetableError::Moment(name, text.to_owned())),
            };
        let start = date(&when.schedule_start_date, "schedule_start_date")?;
        let end = date(&when.schedule_end_date, "schedule_end_date")?;
        // As the original: an end before the start is none.
        let end = end.filter(|end| start.is_none_or(|start| *end >= start));
        let once = date(&when.schedule_date, "schedule_date")?;
        let kind = match (once, when.schedule_interval.text().trim()) {
            (Some(once), _) => TimetableKind::Once(once),
            (None, "") => Cron::read(when)?.map_or(TimetableKind::Now, TimetableKind::Calendar),
            (None, interval) => {
                let length = match Interval::parse(interval) {
                    Some(Interval::Continuous) => Duration::from_secs(1),
                    Some(Interval::Every(length)) => length,
                    None => return Err(TimetableError::Interval(interval.to_owned())),
                };
                TimetableKind::Every(i128::try_from(length.as_nanos()).unwrap_or(i128::MAX))
            }
        };
        Ok(Self {
            kind,
            start,
            end,
            zone: zone.clone(),
        })
    }

    /// The moment up to which all counts as done when it is armed: what is to run once is to run
    /// even where its moment has come.
    pub fn handled_when_armed(&self, armed: Timestamp) -> Timestamp {
        let first = match self.kind {
            TimetableKind::Now => armed,
            TimetableKind::Once(at) => at.min(armed),
            TimetableKind::Every(_) | TimetableKind::Calendar(_) => return armed,
        };
        first - SignedDuration::from_nanos(1)
    }

    /// The length of an interval that is counted from when it was armed, or from the last run: it
    /// has no date to count from.
    pub fn floating(&self) -> Option<SignedDuration> {
        match self.kind {
            TimetableKind::Every(length) if self.start.is_none() => {
                i64::try_from(length / 1_000_000_000)
                    .ok()
                    .map(SignedDuration::from_secs)
            }
            _ => None,
        }
    }

    /// The first moment after `after`, armed then.
    pub fn after(&self, after: Timestamp, armed: Timestamp) -> Option<Timestamp> {
        let next = match &self.kind {
            TimetableKind::Now => Some(armed).filter(|at| *at > after),
            TimetableKind::Once(at) => Some(*at).filter(|at| *at > after),
            TimetableKind::Every(length) => {
                // The first moment itself is one where a date says it, and not where it is that of
                // arming.
                let (origin, least) = self.start.map_or((armed, 1), |start| (start, 0));
                let since = after.as_nanosecond() - origin.as_nanosecond();
                let steps = (since.div_euclid(*length) + 1).max(least);
                let nanoseconds = length
                    .checked_mul(steps)
                    .and_then(|offset| origin.as_nanosecond().checked_add(offset));
                nanoseconds.and_then(|nanoseconds| Timestamp::from_nanosecond(nanoseconds).ok())
            }
            TimetableKind::Calendar(cron) => {
                let before_start = self
                    .start
                    .map(|start| start - SignedDuration::from_nanos(1));
                cron.after(
                    before_start.map_or(after, |start| start.max(after)),
                    &self.zone,
                )
            }
        };
        let is_bounded = matches!(
            self.kind,
            TimetableKind::Every(_) | TimetableKind::Calendar(_)
        );
        next.filter(|next| !is_bounded || self.end.is_none_or(|end| *next <= end))
    }

    /// The newest moment up to `now`, when `last` is one: looked for in the last second, then the
    /// last minute, and so on, so that not all that have come are looked at.
    fn newest(&self, last: Timestamp, armed: Timestamp, now: Timestamp) -> Timestamp {
        let within = |seconds: i64| {
            let from = now
                .saturating_sub(SignedDuration::from_secs(seconds))
                .unwrap_or(last);
            self.after(from.max(last), armed).filter(|at| *at <= now)
        };
        let mut newest = [1, 60, 3600, 86_400, 31 * 86_400]
            .into_iter()
            .find_map(within)
            .unwrap_or(last);
        while let Some(next) = self.after(newest, armed).filter(|at| *at <= now) {
            newest = next;
        }
        newest
    }

    /// What is to be done at `now`, when all up to `handled` is done with; none if nothing has
    /// come.
    pub fn due(
        &self,
        handled: Timestamp,
        armed: Timestamp,
        now: Timestamp,
        lateness: Lateness,
    ) -> Option<DueMoments> {
        let mut last = self.after(handled, armed).filter(|at| *at <= now)?;
        let mut count = 1;
        while let Some(next) = self.after(last, armed).filter(|at| *at <= now) {
            if count == MOST_COUNTED {
                last = self.newest(last, armed, now);
                break;
            }
            (last, count) = (next, count + 1);
        }
        let late = Duration::try_from(now.duration_since(last)).unwrap_or_default();
        let runs = late <= lateness.grace || lateness.make_up;
        Some(DueMoments {
            run: runs.then_some(last),
            missed: if runs { count - 1 } else { count },
            handled: last,
        })
    }
}

/// A moment as timetables have it.
fn read_moment(text: &str, zone: &TimeZone) -> Option<Timestamp> {
    text.parse()
        .ok()
        .or_else(|| moment(text.parse().ok()?, zone))
}

#[cfg(test)]
mod tests {
    use super::{DueMoments, Lateness, Timetable};
    use crate::model::job::{Documented, Schedule, When};
    use jiff::Timestamp;
    use jiff::tz::TimeZone;
    use serde_json::{Value, json};
    use std::time::Duration;

    const USUAL: Lateness = Lateness {
        grace: Duration::from_hours(1),
        make_up: false,
    };

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a moment")
    }

    fn when(schedule: &Value) -> When {
        Schedule::leniently_of(schedule.clone()).when
    }

    fn timetable(schedule: &Value) -> Timetable {
        Timetable::read(&when(schedule), &TimeZone::UTC).expect("a timetable")
    }

    fn first(schedule: &Value, armed: &str, count: usize) -> Vec<String> {
        let (timetable, armed) = (timetable(schedule), at(armed));
        let mut after = timetable.handled_when_armed(armed);
        let mut found = Vec::new();
        while let Some(next) = timetable
            .after(after, armed)
            .filter(|_| found.len() < count)
        {
            found.push(next.to_string());
            after = next;
        }
        found
    }

    #[test]
    fn without_a_timetable_it_is_due_once_when_it_is_armed() {
        assert_eq!(
            first(&json!({}), "2026-11-24T12:00:00Z", 5),
            ["2026-11-24T12:00:00Z"]
        );
        // Dates alone say nothing of when.
        assert_eq!(
            first(
                &json!({"schedule_end_date": "2020-01-01T00:00:00"}),
                "2026-11-24T12:00:00Z",
                5
            ),
            ["2026-11-24T12:00:00Z"]
        );
    }

    #[test]
    fn an_interval_counts_from_arming_or_from_its_start_date() {
        let hours = first(
            &json!({"schedule_interval": "2 hours"}),
            "2026-11-24T12:00:00Z",
            2,
        );
        assert_eq!(hours, ["2026-11-24T14:00:00Z", "2026-11-24T16:00:00Z"]);
        let from_then =
            json!({"schedule_interval": "1 day", "schedule_start_date": "2026-11-20T02:00:00"});
        assert_eq!(
            first(&from_then, "2026-11-24T12:00:00Z", 1),
            ["2026-11-25T02:00:00Z"]
        );
        let later = json!({
            "schedule_interval": "1 week",
            "schedule_start_date": "2026-12-01T02:00:00+02:00",
        });
        assert_eq!(
            first(&later, "2026-11-24T12:00:00Z", 2),
            ["2026-12-01T00:00:00Z", "2026-12-08T00:00:00Z"]
        );
        let ends =
            json!({"schedule_interval": "1 day", "schedule_end_date": "2026-11-26T12:00:00"});
        assert_eq!(
            first(&ends, "2026-11-24T12:00:00Z", 9),
            ["2026-11-25T12:00:00Z", "2026-11-26T12:00:00Z"]
        );
        let wrong_end = json!({
            "schedule_interval": "1 day",
            "schedule_start_date": "2026-12-01T02:00:00",
            "schedule_end_date": "2026-01-01T00:00:00",
        });
        assert_eq!(
            first(&wrong_end, "2026-11-24T12:00:00Z", 1),
            ["2026-12-01T02:00:00Z"]
        );
    }

    #[test]
    fn the_calendar_keeps_to_start_and_end() {
        let schedule = json!({
            "schedule_hour": "3",
            "schedule_start_date": "2026-12-24T03:00:00",
            "schedule_end_date": "2026-12-25T03:00:00",
        });
        assert_eq!(
            first(&schedule, "2026-11-24T12:00:00Z", 9),
            ["2026-12-24T03:00:00Z", "2026-12-25T03:00:00Z"]
        );
    }

    #[test]
    fn what_has_come_is_run_once_and_the_rest_is_missed() {
        let hourly = timetable(&json!({"schedule_interval": "1 hour"}));
        let armed = at("2026-11-24T12:00:00Z");
        assert_eq!(
            hourly.due(armed, armed, at("2026-11-24T12:59:59Z"), USUAL),
            None
        );
        let due = hourly
            .due(armed, armed, at("2026-11-24T15:10:00Z"), USUAL)
            .expect("three have come");
        let last = at("2026-11-24T15:00:00Z");
        assert_eq!(
            due,
            DueMoments {
                run: Some(last),
                missed: 2,
                handled: last
            }
        );
        assert_eq!(
            hourly.due(due.handled, armed, at("2026-11-24T15:10:00Z"), USUAL),
            None
        );
    }

    #[test]
    fn too_late_is_missed_unless_it_is_made_up_for() {
        let once = timetable(&json!({"schedule_date": "2026-11-24T12:00:00Z"}));
        let (armed, now) = (at("2026-11-24T11:00:00Z"), at("2026-11-24T13:00:01Z"));
        let moment = at("2026-11-24T12:00:00Z");
        let handled = once.handled_when_armed(armed);
        assert_eq!(
            once.due(handled, armed, now, USUAL),
            Some(DueMoments {
                run: None,
                missed: 1,
                handled: moment
            })
        );
        assert_eq!(
            once.due(handled, armed, at("2026-11-24T13:00:00Z"), USUAL)
                .and_then(|due| due.run),
            Some(moment)
        );
        let make_up = Lateness {
            make_up: true,
            ..USUAL
        };
        assert_eq!(
            once.due(handled, armed, now, make_up),
            Some(DueMoments {
                run: Some(moment),
                missed: 0,
                handled: moment
            })
        );
        // Armed when its moment had gone: the same.
        let armed = now;
        let handled = once.handled_when_armed(armed);
        assert_eq!(
            once.due(handled, armed, now, make_up)
                .and_then(|due| due.run),
            Some(moment)
        );
    }

    #[test]
    fn a_year_of_seconds_is_not_counted_one_by_one() {
        for schedule in [
            json!({"schedule_interval": "continuous"}),
            json!({"schedule_second": "*"}),
        ] {
            let timetable = timetable(&schedule);
            let (armed, now) = (at("2025-11-24T12:00:00Z"), at("2026-11-24T12:00:00.5Z"));
            let due = timetable.due(armed, armed, now, USUAL).expect("many");
            assert_eq!(
                (due.run, due.missed),
                (Some(at("2026-11-24T12:00:00Z")), 999),
                "{schedule}"
            );
            assert_eq!(
                timetable.due(due.handled, armed, now, USUAL),
                None,
                "{schedule}"
            );
        }
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        for (key, value) in [
            ("schedule_date", "tomorrow"),
            ("schedule_interval", "1 fortnight"),
            ("schedule_hour", "25"),
        ] {
            let schedule = json!({ key: value });
            let error = Timetable::read(&when(&schedule), &TimeZone::UTC).expect_err(value);
            assert!(error.to_string().contains(key), "{error}");
        }
    }

    #[test]
    fn the_furthest_moments_there_are_do_no_harm() {
        let schedule = json!({
            "schedule_interval": "106751 days",
            "schedule_start_date": "9999-12-30T00:00:00Z",
        });
        assert_eq!(
            first(&schedule, "2026-11-24T12:00:00Z", 3),
            ["9999-12-30T00:00:00Z"]
        );
        let schedule = json!({"schedule_day": "1", "schedule_start_date": "9999-12-30T00:00:00Z"});
        assert_eq!(first(&schedule, "2026-11-24T12:00:00Z", 3), [""; 0]);
    }
}
