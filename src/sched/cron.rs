//! Timetables by calendar fields, as APScheduler has them: the original hands them to it.

use crate::model::job::When;
use jiff::civil::{Date, Weekday};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

/// How many years ahead a moment is looked for. 29 February on a given weekday comes within 40.
const YEARS: i16 = 45;

/// The fields, the largest unit first, with the least and the greatest value, and what a field has
/// that is smaller than all given.
const FIELDS: [(&str, i16, i16, Option<i16>); 8] = [
    ("year", 1970, 9999, None),
    ("month", 1, 12, Some(1)),
    ("day", 1, 31, Some(1)),
    ("week", 1, 53, None),
    ("day_of_week", 0, 6, None),
    ("hour", 0, 23, Some(0)),
    ("minute", 0, 59, Some(0)),
    ("second", 0, 59, Some(0)),
];
const MONTHS: [&str; 12] = [
    "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
];
const WEEKDAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
const ORDINALS: [&str; 5] = ["1st", "2nd", "3rd", "4th", "5th"];

/// One part of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CronPiece {
    Range {
        first: i16,
        last: i16,
        step: i16,
    },
    /// The last day of the month.
    LastDay,
    /// The n-th such weekday of the month; the last one without a number.
    Nth {
        number: Option<i8>,
        weekday: i16,
    },
}

/// A timetable by calendar fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cron {
    fields: [Vec<CronPiece>; 8],
}

/// A calendar field with a value that it cannot have.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("schedule_{field} cannot be {value:?}")]
pub struct CronError {
    /// The name of the field, without `schedule_`.
    field: &'static str,
    /// The value of the field.
    value: String,
}

impl Cron {
    /// The fields of a timetable; none if it has none.
    pub(super) fn read(when: &When) -> Result<Option<Self>, CronError> {
        let given = when
            .calendar()
            .map(|(_, text)| text.trim().to_ascii_lowercase());
        let Some(smallest) = given.iter().rposition(|text| !text.is_empty()) else {
            return Ok(None);
        };
        let mut fields: [Vec<CronPiece>; 8] = Default::default();
        for (index, (field, text)) in fields.iter_mut().zip(&given).enumerate() {
            let (name, first, last, usual) = FIELDS[index];
            *field = if !text.is_empty() {
                let pieces: Option<Vec<CronPiece>> = text
                    .split(',')
                    .map(|part| piece(name, part.trim(), first, last))
                    .collect();
                pieces.ok_or_else(|| CronError {
                    field: name,
                    value: text.clone(),
                })?
            } else {
                let (first, last) = usual
                    .filter(|_| index > smallest)
                    .map_or((first, last), |usual| (usual, usual));
                vec![CronPiece::Range {
                    first,
                    last,
                    step: 1,
                }]
            };
        }
        Ok(Some(Self { fields }))
    }

    fn has(&self, field: usize, value: i16) -> bool {
        self.fields[field].iter().any(|piece| match *piece {
            CronPiece::Range { first, last, step } => {
                (first..=last).contains(&value) && (value - first) % step == 0
            }
            CronPiece::LastDay | CronPiece::Nth { .. } => false,
        })
    }

    fn has_day(&self, date: Date) -> bool {
        let in_month = self.fields[2].iter().any(|piece| match *piece {
            CronPiece::Range { .. } => self.has(2, date.day().into()),
            CronPiece::LastDay => date.day() == date.days_in_month(),
            CronPiece::Nth { number, weekday } => {
                weekday_of(date) == weekday
                    && match number {
                        Some(number) => (date.day() - 1) / 7 + 1 == number,
                        None => date.day() + 7 > date.days_in_month(),
                    }
            }
        });
        in_month && self.has(3, date.iso_week_date().week().into()) && self.has(4, weekday_of(date))
    }

    /// The first moment after `after`. A time that the clocks leave out in spring is the moment at
    /// which they are set; one that comes twice in autumn is the first of them.
    pub(super) fn after(&self, after: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let mut date = after.to_zoned(zone.clone()).date().yesterday().ok()?;
        let last_year = date.year().checked_add(YEARS)?;
        while date.year() <= last_year {
            if !self.has(0, date.year()) {
                date = Date::new(date.year().checked_add(1)?, 1, 1).ok()?;
            } else if !self.has(1, date.month().into()) {
                date = date.first_of_month().checked_add(1.month()).ok()?;
            } else {
                if self.has_day(date)
                    && let Some(found) = self.within(date, after, zone)
                {
                    return Some(found);
                }
                date = date.tomorrow().ok()?;
            }
        }
        None
    }

