//! What the loop of a scheduler hears of.

use super::error::DaemonError;
use crate::sched::book::Tasks;

/// What the loop hears of.
#[derive(Debug)]
pub(in crate::sched) enum Heard {
    /// A run has ended.
    Ended {
        /// Its job.
        id: String,
        /// Which one.
        run: String,
    },
    /// The server was asked what there is to do.
    Polled(Result<Tasks, DaemonError>),
    /// It was asked whether a run may begin.
    Claimed {
        /// Its job.
        id: String,
        /// Which one.
        run: String,
        /// Whether it may.
        may: bool,
    },
}
