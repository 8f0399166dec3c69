//! The options that say which points in time stay: of `freezer prune`, and of `freezer backup` for
//! what it does afterwards.

use crate::cli::options::times::days;
use crate::cli::show::failure::Usage;
use crate::config::TimeLength;
use crate::model::{PointInTime, Retention, Within};
use clap::Args;
use jiff::Timestamp;
use jiff::tz::TimeZone;

/// The rules by which points in time stay. The newest always stays; without a rule all stay.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Which points in time stay")]
pub(in crate::cli) struct RetentionArguments {
    /// Keep the N newest
    #[arg(long, value_name = "N")]
    keep_last: Option<u64>,

    /// Keep the newest of each of the last N hours that have one
    #[arg(long, value_name = "N")]
    keep_hourly: Option<u64>,

    /// Keep the newest of each of the last N days that have one, by the local calendar
    #[arg(long, value_name = "N")]
    keep_daily: Option<u64>,

    /// Keep the newest of each of the last N weeks that have one; weeks begin on Monday
    #[arg(long, value_name = "N")]
    keep_weekly: Option<u64>,

    /// Keep the newest of each of the last N months that have one
    #[arg(long, value_name = "N")]
    keep_monthly: Option<u64>,

    /// Keep the newest of each of the last N years that have one
    #[arg(long, value_name = "N")]
    keep_yearly: Option<u64>,

    /// Keep all from this time before the newest on, by the local calendar: 12h, 30d, 2w, 6mo, 1y
    #[arg(long, value_name = "TIME")]
    keep_within: Option<Within>,

    /// Keep all that were made with backup --tag TAG; can be given several times
    #[arg(long, value_name = "TAG")]
    keep_tag: Vec<String>,

    /// Keep all that are at most DAYS old (30, 1.5, 12h, 4w; a number alone counts days). Without
    /// another rule, all older ones but the newest are removed
    #[arg(
        long,
        short = 'R',
        alias = "remove-older-then",
        value_name = "DAYS",
        value_parser = days
    )]
    remove_older_than: Option<TimeLength>,

    /// Keep all that began at DATE or later. Without another rule, all earlier ones but the newest
    /// are removed
    #[arg(long, visible_alias = "remove-before-date", value_name = "DATE")]
    remove_from_date: Option<PointInTime>,
}

impl RetentionArguments {
    /// Returns the rules at this moment in this zone.
    pub(in crate::cli) fn rules(
        &self,
        now: Timestamp,
        zone: &TimeZone,
    ) -> Result<Retention, Usage> {
        let since = match (self.remove_older_than, &self.remove_from_date) {
            (Some(_), Some(_)) => {
                let message = "--remove-older-than cannot be used with --remove-from-date";
                return Err(Usage::new(message)
                    .hint("both say from when on points in time stay: give only one"));
            }
            (Some(age), None) => Some(now.checked_sub(age.signed()).unwrap_or(Timestamp::MIN)),
            (None, Some(date)) => {
                let refuse = || {
                    Usage::new("latest is not a date")
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

#[cfg(test)]
mod tests {
    use super::RetentionArguments;
    use crate::cli::options::times::days;
    use jiff::tz::TimeZone;

    #[test]
    fn points_in_time_stay_from_an_age_on() {
        let now = "2026-11-22T12:00:00Z".parse().expect("a time");
        let since = |text| {
            let arguments = RetentionArguments {
                remove_older_than: Some(days(text).expect("an age")),
                ..RetentionArguments::default()
            };
            let rules = arguments.rules(now, &TimeZone::UTC).expect("rules");
            rules.since.expect("a moment").to_string()
        };
        assert_eq!(since("1.5"), "2026-11-21T00:00:00Z");
        assert_eq!(since("36h"), "2026-11-21T00:00:00Z");
    }
}
