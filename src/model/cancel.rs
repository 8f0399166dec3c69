//! A flag that asks long work to stop.

use super::Interrupted;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A flag that is raised once and stays up. Clones share it. Long work checks it between two pieces
/// of work and then ends with an error of its own, in a state that a later run can continue from.
///
/// A second flag, which comes a moment later, breaks off the calls that are still under way.
#[derive(Clone, Debug, Default)]
pub struct Cancel {
    requested: Arc<AtomicBool>,
    urgent: Arc<AtomicBool>,
}

impl Cancel {
    /// Makes a flag that is down.
    pub fn new() -> Self {
        Self::default()
    }

    /// Raises the flag. May be called from any thread, and from a signal handler.
    pub fn request(&self) {
        self.requested.store(true, Ordering::Relaxed);
    }

    /// Returns whether the flag is up. Cheap enough for inner loops.
    pub fn is_requested(&self) -> bool {
        self.requested.load(Ordering::Relaxed)
    }

    /// Returns the bare flag, for signal registration, which can only raise an atomic.
    pub fn flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.requested)
    }

    /// Breaks off the calls that are under way, and raises the flag too.
    pub fn hurry(&self) {
        self.request();
        self.urgent.store(true, Ordering::Relaxed);
    }

    /// Begins a call that may take long. Calls that begin after [`hurry`](Self::hurry) are not
    /// broken off: they put the work in order, as the end of a claim does.
    pub fn call(&self) -> CallInProgress {
        let is_exempt = self.urgent.load(Ordering::Relaxed);
        CallInProgress((!is_exempt).then(|| Arc::clone(&self.urgent)))
    }
}

/// A call that may have to be broken off.
#[derive(Clone, Debug, Default)]
pub struct CallInProgress(Option<Arc<AtomicBool>>);

impl CallInProgress {
    /// Fails once the call must be broken off. Cheap enough for each read of a few bytes.
    ///
    /// # Errors
    ///
    /// [`Interrupted`].
    pub fn check(&self) -> Result<(), Interrupted> {
        match &self.0 {
            Some(urgent) if urgent.load(Ordering::Relaxed) => Err(Interrupted),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Cancel;
    use crate::model::Interrupted;

    #[test]
    fn a_flag_that_one_clone_raises_is_up_in_all() {
        let first = Cancel::new();
        let second = first.clone();
        assert!(!second.is_requested());
        first.request();
        assert!(second.is_requested());
    }

    #[test]
    fn only_calls_that_were_under_way_are_broken_off() {
        let cancel = Cancel::new();
        let before = cancel.call();
        cancel.request();
        let between = cancel.call();
        assert_eq!((before.check(), between.check()), (Ok(()), Ok(())));
        cancel.clone().hurry();
        assert_eq!(
            (before.check(), between.check(), cancel.call().check()),
            (Err(Interrupted), Err(Interrupted), Ok(()))
        );
    }
}