    fn within(&self, date: Date, after: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let at = |hour, minute, second| moment(date.at(hour, minute, second, 0), zone);
        for hour in (0..24).filter(|hour| self.has(5, (*hour).into())) {
            if at(hour, 59, 59)? <= after {
                continue;
            }
            for minute in (0..60).filter(|minute| self.has(6, (*minute).into())) {
                if at(hour, minute, 59)? <= after {
                    continue;
                }
                let mut seconds = (0..60).filter(|second| self.has(7, (*second).into()));
                if let Some(found) =
                    seconds.find_map(|second| at(hour, minute, second).filter(|at| *at > after))
                {
                    return Some(found);
                }
            }
        }
        None
    }
}

/// The moment at which clocks of a zone show a time.
pub(super) fn moment(time: jiff::civil::DateTime, zone: &TimeZone) -> Option<Timestamp> {
    let ambiguous = zone.to_ambiguous_timestamp(time);
    let left_out = matches!(ambiguous.offset(), jiff::tz::AmbiguousOffset::Gap { .. });
    let shifted = ambiguous.compatible().ok()?;
    if left_out {
        // As far after the change as the time is within the gap.
        return zone
            .preceding(shifted.checked_add(1.nanosecond()).ok()?)
            .next()
            .map(|change| change.timestamp());
    }
    Some(shifted)
}

fn weekday_of(date: Date) -> i16 {
    match date.weekday() {
        Weekday::Monday => 0,
        Weekday::Tuesday => 1,
        Weekday::Wednesday => 2,
        Weekday::Thursday => 3,
        Weekday::Friday => 4,
        Weekday::Saturday => 5,
        Weekday::Sunday => 6,
    }
}

/// One part between commas.
fn piece(field: &str, text: &str, least: i16, greatest: i16) -> Option<CronPiece> {
    if field == "day" {
        if text == "last" {
            return Some(CronPiece::LastDay);
        }
        if let Some((ordinal, weekday)) = text.split_once(' ') {
            let weekday = name_in(&WEEKDAYS, weekday.trim())?;
            let number = match ordinal {
                "last" => None,
                ordinal => Some(
                    i8::try_from(ORDINALS.iter().position(|known| *known == ordinal)? + 1).ok()?,
                ),
            };
            return Some(CronPiece::Nth { number, weekday });
        }
    }
    let value = |text: &str| {
        named_or_number(field, text).filter(|value| (least..=greatest).contains(value))
    };
    let (range, step) = match text.split_once('/') {
        Some((range, step)) => (
            range,
            Some(
                step.parse()
                    .ok()
                    .filter(|step: &i16| (1..=greatest).contains(step))?,
            ),
        ),
        None => (text, None),
    };
    let (first, last) = match range.split_once('-') {
        _ if range == "*" => (least, greatest),
        Some((first, last)) => (value(first)?, value(last)?),
        None => (
            value(range)?,
            if step.is_some() {
                greatest
            } else {
                value(range)?
            },
        ),
    };
    (first <= last).then_some(CronPiece::Range {
        first,
        last,
        step: step.unwrap_or(1),
    })
}

/// The value of a name of a month or a weekday, or of a number.
fn named_or_number(field: &str, text: &str) -> Option<i16> {
    let named = match field {
        "month" => name_in(&MONTHS, text).map(|month| month + 1),
        "day_of_week" => name_in(&WEEKDAYS, text),
        _ => None,
    };
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    named.or_else(|| text.parse().ok().filter(|_| is_number))
}

fn name_in(names: &[&str], text: &str) -> Option<i16> {
    i16::try_from(names.iter().position(|name| *name == text)?).ok()
}

#[cfg(test)]
mod tests {
    use super::Cron;
    use crate::model::job::{Documented, Schedule, When};
    use jiff::Timestamp;
    use jiff::tz::TimeZone;
    use serde_json::{Value, json};

    fn cron(schedule: Value) -> Cron {
        Cron::read(&Schedule::leniently_of(schedule).when)
            .expect("good fields")
            .expect("some fields")
    }

    fn times(schedule: Value, from: &str, zone: &str, count: usize) -> Vec<String> {
        let zone = TimeZone::get(zone).expect("a zone");
        let cron = cron(schedule);
        let mut after: Timestamp = from.parse().expect("a moment");
        let mut found = Vec::new();
        while found.len() < count {
            let Some(next) = cron.after(after, &zone) else {
                break;
            };
            assert!(next > after);
            found.push(next.to_string());
            after = next;
        }
        found
    }

