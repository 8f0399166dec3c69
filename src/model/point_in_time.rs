//! The DATE of `name@DATE`: which point in time people mean.

use super::{Dated, LevelId};
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span, SpanFieldwise, Timestamp, ToSpan, Zoned};
use std::fmt;
use std::str::FromStr;

/// A moment as people write it, which chooses the newest level that began at or before it.
///
/// What is named stands for all of itself: a day, a minute or a second reaches to its end, so that
/// a time copied from a list finds the level that was listed. Days and clock times without a zone
/// are those of the zone it is resolved in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PointInTime {
    text: Box<str>,
    form: Form,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Form {
    Latest,
    Level(LevelId),
    /// A moment, and how long what it names lasts.
    Until(Timestamp, SignedDuration),
    /// A clock time where it is resolved, and how long what it names lasts.
    Clock(DateTime, SignedDuration),
    EndOf(Date),
    /// A day counted back from today, to its end or to a clock time.
    DaysAgo(i64, Option<(Time, SignedDuration)>),
    /// From the moment of the question on; never forward.
    Back(Box<SpanFieldwise>),
}

/// Which level a [`PointInTime`] chooses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice {
    /// The newest one.
    Newest,
    /// This one.
    Exactly(LevelId),
    /// The newest that began at or before this moment.
    Until(Timestamp),
}

/// A text that is no point in time. Shows what would be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} is not a point in time: write latest, a date (2026-11-22), a date and time (2026-11-22T14:30, 2026-11-22T14:30:05+01:00), \
     today or yesterday with or without a time (yesterday 14:00), a time back from now (-3h, -2d, -30m, -1w, 3h ago), or a level's id"
)]
pub struct PointInTimeError {
    /// What stood there.
    pub text: String,
}

impl PointInTime {
    /// The newest level.
    pub fn latest() -> Self {
        Self {
            text: "latest".into(),
            form: Form::Latest,
        }
    }

    /// Which level is meant when it is `now` in `zone`. Moments out of range count as the first or
    /// last there is.
    ///
    /// A clock time that a change of the clocks makes twice is the later one; one that it leaves
    /// out is as much later.
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
    /// The first moment of what is named, when it is `now` in `zone`: what began before it began
    /// before all that is meant. `None` for the newest level, which is no moment.
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

impl Choice {
    /// The levels that can be meant, the best first, of points in time in the order in which they
    /// were made: what comes later is meant where those before it turn out to be no points in time.
    ///
    /// The newest is the one that was made last, whatever its date. Of those that began at or
    /// before a moment the one with the latest date comes first.
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
                // Stable: of one date, the one that was made last.
                begun.sort_by_key(|point| point.date);
                begun.into_iter().rev().map(|point| &point.level).collect()
            }
        }
    }
}

impl FromStr for PointInTime {
    type Err = PointInTimeError;

