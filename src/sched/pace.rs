//! When the server is asked again: not by all nodes at once, and less often while it does not
//! answer.

use std::time::Duration;

/// The longest time between two polls while the server is away.
const LONGEST_PAUSE: Duration = Duration::from_mins(10);
/// How far a pause may be from what it should be.
const JITTER: f64 = 0.1;

/// How often to ask.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    interval: Duration,
    /// Polls that failed, one after the other.
    failures: u32,
}

impl Pace {
    pub(super) fn new(interval: Duration) -> Self {
        Self {
            interval,
            failures: 0,
        }
    }

    /// The server has answered.
    pub(super) fn answered(&mut self) {
        self.failures = 0;
    }

    /// It has not.
    pub(super) fn silent(&mut self) {
        self.failures = self.failures.saturating_add(1);
    }

    /// How long to wait: the interval, twice as long after each failure up to ten minutes, and a
    /// tenth more or less, as `spread` says, which is between 0 and 1: so that nodes which lost a
    /// server at the same moment do not all come back at once.
    pub(super) fn pause(&self, spread: f64) -> Duration {
        let longest = LONGEST_PAUSE.max(self.interval);
        let base = self
            .interval
            .saturating_mul(1 << self.failures.min(20))
            .min(longest);
        base.mul_f64(1.0 - JITTER + 2.0 * JITTER * spread.clamp(0.0, 1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::Pace;
    use crate::platform::{Clock, ManualClock};
    use jiff::{SignedDuration, Timestamp};
    use std::time::Duration;

    #[test]
    fn polls_are_an_interval_apart_a_tenth_more_or_less() {
        let pace = Pace::new(Duration::from_secs(60));
        for (spread, seconds) in [(0.0, 54.0), (0.5, 60.0), (1.0, 66.0), (7.0, 66.0)] {
            assert!(
                (pace.pause(spread).as_secs_f64() - seconds).abs() < 0.001,
                "{spread}"
            );
        }
    }

    #[test]
    fn a_server_that_is_away_is_asked_less_and_less_and_as_before_when_it_is_back() {
        let mut pace = Pace::new(Duration::from_secs(60));
        let mut pauses = Vec::new();
        for _ in 0..6 {
            pace.silent();
            pauses.push(pace.pause(0.5).as_secs());
        }
        assert_eq!(pauses, [120, 240, 480, 600, 600, 600]);
        (0..1000).for_each(|_| pace.silent());
        assert_eq!(pace.pause(0.5).as_secs(), 600);
        pace.answered();
        assert_eq!(pace.pause(0.5).as_secs(), 60);
        // Who asks once in an hour does not ask more often because nobody answers.
        let mut slow = Pace::new(Duration::from_hours(1));
        slow.silent();
        assert_eq!(slow.pause(0.5).as_secs(), 3600);
    }

    #[test]
    fn a_thousand_nodes_that_lost_a_server_at_once_do_not_come_back_at_once() {
        // Each node's polls by a clock of its own, over an outage of an hour; then all polls of the
        // minutes after it.
        let (start, outage) = (Timestamp::UNIX_EPOCH, SignedDuration::from_hours(1));
        let mut each_second = std::collections::BTreeMap::<i64, u32>::new();
        let mut polls_while_away = 0;
        for node in 0..1000_u32 {
            let clock = ManualClock::at(start);
            let mut pace = Pace::new(Duration::from_secs(60));
            let mut random = node.wrapping_mul(2_654_435_761).wrapping_add(1);
            while clock.now().duration_since(start) < outage {
                pace.silent();
                polls_while_away += 1;
                random ^= random << 13;
                random ^= random >> 17;
                random ^= random << 5;
                let pause = pace.pause(f64::from(random) / f64::from(u32::MAX));
                clock.set(clock.now() + SignedDuration::try_from(pause).expect("short"));
            }
            *each_second.entry(clock.now().as_second()).or_default() += 1;
        }
        // Without back-off it were sixty each.
        assert!(polls_while_away < 12_000, "{polls_while_away}");
        let most = each_second.values().max().copied().unwrap_or_default();
        assert!(most < 40, "{most} of a thousand nodes in one second");
    }
}
