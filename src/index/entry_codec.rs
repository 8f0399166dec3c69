//! The value of a tree's entry: everything of an [`Entry`] but its path.
//!
//! Fields that are the same in many entries stand first, and times, inode and stream offset have a
//! fixed width, high bytes first, so that neighbouring entries have long runs of bytes in common: a
//! zstd block stores them in 15 to 25 bytes an entry, names included. Every entry has exactly one
//! encoding.
//!
//! Layout: docs/format/index.md, "Entries".

use super::bytes::{Reader, put_difference, put_sized, put_varint};
use super::error::Flaw;
use crate::model::{
    Content, Device, Entry, Extent, FileOffset, Kind, LevelSerial, Metadata, NodeId, Owner,
    SignaturePlace, StreamOffset, Time, TreePath, Xattr,
};

const VERSION: u8 = 1;

/// `ctime` is given; else it equals `mtime`.
const CTIME: u8 = 1;
/// The content is one extent over the whole file.
const WHOLE: u8 = 2;
/// The content is a list of extents.
const EXTENTS: u8 = 4;
/// Another name of the same file comes before this one.
const LINK: u8 = 8;
/// There are extended attributes.
const XATTRS: u8 = 16;
/// There are signatures of the content.
const SIGNATURES: u8 = 32;
const KNOWN_FLAGS: u8 = CTIME | WHOLE | EXTENTS | LINK | XATTRS | SIGNATURES;

/// What stands in place of an entry that is gone, or of a subtree of which all is gone.
pub(super) const GONE: [u8; 2] = [VERSION, 6];

/// Whether a value says that what older runs have is gone.
pub(super) fn is_gone(value: &[u8]) -> bool {
    value == GONE
}

/// What is known of an entry in numbers: all that a listing shows. Read without setting memory
/// aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attributes {
    /// What it is.
    pub kind: Kind,
    /// Permission bits with setuid, setgid and sticky.
    pub mode: u32,
    /// Owner's number.
    pub uid: u32,
    /// Owning group's number.
    pub gid: u32,
    /// Last change of the content.
    pub mtime: Time,
    /// Last change of content or metadata, by the source's clock.
    pub ctime: Time,
    /// `st_dev` of the source.
    pub device: u64,
    /// `st_ino` of the source.
    pub inode: u64,
    /// `st_nlink` of the source.
    pub links: u32,
    /// Units of 512 bytes that the source had allocated.
    pub blocks: u64,
    /// Length in bytes as `stat` shows it: see [`Content::size`].
    pub size: u64,
    /// The numbers of a device.
    pub numbers: Option<Device>,
    /// The first name of a hard-linked file, if this is another one.
    pub link_to: Option<NodeId>,
    /// Whether it has extended attributes.
    pub has_xattrs: bool,
}

/// Says which rule of the format this entry breaks: what would be refused when it is read is
/// refused when it is written.
pub(super) fn check(entry: &Entry) -> Result<(), &'static str> {
    if entry.metadata.mode > 0o7777 {
        return Err("its mode has more than the permission bits");
    }
    if !entry.metadata.xattrs.is_sorted_by(|a, b| a.name < b.name) {
        return Err("its extended attributes are not sorted by name");
    }
    if !entry.metadata.signatures.is_empty() && entry.content.kind() != Kind::File {
        return Err("it has signatures and is no file");
    }
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

fn check_target(target: &[u8]) -> Result<(), &'static str> {
    if target.is_empty() || target.contains(&0) {
        Err("the target of the symbolic link is not one")
    } else {
        Ok(())
    }
}

