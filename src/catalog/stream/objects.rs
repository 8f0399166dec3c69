//! Lists the objects of a level's stream.

use crate::catalog::names::{self, Folder, LevelOf};
use crate::store::{self, Store};
use std::collections::BTreeMap;

/// The segments of a level, and how often it was repacked, as the store lists them.
#[derive(Debug, Default)]
pub struct StreamObjects {
    /// Lengths of the segments in bytes, by their numbers.
    pub segments: BTreeMap<u32, u64>,
    /// Number of the newest repack; 0 where there was none.
    pub repacked: u32,
}

impl StreamObjects {
    /// Lists the objects of a level, for as long as `goes_on` says so. One listing.
    ///
    /// # Errors
    ///
    /// Returns the store's error.
    pub fn list(
        store: &dyn Store,
        of: &LevelOf,
        goes_on: impl Fn() -> bool,
    ) -> Result<Self, store::Error> {
        let mut found = Self::default();
        let prefix = names::level_prefix(&of.backup, &of.level);
        store.list(&prefix, &mut |object| {
            match names::place_in_level(&object.name) {
                Some((Folder::Segments, number)) => {
                    found.segments.insert(number, object.length);
                }
                Some((Folder::Repacked, number)) => found.repacked = found.repacked.max(number),
                _ => {}
            }
            goes_on()
        })?;
        Ok(found)
    }
}
