//! Mends what can be mended in a backup, and has lost data stored again.
//!
//! A repair changes nothing that can be read, and removes nothing. [`remove_unreadable`] removes
//! points in time that cannot be opened, and has to be called by itself.
//!
//! 1. Blocks of indexes and frame tables that cannot be read are written again where it is known
//!    for sure what was in them.
//! 2. Everything is checked, all data too ([`super::check`]).
//! 3. Of each level that has lost parts of its stream a note is stored ([`crate::format::lost`]).
//!    The next backup does not count a file as stored that leans on them. It stores the file again
//!    if the source still has it, and the file is whole from then on.
//!
//! | file | question |
//! |---|---|
//! | `mended_once` | which blocks are to be looked at, each once? |
//! | `mender` | how is a block written again, in its place? |
//! | `table_rows` | what stood in a block of a frame table? |
//! | `unreadable` | how do points in time go that cannot be opened? |
//!
//! Record: docs/design, "Damage is mended in place or stored again".

mod mended_once;
mod mender;
mod table_rows;
mod unreadable;

pub use mender::Mended;
pub use unreadable::remove_unreadable;

use super::backup_in::BackupIn;
use super::check::{
    Checked, Damage, Depth, Examined, ExaminedStream, Portion, UnreadablePoint, examine,
};
use super::error::{CheckError, RepairError};
use crate::catalog::{Access, lost_parts, note_lost};
use crate::format::lost::Lost;
use crate::model::{BackupName, Cancel, Interrupted, LevelId, Progress};
use mended_once::MendedOnce;
use std::collections::BTreeMap;

/// The data of a level that is lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LostData {
    /// The level.
    pub level: LevelId,
    /// Bytes of its stream that are lost, before compression.
    pub bytes: u64,
}

/// What a repair found and did.
#[derive(Debug, Default)]
pub struct Repaired {
    /// Result of the check after mending: the damage that is left.
    pub checked: Checked,
    /// Blocks of indexes that could not be read.
    pub index: Mended,
    /// Blocks of frame tables that could not be read.
    pub frame_tables: Mended,
    /// Data that is lost, and noted.
    pub lost: Vec<LostData>,
    /// Points in time that cannot be opened; they are still there.
    pub unreadable: Vec<UnreadablePoint>,
}

/// Mends what can be mended. Tells the damage that is left to `found`, as a check does. The caller
/// has the backup's lock, unless `access` leads to a [`Trial`](crate::store::trial::Trial).
///
/// # Errors
///
/// [`RepairError`].
pub fn repair(
    access: &Access,
    backup: &BackupName,
    levels: &[LevelId],
    found: &mut dyn FnMut(&[LevelId], Damage),
    progress: &dyn Progress,
    cancel: &Cancel,
) -> Result<Repaired, RepairError> {
    let of = BackupIn::new(access, backup);
    progress.stage("mending what can be mended");
    let mut mended = MendedOnce::default();
    for level in levels {
        if cancel.is_requested() {
            return Err(RepairError::Check(CheckError::Interrupted(Interrupted)));
        }
        // The check tells what is wrong with a manifest.
        if let Ok(manifest) = access.manifest(backup, level)
            && manifest.read_only_for().is_empty()
        {
            mended.mend(of, &manifest)?;
        }
    }
    let everything = Depth::Data(Portion::All);
    let Examined {
        checked,
        unreadable,
        streams,
    } = examine(of, levels, everything, found, progress, cancel).map_err(RepairError::Check)?;
    let losses = Losses::of(streams);
    losses.note(of, unreadable.is_empty())?;
    Ok(Repaired {
        checked,
        index: mended.index,
        frame_tables: mended.frame_tables,
        lost: losses.told,
        unreadable,
    })
}

/// The data that a check has found to be lost.
#[derive(Default)]
struct Losses {
    /// What there is to tell.
    told: Vec<LostData>,
    /// What is lost of each level that was checked; some have lost nothing.
    by_level: BTreeMap<LevelId, Lost>,
}

impl Losses {
    fn of(streams: Vec<ExaminedStream>) -> Self {
        let mut losses = Self::default();
        for stream in streams {
            let own = Lost::new(
                stream.missing_segments,
                stream.unreadable.as_slice().to_vec(),
            );
            let bytes: u64 = own
                .ranges()
                .iter()
                .map(|range| range.end - range.start)
                .sum();
            if bytes > 0 {
                losses.told.push(LostData {
                    level: stream.level.clone(),
                    bytes,
                });
            }
            losses
                .by_level
                .entry(stream.level)
                .and_modify(|other| *other = other.with(&own))
                .or_insert(own);
        }
        losses
    }

    /// Brings the notes of lost data up to date.
    ///
    /// Notes of levels that no point in time leans on are removed only where all manifests can be
    /// read: one that cannot may lean on them.
    fn note(&self, of: BackupIn<'_>, all_are_readable: bool) -> Result<(), RepairError> {
        let store = of.store();
        let known = lost_parts(&store, of.backup).map_err(RepairError::Store)?;
        for (level, lost) in &self.by_level {
            if known.get(level).cloned().unwrap_or_default() != *lost {
                note_lost(&store, of.backup, level, lost).map_err(RepairError::Store)?;
            }
        }
        if all_are_readable {
            for level in known.keys() {
                if !self.by_level.contains_key(level) {
                    note_lost(&store, of.backup, level, &Lost::default())
                        .map_err(RepairError::Store)?;
                }
            }
        }
        Ok(())
    }
}
