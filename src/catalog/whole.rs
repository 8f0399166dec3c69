//! Offers a level's stream as one object, for other programs.

use super::Access;
use super::names::{Folder, LevelOf};
use crate::format::frame::{Compression, Protection};
use crate::store::Store;
use std::error::Error;

/// Makes the segments one object for other programs, where the store can. Freezer never reads that
/// object, so a failure is logged and nothing else.
pub fn offer_whole(access: &Access, of: &LevelOf, compression: Compression, segments: u32) {
    if segments == 0 {
        return;
    }
    let ending = match (access.protection(), compression) {
        (Protection::Encrypted(_), _) => "",
        (Protection::Checksum, Compression::None) => ".tar",
        (Protection::Checksum, Compression::Gzip) => ".tar.gz",
        (Protection::Checksum, Compression::Bzip2) => ".tar.bz2",
        (Protection::Checksum, Compression::Xz) => ".tar.xz",
        (Protection::Checksum, Compression::Zstd) => ".tar.zst",
    };
    let whole = of.stream_name(ending);
    let store = access.store();
    let Some(join) = store.powers().join else {
        return;
    };
    match join(&whole, &of.folder_prefix(Folder::Segments), segments.into()) {
        Ok(()) => tracing::debug!(object = %whole, segments, "joined"),
        Err(error) => tracing::warn!(
            error = &error as &dyn Error,
            "the segments could not be joined into one object; the level does not need it"
        ),
    }
}
