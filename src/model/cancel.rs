//! The wish to stop, shared by whoever may utter it and all who must heed it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A flag that is raised once and stays up. Long work looks at it between two pieces of work and
/// then ends with an error of its own, leaving behind what a cut-off run may leave.
#[derive(Clone, Debug, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// A flag that is down.
    pub fn new() -> Self {
        Self::default()
    }

    /// Raises the flag. May be called from any thread, and from a signal handler.
    pub fn request(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether the flag is up. Cheap enough for inner loops.
    pub fn is_requested(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// The bare flag, for what can only raise an atomic (signal registration).
    pub fn flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::Cancel;

    #[test]
    fn a_wish_uttered_to_one_clone_is_heard_by_all() {
        let first = Cancel::new();
        let second = first.clone();
        assert!(!second.is_requested());
        first.request();
        assert!(second.is_requested());
    }
}
