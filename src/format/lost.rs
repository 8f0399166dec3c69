//! A note of what cannot be read any more of a level's tar stream: what leans on it is to be stored
//! again.
//!
//! It lies in the clear and is not authenticated: whoever forges one makes files be stored once
//! more, and nothing else.
//!
//! Layout: docs/format.md, "What is lost".

use super::DocumentError;
use serde::{Deserialize, Serialize};
use std::ops::Range;

const VERSION: u32 = 1;

/// Most bytes a note may have.
pub const MAX_LOST_BYTES: u64 = 16 << 20;

/// What is lost of one level.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lost {
    missing_segments: u32,
    /// In order, neither empty nor touching.
    ranges: Vec<Range<u64>>,
}

#[derive(Serialize, Deserialize)]
struct Document {
    version: u32,
    missing_segments: u32,
    ranges: Vec<(u64, u64)>,
}

impl Lost {
    /// `ranges` of the stream, in order, neither empty nor touching. `missing_segments` is how many
    /// segments were not there at all.
    pub fn new(missing_segments: u32, ranges: Vec<Range<u64>>) -> Self {
        Self {
            missing_segments,
            ranges,
        }
    }

    /// How many segments were not there.
    pub fn missing_segments(&self) -> u32 {
        self.missing_segments
    }

    /// The parts of the stream, in order.
    pub fn ranges(&self) -> &[Range<u64>] {
        &self.ranges
    }

    /// What one or the other says is lost.
    #[must_use]
    pub fn with(&self, other: &Self) -> Self {
        let mut all: Vec<Range<u64>> = self.ranges.iter().chain(&other.ranges).cloned().collect();
        all.sort_by_key(|range| range.start);
        let mut ranges: Vec<Range<u64>> = Vec::new();
        for range in all {
            match ranges.last_mut() {
                Some(last) if last.end >= range.start => last.end = last.end.max(range.end),
                _ => ranges.push(range),
            }
        }
        Self {
            missing_segments: self.missing_segments.max(other.missing_segments),
            ranges,
        }
    }

    /// Whether nothing is.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty() && self.missing_segments == 0
    }

    /// Whether any of `length` bytes of the stream from `start` on is lost.
    pub fn touches(&self, start: u64, length: u64) -> bool {
        let first = self.ranges.partition_point(|range| range.end <= start);
        self.ranges
            .get(first)
            .is_some_and(|range| range.start < start.saturating_add(length))
    }

    /// Writes the document.
    pub fn encode(&self) -> Vec<u8> {
        let ranges = self
            .ranges
            .iter()
            .map(|range| (range.start, range.end))
            .collect();
        let document = Document {
            version: VERSION,
            missing_segments: self.missing_segments,
            ranges,
        };
        serde_json::to_vec(&document).expect("numbers always become JSON")
    }

    /// Reads the document.
    ///
    /// # Errors
    ///
    /// [`DocumentError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, DocumentError> {
        let version = super::version_of(bytes)?;
        if version != VERSION {
            return Err(DocumentError::Version {
                version,
                known: VERSION,
            });
        }
        let document: Document = serde_json::from_slice(bytes).map_err(DocumentError::Json)?;
        let is_sound = document.ranges.iter().all(|(start, end)| start < end)
            && document
                .ranges
                .windows(2)
                .all(|pair| matches!(pair, [(_, end), (start, _)] if end < start));
        if !is_sound {
            return Err(DocumentError::Content("its ranges are not in order"));
        }
        let ranges = document
            .ranges
            .into_iter()
            .map(|(start, end)| start..end)
            .collect();
        Ok(Self {
            missing_segments: document.missing_segments,
            ranges,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Lost;
    use crate::format::DocumentError;

    #[test]
    fn a_note_reads_back_and_what_is_none_is_refused() {
        let lost = Lost::new(2, vec![0..10, 11..12, 4_000..u64::MAX]);
        assert_eq!(Lost::decode(&lost.encode()).expect("decoded"), lost);
        assert_eq!(
            Lost::decode(&Lost::default().encode()).expect("decoded"),
            Lost::default()
        );
        for ranges in ["[[1,1]]", "[[2,1]]", "[[0,5],[5,6]]", "[[3,5],[0,2]]"] {
            let text = format!(r#"{{"version":1,"missing_segments":0,"ranges":{ranges}}}"#);
            assert!(
                matches!(
                    Lost::decode(text.as_bytes()),
                    Err(DocumentError::Content(_))
                ),
                "{ranges}"
            );
        }
        let documented = br#"{"version": 1, "missing_segments": 0, "ranges": [[0, 4194816], [8389120, 8651264]]}"#;
        assert_eq!(
            Lost::decode(documented).expect("decoded"),
            Lost::new(0, vec![0..4_194_816, 8_389_120..8_651_264])
        );
        assert!(matches!(
            Lost::decode(br#"{"version":2}"#),
            Err(DocumentError::Version { .. })
        ));
        assert!(Lost::decode(br#"{"version":1,"missing_segments":-1,"ranges":[]}"#).is_err());
    }

    #[test]
    fn a_byte_that_is_lost_touches_and_a_neighbour_does_not() {
        let lost = Lost::new(0, vec![10..22, 30..40]);
        for (start, length, expected) in [
            (0, 10, false),
            (0, 11, true),
            (21, 1, true),
            (22, 8, false),
            (22, 9, true),
            (40, 5, false),
        ] {
            assert_eq!(lost.touches(start, length), expected, "{start}+{length}");
        }
        let both = lost.with(&Lost::new(3, vec![0..5, 20..30, 50..60]));
        assert_eq!(both, Lost::new(3, vec![0..5, 10..40, 50..60]));
    }
}
