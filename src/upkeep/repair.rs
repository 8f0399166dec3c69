//! Mends what can be mended of a backup, and sees to it that what is lost is stored again.
//!
//! Nothing that can be read is changed, and nothing is removed: [`remove_unreadable`] is asked for
//! by itself.
//!
//! 1. Blocks of indexes and frame tables that cannot be read are written again where it is known
//!    for sure what was in them ([`super::mend`]).
//! 2. Everything is checked, all data too.
//! 3. Of each level that has lost parts of its stream a note is left ([`crate::format::lost`]). The
//!    next backup takes no file for stored that leans on them: what is still there at the source is
//!    whole again from then on.
//!
//! Record: docs/design, "Damage is mended in place or stored again".

use super::Damage;
use super::check::{CheckError, Checked, Examined, Unreadable, examine};
use super::mend::{Mended, Mender};
use crate::catalog::names::LevelOf;
use crate::catalog::{Access, Held, LockError, lost_parts, names, note_lost, stream};
use crate::format::frame::FrameError;
use crate::format::lost::Lost;
use crate::format::manifest::{LevelParts, Manifest};
use crate::format::repacked::Repacked;
use crate::index::IndexError;
use crate::model::{Advice, BackupName, Cancel, Interrupted, LevelId, Progress, Ranges};
use crate::store::{self, Store};
use std::collections::BTreeMap;

