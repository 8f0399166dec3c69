//! Makes a level exist: writes its manifest, under the lock, and reports what the run did.

use super::archive::TakenUp;
use super::base::Base;
use super::error::BackupError;
use super::index_writer::WrittenIndex;
use super::pipeline::WrittenLevel;
use super::plan::{RunClaim, RunPlan};
use super::request::RunContext;
use super::roots::root_node;
use crate::catalog::{Access, Catalog, offer_whole};
use crate::format::manifest::{
    self, Bytes, LevelParts, Manifest, ManifestBlock, ManifestParts, PathText, Run,
};
use crate::model::{Dated, LevelSerial, Ranges};
use crate::store::ObjectName;
use std::collections::BTreeMap;
use std::error::Error;
use std::path::PathBuf;
use std::time::Duration;

/// The outcome of a run.
#[derive(Clone, Debug)]
pub struct Report {
    /// The manifest that was published.
    pub manifest: Manifest,
    /// Content that was not stored again, because an interrupted run had stored it.
    pub taken: TakenUp,
    /// Earlier points in time that are more than a day in the future, by the clock of this run.
    pub ahead: Vec<Dated>,
    /// How long the run took.
    pub elapsed: Duration,
}

/// Publishes a level of which only the manifest is missing. `sources` are the paths it holds.
pub(super) fn publish(
    context: RunContext<'_>,
    plan: &RunPlan,
    claim: Option<RunClaim<'_>>,
    sources: Vec<PathBuf>,
    mut written: WrittenLevel,
) -> Result<Report, BackupError> {
    let access = context.access;
    let level = &plan.own.level;
    let (taken, checkpoint) = (written.tally.taken, written.checkpoint.take());
    offer_whole(access, level, plan.own.compression, written.data.segments);
    let manifest = manifest(context, plan, sources, written);
    let stored = manifest.seal(&plan.sealer).map_err(BackupError::Manifest)?;
    // The last look at the lock before the level exists.
    if let Some(claim) = claim {
        claim.held.check().map_err(BackupError::Lock)?;
    }
    let digest = manifest::digest(&stored);
    Catalog::new(access.store())
        .publish(&level.backup, &level.level, stored)
        .map_err(BackupError::Catalog)?;
    if let Some(witness) = access.witness() {
        witness.published(&level.backup, &level.level, manifest.serial, &digest);
    }
    remove_checkpoint(access, checkpoint);
    let passed = context.clock.now().duration_since(plan.began);
    log(&manifest, plan, taken);
    Ok(Report {
        manifest,
        taken,
        ahead: plan.ahead.clone(),
        elapsed: Duration::try_from(passed).unwrap_or_default(),
    })
}

fn manifest(
    context: RunContext<'_>,
    plan: &RunPlan,
    sources: Vec<PathBuf>,
    written: WrittenLevel,
) -> Manifest {
    let RunContext {
        request, access, ..
    } = context;
    let WrittenLevel { tally, .. } = written;
    let base = plan.base.as_deref();
    let bytes = Bytes {
        logical: tally.logical_bytes,
        stream: written.stream_bytes,
        stored: written.stored_bytes,
    };
    let index = index_runs(plan, written.index);
    let own = plan.own.parts(written.stream_bytes, written.data);
    let needed = needed_levels(plan, &index, written.live);
    Manifest::new(ManifestParts {
        store: access.store_id(),
        backup: request.backup.clone(),
        id: plan.own.level.level.clone(),
        serial: plan.own.serial,
        level: base.map_or(0, |base| base.manifest.level + 1),
        parent: base.map(Base::as_parent),
        chain: base.map(|base| base.manifest.chain),
        started: plan.started(),
        ended: context.clock.now(),
        zone: request.zone.clone(),
        sources: sources.into_iter().map(path_text).collect(),
        tags: request.tags.clone(),
        counts: tally.counts,
        bytes,
        engine: request.engine.name(),
        has_xattrs: tally.has_xattrs,
        index,
        levels: std::iter::once(own).chain(needed).collect(),
    })
}

fn path_text(path: PathBuf) -> PathText {
    path.into_os_string().into_encoded_bytes().into()
}

/// Returns the runs of the index, newest first: the new one, and the earlier ones that are kept.
fn index_runs(plan: &RunPlan, index: WrittenIndex) -> Vec<Run> {
    let earlier = plan
        .base
        .as_ref()
        .map(|base| &base.manifest.index[..])
        .unwrap_or_default();
    let kept = earlier
        .iter()
        .skip(earlier.len().saturating_sub(index.kept));
    let new = index.run.map(|run| {
        let head = run.head.into_iter().map(|block| ManifestBlock {
            number: block.number.0,
            node: block.raw,
        });
        Run {
            serial: plan.own.serial,
            root: root_node(run.root),
            segments: index.segments,
            subtrees: run.subtrees,
            head: head.collect(),
        }
    });
    new.into_iter().chain(kept.cloned()).collect()
}

/// Returns the earlier levels, and the streams of interrupted runs, that hold content or index
/// blocks of the new point in time.
fn needed_levels(
    plan: &RunPlan,
    index: &[Run],
    mut live: BTreeMap<LevelSerial, Ranges>,
) -> Vec<LevelParts> {
    let earlier = plan.earlier();
    let has_index = |parts: &LevelParts| index.iter().any(|run| run.serial == parts.serial);
    let is_other = |parts: &&LevelParts| earlier.iter().all(|other| other.serial != parts.serial);
    let taken_from = plan.unfinished().iter().filter(is_other);
    taken_from
        .chain(earlier)
        .filter_map(|parts| {
            let live = live.remove(&parts.serial);
            (live.is_some() || has_index(parts)).then(|| LevelParts {
                live: Some(live.unwrap_or_default()),
                ..parts.clone()
            })
        })
        .collect()
}

/// Removes the newest checkpoint, which is of no use once the level exists.
fn remove_checkpoint(access: &Access, checkpoint: Option<ObjectName>) {
    let removed = checkpoint.map_or(Ok(()), |name| access.store().delete(&name));
    removed.unwrap_or_else(|error| {
        tracing::debug!(
            error = &error as &dyn Error,
            "could not remove the last checkpoint"
        )
    });
}

fn log(manifest: &Manifest, plan: &RunPlan, taken: TakenUp) {
    let level = &plan.own.level;
    tracing::info!(
        backup = %level.backup,
        level = %level.level,
        entries = manifest.counts.entries,
        stored_bytes = manifest.bytes.stored,
        "published"
    );
    if taken.files > 0 {
        tracing::info!(
            files = taken.files,
            bytes = taken.bytes,
            "took up content of an interrupted run"
        );
    }
}
