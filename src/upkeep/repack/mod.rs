//! Copies the needed frames of levels' streams into segments of their own, where most of a segment
//! is not needed any more.
//!
//! Frames are copied as they are stored: they are authenticated, and neither decompressed nor
//! decrypted. Then the level gets a new frame table. No manifest changes: an object beside the
//! segments, the *record* of the repack, supersedes the table that manifests name. A reader that
//! misses an object of a level looks for it.
//!
//! | file | question |
//! |---|---|
//! | `choose` | which segments are worth rewriting? |
//! | `copy` | how do their frames get into new segments? |
//! | `rewrite` | what does the level's new frame table say? |
//! | `table_blocks` | how are the blocks of that table stored? |
//!
//! Why no reader and no later run ever misses what it needs, wherever this is cut off:
//!
//! 1. The record is stored last, when all that it names is there. Until then nothing refers to the
//!    new objects.
//! 2. A repack removes nothing. A prune removes what the newest table does not name. A note keeps
//!    that for the grace, as it keeps what a prune withdraws, so a reader of an earlier table goes
//!    on. A reader that comes later misses an object, and finds the newest table.
//! 3. All this happens with the backup's lock, so no run is under way that could miss a segment,
//!    and no other prune or repack. What is copied is what the manifests of that moment need: later
//!    ones need no more (see [`super::prune`]).
//! 4. New objects get numbers above all that were ever used. Those that a cut-off repack left may
//!    be used again: they are removed with the lock alone.

mod choose;
mod copy;
mod rewrite;
mod table_blocks;

use super::backup_in::BackupIn;
use super::error::PruneError;
use super::grace::Grace;
use crate::catalog::names::Folder;
use crate::catalog::stream::Share;
use crate::catalog::{Access, Held};
use crate::format::frame::Sealer;
use crate::format::repacked::Repacked;
use crate::model::{BackupName, Cancel, LevelId};
use crate::store::Store;
use choose::{Chooser, LevelToRepack};
use rewrite::{Rewrite, Rewritten};
use std::collections::BTreeSet;

pub use choose::{Below, Repacking};

/// Bytes that are copied at a time, about: backups wait meanwhile.
const AT_A_TIME_BYTES: u64 = 1 << 30;

/// Finds out what a repack would do. Changes nothing.
///
/// # Errors
///
/// [`PruneError`].
pub fn plan_repack(
    access: &Access,
    backup: &BackupName,
    below: Below,
) -> Result<Repacking, PruneError> {
    Chooser::new(below).choose(BackupIn::new(access, backup), u64::MAX, &mut |_| Ok(()))
}

/// A repack, which takes several steps where there is much to copy.
pub struct Repack {
    chooser: Chooser,
    done: Repacking,
    levels: BTreeSet<LevelId>,
}

impl Repack {
    /// Begins a repack.
    pub fn new(below: Below) -> Self {
        Self {
            chooser: Chooser::new(below),
            done: Repacking::default(),
            levels: BTreeSet::new(),
        }
    }

    /// Rewrites about a gigabyte of segments. The caller has the backup's lock, and calls this
    /// until it returns that there is no more.
    ///
    /// # Errors
    ///
    /// [`PruneError`]: the steps before are done, and every point in time has all that it needs.
    pub fn step(
        &mut self,
        access: &Access,
        backup: &BackupName,
        held: &Held<'_>,
        grace: Grace,
        cancel: &Cancel,
    ) -> Result<bool, PruneError> {
        let of = BackupIn::new(access, backup);
        let mut step = RepackStep::default();
        let chosen = self.chooser.choose(of, AT_A_TIME_BYTES, &mut |level| {
            step.rewrite(of, &level, cancel)
        })?;
        held.check().map_err(PruneError::Lock)?;
        let levels = step.rewritten.iter().map(|done| done.level.clone());
        grace.keep(of, &levels.collect(), None)?;
        for RepackedLevel { level, record } in step.rewritten {
            store_record(of, &level, &record)?;
            self.levels.insert(level);
        }
        self.done.levels = self.levels.len() as u64;
        self.done.segments += chosen.segments - step.damaged.len() as u64;
        self.done.copied_bytes += chosen.copied_bytes - step.not_copied.live;
        self.done.freed_bytes += chosen.freed_bytes - step.not_copied.dead;
        self.done.damaged_segments += step.damaged.len() as u64;
        self.chooser.leave_out(step.damaged);
        Ok(chosen.segments > 0)
    }

    /// Returns what was done so far.
    pub fn done(&self) -> Repacking {
        self.done
    }
}

/// A level whose frames were copied, and the record that is to supersede its frame table.
struct RepackedLevel {
    level: LevelId,
    record: Repacked,
}

/// What one step has done, before any of it counts.
#[derive(Default)]
struct RepackStep {
    rewritten: Vec<RepackedLevel>,
    /// Segments that could not be read, with their levels.
    damaged: Vec<(LevelId, u32)>,
    /// Bytes of these segments.
    not_copied: Share,
}

impl RepackStep {
    fn rewrite(
        &mut self,
        of: BackupIn<'_>,
        wanted: &LevelToRepack<'_>,
        cancel: &Cancel,
    ) -> Result<(), PruneError> {
        let Rewritten { record, damaged } = Rewrite::new(of, wanted, cancel).run()?;
        for segment in damaged {
            if let Some(share) = wanted.segments.get(&segment) {
                self.not_copied.live += share.live;
                self.not_copied.dead += share.dead;
            }
            self.damaged.push((wanted.level.clone(), segment));
        }
        self.rewritten.extend(record.map(|record| RepackedLevel {
            level: wanted.level.clone(),
            record,
        }));
        Ok(())
    }
}

/// Stores the record of a repack: from then on it supersedes the level's frame table.
fn store_record(of: BackupIn<'_>, level: &LevelId, record: &Repacked) -> Result<(), PruneError> {
    let sealer = Sealer::new(of.access.store_id(), level.clone(), of.access.protection());
    let sealed = record.seal(&sealer).map_err(PruneError::Seal)?;
    let name = of.level(level).data_name(Folder::Repacked, record.number);
    of.store()
        .put(&name, &vec![sealed])
        .map_err(PruneError::Store)?;
    tracing::info!(backup = %of.backup, %level, number = record.number, "repacked");
    Ok(())
}
