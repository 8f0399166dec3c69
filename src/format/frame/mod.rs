//! Frames: runs of bytes that are compressed, encrypted and authenticated alone.
//!
//! Layout and key use: docs/format.md, "Frame".

use crate::model::{FrameNo, LevelId, StoreId};
use std::fmt;

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

/// Which of a level's sequences of frames one belongs to. The number is what is stored, and is authenticated.
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
        let what = match self.lane {
            Lane::Data => "frame",
            Lane::Index => "index block",
            Lane::FrameTable => "frame table block",
            Lane::Manifest => "manifest",
        };
        write!(f, "{what} {} of level {}", self.number.0, self.level)
    }
}
