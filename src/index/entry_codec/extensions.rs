//! The area of an entry for what not every entry has: a list of types and values, sorted by type.
//!
//! A reader passes over a type that it does not know. If the type is odd, it must not use the entry.

use super::decode::Shape;
use crate::index::bytes::{Reader, put_difference, put_sized, put_varint};
use crate::index::error::Flaw;
use crate::index::node_number::{RANK_BITS, node_of, rank_of, run_of};
use crate::model::{
    CONTENT_HASH_BYTES, ContentHash, Extensions, InodeFlags, Kind, NodeId, Time, UnknownExtension,
};

/// The hash of a file's content.
const CONTENT_HASH: u64 = 2;
/// The record in an older run that the names of a file have in common.
const LINK: u64 = 4;
/// The inode flags.
const INODE_FLAGS: u64 = 6;
/// When the inode was made.
const BIRTH: u64 = 8;

const KNOWN: [u64; 4] = [CONTENT_HASH, LINK, INODE_FLAGS, BIRTH];

/// What goes into the area of an entry.
pub(super) struct ExtensionArea<'a> {
    pub(super) extensions: &'a Extensions,
    /// The entry's own: the birth time is stored as the difference to it.
    pub(super) ctime: Time,
    /// The common record, if it lies in an older run.
    pub(super) link: Option<NodeId>,
}

impl ExtensionArea<'_> {
    pub(super) fn is_empty(&self) -> bool {
        self.link.is_none() && self.extensions.is_empty()
    }

    /// Appends the area with its length before it.
    pub(super) fn put(&self, out: &mut Vec<u8>) {
        let mut area = Vec::with_capacity(40);
        let mut unknown = self.extensions.unknown.iter().peekable();
        let mut value = Vec::with_capacity(CONTENT_HASH_BYTES);
        for number in KNOWN {
            while let Some(before) = unknown.next_if(|unknown| unknown.number < number) {
                put_extension(&mut area, before.number, &before.value);
            }
            value.clear();
            if self.put_value(number, &mut value).is_some() {
                put_extension(&mut area, number, &value);
            }
        }
        for last in unknown {
            put_extension(&mut area, last.number, &last.value);
        }
        put_sized(out, &area);
    }

    /// Appends the value of a known type; `None` if the entry has none.
    fn put_value(&self, number: u64, value: &mut Vec<u8>) -> Option<()> {
        match number {
            CONTENT_HASH => value.extend_from_slice(&self.extensions.content_hash?.0),
            LINK => {
                let link = self.link?;
                put_varint(value, run_of(link) as u64);
                put_varint(value, rank_of(link));
            }
            INODE_FLAGS => put_varint(value, u64::from(self.extensions.inode_flags?.0)),
            _ => {
                let (birth, ctime) = (self.extensions.birth?, self.ctime);
                put_difference(
                    value,
                    ctime.seconds().cast_unsigned(),
                    birth.seconds().cast_unsigned(),
                );
                put_difference(
                    value,
                    u64::from(ctime.nanoseconds()),
                    u64::from(birth.nanoseconds()),
                );
            }
        }
        Some(())
    }
}

fn put_extension(area: &mut Vec<u8>, number: u64, value: &[u8]) {
    put_varint(area, number);
    put_sized(area, value);
}

/// The area of an entry, checked. Taking it allocates no memory.
#[derive(Clone, Copy, Default)]
pub(super) struct TakenExtensions<'a> {
    pub(super) link: Option<NodeId>,
    content_hash: Option<ContentHash>,
    inode_flags: Option<InodeFlags>,
    birth: Option<Time>,
    /// The whole area, if some of its types are unknown.
    with_unknown: Option<&'a [u8]>,
}

/// What the area of an entry must agree with.
#[derive(Clone, Copy)]
pub(super) struct AreaOwner {
    pub(super) shape: Shape,
    /// The size of a file.
    pub(super) size: u64,
    pub(super) ctime: Time,
    /// The run that the entry is in.
    pub(super) run: usize,
}

