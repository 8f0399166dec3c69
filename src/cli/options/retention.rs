//! The options that say which points in time stay: of `freezer prune`, and of `freezer backup` for
//! what it does afterwards.

use crate::cli::show::failure::Usage;
use crate::model::{PointInTime, Retention, Within};
use clap::Args;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, SpanRelativeTo, Timestamp};

/// Which points in time stay. The newest always does; without any of these nothing goes.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Which points in time stay")]
pub(in crate::cli) struct RetentionArguments {
    /// Keep the N newest
    #[arg(long, value_name = "N")]
    keep_last: Option<u64>,

    /// Keep the newest of each of the last N hours that have any
    #[arg(long, value_name = "N")]
    keep_hourly: Option<u64>,

    /// Keep the newest of each of the last N days that have any, by the local calendar
    #[arg(long, value_name = "N")]
    keep_daily: Option<u64>,

    /// Keep the newest of each of the last N weeks that have any; weeks begin on Monday
    #[arg(long, value_name = "N")]
    keep_weekly: Option<u64>,

    /// Keep the newest of each of the last N months that have any
    #[arg(long, value_name = "N")]
    keep_monthly: Option<u64>,

    /// Keep the newest of each of the last N years that have any
    #[arg(long, value_name = "N")]
    keep_yearly: Option<u64>,

    /// Keep all from within this time before the newest: 30d, 12h, 2w, 6mo, 1y
    #[arg(long, value_name = "TIME")]
    keep_within: Option<Within>,

    /// Keep all that were made with backup --tag TAG; can be given several times
    #[arg(long, value_name = "TAG")]
    keep_tag: Vec<String>,

    /// Keep all that are at most so many days old; alone, it removes all older ones but the newest
    #[arg(long, short = 'R', alias = "remove-older-then", value_name = "DAYS")]
    remove_older_than: Option<f64>,

    /// Keep all that began at this DATE or later; alone, it removes all earlier ones but the newest
    #[arg(long, visible_alias = "remove-before-date", value_name = "DATE")]
    remove_from_date: Option<PointInTime>,
}

impl RetentionArguments {
    /// The rules, when it is `now` in `zone`.
    pub(in crate::cli) fn rules(
        &self,
        now: Timestamp,
        zone: &TimeZone,
    ) -> Result<Retention, Usage> {
        let since = match (self.remove_older_than, &self.remove_from_date) {
            (Some(_), Some(_)) => {
                let message = "--remove-older-than cannot be used with --remove-from-date";
                return Err(Usage::new(message)
                    .hint("each says from when on points in time stay: give one"));
            }
            (Some(days), None) => Some(days_before(days, now)?),
            (None, Some(date)) => {
                let refuse = || {
                    Usage::new("latest is no date")
                        .hint("write a date: --remove-from-date 2026-11-22")
                };
                Some(date.beginning(now, zone).ok_or_else(refuse)?)
            }
            (None, None) => None,
        };
        Ok(Retention {
            last: self.keep_last.unwrap_or_default(),
            hourly: self.keep_hourly.unwrap_or_default(),
            daily: self.keep_daily.unwrap_or_default(),
            weekly: self.keep_weekly.unwrap_or_default(),
            monthly: self.keep_monthly.unwrap_or_default(),
            yearly: self.keep_yearly.unwrap_or_default(),
            within: self.keep_within.clone(),
            tags: self.keep_tag.clone(),
            since,
        })
    }
}

fn days_before(days: f64, now: Timestamp) -> Result<Timestamp, Usage> {
    let refuse =
        || Usage::new(format!("{days} is no number of days")).hint("write --remove-older-than 30");
    let age = if days >= 0.0 {
        SignedDuration::try_from_secs_f64(days * 86_400.0).map_err(|_| refuse())?
    } else {
        return Err(refuse());
    };
    // Before all time nothing can have begun.
    Ok(now.checked_sub(age).unwrap_or(Timestamp::MIN))
}

/// Reads a length of time: `90s`, `10m`, `2h`, `1d` (24 hours), `0`.
pub(in crate::cli) fn parse_duration(text: &str) -> Result<SignedDuration, String> {
    let refuse = || "write a length of time, such as 90s, 10m, 2h, 1d or 0".to_owned();
    if text == "0" {
        return Ok(SignedDuration::ZERO);
    }
    let span: jiff::Span = text.parse().map_err(|_| refuse())?;
    if text.starts_with(['P', 'p', '+', '-']) || span.is_negative() {
        return Err(refuse());
    }
    span.to_duration(SpanRelativeTo::days_are_24_hours())
        .map_err(|_| refuse())
}

#[cfg(test)]
mod tests {
    use super::{RetentionArguments, parse_duration};
    use jiff::tz::TimeZone;

    #[test]
    fn days_may_be_broken_and_not_negative() {
        let now = "2026-11-22T12:00:00Z".parse().expect("a time");
        let since = |days| {
            let arguments = RetentionArguments {
                remove_older_than: Some(days),
                ..RetentionArguments::default()
            };
            arguments
                .rules(now, &TimeZone::UTC)
                .map(|rules| rules.since.expect("a moment").to_string())
                .ok()
        };
        assert_eq!(since(1.5).as_deref(), Some("2026-11-21T00:00:00Z"));
        assert!(since(1e300).is_none() && since(-1.0).is_none() && since(f64::NAN).is_none());
    }

    #[test]
    fn lengths_of_time_are_read() {
        for (text, seconds) in [
            ("0", Some(0)),
            ("90s", Some(90)),
            ("2h", Some(7200)),
            ("1d", Some(86_400)),
            ("1d 2h", Some(93_600)),
            ("-1h", None),
            ("1mo", None),
            ("x", None),
            ("", None),
        ] {
            assert_eq!(
                parse_duration(text).ok().map(|length| length.as_secs()),
                seconds,
                "{text}"
            );
        }
    }
}
