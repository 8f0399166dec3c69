//! Makes a level exist: writes its manifest, under the lock, and reports what the run did.

use super::archive::TakenUp;
use super::base::Base;
use super::error::BackupError;
use super::index_writer::WrittenIndex;
use super::left_out::LeftOut;
use super::pipeline::WrittenLevel;
use super::plan::{RunClaim, RunPlan};
use super::request::RunContext;
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

/// Fewer files than this may vanish without a word.
const MANY_FILES: u64 = 20;

/// The outcome of a run.
#[derive(Clone, Debug)]
pub struct Report {
    /// The manifest that was published.
    pub manifest: Manifest,
    /// Content that was not stored again, because an interrupted run had stored it.
    pub taken: TakenUp,
    /// Earlier points in time that are more than a day in the future, by the clock of this run.
    pub ahead: Vec<Dated>,
    /// Directories that the level holds without their content, though nobody asked for that.
    pub left_out: Vec<LeftOut>,
    /// Whether one of several sources was not there.
    pub are_sources_missing: bool,
    /// How many files the newest point in time had before, where most of them are gone.
    pub vanished_from: Option<u64>,
    /// Whether nothing had changed, so that no level was made. The manifest is then that of the
    /// newest one.
    pub is_unchanged: bool,
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
    let before = plan.files_before;
    let now = written.tally.counts.files;
    if now == 0 && before > 0 && !context.request.allow_empty {
        return Err(BackupError::Emptied {
            backup: Box::new(level.backup.clone()),
            sources: sources.len(),
            files: before,
        });
    }
    let left_out = std::mem::take(&mut written.left_out);
    let are_sources_missing = written.are_sources_missing;
    let report = |manifest, is_unchanged| {
        let passed = context.clock.now().duration_since(plan.began);
        Report {
            manifest,
            taken,
            ahead: plan.ahead.clone(),
            left_out,
            are_sources_missing,
            vanished_from: has_most_vanished(before, now).then_some(before),
            is_unchanged,
            elapsed: Duration::try_from(passed).unwrap_or_default(),
        }
    };
    if let Some(newest) = unchanged_base(context, plan, &written) {
        remove_attempt(context, plan, claim)?;
        return Ok(report(newest.clone(), true));
    }
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
    log(&manifest, plan, taken);
    Ok(report(manifest, false))
}

/// Returns the newest level where this run found nothing that differs from it, and is to make no
/// level then.
fn unchanged_base<'plan>(
    context: RunContext<'_>,
    plan: &'plan RunPlan,
    written: &WrittenLevel,
) -> Option<&'plan Manifest> {
    let is_same = context.request.skip_unchanged
        && written.index.run.is_none()
        && written.tally.counts.failed == 0;
    let base = plan.base.as_ref().filter(|_| is_same)?;
    Some(&base.manifest)
}

/// Removes what a run has stored that makes no level.
fn remove_attempt(
    context: RunContext<'_>,
    plan: &RunPlan,
    claim: Option<RunClaim<'_>>,
) -> Result<(), BackupError> {
    if let Some(claim) = claim {
        claim.held.check().map_err(BackupError::Lock)?;
    }
    let level = &plan.own.level;
    let removed = Catalog::new(context.access.store()).remove_leftover(&level.backup, &level.level);
    if let Err(error) = removed {
        tracing::warn!(
            error = &error as &dyn Error,
            "a few bytes of a run that made no point in time stay in the store"
        );
    }
    Ok(())
}

/// Returns whether so many files are gone that somebody should look: half of them, and more than a
/// person deletes between two backups of a small tree.
fn has_most_vanished(before: u64, now: u64) -> bool {
    before >= MANY_FILES && now < before / 2
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
            root: run.root.into(),
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
