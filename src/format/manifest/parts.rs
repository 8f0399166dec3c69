//! Runs and levels, as manifests, checkpoints and repacked levels name them.

use crate::format::frame::Compression;
use crate::format::json::{base64_bytes, method, serial, text};
use crate::model::{LevelId, LevelSerial, Ranges};
use serde::{Deserialize, Serialize};

/// The root of a sorted run. All other blocks of the run are in objects of its level.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootNode {
    /// The root block, not compressed.
    #[serde(with = "base64_bytes")]
    pub node: Vec<u8>,
    /// How many layers of blocks lie below the root; 0 if the root is the only block.
    pub height: u8,
    /// Records in the run.
    pub entries: u64,
}

/// A sorted run of the index: one of those that together make the tree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// The level whose objects hold the blocks of the run.
    #[serde(with = "serial")]
    pub serial: LevelSerial,
    /// The root of the run.
    pub root: RootNode,
    /// Number of objects in the lane `index`.
    pub segments: u32,
    /// How many subtrees of older runs this run removes.
    pub subtrees: u64,
    /// The blocks on the path from the root to the first entries, the lowest first. With them, a
    /// reader lists the top of the tree from the manifest alone.
    pub head: Vec<ManifestBlock>,
}

/// A block of a run, repeated in the manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestBlock {
    /// Number of the block in the lane `index`.
    pub number: u64,
    /// The block, not compressed.
    #[serde(with = "base64_bytes")]
    pub node: Vec<u8>,
}

/// A level whose tar stream the tree needs, and where that stream is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LevelParts {
    /// The level's number, by which extents name it.
    #[serde(with = "serial")]
    pub serial: LevelSerial,
    /// The level's identity, as it stands in object names.
    #[serde(with = "text")]
    pub id: LevelId,
    /// The compression method of the level's data frames.
    #[serde(with = "method")]
    pub compression: Compression,
    /// The compression level, on the method's own scale.
    pub compression_level: u32,
    /// Length of the tar stream in bytes.
    pub stream_bytes: u64,
    /// Number of objects in the lane `segments`.
    pub segments: u32,
    /// The root of the level's frame table.
    pub frame_table: RootNode,
    /// Number of objects in the lane `frames`.
    pub frame_table_segments: u32,
    /// The bytes of the stream that this point in time needs; `None` means all of them. A manifest
    /// never has this for its own level.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "crate::format::live::json"
    )]
    pub live: Option<Ranges>,
    /// How often the level had been repacked when this was written. A later repack left an object
    /// with a higher number, which says where the stream is since.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub repacked: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}
