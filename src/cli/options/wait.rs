//! `--wait`: what a command does while another run of the same backup is under way.

use crate::catalog::Patience;
use crate::config::{TimeLength, TimeLengthError};
use clap::Args;
use std::str::FromStr;

/// The value that stands for `--wait` without one.
const WITHOUT_END: &str = "forever";

#[derive(Clone, Copy, Debug, Default, Args)]
pub(in crate::cli) struct WaitOption {
    /// If another run of the same backup is under way, wait for it to end instead of failing; with
    /// TIME at most that long (90s, 10m, 2h; a number alone counts seconds)
    #[arg(
        long,
        value_name = "TIME",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = WITHOUT_END
    )]
    wait: Option<Wait>,
}

/// The longest wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wait {
    Endless,
    For(TimeLength),
}

impl FromStr for Wait {
    type Err = TimeLengthError;

    fn from_str(text: &str) -> Result<Self, TimeLengthError> {
        if text == WITHOUT_END {
            Ok(Self::Endless)
        } else {
            text.parse().map(Self::For)
        }
    }
}

impl WaitOption {
    /// Returns how long to wait for the lock of a backup.
    pub(in crate::cli) fn patience(self) -> Patience {
        match self.wait {
            None => Patience::None,
            Some(Wait::Endless) => Patience::Endless,
            Some(Wait::For(TimeLength(length))) => Patience::For(length),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Wait, WaitOption};
    use crate::catalog::Patience;
    use crate::config::TimeLength;
    use std::time::Duration;

    #[test]
    fn a_wait_has_an_end_or_none() {
        let patience = |text: &str| {
            text.parse::<Wait>()
                .map(|wait| WaitOption { wait: Some(wait) }.patience())
        };
        let for_90s = Patience::For(Duration::from_secs(90));
        assert_eq!(patience("90"), Ok(for_90s));
        assert_eq!(patience("90s"), Ok(for_90s));
        assert_eq!(patience("forever"), Ok(Patience::Endless));
        assert!(patience("").is_err() && patience("soon").is_err());
        assert_eq!(WaitOption::default().patience(), Patience::None);
        assert_eq!(
            "1m".parse(),
            Ok(Wait::For(TimeLength(Duration::from_secs(60))))
        );
    }
}
