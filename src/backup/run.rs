//! One run, from the lock to the report. This is the whole story; each step has a file of its own.

use super::compare::SameContent;
use super::error::BackupError;
use super::levels::Levels;
use super::pipeline;
use super::plan::{RunClaim, RunPlan};
use super::publish::{Report, publish};
use super::request::{BackupLock, BackupRequest, RunContext};
use super::sources::Sources;
use crate::catalog::{
    Access, Catalog, CatalogError, Held, Left, LockError, LockRequest, with_lock,
};
use crate::model::{Cancel, Progress};
use crate::platform::{Clock, PatientCaller};
use std::error::Error;

/// Makes a level: one that holds what differs from the newest one, or a full level if there is none
/// to build on or none is wanted.
///
/// A file that cannot be read is reported to `progress`, left out and counted in the manifest.
/// Content that an interrupted run has stored, and that has not changed since, is not stored again.
///
/// # Errors
///
/// [`BackupError`]. There is no new level then. Nothing reads what the run has left in the store,
/// but the next run may take it up.
pub fn run(
    request: &BackupRequest,
    access: &Access,
    clock: &dyn Clock,
    progress: &dyn Progress,
    cancel: &Cancel,
) -> Result<Report, BackupError> {
    let context = RunContext {
        request,
        access,
        clock,
        progress,
        cancel,
    };
    match &request.lock {
        None => make_level(context, None),
        Some(lock) => run_locked(context, lock),
    }
}

/// Runs while other runs of the same backup are kept out.
fn run_locked(context: RunContext<'_>, lock: &BackupLock) -> Result<Report, BackupError> {
    let RunContext { access, clock, .. } = context;
    let lock = LockRequest {
        backup: &context.request.backup,
        host: &lock.host,
        action: "backup",
        patience: lock.patience,
    };
    let work = |held: &Held<'_>| {
        let left = take_stock(context, held);
        let report = make_level(context, Some(RunClaim { held, left: &left }))?;
        left.settle(access, held, &report.manifest)
            .unwrap_or_else(warn_not_removed);
        Ok(report)
    };
    let is_done = Result::is_ok;
    let cancel = context.cancel;
    match with_lock(access, lock, clock, cancel, is_done, work) {
        Err(LockError::Interrupted { source, .. }) => Err(BackupError::Interrupted(source)),
        other => other.map_err(BackupError::Lock)?,
    }
}

/// Finds the data of interrupted runs, and removes all that cannot be taken up.
fn take_stock(context: RunContext<'_>, held: &Held<'_>) -> Left {
    let RunContext {
        request, access, ..
    } = context;
    let left = Left::read(access, held, context.clock.now()).unwrap_or_else(|error| {
        tracing::warn!(
            error = &error as &dyn Error,
            "could not look for the data of interrupted runs"
        );
        Left::default()
    });
    // With `SameContent::Store` the streams of the levels alone make the tree, and content that is
    // taken up lies in none of them.
    let takes_up =
        request.checkpoints.is_some() && request.levels.same_content == SameContent::Lean;
    let left = if takes_up {
        left
    } else {
        left.without_checkpoints()
    };
    left.remove(access, held).unwrap_or_else(warn_not_removed);
    left
}

fn warn_not_removed(error: CatalogError) {
    tracing::warn!(
        error = &error as &dyn Error,
        "could not remove the data of an interrupted run"
    );
}

/// Makes the level. If the index of the level below cannot be read, makes a full one.
fn make_level(context: RunContext<'_>, claim: Option<RunClaim<'_>>) -> Result<Report, BackupError> {
    match attempt(context, claim) {
        Err(BackupError::Base(source)) => {
            tracing::warn!(
                error = &source as &dyn Error,
                "could not read the index of the previous level; this one is full"
            );
            claim.map_or(Ok(()), |claim| remove_attempt(context, claim))?;
            let full = BackupRequest {
                levels: Levels {
                    incremental: false,
                    ..context.request.levels
                },
                ..context.request.clone()
            };
            let request = &full;
            attempt(RunContext { request, ..context }, claim)
        }
        outcome => outcome,
    }
}

/// Removes what an attempt has stored: the next one has the same id. Another run that takes this
/// one for dead may build on that data, so the lock must still be held.
fn remove_attempt(context: RunContext<'_>, claim: RunClaim<'_>) -> Result<(), BackupError> {
    claim.held.check().map_err(BackupError::Lock)?;
    let catalog = Catalog::new(context.access.store());
    let removed = catalog.remove_leftover(&context.request.backup, claim.held.id());
    removed.map(drop).map_err(BackupError::Catalog)
}

/// Makes the level as the request says.
fn attempt(context: RunContext<'_>, claim: Option<RunClaim<'_>>) -> Result<Report, BackupError> {
    let began = context.clock.now();
    let caller = PatientCaller::new(context.request.source_timeout, context.cancel.clone());
    let sources = Sources::open(&context.request.sources, &caller).map_err(BackupError::Source)?;
    let plan = RunPlan::make(context, claim, began)?;
    let written = pipeline::write(context, &plan, sources.tree)?;
    publish(context, &plan, claim, sources.paths, written)
}
