//! Lengths of time on the calendar.

use jiff::tz::TimeZone;
use jiff::{Span, SpanFieldwise, Timestamp};

/// A length of time to look back, such as `30d`, `2w` or `1y6mo`. Days and longer units follow the
/// calendar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Within(Box<SpanFieldwise>);

/// A text is not a length of time to look back.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a length of time: write it like 30d, 12h, 2w, 6mo or 1y")]
pub struct WithinError(String);

impl std::str::FromStr for Within {
    type Err = WithinError;

    fn from_str(text: &str) -> Result<Self, WithinError> {
        let refuse = || WithinError(text.to_owned());
        let trimmed = text.trim();
        // ISO 8601 spans begin with P. Spans with a sign or `ago` mean a direction, not a length.
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
    /// Returns the moment that lies this long before `moment`, or the first possible moment if that
    /// is out of range.
    pub fn before(&self, moment: Timestamp, zone: &TimeZone) -> Timestamp {
        moment
            .to_zoned(zone.clone())
            .checked_sub(self.0.0)
            .map_or(Timestamp::MIN, |zoned| zoned.timestamp())
    }
}
