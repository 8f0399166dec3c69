//! Keeps it to one writer of a backup at a time, on stores that can only put, get, list and delete.
//!
//! A process that wants to change a backup stores a *claim* under an id of its own and then lists
//! all claims. It has the lock when no other claim holds. Of two that see each other the one with
//! the later id gives way, and the earlier waits for that. As each stores before it lists, at least
//! one sees the other, so the two never both go on. The id is that of the level to be made.
//!
//! A claim holds until the moment in its name; a thread renews it with a new object. Where the
//! claim's process is known to have ended, it does not hold. A process that goes on in spite of a
//! claim first ends it: it adds an object `over`, which works even where nothing may be removed.
//! The holder looks for that object before it publishes, so a run that was thought dead makes no
//! level. What the run of such a claim left can then be removed: the claim is how it is found.
//!
//! Readers know nothing of this. Record: docs/design, "One writer at a time".
//!
//! | file | question |
//! |---|---|
//! | `request` | what does a caller ask for? |
//! | `claims` | which claims are in the store, and which hold? |
//! | `taking` | when does a claim become the lock, and how does it last? |

mod claims;
mod error;
mod request;
mod taking;

pub use claims::{ClaimState, HeldClaim, claims, end_claim, held_claims};
pub use error::LockError;
pub use request::{LockRequest, Patience};

use super::names::Term;
use super::{Access, Catalog};
use crate::model::{BackupName, Cancel, LevelId};
use crate::platform::{Clock, Running};
use jiff::Timestamp;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::thread;
use taking::{Locker, TakenLock};

/// The lock of a backup, as its holder sees it.
pub struct Held<'run> {
    locker: &'run Locker<'run>,
    id: LevelId,
    left: Vec<LevelId>,
    /// Term of the claim's newest object; the thread that renews the claim changes it.
    term: Arc<Mutex<Timestamp>>,
}

impl Held<'_> {
    /// Returns the claim's id, which the level to be made should have: if the run is cut off, its
    /// data is found by it.
    pub fn id(&self) -> &LevelId {
        &self.id
    }

    /// Returns the ids of runs that were cut off and left no level, but maybe data.
    pub fn left(&self) -> &[LevelId] {
        &self.left
    }

    /// Fails if the lock is no longer held. Call this just before a step that two processes must
    /// not take at once.
    ///
    /// # Errors
    ///
    /// [`LockError::Lost`].
    pub fn check(&self) -> Result<(), LockError> {
        let term = claims::lock(&self.term);
        let is_there = |term| {
            self.locker
                .claims()
                .is_there(&self.id, term)
                .map_err(|source| self.locker.failed(source))
        };
        let holds = is_there(Term::Until(*term))? && !is_there(Term::Over)?;
        holds
            .then_some(())
            .ok_or_else(|| LockError::Lost(self.backup().clone()))
    }

    /// Returns the time by the clock of the lock's holder.
    pub fn now(&self) -> Timestamp {
        self.locker.clock.now()
    }

    /// Returns the backup that is locked.
    pub fn backup(&self) -> &BackupName {
        self.locker.request.backup
    }

    /// Removes the claim of a run that was cut off. Returns whether it is gone.
    pub(super) fn remove_claim(&self, left: &LevelId) -> bool {
        self.locker.claims().remove(left)
    }

    /// Removes all objects of such a claim but the one that ends it. Returns whether that worked.
    pub(super) fn remove_terms(&self, left: &LevelId) -> bool {
        self.locker.claims().remove_terms(left)
    }
}

/// Does `work` with the lock of a backup, and gives the lock back.
///
/// `is_done` tells by the outcome whether the work is complete. If it is not, the claim stays,
/// ended, so that the next holder finds what the run has left.
///
/// # Errors
///
/// [`LockError`]; `work` was not begun then.
pub fn with_lock<T>(
    access: &Access,
    request: LockRequest<'_>,
    clock: &dyn Clock,
    cancel: &Cancel,
    is_done: impl Fn(&T) -> bool,
    work: impl FnOnce(&Held<'_>) -> T,
) -> Result<T, LockError> {
    let digest = access.machine_digest();
    let locker = Locker {
        store: access.store(),
        catalog: Catalog::new(access.store()),
        request,
        clock,
        process: digest.conceal(&Running::this_process()),
        digest,
    };
    let TakenLock { claim, left, until } = locker.take(cancel)?;
    let held = Held {
        locker: &locker,
        id: claim.id().clone(),
        left,
        term: Arc::new(Mutex::new(until)),
    };
    let outcome = thread::scope(|scope| {
        // Dropped when the work has ended, however it ends.
        let (_end, ended) = channel::<()>();
        let (locker, id, term) = (&locker, &held.id, Arc::clone(&held.term));
        scope.spawn(move || locker.renew(id, &term, &ended));
        work(&held)
    });
    if is_done(&outcome) {
        locker.claims().remove(&held.id);
    } else {
        locker.claims().try_to_end(&held.id);
    }
    Ok(outcome)
}
