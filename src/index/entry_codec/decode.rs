//! Decoding entries.

use super::extensions::{AreaOwner, TakenExtensions, take_extensions};
use super::lists::{take_extents, take_signatures, take_xattrs};
use super::rules::{check_extent, check_target};
use super::{
    CTIME, EXTENSIONS, EXTENTS, LINK, OLDEST_VERSION, SIGNATURES, VERSION, WHOLE, XATTRS,
    known_flags, usual_blocks,
};
use crate::index::bytes::Reader;
use crate::index::error::Flaw;
use crate::index::node_number::{RANK_BITS, node_of};
use crate::model::{
    Content, Device, Entry, Extent, FileOffset, Kind, LevelSerial, Metadata, NodeId, Owner,
    StreamOffset, Time, TreePath,
};

/// The numbers of an entry: everything that a listing shows. Decoding them allocates no memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntryAttributes {
    /// The kind of the entry.
    pub kind: Kind,
    /// Permission bits with setuid, setgid and sticky.
    pub mode: u32,
    /// User number of the owner.
    pub uid: u32,
    /// Group number of the owner.
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
    /// The numbers of a device; `None` for every other kind.
    pub numbers: Option<Device>,
    /// The record that the names of the file have in common, if this is another one.
    pub link_to: Option<NodeId>,
    /// Whether the entry has extended attributes.
    pub has_xattrs: bool,
}

/// Decodes the numbers of an entry of the run `run`. Does not look at the bytes after them.
pub(in crate::index) fn decode_attributes(
    value: &[u8],
    run: usize,
) -> Result<EntryAttributes, Flaw> {
    Front::decode(value, run).map(|front| front.attributes)
}

/// Decodes a whole entry of the run `run`.
pub(in crate::index) fn decode(value: &[u8], path: TreePath, run: usize) -> Result<Entry, Flaw> {
    let mut front = Front::decode(value, run)?;
    let extensions = front.extensions.to_owned();
    let (shape, size) = (front.shape, front.attributes.size);
    let xattrs = if shape.has(XATTRS) {
        take_xattrs(&mut front.rest)?
    } else {
        Vec::new()
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
        None if shape.has(EXTENTS) => take_extents(&mut front.rest, size)?,
        None => Vec::new(),
    };
    let signatures = if shape.has(SIGNATURES) {
        take_signatures(&mut front.rest)?
    } else {
        Vec::new()
    };
    front.rest.end()?;
    let attributes = front.attributes;
    Ok(Entry {
        path,
        metadata: Metadata {
            mode: attributes.mode,
            owner: Owner {
                uid: attributes.uid,
                gid: attributes.gid,
                user: front.user.into(),
                group: front.group.into(),
            },
            mtime: attributes.mtime,
            ctime: attributes.ctime,
            device: attributes.device,
            inode: attributes.inode,
            links: attributes.links,
            blocks: attributes.blocks,
            xattrs,
            signatures,
            extensions,
        },
        content: front.content(extents)?,
        link_to: attributes.link_to,
    })
}

/// The kind and the flags of an entry. They decide which fields it has.
#[derive(Clone, Copy)]
pub(super) struct Shape {
    pub(super) kind: Kind,
    flags: u8,
}

impl Shape {
    fn take(reader: &mut Reader<'_>) -> Result<Self, Flaw> {
        let version = reader.u8()?;
        if !(OLDEST_VERSION..=VERSION).contains(&version) {
            let what =
                format!("this version of freezer does not know entries of version {version}");
            return Err(what.into());
        }
        let kind = kind_of(reader.u8()?)?;
        let flags = reader.u8()?;
        let unknown = flags & !known_flags(version);
        if unknown != 0 {
            let what = format!("this version of freezer does not know the flags {unknown:#04x}");
            return Err(what.into());
        }
        let shape = Self { kind, flags };
        let has_content = shape.has(WHOLE) || shape.has(EXTENTS) || shape.has(SIGNATURES);
        if (shape.has(WHOLE) && shape.has(EXTENTS)) || (kind != Kind::File && has_content) {
            return Err(format!("its flags {flags:#04x} contradict each other or its kind").into());
        }
        Ok(shape)
    }

    pub(super) fn has(self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// Calls `take` if the entry has the field that `flag` stands for.
    fn field<T>(self, flag: u8, take: impl FnOnce() -> Result<T, Flaw>) -> Result<Option<T>, Flaw> {
        self.has(flag).then(take).transpose()
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
        _ => return Err(format!("this version of freezer does not know kind {number}").into()),
    })
}

