//! Limits of bandwidth.

/// A limit of bytes a second, by the time of day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bandwidth {
    /// Minutes of the day, in ascending order, each with the limit in bytes a second from then on;
    /// `None` is no limit.
    steps: Vec<(u16, Option<u64>)>,
}

impl Bandwidth {
    /// Makes a limit that holds at all times.
    pub fn constant(bytes_per_second: u64) -> Self {
        Self {
            steps: vec![(0, Some(bytes_per_second))],
        }
    }

    /// Makes a limit from steps. A step holds from its minute of the day until that of the next
    /// step, and the last one until the first one of the next day. Returns `None` if there are no
    /// steps, or if two begin in the same minute.
    pub fn by_time(mut steps: Vec<(u16, Option<u64>)>) -> Option<Self> {
        steps.sort_unstable_by_key(|(minute, _)| *minute);
        let is_clear = steps
            .windows(2)
            .all(|pair| matches!(pair, [(first, _), (second, _)] if first < second));
        (is_clear && !steps.is_empty()).then_some(Self { steps })
    }

    /// Returns the limit at a minute of the day, in bytes a second; `None` is no limit.
    pub fn at(&self, minute: u16) -> Option<u64> {
        let begun = self.steps.partition_point(|(from, _)| *from <= minute);
        // Before the first step of the day, the last step of the previous day holds.
        let step = begun
            .checked_sub(1)
            .map_or(self.steps.last(), |current| self.steps.get(current));
        step.and_then(|(_, rate)| *rate)
    }
}

#[cfg(test)]
mod tests {
    use super::Bandwidth;

    #[test]
    fn a_step_holds_until_the_next_one_over_midnight_too() {
        let day =
            Bandwidth::by_time(vec![(18 * 60, None), (8 * 60, Some(100))]).expect("two steps");
        for (minute, rate) in [
            (0, None),
            (479, None),
            (480, Some(100)),
            (1079, Some(100)),
            (1080, None),
            (1439, None),
        ] {
            assert_eq!(day.at(minute), rate, "{minute}");
        }
        assert_eq!(Bandwidth::constant(7).at(1000), Some(7));
        assert_eq!(Bandwidth::by_time(vec![]), None);
        assert_eq!(Bandwidth::by_time(vec![(5, None), (5, Some(1))]), None);
    }
}
