//! Answers which data of a backup is not needed, given what is.

use super::backup_in::BackupIn;
use super::error::PruneError;
use super::inventory::Inventory;
use super::needed::{Needed, Needs};
use super::removal::{Doomed, LevelPart};
use super::streams::{LevelStreams, PartlyNeeded, StreamShares};
use crate::catalog::Access;
use crate::catalog::names::Folder;
use crate::model::{BackupName, LevelId};
use std::collections::{BTreeMap, BTreeSet};

/// Data that is not needed.
#[derive(Debug, Default)]
pub(super) struct Unneeded {
    /// Objects that some manifest named once.
    pub(super) doomed: Vec<Doomed>,
    /// Objects that nothing ever named: a repack that was cut off left them, and the next may use
    /// their names again.
    pub(super) leftovers: Vec<Doomed>,
    /// Bytes of all these objects.
    pub(super) bytes: u64,
    /// The same bytes by level.
    pub(super) by_level: BTreeMap<LevelId, u64>,
    /// Bytes of frames that are not needed, in segments that are.
    pub(super) among_needed: u64,
}

impl Unneeded {
    /// Finds what is not needed of the data that is there.
    pub(super) fn find(
        of: BackupIn<'_>,
        inventory: &Inventory,
        needed: &Needed,
        streams: &mut LevelStreams,
    ) -> Result<Self, PruneError> {
        let mut unneeded = Self::default();
        for (level, objects) in inventory.space.levels() {
            let before = unneeded.bytes;
            if !needed.index(level) {
                unneeded.add_part(level, LevelPart::Index, objects.index_bytes);
            }
            match needed.stream(level) {
                Needs::All => {}
                Needs::Some(live) if !live.is_empty() => {
                    let wanted = PartlyNeeded {
                        level,
                        objects,
                        live,
                    };
                    if let Some(shares) = streams.shares(of, &inventory.points, wanted)? {
                        unneeded.add_parts_of(wanted, &shares);
                    }
                }
                Needs::Some(_) | Needs::Nothing => {
                    unneeded.add_part(level, LevelPart::Stream, objects.stream_bytes());
                }
            }
            if unneeded.bytes > before {
                unneeded
                    .by_level
                    .insert(level.clone(), unneeded.bytes - before);
            }
        }
        Ok(unneeded)
    }

    /// Adds a whole part of a level, if it has any bytes.
    fn add_part(&mut self, level: &LevelId, part: LevelPart, bytes: u64) {
        if bytes > 0 {
            self.bytes += bytes;
            self.doomed.push(Doomed::Part(level.clone(), part));
        }
    }

    /// Adds what is not needed of a level's stream when a part of it is.
    fn add_parts_of(&mut self, wanted: PartlyNeeded<'_>, shares: &StreamShares<'_>) {
        let PartlyNeeded { level, objects, .. } = wanted;
        let parts = &shares.place.parts;
        let (mut doomed, mut leftovers) = (BTreeSet::new(), BTreeSet::new());
        let mut bytes = 0;
        let mut add = |folder, number: &u32, length: &u64, was_named: bool| {
            bytes += *length;
            let among = if was_named {
                &mut doomed
            } else {
                &mut leftovers
            };
            among.insert((folder, *number));
        };
        for (number, length) in &objects.segments {
            match shares.segments.get(number) {
                Some(share) if share.live > 0 => self.among_needed += share.dead,
                _ => add(Folder::Segments, number, length, *number < parts.segments),
            }
        }
        let tables = shares.place.first_table..parts.frame_table_segments;
        for (number, length) in &objects.tables {
            if !tables.contains(number) {
                add(Folder::Frames, number, length, *number < tables.end);
            }
        }
        for (number, length) in objects.repacked.range(..parts.repacked) {
            add(Folder::Repacked, number, length, true);
        }
        self.bytes += bytes;
        let of_level = |objects: BTreeSet<_>| {
            (!objects.is_empty()).then(|| Doomed::Some(level.clone(), objects))
        };
        self.doomed.extend(of_level(doomed));
        self.leftovers.extend(of_level(leftovers));
    }
}

/// Returns the bytes of a backup that no point in time needs. Some of them may be of a run that is
/// under way.
///
/// # Errors
///
/// [`PruneError`].
pub fn unneeded_bytes(access: &Access, backup: &BackupName) -> Result<u64, PruneError> {
    let of = BackupIn::new(access, backup);
    let inventory = Inventory::read(of)?;
    let needed = inventory.needed_without_lock(|_| true);
    let unneeded = Unneeded::find(of, &inventory, &needed, &mut LevelStreams::default())?;
    Ok(unneeded.bytes)
}
