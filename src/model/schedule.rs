//! The words of a timetable, which says when a job runs.

use std::time::Duration;

/// How often a job runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interval {
    /// Again as soon as the previous run has ended.
    Continuous,
    /// Every time this long has passed.
    Every(Duration),
}

/// The units of an interval, in seconds.
const UNITS: [(&str, u64); 5] = [
    ("second", 1),
    ("minute", 60),
    ("hour", 3600),
    ("day", 86_400),
    ("week", 604_800),
];

impl Interval {
    /// Parses `continuous`, `1 day` or `12 hours`. Returns `None` for any other text, including an
    /// empty one.
    pub fn parse(text: &str) -> Option<Self> {
        if text == "continuous" {
            return Some(Self::Continuous);
        }
        let (count, unit) = text.split_once(' ')?;
        let unit = unit.trim_start_matches(' ');
        let (_, seconds) = UNITS
            .iter()
            .find(|(name, _)| unit == *name || unit.strip_suffix('s') == Some(name))?;
        if count.is_empty() || !count.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let count: u64 = count.parse().ok().filter(|count| *count > 0)?;
        Some(Self::Every(Duration::from_secs(
            count.checked_mul(*seconds)?,
        )))
    }
}

/// Returns whether a text is a moment of a timetable: `2026-11-24T12:30:00`, with or without a
/// fraction, and with `Z`, an offset or neither.
pub fn is_moment(text: &str) -> bool {
    let Some((date, time)) = text.split_once('T') else {
        return false;
    };
    let clock_end = time.find(['Z', '+', '-']).unwrap_or(time.len());
    let (clock, zone) = time.split_at(clock_end);
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, "0"));
    let digits = |text: &str, widths: &[usize], between: char| {
        let parts: Vec<&str> = text.split(between).collect();
        parts.len() == widths.len()
            && parts
                .iter()
                .zip(widths)
                .all(|(part, width)| part.len() == *width && is_digits(part))
    };
    let zone_fits = match zone.strip_prefix(['+', '-']) {
        Some(offset) => {
            digits(offset, &[2, 2], ':') || (is_digits(offset) && [2, 4].contains(&offset.len()))
        }
        None => zone.is_empty() || zone == "Z",
    };
    let written_so = digits(date, &[4, 2, 2], '-')
        && digits(clock, &[2, 2, 2], ':')
        && is_digits(fraction)
        && zone_fits;
    written_so
        && format!("{date}T{clock}")
            .parse::<jiff::civil::DateTime>()
            .is_ok()
}

/// Returns whether a text may be a field of a cron timetable: `*`, `*/5`, `1-5`, `mon,wed`, `last
/// sun` or `2nd fri`.
pub fn is_cron_field(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 255
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "*/,- ".contains(c))
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::{Interval, is_cron_field, is_moment};
    use std::time::Duration;

    #[test]
    fn intervals_are_continuous_or_a_count_of_units() {
        assert_eq!(Interval::parse("continuous"), Some(Interval::Continuous));
        for (text, seconds) in [
            ("1 day", 86_400),
            ("2  days", 172_800),
            ("3 weeks", 1_814_400),
            ("5 seconds", 5),
            ("1 hours", 3600),
        ] {
            assert_eq!(
                Interval::parse(text),
                Some(Interval::Every(Duration::from_secs(seconds))),
                "{text}"
            );
        }
        for text in [
            "",
            "day",
            "1day",
            "0 days",
            "-1 days",
            "1 dayss",
            "1 fortnight",
            "99999999999999999999 days",
            "18446744073709551615 weeks",
            "1.5 days",
        ] {
            assert_eq!(Interval::parse(text), None, "{text}");
        }
    }

    #[test]
    fn moments_are_iso_8601_to_the_second() {
        for text in [
            "2026-11-24T12:30:00",
            "2026-11-24T12:30:00.5",
            "2026-11-24T12:30:00Z",
            "2026-02-28T00:00:00+02:00",
            "2026-11-24T12:30:00.25-0330",
        ] {
            assert!(is_moment(text), "{text}");
        }
        for text in [
            "",
            "2026-11-24",
            "2026-11-24 12:30:00",
            "2026-13-24T12:30:00",
            "2026-02-30T12:30:00",
            "2026-11-24T25:00:00",
            "2026-11-24T12:30",
            "26-11-24T12:30:00",
            "2026-11-24T12:30:00+",
            "2026-11-24T12:30:00Zx",
            "٢٠٢٦-11-24T12:30:00",
        ] {
            assert!(!is_moment(text), "{text}");
        }
    }

    #[test]
    fn cron_fields_have_their_characters_only() {
        assert!(
            ["*", "*/5", "1-5", "mon,wed", "last sun"]
                .iter()
                .all(|text| is_cron_field(text))
        );
        assert!(
            ["", "a;b", "ä", "1\n"]
                .iter()
                .all(|text| !is_cron_field(text))
        );
    }
}
