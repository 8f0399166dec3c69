//! Priorities: how much of the machine a run may take.

use crate::cli::show::failure::Usage;
use crate::platform;
use clap::Args;

/// The priorities of `--max-priority`.
const MOST: (i32, IoPriority) = (-19, IoPriority { class: 1, level: 0 });

#[derive(Debug, Args)]
#[command(next_help_heading = "Options of every command")]
pub(in crate::cli) struct Effort {
    /// CPU priority, from -20 (highest) to 19 (lowest) [default: unchanged]
    #[arg(
        long,
        value_name = "N",
        allow_hyphen_values = true,
        value_parser = clap::value_parser!(i32).range(-20..=19),
        global = true,
        hide_short_help = true
    )]
    nice: Option<i32>,

    /// Priority of reads and writes: idle, best-effort[:0-7] or realtime[:0-7]; 0 is the highest
    /// [default: unchanged]
    #[arg(
        long,
        value_name = "CLASS",
        value_parser = parse_io_priority,
        global = true,
        hide_short_help = true
    )]
    ionice: Option<IoPriority>,

    /// The highest priority: the same as --nice -19 --ionice realtime:0
    #[arg(long, conflicts_with_all = ["nice", "ionice"], global = true, hide_short_help = true)]
    max_priority: bool,
}

/// A class of reads and writes, and a level in it, by the numbers of the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct IoPriority {
    class: u8,
    level: u8,
}

fn parse_io_priority(text: &str) -> Result<IoPriority, String> {
    let refuse = || {
        "write idle, best-effort or realtime, the last two with a level: best-effort:7".to_owned()
    };
    let (class, level) = text
        .split_once(':')
        .map_or((text, None), |(class, level)| (class, Some(level)));
    let class = match class {
        "realtime" => 1,
        "best-effort" => 2,
        "idle" if level.is_none() => 3,
        _ => return Err(refuse()),
    };
    let level = level.map_or(Ok(4), |level| level.parse().map_err(|_| refuse()))?;
    if level <= 7 {
        Ok(IoPriority { class, level })
    } else {
        Err(refuse())
    }
}

impl Effort {
    /// Sets the priorities for all threads that start later.
    pub(in crate::cli) fn set(&self) -> Result<(), Usage> {
        let (nice, io) = if self.max_priority {
            (Some(MOST.0), Some(MOST.1))
        } else {
            (self.nice, self.ionice)
        };
        let refused = |what: &str, error: std::io::Error| {
            Usage::new(format!("could not set the priority of {what}: {error}"))
                .hint("only root may raise it; --ionice needs the program ionice of util-linux")
        };
        if let Some(level) = nice {
            platform::set_nice(level).map_err(|error| refused("the processor", error))?;
        }
        if let Some(IoPriority { class, level }) = io {
            platform::set_io_priority(class, level)
                .map_err(|error| refused("reads and writes", error))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{IoPriority, parse_io_priority};

    #[test]
    fn classes_of_reads_and_writes_are_read() {
        for (text, class, level) in [
            ("idle", 3, 4),
            ("best-effort", 2, 4),
            ("best-effort:7", 2, 7),
            ("realtime:0", 1, 0),
        ] {
            assert_eq!(
                parse_io_priority(text),
                Ok(IoPriority { class, level }),
                "{text}"
            );
        }
        for text in ["", "idle:1", "best-effort:8", "realtime:-1", "fast"] {
            parse_io_priority(text).expect_err(text);
        }
    }
}
