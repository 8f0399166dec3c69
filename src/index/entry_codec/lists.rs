//! The lists that some entries end with: extended attributes, extents, signatures.

use super::rules::{check_extent, check_signature};
use super::whole;
use crate::index::bytes::{Reader, put_difference, put_sized, put_varint};
use crate::index::error::Flaw;
use crate::model::{Extent, FileOffset, LevelSerial, SignaturePlace, StreamOffset, Xattr};

pub(super) fn put_xattrs(out: &mut Vec<u8>, xattrs: &[Xattr]) {
    put_varint(out, xattrs.len() as u64);
    for xattr in xattrs {
        put_sized(out, &xattr.name);
        put_sized(out, &xattr.value);
    }
}

/// Appends extents, each relative to the end of the previous one.
pub(super) fn put_extents(out: &mut Vec<u8>, extents: &[Extent]) {
    put_varint(out, extents.len() as u64);
    let (mut at, mut level, mut stream) = (0, 0, 0);
    for extent in extents {
        put_varint(out, extent.at.0 - at);
        put_difference(out, level, extent.level.0);
        put_difference(out, stream, extent.stream.0);
        put_varint(out, extent.length);
        at = extent.at.0 + extent.length;
        level = extent.level.0;
        stream = extent.stream.0 + extent.length;
    }
}

pub(super) fn put_signatures(out: &mut Vec<u8>, signatures: &[SignaturePlace]) {
    put_varint(out, signatures.len() as u64);
    let mut level = 0;
    for place in signatures {
        put_varint(out, place.level.0 - level);
        put_varint(out, place.stream.0);
        put_varint(out, place.length);
        level = place.level.0;
    }
}

pub(super) fn take_xattrs(reader: &mut Reader<'_>) -> Result<Vec<Xattr>, Flaw> {
    let count = reader.length()?;
    let mut xattrs: Vec<Xattr> =
        Vec::with_capacity(count.min(reader.remaining() / 2 / size_of::<Xattr>() + 1));
    for _ in 0..count {
        let xattr = Xattr {
            name: reader.sized()?.into(),
            value: reader.sized()?.into(),
        };
        if xattrs.last().is_some_and(|last| last.name >= xattr.name) {
            return Err("its extended attributes are not sorted by name".into());
        }
        xattrs.push(xattr);
    }
    if xattrs.is_empty() {
        Err("a list of extended attributes is empty".into())
    } else {
        Ok(xattrs)
    }
}

pub(super) fn take_extents(reader: &mut Reader<'_>, size: u64) -> Result<Vec<Extent>, Flaw> {
    let count = reader.length()?;
    // An extent takes at least four bytes, so this allocates at most eight times the bytes that are
    // there.
    let mut extents = Vec::with_capacity(count.min(reader.remaining() / 4));
    let (mut end, mut level, mut stream) = (0u64, 0, 0);
    for _ in 0..count {
        let at = end
            .checked_add(reader.varint()?)
            .ok_or("an extent begins past the end of all files")?;
        level = reader.difference(level)?;
        stream = reader.difference(stream)?;
        let extent = Extent {
            at: FileOffset(at),
            level: LevelSerial(level),
            stream: StreamOffset(stream),
            length: reader.varint()?,
        };
        check_extent(&extent, &mut end, size)?;
        stream += extent.length;
        extents.push(extent);
    }
    if extents.is_empty() || whole(size, &extents).is_some() {
        Err("a list of extents is empty, or should be a single extent".into())
    } else {
        Ok(extents)
    }
}

pub(super) fn take_signatures(reader: &mut Reader<'_>) -> Result<Vec<SignaturePlace>, Flaw> {
    let count = reader.length()?;
    // A place takes at least three bytes.
    let mut signatures = Vec::with_capacity(count.min(reader.remaining() / 3));
    let mut level = None;
    for _ in 0..count {
        let before = level.map_or(0, |LevelSerial(level)| level);
        let serial = before
            .checked_add(reader.varint()?)
            .ok_or("the level of a signature is larger than any level")?;
        let place = SignaturePlace {
            level: LevelSerial(serial),
            stream: StreamOffset(reader.varint()?),
            length: reader.varint()?,
        };
        check_signature(&place, &mut level)?;
        signatures.push(place);
    }
    if signatures.is_empty() {
        Err("a list of signatures is empty".into())
    } else {
        Ok(signatures)
    }
}
