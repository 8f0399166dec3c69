//! Brings a copy of a store up to date.
//!
//! Objects are copied as they are, so sealed ones stay sealed. Levels go across in the order in
//! which they were made: the objects that one names and that the copy lacks, then its manifest. Cut
//! off anywhere, the copy has whole levels and some objects that no level names yet; the next sync
//! finds those and goes on.
//!
//! The caller has the lock of the backup in the copy, so nothing there is removed meanwhile. In the
//! source a sync takes no lock, as readers do: a level that goes there meanwhile is not published,
//! and the next sync does not look for it.
//!
//! | file | question |
//! |---|---|
//! | `missing` | which levels does the copy lack? |
//! | `lacking` | which objects of a level does the copy lack? |
//! | `pair` | which store, and which copy of it? |
//! | `segments` | what must a segment hold, by the frame table? |
//! | `object_check` | does an object hold what it must? |
//! | `block_order` | have objects of an index changed places? |
//! | `left_out` | what was not passed on, and which points in time need it? |
//! | `level_copy` | how do the objects of a level and its notes get across? |
//!
//! Every object is verified after it was read and before it is stored in the copy: by the tags or
//! checksums of its frames, without decrypting or decompressing them. One that is damaged stays
//! behind, and so do the points in time that need it, unless a repair of the source has noted what
//! is lost. Memory holds an object for each of the copies under way.

mod block_order;
mod lacking;
mod left_out;
mod level_copy;
mod missing;
mod object_check;
mod pair;
mod segments;

pub use left_out::DamagedObject;
pub use missing::{LevelsToCopy, missing};
pub use object_check::ObjectFlaw;
pub use pair::Pair;

use super::error::SyncError;
use crate::catalog::names::LevelOf;
use crate::catalog::{Access, AccessError, Catalog, Held, lost_parts, offer_whole};
use crate::format::manifest::Manifest;
use crate::model::{BackupName, Cancel, LevelId, Progress};
use block_order::BlockOrder;
use left_out::NotPassedOn;
use level_copy::{Copied, CopiedSoFar, LevelCopier};
use std::collections::BTreeSet;

/// Which levels a sync copies, and how.
#[derive(Clone, Copy, Debug)]
pub struct SyncOptions {
    /// The levels that go across.
    pub levels: LevelsToCopy,
    /// Objects that are copied at once; memory holds that many.
    pub jobs: usize,
}

/// What a sync did for one backup.
#[derive(Debug, Default)]
pub struct Synced {
    /// Points in time that were added to the copy.
    pub points: u64,
    /// Objects that were copied, manifests included.
    pub objects: u64,
    /// Bytes of these objects.
    pub bytes: u64,
    /// Levels whose manifests cannot be read: they were not copied.
    pub unreadable: Vec<(LevelId, AccessError)>,
    /// Objects of the source that are not what they must be.
    pub damaged: Vec<DamagedObject>,
    /// Levels that were not copied, as they need a damaged object.
    pub held_back: Vec<LevelId>,
}

impl Synced {
    /// Returns whether all was copied, and all of it sound.
    pub fn is_whole(&self) -> bool {
        self.unreadable.is_empty() && self.damaged.is_empty() && self.held_back.is_empty()
    }
}

/// Copies what the copy lacks of a backup.
///
/// # Errors
///
/// [`SyncError`]. What was copied before stays, and the next sync goes on from there.
pub fn sync(
    pair: Pair<'_>,
    backup: &BackupName,
    held: &Held<'_>,
    options: SyncOptions,
    progress: &dyn Progress,
    cancel: &Cancel,
) -> Result<Synced, SyncError> {
    let mut run = SyncRun {
        pair,
        backup,
        held,
        copier: copier(pair, backup, options, progress, cancel)?,
        synced: Synced::default(),
    };
    progress.stage("copying");
    for level in missing(pair, backup, options.levels, held.now())? {
        run.level(&level)?;
    }
    Ok(run.synced)
}

