//! How fast data may go.

/// Bytes that may go in a second, by the time of day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bandwidth {
    /// From which minute of the day on, in ascending order, and how much; `None` is as much as
    /// there is.
    steps: Vec<(u16, Option<u64>)>,
}

impl Bandwidth {
    /// The same at all times.
    pub fn constant(bytes_per_second: u64) -> Self {
        Self {
            steps: vec![(0, Some(bytes_per_second))],
        }
    }

    /// Each from a minute of the day until the next one's, the last until the first one's on the
    /// next day; `None` when there is none, or two begin in one minute.
    pub fn by_time(mut steps: Vec<(u16, Option<u64>)>) -> Option<Self> {
        steps.sort_unstable_by_key(|(minute, _)| *minute);
        let is_clear = steps
            .windows(2)
            .all(|pair| matches!(pair, [(first, _), (second, _)] if first < second));
        (is_clear && !steps.is_empty()).then_some(Self { steps })
    }

    /// What may go at that minute of the day.
    pub fn at(&self, minute: u16) -> Option<u64> {
        let begun = self.steps.partition_point(|(from, _)| *from <= minute);
        // Before the first one of today the last one of yesterday still holds.
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
