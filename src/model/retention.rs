//! Which points in time stay when a backup is pruned: rules alone, no store and no clock.

use super::LevelId;
use super::order::{WrongDate, wrong_dates};
use jiff::civil::ISOWeekDate;
use jiff::tz::TimeZone;
use jiff::{Span, SpanFieldwise, Timestamp, Zoned};
use std::collections::BTreeSet;
use std::fmt;

/// What stays. Each rule protects; a point in time goes when none protects it.
///
/// Without any rule nothing goes. The newest point in time that can be read stays whatever the
/// rules are: the one whose run was the last. One that cannot be read stays too, as nobody knows
/// what would be lost; and so does one whose clock was wrong, as nobody knows which day it is of.
/// Neither counts for any rule, so that it takes the place of no other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// How many of the newest stay.
    pub last: u64,
    /// In how many hours, of those that have any, the newest stays.
    pub hourly: u64,
    /// In how many days.
    pub daily: u64,
    /// In how many weeks, which begin on Monday.
    pub weekly: u64,
    /// In how many months.
    pub monthly: u64,
    /// In how many years.
    pub yearly: u64,
    /// All that began within this time before the newest one, or before now if that is earlier.
    pub within: Option<Within>,
    /// All that have one of these tags.
    pub tags: Vec<String>,
    /// All that began at this moment or later. Alone, it lets go all that began before.
    pub since: Option<Timestamp>,
}

/// A time to look back, such as `30d`, `2w` or `1y6mo`. Days and longer are days of the calendar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Within(Box<SpanFieldwise>);

/// A text that is no time to look back.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a length of time: write 30d, 12h, 2w, 6mo or 1y")]
pub struct WithinError(String);

/// A point in time, as far as the rules care.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Which it is.
    pub level: LevelId,
    /// When it began, by the clock of its run.
    pub date: Timestamp,
    /// What its run was told to call it.
    pub tags: Vec<String>,
    /// Whether its manifest can be read.
    pub is_readable: bool,
}

/// What becomes of a point in time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It stays, for these reasons; at least one.
    Stays(Vec<Reason>),
    /// It goes.
    Goes,
}

/// Why a point in time stays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// No rule says that anything goes.
    NoRule,
    /// Its manifest cannot be read.
    Unreadable,
    /// It cannot be read, there is no data of it, and nothing leans on it: an object that only has
    /// the name of a manifest.
    Stray,
    /// Its clock was wrong.
    WrongDate(WrongDate),
    /// It is the newest that can be read.
    Newest,
    /// It is one of the last.
    Last,
    /// It is the newest of a kept hour, day, week, month or year.
    Period(Period),
    /// It is young enough.
    Within,
    /// It has a tag that is kept.
    Tag(String),
    /// It began after the moment before which others go.
    Young,
    /// The store lets nobody remove it before then.
    Locked(Timestamp),
}

/// The periods of which the newest point in time can be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Period {
    /// An hour of the clock.
    Hour,
    /// A day of the calendar.
    Day,
    /// A week, from Monday on.
    Week,
    /// A month.
    Month,
    /// A year.
    Year,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRule => f.write_str("no rule"),
            Self::Unreadable => f.write_str("unreadable"),
            Self::Stray => f.write_str("no point in time"),
            Self::WrongDate(WrongDate::Ahead) => f.write_str("in the future"),
            Self::WrongDate(WrongDate::OutOfOrder) => f.write_str("of a wrong clock"),
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

impl std::str::FromStr for Within {
    type Err = WithinError;

    fn from_str(text: &str) -> Result<Self, WithinError> {
        let refuse = || WithinError(text.to_owned());
        let trimmed = text.trim();
        // A span that begins with P is ISO 8601's; one with a sign or with `ago` is another idea.
        if trimmed.starts_with(['P', 'p', '+', '-']) || trimmed.contains("ago") {
            return Err(refuse());
        }
        let span: Span = trimmed.parse().map_err(|_| refuse())?;
        if span.is_negative() {
            Err(refuse())
        } else {
            Ok(Self(Box::new(span.fieldwise())))
        }
    }
}