/// Takes the area of an entry.
pub(super) fn take_extensions(area: &[u8], of: AreaOwner) -> Result<TakenExtensions<'_>, Flaw> {
    let mut taken = TakenExtensions::default();
    let (mut reader, mut last) = (Reader::new(area), None);
    if area.is_empty() {
        return Err("its area of extensions is empty".into());
    }
    while reader.remaining() > 0 {
        let (number, value) = take_extension(&mut reader)?;
        if last.is_some_and(|last| last >= number) {
            return Err("its extensions are not sorted by type".into());
        }
        last = Some(number);
        let mut value = Reader::new(value);
        match number {
            CONTENT_HASH => taken.content_hash = Some(take_hash(&mut value, of)?),
            LINK => taken.link = Some(take_link(&mut value, of)?),
            INODE_FLAGS => {
                let flags = value.varint_u32()?;
                if flags == 0 {
                    return Err("its list of inode flags is empty".into());
                }
                taken.inode_flags = Some(InodeFlags(flags));
            }
            BIRTH => taken.birth = Some(take_birth(&mut value, of.ctime)?),
            _ => {
                taken.with_unknown = Some(area);
                continue;
            }
        }
        value.end()?;
    }
    Ok(taken)
}

fn take_extension<'a>(reader: &mut Reader<'a>) -> Result<(u64, &'a [u8]), Flaw> {
    Ok((reader.varint()?, reader.sized()?))
}

fn take_hash(value: &mut Reader<'_>, of: AreaOwner) -> Result<ContentHash, Flaw> {
    if of.shape.kind != Kind::File || of.size == 0 {
        return Err("it has a hash of its content, but no content".into());
    }
    let hash = value.take(CONTENT_HASH_BYTES)?;
    let hash = hash
        .try_into()
        .map_err(|_| "a hash has another length than it should")?;
    Ok(ContentHash(hash))
}

fn take_link(value: &mut Reader<'_>, of: AreaOwner) -> Result<NodeId, Flaw> {
    let run = usize::try_from(value.varint()?).unwrap_or(usize::MAX);
    let rank = value.varint()?;
    if of.shape.has(super::LINK) {
        return Err("it names two first names".into());
    }
    if run >= of.run || rank >> RANK_BITS != 0 {
        return Err("it links to an entry that is in no older run".into());
    }
    Ok(node_of(run, rank))
}

fn take_birth(value: &mut Reader<'_>, ctime: Time) -> Result<Time, Flaw> {
    let seconds = value.difference(ctime.seconds().cast_unsigned())?;
    let nanoseconds = value.difference(u64::from(ctime.nanoseconds()))?;
    u32::try_from(nanoseconds)
        .ok()
        .filter(|nanoseconds| *nanoseconds < 1_000_000_000)
        .map(|nanoseconds| Time::new(seconds.cast_signed(), nanoseconds))
        .ok_or_else(|| "a time has more than a second of nanoseconds".into())
}

impl TakenExtensions<'_> {
    /// Returns the extensions as the entry's own.
    pub(super) fn to_owned(self) -> Extensions {
        let mut reader = Reader::new(self.with_unknown.unwrap_or_default());
        let unknown = std::iter::from_fn(|| take_extension(&mut reader).ok())
            .filter(|(number, _)| !KNOWN.contains(number))
            .map(|(number, value)| UnknownExtension {
                number,
                value: value.into(),
            });
        Extensions {
            unknown: unknown.collect(),
            content_hash: self.content_hash,
            inode_flags: self.inode_flags,
            birth: self.birth,
        }
    }
}

/// Returns the rule that extensions break, if they break one.
pub(super) fn check_extensions(
    extensions: &Extensions,
    kind: Kind,
    size: u64,
) -> Result<(), &'static str> {
    if extensions.content_hash.is_some() && (kind != Kind::File || size == 0) {
        return Err("it has a hash of its content, but no content");
    }
    if extensions.inode_flags == Some(InodeFlags(0)) {
        return Err("its list of inode flags is empty");
    }
    let unknown = &extensions.unknown;
    let is_known = |extension: &UnknownExtension| KNOWN.contains(&extension.number);
    if !unknown.is_sorted_by(|a, b| a.number < b.number) || unknown.iter().any(is_known) {
        return Err("its extensions are not sorted by type");
    }
    Ok(())
}
