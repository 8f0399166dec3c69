//! Encoding entries.

use super::extensions::ExtensionArea;
use super::lists::{put_extents, put_signatures, put_xattrs};
use super::{
    CTIME, EXTENSIONS, EXTENTS, LINK, SIGNATURES, VERSION, WHOLE, XATTRS, usual_blocks, whole,
};
use crate::index::bytes::{put_difference, put_sized, put_varint};
use crate::index::node_number::{rank_of, run_of};
use crate::model::{Content, Entry, Extent, Kind, Metadata, Owner, Time};

/// Replaces the content of `out` by the value of `entry` in the run `run`. The entry must have
/// passed [`check`](super::check).
pub(in crate::index) fn encode(entry: &Entry, run: usize, out: &mut Vec<u8>) {
    let Metadata {
        mode,
        owner,
        mtime,
        ctime,
        device,
        inode,
        links,
        blocks,
        xattrs,
        signatures,
        extensions,
    } = &entry.metadata;
    let (size, extents) = match &entry.content {
        Content::File { size, extents } => (*size, extents.as_slice()),
        _ => (0, &[][..]),
    };
    let whole = whole(size, extents);
    let own_ctime = (ctime != mtime).then_some(*ctime);
    let (same_run, older_run) = match entry.link_to {
        Some(first) if run_of(first) == run => (Some(rank_of(first)), None),
        first => (None, first),
    };
    let area = ExtensionArea {
        extensions,
        ctime: *ctime,
        link: older_run,
    };
    let flag = |flag: u8, set: bool| if set { flag } else { 0 };
    let flags = flag(CTIME, own_ctime.is_some())
        | flag(WHOLE, whole.is_some())
        | flag(EXTENTS, whole.is_none() && !extents.is_empty())
        | flag(LINK, same_run.is_some())
        | flag(XATTRS, !xattrs.is_empty())
        | flag(SIGNATURES, !signatures.is_empty())
        | flag(EXTENSIONS, !area.is_empty());

    out.clear();
    out.extend_from_slice(&[VERSION, kind_number(entry.content.kind()), flags]);
    put_varint(out, u64::from(*mode));
    put_owner(out, owner);
    put_varint(out, *device);
    put_varint(out, u64::from(*links));
    if let Some(extent) = whole {
        put_varint(out, extent.level.0);
    }
    put_fixed_width(out, *mtime, own_ctime, *inode, whole);
    put_content(out, &entry.content);
    put_difference(out, usual_blocks(size), *blocks);
    if let Some(rank) = same_run {
        put_varint(out, rank);
    }
    if !area.is_empty() {
        area.put(out);
    }
    if !xattrs.is_empty() {
        put_xattrs(out, xattrs);
    }
    if whole.is_none() && !extents.is_empty() {
        put_extents(out, extents);
    }
    if !signatures.is_empty() {
        put_signatures(out, signatures);
    }
}

fn kind_number(kind: Kind) -> u8 {
    match kind {
        Kind::File => 0,
        Kind::Directory => 1,
        Kind::Symlink => 2,
        Kind::CharDevice => 3,
        Kind::BlockDevice => 4,
        Kind::Fifo => 5,
    }
}

fn put_owner(out: &mut Vec<u8>, owner: &Owner) {
    put_varint(out, u64::from(owner.uid));
    put_varint(out, u64::from(owner.gid));
    put_sized(out, &owner.user);
    put_sized(out, &owner.group);
}

/// Appends the fields of fixed width: times, inode and stream offset.
fn put_fixed_width(
    out: &mut Vec<u8>,
    mtime: Time,
    own_ctime: Option<Time>,
    inode: u64,
    whole: Option<&Extent>,
) {
    out.extend_from_slice(&mtime.seconds().to_be_bytes());
    if let Some(ctime) = own_ctime {
        out.extend_from_slice(&ctime.seconds().to_be_bytes());
    }
    out.extend_from_slice(&inode.to_be_bytes());
    if let Some(extent) = whole {
        out.extend_from_slice(&extent.stream.0.to_be_bytes());
    }
    out.extend_from_slice(&mtime.nanoseconds().to_be_bytes());
    if let Some(ctime) = own_ctime {
        out.extend_from_slice(&ctime.nanoseconds().to_be_bytes());
    }
}

/// Appends the fields that only entries of this kind have.
fn put_content(out: &mut Vec<u8>, content: &Content) {
    match content {
        Content::File { size, .. } => put_varint(out, *size),
        Content::Symlink(target) => put_sized(out, target),
        Content::CharDevice(numbers) | Content::BlockDevice(numbers) => {
            put_varint(out, u64::from(numbers.major));
            put_varint(out, u64::from(numbers.minor));
        }
        Content::Directory | Content::Fifo => {}
    }
}
