//! The claims to a backup as objects in its store: listed, read, ended and removed.

use crate::catalog::names::{self, LevelOf, Meaning, Term};
use crate::catalog::{Access, objects_below};
use crate::format::claim::{Claim, MAX_CLAIM_BYTES, MachineDigest};
use crate::model::order::is_ahead;
use crate::model::{BackupName, LevelId};
use crate::platform::{Running, host_name};
use crate::store::{self, ErrorKind, ObjectName, Store, StoreExt};
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The claims that this process holds. Any other claim of this process was left by a run that
/// failed to end it.
static OURS: Mutex<BTreeSet<LevelId>> = Mutex::new(BTreeSet::new());

/// A claim of this process, for as long as this lives.
pub(super) struct OwnClaim(LevelId);

impl OwnClaim {
    pub(super) fn enter(id: &LevelId) -> Self {
        lock(&OURS).insert(id.clone());
        Self(id.clone())
    }

    pub(super) fn id(&self) -> &LevelId {
        &self.0
    }
}

impl Drop for OwnClaim {
    fn drop(&mut self) {
        lock(&OURS).remove(&self.0);
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the names of a claim's objects say.
#[derive(Default)]
pub(super) struct ListedClaim {
    /// The latest term; `None` when only the end of the claim is left.
    pub(super) until: Option<Timestamp>,
    /// Whether an object says that the claim has ended.
    pub(super) is_over: bool,
}

/// The claims to one backup.
#[derive(Clone, Copy)]
pub(super) struct Claims<'run> {
    pub(super) store: &'run dyn Store,
    pub(super) backup: &'run BackupName,
    pub(super) digest: &'run MachineDigest,
}

impl Claims<'_> {
    /// Lists all claims, by their ids.
    ///
    /// No run claims a backup for more than minutes. A term that ends more than a day from now is
    /// not believed: whoever can add objects to the store could keep runs out for ever.
    pub(super) fn list(
        &self,
        now: Timestamp,
    ) -> Result<BTreeMap<LevelId, ListedClaim>, store::Error> {
        let mut claims: BTreeMap<LevelId, ListedClaim> = BTreeMap::new();
        let prefix = names::locks_prefix(self.backup);
        self.store.list(&prefix, &mut |object| {
            if let Some(Meaning::Claim(LevelOf { level, .. }, term)) = names::meaning(&object.name)
            {
                let claim = claims.entry(level).or_default();
                match term {
                    Term::Until(until) if is_ahead(until, now) => tracing::warn!(
                        object = %object.name,
                        "a claim to the backup holds longer than any run asks for: it does not \
                         count"
                    ),
                    Term::Until(until) => claim.until = claim.until.max(Some(until)),
                    Term::Over => claim.is_over = true,
                }
            }
            true
        })?;
        Ok(claims)
    }

    /// Reads one object of a claim, with the host as people are told it; `None` when it cannot be
    /// read.
    pub(super) fn read(&self, id: &LevelId, until: Timestamp) -> Option<Claim> {
        let name = names::claim_name(self.backup, id, Term::Until(until));
        let bytes = self.store.get(&name, MAX_CLAIM_BYTES).ok()?;
        let mut claim = Claim::decode(&bytes).ok()?;
        let own = host_name().unwrap_or_default();
        claim.host = self.digest.shown_host(claim.host, &own);
        Some(claim)
    }

    /// Reads the first object of a claim that can be read.
    pub(super) fn read_any(&self, id: &LevelId) -> Option<Claim> {
        let mut claim = None;
        let prefix = names::claim_prefix(self.backup, id);
        let listed = self.store.list(&prefix, &mut |object| {
            if let Some(Meaning::Claim(_, Term::Until(until))) = names::meaning(&object.name) {
                claim = self.read(id, until);
            }
            claim.is_none()
        });
        claim.filter(|_| listed.is_ok())
    }

    /// Returns whether the process of a claim is known to have ended.
    pub(super) fn has_surely_ended(&self, id: &LevelId, until: Timestamp) -> bool {
        // Asked first: a process that gives a claim up removes it and then forgets it. A forgotten
        // claim that can still be read was left.
        let is_forgotten = !lock(&OURS).contains(id);
        self.read(id, until).is_some_and(|claim| {
            let this = self
                .digest
                .counterpart(&claim.process, &Running::this_process());
            (claim.process.is(&this) && is_forgotten) || claim.process.has_surely_ended_for(&this)
        })
    }

