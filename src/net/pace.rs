//! The least speed of a body that is waited for.

use std::io::{self, Read};
use std::time::Duration;

/// The least speed, in bytes a second, over the time that counts as silence. A line that is slower
/// is as good as silent: at this speed, a segment of 64 MiB takes three days.
const LEAST_BYTES_PER_S: u64 = 256;

/// A body that ends with an error when it comes too slowly. Without it, a server that sends a byte
/// now and then is never silent, and holds a run up for ever.
///
/// Only time that is spent in waiting for bytes counts: a reader may take its own time.
pub(super) struct Paced<R> {
    body: R,
    /// The time over which the speed is measured.
    span: Duration,
    waited: Duration,
    came: u64,
}

impl<R: Read> Paced<R> {
    pub(super) fn new(body: R, span: Duration) -> Self {
        Self {
            body,
            span,
            waited: Duration::ZERO,
            came: 0,
        }
    }

    /// Counts bytes that came after a wait.
    fn count(&mut self, waited: Duration, came: u64) -> io::Result<()> {
        self.waited += waited;
        self.came = self.came.saturating_add(came);
        if self.waited < self.span {
            return Ok(());
        }
        let least = self.span.as_secs().saturating_mul(LEAST_BYTES_PER_S);
        if self.came < least {
            return Err(io::Error::new(
                io::ErrorKind::TimedOut,
                format!(
                    "the server sent {} bytes in {} s",
                    self.came,
                    self.waited.as_secs()
                ),
            ));
        }
        (self.waited, self.came) = (Duration::ZERO, 0);
        Ok(())
    }
}

impl<R: Read> Read for Paced<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let began = crate::platform::monotonic();
        let came = self.body.read(buffer)?;
        if came > 0 {
            self.count(began.elapsed(), came as u64)?;
        }
        Ok(came)
    }
}

#[cfg(test)]
mod tests {
    use super::Paced;
    use std::io::{self, Read};
    use std::time::Duration;

    #[test]
    fn a_body_that_drips_is_given_up_and_a_slow_one_is_not() {
        let second = Duration::from_secs(1);
        let mut drips = Paced::new(io::empty(), 10 * second);
        let given_up = (1..=60).find(|_| drips.count(second, 1).is_err());
        assert_eq!(given_up, Some(10));
        let mut slow = Paced::new(io::empty(), 10 * second);
        assert!((0..600).all(|_| slow.count(second, 300).is_ok()));
        // What came before helps no longer.
        let given_up = (1..=60).find(|_| slow.count(second, 1).is_err());
        assert!(given_up.is_some_and(|after| after <= 20), "{given_up:?}");
    }

    #[test]
    fn a_body_that_comes_at_once_is_read_whole() {
        let mut text = String::new();
        Paced::new(&b"whole"[..], Duration::from_secs(1))
            .read_to_string(&mut text)
            .expect("memory");
        assert_eq!(text, "whole");
    }
}
