//! Verifies an object before it is passed on: every frame in it, by its tag or checksum.

use super::block_order::BlockOrder;
use crate::catalog::names::Folder;
use crate::catalog::stream::RepackedError;
use crate::format::frame::{Compression, FrameError, Lane, Opener};
use crate::format::manifest::ManifestError;
use crate::format::repacked::Repacked;
use crate::index::{FrameRow, IndexError};
use crate::model::LevelId;
use crate::store::{self, ObjectInfo, ObjectName};
use std::ops::Range;

/// Why an object of the source is not passed on.
#[derive(Debug, thiserror::Error)]
pub enum ObjectFlaw {
    /// The source does not have it.
    #[error("it is missing")]
    Missing,
    /// The source does not hand it over as it lists it.
    #[error("it cannot be read")]
    Fetch(#[source] store::Error),
    /// Its frames do not fill it.
    #[error("it has {found} bytes, and its frames have {expected}")]
    Length {
        /// Its length in bytes.
        found: u64,
        /// The length of its frames in bytes.
        expected: u64,
    },
    /// A frame in it differs from the one that was stored.
    #[error("it is damaged")]
    Frame(#[source] FrameError),
    /// Its blocks belong into another object of the index.
    #[error("it holds what belongs into another object")]
    Place,
    /// It is a record of a repack, and cannot be read.
    #[error("it is damaged")]
    Record(#[source] ManifestError),
    /// The frame table, which tells what its frames must be, cannot be read.
    #[error("it cannot be verified, as the frame table of its level cannot be read")]
    Table(#[source] IndexError),
    /// It is not known which frame table tells what its frames must be.
    #[error("it cannot be verified, as the record of its level's repack cannot be read")]
    Repacked(#[source] RepackedError),
}

/// What an object must hold.
pub(super) enum Contents {
    /// These frames of the stream, in the order in which they lie.
    Frames {
        rows: Vec<FrameRow>,
        compression: Compression,
    },
    /// Blocks of an index, of which this is the object with this number.
    Index(u32),
    /// Blocks of a frame table. Whoever walks through the table sees whether each is in its place.
    FrameTable,
    /// The record of a level's repack with this number.
    Record(u32),
}

/// An object that is to be copied.
pub(super) struct CopyErrand {
    pub(super) level: LevelId,
    pub(super) object: ObjectInfo,
    pub(super) contents: Contents,
}

/// What is wrong with the bytes of an object.
pub(super) struct FlawedBytes {
    pub(super) flaw: ObjectFlaw,
    /// The bytes of the level's stream that cannot be read from it.
    pub(super) bytes: Vec<Range<u64>>,
}

/// An object that is not what it must be.
pub(super) struct BadObject {
    pub(super) level: LevelId,
    pub(super) folder: Folder,
    pub(super) object: ObjectName,
    pub(super) flaw: ObjectFlaw,
    /// The bytes of the level's stream that the copy does not get.
    pub(super) bytes: Vec<Range<u64>>,
}

impl Contents {
    /// Returns the folder of the object.
    pub(super) fn folder(&self) -> Folder {
        match self {
            Self::Frames { .. } => Folder::Segments,
            Self::Index(_) => Folder::Index,
            Self::FrameTable => Folder::Frames,
            Self::Record(_) => Folder::Repacked,
        }
    }

    /// Returns the bytes of the level's stream that the object holds.
    pub(super) fn stream_bytes(&self) -> Vec<Range<u64>> {
        match self {
            Self::Frames { rows, .. } => rows.iter().map(bytes_of).collect(),
            Self::Index(_) | Self::FrameTable | Self::Record(_) => Vec::new(),
        }
    }

    fn flawed(&self, flaw: ObjectFlaw) -> FlawedBytes {
        FlawedBytes {
            flaw,
            bytes: self.stream_bytes(),
        }
    }
}

impl CopyErrand {
    /// Says that the object is not what it must be.
    pub(super) fn bad(&self, flaw: ObjectFlaw) -> BadObject {
        BadObject {
            level: self.level.clone(),
            folder: self.contents.folder(),
            object: self.object.name.clone(),
            flaw,
            bytes: self.contents.stream_bytes(),
        }
    }

    /// Checks the bytes of the object.
    pub(super) fn verify(
        &self,
        opener: &Opener,
        order: &BlockOrder,
        stored: &[u8],
    ) -> Result<(), FlawedBytes> {
        let contents = &self.contents;
        let blocks = |lane| {
            opener
                .verify_sealed_frames(lane, stored)
                .map_err(|error| contents.flawed(ObjectFlaw::Frame(error)))
        };
        match contents {
            Contents::Frames { rows, compression } => {
                let expected = end_of(rows);
                let found = stored.len() as u64;
                if expected != Some(found) {
                    let expected = expected.unwrap_or_default();
                    return Err(contents.flawed(ObjectFlaw::Length { found, expected }));
                }
                verify_frames(rows, *compression, opener, stored)
            }
            Contents::Index(number) => {
                let blocks = blocks(Lane::Index)?;
                if order.takes(&self.level, *number, blocks) {
                    Ok(())
                } else {
                    Err(contents.flawed(ObjectFlaw::Place))
                }
            }
            Contents::FrameTable => blocks(Lane::FrameTable).map(drop),
            Contents::Record(number) => Repacked::open(stored.to_vec(), opener, *number)
                .map(drop)
                .map_err(|error| contents.flawed(ObjectFlaw::Record(error))),
        }
    }
}

fn bytes_of(row: &FrameRow) -> Range<u64> {
    row.start.0..row.end().0
}

/// Returns where the frames end; `None` unless each begins where the one before it ends.
fn end_of(rows: &[FrameRow]) -> Option<u64> {
    rows.iter().try_fold(0_u64, |end, row| {
        let length = u64::from(row.stored_length);
        (row.offset.0 == end).then_some(end.checked_add(length)?)
    })
}

/// Checks frames that fill an object. All that are damaged count; the first is named.
fn verify_frames(
    rows: &[FrameRow],
    compression: Compression,
    opener: &Opener,
    stored: &[u8],
) -> Result<(), FlawedBytes> {
    let mut bad: Option<FlawedBytes> = None;
    let mut rest = stored;
    for row in rows {
        let length = usize::try_from(row.stored_length).unwrap_or(usize::MAX);
        let (frame, later) = rest.split_at_checked(length).unwrap_or((rest, &[]));
        rest = later;
        if let Err(error) = opener.verify_data(&row.expected(compression), frame) {
            let bad = bad.get_or_insert_with(|| FlawedBytes {
                flaw: ObjectFlaw::Frame(error),
                bytes: Vec::new(),
            });
            bad.bytes.push(bytes_of(row));
        }
    }
    bad.map_or(Ok(()), Err)
}
