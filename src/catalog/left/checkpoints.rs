//! Reads the checkpoints of cut-off runs, and decides which of them can still be used.

use crate::catalog::names::{self, Folder, LevelOf};
use crate::catalog::{Access, CatalogError, LevelVerb};
use crate::format::checkpoint::{Checkpoint, MAX_CHECKPOINT_BYTES};
use crate::format::manifest::LevelParts;
use crate::model::{BackupName, FrameNo, LevelId};
use crate::store::{self, Store, StoreExt};
use jiff::{SignedDuration, Timestamp};
use std::error::Error;

/// A checkpoint that is older is of no use: a backup that nobody went on with for this long is
/// begun anew.
const KEPT_FOR: SignedDuration = SignedDuration::from_hours(30 * 24);

/// At most this many runs in a row that were cut off are taken from; of more, the newest.
const MOST_TAKEN: usize = 8;

/// Returns the checkpoints of these runs that the next run can take from, newest first. They agree
/// on which stream has which serial.
pub(super) fn usable_checkpoints(
    access: &Access,
    backup: &BackupName,
    runs: &[LevelId],
    now: Timestamp,
) -> Result<Vec<Checkpoint>, CatalogError> {
    let mut checkpoints: Vec<Checkpoint> = Vec::new();
    for id in runs.iter().rev() {
        if checkpoints.len() == MOST_TAKEN {
            break;
        }
        checkpoints.extend(
            usable(access, backup, id, now, runs)?
                .filter(|checkpoint| agrees(&checkpoints, checkpoint)),
        );
    }
    checkpoints.sort_by_key(|checkpoint| std::cmp::Reverse(checkpoint.serial));
    Ok(checkpoints)
}

/// Returns whether a checkpoint gives every stream the serial that later ones give it.
fn agrees(later: &[Checkpoint], checkpoint: &Checkpoint) -> bool {
    let streams = || later.iter().flat_map(|later| &later.levels);
    let agrees = |parts: &LevelParts| {
        streams().all(|other| (other.serial == parts.serial) == (other.id == parts.id))
    };
    checkpoint.levels.iter().all(agrees)
}

/// Returns the newest checkpoint of a cut-off run, if it is young enough and all that it names is
/// there.
fn usable(
    access: &Access,
    backup: &BackupName,
    id: &LevelId,
    now: Timestamp,
    open: &[LevelId],
) -> Result<Option<Checkpoint>, CatalogError> {
    let fail = CatalogError::of_level(LevelVerb::Open, backup, id);
    let Some(checkpoint) = newest_checkpoint(access, backup, id)? else {
        return Ok(None);
    };
    if checkpoint
        .at
        .checked_add(KEPT_FOR)
        .is_ok_and(|end| end < now)
    {
        tracing::info!(
            %backup,
            level = %id,
            "the data of a cut-off run is too old to be taken up"
        );
        return Ok(None);
    }
    for parts in &checkpoint.levels {
        // Where a stream's claim is gone, nobody knows whether the stream is whole.
        if !open.contains(&parts.id) || !is_there(access, backup, parts).map_err(&fail)? {
            tracing::warn!(
                %backup,
                level = %id,
                stream = %parts.id,
                "a part of the data of a cut-off run is missing; it is not taken up"
            );
            return Ok(None);
        }
    }
    Ok(Some(checkpoint))
}

/// Reads the newest checkpoint of a run. One that cannot be used counts as none.
pub(super) fn newest_checkpoint(
    access: &Access,
    backup: &BackupName,
    id: &LevelId,
) -> Result<Option<Checkpoint>, CatalogError> {
    let fail = CatalogError::of_level(LevelVerb::Open, backup, id);
    let of = LevelOf::new(backup, id);
    let Some(number) = newest_number(access, &of).map_err(&fail)? else {
        return Ok(None);
    };
    let name = of.data_name(Folder::Checkpoints, number);
    let stored = match access.store().get(&name, MAX_CHECKPOINT_BYTES) {
        Ok(stored) => stored,
        Err(error) if !error.kind().is_damage() => return Err(fail(error)),
        Err(error) => {
            let error = &error as &dyn Error;
            tracing::warn!(level = %id, error, "a checkpoint cannot be read");
            return Ok(None);
        }
    };
    match Checkpoint::open(stored, &access.opener(id), FrameNo(number.into())) {
        Ok(checkpoint) if belongs_to(&checkpoint, access, &of) => Ok(Some(checkpoint)),
        Ok(_) => {
            tracing::warn!(level = %id, "a checkpoint belongs to another backup");
            Ok(None)
        }
        Err(error) => {
            let error = &error as &dyn Error;
            tracing::warn!(level = %id, error, "a checkpoint cannot be used");
            Ok(None)
        }
    }
}

fn newest_number(access: &Access, of: &LevelOf) -> Result<Option<u32>, store::Error> {
    let mut newest = None;
    let prefix = of.folder_prefix(Folder::Checkpoints);
    access.store().list(&prefix, &mut |object| {
        if let Some((Folder::Checkpoints, number)) = names::place_in_level(&object.name) {
            newest = newest.max(Some(number));
        }
        true
    })?;
    Ok(newest)
}

fn belongs_to(checkpoint: &Checkpoint, access: &Access, of: &LevelOf) -> bool {
    let claimed = checkpoint.backup().ok();
    checkpoint.id == of.level
        && checkpoint.store == access.store_id()
        && claimed.is_some_and(|claimed| names::is_listed_as(&claimed, &of.backup))
}

/// Returns whether the objects of a stream are all where they should be.
fn is_there(
    access: &Access,
    backup: &BackupName,
    parts: &LevelParts,
) -> Result<bool, store::Error> {
    let (mut segments, mut frames) = (0_u32, 0_u32);
    let prefix = names::level_prefix(backup, &parts.id);
    access.store().list(&prefix, &mut |object| {
        match names::place_in_level(&object.name) {
            Some((Folder::Segments, number)) => segments += u32::from(number < parts.segments),
            Some((Folder::Frames, number)) => {
                frames += u32::from(number < parts.frame_table_segments);
            }
            _ => {}
        }
        true
    })?;
    Ok(segments == parts.segments && frames == parts.frame_table_segments)
}