fn copier<'run>(
    pair: Pair<'run>,
    backup: &'run BackupName,
    options: SyncOptions,
    progress: &'run dyn Progress,
    cancel: &'run Cancel,
) -> Result<LevelCopier<'run>, SyncError> {
    let levels = |access: &Access| {
        Catalog::new(access.store())
            .levels(backup)
            .map_err(SyncError::Catalog)
    };
    let from: BTreeSet<LevelId> = levels(pair.from)?.into_iter().collect();
    let has_more = levels(pair.to)?.iter().any(|level| !from.contains(level));
    let lost = lost_parts(pair.from.store().as_ref(), backup).map_err(SyncError::List)?;
    Ok(LevelCopier {
        pair,
        backup,
        jobs: options.jobs.max(1),
        has_more,
        lost,
        progress,
        cancel,
        so_far: CopiedSoFar::default(),
        left_out: NotPassedOn::default(),
        order: BlockOrder::default(),
    })
}

/// A sync under way.
struct SyncRun<'run> {
    pair: Pair<'run>,
    backup: &'run BackupName,
    held: &'run Held<'run>,
    copier: LevelCopier<'run>,
    synced: Synced,
}

/// A manifest of the source, and its bytes as they are stored.
struct ReadManifest {
    manifest: Manifest,
    stored: Vec<u8>,
}

impl SyncRun<'_> {
    /// Copies a level and publishes it in the copy.
    fn level(&mut self, level: &LevelId) -> Result<(), SyncError> {
        let backup = self.backup;
        let ReadManifest { manifest, stored } = match self.manifest(level) {
            Err(error) if error.is_missing() => return Ok(()), // it went since it was listed
            Err(source) if source.is_outage() => {
                return Err(SyncError::Manifest {
                    level: level.clone(),
                    source,
                });
            }
            Err(error) => {
                tracing::warn!(
                    %backup,
                    %level,
                    error = &error as &dyn std::error::Error,
                    "its manifest cannot be read"
                );
                self.synced.unreadable.push((level.clone(), error));
                return Ok(());
            }
            Ok(read) => read,
        };
        let Copied { objects, bytes } = self.copier.copy(&manifest)?;
        // Manifests go before data. As long as this one is there, the objects were all there when
        // they were listed.
        let is_unchanged = self.is_unchanged(level, &stored)?;
        let damaged = self.copier.left_out.take_untold().into_iter();
        // What is missing then went with the level.
        let is_damage =
            |object: &DamagedObject| is_unchanged || !matches!(object.flaw, ObjectFlaw::Missing);
        self.synced.damaged.extend(damaged.filter(is_damage));
        if !is_unchanged {
            tracing::info!(%backup, %level, "it went from the other store while it was copied");
            return Ok(());
        }
        if self.copier.is_incomplete(&manifest) {
            self.synced.objects += objects;
            self.synced.bytes += bytes;
            self.synced.held_back.push(level.clone());
            tracing::info!(%backup, %level, "not copied, as it needs a damaged object");
            return Ok(());
        }
        self.held.check().map_err(SyncError::Lock)?;
        let manifest_bytes = stored.len() as u64;
        Catalog::new(self.pair.to.store())
            .publish(backup, level, stored)
            .map_err(SyncError::Catalog)?;
        if let Some(own) = manifest.levels.first() {
            let of = LevelOf::new(backup, level);
            offer_whole(self.pair.to, &of, own.compression, own.segments);
        }
        self.synced.points += 1;
        self.synced.objects += objects + 1;
        self.synced.bytes += bytes + manifest_bytes;
        tracing::info!(%backup, %level, objects, bytes, "copied");
        Ok(())
    }

    /// Reads the manifest of a level in the source.
    fn manifest(&self, level: &LevelId) -> Result<ReadManifest, AccessError> {
        let from = self.pair.from;
        let stored = from.manifest_bytes(self.backup, level)?;
        let (manifest, _) = from.open_manifest(self.backup, level, stored.clone())?;
        Ok(ReadManifest { manifest, stored })
    }

    /// Returns whether the source still has this manifest.
    fn is_unchanged(&self, level: &LevelId, stored: &[u8]) -> Result<bool, SyncError> {
        match self.manifest(level) {
            Ok(again) => Ok(again.stored == stored),
            Err(source @ AccessError::Store(_)) if !source.is_missing() => {
                Err(SyncError::Manifest {
                    level: level.clone(),
                    source,
                })
            }
            Err(_) => Ok(false),
        }
    }
}
