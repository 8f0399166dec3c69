//! Messages to the loop of a scheduler.

use super::error::DaemonError;
use crate::sched::book::Tasks;

/// A message to the loop.
#[derive(Debug)]
pub(in crate::sched) enum Heard {
    /// A run has ended.
    Ended {
        /// The id of the job.
        id: String,
        /// The id of the run.
        run: String,
    },
    /// The answer to a poll.
    Polled(Result<Tasks, DaemonError>),
    /// The answer to a claim.
    Claimed {
        /// The id of the job.
        id: String,
        /// The id of the run.
        run: String,
        /// Whether the run may begin.
        may: bool,
    },
}
