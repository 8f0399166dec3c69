//! Values of options about stores: transfer rates and the terms of object locks.

use crate::cli::options::times::with_unit;
use crate::config::{ByteSize, SizeError};
use crate::model::Bandwidth;
use crate::store::LockMode;
use jiff::SignedDuration;

/// How long objects are locked, and against whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) struct LockTerm {
    pub(in crate::cli) mode: LockMode,
    pub(in crate::cli) time: SignedDuration,
}

/// Parses `30d`, `governance:30d` or `compliance:30d`.
pub(in crate::cli) fn parse_lock(text: &str) -> Result<LockTerm, String> {
    let (mode, time) = match text.split_once(':') {
        None => (LockMode::Governance, text),
        Some(("governance", time)) => (LockMode::Governance, time),
        Some(("compliance", time)) => (LockMode::Compliance, time),
        Some((other, _)) => {
            return Err(format!(
                "there is no lock {other}: write governance:TIME or compliance:TIME"
            ));
        }
    };
    let time = with_unit(time)?;
    if time.0.is_zero() {
        return Err("write how long the lock lasts, such as 30d".to_owned());
    }
    Ok(LockTerm {
        mode,
        time: time.signed(),
    })
}

/// Parses bytes per second, with or without `/s`.
fn parse_rate(text: &str) -> Result<ByteSize, String> {
    let size: ByteSize = text
        .strip_suffix("/s")
        .unwrap_or(text)
        .parse()
        .map_err(|error: SizeError| error.to_string())?;
    if size.0 == 0 {
        Err("write more than 0 bytes per second".to_owned())
    } else {
        Ok(size)
    }
}

/// Parses one rate, or a timetable of rates.
pub(in crate::cli) fn parse_bandwidth(text: &str) -> Result<Bandwidth, String> {
    if !text.contains(',') {
        return Ok(Bandwidth::constant(parse_rate(text)?.0));
    }
    let refuse = || format!("{text:?} is no timetable: write one like `08:00,2MiB/s 18:00,off`");
    let step = |step: &str| -> Result<(u16, Option<u64>), String> {
        let (time, rate) = step.split_once(',').ok_or_else(refuse)?;
        let (hour, minute) = time.split_once(':').ok_or_else(refuse)?;
        let number = |digits: &str, below: u16| match digits.parse::<u16>() {
            Ok(number) if number < below && digits.len() == 2 => Ok(number),
            _ => Err(refuse()),
        };
        let rate = if rate == "off" {
            None
        } else {
            Some(parse_rate(rate)?.0)
        };
        Ok((number(hour, 24)? * 60 + number(minute, 60)?, rate))
    };
    let steps = text
        .split_whitespace()
        .map(step)
        .collect::<Result<Vec<_>, _>>()?;
    Bandwidth::by_time(steps).ok_or_else(refuse)
}

#[cfg(test)]
mod tests {
    use super::{LockTerm, parse_bandwidth, parse_lock, parse_rate};
    use crate::model::Bandwidth;
    use crate::store::LockMode;
    use jiff::SignedDuration;

    #[test]
    fn a_lock_has_a_time_and_may_have_a_kind() {
        let days = |days: i64| SignedDuration::from_hours(24 * days);
        assert_eq!(
            parse_lock("30d"),
            Ok(LockTerm {
                mode: LockMode::Governance,
                time: days(30)
            })
        );
        assert_eq!(parse_lock("720h"), parse_lock("30d"));
        assert_eq!(
            parse_lock("compliance:1d"),
            Ok(LockTerm {
                mode: LockMode::Compliance,
                time: days(1)
            })
        );
        for text in ["", "0", "30", "legal:3d", "compliance", "-1d", "1mo"] {
            parse_lock(text).expect_err(text);
        }
    }

    #[test]
    fn rates_are_read_as_people_write_them() {
        assert_eq!(parse_rate("20MiB/s").map(|size| size.0), Ok(20 << 20));
        assert_eq!(parse_rate("500k").map(|size| size.0), Ok(500 << 10));
        parse_rate("0").expect_err("nothing");
        parse_rate("1k/s/s").expect_err("twice per second");
        assert_eq!(parse_bandwidth("2MiB/s"), Ok(Bandwidth::constant(2 << 20)));
        let day = parse_bandwidth("08:00,100 18:30,off").expect("a timetable");
        assert_eq!(
            (day.at(480), day.at(1109), day.at(1110), day.at(479)),
            (Some(100), Some(100), None, None)
        );
        for text in [
            "8:00,1",
            "24:00,1",
            "08:60,1",
            "08:00",
            "08:00,0",
            "08:00,1 08:00,2",
            ",",
            "08:00,1 18:00",
        ] {
            parse_bandwidth(text).expect_err(text);
        }
    }
}