impl Within {
    /// The moment so long before `moment`; the first there is, if it would be before all time.
    pub fn before(&self, moment: Timestamp, zone: &TimeZone) -> Timestamp {
        moment
            .to_zoned(zone.clone())
            .checked_sub(self.0.0)
            .map_or(Timestamp::MIN, |zoned| zoned.timestamp())
    }
}

impl Retention {
    /// Whether there is no rule.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// What becomes of each of a backup's points in time, which are in the order in which they were
    /// made, when it is `now` in `zone`.
    ///
    /// A further rule never lets go more. Applied again to what stays, the same rules let nothing
    /// go, unless a clock was wrong: that may no longer show when others have gone.
    pub fn decide(&self, candidates: &[Candidate], now: Timestamp, zone: &TimeZone) -> Vec<Fate> {
        if self.is_empty() {
            return vec![Fate::Stays(vec![Reason::NoRule]); candidates.len()];
        }
        let wrong = wrong_dates_of(candidates, now);
        let newest = candidates
            .iter()
            .rposition(|candidate| candidate.is_readable);
        let is_right = |at: &usize| candidates[*at].is_readable && wrong[*at].is_none();
        // The last run, and the last one whose date is right: of the other nobody knows its day.
        let newest_right = (0..candidates.len()).rfind(is_right);
        let newest_date = (0..candidates.len())
            .filter(is_right)
            .map(|at| candidates[at].date)
            .max();
        let young_since = self
            .within
            .as_ref()
            .map(|within| within.before(newest_date.unwrap_or(now).min(now), zone));
        let mut periods = [
            Kept::new(Period::Hour, self.hourly),
            Kept::new(Period::Day, self.daily),
            Kept::new(Period::Week, self.weekly),
            Kept::new(Period::Month, self.monthly),
            Kept::new(Period::Year, self.yearly),
        ];
        let mut last = self.last;
        let mut fates: Vec<Fate> = candidates
            .iter()
            .zip(&wrong)
            .enumerate()
            .rev()
            .map(|(at, (candidate, wrong))| {
                if !candidate.is_readable {
                    return Fate::Stays(vec![Reason::Unreadable]);
                }
                let mut reasons = Vec::new();
                if newest == Some(at) || newest_right == Some(at) {
                    reasons.push(Reason::Newest);
                }
                if let Some(wrong) = wrong {
                    reasons.push(Reason::WrongDate(*wrong));
                    return Fate::Stays(reasons);
                }
                if last > 0 {
                    last -= 1;
                    reasons.push(Reason::Last);
                }
                let local = candidate.date.to_zoned(zone.clone());
                reasons.extend(
                    periods
                        .iter_mut()
                        .filter_map(|kept| kept.takes(&local))
                        .map(Reason::Period),
                );
                if young_since.is_some_and(|since| candidate.date >= since) {
                    reasons.push(Reason::Within);
                }
                reasons.extend(
                    candidate
                        .tags
                        .iter()
                        .filter(|tag| self.tags.contains(tag))
                        .cloned()
                        .map(Reason::Tag),
                );
                if self.since.is_some_and(|since| candidate.date >= since) {
                    reasons.push(Reason::Young);
                }
                if reasons.is_empty() {
                    Fate::Goes
                } else {
                    Fate::Stays(reasons)
                }
            })
            .collect();
        fates.reverse();
        fates
    }
}

/// What is wrong with the date of each candidate; nothing of those that cannot be read.
fn wrong_dates_of(candidates: &[Candidate], now: Timestamp) -> Vec<Option<WrongDate>> {
    let dates: Vec<Timestamp> = candidates
        .iter()
        .filter(|candidate| candidate.is_readable)
        .map(|candidate| candidate.date)
        .collect();
    let mut wrong = wrong_dates(&dates, now).into_iter();
    candidates
        .iter()
        .map(|candidate| {
            candidate
                .is_readable
                .then(|| wrong.next().flatten())
                .flatten()
        })
        .collect()
}

