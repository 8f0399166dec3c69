//! What a manifest must say of itself and of its levels: docs/format/reading.md, "Manifests".

use super::parts::LevelParts;
use crate::format::DocumentError;
use crate::format::frame::FrameId;
use crate::model::{LevelSerial, StoreId};
use std::collections::BTreeSet;

/// Refuses a manifest of another store, and one that does not name its own level first, or names a
/// level twice. `frame` is the frame that holds the manifest.
pub(super) fn check(
    store: StoreId,
    serial: LevelSerial,
    levels: &[LevelParts],
    frame: &FrameId,
) -> Result<(), DocumentError> {
    let refuse = |what| Err(DocumentError::Content(what));
    if store != frame.store {
        return refuse("it belongs to another store");
    }
    let own = levels.first();
    if own.is_none_or(|own| own.id != frame.level || own.serial != serial) {
        return refuse("it does not name its own level first");
    }
    let mut serials = BTreeSet::new();
    if !levels.iter().all(|level| serials.insert(level.serial)) {
        return refuse("it names a level twice");
    }
    Ok(())
}
