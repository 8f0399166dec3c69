//! Answers requests: at once with what is in memory, else on another thread.

use super::appearance::Appearance;
use super::counts::{Asked, RequestCounts};
use super::listing::{DirectoryReply, Filled, fill};
use super::reply::{Refuse, errno_of};
use crate::fs::ReadError;
use crate::fs::deadline;
use crate::fs::forest::Forest;
use crate::fs::pool::{ThreadPool, Urgency};
use crate::fs::prefetch::{NotedReads, ReadNotes, read_notes};
use fuser::INodeNo;
use std::io;
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// How many threads answer what cannot be answered at once. They wait for the fetching threads, and
/// cost next to nothing.
const ANSWERING_THREADS: NonZeroUsize = NonZeroUsize::new(16).expect("not zero");

/// A forest as the kernel sees it.
pub(in crate::fs) struct Adapter {
    pub(super) state: Arc<AdapterState>,
}

/// What all threads that answer share.
pub(super) struct AdapterState {
    pub(super) forest: Forest,
    /// The same forest for threads that must not wait.
    at_hand: Forest,
    pub(super) appearance: Appearance,
    answering: ThreadPool,
    pub(super) counts: Arc<RequestCounts>,
    /// Reads are noted here, so that the files that follow are delivered ahead.
    pub(super) reads: ReadNotes,
    /// Whether the kernel opens files without asking.
    pub(super) opens_without_asking: AtomicBool,
    /// Whether the kernel opens directories without asking.
    pub(super) opens_directories_without_asking: AtomicBool,
}

/// A request, as it is counted and logged.
#[derive(Clone, Copy)]
pub(super) struct Question {
    pub(super) asked: Asked,
    pub(super) inode: INodeNo,
}

impl Adapter {
    /// Returns an adapter and the reads that it will note.
    pub(in crate::fs) fn new(
        forest: Forest,
        appearance: Appearance,
        counts: Arc<RequestCounts>,
    ) -> io::Result<(Self, NotedReads)> {
        let (reads, noted) = read_notes();
        let state = AdapterState {
            at_hand: forest.at_hand(),
            forest,
            appearance,
            answering: ThreadPool::new("freezer-answer", ANSWERING_THREADS)?,
            counts,
            reads,
            opens_without_asking: AtomicBool::new(false),
            opens_directories_without_asking: AtomicBool::new(false),
        };
        Ok((
            Self {
                state: Arc::new(state),
            },
            noted,
        ))
    }

    /// Answers a question with `tell`, once `ask` has what it needs: at once if all of that is in
    /// memory, else on another thread.
    pub(super) fn answer<T: 'static, R: Refuse + Send + 'static>(
        &self,
        question: Question,
        reply: R,
        ask: impl Fn(&Forest, u64) -> Result<T, ReadError> + Send + 'static,
        tell: impl FnOnce(&AdapterState, R, T) + Send + 'static,
    ) {
        let (state, inode) = (&self.state, question.inode.0);
        state.counts.add(question.asked);
        guarded(|| match ask(&state.at_hand, inode) {
            Err(ReadError::WouldWait) => {
                state.hand_over(question, reply, move |state, reply| {
                    state.conclude(question, reply, ask(&state.forest, inode), tell);
                });
            }
            result => state.conclude(question, reply, result, tell),
        });
    }

    /// Answers a question for the entries of a directory behind `cursor`. Entries in memory are
    /// filled in at once; where one is not, another thread fills in the rest.
    pub(super) fn list(&self, question: Question, cursor: u64, mut reply: impl DirectoryReply) {
        let (state, inode) = (&self.state, question.inode.0);
        state.counts.add(question.asked);
        let send = |_: &AdapterState, reply, _| DirectoryReply::send(reply);
        guarded(|| {
            let filled = fill(&state.appearance, &state.at_hand, inode, cursor, &mut reply);
            let Ok(Filled::UpTo(cursor)) = filled else {
                return state.conclude(question, reply, filled, send);
            };
            state.hand_over(question, reply, move |state, mut reply| {
                let filled = fill(&state.appearance, &state.forest, inode, cursor, &mut reply);
                state.conclude(question, reply, filled, send);
            });
        });
    }

    /// Refuses a change: a point in time is read-only.
    pub(super) fn refuse_change(&self, reply: impl Refuse) {
        self.state.counts.add(Asked::Change);
        reply.refuse(fuser::Errno::EROFS);
    }
}

/// Runs a handler. If it panics, its reply is dropped and the kernel gets `EIO`.
fn guarded(handler: impl FnOnce()) {
    if catch_unwind(AssertUnwindSafe(handler)).is_err() {
        tracing::error!("the answer to a request panicked");
    }
}

impl AdapterState {
    fn hand_over<R: Refuse + Send + 'static>(
        self: &Arc<Self>,
        question: Question,
        reply: R,
        work: impl FnOnce(&Self, R) + Send + 'static,
    ) {
        self.counts.handed_over.fetch_add(1, Ordering::Relaxed);
        let (state, came) = (Arc::clone(self), crate::platform::monotonic());
        self.answering.submit(Urgency::Wanted, move || {
            let patience = state.appearance.patience;
            // With a dead store all threads wait as long as they may. Requests that queued up
            // behind them have waited as long by then.
            if came.elapsed() > patience {
                state.refuse(question, reply, &ReadError::Deadline);
            } else {
                deadline::until(came.checked_add(patience), || work(&state, reply));
            }
        });
    }

    fn conclude<T, R: Refuse>(
        &self,
        question: Question,
        reply: R,
        result: Result<T, ReadError>,
        tell: impl FnOnce(&Self, R, T),
    ) {
        match result {
            Ok(answer) => tell(self, reply, answer),
            Err(error) => self.refuse(question, reply, &error),
        }
    }

    fn refuse(&self, question: Question, reply: impl Refuse, error: &ReadError) {
        let errno = errno_of(error);
        if errno.code() == fuser::Errno::EIO.code() {
            tracing::error!(
                request = ?question.asked,
                inode = question.inode.0,
                error = error.chain(),
                "a request failed"
            );
        }
        reply.refuse(errno);
    }
}