/// One kind of period, from the newest point in time back.
struct Kept {
    period: Period,
    left: u64,
    /// Those that have their point in time: dates may step back by less than a day.
    seen: BTreeSet<Span4>,
}

/// What tells a period from all others of its kind.
type Span4 = (i32, i32, i32, i32);

impl Kept {
    fn new(period: Period, count: u64) -> Self {
        Self {
            period,
            left: count,
            seen: BTreeSet::new(),
        }
    }

    /// Whether this is the newest of a period that is kept.
    fn takes(&mut self, local: &Zoned) -> Option<Period> {
        if self.left == 0 {
            return None;
        }
        let (year, month, day) = (
            i32::from(local.year()),
            i32::from(local.month()),
            i32::from(local.day()),
        );
        let which = match self.period {
            // The hour that comes twice in autumn is two hours: their distance from UTC differs.
            Period::Hour => (
                year,
                month * 100 + day,
                i32::from(local.hour()),
                local.offset().seconds(),
            ),
            Period::Day => (year, month, day, 0),
            Period::Week => {
                let week = ISOWeekDate::from(local.date());
                (i32::from(week.year()), i32::from(week.week()), 0, 0)
            }
            Period::Month => (year, month, 0, 0),
            Period::Year => (year, 0, 0, 0),
        };
        if !self.seen.insert(which) {
            return None;
        }
        self.left -= 1;
        Some(self.period)
    }
}

#[cfg(test)]
mod tests {
    use super::{Candidate, Fate, Period, Reason, Retention, Within};
    use crate::model::LevelId;
    use jiff::tz::TimeZone;
    use jiff::{SignedDuration, Timestamp};
    use proptest::prelude::*;

    fn berlin() -> TimeZone {
        // Spelled out, so that no time zone files are needed: winter UTC+1, summer UTC+2.
        TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").expect("a zone")
    }

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    fn candidates(times: &[&str]) -> Vec<Candidate> {
        times
            .iter()
            .map(|time| Candidate {
                level: LevelId::new(at(time), 1),
                date: at(time),
                tags: Vec::new(),
                is_readable: true,
            })
            .collect()
    }

    /// The times that stay.
    #[track_caller]
    fn assert_stay(rules: &Retention, times: &[&str], expected: &[&str]) {
        let fates = rules.decide(&candidates(times), at(times[times.len() - 1]), &berlin());
        let stay: Vec<_> = times
            .iter()
            .zip(&fates)
            .filter(|(_, fate)| **fate != Fate::Goes)
            .map(|(time, _)| *time)
            .collect();
        assert_eq!(stay, expected);
    }

    #[test]
    fn the_newest_of_each_day_stays_by_the_local_calendar() {
        let rules = Retention {
            daily: 2,
            ..Retention::default()
        };
        let times = [
            "2026-11-19T12:00:00Z",
            "2026-11-20T22:30:00Z",
            "2026-11-20T23:30:00Z",
            "2026-11-21T10:00:00Z",
        ];
        // Half past eleven in the evening of UTC is the next day in Berlin.
        assert_stay(
            &rules,
            &times,
            &times[1..2]
                .iter()
                .chain(&times[3..])
                .copied()
                .collect::<Vec<_>>(),
        );
    }

    #[test]
    fn the_hour_that_comes_twice_is_two_hours_and_the_days_around_it_are_days() {
        let rules = Retention {
            hourly: 9,
            ..Retention::default()
        };
        let times = [
            "2026-10-25T00:10:00Z",
            "2026-10-25T00:50:00Z",
            "2026-10-25T01:10:00Z",
            "2026-10-25T01:50:00Z",
        ];
        assert_stay(&rules, &times, &[times[1], times[3]]);
        // The day of 25 hours, and the one of 23 hours in spring.
        let rules = Retention {
            daily: 9,
            ..Retention::default()
        };
        assert_stay(
            &rules,
            &[
                "2026-10-24T22:00:00Z",
                "2026-10-25T22:59:59Z",
                "2026-10-25T23:00:00Z",
            ],
            &["2026-10-25T22:59:59Z", "2026-10-25T23:00:00Z"],
        );
        assert_stay(
            &rules,
            &[
                "2026-03-28T23:00:00Z",
                "2026-03-29T21:59:59Z",
                "2026-03-29T22:00:00Z",
            ],
            &["2026-03-29T21:59:59Z", "2026-03-29T22:00:00Z"],
        );
    }