    fn from_str(text: &str) -> Result<Self, PointInTimeError> {
        let trimmed = text.trim();
        let form = parse(trimmed).ok_or_else(|| PointInTimeError {
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

fn parse(text: &str) -> Option<Form> {
    if let Ok(level) = text.parse() {
        return Some(Form::Level(level));
    }
    let lower = text.to_ascii_lowercase();
    let (first, rest) = lower
        .split_once(char::is_whitespace)
        .unwrap_or((&lower, ""));
    match (first, rest.trim_start()) {
        ("latest", "") => Some(Form::Latest),
        ("today", rest) => day(0, rest),
        ("yesterday", rest) => day(1, rest),
        _ => moment(text).or_else(|| back(&lower)),
    }
}

fn day(days_ago: i64, rest: &str) -> Option<Form> {
    let clock = if rest.is_empty() {
        None
    } else {
        Some(clock_time(rest)?)
    };
    Some(Form::DaysAgo(days_ago, clock))
}

/// A date, with or without a time and a zone, as ISO 8601 has them.
fn moment(text: &str) -> Option<Form> {
    let (date, rest) = text
        .split_once(['T', 't', ' '])
        .map_or((text, None), |(date, rest)| (date, Some(rest)));
    // jiff reads more than this as a date: years with a sign, a zone behind it.
    if !matches!(date.len(), 8 | 10)
        || !date
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'-')
    {
        return None;
    }
    let date: Date = date.parse().ok()?;
    let Some(rest) = rest else {
        return Some(Form::EndOf(date));
    };
    let zone_at = rest.find(['Z', 'z', '+', '-']).unwrap_or(rest.len());
    let (time, zone) = rest.split_at_checked(zone_at)?;
    let (time, lasts) = clock_time(time.trim_end())?;
    if zone.is_empty() {
        return Some(Form::Clock(date.to_datetime(time), lasts));
    }
    let moment: Timestamp = format!("{date}T{time}{zone}").parse().ok()?;
    Some(Form::Until(moment, lasts))
}

/// `14`, `14:30`, `1430`, `14:30:05`, `143005`, `14:30:05.123`, and how long what it names lasts,
/// to the last nanosecond.
fn clock_time(text: &str) -> Option<(Time, SignedDuration)> {
    let (whole, fraction) = text
        .split_once(['.', ','])
        .map_or((text, None), |(whole, fraction)| (whole, Some(fraction)));
    let digits = whole.bytes().filter(u8::is_ascii_digit).count();
    let legal = whole
        .bytes()
        .all(|byte| byte.is_ascii_digit() || byte == b':')
        && fraction.is_none_or(|fraction| {
            digits == 6
                && !fraction.is_empty()
                && fraction.bytes().all(|byte| byte.is_ascii_digit())
        });
    let seconds = match (digits, fraction) {
        _ if !legal => return None,
        (6, Some(_)) => return Some((format!("T{text}").parse().ok()?, SignedDuration::ZERO)),
        (6, None) => 1,
        (4, None) => 60,
        (2, None) => 3600,
        _ => return None,
    };
    // With the T, digits alone are a time and nothing else.
    Some((
        format!("T{text}").parse().ok()?,
        SignedDuration::from_secs(seconds) - SignedDuration::from_nanos(1),
    ))
}

/// `-3h`, `3h ago`, `2 days ago`: only into the past.
fn back(text: &str) -> Option<Form> {
    // A span that begins with P is ISO 8601's; what it says is not plain to read.
    if text.starts_with(['p', '+']) || text.starts_with("-p") {
        return None;
    }
    let span: Span = text.parse().ok()?;
    (!span.is_positive()).then(|| Form::Back(Box::new(span.fieldwise())))
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

#[cfg(test)]
mod tests {
    use super::{Choice, PointInTime};
    use crate::model::{Dated, LevelId};
    use jiff::Timestamp;
    use jiff::tz::TimeZone;
    use proptest::prelude::*;

    /// Half past three in the afternoon of a Sunday in Berlin.
    const NOW: &str = "2026-11-22T15:30:00+01:00";

    fn berlin() -> TimeZone {
        // Spelled out, so that no time zone files are needed: winter UTC+1, summer UTC+2.
        TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").expect("a zone")
    }

    fn choice(text: &str) -> Choice {
        let point: PointInTime = text.parse().unwrap_or_else(|error| panic!("{error}"));
        point.choice(NOW.parse().expect("a time"), &berlin())
    }

    #[track_caller]
    fn assert_until(text: &str, moment: &str) {
        assert_eq!(
            choice(text),
            Choice::Until(moment.parse().expect("a time")),
            "{text}"
        );
    }

    #[test]
    fn every_form_means_what_people_mean() {
        for (text, moment) in [
            // A day reaches to its end, a minute and a second too.
            ("2026-11-22", "2026-11-22T23:59:59.999999999+01:00"),
            ("20261122", "2026-11-22T23:59:59.999999999+01:00"),
            ("2026-11-22T14:30", "2026-11-22T14:30:59.999999999+01:00"),
            ("2026-11-22 14:30", "2026-11-22T14:30:59.999999999+01:00"),
            ("2026-11-22T14", "2026-11-22T14:59:59.999999999+01:00"),
            ("20261122T143005", "2026-11-22T14:30:05.999999999+01:00"),
            ("2026-11-22T14:30:05", "2026-11-22T14:30:05.999999999+01:00"),
            ("2026-11-22T14:30:05.25", "2026-11-22T14:30:05.25+01:00"),
            ("2026-11-22T14:30:05,25", "2026-11-22T14:30:05.25+01:00"),
            // With a zone.
            ("2026-11-22T14:30:05Z", "2026-11-22T14:30:05.999999999Z"),
            ("2026-11-22t14:30:05z", "2026-11-22T14:30:05.999999999Z"),
            (
                "2026-11-22T14:30+05:30",
                "2026-11-22T14:30:59.999999999+05:30",
            ),
            (
                "2026-11-22 14:30 -0800",
                "2026-11-22T14:30:59.999999999-08:00",
            ),
            ("20261122T143005Z", "2026-11-22T14:30:05.999999999Z"),
            ("2026-11-22T14:30:05.123Z", "2026-11-22T14:30:05.123Z"),
            // Today and yesterday.
            ("today", "2026-11-22T23:59:59.999999999+01:00"),
            ("today 09:30", "2026-11-22T09:30:59.999999999+01:00"),
            ("yesterday", "2026-11-21T23:59:59.999999999+01:00"),
            ("Yesterday  14:00", "2026-11-21T14:00:59.999999999+01:00"),
            ("yesterday 14:00:30", "2026-11-21T14:00:30.999999999+01:00"),
            // Back from now.
            ("-3h", "2026-11-22T12:30:00+01:00"),
            ("3h ago", "2026-11-22T12:30:00+01:00"),
            ("3 hours ago", "2026-11-22T12:30:00+01:00"),
            ("-30m", "2026-11-22T15:00:00+01:00"),
            ("-2d", "2026-11-20T15:30:00+01:00"),
            ("-1w", "2026-11-15T15:30:00+01:00"),
            ("2 weeks ago", "2026-11-08T15:30:00+01:00"),
            ("-1d 6h", "2026-11-21T09:30:00+01:00"),
            // Days are days of the calendar: summer time ended on 25 October.
            ("-60d", "2026-09-23T15:30:00+02:00"),
            // The hour from two to three came twice, and once not at all.
            ("2026-10-25T02:30", "2026-10-25T02:30:59.999999999+01:00"),
            ("2026-03-29T02:30", "2026-03-29T03:30:59.999999999+02:00"),
            ("2026-10-25", "2026-10-25T23:59:59.999999999+01:00"),
        ] {
            assert_until(text, moment);
        }
        assert_eq!(choice(" latest "), Choice::Newest);
        assert_eq!(choice("Latest"), Choice::Newest);
        let id = "20261122T143005.123Z-1a2b3c4d";
        assert_eq!(choice(id), Choice::Exactly(id.parse().expect("a level id")));
    }

    #[test]
    fn what_is_named_begins_with_its_first_moment() {
        for (text, moment) in [
            ("2026-11-22", Some("2026-11-22T00:00:00+01:00")),
            ("2026-11-22T14:30", Some("2026-11-22T14:30:00+01:00")),
            ("2026-11-22T14:30Z", Some("2026-11-22T14:30:00Z")),
            ("yesterday", Some("2026-11-21T00:00:00+01:00")),
            ("yesterday 14:00", Some("2026-11-21T14:00:00+01:00")),
            ("-3h", Some("2026-11-22T12:30:00+01:00")),
            // The hour that comes twice begins the first time.
            ("2026-10-25T02:30", Some("2026-10-25T02:30:00+02:00")),
            (
                "20261122T143005.123Z-1a2b3c4d",
                Some("2026-11-22T14:30:05.123Z"),
            ),
            ("latest", None),
        ] {
            let point: PointInTime = text.parse().expect("a point in time");
            let moment = moment.map(|moment| moment.parse().expect("a moment"));
            assert_eq!(
                point.beginning(NOW.parse().expect("a time"), &berlin()),
                moment,
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_no_point_in_time_is_refused_with_the_forms_that_are() {
        for text in [
            "",
            " ",
            "now!",
            "yestrday",
            "today 25:00",
            "today at 9",
            "2026-13-01",
            "2026-11-31",
            "2026-11-22T",
            "2026-11-22T14:30:5",
            "3h",
            "+3h",
            "P3D",
            "-P3D",
            "14:30",
            "2026",
            "2026-11",
            "2026-11-22T14:30X",
            "2026-11-22T14:30+99:00",
            "2026-11-22[Europe/Berlin]",
            "+002026-11-22",
            "2026-11-22Z",
            "latest 14:00",
            "home",
            "2026-11-22T14.5",
            "1 fortnight ago",
            "\u{e9}\u{e9}\u{e9}\u{e9}",
        ] {
            let error = text.parse::<PointInTime>().expect_err(text).to_string();
            assert!(
                error.starts_with(&format!("{text:?} is not a point in time: ")),
                "{error}"
            );
            assert!(
                error.contains("yesterday 14:00") && error.contains("-3h"),
                "{error}"
            );
        }
    }

    #[test]
    fn a_moment_beyond_all_time_is_the_first_or_the_last() {
        assert_eq!(choice("9999-12-31"), Choice::Until(Timestamp::MAX));
        assert_eq!(
            choice("-19000y"),
            Choice::Until(
                "-009999-01-01T00:00:00Z"
                    .parse()
                    .map_or(Timestamp::MIN, |_: Timestamp| Timestamp::MIN)
            )
        );
    }

    #[test]
    fn the_newest_level_at_or_before_the_moment_is_chosen() {
        let level = |text: &str| {
            let level: LevelId = text.parse().expect("a level id");
            let date = level.started();
            Dated { level, date }
        };
        let levels = [
            level("20261120T100000.000Z-00000001"),
            level("20261122T143005.123Z-00000002"),
            level("20261122T143100.000Z-00000003"),
        ];
        let chosen = |text: &str| {
            choice(text)
                .among(&levels)
                .first()
                .map(|level| level.as_str().to_owned())
        };
        assert_eq!(
            chosen("latest").as_deref(),
            Some("20261122T143100.000Z-00000003")
        );
        assert_eq!(
            chosen("2026-11-22T14:30:05Z").as_deref(),
            Some("20261122T143005.123Z-00000002")
        );
        assert_eq!(
            chosen("2026-11-22T14:30:05.122Z").as_deref(),
            Some("20261120T100000.000Z-00000001")
        );
        assert_eq!(
            chosen("2026-11-22T14:30:05.123Z").as_deref(),
            Some("20261122T143005.123Z-00000002")
        );
        assert_eq!(chosen("2026-11-19"), None);
        assert_eq!(
            chosen("20261122T143005.123Z-00000002").as_deref(),
            Some("20261122T143005.123Z-00000002")
        );
        assert_eq!(chosen("20261122T143005.123Z-00000009"), None);
        assert!(Choice::Newest.among(&[]).is_empty());
    }

    #[test]
    fn the_newest_was_made_last_and_a_date_means_what_began_by_then() {
        let point = |date: &str, random| {
            let date: Timestamp = date.parse().expect("a time");
            let level = LevelId::new(date, random);
            Dated { level, date }
        };
        let points = [
            point("2026-11-20T10:00:00Z", 1),
            point("2099-11-30T10:00:00Z", 2),
            point("2026-11-21T10:00:00Z", 3),
            point("1970-01-01T00:00:00Z", 4),
        ];
        let chosen = |text: &str| choice(text).among(&points);
        assert_eq!(chosen("latest")[0], &points[3].level);
        assert_eq!(
            chosen("today"),
            [&points[2].level, &points[0].level, &points[3].level]
        );
        assert_eq!(chosen("2099-11-30")[0], &points[1].level);
        assert_eq!(chosen("2000-01-01"), [&points[3].level]);
    }

    proptest! {
        #[test]
        fn a_date_gives_the_latest_that_began_by_then_whatever_the_clocks_said(days in prop::collection::vec(-30_000_i64..60_000, 0..20), moment in -30_000_i64..60_000) {
            let at = |day: i64| Timestamp::from_second(day * 86_400).expect("in range");
            let points: Vec<Dated> = days.iter().zip(0..).map(|(day, random)| Dated { level: LevelId::new(at(*day), random), date: at(*day) }).collect();
            let chosen = Choice::Until(at(moment)).among(&points);
            let dates: Vec<_> = chosen.iter().map(|level| level.started()).collect();
            prop_assert!(dates.iter().rev().is_sorted());
            prop_assert_eq!(chosen.len(), days.iter().filter(|day| **day <= moment).count());
            prop_assert_eq!(dates.first().copied(), days.iter().filter(|day| **day <= moment).max().map(|day| at(*day)));
            prop_assert_eq!(Choice::Newest.among(&points).first().copied(), points.last().map(|point| &point.level));
        }

        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,40}", now: i64) {
            resolve_if_legal(&text, now);
        }

        #[test]
        fn no_text_of_the_right_letters_makes_it_panic(text in "(-|today |yesterday )?[-0-9:.TtZz+ hdwmy]{0,26}( ago)?", now: i64) {
            resolve_if_legal(&text, now);
        }

        #[test]
        fn a_day_holds_all_its_clock_times(day in -30_000_i64..60_000, hour in 0_i8..24, minute in 0_i8..60) {
            let date = jiff::civil::date(1970, 1, 1).saturating_add(jiff::Span::new().days(day));
            let (Choice::Until(clock), Choice::Until(end)) = (choice(&format!("{date}T{hour:02}:{minute:02}")), choice(&date.to_string())) else {
                panic!("both are moments")
            };
            prop_assert!(clock <= end);
        }
    }

    fn resolve_if_legal(text: &str, now: i64) {
        if let Ok(point) = text.parse::<PointInTime>() {
            let now = Timestamp::from_second(now % 200_000_000_000).expect("in range");
            point.choice(now, &berlin());
            assert_eq!(
                point.to_string().parse::<PointInTime>().as_ref(),
                Ok(&point)
            );
        }
    }
}