/// `end` is where the extent before this one ends in the file.
fn check_extent(extent: &Extent, end: &mut u64, size: u64) -> Result<(), &'static str> {
    if extent.length == 0 || extent.at.0 < *end {
        return Err("its extents are empty, overlap, or are out of order");
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

/// `level` is that of the signature before.
fn check_signature(
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

/// `st_blocks` of a file without holes on most file systems; what is stored is the difference to
/// it.
fn usual_blocks(content: &Content) -> u64 {
    match content {
        Content::File { size, .. } => usual_blocks_of_file(*size),
        _ => 0,
    }
}

fn usual_blocks_of_file(size: u64) -> u64 {
    size.div_ceil(4096) * 8
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

fn kind_of(number: u8) -> Result<Kind, Flaw> {
    Ok(match number {
        0 => Kind::File,
        1 => Kind::Directory,
        2 => Kind::Symlink,
        3 => Kind::CharDevice,
        4 => Kind::BlockDevice,
        5 => Kind::Fifo,
        _ => return Err(format!("kind {number} is not known to this version of freezer").into()),
    })
}

/// The only extent, if it is the whole file.
fn whole(size: u64, extents: &[Extent]) -> Option<&Extent> {
    match extents {
        [extent] if extent.at.0 == 0 && extent.length == size => Some(extent),
        _ => None,
    }
}

/// Writes the value over what is in `out`. The caller has asked [`check`].
pub(super) fn encode(entry: &Entry, out: &mut Vec<u8>) {
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
    } = &entry.metadata;
    let (size, extents) = match &entry.content {
        Content::File { size, extents } => (*size, extents.as_slice()),
        _ => (0, &[][..]),
    };
    let whole = whole(size, extents);
    let flag = |flag: u8, set: bool| if set { flag } else { 0 };
    let flags = flag(CTIME, mtime != ctime)
        | flag(WHOLE, whole.is_some())
        | flag(EXTENTS, whole.is_none() && !extents.is_empty())
        | flag(LINK, entry.link_to.is_some())
        | flag(XATTRS, !xattrs.is_empty())
        | flag(SIGNATURES, !signatures.is_empty());

    out.clear();
    out.extend_from_slice(&[VERSION, kind_number(entry.content.kind()), flags]);
    put_varint(out, u64::from(*mode));
    put_varint(out, u64::from(owner.uid));
    put_varint(out, u64::from(owner.gid));
    put_sized(out, &owner.user);
    put_sized(out, &owner.group);
    put_varint(out, *device);
    put_varint(out, u64::from(*links));
    if let Some(extent) = whole {
        put_varint(out, extent.level.0);
    }
    out.extend_from_slice(&mtime.seconds().to_be_bytes());
    if mtime != ctime {
        out.extend_from_slice(&ctime.seconds().to_be_bytes());
    }
    out.extend_from_slice(&inode.to_be_bytes());
    if let Some(extent) = whole {
        out.extend_from_slice(&extent.stream.0.to_be_bytes());
    }
    out.extend_from_slice(&mtime.nanoseconds().to_be_bytes());
    if mtime != ctime {
        out.extend_from_slice(&ctime.nanoseconds().to_be_bytes());
    }
    match &entry.content {
        Content::File { size, .. } => put_varint(out, *size),
        Content::Symlink(target) => put_sized(out, target),
        Content::CharDevice(numbers) | Content::BlockDevice(numbers) => {
            put_varint(out, u64::from(numbers.major));
            put_varint(out, u64::from(numbers.minor));
        }
        Content::Directory | Content::Fifo => {}
    }
    put_difference(out, usual_blocks(&entry.content), *blocks);
    if let Some(first) = entry.link_to {
        put_varint(out, first.0);
    }
    if !xattrs.is_empty() {
        put_varint(out, xattrs.len() as u64);
        for xattr in xattrs {
            put_sized(out, &xattr.name);
            put_sized(out, &xattr.value);
        }
    }
    if whole.is_none() && !extents.is_empty() {
        encode_extents(extents, out);
    }
    if !signatures.is_empty() {
        encode_signatures(signatures, out);
    }
}

/// Each extent relative to where the one before it ended.
fn encode_extents(extents: &[Extent], out: &mut Vec<u8>) {
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

fn encode_signatures(signatures: &[SignaturePlace], out: &mut Vec<u8>) {
    put_varint(out, signatures.len() as u64);
    let mut level = 0;
    for place in signatures {
        put_varint(out, place.level.0 - level);
        put_varint(out, place.stream.0);
        put_varint(out, place.length);
        level = place.level.0;
    }
}

/// What all entries have, and what is left to read.
struct Front<'a> {
    attributes: Attributes,
    flags: u8,
    user: &'a [u8],
    group: &'a [u8],
    target: &'a [u8],
    /// Level and place of content in one piece.
    whole: Option<(LevelSerial, StreamOffset)>,
    rest: Reader<'a>,
}

fn decode_time(seconds: i64, nanoseconds: u32) -> Result<Time, Flaw> {
    if nanoseconds < 1_000_000_000 {
        Ok(Time::new(seconds, nanoseconds))
    } else {
        Err("a time has more than a second of nanoseconds".into())
    }
}

impl<'a> Front<'a> {
    fn decode(value: &'a [u8]) -> Result<Self, Flaw> {
        let mut reader = Reader::new(value);
        let version = reader.u8()?;
        if version != VERSION {
            return Err(format!(
                "entries of version {version} are not known to this version of freezer"
            )
            .into());
        }
        let kind = kind_of(reader.u8()?)?;
        let flags = reader.u8()?;
        if flags & !KNOWN_FLAGS != 0 {
            return Err(format!(
                "flags {:#04x} are not known to this version of freezer",
                flags & !KNOWN_FLAGS
            )
            .into());
        }
        let has = |flag: u8| flags & flag != 0;
        if (has(WHOLE) && has(EXTENTS))
            || (kind != Kind::File && (has(WHOLE) || has(EXTENTS) || has(SIGNATURES)))
        {
            return Err(format!("flags {flags:#04x} contradict each other or the kind").into());
        }
        let mode = reader.varint_u32()?;
        if mode > 0o7777 {
            return Err("its mode has more than the permission bits".into());
        }
        let (uid, gid) = (reader.varint_u32()?, reader.varint_u32()?);
        let (user, group) = (reader.sized()?, reader.sized()?);
        let (device, links) = (reader.varint()?, reader.varint_u32()?);
        let level = if has(WHOLE) {
            Some(LevelSerial(reader.varint()?))
        } else {
            None
        };
        let mtime = reader.i64_be()?;
        let ctime = if has(CTIME) {
            Some(reader.i64_be()?)
        } else {
            None
        };
        let inode = reader.u64_be()?;
        let stream = if has(WHOLE) {
            Some(StreamOffset(reader.u64_be()?))
        } else {
            None
        };
        let mtime = decode_time(mtime, reader.u32_be()?)?;
        let ctime = match ctime {
            Some(seconds) => decode_time(seconds, reader.u32_be()?)?,
            None => mtime,
        };
        if has(CTIME) && ctime == mtime {
            return Err("a time is given twice".into());
        }
        let (mut target, mut numbers, mut usual_blocks) = (&[][..], None, 0);
        let size = match kind {
            Kind::File => {
                let size = reader.varint()?;
                usual_blocks = usual_blocks_of_file(size);
                size
            }
            Kind::Symlink => {
                target = reader.sized()?;
                check_target(target)?;
                target.len() as u64
            }
            Kind::CharDevice | Kind::BlockDevice => {
                numbers = Some(Device {
                    major: reader.varint_u32()?,
                    minor: reader.varint_u32()?,
                });
                0
            }
            Kind::Directory | Kind::Fifo => 0,
        };
        let blocks = reader.difference(usual_blocks)?;
        let link_to = if has(LINK) {
            Some(NodeId(reader.varint()?))
        } else {
            None
        };
        let has_xattrs = has(XATTRS);
        let attributes = Attributes {
            kind,
            mode,
            uid,
            gid,
            mtime,
            ctime,
            device,
            inode,
            links,
            blocks,
            size,
            numbers,
            link_to,
            has_xattrs,
        };
        Ok(Self {
            attributes,
            flags,
            user,
            group,
            target,
            whole: level.zip(stream),
            rest: reader,
        })
    }

    fn content(&self, extents: Vec<Extent>) -> Result<Content, Flaw> {
        let numbers = || {
            self.attributes
                .numbers
                .ok_or_else(|| Flaw::from("a device has no numbers"))
        };
        Ok(match self.attributes.kind {
            Kind::File => Content::File {
                size: self.attributes.size,
                extents,
            },
            Kind::Directory => Content::Directory,
            Kind::Symlink => Content::Symlink(self.target.into()),
            Kind::CharDevice => Content::CharDevice(numbers()?),
            Kind::BlockDevice => Content::BlockDevice(numbers()?),
            Kind::Fifo => Content::Fifo,
        })
    }
}

/// Reads the numbers alone: what comes after them is not looked at.
pub(super) fn decode_attributes(value: &[u8]) -> Result<Attributes, Flaw> {
    Front::decode(value).map(|front| front.attributes)
}

/// Reads the whole entry.
pub(super) fn decode(value: &[u8], path: TreePath) -> Result<Entry, Flaw> {
    let mut front = Front::decode(value)?;
    let Attributes {
        mode,
        uid,
        gid,
        mtime,
        ctime,
        device,
        inode,
        links,
        blocks,
        size,
        link_to,
        ..
    } = front.attributes;
    let xattrs = if front.flags & XATTRS == 0 {
        Vec::new()
    } else {
        decode_xattrs(&mut front.rest)?
    };
    let extents = match front.whole {
        Some((level, stream)) => {
            let extent = Extent {
                at: FileOffset(0),
                level,
                stream,
                length: size,
            };
            check_extent(&extent, &mut 0, size)?;
            vec![extent]
        }
        None if front.flags & EXTENTS == 0 => Vec::new(),
        None => decode_extents(&mut front.rest, size)?,
    };
    let signatures = if front.flags & SIGNATURES == 0 {
        Vec::new()
    } else {
        decode_signatures(&mut front.rest)?
    };
    front.rest.end()?;
    let owner = Owner {
        uid,
        gid,
        user: front.user.into(),
        group: front.group.into(),
    };
    let metadata = Metadata {
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
    };
    Ok(Entry {
        path,
        metadata,
        content: front.content(extents)?,
        link_to,
    })
}

fn decode_xattrs(reader: &mut Reader<'_>) -> Result<Vec<Xattr>, Flaw> {
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

fn decode_extents(reader: &mut Reader<'_>, size: u64) -> Result<Vec<Extent>, Flaw> {
    let count = reader.length()?;
    // An extent has four bytes at least, so this is at most eight times the bytes that are there.
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
        Err("a list of extents is longer than it needs to be".into())
    } else {
        Ok(extents)
    }
}

fn decode_signatures(reader: &mut Reader<'_>) -> Result<Vec<SignaturePlace>, Flaw> {
    let count = reader.length()?;
    // A place has three bytes at least.
    let mut signatures = Vec::with_capacity(count.min(reader.remaining() / 3));
    let mut level = None;
    for _ in 0..count {
        let before = level.map_or(0, |LevelSerial(level)| level);
        let serial = before
            .checked_add(reader.varint()?)
            .ok_or("the level of a signature cannot be")?;
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

#[cfg(test)]
mod tests {
    use super::{check, decode, decode_attributes, encode};
    use crate::model::{
        Content, Device, Entry, Extent, FileOffset, Kind, LevelSerial, Metadata, NodeId, Owner,
        SignaturePlace, StreamOffset, Time, TreePath, Xattr,
    };
    use proptest::prelude::{
        Just, Strategy, any, prop_assert, prop_assert_eq, prop_oneof, proptest,
    };

    /// Numbers of every length, extremes among them.
    fn number() -> impl Strategy<Value = u64> {
        prop_oneof![
            (any::<u64>(), 0u32..64).prop_map(|(number, shift)| number >> shift),
            Just(0),
            Just(u64::MAX)
        ]
    }

    fn number_u32() -> impl Strategy<Value = u32> {
        (any::<u32>(), 0u32..32).prop_map(|(number, shift)| number >> shift)
    }

    fn time() -> impl Strategy<Value = Time> {
        (any::<i64>(), 0u32..64, 0u32..1_000_000_000)
            .prop_map(|(seconds, shift, nanoseconds)| Time::new(seconds >> shift, nanoseconds))
    }

    fn bytes(length: std::ops::Range<usize>) -> impl Strategy<Value = Box<[u8]>> {
        proptest::collection::vec(any::<u8>(), length).prop_map(Box::from)
    }

    fn file() -> impl Strategy<Value = Content> {
        let piece = (0u64..100_000, 1u64..100_000, 0u64..3, 0..u64::MAX / 2);
        (proptest::collection::vec(piece, 0..5), 0u64..100).prop_map(|(pieces, hole)| {
            let mut end = 0;
            let extents = pieces.into_iter().map(|(gap, length, level, stream)| {
                let at = end + if gap > 50_000 { 0 } else { gap };
                end = at + length;
                Extent {
                    at: FileOffset(at),
                    level: LevelSerial(level),
                    stream: StreamOffset(stream),
                    length,
                }
            });
            let extents = extents.collect();
            Content::File {
                size: end + if hole > 50 { 0 } else { hole },
                extents,
            }
        })
    }

    fn device() -> impl Strategy<Value = Device> {
        (number_u32(), number_u32()).prop_map(|(major, minor)| Device { major, minor })
    }

    fn content() -> impl Strategy<Value = Content> {
        prop_oneof![
            file(),
            number().prop_map(|size| Content::File {
                size,
                extents: Vec::new()
            }),
            Just(Content::Directory),
            proptest::collection::vec(1u8.., 1..300)
                .prop_map(|target| Content::Symlink(target.into())),
            device().prop_map(Content::CharDevice),
            device().prop_map(Content::BlockDevice),
            Just(Content::Fifo),
        ]
    }

    fn xattrs() -> impl Strategy<Value = Vec<Xattr>> {
        proptest::collection::btree_map(bytes(0..6), bytes(0..200), 0..4).prop_map(|map| {
            map.into_iter()
                .map(|(name, value)| Xattr { name, value })
                .collect()
        })
    }

    fn metadata() -> impl Strategy<Value = Metadata> {
        let owner = (number_u32(), number_u32(), bytes(0..40), bytes(0..3));
        let owner = owner.prop_map(|(uid, gid, user, group)| Owner {
            uid,
            gid,
            user,
            group,
        });
        let ctime = prop_oneof![Just(None), time().prop_map(Some)];
        let numbers = (number(), number(), number_u32(), number());
        (0u32..0o10000, owner, time(), ctime, numbers, xattrs()).prop_map(
            |(mode, owner, mtime, ctime, numbers, xattrs)| {
                let (device, inode, links, blocks) = numbers;
                Metadata {
                    mode,
                    owner,
                    mtime,
                    ctime: ctime.unwrap_or(mtime),
                    device,
                    inode,
                    links,
                    blocks,
                    xattrs,
                    signatures: Vec::new(),
                }
            },
        )
    }

    fn signatures() -> impl Strategy<Value = Vec<SignaturePlace>> {
        proptest::collection::btree_map(number(), (0..u64::MAX / 2, 1..u64::MAX / 2), 0..4)
            .prop_map(|map| {
                let place = |(level, (stream, length))| SignaturePlace {
                    level: LevelSerial(level),
                    stream: StreamOffset(stream),
                    length,
                };
                map.into_iter().map(place).collect()
            })
    }

    fn entry() -> impl Strategy<Value = Entry> {
        (
            metadata(),
            content(),
            proptest::option::of(number().prop_map(NodeId)),
            signatures(),
        )
            .prop_map(|(mut metadata, content, link_to, signatures)| {
                if content.kind() == Kind::File {
                    metadata.signatures = signatures;
                }
                Entry {
                    path: TreePath::root(),
                    metadata,
                    content,
                    link_to,
                }
            })
    }

    fn encoded(entry: &Entry) -> Vec<u8> {
        let mut value = b"what was there before".to_vec();
        encode(entry, &mut value);
        value
    }

    proptest! {
        #[test]
        fn every_entry_reads_back(entry in entry()) {
            prop_assert_eq!(check(&entry), Ok(()));
            let value = encoded(&entry);
            prop_assert_eq!(decode(&value, TreePath::root()), Ok(entry.clone()));
            let attributes = decode_attributes(&value).expect("the entry is sound");
            prop_assert_eq!(attributes.size, entry.content.size());
            prop_assert_eq!(attributes.kind, entry.content.kind());
            prop_assert_eq!(attributes.has_xattrs, !entry.metadata.xattrs.is_empty());
            prop_assert_eq!((attributes.mtime, attributes.ctime), (entry.metadata.mtime, entry.metadata.ctime));
        }

        #[test]
        fn damaged_values_are_refused_or_are_exactly_what_another_entry_would_be(
            entry in entry(), at: proptest::sample::Index, bit in 0u8..8, cut: bool,
        ) {
            let mut value = encoded(&entry);
            let at = at.index(value.len());
            if cut { value.truncate(at) } else { value[at] ^= 1 << bit }
            if let Ok(other) = decode(&value, TreePath::root()) {
                prop_assert!(other != entry);
                prop_assert_eq!(encoded(&other), value);
            }
        }

        #[test]
        fn any_bytes_are_refused_or_have_one_meaning(flags in 0u8..64, kind in 0u8..7, rest in bytes(0..200)) {
            let value = [&[1, kind, flags][..], &rest].concat();
            if let Ok(entry) = decode(&value, TreePath::root()) {
                prop_assert_eq!(check(&entry), Ok(()));
                prop_assert_eq!(encoded(&entry), value);
            }
        }
    }

    fn file_of(extents: &[(u64, u64)], size: u64) -> Entry {
        let extent = |&(at, length): &(u64, u64)| Extent {
            at: FileOffset(at),
            level: LevelSerial(1),
            stream: StreamOffset(512),
            length,
        };
        let content = Content::File {
            size,
            extents: extents.iter().map(extent).collect(),
        };
        Entry {
            path: TreePath::root(),
            metadata: Metadata::default(),
            content,
            link_to: None,
        }
    }

    #[test]
    fn extents_that_contradict_the_file_are_refused_by_both_sides() {
        for (bad, size) in [
            (&[(0, 5)][..], 4),
            (&[(0, 5), (4, 5)], 20),
            (&[(5, 5), (0, 5)], 20),
            (&[(0, 0)], 4),
            (&[(u64::MAX, 2)], u64::MAX),
        ] {
            let entry = file_of(bad, size);
            assert!(check(&entry).is_err(), "{bad:?}");
        }
        assert_eq!(check(&file_of(&[(0, 4), (4, 4), (9, 1)], 10)), Ok(()));
        for (bad, size) in [(&[(0, 5)][..], 4), (&[(0, 0)], 4), (&[(0, 4), (4, 4)], 7)] {
            decode(&encoded(&file_of(bad, size)), TreePath::root())
                .expect_err("it contradicts itself");
        }
    }

    #[test]
    fn signatures_that_cannot_be_are_refused_by_both_sides() {
        let place = |level, stream, length| SignaturePlace {
            level: LevelSerial(level),
            stream: StreamOffset(stream),
            length,
        };
        for bad in [
            vec![place(1, 5, 0)],
            vec![place(2, 5, 5), place(2, 50, 5)],
            vec![place(1, u64::MAX, 2)],
        ] {
            let mut entry = file_of(&[(0, 5)], 5);
            entry.metadata.signatures = bad;
            assert!(check(&entry).is_err(), "{entry:?}");
            decode(&encoded(&entry), TreePath::root()).expect_err("they cannot be");
        }
        let mut directory = Entry {
            content: Content::Directory,
            ..file_of(&[], 0)
        };
        directory.metadata.signatures = vec![place(1, 5, 5)];
        assert!(check(&directory).is_err());
        decode(&encoded(&directory), TreePath::root()).expect_err("it is no file");
    }

    #[test]
    fn what_a_newer_version_writes_is_refused_by_name() {
        let sound = encoded(&file_of(&[(0, 5)], 5));
        for (at, byte, says) in [
            (0, 2, "version 2"),
            (1, 6, "kind 6"),
            (2, 0x42, "flags 0x40"),
        ] {
            let mut value = sound.clone();
            value[at] = byte;
            let flaw = decode(&value, TreePath::root()).expect_err("it is not known");
            assert!(flaw.0.contains(says), "{flaw:?}");
        }
    }

    #[test]
    fn a_count_that_the_bytes_cannot_hold_sets_no_memory_aside() {
        let sound = encoded(&file_of(&[(0, 5), (6, 5)], 11));
        let list = sound.len() - (1 + 5 + 4);
        assert_eq!(sound[list], 2, "the count of extents");
        let mut value = sound[..list].to_vec();
        value.extend_from_slice(&[0xff; 9]);
        value.push(1);
        assert!(decode(&value, TreePath::root()).is_err());
    }
}
