//! Threads that do what must wait for a store: fetch, check and decode, or answer a request that
//! needs that.

use std::collections::VecDeque;
use std::io;
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

/// Something to be done on another thread.
pub(super) type Job = Box<dyn FnOnce() + Send>;

/// Which of two waiting jobs goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Urgency {
    /// Somebody waits for it.
    Wanted,
    /// Somebody will probably want it soon, and it is the rest of what has been begun: before other
    /// such work.
    Begun,
    /// Somebody will probably want it soon.
    Ahead,
}

/// A fixed number of threads that run jobs: wanted ones first, each sort in the order it came.
///
/// Dropping the pool drops the jobs that have not begun, and does not wait for those that have: one
/// of them may hang in a dead store.
pub(super) struct Pool {
    shared: Arc<Shared>,
}

struct Shared {
    /// The jobs that have not begun.
    queue: Mutex<Queue>,
    /// Told of each job that comes, and of the end.
    changed: Condvar,
}

struct Queue {
    /// Each has a caller that waits (a process in the kernel, a thread of a restore), so that they
    /// bound it.
    wanted: VecDeque<Job>,
    /// What comes of jobs that were in `ahead`.
    begun: VecDeque<Job>,
    /// Bounded by [`Pool::has_room_ahead`].
    ahead: VecDeque<Job>,
    open: bool,
}

/// How many jobs may wait that nobody waits for.
const MOST_AHEAD: usize = 64;

impl Pool {
    /// Starts `threads` threads; `name` is how a debugger shows them.
    pub(super) fn new(name: &str, threads: NonZeroUsize) -> io::Result<Self> {
        let queue = Queue {
            wanted: VecDeque::new(),
            begun: VecDeque::new(),
            ahead: VecDeque::new(),
            open: true,
        };
        let pool = Self {
            shared: Arc::new(Shared {
                queue: Mutex::new(queue),
                changed: Condvar::new(),
            }),
        };
        for number in 0..threads.get() {
            let shared = Arc::clone(&pool.shared);
            thread::Builder::new()
                .name(format!("{name}-{number}"))
                .spawn(move || shared.work())?;
        }
        Ok(pool)
    }

    /// Hands a job over; returns at once.
    pub(super) fn submit(&self, urgency: Urgency, job: impl FnOnce() + Send + 'static) {
        let mut queue = self.shared.lock();
        match urgency {
            Urgency::Wanted => queue.wanted.push_back(Box::new(job)),
            Urgency::Begun => queue.begun.push_back(Box::new(job)),
            Urgency::Ahead => queue.ahead.push_back(Box::new(job)),
        }
        drop(queue);
        self.shared.changed.notify_one();
    }

    /// Whether more work ahead makes sense.
    pub(super) fn has_room_ahead(&self) -> bool {
        self.shared.lock().ahead.len() < MOST_AHEAD
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        let mut queue = self.shared.lock();
        queue.open = false;
        let left = (
            std::mem::take(&mut queue.wanted),
            std::mem::take(&mut queue.begun),
            std::mem::take(&mut queue.ahead),
        );
        drop(queue);
        self.shared.changed.notify_all();
        drop(left);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self) {
        while let Some(job) = self.next() {
            // A bug in one job must not cost the mount a thread. What the job owed is settled by
            // the guards it held.
            if catch_unwind(AssertUnwindSafe(job)).is_err() {
                tracing::error!("a job panicked");
            }
        }
    }

    fn next(&self) -> Option<Job> {
        let mut queue = self.lock();
        loop {
            if !queue.open {
                return None;
            }
            if let Some(job) = queue.wanted.pop_front() {
                return Some(job);
            }
            let Queue { begun, ahead, .. } = &mut *queue;
            if let Some(job) = begun.pop_front().or_else(|| ahead.pop_front()) {
                return Some(job);
            }
            queue = self
                .changed
                .wait(queue)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Pool, Urgency};
    use std::num::NonZeroUsize;
    use std::sync::mpsc;

    fn one_thread() -> Pool {
        Pool::new("test", NonZeroUsize::MIN).expect("threads can be started")
    }

    #[test]
    fn what_somebody_waits_for_goes_before_what_may_be_wanted() {
        let pool = one_thread();
        let (done, order) = mpsc::channel();
        let (release, gate) = mpsc::channel::<()>();
        pool.submit(Urgency::Wanted, move || gate.recv().expect("released"));
        let jobs = [
            (Urgency::Ahead, "ahead"),
            (Urgency::Begun, "begun"),
            (Urgency::Wanted, "first"),
            (Urgency::Wanted, "second"),
        ];
        for (urgency, name) in jobs {
            let done = done.clone();
            pool.submit(urgency, move || done.send(name).expect("received"));
        }
        release.send(()).expect("the gate stands");
        assert_eq!(
            order.iter().take(4).collect::<Vec<_>>(),
            ["first", "second", "begun", "ahead"]
        );
    }

    #[test]
    fn a_job_that_panics_leaves_its_thread_alive() {
        let pool = one_thread();
        let (done, result) = mpsc::channel();
        pool.submit(Urgency::Wanted, || panic!("as arranged"));
        pool.submit(Urgency::Wanted, move || done.send(1).expect("received"));
        assert_eq!(result.recv(), Ok(1));
    }

    #[test]
    fn dropping_the_pool_drops_the_jobs_that_wait() {
        let pool = one_thread();
        let (release, gate) = mpsc::channel::<()>();
        let (begun, has_begun) = mpsc::channel();
        pool.submit(Urgency::Wanted, move || {
            begun.send(()).expect("received");
            gate.recv().expect_err("nobody sends");
        });
        has_begun.recv().expect("the thread took the first job");
        let (never, nothing) = mpsc::channel::<()>();
        pool.submit(Urgency::Wanted, move || drop(never));
        drop(pool);
        nothing
            .recv()
            .expect_err("the job was dropped with its sender, and not run");
        drop(release);
    }
}