    /// Returns whether a claim has an object with this term.
    pub(super) fn is_there(&self, id: &LevelId, term: Term) -> Result<bool, store::Error> {
        let name = names::claim_name(self.backup, id, term);
        match self.store.get(&name, MAX_CLAIM_BYTES) {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == ErrorKind::Missing => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Ends a claim, and leaves it where it is.
    pub(super) fn end(&self, id: &LevelId) -> Result<(), store::Error> {
        let over = names::claim_name(self.backup, id, Term::Over);
        self.store.put(&over, &vec![])
    }

    /// Ends a claim. Where that fails, the claim ends when its term is over.
    pub(super) fn try_to_end(&self, id: &LevelId) {
        if let Err(error) = self.end(id) {
            tracing::warn!(%error, "could not end the claim; it ends by itself");
        }
    }

    /// Removes a claim, or ends it where nothing may be removed. Returns whether it is gone.
    pub(super) fn remove(&self, id: &LevelId) -> bool {
        let mut objects = Vec::new();
        let prefix = names::claim_prefix(self.backup, id);
        let listed = self.store.list(&prefix, &mut |object| {
            objects.push(object.name);
            true
        });
        // The name `over` comes last: until all else is gone, the claim is ended.
        let removed =
            listed.and_then(|()| objects.iter().try_for_each(|name| self.store.delete(name)));
        if let Err(error) = &removed {
            tracing::debug!(%error, "the claim stays, and is ended");
            let over = names::claim_name(self.backup, id, Term::Over);
            if !objects.contains(&over) {
                self.try_to_end(id);
            }
        }
        removed.is_ok()
    }

    /// Removes all objects of a claim but the one that ends it: that shows whether anything may be
    /// removed, and the claim is found again all the same. Returns whether it worked.
    pub(super) fn remove_terms(&self, id: &LevelId) -> bool {
        let is_term = |name: &ObjectName| {
            matches!(
                names::meaning(name),
                Some(Meaning::Claim(_, Term::Until(_)))
            )
        };
        objects_below(self.store, &names::claim_prefix(self.backup, id))
            .and_then(|objects| {
                objects
                    .iter()
                    .filter(|object| is_term(&object.name))
                    .try_for_each(|object| self.store.delete(&object.name))
            })
            .is_ok()
    }
}

/// A claim, and whether a run seems to be at work under it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimState {
    /// Id of the claim: that of the level that its run is to make.
    pub level: LevelId,
    /// Whether the claim holds.
    pub holds: bool,
}

/// Returns the claims to a backup, and which of them hold. Changes nothing.
///
/// # Errors
///
/// Returns the store's error. A claim that cannot be read holds until its time is over.
pub fn claims(
    access: &Access,
    backup: &BackupName,
    now: Timestamp,
) -> Result<Vec<ClaimState>, store::Error> {
    let (store, digest) = (access.store(), access.machine_digest());
    let claims = Claims {
        store: store.as_ref(),
        backup,
        digest: &digest,
    };
    let listed = claims.list(now)?;
    let state = |(level, claim): (LevelId, ListedClaim)| {
        let holds = !claim.is_over
            && claim
                .until
                .is_some_and(|until| until > now && !claims.has_surely_ended(&level, until));
        ClaimState { level, holds }
    };
    Ok(listed.into_iter().map(state).collect())
}

/// A claim that holds, to be shown to people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldClaim {
    /// Id of the claim.
    pub level: LevelId,
    /// When the claim ends by itself.
    pub until: Timestamp,
    /// What the claim says; `None` when it cannot be read.
    pub claim: Option<Claim>,
}

/// Returns the claims to a backup that hold. Changes nothing.
///
/// # Errors
///
/// Returns the store's error.
pub fn held_claims(
    access: &Access,
    backup: &BackupName,
    now: Timestamp,
) -> Result<Vec<HeldClaim>, store::Error> {
    let (store, digest) = (access.store(), access.machine_digest());
    let claims = Claims {
        store: store.as_ref(),
        backup,
        digest: &digest,
    };
    let held = claims.list(now)?.into_iter().filter_map(|(level, listed)| {
        let until = listed.until.filter(|until| *until > now)?;
        (!listed.is_over && !claims.has_surely_ended(&level, until)).then(|| HeldClaim {
            claim: claims.read(&level, until),
            level,
            until,
        })
    });
    Ok(held.collect())
}

/// Ends a claim, whoever holds it. A run that works under it makes no level.
///
/// # Errors
///
/// Returns the store's error.
pub fn end_claim(
    access: &Access,
    backup: &BackupName,
    level: &LevelId,
) -> Result<(), store::Error> {
    let over = names::claim_name(backup, level, Term::Over);
    access.store().put(&over, &vec![])
}
