//! Takes the lock of a backup, and renews it while it is held.

use super::claims::{Claims, OwnClaim, lock};
use super::error::LockError;
use super::request::{LockRequest, Patience};
use crate::catalog::Catalog;
use crate::catalog::names::{self, Term};
use crate::format::claim::{Claim, MachineDigest};
use crate::model::{Cancel, Interrupted, LevelId};
use crate::platform::{Clock, Running, monotonic, pause};
use crate::store::{self, Store};
use jiff::{SignedDuration, Timestamp};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// How long a claim holds without being renewed: how long a machine that died keeps others out.
const LEASE: SignedDuration = SignedDuration::from_mins(10);

/// How often a claim is renewed.
const RENEW_EVERY: Duration = Duration::from_secs(120);

/// How long the earlier of two that claim at once waits for the other to give way.
const GRACE: Duration = Duration::from_secs(5);

/// How often a waiting process looks again.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// A lock that was taken.
pub(super) struct TakenLock {
    pub(super) claim: OwnClaim,
    /// Ids of runs that were cut off.
    pub(super) left: Vec<LevelId>,
    /// How long the claim holds.
    pub(super) until: Timestamp,
}

/// What the claims of others mean for our own.
enum Others {
    /// This claim, the earliest of those that hold, keeps us out.
    Hold(LevelId),
    /// None holds. These are of runs that were cut off, and have been ended.
    Left(Vec<LevelId>),
}

/// Takes the lock of one backup.
pub(super) struct Locker<'run> {
    pub(super) store: Arc<dyn Store>,
    pub(super) catalog: Catalog,
    pub(super) request: LockRequest<'run>,
    pub(super) clock: &'run dyn Clock,
    /// This process, as its claims describe it.
    pub(super) process: Running,
    pub(super) digest: MachineDigest,
}

impl Locker<'_> {
    pub(super) fn claims(&self) -> Claims<'_> {
        Claims {
            store: self.store.as_ref(),
            backup: self.request.backup,
            digest: &self.digest,
        }
    }

    pub(super) fn failed(&self, source: store::Error) -> LockError {
        LockError::Store {
            backup: self.request.backup.clone(),
            source,
        }
    }

    /// Claims the backup until it has the lock.
    pub(super) fn take(&self, cancel: &Cancel) -> Result<TakenLock, LockError> {
        let began = monotonic();
        let mut told = false;
        let mut seen = Vec::new();
        loop {
            let id = self.new_id(&seen)?;
            let claim = OwnClaim::enter(&id);
            let until = self.put(&id)?;
            match self.others_of(&id, cancel)? {
                // The id has to say that it is out of order among those too: see `Left`.
                Others::Left(left)
                    if left.iter().any(|left| *left > id) && !id.is_out_of_order() =>
                {
                    self.claims().remove(&id);
                    seen = left;
                }
                Others::Left(left) => return Ok(TakenLock { claim, left, until }),
                Others::Hold(first) => {
                    self.claims().remove(&id);
                    self.wait_for(&first, began, &mut told, cancel)?;
                }
            }
        }
    }

    /// Looks at the claims of others until ours is the earliest, or one keeps us out.
    fn others_of(&self, id: &LevelId, cancel: &Cancel) -> Result<Others, LockError> {
        let claimed = monotonic();
        loop {
            match self.others(id)? {
                // The later claim gives way. The earlier one waits for that, but not for ever: the
                // other may have the lock.
                Others::Hold(first)
                    if first > *id && claimed.elapsed() <= GRACE && !cancel.is_requested() =>
                {
                    pause(LOOK_EVERY, cancel);
                }
                others => return Ok(others),
            }
        }
    }

    /// Waits a moment for the holder of a claim, or fails where the caller waits no longer.
    fn wait_for(
        &self,
        first: &LevelId,
        began: Instant,
        told: &mut bool,
        cancel: &Cancel,
    ) -> Result<(), LockError> {
        if cancel.is_requested() {
            return Err(LockError::Interrupted {
                backup: self.request.backup.clone(),
                source: Interrupted,
            });
        }
        let held = self.held_by(first);
        let may_wait = match self.request.patience {
            Patience::None => false,
            Patience::For(most) => began.elapsed() < most,
            Patience::Endless => true,
        };
        if !may_wait {
            return Err(held);
        }
        if !std::mem::replace(told, true) {
            tracing::warn!("{held}; waiting for it");
        }
        pause(LOOK_EVERY, cancel);
        Ok(())
    }

    /// Makes an id of now, beside those of all levels and of what earlier runs left.
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

    /// Stores the claim with a new term. Returns how long it holds.
    fn put(&self, id: &LevelId) -> Result<Timestamp, LockError> {
        let until = self
            .clock
            .now()
            .checked_add(LEASE)
            .unwrap_or(Timestamp::MAX);
        let name = names::claim_name(self.request.backup, id, Term::Until(until));
        let claim = Claim::new(
            &self.digest.conceal_host(self.request.host),
            self.request.action,
            id.started(),
            self.process.clone(),
        );
        self.store
            .put(&name, &vec![claim.encode()])
            .map_err(|source| self.failed(source))?;
        Ok(until)
    }

    /// Looks at the claims of others once. Where none holds, ends those that are left.
    fn others(&self, id: &LevelId) -> Result<Others, LockError> {
        let claims = self.claims();
        let now = self.clock.now();
        let mut others = claims.list(now).map_err(|source| self.failed(source))?;
        others.remove(id);
        let mut left = Vec::new();
        for (level, other) in others {
            if !other.is_over {
                let Some(until) = other.until else { continue };
                if until > now && !claims.has_surely_ended(&level, until) {
                    return Ok(Others::Hold(level));
                }
                claims.end(&level).map_err(|source| self.failed(source))?;
            }
            left.push(level);
        }
        Ok(Others::Left(left))
    }

    fn held_by(&self, id: &LevelId) -> LockError {
        let backup = self.request.backup.clone();
        match self.claims().read_any(id) {
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

    /// Renews the claim until the work has ended.
    pub(super) fn renew(&self, id: &LevelId, term: &Mutex<Timestamp>, ended: &Receiver<()>) {
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
}
