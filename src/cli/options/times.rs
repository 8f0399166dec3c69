//! Lengths of time with rules of their own: a unit other than the second, or a range.

use crate::config::{BareUnit, TimeLength, TimeLengthError};
use std::time::Duration;

const DAY_SECONDS: u64 = 24 * 3600;

/// Parses a length of time; a number alone counts hours.
pub(in crate::cli) fn hours(text: &str) -> Result<TimeLength, TimeLengthError> {
    TimeLength::parse(text, BareUnit::Hours)
}

/// Parses a length of time; a number alone counts days.
pub(in crate::cli) fn days(text: &str) -> Result<TimeLength, TimeLengthError> {
    TimeLength::parse(text, BareUnit::Days)
}

/// Parses a length of time of whole days; a number alone counts days.
pub(in crate::cli) fn whole_days(text: &str) -> Result<u32, String> {
    let seconds = days(text).map_err(|error| error.to_string())?.0;
    if seconds.as_secs() % DAY_SECONDS != 0 || seconds.subsec_nanos() != 0 {
        return Err("write whole days, such as 30 or 30d".to_owned());
    }
    u32::try_from(seconds.as_secs() / DAY_SECONDS).map_err(|error| error.to_string())
}

/// Parses a length of time that names its unit. A number alone could mean days or seconds where
/// either is usual, and the wrong one costs data; only 0 needs no unit.
pub(in crate::cli) fn with_unit(text: &str) -> Result<TimeLength, String> {
    let length: TimeLength = text
        .parse()
        .map_err(|error: TimeLengthError| error.to_string())?;
    let is_bare = text
        .bytes()
        .all(|byte| byte.is_ascii_digit() || byte == b'.');
    if is_bare && !length.0.is_zero() {
        return Err(format!(
            "say the unit: {text}s, {text}m, {text}h or {text}d"
        ));
    }
    Ok(length)
}

/// Parses a length of time that is at least a second.
pub(in crate::cli) fn at_least_a_second(text: &str) -> Result<TimeLength, String> {
    let length: TimeLength = text
        .parse()
        .map_err(|error: TimeLengthError| error.to_string())?;
    if length.0 < Duration::from_secs(1) {
        Err("write a length of time of at least 1s".to_owned())
    } else {
        Ok(length)
    }
}

