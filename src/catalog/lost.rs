//! Reads and writes the notes of lost data of a backup's levels.
//!
//! Layout: docs/format.md, "What is lost".

use super::names::{self, LevelOf, Meaning};
use crate::format::lost::{Lost, MAX_LOST_BYTES};
use crate::model::{BackupName, LevelId};
use crate::store::{self, Store, StoreExt};
use std::collections::BTreeMap;

/// Reads the notes of a backup. A note that cannot be read counts as if all of its level were lost:
/// it is better to store a file once more than to take a lost one for stored.
///
/// # Errors
///
/// Returns the store's error.
pub fn lost_parts(
    store: &dyn Store,
    backup: &BackupName,
) -> Result<BTreeMap<LevelId, Lost>, store::Error> {
    let mut levels = Vec::new();
    store.list(&names::lost_prefix(backup), &mut |object| {
        if let Some(Meaning::Lost(LevelOf { level, .. })) = names::meaning(&object.name) {
            levels.push(level);
        }
        true
    })?;
    let mut notes = BTreeMap::new();
    for level in levels {
        let all = || Lost::new(u32::MAX, std::iter::once(0..u64::MAX).collect());
        let lost = match store.get(&names::lost_name(backup, &level), MAX_LOST_BYTES) {
            Ok(bytes) => Lost::decode(&bytes).unwrap_or_else(|error| {
                tracing::warn!(
                    %backup,
                    %level,
                    %error,
                    "a note of lost data cannot be read; all of that level counts as lost"
                );
                all()
            }),
            Err(error) => match error.kind() {
                store::ErrorKind::Missing => continue,
                store::ErrorKind::TooLarge => all(),
                _ => return Err(error),
            },
        };
        notes.insert(level, lost);
    }
    Ok(notes)
}

/// Replaces the note of a level's lost data; removes the note where nothing is lost.
///
/// # Errors
///
/// Returns the store's error.
pub fn note_lost(
    store: &dyn Store,
    backup: &BackupName,
    level: &LevelId,
    lost: &Lost,
) -> Result<(), store::Error> {
    let name = names::lost_name(backup, level);
    if lost.is_empty() {
        store.delete(&name)
    } else {
        store.put(&name, &vec![lost.encode()])
    }
}
