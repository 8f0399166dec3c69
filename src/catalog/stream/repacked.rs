//! Reads the records of repacks, each of which supersedes a level's frame table.

use crate::catalog::names::{self, Folder, LevelOf};
use crate::format::frame::Opener;
use crate::format::manifest::ManifestError;
use crate::format::repacked::{MAX_REPACKED_BYTES, Repacked};
use crate::store::{self, Store, StoreExt};

/// Why it is not known where the stream of a level is.
#[derive(Debug, thiserror::Error)]
pub enum RepackedError {
    /// The store could not be asked.
    #[error("could not find out whether the level was repacked")]
    Store(#[source] store::Error),
    /// The record of the repack is damaged or newer than this program.
    #[error("could not read the record of the level's repack")]
    Document(#[source] ManifestError),
}

/// Returns the newest record of a level's repacks, unless its number is `known` or less.
///
/// One listing, and one object if there is a newer record.
///
/// # Errors
///
/// [`RepackedError`].
pub fn newer(
    store: &dyn Store,
    opener: &Opener,
    of: &LevelOf,
    known: u32,
) -> Result<Option<Repacked>, RepackedError> {
    let mut newest = known;
    let listed = store.list(&of.folder_prefix(Folder::Repacked), &mut |object| {
        if let Some((Folder::Repacked, number)) = names::place_in_level(&object.name) {
            newest = newest.max(number);
        }
        true
    });
    listed.map_err(RepackedError::Store)?;
    if newest == known {
        Ok(None)
    } else {
        load(store, opener, of, newest).map(Some)
    }
}

/// Loads the record of a level's `number`th repack.
///
/// # Errors
///
/// [`RepackedError`].
pub fn load(
    store: &dyn Store,
    opener: &Opener,
    of: &LevelOf,
    number: u32,
) -> Result<Repacked, RepackedError> {
    let stored = store
        .get(&of.data_name(Folder::Repacked, number), MAX_REPACKED_BYTES)
        .map_err(RepackedError::Store)?;
    Repacked::open(stored, opener, number).map_err(RepackedError::Document)
}
