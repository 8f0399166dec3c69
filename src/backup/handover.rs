//! The channels between the walk, the readers and the archive.
//!
//! The walk sends each step to the readers, and the slot for its result to the archive. Readers
//! fill the slots in any order; the archive empties them in the order of the walk.

use super::read_step::ReadStep;
use super::step::WalkStep;
use crossbeam_channel::{Receiver, Sender, bounded};

/// Most steps between the walk and the archive: they wait for a reader, or are read and wait for
/// the archive.
const STEPS_AHEAD: usize = 12;

/// The walk's end.
pub(super) struct StepSender {
    jobs: Sender<ReadJob>,
    slots: Sender<Receiver<ReadStep>>,
}

/// A step to read, and where its result goes.
pub(super) struct ReadJob {
    pub(super) step: WalkStep,
    pub(super) slot: Sender<ReadStep>,
}

/// The readers' end.
pub(super) type ReadJobs = Receiver<ReadJob>;

/// The archive's end: a slot for each step, in order.
pub(super) type ReadSteps = Receiver<Receiver<ReadStep>>;

/// All ends of the channels.
pub(super) struct Handover {
    pub(super) steps: StepSender,
    pub(super) jobs: ReadJobs,
    pub(super) read: ReadSteps,
}

/// The walk ends early: the run must stop, or the archive takes no more steps.
pub(super) struct WalkEnded;

impl Handover {
    /// Makes the channels.
    pub(super) fn new() -> Self {
        let (jobs, jobs_end) = bounded(STEPS_AHEAD);
        let (slots, slots_end) = bounded(STEPS_AHEAD);
        Self {
            steps: StepSender { jobs, slots },
            jobs: jobs_end,
            read: slots_end,
        }
    }
}

impl StepSender {
    /// Sends a step. Waits while too many are under way.
    pub(super) fn send(&self, step: WalkStep) -> Result<(), WalkEnded> {
        let (slot, read) = bounded(1);
        self.slots.send(read).map_err(|_| WalkEnded)?;
        self.jobs
            .send(ReadJob { step, slot })
            .map_err(|_| WalkEnded)
    }
}
