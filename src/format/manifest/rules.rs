//! What a manifest must say of itself and of its levels: docs/format/reading.md, "Manifests".

use super::Manifest;
use crate::format::DocumentError;
use crate::format::frame::FrameId;
use std::collections::BTreeSet;

/// Refuses a manifest of another store, and one that does not name its own level first, or names a
/// level twice. `frame` is the frame that holds the manifest.
pub(super) fn check(manifest: &Manifest, frame: &FrameId) -> Result<(), DocumentError> {
    let refuse = |what| Err(DocumentError::Content(what));
    if manifest.store != frame.store {
        return refuse("it belongs to another store");
    }
    let own = manifest.levels.first();
    if own.is_none_or(|own| own.id != manifest.id || own.serial != manifest.serial) {
        return refuse("it does not name its own level first");
    }
    let mut serials = BTreeSet::new();
    if !manifest
        .levels
        .iter()
        .all(|level| serials.insert(level.serial))
    {
        return refuse("it names a level twice");
    }
    Ok(())
}