/// Parses a length of time that is at least a second, and at most `longest`.
pub(in crate::cli) fn up_to(
    longest: Duration,
) -> impl Fn(&str) -> Result<TimeLength, String> + Clone + Send + Sync + 'static {
    move |text| {
        let length = at_least_a_second(text)?;
        if length.0 > longest {
            return Err(format!(
                "write a length of time of at most {}s",
                longest.as_secs()
            ));
        }
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::{up_to, whole_days, with_unit};
    use crate::cli::arguments::Arguments;
    use crate::cli::options::not_empty;
    use crate::config::TimeLength;
    use clap::builder::Resettable;
    use clap::{Arg, ArgAction, Command, CommandFactory};
    use std::time::Duration;

    #[test]
    fn where_days_and_seconds_are_usual_the_unit_is_needed() {
        assert_eq!(
            with_unit("7d"),
            Ok(TimeLength(Duration::from_hours(7 * 24)))
        );
        assert_eq!(with_unit("0"), Ok(TimeLength(Duration::ZERO)));
        for bare in ["7", "1.5"] {
            let refused = with_unit(bare).expect_err("refused");
            assert!(refused.contains(&format!("{bare}d")), "{refused}");
        }
    }

    #[test]
    fn whole_days_have_no_rest() {
        assert_eq!((whole_days("7"), whole_days("1w")), (Ok(7), Ok(7)));
        assert_eq!(whole_days("48h"), Ok(2));
        for text in ["1.5", "12h", "1d 1ns", "-1", ""] {
            whole_days(text).expect_err(text);
        }
    }

    #[test]
    fn a_length_may_have_a_range() {
        let minute = up_to(Duration::from_secs(60));
        assert_eq!(minute("60"), Ok(TimeLength(Duration::from_secs(60))));
        for text in ["0", "999ms", "61s"] {
            minute(text).expect_err(text);
        }
    }

    /// The options of a command and of all below it whose values have one of these names.
    fn options(command: &Command, names: &[&str]) -> Vec<(String, Arg)> {
        let own = command.get_arguments().filter(|argument| {
            let value = argument.get_value_names().unwrap_or_default();
            value.iter().any(|value| names.contains(&value.as_str()))
        });
        let own = own.map(|argument| {
            let name = format!("{} --{}", command.get_name(), argument.get_id());
            (name, argument.clone())
        });
        own.chain(
            command
                .get_subcommands()
                .flat_map(|below| options(below, names)),
        )
        .collect()
    }

    fn takes(argument: &Arg, value: &str) -> bool {
        // Tried alone: what it needs or excludes is not there.
        let alone = argument
            .clone()
            .long("it")
            .required(false)
            .global(false)
            .action(ArgAction::Set)
            .conflicts_with(Resettable::Reset)
            .requires(Resettable::Reset)
            .overrides_with(Resettable::Reset);
        Command::new("freezer")
            .no_binary_name(true)
            .disable_help_flag(true)
            .arg(alone)
            .try_get_matches_from([format!("--it={value}")])
            .is_ok()
    }

    /// Lengths of time by the calendar. A month has no fixed length; and a number alone could mean
    /// days to one user and seconds to the program, which then removes what the user wants to keep.
    const BY_THE_CALENDAR: &str = "--keep_within";

    /// Options that want a unit, as a number alone could mean days or seconds.
    const WITH_UNIT: [&str; 2] = ["--object_lock", "--grace"];

    /// Options that take no more than an hour or a day.
    const SHORT: [&str; 2] = ["--client_timeout", "--interval"];

    #[test]
    fn every_option_that_takes_a_length_of_time_takes_it_in_the_same_forms() {
        let program = not_empty::everywhere(Arguments::command());
        let options = options(&program, &["TIME", "DAYS", "HOURS"]);
        assert!(options.len() >= 20, "{}", options.len());
        let mut wrong = Vec::new();
        for (name, argument) in options {
            let is = |option: &str| name.ends_with(option);
            let of_whole_days = is("--restart_always_level");
            let by_calendar = is(BY_THE_CALENDAR);
            let mut taken = vec!["1h"];
            let mut refused = vec!["", "-1s", "-1", "soon", "10q", "1.", "9999999999999999999"];
            if of_whole_days {
                taken = vec!["1", "24h"];
            } else if by_calendar {
                taken.push("12h");
            } else {
                taken.extend(["90s", "10m", "1h", "30m 10s"]);
            }
            let wants_unit = WITH_UNIT.into_iter().any(is);
            if wants_unit {
                refused.push("30");
            } else if !by_calendar {
                taken.push("30");
            }
            if SHORT.into_iter().any(is) {
                refused.push("25h");
            } else {
                taken.extend(["1d", "48h", "2w"]);
            }
            if !by_calendar {
                refused.push("1mo");
            }
            for (values, are_taken) in [(taken, true), (refused, false)] {
                let wrongly = values
                    .into_iter()
                    .filter(|value| takes(&argument, value) != are_taken);
                wrong.extend(wrongly.map(|value| format!("{name}={value} (taken: {are_taken})")));
            }
        }
        assert_eq!(wrong, Vec::<String>::new());
    }

    #[test]
    fn every_option_that_takes_a_size_takes_it_in_the_same_forms() {
        let program = not_empty::everywhere(Arguments::command());
        let options = options(&program, &["SIZE", "[+-]SIZE", "RATE", "PART"]);
        assert!(options.len() > 8, "{}", options.len());
        let mut wrong = Vec::new();
        for (name, argument) in options {
            for (value, is_taken) in [
                ("1048576", true),
                ("32MiB", true),
                ("32M", true),
                ("1.5G", true),
                ("4kB", true),
                ("", false),
                ("x", false),
                ("1.M", false),
                ("16EiB", false),
            ] {
                if takes(&argument, value) != is_taken {
                    wrong.push(format!("{name}={value}"));
                }
            }
        }
        assert_eq!(wrong, Vec::<String>::new());
    }

    #[test]
    fn no_option_hides_a_length_of_time_or_a_size_under_another_name() {
        let program = Arguments::command();
        let others = ["DURATION", "SECONDS", "MINUTES", "BYTES", "MS"];
        let names: Vec<String> = options(&program, &others)
            .into_iter()
            .map(|(name, _)| name)
            .collect();
        assert_eq!(names, Vec::<String>::new());
    }
}
