//! Moments as people read them.

use crate::cli::open::session::Session;
use crate::cli::show::document::several;
use crate::model::order::{WrongDate, wrong_dates};
use crate::model::{BackupName, Dated, Time};
use jiff::Timestamp;
use jiff::tz::TimeZone;

/// Local time to the second with its distance from UTC, `2026-11-22 23:14:33+01:00`: what can be
/// written after `@` too.
pub(in crate::cli) fn show(moment: Timestamp, zone: &TimeZone) -> String {
    moment
        .to_zoned(zone.clone())
        .strftime("%Y-%m-%d %H:%M:%S%:z")
        .to_string()
}

/// How many points in time of wrong clocks are named.
const NAMED: usize = 3;

/// Tells of points in time, in the order in which they were made, whose dates cannot be right.
pub(in crate::cli) fn warn_of_wrong_dates(
    backup: &BackupName,
    points: &[Dated],
    now: Timestamp,
    session: &Session,
) {
    let dates: Vec<Timestamp> = points.iter().map(|point| point.date).collect();
    let wrong = wrong_dates(&dates, now);
    let of_kind = |kind: WrongDate| {
        let of_kind = points.iter().zip(&wrong);
        let of_kind = of_kind.filter(move |(_, wrong)| **wrong == Some(kind));
        of_kind.map(|(point, _)| point).collect::<Vec<_>>()
    };
    for (kind, what) in [
        (WrongDate::Ahead, "more than a day in the future"),
        (WrongDate::OutOfOrder, "dated by a clock that was wrong"),
    ] {
        warn_of(backup, &of_kind(kind), what, session);
    }
}

fn warn_of(backup: &BackupName, points: &[&Dated], what: &str, session: &Session) {
    let Some(first) = points.first() else { return };
    let mut names: Vec<String> = points
        .iter()
        .take(NAMED)
        .map(|point| format!("{backup}@{}", show(point.date, &session.zone)))
        .collect();
    if points.len() > NAMED {
        names.push("…".to_owned());
    }
    let count = several(
        points.len() as u64,
        "point in time is",
        "points in time are",
    );
    session.output.warn(format_args!(
        "{backup}: {count} {what}: {}; they move no other, and no rule removes them",
        names.join(", ")
    ));
    session.output.note(format_args!(
        "hint: check this machine's clock; freezer prune {backup}@{} removes one that is not wanted",
        first.level
    ));
}

/// The time of a file as `ls -l` shows it; far from our days as seconds since 1970.
pub(in crate::cli) fn show_time(time: Time, zone: &TimeZone) -> String {
    match Timestamp::new(time.seconds(), 0) {
        Ok(moment) => moment
            .to_zoned(zone.clone())
            .strftime("%Y-%m-%d %H:%M:%S")
            .to_string(),
        Err(_) => format!("@{}", time.seconds()),
    }
}

/// RFC 3339 in UTC with all digits; `None` far from our days.
pub(in crate::cli) fn rfc3339(time: Time) -> Option<String> {
    let nanoseconds = i32::try_from(time.nanoseconds()).ok()?;
    // jiff wants both parts of one sign, and does so itself with this addition.
    let second = Timestamp::new(time.seconds(), 0).ok()?;
    let moment = second
        .checked_add(jiff::SignedDuration::new(0, nanoseconds))
        .ok()?;
    Some(moment.to_string())
}

#[cfg(test)]
mod tests {
    use super::{rfc3339, show, show_time};
    use crate::model::Time;
    use jiff::tz::TimeZone;

    #[test]
    fn moments_are_shown_with_their_zone() {
        let zone = TimeZone::get("Europe/Berlin").expect("a zone");
        assert_eq!(
            show("2026-11-22T22:14:33.9Z".parse().expect("a time"), &zone),
            "2026-11-22 23:14:33+01:00"
        );
    }

    #[test]
    fn times_of_files_are_shown_however_far_they_are() {
        assert_eq!(
            show_time(Time::new(-1, 500_000_000), &TimeZone::UTC),
            "1969-12-31 23:59:59"
        );
        assert_eq!(
            show_time(Time::new(i64::MAX, 0), &TimeZone::UTC),
            "@9223372036854775807"
        );
        assert_eq!(
            rfc3339(Time::new(-1, 500_000_000)).as_deref(),
            Some("1969-12-31T23:59:59.5Z")
        );
        assert_eq!(rfc3339(Time::new(i64::MIN, 0)), None);
    }
}
