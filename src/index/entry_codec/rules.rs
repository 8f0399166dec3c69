//! The rules of the format for entries, kept by both sides: an entry that a reader would refuse is
//! not written.

use super::extensions::check_extensions;
use crate::model::{Content, Entry, Extent, Kind, LevelSerial, SignaturePlace};

/// Returns the rule that an entry breaks, if it breaks one.
pub(in crate::index) fn check(entry: &Entry) -> Result<(), &'static str> {
    if entry.metadata.mode > 0o7777 {
        return Err("its mode has more than the permission bits");
    }
    if !entry.metadata.xattrs.is_sorted_by(|a, b| a.name < b.name) {
        return Err("its extended attributes are not sorted by name");
    }
    if !entry.metadata.signatures.is_empty() && entry.content.kind() != Kind::File {
        return Err("it has signatures but is not a file");
    }
    check_extensions(
        &entry.metadata.extensions,
        entry.content.kind(),
        entry.content.size(),
    )?;
    let mut level = None;
    entry
        .metadata
        .signatures
        .iter()
        .try_for_each(|place| check_signature(place, &mut level))?;
    match &entry.content {
        Content::File { size, extents } => {
            let mut end = 0;
            extents
                .iter()
                .try_for_each(|extent| check_extent(extent, &mut end, *size))
        }
        Content::Symlink(target) => check_target(target),
        Content::Directory | Content::CharDevice(_) | Content::BlockDevice(_) | Content::Fifo => {
            Ok(())
        }
    }
}

pub(super) fn check_target(target: &[u8]) -> Result<(), &'static str> {
    if target.is_empty() || target.contains(&0) {
        Err("the target of the symbolic link is empty or has a NUL byte")
    } else {
        Ok(())
    }
}

/// Checks an extent of a file of `size` bytes. `end` is where the previous extent ends in the file;
/// it becomes the end of this one.
pub(super) fn check_extent(extent: &Extent, end: &mut u64, size: u64) -> Result<(), &'static str> {
    if extent.length == 0 || extent.at.0 < *end {
        return Err("its extents are empty, overlap or are out of order");
    }
    *end = extent
        .at
        .0
        .checked_add(extent.length)
        .filter(|end| *end <= size)
        .ok_or("an extent reaches past the end of the file")?;
    extent
        .stream
        .0
        .checked_add(extent.length)
        .ok_or("an extent reaches past the end of all streams")?;
    Ok(())
}

/// Checks a signature. `level` is that of the previous signature; it becomes the level of this one.
pub(super) fn check_signature(
    place: &SignaturePlace,
    level: &mut Option<LevelSerial>,
) -> Result<(), &'static str> {
    if place.length == 0 || level.is_some_and(|before| before >= place.level) {
        return Err("its signatures are empty or not sorted by level");
    }
    *level = Some(place.level);
    place
        .stream
        .0
        .checked_add(place.length)
        .ok_or("a signature reaches past the end of all streams")?;
    Ok(())
}