    #[test]
    fn weeks_begin_on_monday_and_do_not_end_with_the_year() {
        let rules = Retention {
            weekly: 2,
            ..Retention::default()
        };
        let times = [
            "2026-12-27T12:00:00Z",
            "2026-12-28T12:00:00Z",
            "2026-12-31T12:00:00Z",
            "2027-01-03T12:00:00Z",
        ];
        assert_stay(&rules, &times, &[times[0], times[3]]);
    }

    #[test]
    fn reasons_add_up_and_say_what_kept_it() {
        let rules = Retention {
            last: 1,
            monthly: 1,
            tags: vec!["gold".to_owned()],
            ..Retention::default()
        };
        let mut points = candidates(&[
            "2026-09-01T00:00:00Z",
            "2026-10-01T00:00:00Z",
            "2026-11-01T00:00:00Z",
        ]);
        points[0].tags = vec!["x".to_owned(), "gold".to_owned()];
        let fates = rules.decide(&points, at("2026-11-02T00:00:00Z"), &berlin());
        assert_eq!(fates[0], Fate::Stays(vec![Reason::Tag("gold".to_owned())]));
        assert_eq!(fates[1], Fate::Goes);
        assert_eq!(
            fates[2],
            Fate::Stays(vec![
                Reason::Newest,
                Reason::Last,
                Reason::Period(Period::Month)
            ])
        );
    }

    #[test]
    fn a_time_to_look_back_is_of_the_calendar_and_from_the_newest_on() {
        let rules = Retention {
            within: Some("1d".parse().expect("a span")),
            ..Retention::default()
        };
        // 25 hours lie between noon and noon of these days.
        assert_stay(
            &rules,
            &[
                "2026-10-24T09:59:59Z",
                "2026-10-24T10:00:00Z",
                "2026-10-25T11:00:00Z",
            ],
            &["2026-10-24T10:00:00Z", "2026-10-25T11:00:00Z"],
        );
        let years_later = rules.decide(
            &candidates(&["2026-10-24T10:00:00Z", "2026-10-24T11:00:00Z"]),
            at("2030-01-01T00:00:00Z"),
            &berlin(),
        );
        assert!(
            !years_later.contains(&Fate::Goes),
            "nothing was backed up for years: what there is stays"
        );
        let clock_ahead = rules.decide(
            &candidates(&["2026-10-24T10:00:00Z", "2030-01-01T00:00:00Z"]),
            at("2026-10-24T11:00:00Z"),
            &berlin(),
        );
        assert!(
            !clock_ahead.contains(&Fate::Goes),
            "one level with a wrong clock takes nothing with it"
        );
        for (text, legal) in [
            ("30d", true),
            ("1y6mo", true),
            ("2 weeks", true),
            ("12h", true),
            ("-3d", false),
            ("3d ago", false),
            ("P3D", false),
            ("x", false),
            ("", false),
            ("30", false),
        ] {
            assert_eq!(text.parse::<Within>().is_ok(), legal, "{text}");
        }
    }

    #[test]
    fn what_cannot_be_read_stays_and_counts_for_nothing() {
        let rules = Retention {
            last: 1,
            ..Retention::default()
        };
        let mut points = candidates(&[
            "2026-09-01T00:00:00Z",
            "2026-10-01T00:00:00Z",
            "2026-11-01T00:00:00Z",
        ]);
        points[2].is_readable = false;
        let fates = rules.decide(&points, at("2026-11-02T00:00:00Z"), &berlin());
        assert_eq!(fates[0], Fate::Goes);
        assert_eq!(fates[1], Fate::Stays(vec![Reason::Newest, Reason::Last]));
        assert_eq!(fates[2], Fate::Stays(vec![Reason::Unreadable]));
    }

