//! Moments as people read them.

use crate::model::Time;
use jiff::Timestamp;
use jiff::tz::TimeZone;

/// Shows local time to the second with its offset from UTC, `2026-11-22 23:14:33+01:00`. A user can
/// write this after `@`.
pub(in crate::cli) fn show(moment: Timestamp, zone: &TimeZone) -> String {
    moment
        .to_zoned(zone.clone())
        .strftime("%Y-%m-%d %H:%M:%S%:z")
        .to_string()
}

/// Shows the time of a file as `ls -l` does; as seconds since 1970 when it is out of range.
pub(in crate::cli) fn show_time(time: Time, zone: &TimeZone) -> String {
    match Timestamp::new(time.seconds(), 0) {
        Ok(moment) => moment
            .to_zoned(zone.clone())
            .strftime("%Y-%m-%d %H:%M:%S")
            .to_string(),
        Err(_) => format!("@{}", time.seconds()),
    }
}

/// Returns RFC 3339 in UTC with all digits; `None` when the time is out of range.
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
