//! A flag that asks long work to stop.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A flag that is raised once and stays up. Clones share it. Long work checks it between two pieces
/// of work and then ends with an error of its own, in a state that a later run can continue from.
#[derive(Clone, Debug, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// Makes a flag that is down.
    pub fn new() -> Self {
        Self::default()
    }

    /// Raises the flag. May be called from any thread, and from a signal handler.
    pub fn request(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Returns whether the flag is up. Cheap enough for inner loops.
    pub fn is_requested(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Returns the bare flag, for signal registration, which can only raise an atomic.
    pub fn flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::Cancel;

    #[test]
    fn a_flag_that_one_clone_raises_is_up_in_all() {
        let first = Cancel::new();
        let second = first.clone();
        assert!(!second.is_requested());
        first.request();
        assert!(second.is_requested());
    }
}
