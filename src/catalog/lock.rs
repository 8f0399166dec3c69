//! One writer of a backup at a time, on stores that can do no more than put, get, list and delete.
//!
//! Who wants to change a backup stores a *claim* under an id of its own and then lists all claims.
//! It has the lock when no other claim holds. Of two that see each other the one with the later id
//! gives way, and the earlier waits for that: as each stores before it lists, at least one sees the
//! other, and never do both go on. The id is that of the level to be made.
//!
//! A claim holds until the moment in its name; a thread renews it with a new object. Where the
//! claim's process is known to have ended, it does not hold. Whoever goes on in spite of a claim
//! first puts an end to it (an object `over`, which can be added even where nothing may be
//! removed), and the holder looks for that before it publishes: so one that was thought dead makes
//! no level. What such a claim's run left can then be removed: the claim is how it is found.
//!
//! Readers know nothing of this. Record: docs/design, "One writer at a time".

use super::names::{self, LevelOf, Meaning, Term};
use super::{Catalog, CatalogError};
use crate::format::claim::{Claim, MAX_CLAIM_BYTES};
use crate::model::{Advice, BackupName, Cancel, Interrupted, LevelId};
use crate::platform::{Clock, Running, pause};
use crate::store::{self, Kind, Store};
use jiff::{SignedDuration, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

/// How long a claim holds without being renewed: how long a machine that died keeps others out.
const LEASE: SignedDuration = SignedDuration::from_mins(10);

/// How often it is renewed.
const RENEW_EVERY: Duration = Duration::from_secs(120);

/// How long the earlier of two that claim at once waits for the other to give way.
const GRACE: Duration = Duration::from_secs(5);

/// How often one that waits looks again.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// The claims of this process: one that is not among them was left by a run that failed to end it.
static OURS: Mutex<BTreeSet<LevelId>> = Mutex::new(BTreeSet::new());

/// What to do while another has the lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// Fail at once.
    None,
    /// Wait so long for it.
    For(Duration),
    /// Wait until it is free.
    Endless,
}

/// Who wants the lock of what.
#[derive(Clone, Copy)]
pub struct LockRequest<'run> {
    /// The backup that is to be changed.
    pub backup: &'run BackupName,
    /// This machine's name, to be told to others.
    pub host: &'run str,
    /// What is going to be done, such as `backup`.
    pub action: &'run str,
    /// What to do while another has it.
    pub patience: Patience,
}

/// Why there is no lock.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another has it.
    #[error("{backup} is in use: {action} by process {pid} on {host}, since {since}")]
    Held {
        /// The backup.
        backup: BackupName,
        /// What the other does.
        action: String,
        /// Its machine.
        host: String,
        /// Its number there.
        pid: u32,
        /// When it began.
        since: Timestamp,
    },
    /// Another has it, and what it says of itself cannot be read.
    #[error("{backup} is in use by a run that began {since}")]
    HeldByUnknown {
        /// The backup.
        backup: BackupName,
        /// When it began.
        since: Timestamp,
    },
    /// It was taken away: another thought this run dead.
    #[error(
        "the lock of {0} was lost while it was held: the machine stood still, or the store could not be reached for too long"
    )]
    Lost(BackupName),
    /// It was asked to stop while it waited.
    #[error("it was interrupted while it waited for {backup}")]
    Interrupted {
        /// The backup.
        backup: BackupName,
        /// The wish to stop.
        source: Interrupted,
    },
    /// The store failed.
    #[error("could not lock {backup}")]
    Store {
        /// The backup.
        backup: BackupName,
        /// What the store said.
        source: store::Error,
    },
    /// The levels could not be listed.
    #[error("could not lock")]
    Catalog(#[source] CatalogError),
    /// No random number could be had.
    #[error("could not lock")]
    Random(#[source] getrandom::Error),
}

impl Advice for LockError {
    fn hint(&self) -> Option<&str> {
        match self {
            Self::Held { .. } | Self::HeldByUnknown { .. } => Some(
                "wait for it to end with --wait; if it died on another machine, its claim ends \
                 after ten minutes",
            ),
            Self::Lost(_) => Some("run it again: earlier points in time are unharmed"),
            Self::Interrupted { .. } | Self::Store { .. } | Self::Catalog(_) | Self::Random(_) => {
                None
            }
        }
    }
}

/// The lock of a backup, as its holder sees it.
pub struct Held<'run> {
    locks: &'run Locks<'run>,
    id: LevelId,
    left: Vec<LevelId>,
    /// The newest object of the claim; the thread that renews it changes it.
    term: Arc<Mutex<Timestamp>>,
}

