use super::{Choice, PointInTime};
use crate::model::{Dated, LevelId};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use proptest::prelude::*;

/// Half past three in the afternoon of a Sunday in Berlin.
const NOW: &str = "2026-11-22T15:30:00+01:00";

fn berlin() -> TimeZone {
    // Spelled out, so that the test needs no time zone files: winter UTC+1, summer UTC+2.
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
fn every_form_names_the_moment_that_people_mean() {
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
fn a_named_time_begins_with_its_first_moment() {
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
fn other_texts_are_refused_with_the_forms_that_are_known() {
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
fn the_newest_was_made_last_and_a_date_chooses_what_began_by_then() {
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
    fn a_date_gives_the_latest_that_began_by_then_whatever_the_clocks_said(
        days in prop::collection::vec(-30_000_i64..60_000, 0..20),
        moment in -30_000_i64..60_000,
    ) {
        let at = |day: i64| Timestamp::from_second(day * 86_400).expect("in range");
        let dated = |(day, random): (&i64, u32)| Dated {
            level: LevelId::new(at(*day), random),
            date: at(*day),
        };
        let points: Vec<Dated> = days.iter().zip(0..).map(dated).collect();
        let chosen = Choice::Until(at(moment)).among(&points);
        let dates: Vec<_> = chosen.iter().map(|level| level.started()).collect();
        prop_assert!(dates.iter().rev().is_sorted());
        let begun = || days.iter().filter(|day| **day <= moment);
        prop_assert_eq!(chosen.len(), begun().count());
        prop_assert_eq!(dates.first().copied(), begun().max().map(|day| at(*day)));
        let newest = Choice::Newest.among(&points).first().copied();
        prop_assert_eq!(newest, points.last().map(|point| &point.level));
    }

    #[test]
    fn no_text_makes_it_panic(text in "\\PC{0,40}", now: i64) {
        resolve_if_legal(&text, now);
    }

    #[test]
    fn no_text_of_the_right_letters_makes_it_panic(
        text in "(-|today |yesterday )?[-0-9:.TtZz+ hdwmy]{0,26}( ago)?",
        now: i64,
    ) {
        resolve_if_legal(&text, now);
    }

    #[test]
    fn a_day_holds_all_its_clock_times(
        day in -30_000_i64..60_000,
        hour in 0_i8..24,
        minute in 0_i8..60,
    ) {
        let date = jiff::civil::date(1970, 1, 1).saturating_add(jiff::Span::new().days(day));
        let clock = choice(&format!("{date}T{hour:02}:{minute:02}"));
        let (Choice::Until(clock), Choice::Until(end)) = (clock, choice(&date.to_string())) else {
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
