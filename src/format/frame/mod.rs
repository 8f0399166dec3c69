//! Frames: runs of bytes, each compressed, encrypted and authenticated alone, so that each can be
//! read alone.
//!
//! A frame of the tar stream in a store without encryption is **bare**: it holds the codec's output
//! and nothing else. The segments of a level, end to end, are then a file that stock tools
//! decompress. The checksum of a bare frame stands in the frame table. Every other frame is
//! **sealed**: a header, the payload and a tag. [`Sealer`] makes both kinds and [`Opener`] reads
//! both. It checks the tag or checksum before it decrypts or decompresses anything.
//!
//! Layout: docs/format.md, "Frame".

mod binding;
mod cipher;
mod codec;
mod density;
mod epochs;
mod header;
mod opener;
mod sealer;
#[cfg(test)]
mod tests;

pub use cipher::EpochKeys;
pub use codec::{DENSE_BYTES, Decoder, Encoder, Glimpse};
pub use density::Density;
pub use epochs::FrameKeys;
pub use header::{HEADER_BYTES, SealedOutline};
pub use opener::{ExpectedFrame, Opener};
pub use sealer::{Sealer, StoredFrame};

use super::content_hash::ContentHashing;
use crate::model::{Advice, FrameNo, KeyEpoch, LevelId, StoreId, hints};
use std::fmt;
use std::ops::RangeInclusive;
use std::sync::Arc;

/// The most bytes that a frame may hold, before compression. A decoder refuses a longer frame
/// without trying.
pub const MAX_RAW_BYTES: usize = 64 << 20;
/// Length of a bare frame's checksum in bytes.
pub const CHECKSUM_BYTES: usize = 16;

/// How the bytes of a frame are compressed. The number is what is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Compression {
    /// Not at all.
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

    /// Returns the method that a stored number stands for.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|method| *method as u8 == number)
    }

    /// Returns the method's name in manifests and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Bzip2 => "bzip2",
            Self::Xz => "xz",
            Self::Zstd => "zstd",
        }
    }

    /// Returns the method with this name; `zlib` is another name of gzip.
    pub fn from_name(name: &str) -> Option<Self> {
        let name = if name == "zlib" { "gzip" } else { name };
        Self::ALL.into_iter().find(|method| method.name() == name)
    }

    /// Returns the levels of the method, from fastest to smallest.
    pub fn levels(self) -> RangeInclusive<u32> {
        match self {
            Self::None => 0..=0,
            Self::Gzip => 1..=12,
            Self::Bzip2 => 1..=9,
            Self::Xz => 0..=9,
            Self::Zstd => 1..=19,
        }
    }

    /// Returns the level that backups use by default.
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

/// One of the sequences of frames that a level consists of. The number is stored in each frame and
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
    /// Checkpoints: how far a run has come.
    Checkpoint = 4,
    /// Roots of frame tables that replace the manifest's, after a repack.
    Repacked = 5,
    // 6 is reserved for content prints.
    /// Notes of levels that were withdrawn.
    Note = 7,
}

/// Identifies a frame. Its tag covers all of this, so no other frame can stand in its place
/// unnoticed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FrameId {
    /// The store that holds the frame.
    pub store: StoreId,
    /// The level that the frame belongs to.
    pub level: LevelId,
    /// The sequence that the frame belongs to.
    pub lane: Lane,
    /// The frame's place in the sequence, from 0.
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
            Lane::Note => write!(f, "the note of withdrawn levels {level}"),
        }
    }
}

/// How readers notice that a frame was changed.
#[derive(Clone, Debug)]
pub enum Protection {
    /// By a checksum: it shows damage, not tampering.
    Checksum,
    /// By an authentication code, which shows both. The frame is also encrypted.
    Encrypted(Arc<FrameKeys>),
}

impl Protection {
    /// Returns how the content of files is hashed.
    pub fn content_hashing(&self) -> ContentHashing {
        match self {
            Self::Checksum => ContentHashing::default(),
            Self::Encrypted(keys) => keys.content_hashing().clone(),
        }
    }
}

/// Why a frame could not be made or read.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The method has no such level.
    #[error(
        "{method} has no compression level {level}: choose one from {} to {}",
        .method.levels().start(),
        .method.levels().end()
    )]
    Level {
        /// The method.
        method: Compression,
        /// The level that the caller asked for.
        level: u32,
    },
    /// The codec failed.
    #[error("the {method} codec failed: {what}")]
    Codec {
        /// The method.
        method: Compression,
        /// Why it failed.
        what: &'static str,
    },
    /// The tag or checksum does not match: the frame was damaged or changed, or another key made
    /// it.
    #[error("{0} fails authentication")]
    Tampered(Box<FrameId>),
    /// The frame is encrypted under a key that the passphrase of this run does not open.
    #[error(
        "{frame} is encrypted under key epoch {}, and the passphrase opens epochs up to {}",
        .epoch.0,
        .known.0
    )]
    Epoch {
        /// The frame.
        frame: Box<FrameId>,
        /// The epoch of its key, as its header says.
        epoch: KeyEpoch,
        /// The newest epoch that the passphrase opens.
        known: KeyEpoch,
    },
    /// The bytes cannot be a frame of this format.
    #[error("{frame} is not a valid frame: {what}")]
    Malformed {
        /// The frame that should be there.
        frame: Box<FrameId>,
        /// The rule that the bytes break.
        what: &'static str,
    },
    /// The operating system gave no random bytes.
    #[error("the operating system gave no random bytes for an initialization vector")]
    Random(#[source] getrandom::Error),
}

impl Advice for FrameError {
    fn hint(&self) -> Option<&str> {
        match self {
            Self::Tampered(_) | Self::Malformed { .. } | Self::Codec { .. } => Some(hints::DAMAGED),
            Self::Level { .. } => Some("leave --compression-level out for the default"),
            Self::Epoch { .. } => Some(
                "use a passphrase that was added since the last freezer key rotate; if there was \
                 none, the frame is damaged: freezer check tells what is affected",
            ),
            Self::Random(_) => None,
        }
    }
}
