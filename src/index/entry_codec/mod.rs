//! The value of a tree's entry: everything about an [`Entry`](crate::model::Entry) but its path.
//!
//! Fields that are equal in many entries come first. Times, inode and stream offset have a fixed
//! width, high bytes first. Neighbouring entries therefore have long runs of bytes in common: a
//! zstd block stores 15 to 25 bytes an entry, names included. Every entry has exactly one encoding.
//!
//! `rules` checks an entry, `encode` and `decode` convert it, `lists` has the lists that some
//! entries end with, and `extensions` the area for what not every entry has.
//!
//! Entries of version 1 are read, and written anew as version 2: the same layout without that area.
//!
//! Layout: docs/format/index.md, "Entries".

mod decode;
mod encode;
mod extensions;
mod lists;
mod rules;
#[cfg(test)]
mod tests;

pub use decode::EntryAttributes;
pub(super) use decode::{decode, decode_attributes};
pub(super) use encode::encode;
pub(super) use rules::check;

use crate::model::Extent;

/// The version that is written.
const VERSION: u8 = 2;
/// The oldest version that is read.
const OLDEST_VERSION: u8 = 1;

/// The entry has a `ctime` of its own; otherwise it equals `mtime`.
const CTIME: u8 = 1;
/// The content is one extent over the whole file.
const WHOLE: u8 = 2;
/// The content is a list of extents.
const EXTENTS: u8 = 4;
/// The entry is a further name of an entry before it in the same run.
const LINK: u8 = 8;
/// The entry has extended attributes.
const XATTRS: u8 = 16;
/// The entry has signatures of its content.
const SIGNATURES: u8 = 32;
/// The entry has extensions.
const EXTENSIONS: u8 = 64;

/// Returns the flags that entries of a version may have.
fn known_flags(version: u8) -> u8 {
    let all = CTIME | WHOLE | EXTENTS | LINK | XATTRS | SIGNATURES | EXTENSIONS;
    if version == OLDEST_VERSION {
        all & !EXTENSIONS
    } else {
        all
    }
}

/// The value that says: the entry of older runs with this key is gone, or everything in this
/// subtree is.
pub(super) const GONE: [u8; 2] = [VERSION, GONE_KIND];

/// In the place of a kind: something is gone.
const GONE_KIND: u8 = 6;

/// Returns whether a value says that what older runs have is gone.
pub(super) fn is_gone(value: &[u8]) -> bool {
    matches!(value, [OLDEST_VERSION..=VERSION, GONE_KIND])
}

/// Returns `st_blocks` of a file without holes, as most file systems have it. Entries store the
/// difference to it.
fn usual_blocks(size: u64) -> u64 {
    size.div_ceil(4096) * 8
}

/// Returns the only extent of a file, if it covers the whole file.
fn whole(size: u64, extents: &[Extent]) -> Option<&Extent> {
    match extents {
        [extent] if extent.at.0 == 0 && extent.length == size => Some(extent),
        _ => None,
    }
}