    #[test]
    fn a_wrong_clock_counts_for_no_rule_and_goes_by_none() {
        let daily = Retention {
            daily: 3,
            ..Retention::default()
        };
        for wrong in ["2099-11-30T12:00:00Z", "1970-01-01T00:00:00Z"] {
            let times = [
                "2026-12-01T12:00:00Z",
                "2026-12-02T12:00:00Z",
                wrong,
                "2026-12-03T12:00:00Z",
                "2026-12-04T12:00:00Z",
            ];
            assert_stay(&daily, &times, &times[1..]);
            // As the last run it is the newest, and so is the last with a date that can be right.
            let since = Retention {
                since: Some(at("2026-12-31T00:00:00Z")),
                ..Retention::default()
            };
            let fates = since.decide(
                &candidates(&times[..3]),
                at("2026-12-05T00:00:00Z"),
                &berlin(),
            );
            assert_eq!(fates[0], Fate::Goes);
            assert_eq!(fates[1], Fate::Stays(vec![Reason::Newest]));
            assert!(matches!(&fates[2], Fate::Stays(reasons) if reasons[0] == Reason::Newest));
        }
    }

    fn any_points() -> impl Strategy<Value = Vec<Candidate>> {
        let point = (0_i64..3 * 365 * 24 * 60, 0_u8..4, prop::bool::weighted(0.9));
        prop::collection::vec(point, 1..80).prop_map(|mut points| {
            points.sort_unstable();
            points.dedup_by_key(|(minute, ..)| *minute);
            let begin = at("2025-01-01T00:00:00Z");
            let candidate = |(minute, tag, is_readable): (i64, u8, bool)| Candidate {
                level: LevelId::new(begin + SignedDuration::from_mins(minute), 1),
                date: begin + SignedDuration::from_mins(minute),
                tags: if tag == 0 {
                    vec!["kept".to_owned()]
                } else {
                    Vec::new()
                },
                is_readable,
            };
            points.into_iter().map(candidate).collect()
        })
    }

    fn any_rules() -> impl Strategy<Value = Retention> {
        let counts = prop::array::uniform6(prop_oneof![2 => Just(0_u64), 1 => 0_u64..9]);
        let since = prop::option::of(0_i64..3 * 365 * 24);
        (counts, prop::option::of(0_i64..900), any::<bool>(), since).prop_map(
            |(counts, days, tags, since)| Retention {
                last: counts[0],
                hourly: counts[1],
                daily: counts[2],
                weekly: counts[3],
                monthly: counts[4],
                yearly: counts[5],
                within: days.map(|days| format!("{days}d").parse().expect("a span")),
                tags: if tags {
                    vec!["kept".to_owned()]
                } else {
                    Vec::new()
                },
                since: since
                    .map(|hours| at("2025-01-01T00:00:00Z") + SignedDuration::from_hours(hours)),
            },
        )
    }