impl Held<'_> {
    /// The claim's id, which the level to be made should have: what a run leaves that is cut off is
    /// found by it.
    pub fn id(&self) -> &LevelId {
        &self.id
    }

    /// The ids of runs that were cut off and left no level, but maybe data.
    pub fn left(&self) -> &[LevelId] {
        &self.left
    }

    /// Whether the lock is still held. To be asked just before what must not be done by two.
    ///
    /// # Errors
    ///
    /// [`LockError::Lost`].
    pub fn check(&self) -> Result<(), LockError> {
        let term = lock(&self.term);
        let is_there = |term| self.locks.is_there(&self.id, term);
        let holds = is_there(Term::Until(*term))? && !is_there(Term::Over)?;
        holds
            .then_some(())
            .ok_or_else(|| LockError::Lost(self.locks.request.backup.clone()))
    }

    /// What time it is, by the clock of who holds this.
    pub fn now(&self) -> Timestamp {
        self.locks.clock.now()
    }

    /// The backup that is locked.
    pub fn backup(&self) -> &BackupName {
        self.locks.request.backup
    }

    /// Removes the claim of a run that was cut off. Returns whether it is gone.
    pub(super) fn remove_claim(&self, left: &LevelId) -> bool {
        self.locks.remove(left)
    }

    /// Removes all of such a claim but that it was ended: finds out whether anything may be
    /// removed, and it is found again all the same.
    pub(super) fn remove_terms(&self, left: &LevelId) -> bool {
        let mut terms = Vec::new();
        let listed = self
            .locks
            .store
            .list(&self.locks.folder(left), &mut |object| {
                if let Some(Meaning::Claim(_, Term::Until(_))) = names::meaning(&object.name) {
                    terms.push(object.name);
                }
                true
            });
        listed
            .and_then(|()| {
                terms
                    .iter()
                    .try_for_each(|name| self.locks.store.delete(name))
            })
            .is_ok()
    }
}

/// Does `work` with the lock of a backup, and gives the lock back. How `work` ends decides what is
/// left: after a failure (`is_done` says which) the claim stays, ended, so that the next holder
/// finds what the run has left.
///
/// # Errors
///
/// [`LockError`], and then `work` was not begun.
pub fn with_lock<T>(
    store: &dyn Store,
    catalog: &Catalog,
    request: LockRequest<'_>,
    clock: &dyn Clock,
    cancel: &Cancel,
    is_done: impl Fn(&T) -> bool,
    work: impl FnOnce(&Held<'_>) -> T,
) -> Result<T, LockError> {
    let locks = Locks {
        store,
        catalog,
        request,
        clock,
        process: Running::this_process(),
    };
    let (ours, left, term) = locks.take(cancel)?;
    let held = Held {
        locks: &locks,
        id: ours.0.clone(),
        left,
        term: Arc::new(Mutex::new(term)),
    };
    let outcome = thread::scope(|scope| {
        // Dropped when the work has ended, however it ends.
        let (_end, ended) = channel::<()>();
        let (locks, id, term) = (&locks, &held.id, Arc::clone(&held.term));
        scope.spawn(move || locks.renew(id, &term, &ended));
        work(&held)
    });
    if is_done(&outcome) {
        locks.remove(&held.id);
    } else {
        locks.end(&held.id).unwrap_or_else(
            |error| tracing::warn!(%error, "could not end the claim; it ends by itself"),
        );
    }
    Ok(outcome)
}

/// The claims of a backup, each with whether it holds: whether a run seems to be at work. Changes
/// nothing.
///
/// # Errors
///
/// That of the store; a claim that cannot be read holds until its time is over.
pub fn claims(
    store: &dyn Store,
    backup: &BackupName,
    now: Timestamp,
) -> Result<Vec<(LevelId, bool)>, store::Error> {
    let claims = list(store, backup)?;
    let holds = |(level, claim): (LevelId, Other)| {
        let holds = !claim.is_over
            && claim.until.is_some_and(|until| {
                until > now && !has_surely_ended(store, backup, &level, until)
            });
        (level, holds)
    };
    Ok(claims.into_iter().map(holds).collect())
}

/// A claim of another.
struct Other {
    until: Option<Timestamp>,
    is_over: bool,
}

/// All claims that are there.
fn list(store: &dyn Store, backup: &BackupName) -> Result<BTreeMap<LevelId, Other>, store::Error> {
    let mut claims: BTreeMap<LevelId, Other> = BTreeMap::new();
    store.list(&names::locks_prefix(backup), &mut |object| {
        if let Some(Meaning::Claim(LevelOf { level, .. }, term)) = names::meaning(&object.name) {
            let claim = claims.entry(level).or_insert(Other {
                until: None,
                is_over: false,
            });
            match term {
                Term::Until(until) => claim.until = claim.until.max(Some(until)),
                Term::Over => claim.is_over = true,
            }
        }
        true
    })?;
    Ok(claims)
}

fn read(store: &dyn Store, backup: &BackupName, id: &LevelId, until: Timestamp) -> Option<Claim> {
    let name = names::claim_name(backup, id, Term::Until(until));
    let bytes = store.get(&name, MAX_CLAIM_BYTES).ok()?;
    Claim::decode(&bytes).ok()
}

fn has_surely_ended(
    store: &dyn Store,
    backup: &BackupName,
    id: &LevelId,
    until: Timestamp,
) -> bool {
    // Asked first: whoever gives a claim up removes it, and is forgotten after that. One that can
    // still be read then was left.
    let is_forgotten = !lock(&OURS).contains(id);
    read(store, backup, id, until).is_some_and(|claim| {
        (claim.process.is_this_process() && is_forgotten) || claim.process.has_surely_ended()
    })
}

struct Locks<'run> {
    store: &'run dyn Store,
    catalog: &'run Catalog,
    request: LockRequest<'run>,
    clock: &'run dyn Clock,
    process: Running,
}

