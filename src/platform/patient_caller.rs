//! Makes calls that may never be answered, on a thread that can be left behind.

use super::calls::{CallKind, CallMark, CallSlot};
use super::monotonic;
use crate::model::{Cancel, Interrupted};
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use std::any::Any;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How often a caller that waits looks at the call and at the flag.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// How long one call may still take once the run is to end.
const WHEN_CANCELLED: Duration = Duration::from_millis(500);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum NoAnswer {
    /// One call has lasted too long. Its thread is left behind: nothing can end it but the file
    /// system.
    #[error("the file system did not answer within {} s ({kind})", .after.as_secs())]
    Hung {
        /// The call.
        kind: CallKind,
        /// How long it has lasted.
        after: Duration,
    },
    /// The run is to end, and the call does not.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
    /// There is no thread for the call.
    #[error("could not start a thread")]
    NoThread(#[source] io::Error),
}

impl NoAnswer {
    /// Wraps it as an error of the call itself.
    pub fn into_io(self) -> io::Error {
        let kind = match &self {
            Self::Hung { .. } => io::ErrorKind::TimedOut,
            Self::Interrupted(_) => io::ErrorKind::Interrupted,
            Self::NoThread(source) => source.kind(),
        };
        io::Error::new(kind, self)
    }
}

/// Makes calls to a file system that may hang. Work that is handed over can make many calls: only
/// one single call that lasts too long counts as hung.
///
/// Costs two handovers between threads for each piece of work, and nothing for each call.
pub struct PatientCaller {
    patience: Option<Duration>,
    cancel: Cancel,
    /// The thread that makes the calls; `None` before the first, and after one that was left
    /// behind.
    worker: Mutex<Option<Worker>>,
}

type Errand = Box<dyn FnOnce() + Send>;

struct Worker {
    errands: Sender<Errand>,
    slot: Arc<CallSlot>,
}

impl PatientCaller {
    /// Makes a caller that waits for one call as long as `patience`, or for ever, and not much
    /// longer once `cancel` is raised.
    pub fn new(patience: Option<Duration>, cancel: Cancel) -> Self {
        Self {
            patience,
            cancel,
            worker: Mutex::new(None),
        }
    }

    /// Does the work on the other thread and waits for it. While one piece of work is under way,
    /// other callers wait.
    ///
    /// # Errors
    ///
    /// [`NoAnswer`]. The work may still go on then, on the thread that is left behind.
    pub fn call<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, NoAnswer> {
        self.call_with(work, || {})
    }

    /// Does the same, and calls `meanwhile` about ten times a second.
    pub fn call_with<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
        mut meanwhile: impl FnMut(),
    ) -> Result<T, NoAnswer> {
        let mut held = self.worker.lock().unwrap_or_else(PoisonError::into_inner);
        let worker = match held.take() {
            Some(worker) => worker,
            None => Worker::start().map_err(NoAnswer::NoThread)?,
        };
        let (sender, done) = bounded::<Result<T, Box<dyn Any + Send>>>(1);
        let errand: Errand = Box::new(move || {
            // Nobody waits any more if the thread was left behind.
            drop(sender.send(catch_unwind(AssertUnwindSafe(work))));
        });
        if worker.errands.send(errand).is_err() {
            let gone = io::Error::other("the thread has ended");
            return Err(NoAnswer::NoThread(gone));
        }
        let outcome = self.wait(&done, &worker.slot, &mut meanwhile)?;
        *held = Some(worker);
        drop(held);
        Ok(outcome.unwrap_or_else(|panic| resume_unwind(panic)))
    }

    fn wait<T>(
        &self,
        done: &Receiver<T>,
        slot: &CallSlot,
        meanwhile: &mut impl FnMut(),
    ) -> Result<T, NoAnswer> {
        let mut seen: Option<(CallMark, Instant)> = None;
        loop {
            match done.recv_timeout(LOOK_EVERY) {
                Ok(outcome) => return Ok(outcome),
                Err(RecvTimeoutError::Disconnected) => {
                    let gone = io::Error::other("the thread has ended");
                    return Err(NoAnswer::NoThread(gone));
                }
                Err(RecvTimeoutError::Timeout) => meanwhile(),
            }
            let (now, mark) = (monotonic(), slot.look());
            let since = match (mark, seen) {
                (Some(mark), Some((before, since))) if mark == before => since,
                (Some(mark), _) => {
                    seen = Some((mark, now));
                    continue;
                }
                (None, _) => {
                    seen = None;
                    continue;
                }
            };
            let after = now.saturating_duration_since(since);
            if self.cancel.is_requested() && after >= WHEN_CANCELLED {
                return Err(NoAnswer::Interrupted(Interrupted));
            }
            if let Some(kind) = mark.map(CallMark::kind)
                && self.patience.is_some_and(|patience| after >= patience)
            {
                return Err(NoAnswer::Hung { kind, after });
            }
        }
    }
}

