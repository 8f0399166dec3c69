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
fn all_reasons_that_keep_a_point_are_named() {
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
fn a_time_to_look_back_follows_the_calendar_from_the_newest_point() {
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
        "after years without a backup, everything stays"
    );
    let clock_ahead = rules.decide(
        &candidates(&["2026-10-24T10:00:00Z", "2030-01-01T00:00:00Z"]),
        at("2026-10-24T11:00:00Z"),
        &berlin(),
    );
    assert!(
        !clock_ahead.contains(&Fate::Goes),
        "a level with a wrong clock makes no other go"
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
fn an_unreadable_point_stays_and_counts_for_no_rule() {
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
    fn nothing_goes_that_a_rule_protects(
        points in any_points(),
        rules in any_rules(),
        now in 0_i64..4 * 365 * 24,
    ) {
        let now = at("2025-01-01T00:00:00Z") + SignedDuration::from_hours(now);
        let fates = rules.decide(&points, now, &berlin());
        prop_assert_eq!(fates.len(), points.len());
        let gone: Vec<_> = points
            .iter()
            .zip(&fates)
            .filter(|(_, fate)| **fate == Fate::Goes)
            .map(|(point, _)| point)
            .collect();
        let all_began_before =
            |limit: Timestamp| gone.iter().all(|point| point.level.started() < limit);
        let readable: Vec<_> = points.iter().filter(|point| point.is_readable).collect();
        prop_assert!(gone.iter().all(|point| point.is_readable));
        prop_assert!(!gone.is_empty() || fates.iter().all(|fate| *fate != Fate::Goes));
        prop_assert!(rules.since.is_none_or(all_began_before), "too young to go");
        let are_untagged = gone.iter().all(|point| point.tags.is_empty());
        prop_assert!(rules.tags.is_empty() || are_untagged, "a tagged one went");
        if let Some(newest) = readable.last() {
            prop_assert!(!gone.contains(newest), "the newest one went");
        }
        let last = usize::try_from(rules.last).expect("small").min(readable.len());
        let last = &readable[readable.len() - last..];
        prop_assert!(last.iter().all(|point| !gone.contains(point)), "one of the last went");
        if let Some(within) = &rules.within {
            let limit = within.before(now, &berlin());
            prop_assert!(all_began_before(limit), "too young to go");
        }
        if rules.is_empty() {
            prop_assert!(gone.is_empty());
        }
    }

    #[test]
    fn the_newest_of_each_kept_day_and_month_stays(
        points in any_points(),
        days in 1_u64..9,
        months in 1_u64..9,
    ) {
        let rules = Retention { daily: days, monthly: months, ..Retention::default() };
        let fates = rules.decide(&points, at("2029-01-01T00:00:00Z"), &berlin());
        let local: Vec<_> = points
            .iter()
            .map(|point| point.level.started().to_zoned(berlin()).date())
            .collect();
        let readable: Vec<usize> =
            (0..points.len()).filter(|at| points[*at].is_readable).collect();
        // The same rule in another way: a list of days, from the newest on.
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
    fn one_wrong_clock_changes_nothing_for_the_others(
        points in any_points(),
        rules in any_rules(),
        place in 0_usize..80,
        off in prop_oneof![Just(40_000_i64), Just(-20_000_i64)],
    ) {
        let now = at("2028-06-01T00:00:00Z");
        let sound = rules.decide(&points, now, &berlin());
        // One more run, somewhere among them.
        let place = place % (points.len() + 1);
        let date = at("2026-01-01T00:00:00Z") + SignedDuration::from_hours(24 * off);
        let wrong = Candidate {
            level: LevelId::new(date, 7),
            date,
            tags: Vec::new(),
            is_readable: true,
        };
        let mut more = points.clone();
        more.insert(place, wrong);
        let mut fates = rules.decide(&more, now, &berlin());
        let fate = fates.remove(place);
        let is_first = off < 0 && points[..place].iter().all(|point| !point.is_readable);
        prop_assert!(is_first || fate != Fate::Goes);
        if !is_first {
            let goes = |fates: &[Fate]| -> Vec<bool> {
                fates.iter().map(|fate| *fate == Fate::Goes).collect()
            };
            prop_assert_eq!(goes(&sound), goes(&fates));
        }
    }

    #[test]
    fn the_same_rules_let_nothing_more_go(
        points in any_points(),
        rules in any_rules(),
        now in 0_i64..4 * 365 * 24,
    ) {
        let now = at("2025-01-01T00:00:00Z") + SignedDuration::from_hours(now);
        let fates = rules.decide(&points, now, &berlin());
        let left: Vec<_> = points
            .iter()
            .zip(&fates)
            .filter(|(_, fate)| **fate != Fate::Goes)
            .map(|(point, _)| point.clone())
            .collect();
        prop_assert!(!rules.decide(&left, now, &berlin()).contains(&Fate::Goes));
    }

    #[test]
    fn a_further_rule_lets_no_more_go(
        points in any_points(),
        rules in any_rules(),
        more in 1_u64..5,
    ) {
        prop_assume!(!rules.is_empty());
        let now = at("2027-06-01T00:00:00Z");
        let before = rules.decide(&points, now, &berlin());
        let further = Retention {
            weekly: rules.weekly + more,
            tags: vec!["kept".to_owned()],
            ..rules
        };
        let after = further.decide(&points, now, &berlin());
        for (before, after) in before.iter().zip(&after) {
            prop_assert!(*after != Fate::Goes || *before == Fate::Goes);
        }
    }
}