impl Locks<'_> {
    fn failed(&self, source: store::Error) -> LockError {
        LockError::Store {
            backup: self.request.backup.clone(),
            source,
        }
    }

    /// Claims until it has the lock. Gives the claim, what earlier ones left, and how long it
    /// holds.
    fn take(&self, cancel: &Cancel) -> Result<(Ours, Vec<LevelId>, Timestamp), LockError> {
        let began = crate::platform::monotonic();
        let may_wait = || match self.request.patience {
            Patience::None => false,
            Patience::For(most) => began.elapsed() < most,
            Patience::Endless => true,
        };
        let mut told = false;
        let mut seen = Vec::new();
        loop {
            let id = self.new_id(&seen)?;
            let ours = Ours::enter(&id);
            let until = self.put(&id)?;
            let claimed = crate::platform::monotonic();
            let outcome = loop {
                let (first, left) = self.others(&id)?;
                let Some(first) = first else { break Ok(left) };
                // The later one gives way. The earlier one waits for that, but not for ever: the
                // other may have the lock.
                if first < id || claimed.elapsed() > GRACE || cancel.is_requested() {
                    break Err(first);
                }
                pause(LOOK_EVERY, cancel);
            };
            match outcome {
                // The id has to say that it is out of order among those too: see `Left`.
                Ok(left) if left.iter().any(|left| *left > id) && !id.is_out_of_order() => {
                    self.remove(&id);
                    seen = left;
                }
                Ok(left) => return Ok((ours, left, until)),
                Err(first) => {
                    self.remove(&id);
                    if cancel.is_requested() {
                        return Err(LockError::Interrupted {
                            backup: self.request.backup.clone(),
                            source: Interrupted,
                        });
                    }
                    let held = self.held_by(&first);
                    if !may_wait() {
                        return Err(held);
                    }
                    if !std::mem::replace(&mut told, true) {
                        tracing::warn!("{held}; waiting for it");
                    }
                    pause(LOOK_EVERY, cancel);
                }
            }
        }
    }

    /// An id of now, beside those of all levels and of what earlier runs left.
    fn new_id(&self, left: &[LevelId]) -> Result<LevelId, LockError> {
        let levels = self
            .catalog
            .levels(self.request.backup)
            .map_err(LockError::Catalog)?;
        Ok(LevelId::next(
            self.clock.now(),
            getrandom::u32().map_err(LockError::Random)?,
            levels.iter().chain(left),
        ))
    }

    /// Stores the claim with a new term.
    fn put(&self, id: &LevelId) -> Result<Timestamp, LockError> {
        let until = self
            .clock
            .now()
            .checked_add(LEASE)
            .unwrap_or(Timestamp::MAX);
        let name = names::claim_name(self.request.backup, id, Term::Until(until));
        let claim = Claim::new(
            self.request.host,
            self.request.action,
            id.started(),
            self.process.clone(),
        );
        self.store
            .put(&name, &vec![claim.encode()])
            .map_err(|source| self.failed(source))?;
        Ok(until)
    }

    /// The earliest claim of others that holds; and if none does, those that hold no longer, ended
    /// by us.
    fn others(&self, id: &LevelId) -> Result<(Option<LevelId>, Vec<LevelId>), LockError> {
        let mut others =
            list(self.store, self.request.backup).map_err(|source| self.failed(source))?;
        others.remove(id);
        let now = self.clock.now();
        let mut left = Vec::new();
        for (level, other) in others {
            if !other.is_over {
                let Some(until) = other.until else { continue };
                if until > now && !has_surely_ended(self.store, self.request.backup, &level, until)
                {
                    return Ok((Some(level), Vec::new()));
                }
                self.end(&level).map_err(|source| self.failed(source))?;
            }
            left.push(level);
        }
        Ok((None, left))
    }

    fn held_by(&self, id: &LevelId) -> LockError {
        let backup = self.request.backup.clone();
        let mut claim = None;
        let listed = self.store.list(&self.folder(id), &mut |object| {
            if let Some(Meaning::Claim(_, Term::Until(until))) = names::meaning(&object.name) {
                claim = read(self.store, self.request.backup, id, until);
            }
            claim.is_none()
        });
        match claim.filter(|_| listed.is_ok()) {
            Some(Claim {
                host,
                action,
                since,
                process,
                ..
            }) => LockError::Held {
                backup,
                action,
                host,
                pid: process.pid,
                since,
            },
            None => LockError::HeldByUnknown {
                backup,
                since: id.started(),
            },
        }
    }

    fn folder(&self, id: &LevelId) -> String {
        format!("{}{id}/", names::locks_prefix(self.request.backup))
    }

    fn is_there(&self, id: &LevelId, term: Term) -> Result<bool, LockError> {
        match self.store.get(
            &names::claim_name(self.request.backup, id, term),
            MAX_CLAIM_BYTES,
        ) {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == Kind::Missing => Ok(false),
            Err(source) => Err(self.failed(source)),
        }
    }

    /// Renews the claim until the work has ended.
    fn renew(&self, id: &LevelId, term: &Mutex<Timestamp>, ended: &Receiver<()>) {
        while ended.recv_timeout(RENEW_EVERY) == Err(RecvTimeoutError::Timeout) {
            match self.put(id) {
                Ok(until) => {
                    let before = std::mem::replace(&mut *lock(term), until);
                    if before != until {
                        let name = names::claim_name(self.request.backup, id, Term::Until(before));
                        self.store.delete(&name).unwrap_or_else(
                            |error| tracing::debug!(%error, "an earlier term of the claim stays"),
                        );
                    }
                }
                Err(error) => tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "could not renew the claim"
                ),
            }
        }
    }

    /// Says that a claim holds no longer, and leaves it where it is.
    fn end(&self, id: &LevelId) -> Result<(), store::Error> {
        self.store.put(
            &names::claim_name(self.request.backup, id, Term::Over),
            &vec![],
        )
    }

    /// Removes a claim, or ends it where nothing may be removed. Returns whether it is gone.
    fn remove(&self, id: &LevelId) -> bool {
        let mut objects = Vec::new();
        let listed = self.store.list(&self.folder(id), &mut |object| {
            objects.push(object.name);
            true
        });
        // The name `over` comes last: until all else is gone, the claim is ended.
        let removed =
            listed.and_then(|()| objects.iter().try_for_each(|name| self.store.delete(name)));
        if let Err(error) = &removed {
            tracing::debug!(%error, "the claim stays, and is ended");
            let over = names::claim_name(self.request.backup, id, Term::Over);
            if !objects.contains(&over) {
                self.end(id).unwrap_or_else(
                    |error| tracing::warn!(%error, "could not end the claim; it ends by itself"),
                );
            }
        }
        removed.is_ok()
    }
}

/// A claim of this process, for as long as this lives.
struct Ours(LevelId);

impl Ours {
    fn enter(id: &LevelId) -> Self {
        lock(&OURS).insert(id.clone());
        Self(id.clone())
    }
}

impl Drop for Ours {
    fn drop(&mut self) {
        lock(&OURS).remove(&self.0);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}
