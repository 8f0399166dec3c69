//! The plan of a run, settled before it stores anything.

use super::base::Base;
use super::checkpoint::CheckpointRule;
use super::error::BackupError;
use super::own_level::OwnLevel;
use super::request::RunContext;
use super::resume::Resumed;
use crate::catalog::names::{self, LevelOf};
use crate::catalog::{
    AccessError, CatalogError, Held, Left, LevelVerb, Order, next_serial_after_removed,
};
use crate::format::frame::{FrameError, Sealer};
use crate::format::manifest::{LevelParts, Manifest};
use crate::model::{Dated, LevelId, LevelSerial};
use crate::store;
use jiff::Timestamp;
use std::error::Error;
use std::sync::Arc;

/// Everything that a run decides before it stores anything.
pub(super) struct RunPlan {
    /// When the run began, by its own clock.
    pub(super) began: Timestamp,
    /// The level that the run makes.
    pub(super) own: OwnLevel,
    /// Seals everything that belongs to the level.
    pub(super) sealer: Sealer,
    /// The point in time that the level builds on; `None` for a full level.
    pub(super) base: Option<Arc<Base>>,
    /// The content that is taken up from interrupted runs, if there is any.
    pub(super) resumed: Option<Arc<Resumed>>,
    /// How often to take a checkpoint; `None` takes none.
    pub(super) checkpoints: Option<CheckpointRule>,
    /// How many files the newest point in time has.
    pub(super) files_before: u64,
    /// Earlier points in time that are dated more than a day in the future.
    pub(super) ahead: Vec<Dated>,
}

/// The lock of the backup, and what interrupted runs have left.
#[derive(Clone, Copy)]
pub(super) struct RunClaim<'run> {
    pub(super) held: &'run Held<'run>,
    pub(super) left: &'run Left,
}

impl RunPlan {
    /// Plans a run that began at `began`.
    pub(super) fn make(
        context: RunContext<'_>,
        claim: Option<RunClaim<'_>>,
        began: Timestamp,
    ) -> Result<Self, BackupError> {
        let RunContext {
            request, access, ..
        } = context;
        let order = Order::read(access, &request.backup, began).map_err(BackupError::Catalog)?;
        let base = Base::choose(&order, access, &request.backup, &request.levels, began);
        if let Some(base) = &base {
            let store = access.store();
            if let Some(lean_on) = store.powers().lean_on {
                lean_on(&names::manifest_name(&request.backup, &base.manifest.id))
                    .map_err(BackupError::Store)?;
            }
        }
        let resumed = claim.and_then(|claim| {
            let (backup, levels) = (&request.backup, &request.levels);
            Resumed::open(access, backup, claim.left, base.as_ref(), levels)
        });
        let newest = newest_manifest(context, &order)?;
        let files_before = base.as_ref().map_or_else(
            || newest.as_ref().map_or(0, |newest| newest.counts.files),
            |base| base.manifest.counts.files,
        );
        let serial = next_serial(context, &order, newest.as_ref(), claim)?;
        let id = next_id(&order, claim, began)?;
        Ok(Self {
            began,
            sealer: Sealer::new(access.store_id(), id.clone(), access.protection()),
            own: OwnLevel {
                level: LevelOf {
                    backup: request.backup.clone(),
                    level: id,
                },
                serial,
                compression: request.compression,
                compression_level: request.compression_level,
            },
            base: base.map(Arc::new),
            resumed: resumed.map(Arc::new),
            checkpoints: request.checkpoints.filter(|_| claim.is_some()),
            files_before,
            ahead: order.ahead(began).cloned().collect(),
        })
    }

    /// Returns when the level began. Its id may be later than the clock by less than a second,
    /// where another level began at the same moment; the earlier of both counts.
    pub(super) fn started(&self) -> Timestamp {
        self.began.min(self.own.level.level.started())
    }

    /// Returns the levels that the base leans on, itself among them.
    pub(super) fn earlier(&self) -> &[LevelParts] {
        self.base.as_deref().map(Base::levels).unwrap_or_default()
    }

    /// Returns the streams that content may be taken up from.
    pub(super) fn unfinished(&self) -> &[LevelParts] {
        self.resumed
            .as_deref()
            .map(Resumed::streams)
            .unwrap_or_default()
    }
}

/// Returns the newest manifest that can be read. A damaged level does not prevent new ones.
fn newest_manifest(
    context: RunContext<'_>,
    order: &Order,
) -> Result<Option<Manifest>, BackupError> {
    let backup = &context.request.backup;
    for level in order.levels().rev() {
        match context.access.manifest(backup, level) {
            Ok(manifest) => return Ok(Some(manifest)),
            Err(AccessError::Store(source)) if source.kind() == store::ErrorKind::Unavailable => {
                return Err(BackupError::Catalog(CatalogError::Level {
                    verb: LevelVerb::Open,
                    backup: backup.clone(),
                    level: level.clone(),
                    source,
                }));
            }
            Err(error) => {
                tracing::debug!(%level, error = &error as &dyn Error, "could not read its manifest")
            }
        }
    }
    Ok(None)
}

/// Returns a serial that is higher than that of every level, also of those that are gone, and of
/// every interrupted run.
fn next_serial(
    context: RunContext<'_>,
    order: &Order,
    newest: Option<&Manifest>,
    claim: Option<RunClaim<'_>>,
) -> Result<LevelSerial, BackupError> {
    let unfinished = claim.map(|claim| claim.left.streams()).unwrap_or_default();
    let newest_unfinished = unfinished.iter().map(|parts| parts.serial.0).max();
    let used = newest_unfinished
        .unwrap_or(0)
        .max(order.points().len() as u64);
    let after_removed = next_serial_after_removed(context.access, &context.request.backup)
        .map_err(BackupError::Catalog)?;
    let known = [newest.map(Manifest::next_serial), after_removed];
    let next = known.into_iter().flatten().max();
    Ok(LevelSerial(used.saturating_add(1)).max(next.unwrap_or(LevelSerial(0))))
}

/// Returns the id of the new level.
///
/// It is that of the claim, so that the next run finds everything of this one if it is interrupted.
/// Its date is that of the clock, whatever the other levels say.
fn next_id(
    order: &Order,
    claim: Option<RunClaim<'_>>,
    now: Timestamp,
) -> Result<LevelId, BackupError> {
    let claimed = claim.map(|claim| claim.held.id());
    if let Some(id) = claimed.filter(|id| order.levels().all(|level| level != *id)) {
        return Ok(id.clone());
    }
    let random = getrandom::u32().map_err(|error| BackupError::Frame(FrameError::Random(error)))?;
    Ok(LevelId::next(now, random, order.levels()))
}
