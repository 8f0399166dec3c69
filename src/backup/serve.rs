//! The threads that take steps from the walk, have them read, and hand them on.

use super::content::StoredContent;
use super::handover::ReadJobs;
use super::read::{EntryReader, PlaceInStep};
use super::read_step::ReadStep;
use super::source_calls::SourceCaller;
use super::step::WalkStep;
use super::unread::Unread;
use crate::model::{Progress, TreePath, Trouble};
use crate::platform::NoAnswer;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Has steps read by a thread that it can leave behind.
pub(super) struct StepServer<'run> {
    pub(super) reader: Arc<EntryReader>,
    pub(super) source: SourceCaller,
    /// The stored bytes, if contents are compared with them.
    pub(super) stored: Option<Arc<StoredContent>>,
    pub(super) progress: &'run dyn Progress,
}

impl StepServer<'_> {
    /// Serves until there are no more steps.
    pub(super) fn serve(&self, jobs: &ReadJobs) {
        while let Ok(job) = jobs.recv() {
            // The archive is gone if it failed; the walk will notice.
            let _gone = job.slot.send(self.read(job.step));
        }
    }

    /// Reads a step. If a name does not answer, leaves the thread behind, and has the step read
    /// again without that name.
    fn read(&self, mut step: WalkStep) -> ReadStep {
        let all_names = step.all_names.take();
        let step = Arc::new(step);
        let mut unanswered = Vec::new();
        let mut read = loop {
            let place = PlaceInStep::default();
            let work = {
                let (reader, step, place) = (
                    Arc::clone(&self.reader),
                    Arc::clone(&step),
                    Arc::clone(&place),
                );
                move || reader.read(&step, &place)
            };
            let error = match self.source.work(work, || self.tell_compared()) {
                Ok(read) => break read,
                Err(error) => error,
            };
            let path = path_in(&step, place.load(Ordering::Relaxed));
            match &error {
                NoAnswer::Interrupted(_) => break ReadStep::of(&step),
                NoAnswer::Hung { .. } => {
                    if self.source.calls().note(&path, step.directory.device) {
                        unanswered.push(Trouble::new(path, Unread::NoAnswer(error)));
                    }
                }
                NoAnswer::NoThread(_) => {
                    unanswered.push(Trouble::new(path, Unread::NoAnswer(error)));
                    break ReadStep::of(&step);
                }
            }
        };
        self.tell_compared();
        let troubles = unanswered.into_iter().chain(read.troubles.drain(..));
        troubles.for_each(|trouble| self.progress.trouble(trouble));
        read.all_names = all_names;
        read
    }

    fn tell_compared(&self) {
        if let Some(stored) = &self.stored {
            match stored.take_compared() {
                0 => {}
                bytes => self.progress.advance(0, bytes),
            }
        }
    }
}

/// Returns the path at a place in a step.
fn path_in(step: &WalkStep, place: usize) -> TreePath {
    let directory = &step.directory.path;
    match place.checked_sub(1).and_then(|at| step.names.get(at)) {
        Some(name) => directory.join(&name.listed.name),
        None => directory.clone(),
    }
}
