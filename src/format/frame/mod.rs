//! Frames: runs of bytes that are compressed, encrypted and authenticated alone, and so can be read
//! alone.
//!
//! A frame of the tar stream in a store without encryption is **bare**: the codec's output and
//! nothing else, so that the segments of a level, end to end, are a file that stock tools
//! decompress; its checksum stands in the frame table. Every other frame is **sealed**: a header,
//! the payload and a tag. [`Sealer`] makes both, [`Opener`] reads both; nothing is decompressed
//! before its tag or checksum holds.
//!
//! Layout: docs/format.md, "Frame".

mod cipher;
mod codec;
mod density;
mod seal;

pub use cipher::FrameKeys;
pub use codec::{DENSE_BYTES, Decoder, Encoder, Glimpse};
pub use density::Density;
pub use seal::{HEADER_BYTES, Opener, SealedOutline, Sealer, Stored};

use crate::model::{Advice, FrameNo, LevelId, StoreId, hints};
use std::fmt;
use std::ops::RangeInclusive;
use std::sync::Arc;

/// Most bytes a frame may hold before compression. A decoder refuses more without trying.
pub const MAX_RAW_BYTES: usize = 64 << 20;

/// How the bytes of a frame are compressed. The number is what is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Compression {
    /// As they are.
    None = 0,
    /// One gzip member (users know it as `zlib` or `gzip`).
    Gzip = 1,
    /// One bzip2 stream.
    Bzip2 = 2,
    /// One xz stream.
    Xz = 3,
    /// One zstd frame.
    Zstd = 4,
}

impl Compression {
    /// Every method.
    pub const ALL: [Self; 5] = [Self::None, Self::Gzip, Self::Bzip2, Self::Xz, Self::Zstd];

    /// The method a stored number stands for.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|method| *method as u8 == number)
    }

    /// The method's name in manifests and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Bzip2 => "bzip2",
            Self::Xz => "xz",
            Self::Zstd => "zstd",
        }
    }

    /// The method a name stands for; `zlib` is another name of gzip.
    pub fn from_name(name: &str) -> Option<Self> {
        let name = if name == "zlib" { "gzip" } else { name };
        Self::ALL.into_iter().find(|method| method.name() == name)
    }

    /// The levels it has.
    pub fn levels(self) -> RangeInclusive<u32> {
        match self {
            Self::None => 0..=0,
            Self::Gzip => 1..=12,
            Self::Bzip2 => 1..=9,
            Self::Xz => 0..=9,
            Self::Zstd => 1..=19,
        }
    }

    /// The level that is used unless another is asked for.
    pub fn default_level(self) -> u32 {
        match self {
            Self::None => 0,
            Self::Gzip => 6,
            Self::Bzip2 => 9,
            Self::Xz => 1,
            Self::Zstd => 3,
        }
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Which of a level's sequences of frames one belongs to. The number is what is stored, and is
/// authenticated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Lane {
    /// The tar stream.
    Data = 0,
    /// Nodes of the index.
    Index = 1,
    /// Nodes of the frame table.
    FrameTable = 2,
    /// The manifest.
    Manifest = 3,
    /// How far a run has come.
    Checkpoint = 4,
    /// What supersedes the frame table.
    Repacked = 5,
}

/// What a frame is bound to: nothing else can be put in its place unnoticed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FrameId {
    /// The store.
    pub store: StoreId,
    /// The level.
    pub level: LevelId,
    /// Which sequence.
    pub lane: Lane,
    /// Its place in the sequence.
    pub number: FrameNo,
}

impl fmt::Display for FrameId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = self.number.0;
        let level = &self.level;
        match self.lane {
            Lane::Data => write!(f, "frame {number} of level {level}"),
            Lane::Index => write!(f, "index block {number} of level {level}"),
            Lane::FrameTable => write!(f, "frame table block {number} of level {level}"),
            Lane::Manifest => write!(f, "the manifest of level {level}"),
            Lane::Checkpoint => write!(f, "checkpoint {number} of level {level}"),
            Lane::Repacked => write!(f, "frame table root {number} of level {level}"),
        }
    }
}

/// How frames are kept from being changed unnoticed.
#[derive(Clone, Debug)]
pub enum Protection {
    /// A checksum: damage is noticed, tampering is not.
    Checksum,
    /// Encryption and an authentication code.
    Encrypted(Arc<FrameKeys>),
}

/// Why a frame could not be made or read.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The level is not one of the method's.
    #[error("{method} has no level {level}; it has {} to {}", .method.levels().start(), .method.levels().end())]
    Level {
        /// The method.
        method: Compression,
        /// The level that was asked for.
        level: u32,
    },
    /// The codec refused.
    #[error("{method}: {what}")]
    Codec {
        /// The method.
        method: Compression,
        /// What it found.
        what: &'static str,
    },
    /// Damage, tampering or another key: the tag or checksum does not match.
    #[error("{0} fails authentication")]
    Tampered(Box<FrameId>),
    /// The bytes cannot be a frame of this format.
    #[error("{frame} is not in the format: {what}")]
    Malformed {
        /// What was read.
        frame: Box<FrameId>,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The operating system gave no random bytes.
    #[error("no random bytes from the operating system")]
    Random(#[source] getrandom::Error),
}

impl Advice for FrameError {
    fn hint(&self) -> Option<&str> {
        match self {
            Self::Tampered(_) | Self::Malformed { .. } | Self::Codec { .. } => Some(hints::DAMAGED),
            Self::Level { .. } => Some("leave --compression-level out for the default"),
            Self::Random(_) => None,
        }
    }
}
