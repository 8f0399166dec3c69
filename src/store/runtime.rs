//! The one place where blocking code waits for asynchronous code: credentials and signatures of S3.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;

/// Wakes the thread that waits.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Runs a future to its end on this thread. Whatever wakes the future must not need this thread.
pub(super) fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(output) => return output,
            Poll::Pending => std::thread::park(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::block_on;
    use std::sync::{Arc, Mutex};
    use std::task::{Poll, Waker};

    #[test]
    fn a_future_that_another_thread_wakes_is_run_to_its_end() {
        let shared: Arc<Mutex<(bool, Option<Waker>)>> = Arc::default();
        let other = Arc::clone(&shared);
        let mut helper = None;
        let value = block_on(std::future::poll_fn(|context| {
            let mut state = shared.lock().expect("no panic");
            if state.0 {
                return Poll::Ready(7);
            }
            state.1 = Some(context.waker().clone());
            let other = Arc::clone(&other);
            helper.get_or_insert_with(|| {
                std::thread::spawn(move || {
                    let mut state = other.lock().expect("no panic");
                    state.0 = true;
                    state.1.take().into_iter().for_each(Waker::wake);
                })
            });
            Poll::Pending
        }));
        assert_eq!(value, 7);
        helper
            .into_iter()
            .for_each(|helper| helper.join().expect("no panic"));
    }
}