/// A repair did not take place, or ended early. Nothing that could be read before is worse than it
/// was; it can be repeated.
#[derive(Debug, thiserror::Error)]
pub enum RepairError {
    /// The check failed.
    #[error("could not find out what is damaged")]
    Check(#[source] CheckError),
    /// The store did not answer: that says nothing of what it holds.
    #[error("could not find out what is damaged")]
    Outage(#[source] Box<IndexError>),
    /// The root of a frame table.
    #[error("a frame table is malformed")]
    Index(#[source] IndexError),
    /// A block could not be sealed.
    #[error("could not make a block")]
    Frame(#[source] FrameError),
    /// A block is longer than memory can hold.
    #[error("a block is too long")]
    TooLong,
    /// The store failed.
    #[error("could not use the store")]
    Store(#[source] store::Error),
    /// The lock was lost.
    #[error("could not go on")]
    Lock(#[source] LockError),
}

impl Advice for RepairError {
    fn hint(&self) -> Option<&str> {
        match self {
            Self::Outage(_) => {
                Some("try again when the store can be reached: nothing was taken for damaged")
            }
            Self::Check(_)
            | Self::Index(_)
            | Self::Frame(_)
            | Self::TooLong
            | Self::Store(_)
            | Self::Lock(_) => None,
        }
    }
}

/// What is lost of the data of a level.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LostData {
    /// Whose.
    pub level: LevelId,
    /// Bytes of its stream, before compression.
    pub bytes: u64,
}

/// What a repair found and did.
#[derive(Debug, Default)]
pub struct Repaired {
    /// What the check came to that was made after mending: what damage is left.
    pub checked: Checked,
    /// Blocks of indexes that could not be read.
    pub index: Mended,
    /// Blocks of frame tables that could not be read.
    pub frame_tables: Mended,
    /// Data that is lost, and noted.
    pub lost: Vec<LostData>,
    /// Points in time that cannot be opened; they are still there.
    pub unreadable: Vec<Unreadable>,
}

/// Mends what can be mended. Tells what damage is left to `found`, as a check does. The caller has
/// the backup's lock, unless `access` leads to a [`Trial`](crate::store::trial::Trial).
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
    let mut repaired = Repaired::default();
    progress.stage("mending what can be mended");
    let mut seen = Seen::default();
    for level in levels {
        if cancel.is_requested() {
            return Err(RepairError::Check(CheckError::Interrupted(Interrupted)));
        }
        // What is wrong with a manifest is told by the check.
        let Ok(manifest) = access.manifest(backup, level) else {
            continue;
        };
        seen.mend(access, backup, manifest, &mut repaired)?;
    }
    let Examined {
        checked,
        unreadable,
        streams,
    } = examine(access, backup, levels, found, progress, cancel).map_err(RepairError::Check)?;
    repaired.checked = checked;
    repaired.unreadable = unreadable;
    let mut lost: BTreeMap<LevelId, Lost> = BTreeMap::new();
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
            repaired.lost.push(LostData {
                level: stream.level.clone(),
                bytes,
            });
        }
        lost.entry(stream.level)
            .and_modify(|other| *other = other.with(&own))
            .or_insert(own);
    }
    let store = access.store();
    let known = lost_parts(&store, backup).map_err(RepairError::Store)?;
    for (level, lost) in &lost {
        if known.get(level).cloned().unwrap_or_default() != *lost {
            note_lost(&store, backup, level, lost).map_err(RepairError::Store)?;
        }
    }
    // While a manifest cannot be read, nobody knows whether it leans on a level that has a note.
    if repaired.unreadable.is_empty() {
        for level in known.keys().filter(|level| !lost.contains_key(*level)) {
            note_lost(&store, backup, level, &Lost::default()).map_err(RepairError::Store)?;
        }
    }
    Ok(repaired)
}

/// Removes the manifests of points in time that cannot be opened: what only they named then goes
/// with the next prune. Returns how many.
///
/// # Errors
///
/// [`RepairError`]; it can be repeated.
pub fn remove_unreadable(
    access: &Access,
    backup: &BackupName,
    repaired: &Repaired,
    held: &Held<'_>,
) -> Result<u64, RepairError> {
    let mut removed = 0;
    held.check().map_err(RepairError::Lock)?;
    for Unreadable { level, .. } in repaired.unreadable.iter().filter(|point| !point.is_newer) {
        access
            .store()
            .delete(&names::manifest_name(backup, level))
            .map_err(RepairError::Store)?;
        tracing::info!(%backup, %level, "removed a point in time that could not be opened");
        removed += 1;
    }
    Ok(removed)
}

/// Blocks that were looked at already: points in time share runs and tables.
#[derive(Default)]
struct Seen {
    /// Where levels were repacked to.
    repacked: BTreeMap<LevelId, Option<Repacked>>,
    runs: Vec<LevelId>,
    tables: Vec<(LevelId, Vec<u8>)>,
}

impl Seen {
    fn mend(
        &mut self,
        access: &Access,
        backup: &BackupName,
        manifest: Manifest,
        repaired: &mut Repaired,
    ) -> Result<(), RepairError> {
        for parts in &manifest.levels {
            let mender = Mender {
                access,
                backup,
                level: &parts.id,
            };
            if let Some(run) = manifest.index.iter().find(|run| run.serial == parts.serial)
                && !self.runs.contains(&parts.id)
            {
                self.runs.push(parts.id.clone());
                repaired.index.add(mender.index(run)?);
            }
            if parts.live.as_ref().is_some_and(Ranges::is_empty) {
                continue; // its stream may have gone
            }
            let parts = self.newest(access, backup, parts);
            let table = (parts.id.clone(), parts.frame_table.node.clone());
            if !self.tables.contains(&table) {
                repaired.frame_tables.add(mender.frame_table(&parts)?);
                self.tables.push(table);
            }
        }
        Ok(())
    }
}

impl Seen {
    /// Where the stream of a level is by now. That it cannot be found out is told by the check.
    fn newest(&mut self, access: &Access, backup: &BackupName, parts: &LevelParts) -> LevelParts {
        let repacked = self.repacked.entry(parts.id.clone()).or_insert_with(|| {
            let of = LevelOf {
                backup: backup.clone(),
                level: parts.id.clone(),
            };
            stream::newer(access.store().as_ref(), &access.opener(&parts.id), &of, 0)
                .ok()
                .flatten()
        });
        match repacked {
            Some(repacked) if repacked.number > parts.repacked => repacked.apply(parts.clone()),
            _ => parts.clone(),
        }
    }
}

impl Mended {
    fn add(&mut self, other: Self) {
        self.mended += other.mended;
        self.left += other.left;
    }
}
