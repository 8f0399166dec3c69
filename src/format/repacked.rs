//! What supersedes the frame table of a level: written when what is still needed of its stream was
//! put into other segments.
//!
//! JSON, stored as a sealed frame of its own. Layout: docs/format.md, "Repacked levels".

use super::DocumentError;
use super::frame::{Compression, Decoder, Encoder, Lane, Opener, Sealer};
use super::manifest::{LevelParts, ManifestError, RootNode};
use crate::model::{FrameNo, LevelId};
use serde::{Deserialize, Serialize};

const VERSION: u32 = 1;

/// Most bytes a stored one may have: a root is 64 KiB at most.
pub const MAX_REPACKED_BYTES: u64 = 1 << 20;

/// Where the stream of a level is since it was repacked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repacked {
    version: u32,
    /// Which level.
    #[serde(with = "super::manifest::text")]
    level: LevelId,
    /// How often it was repacked by then: 1 and up, the highest counts.
    pub number: u32,
    /// Bytes of its tar stream.
    pub stream_bytes: u64,
    /// All numbers of segments that were ever used for the level are below this.
    pub segments: u32,
    /// Its frame table.
    pub frame_table: RootNode,
    /// The lowest number of an object in the lane `frames` that may belong to this table, …
    pub first_frame_table_segment: u32,
    /// … and one more than the highest that was ever used.
    pub frame_table_segments: u32,
}

impl Repacked {
    /// What says what `parts` do; objects of the frame table have numbers from
    /// `first_frame_table_segment` on.
    pub fn of(parts: &LevelParts, first_frame_table_segment: u32) -> Self {
        Self {
            version: VERSION,
            level: parts.id.clone(),
            number: parts.repacked,
            stream_bytes: parts.stream_bytes,
            segments: parts.segments,
            frame_table: parts.frame_table.clone(),
            first_frame_table_segment,
            frame_table_segments: parts.frame_table_segments,
        }
    }

    /// What `parts` say now.
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

    /// Writes it as it is stored.
    ///
    /// # Errors
    ///
    /// [`ManifestError::Frame`].
    pub fn seal(&self, sealer: &Sealer) -> Result<Vec<u8>, ManifestError> {
        let json = serde_json::to_vec(self)
            .map_err(|error| ManifestError::Document(DocumentError::Json(error)))?;
        let mut encoder = Encoder::new(Compression::Zstd, Compression::Zstd.default_level())
            .map_err(ManifestError::Frame)?;
        sealer
            .seal(
                &mut encoder,
                Lane::Repacked,
                FrameNo(u64::from(self.number)),
                &json,
            )
            .map_err(ManifestError::Frame)
    }

    /// Reads the one with that number, of the level that `opener` is for.
    ///
    /// # Errors
    ///
    /// [`ManifestError`].
    pub fn open(stored: Vec<u8>, opener: &Opener, number: u32) -> Result<Self, ManifestError> {
        let frame = FrameNo(u64::from(number));
        let json = opener
            .open(&mut Decoder::new(), Lane::Repacked, frame, stored)
            .map_err(ManifestError::Frame)?;
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

    /// Reads the document itself.
    ///
    /// # Errors
    ///
    /// [`DocumentError`].
    pub fn decode(json: &[u8]) -> Result<Self, DocumentError> {
        let version = super::version_of(json)?;
        if version != VERSION {
            return Err(DocumentError::Version {
                version,
                known: VERSION,
            });
        }
        serde_json::from_slice(json).map_err(DocumentError::Json)
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
    fn it_reads_back_and_only_as_what_it_is() {
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
        // Sealed as it should be, but a document of another.
        let stranger = Repacked {
            number: 7,
            ..repacked
        };
        let json = serde_json::to_vec(&stranger).expect("JSON");
        assert_eq!(Repacked::decode(&json).expect("a document"), stranger);
        let newer = String::from_utf8(json)
            .expect("text")
            .replace("\"version\":1", "\"version\":9");
        assert!(
            Repacked::decode(newer.as_bytes())
                .expect_err("newer")
                .to_string()
                .contains("version 9")
        );
    }
}