    proptest! {
        #[test]
        fn nothing_goes_that_a_rule_protects(points in any_points(), rules in any_rules(), now in 0_i64..4 * 365 * 24) {
            let now = at("2025-01-01T00:00:00Z") + SignedDuration::from_hours(now);
            let fates = rules.decide(&points, now, &berlin());
            prop_assert_eq!(fates.len(), points.len());
            let gone: Vec<_> = points.iter().zip(&fates).filter(|(_, fate)| **fate == Fate::Goes).map(|(point, _)| point).collect();
            let readable: Vec<_> = points.iter().filter(|point| point.is_readable).collect();
            prop_assert!(gone.iter().all(|point| point.is_readable));
            prop_assert!(!gone.is_empty() || fates.iter().all(|fate| *fate != Fate::Goes));
            prop_assert!(rules.since.is_none_or(|since| gone.iter().all(|point| point.level.started() < since)), "younger than asked");
            prop_assert!(rules.tags.is_empty() || gone.iter().all(|point| point.tags.is_empty()), "tagged");
            if let Some(newest) = readable.last() {
                prop_assert!(!gone.contains(newest), "the newest");
            }
            let last = usize::try_from(rules.last).expect("small").min(readable.len());
            prop_assert!(readable[readable.len() - last..].iter().all(|point| !gone.contains(point)), "one of the last");
            if let Some(within) = &rules.within {
                let limit = within.before(now, &berlin());
                prop_assert!(gone.iter().all(|point| point.level.started() < limit), "younger than asked");
            }
            if rules.is_empty() {
                prop_assert!(gone.is_empty());
            }
        }

        #[test]
        fn the_newest_of_each_kept_day_and_month_stays(points in any_points(), days in 1_u64..9, months in 1_u64..9) {
            let rules = Retention { daily: days, monthly: months, ..Retention::default() };
            let fates = rules.decide(&points, at("2029-01-01T00:00:00Z"), &berlin());
            let local: Vec<_> = points.iter().map(|point| point.level.started().to_zoned(berlin()).date()).collect();
            let readable: Vec<usize> = (0..points.len()).filter(|at| points[*at].is_readable).collect();
            // The same said in another way: a set of days, from the newest on.
            let mut kept = std::collections::BTreeSet::new();
            let (mut seen_days, mut seen_months) = (Vec::new(), Vec::new());
            for at in readable.iter().rev() {
                let (day, month) = (local[*at], local[*at].first_of_month());
                if !seen_days.contains(&day) {
                    seen_days.push(day);
                    if seen_days.len() as u64 <= days { kept.insert(*at); }
                }
                if !seen_months.contains(&month) {
                    seen_months.push(month);
                    if seen_months.len() as u64 <= months { kept.insert(*at); }
                }
            }
            for at in readable {
                prop_assert_eq!(fates[at] != Fate::Goes, kept.contains(&at));
            }
        }

        #[test]
        fn one_wrong_clock_changes_nothing_for_the_others(points in any_points(), rules in any_rules(), place in 0_usize..80, off in prop_oneof![Just(40_000_i64), Just(-20_000_i64)]) {
            let now = at("2028-06-01T00:00:00Z");
            let sound = rules.decide(&points, now, &berlin());
            // A run more, somewhere among them.
            let place = place % (points.len() + 1);
            let date = at("2026-01-01T00:00:00Z") + SignedDuration::from_hours(24 * off);
            let wrong = Candidate { level: LevelId::new(date, 7), date, tags: Vec::new(), is_readable: true };
            let mut more = points.clone();
            more.insert(place, wrong);
            let mut fates = rules.decide(&more, now, &berlin());
            let fate = fates.remove(place);
            let is_first = off < 0 && points[..place].iter().all(|point| !point.is_readable);
            prop_assert!(is_first || fate != Fate::Goes);
            if !is_first {
                prop_assert!(sound.iter().zip(&fates).all(|(before, after)| (*before == Fate::Goes) == (*after == Fate::Goes)));
            }
        }

        #[test]
        fn the_same_rules_let_nothing_more_go(points in any_points(), rules in any_rules(), now in 0_i64..4 * 365 * 24) {
            let now = at("2025-01-01T00:00:00Z") + SignedDuration::from_hours(now);
            let fates = rules.decide(&points, now, &berlin());
            let left: Vec<_> = points.iter().zip(&fates).filter(|(_, fate)| **fate != Fate::Goes).map(|(point, _)| point.clone()).collect();
            prop_assert!(!rules.decide(&left, now, &berlin()).contains(&Fate::Goes));
        }

        #[test]
        fn a_further_rule_lets_no_more_go(points in any_points(), rules in any_rules(), more in 1_u64..5) {
            prop_assume!(!rules.is_empty());
            let now = at("2027-06-01T00:00:00Z");
            let before = rules.decide(&points, now, &berlin());
            let after = Retention { weekly: rules.weekly + more, tags: vec!["kept".to_owned()], ..rules }.decide(&points, now, &berlin());
            prop_assert!(before.iter().zip(&after).all(|(before, after)| *after != Fate::Goes || *before == Fate::Goes));
        }
    }
}
