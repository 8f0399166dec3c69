//! Notes of withdrawn levels: whose data stays for a while, and which serial comes next.
//!
//! JSON, stored as a sealed frame of a lane of its own. A note of version 1 is neither, and has the
//! id of a level in each line. Layout: docs/format.md, "What is removed".

use super::frame::{HEADER_BYTES, Lane, Opener, Sealer};
use super::json::text;
use super::manifest::ManifestError;
use super::{DocumentError, decode_document, sealed};
use crate::model::{FrameNo, LevelId, LevelSerial};
use serde::{Deserialize, Serialize};

const VERSION: u32 = 2;

/// The most bytes that a note may have.
pub const MAX_NOTE_BYTES: u64 = 16 << 20;

/// A note of levels that were withdrawn.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WithdrawnNote {
    version: u32,
    levels: Vec<LevelText>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    next_serial: Option<u64>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
struct LevelText(#[serde(with = "text")] LevelId);

impl WithdrawnNote {
    /// Makes a note. `next_serial` is higher than every serial that the backup has given out;
    /// `None` where no manifest goes.
    pub fn new(
        levels: impl IntoIterator<Item = LevelId>,
        next_serial: Option<LevelSerial>,
    ) -> Self {
        Self {
            version: VERSION,
            levels: levels.into_iter().map(LevelText).collect(),
            next_serial: next_serial.map(|serial| serial.0),
        }
    }

    /// Returns the levels whose data is kept.
    pub fn levels(&self) -> impl Iterator<Item = &LevelId> {
        self.levels.iter().map(|level| &level.0)
    }

    /// Returns a serial that no level had when the note was made, if a manifest went with it.
    pub fn next_serial(&self) -> Option<LevelSerial> {
        self.next_serial.map(LevelSerial)
    }

    /// Encodes the note as it is stored. `sealer` is for its id in place of a level's.
    ///
    /// # Errors
    ///
    /// [`ManifestError::Frame`].
    pub fn seal(&self, sealer: &Sealer) -> Result<Vec<u8>, ManifestError> {
        sealed::seal(self, sealer, Lane::Note, FrameNo(0))
    }

    /// Reads the note whose id `opener` is for.
    ///
    /// # Errors
    ///
    /// [`ManifestError`].
    pub fn open(stored: Vec<u8>, opener: &Opener) -> Result<Self, ManifestError> {
        if let Some(old) = Self::of_version_1(&stored) {
            return Ok(old);
        }
        let json = sealed::open(stored, opener, Lane::Note, FrameNo(0))?;
        decode_document(&json, VERSION).map_err(ManifestError::Document)
    }

    /// Reads a note of version 1. Nobody vouches for it, and it does no more than keep data.
    fn of_version_1(stored: &[u8]) -> Option<Self> {
        if stored.len() > HEADER_BYTES && stored.starts_with(b"Fz") {
            return None;
        }
        let levels: Option<Vec<LevelText>> = std::str::from_utf8(stored)
            .ok()?
            .lines()
            .map(|line| line.parse().ok().map(LevelText))
            .collect();
        Some(Self {
            version: 1,
            levels: levels?,
            next_serial: None,
        })
    }

    /// Decodes the JSON document.
    ///
    /// # Errors
    ///
    /// [`DocumentError`].
    pub fn decode(json: &[u8]) -> Result<Self, DocumentError> {
        decode_document(json, VERSION)
    }
}

#[cfg(test)]
mod tests {
    use super::WithdrawnNote;
    use crate::format::frame::{Protection, Sealer};
    use crate::model::{LevelId, LevelSerial, StoreId};

    fn level(random: u32) -> LevelId {
        LevelId::new(jiff::Timestamp::UNIX_EPOCH, random)
    }

    fn sealer(random: u32) -> Sealer {
        Sealer::new(StoreId([1; 16]), level(random), Protection::Checksum)
    }

    #[test]
    fn a_note_reads_back_under_its_own_id_and_whole() {
        let note = WithdrawnNote::new((1..4).map(level), Some(LevelSerial(9)));
        let stored = note.seal(&sealer(7)).expect("sealed");
        let opener = sealer(7).opener();
        let back = WithdrawnNote::open(stored.clone(), &opener).expect("a note");
        assert_eq!((&back, back.next_serial()), (&note, Some(LevelSerial(9))));
        WithdrawnNote::open(stored.clone(), &sealer(8).opener()).expect_err("another note");
        for length in 0..stored.len() {
            let cut = WithdrawnNote::open(stored[..length].to_vec(), &opener);
            assert!(
                cut.map_or(true, |note| note.levels().next().is_none()),
                "cut to {length}"
            );
        }
    }

    #[test]
    fn a_note_of_version_1_is_read_and_one_that_was_cut_is_not() {
        let lines: String = (1..4)
            .map(|random| format!("{}\n", level(random)))
            .collect();
        let opener = sealer(7).opener();
        let old = WithdrawnNote::open(lines.clone().into_bytes(), &opener).expect("a note");
        assert_eq!(
            old.levels().cloned().collect::<Vec<_>>(),
            [1, 2, 3].map(level)
        );
        assert_eq!(old.next_serial(), None);
        WithdrawnNote::open(lines.into_bytes()[..55].to_vec(), &opener).expect_err("cut");
        WithdrawnNote::open(b"\xff".to_vec(), &opener).expect_err("no text");
    }
}