/// The fields that every entry has, and a reader at the lists after them.
struct Front<'a> {
    shape: Shape,
    attributes: EntryAttributes,
    user: &'a [u8],
    group: &'a [u8],
    target: &'a [u8],
    /// Level and place of content in one piece.
    whole: Option<(LevelSerial, StreamOffset)>,
    extensions: TakenExtensions<'a>,
    rest: Reader<'a>,
}

impl<'a> Front<'a> {
    fn decode(value: &'a [u8], run: usize) -> Result<Self, Flaw> {
        let mut reader = Reader::new(value);
        let shape = Shape::take(&mut reader)?;
        let mode = reader.varint_u32()?;
        if mode > 0o7777 {
            return Err("its mode has more than the permission bits".into());
        }
        let (uid, gid) = (reader.varint_u32()?, reader.varint_u32()?);
        let (user, group) = (reader.sized()?, reader.sized()?);
        let (device, links) = (reader.varint()?, reader.varint_u32()?);
        let level = shape.field(WHOLE, || reader.varint().map(LevelSerial))?;
        let FixedWidth {
            mtime,
            ctime,
            inode,
            stream,
        } = FixedWidth::take(&mut reader, shape)?;
        let OfKind {
            size,
            usual_blocks,
            target,
            numbers,
        } = OfKind::take(&mut reader, shape.kind)?;
        let blocks = reader.difference(usual_blocks)?;
        let same_run = shape.field(LINK, || reader.varint())?;
        if same_run.is_some_and(|rank| rank >> RANK_BITS != 0) {
            return Err("it links to an entry that does not come before it".into());
        }
        let extensions = match shape.field(EXTENSIONS, || reader.sized())? {
            Some(area) => take_extensions(
                area,
                AreaOwner {
                    shape,
                    size,
                    ctime,
                    run,
                },
            )?,
            None => TakenExtensions::default(),
        };
        let link_to = same_run.map(|rank| node_of(run, rank)).or(extensions.link);
        Ok(Self {
            shape,
            attributes: EntryAttributes {
                kind: shape.kind,
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
                has_xattrs: shape.has(XATTRS),
            },
            user,
            group,
            target,
            whole: level.zip(stream),
            extensions,
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

/// The fields of fixed width: times, inode and the stream offset of content in one piece.
struct FixedWidth {
    mtime: Time,
    ctime: Time,
    inode: u64,
    stream: Option<StreamOffset>,
}

impl FixedWidth {
    fn take(reader: &mut Reader<'_>, shape: Shape) -> Result<Self, Flaw> {
        let mtime = reader.i64_be()?;
        let own_ctime = shape.field(CTIME, || reader.i64_be())?;
        let inode = reader.u64_be()?;
        let stream = shape.field(WHOLE, || reader.u64_be().map(StreamOffset))?;
        let mtime = time(mtime, reader.u32_be()?)?;
        let ctime = match own_ctime {
            Some(seconds) => time(seconds, reader.u32_be()?)?,
            None => mtime,
        };
        if own_ctime.is_some() && ctime == mtime {
            return Err("its ctime is stored although it equals its mtime".into());
        }
        Ok(Self {
            mtime,
            ctime,
            inode,
            stream,
        })
    }
}

fn time(seconds: i64, nanoseconds: u32) -> Result<Time, Flaw> {
    if nanoseconds < 1_000_000_000 {
        Ok(Time::new(seconds, nanoseconds))
    } else {
        Err("a time has more than a second of nanoseconds".into())
    }
}

/// The fields that only entries of one kind have.
#[derive(Default)]
struct OfKind<'a> {
    size: u64,
    usual_blocks: u64,
    target: &'a [u8],
    numbers: Option<Device>,
}

impl<'a> OfKind<'a> {
    fn take(reader: &mut Reader<'a>, kind: Kind) -> Result<Self, Flaw> {
        Ok(match kind {
            Kind::File => {
                let size = reader.varint()?;
                Self {
                    size,
                    usual_blocks: usual_blocks(size),
                    ..Self::default()
                }
            }
            Kind::Symlink => {
                let target = reader.sized()?;
                check_target(target)?;
                Self {
                    size: target.len() as u64,
                    target,
                    ..Self::default()
                }
            }
            Kind::CharDevice | Kind::BlockDevice => Self {
                numbers: Some(Device {
                    major: reader.varint_u32()?,
                    minor: reader.varint_u32()?,
                }),
                ..Self::default()
            },
            Kind::Directory | Kind::Fifo => Self::default(),
        })
    }
}
