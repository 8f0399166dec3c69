//! Describes the level that a run makes, for its manifest and its checkpoints.

use crate::catalog::names::LevelOf;
use crate::format::frame::Compression;
use crate::format::manifest::LevelParts;
use crate::index::RunRoot;
use crate::model::LevelSerial;

/// The facts about the new level that do not depend on its content.
#[derive(Clone, Debug)]
pub(super) struct OwnLevel {
    pub(super) level: LevelOf,
    pub(super) serial: LevelSerial,
    pub(super) compression: Compression,
    pub(super) compression_level: u32,
}

/// The data lane and the frame table of the level, whole or as far as they are written.
#[derive(Debug)]
pub(super) struct DataLane {
    /// Number of segments in the data lane.
    pub(super) segments: u32,
    pub(super) frame_table: RunRoot,
    /// Number of segments in the lane of the frame table.
    pub(super) frame_table_segments: u32,
}

impl OwnLevel {
    /// Describes the level with a tar stream of `stream_bytes`, stored as `data` says.
    pub(super) fn parts(&self, stream_bytes: u64, data: DataLane) -> LevelParts {
        LevelParts {
            serial: self.serial,
            id: self.level.level.clone(),
            compression: self.compression,
            compression_level: self.compression_level,
            stream_bytes,
            segments: data.segments,
            frame_table: data.frame_table.into(),
            frame_table_segments: data.frame_table_segments,
            live: None,
            repacked: 0,
        }
    }
}
