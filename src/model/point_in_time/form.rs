//! The forms in which people write a point in time.

use crate::model::LevelId;
use jiff::civil::{Date, DateTime, Time};
use jiff::{SignedDuration, Span, SpanFieldwise, Timestamp};

/// A point in time, as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// `latest`.
    Latest,
    /// The id of a level.
    Level(LevelId),
    /// A moment with its zone, and how long the named second, minute or hour lasts.
    Until(Timestamp, SignedDuration),
    /// A clock time without a zone, and how long the named second, minute or hour lasts.
    Clock(DateTime, SignedDuration),
    /// A day.
    EndOf(Date),
    /// A day, counted back from today, with or without a clock time.
    DaysAgo(i64, Option<(Time, SignedDuration)>),
    /// A time back from now; never forward.
    Back(Box<SpanFieldwise>),
}

impl Form {
    /// Reads a text that has no spaces around it.
    pub(super) fn parse(text: &str) -> Option<Self> {
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
}

fn day(days_ago: i64, rest: &str) -> Option<Form> {
    let clock = if rest.is_empty() {
        None
    } else {
        Some(clock_time(rest)?)
    };
    Some(Form::DaysAgo(days_ago, clock))
}

/// Reads a date of ISO 8601, with or without a time and a zone.
fn moment(text: &str) -> Option<Form> {
    let (date, rest) = text
        .split_once(['T', 't', ' '])
        .map_or((text, None), |(date, rest)| (date, Some(rest)));
    // jiff reads more than this as a date: years with a sign, dates with a zone.
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

/// Reads a clock time: `14`, `14:30`, `1430`, `14:30:05`, `143005` or `14:30:05.123`. Also returns
/// how long the named hour, minute or second lasts, up to its last nanosecond.
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
    // After a T, digits alone can only be a time.
    Some((
        format!("T{text}").parse().ok()?,
        SignedDuration::from_secs(seconds) - SignedDuration::from_nanos(1),
    ))
}

/// Reads a time back from now: `-3h`, `3h ago` or `2 days ago`. Refuses a time in the future.
fn back(text: &str) -> Option<Form> {
    // ISO 8601 spans begin with P. They are too hard to read to be meant.
    if text.starts_with(['p', '+']) || text.starts_with("-p") {
        return None;
    }
    let span: Span = text.parse().ok()?;
    (!span.is_positive()).then(|| Form::Back(Box::new(span.fieldwise())))
}
