//! Threads for work that waits for a store: fetching, checking and decoding frames, and answering
//! requests that need that.
//!
//! Three sorts of job, in this order: somebody waits for it; it completes something begun; it may
//! be wanted soon. A read is thus never queued behind read-ahead, only behind the jobs that have
//! begun.

use std::collections::VecDeque;
use std::io;
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

/// Work for one of the threads.
pub(super) type PoolJob = Box<dyn FnOnce() + Send>;

/// Decides which of two waiting jobs runs first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Urgency {
    /// A caller waits for it.
    Wanted,
    /// The rest of an [`Ahead`](Self::Ahead) job that has begun. Runs before new jobs of that sort.
    Begun,
    /// A caller will probably want it soon.
    Ahead,
}

/// A fixed number of threads that run jobs: the most urgent first, each sort in order of arrival.
///
/// Dropping the pool drops the jobs that have not begun. It does not wait for the others: one of
/// them may hang in a dead store.
pub(super) struct ThreadPool {
    shared: Arc<PoolState>,
}

struct PoolState {
    /// The jobs that have not begun.
    queue: Mutex<Queue>,
    /// Signalled for each new job, and when the pool is dropped.
    changed: Condvar,
}

struct Queue {
    /// Bounded by the callers: each job has one that waits (a process in the kernel, a thread of a
    /// restore).
    wanted: VecDeque<PoolJob>,
    /// Bounded by the jobs that were in `ahead`.
    begun: VecDeque<PoolJob>,
    /// Bounded by [`ThreadPool::has_room_ahead`].
    ahead: VecDeque<PoolJob>,
    open: bool,
}

/// Most jobs that wait in `ahead`.
const MAX_AHEAD: usize = 64;

impl ThreadPool {
    /// Starts `threads` threads, which debuggers show as `name` and a number.
    ///
    /// # Errors
    ///
    /// When the system gives no threads.
    pub(super) fn new(name: &str, threads: NonZeroUsize) -> io::Result<Self> {
        let queue = Queue {
            wanted: VecDeque::new(),
            begun: VecDeque::new(),
            ahead: VecDeque::new(),
            open: true,
        };
        let pool = Self {
            shared: Arc::new(PoolState {
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

    /// Queues a job and returns at once.
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

    /// Whether the queue takes more jobs of [`Urgency::Ahead`].
    pub(super) fn has_room_ahead(&self) -> bool {
        self.shared.lock().ahead.len() < MAX_AHEAD
    }
}

impl Drop for ThreadPool {
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

impl PoolState {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self) {
        while let Some(job) = self.next() {
            // A bug in one job must not cost the pool a thread. Guards in the job settle what it
            // owed to others.
            if catch_unwind(AssertUnwindSafe(job)).is_err() {
                tracing::error!("a job of the thread pool panicked");
            }
        }
    }

    fn next(&self) -> Option<PoolJob> {
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
    use super::{ThreadPool, Urgency};
    use std::num::NonZeroUsize;
    use std::sync::mpsc;

    fn one_thread() -> ThreadPool {
        ThreadPool::new("test", NonZeroUsize::MIN).expect("threads can be started")
    }

    #[test]
    fn a_job_with_a_waiting_caller_runs_before_jobs_that_may_be_wanted() {
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
        pool.submit(Urgency::Wanted, || panic!("on purpose"));
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
