//! Lengths of time as people write them.

use jiff::{SignedDuration, Span, SpanRelativeTo};
use std::str::FromStr;
use std::time::Duration;

/// The longest that can be written: a million days. Sums with it overflow no clock.
const LONGEST: Duration = Duration::from_hours(24 * 1_000_000);

/// A length of time: `90s`, `10m`, `1h30m`, `1d` (24 hours), `2w`, or a number of seconds.
///
/// Every option and configuration key that takes a length of time takes it in this form. A few
/// count a number without a unit in hours or days, and their help says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TimeLength(pub Duration);

/// A text that is no length of time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("write a length of time, such as 90s, 10m, 1h30m or 2d")]
pub struct TimeLengthError;

/// The unit of a number that has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BareUnit {
    /// One second.
    Seconds,
    /// 3600 seconds.
    Hours,
    /// 24 hours.
    Days,
}

impl BareUnit {
    fn nanoseconds(self) -> u128 {
        let seconds = match self {
            Self::Seconds => 1,
            Self::Hours => 3600,
            Self::Days => 86_400,
        };
        seconds * 1_000_000_000
    }
}

impl TimeLength {
    /// Parses a length of time; a number without a unit counts `bare`, with at most nine decimals.
    ///
    /// # Errors
    ///
    /// [`TimeLengthError`] for anything else, for months and years (whose length depends on the
    /// calendar), for negative lengths and for more than a million days.
    pub fn parse(text: &str, bare: BareUnit) -> Result<Self, TimeLengthError> {
        let length = match text.starts_with(|first: char| first.is_ascii_digit()) {
            true if text
                .bytes()
                .all(|byte| byte.is_ascii_digit() || byte == b'.') =>
            {
                number(text, bare)?
            }
            _ => with_units(text)?,
        };
        if length > LONGEST {
            return Err(TimeLengthError);
        }
        Ok(Self(length))
    }

    /// The same length, for sums with timestamps.
    pub fn signed(self) -> SignedDuration {
        SignedDuration::try_from(self.0).unwrap_or(SignedDuration::MAX)
    }
}

impl FromStr for TimeLength {
    type Err = TimeLengthError;

    fn from_str(text: &str) -> Result<Self, TimeLengthError> {
        Self::parse(text, BareUnit::Seconds)
    }
}

fn number(text: &str, unit: BareUnit) -> Result<Duration, TimeLengthError> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    if fraction.is_empty() || fraction.len() > 9 {
        return Err(TimeLengthError);
    }
    let digits = |digits: &str| digits.parse::<u128>().map_err(|_| TimeLengthError);
    let scale = 10_u128.pow(u32::try_from(fraction.len()).map_err(|_| TimeLengthError)?);
    let nanoseconds = digits(whole)?
        .checked_mul(unit.nanoseconds())
        .ok_or(TimeLengthError)?
        .checked_add(digits(fraction)? * unit.nanoseconds() / scale)
        .ok_or(TimeLengthError)?;
    let seconds = u64::try_from(nanoseconds / 1_000_000_000).map_err(|_| TimeLengthError)?;
    let rest = u32::try_from(nanoseconds % 1_000_000_000).map_err(|_| TimeLengthError)?;
    Ok(Duration::new(seconds, rest))
}

fn with_units(text: &str) -> Result<Duration, TimeLengthError> {
    let span: Span = text.parse().map_err(|_| TimeLengthError)?;
    let length = span
        .to_duration(SpanRelativeTo::days_are_24_hours())
        .map_err(|_| TimeLengthError)?;
    Duration::try_from(length).map_err(|_| TimeLengthError)
}

#[cfg(test)]
mod tests {
    use super::{BareUnit, TimeLength};
    use std::time::Duration;

    #[test]
    fn lengths_of_time_are_read_as_people_write_them() {
        for (text, seconds) in [
            ("0", 0.0),
            ("90", 90.0),
            ("1.5", 1.5),
            ("90s", 90.0),
            ("10m", 600.0),
            ("1h30m", 5400.0),
            ("1h 30m", 5400.0),
            ("1.5h", 5400.0),
            ("1d", 86_400.0),
            ("1d 2h", 93_600.0),
            ("2w", 1_209_600.0),
            ("500ms", 0.5),
            ("PT90S", 90.0),
        ] {
            assert_eq!(
                text.parse(),
                Ok(TimeLength(Duration::from_secs_f64(seconds))),
                "{text}"
            );
        }
    }

    #[test]
    fn a_number_counts_the_unit_that_it_is_given() {
        let of = |text, bare| TimeLength::parse(text, bare).map(|length| length.0.as_secs());
        assert_eq!(of("24", BareUnit::Hours), Ok(86_400));
        assert_eq!(of("1.5", BareUnit::Days), Ok(129_600));
        assert_eq!(of("90s", BareUnit::Days), Ok(90));
    }

    #[test]
    fn what_is_no_length_of_time_is_refused() {
        for text in [
            "",
            "-1",
            "-1s",
            "1h ago",
            "soon",
            "10q",
            "1mo",
            "1y",
            "1.",
            ".5",
            "1.1.1",
            "1.0000000001",
            "1000001d",
            "18446744073709551615",
            "99999999999999999999999999999999999999999",
            "\u{661}",
        ] {
            assert!(text.parse::<TimeLength>().is_err(), "{text}");
        }
        assert!(TimeLength::parse("1000001", BareUnit::Days).is_err());
    }
}
