//! The document that replaces the frame table of a level: written when a repack has moved the
//! needed part of the level's stream into other segments.
//!
//! JSON, stored as a sealed frame of its own. Layout: docs/format.md, "Repacked levels".

use super::features::FeatureScope;
use super::frame::{Lane, Opener, Sealer};
use super::manifest::{LevelParts, ManifestError, RootNode};
use super::{DocumentError, decode_document, sealed};
use crate::model::{FrameNo, LevelId};
use serde::{Deserialize, Serialize};

/// The version that is written; version 1 has no `requires`.
const VERSION: u32 = 2;

/// The most bytes that a stored document may have: a root has at most 64 KiB.
pub const MAX_REPACKED_BYTES: u64 = 1 << 20;

/// Where the stream of a level is since a repack.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repacked {
    version: u32,
    /// Features without which nobody can read the stream.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    requires: Vec<String>,
    /// The level that was repacked.
    #[serde(with = "super::json::text")]
    level: LevelId,
    /// How often the level has been repacked: 1 or more. The document with the highest number
    /// counts.
    pub number: u32,
    /// Length of the level's tar stream in bytes.
    pub stream_bytes: u64,
    /// One more than the highest segment number that the level has ever used.
    pub segments: u32,
    /// The root of the new frame table.
    pub frame_table: RootNode,
    /// The lowest number of an object in the lane `frames` that may belong to the new table.
    pub first_frame_table_segment: u32,
    /// One more than the highest number of an object in the lane `frames` that was ever used.
    pub frame_table_segments: u32,
}

impl Repacked {
    /// Makes the document for a level that is now as `parts` says. Objects of the frame table have
    /// numbers from `first_frame_table_segment` on.
    pub fn of(parts: &LevelParts, first_frame_table_segment: u32) -> Self {
        Self {
            version: VERSION,
            requires: Vec::new(),
            level: parts.id.clone(),
            number: parts.repacked,
            stream_bytes: parts.stream_bytes,
            segments: parts.segments,
            frame_table: parts.frame_table.clone(),
            first_frame_table_segment,
            frame_table_segments: parts.frame_table_segments,
        }
    }

    /// Returns `parts`, a level as a manifest names it, with the stream where it is now.
    #[must_use]
    pub fn apply(&self, parts: LevelParts) -> LevelParts {
        LevelParts {
            segments: self.segments,
            frame_table: self.frame_table.clone(),
            frame_table_segments: self.frame_table_segments,
            repacked: self.number,
            ..parts
        }
    }

    /// Encodes the document as it is stored.
    ///
    /// # Errors
    ///
    /// [`ManifestError::Frame`].
    pub fn seal(&self, sealer: &Sealer) -> Result<Vec<u8>, ManifestError> {
        let frame = FrameNo(u64::from(self.number));
        sealed::seal(self, sealer, Lane::Repacked, frame)
    }

    /// Reads the document with this number, of the level that `opener` is for.
    ///
    /// # Errors
    ///
    /// [`ManifestError`].
    pub fn open(stored: Vec<u8>, opener: &Opener, number: u32) -> Result<Self, ManifestError> {
        let frame = FrameNo(u64::from(number));
        let json = sealed::open(stored, opener, Lane::Repacked, frame)?;
        let repacked = Self::decode(&json).map_err(ManifestError::Document)?;
        let id = opener.id(Lane::Repacked, frame);
        if repacked.number == number && repacked.level == id.level {
            Ok(repacked)
        } else {
            Err(ManifestError::Document(DocumentError::Content(
                "it belongs to another level, or has another number",
            )))
        }
    }

    /// Decodes the JSON document.
    ///
    /// # Errors
    ///
    /// [`DocumentError`].
    pub fn decode(json: &[u8]) -> Result<Self, DocumentError> {
        let repacked: Self = decode_document(json, VERSION)?;
        FeatureScope::Level.check(&repacked.requires, &[])?;
        Ok(repacked)
    }
}

#[cfg(test)]
mod tests {
    use super::Repacked;
    use crate::format::frame::{Compression, Protection, Sealer};
    use crate::format::manifest::{LevelParts, RootNode};
    use crate::model::{LevelId, LevelSerial, StoreId};

    fn parts(random: u32) -> LevelParts {
        LevelParts {
            serial: LevelSerial(4),
            id: LevelId::new(jiff::Timestamp::UNIX_EPOCH, random),
            compression: Compression::Zstd,
            compression_level: 3,
            stream_bytes: 70_000,
            segments: 12,
            frame_table: RootNode {
                node: vec![1, 0, 0],
                height: 0,
                entries: 0,
            },
            frame_table_segments: 3,
            live: None,
            repacked: 2,
        }
    }

    #[test]
    fn a_document_reads_back_only_under_its_own_number_and_level() {
        let sealer = |random| Sealer::new(StoreId([1; 16]), parts(random).id, Protection::Checksum);
        let repacked = Repacked::of(&parts(5), 2);
        let stored = repacked.seal(&sealer(5)).expect("sealed");
        assert_eq!(
            Repacked::open(stored.clone(), &sealer(5).opener(), 2).expect("opened"),
            repacked
        );
        Repacked::open(stored.clone(), &sealer(5).opener(), 3).expect_err("another number");
        Repacked::open(stored.clone(), &sealer(6).opener(), 2).expect_err("another level");
        let old = LevelParts {
            segments: 9,
            frame_table_segments: 1,
            repacked: 0,
            ..parts(5)
        };
        assert_eq!(repacked.apply(old), parts(5));
        for at in 0..stored.len() {
            let mut flipped = stored.clone();
            flipped[at] ^= 1;
            Repacked::open(flipped, &sealer(5).opener(), 2).expect_err("damaged");
        }
        // The frame is sealed for number 2, but holds the document of another number.
        let stranger = Repacked {
            number: 7,
            ..repacked
        };
        let json = serde_json::to_vec(&stranger).expect("JSON");
        assert_eq!(Repacked::decode(&json).expect("a document"), stranger);
        let newer = String::from_utf8(json)
            .expect("text")
            .replace("\"version\":2", "\"version\":9");
        assert!(
            Repacked::decode(newer.as_bytes())
                .expect_err("newer")
                .to_string()
                .contains("version 9")
        );
        let mut of_version_1 = stranger.clone();
        of_version_1.version = 1;
        let json = serde_json::to_vec(&of_version_1).expect("JSON");
        assert_eq!(
            Repacked::decode(&json).expect("an old document"),
            of_version_1
        );
        let mut needy = stranger;
        needy.requires = vec!["later".to_owned()];
        let json = serde_json::to_vec(&needy).expect("JSON");
        let refused = Repacked::decode(&json).expect_err("a feature that is not known");
        assert!(refused.to_string().contains("later"), "{refused}");
    }
}