impl Worker {
    /// Starts a thread that ends when the caller drops this.
    fn start() -> io::Result<Self> {
        let (errands, to_do) = bounded::<Errand>(1);
        let (slot_sender, slot) = bounded(1);
        thread::Builder::new()
            .name("freezer-source".to_owned())
            .spawn(move || {
                if slot_sender.send(CallSlot::of_this_thread()).is_ok() {
                    to_do.into_iter().for_each(|errand| errand());
                }
            })?;
        let slot = slot
            .recv()
            .map_err(|_| io::Error::other("the thread has ended"))?;
        Ok(Self { errands, slot })
    }
}

#[cfg(test)]
mod tests {
    use super::super::calls::{CallKind, during};
    use super::{NoAnswer, PatientCaller};
    use crate::model::Cancel;
    use crossbeam_channel::bounded;
    use std::io;
    use std::time::Duration;

    fn hanging() -> (
        impl FnOnce() + Send + 'static,
        crossbeam_channel::Sender<()>,
    ) {
        let (let_go, held) = bounded::<()>(0);
        let work = move || {
            // Ends with an error when the test lets go.
            during(CallKind::Stat, -1, || held.recv().ok());
        };
        (work, let_go)
    }

    #[test]
    fn a_call_that_hangs_is_left_behind_and_the_next_one_is_made() {
        let caller = PatientCaller::new(Some(Duration::ZERO), Cancel::new());
        let (work, let_go) = hanging();
        let error = caller.call(work).expect_err("it hangs");
        assert!(
            matches!(
                error,
                NoAnswer::Hung {
                    kind: CallKind::Stat,
                    ..
                }
            ),
            "{error:?}"
        );
        assert_eq!(error.into_io().kind(), io::ErrorKind::TimedOut);
        assert_eq!(caller.call(|| 7).expect("answered"), 7);
        drop(let_go);
    }

    #[test]
    fn work_that_makes_no_call_may_take_as_long_as_it_likes() {
        let caller = PatientCaller::new(Some(Duration::ZERO), Cancel::new());
        let (let_go, held) = bounded::<()>(0);
        let mut looks = 0;
        let done = caller.call_with(
            move || held.recv().is_ok(),
            || {
                looks += 1;
                if looks == 3 {
                    let_go.send(()).expect("awaited");
                }
            },
        );
        assert!(done.expect("answered"));
    }

    #[test]
    fn a_run_that_is_to_end_does_not_wait_for_a_call_that_hangs() {
        let cancel = Cancel::new();
        let caller = PatientCaller::new(None, cancel.clone());
        let (work, let_go) = hanging();
        let mut looks = 0;
        let error = caller
            .call_with(work, || {
                looks += 1;
                if looks == 2 {
                    cancel.request();
                }
            })
            .expect_err("it hangs");
        assert!(matches!(error, NoAnswer::Interrupted(_)), "{error:?}");
        drop(let_go);
    }

    #[test]
    #[should_panic(expected = "on the other thread")]
    fn a_panic_comes_back() {
        let caller = PatientCaller::new(None, Cancel::new());
        caller
            .call(|| panic!("on the other thread"))
            .expect("answered");
    }
}
