//! When a checkpoint is due.

use crate::model::StreamOffset;
use crate::platform::Clock;
use jiff::Timestamp;
use std::time::Duration;

/// How often a run takes a checkpoint: once both limits have passed since the last one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckpointRule {
    /// Least number of stream bytes between two checkpoints. One costs up to some 100 KiB.
    pub least_bytes: u64,
    /// Least time between two checkpoints.
    pub interval: Duration,
}

impl Default for CheckpointRule {
    fn default() -> Self {
        Self {
            least_bytes: 32 << 20,
            interval: Duration::from_secs(60),
        }
    }
}

/// Tells when the next checkpoint is due.
pub(in crate::backup) struct CheckpointTimer<'run> {
    rule: CheckpointRule,
    clock: &'run dyn Clock,
    last_time: Timestamp,
    last_position: StreamOffset,
}

impl<'run> CheckpointTimer<'run> {
    /// Starts with the run. Without a rule no checkpoint is ever due.
    pub(in crate::backup) fn new(rule: Option<CheckpointRule>, clock: &'run dyn Clock) -> Self {
        let rule = rule.unwrap_or(CheckpointRule {
            least_bytes: u64::MAX,
            interval: Duration::MAX,
        });
        Self {
            rule,
            clock,
            last_time: clock.now(),
            last_position: StreamOffset(0),
        }
    }

    /// Returns whether the stream has grown enough since the last checkpoint.
    pub(in crate::backup) fn is_worth_it(&self, position: StreamOffset) -> bool {
        position.0 - self.last_position.0 >= self.rule.least_bytes
    }

    /// Returns whether the stream has grown enough and enough time has passed.
    pub(in crate::backup) fn is_due(&self, position: StreamOffset) -> bool {
        // After the clock was set back, the time that has passed is unknown: it counts as enough.
        let is_too_soon = || {
            Duration::try_from(self.clock.now().duration_since(self.last_time))
                .is_ok_and(|passed| passed < self.rule.interval)
        };
        self.is_worth_it(position) && !is_too_soon()
    }

    /// Notes that a checkpoint was taken at `position`.
    pub(in crate::backup) fn taken(&mut self, position: StreamOffset) {
        self.last_time = self.clock.now();
        self.last_position = position;
    }
}

#[cfg(test)]
mod tests {
    use super::{CheckpointRule, CheckpointTimer};
    use crate::model::StreamOffset;
    use crate::platform::{Clock, ManualClock};
    use jiff::{SignedDuration, Timestamp};
    use std::time::Duration;

    #[test]
    fn a_checkpoint_is_due_when_enough_was_written_and_time_has_passed() {
        let clock = ManualClock::at(Timestamp::UNIX_EPOCH);
        let rule = CheckpointRule {
            least_bytes: 100,
            interval: Duration::from_secs(60),
        };
        let mut timer = CheckpointTimer::new(Some(rule), &clock);
        let pass = |seconds| clock.set(clock.now() + SignedDuration::from_secs(seconds));
        assert!(!timer.is_due(StreamOffset(1000)), "no time has passed");
        pass(60);
        assert!(!timer.is_due(StreamOffset(99)) && timer.is_due(StreamOffset(100)));
        timer.taken(StreamOffset(100));
        assert!(!timer.is_due(StreamOffset(500)) && timer.is_worth_it(StreamOffset(500)));
        pass(-3600);
        assert!(
            timer.is_due(StreamOffset(500)),
            "a clock that was set back delays no checkpoint"
        );
        pass(7200);
        assert!(!CheckpointTimer::new(None, &clock).is_due(StreamOffset(1 << 60)));
    }
}
