//! Answers which serials a backup has given out to levels that are gone.

use super::names::{self, LevelOf, Meaning};
use super::{Access, CatalogError};
use crate::format::withdrawn::{MAX_NOTE_BYTES, WithdrawnNote};
use crate::model::{BackupName, LevelSerial};
use crate::store::{ObjectInfo, Store, StoreExt};

/// Returns a serial that no level had which a prune has removed, as far as its notes say; `None`
/// where there is no such note. One listing, and a call for each note.
///
/// # Errors
///
/// [`CatalogError::List`] when the store cannot be asked.
pub fn next_serial_after_removed(
    access: &Access,
    backup: &BackupName,
) -> Result<Option<LevelSerial>, CatalogError> {
    let store = access.store();
    let mut notes = Vec::new();
    let mut found = |object: ObjectInfo| {
        if let Some(Meaning::Withdrawn(LevelOf { level, .. })) = names::meaning(&object.name) {
            notes.push(level);
        }
        true
    };
    store
        .list(&names::withdrawn_prefix(backup), &mut found)
        .map_err(|source| CatalogError::List { source })?;
    let mut next = None;
    for note in notes {
        match store.get(&names::withdrawn_name(backup, &note), MAX_NOTE_BYTES) {
            // A note that cannot be read says nothing.
            Ok(stored) => {
                let read = WithdrawnNote::open(stored, &access.opener(&note)).ok();
                next = next.max(read.and_then(|note| note.next_serial()));
            }
            Err(error) if error.kind().is_damage() => {}
            Err(source) => return Err(CatalogError::List { source }),
        }
    }
    Ok(next)
}
