//! The notes of what is lost, of the levels of a backup. Layout: docs/format.md, "What is lost".

use super::names::{self, LevelOf, Meaning};
use crate::format::lost::{Lost, MAX_LOST_BYTES};
use crate::model::{BackupName, LevelId};
use crate::store::{self, Store, StoreExt};
use std::collections::BTreeMap;

/// Reads the notes of a backup. One that cannot be read counts as if all of its level were lost: a
/// file that is stored once more than it need be is better than one that is taken for stored.
///
/// # Errors
///
/// That of the store.
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
                tracing::warn!(%backup, %level, %error, "a note of what is lost cannot be read; all of that level counts as lost");
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

/// Leaves a note of what is lost of a level in place of any earlier one; takes that away where
/// nothing is.
///
/// # Errors
///
/// That of the store.
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