    #[test]
    fn smaller_fields_than_those_given_are_at_their_least() {
        let daily = times(
            json!({"schedule_hour": "3"}),
            "2026-11-24T03:00:00Z",
            "UTC",
            2,
        );
        assert_eq!(daily, ["2026-11-25T03:00:00Z", "2026-11-26T03:00:00Z"]);
        let quarters = times(
            json!({"schedule_minute": "*/15"}),
            "2026-11-24T23:31:07Z",
            "UTC",
            3,
        );
        assert_eq!(
            quarters,
            [
                "2026-11-24T23:45:00Z",
                "2026-11-25T00:00:00Z",
                "2026-11-25T00:15:00Z"
            ]
        );
        assert_eq!(
            times(
                json!({"schedule_year": "2030"}),
                "2026-11-24T00:00:00Z",
                "UTC",
                2
            ),
            ["2030-01-01T00:00:00Z"]
        );
        // All larger ones are open.
        let seconds = times(
            json!({"schedule_second": "10,50"}),
            "2026-12-31T23:59:20Z",
            "UTC",
            2,
        );
        assert_eq!(seconds, ["2026-12-31T23:59:50Z", "2027-01-01T00:00:10Z"]);
    }

    #[test]
    fn days_are_found_by_month_week_and_weekday() {
        let workdays = times(
            json!({"schedule_day_of_week": "mon-fri", "schedule_hour": "22"}),
            "2026-11-26T22:00:00Z",
            "UTC",
            2,
        );
        assert_eq!(workdays, ["2026-11-27T22:00:00Z", "2026-11-30T22:00:00Z"]);
        let last = times(
            json!({"schedule_day": "last"}),
            "2027-01-31T00:00:00Z",
            "UTC",
            2,
        );
        assert_eq!(last, ["2027-02-28T00:00:00Z", "2027-03-31T00:00:00Z"]);
        let second_friday = times(
            json!({"schedule_day": "2nd fri, last sun"}),
            "2026-11-24T00:00:00Z",
            "UTC",
            3,
        );
        assert_eq!(
            second_friday,
            [
                "2026-11-29T00:00:00Z",
                "2026-12-11T00:00:00Z",
                "2026-12-27T00:00:00Z"
            ]
        );
        let week = times(
            json!({"schedule_week": "53", "schedule_day_of_week": "0"}),
            "2026-11-24T00:00:00Z",
            "UTC",
            1,
        );
        assert_eq!(week, ["2026-12-28T00:00:00Z"]);
        let leap = times(
            json!({"schedule_month": "feb", "schedule_day": "29"}),
            "2026-11-24T00:00:00Z",
            "UTC",
            1,
        );
        assert_eq!(leap, ["2028-02-29T00:00:00Z"]);
        assert_eq!(
            times(
                json!({"schedule_month": "feb", "schedule_day": "30"}),
                "2026-11-24T00:00:00Z",
                "UTC",
                1
            ),
            [""; 0]
        );
    }

    #[test]
    fn a_day_that_clocks_are_set_on_has_each_time_once() {
        let night = json!({"schedule_hour": "2", "schedule_minute": "30"});
        let spring = times(night.clone(), "2026-03-28T12:00:00Z", "Europe/Berlin", 2);
        assert_eq!(spring, ["2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"]);
        let autumn = times(night, "2026-10-24T12:00:00Z", "Europe/Berlin", 2);
        assert_eq!(autumn, ["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"]);
        let hourly = times(
            json!({"schedule_minute": "30"}),
            "2026-03-29T00:15:00Z",
            "Europe/Berlin",
            4,
        );
        assert_eq!(
            hourly,
            [
                "2026-03-29T00:30:00Z",
                "2026-03-29T01:00:00Z",
                "2026-03-29T01:30:00Z",
                "2026-03-29T02:30:00Z"
            ]
        );
    }

    #[test]
    fn what_is_no_field_is_named() {
        for (key, value) in [
            ("hour", "24"),
            ("minute", "5-1"),
            ("day_of_week", "noday"),
            ("day", "6th mon"),
            ("second", "*/0"),
            ("month", "13"),
            ("hour", "1,,2"),
            ("hour", "-1"),
            ("hour", "99999"),
        ] {
            let schedule = json!({ format!("schedule_{key}"): value });
            let error = Cron::read(&Schedule::leniently_of(schedule).when).expect_err(value);
            assert!(error.to_string().contains(key), "{error}");
        }
        assert_eq!(Cron::read(&When::default()), Ok(None));
    }
}
