//! Notes of lost bytes: the parts of a level's tar stream that can no longer be read. The next
//! backup stores files that need them again.
//!
//! A note is neither encrypted nor authenticated. A forged note makes a backup store files once
//! more, and does nothing else.
//!
//! Layout: docs/format.md, "What is lost".

use super::{DocumentError, decode_document};
use serde::{Deserialize, Serialize};
use std::ops::Range;

const VERSION: u32 = 1;

/// The most bytes that a note may have.
pub const MAX_LOST_BYTES: u64 = 16 << 20;

/// The lost part of one level.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lost {
    missing_segments: u32,
    /// Parts of the stream, in bytes: in order, neither empty nor touching.
    ranges: Vec<Range<u64>>,
}

#[derive(Serialize, Deserialize)]
struct LostDocument {
    version: u32,
    missing_segments: u32,
    ranges: Vec<(u64, u64)>,
}

impl Lost {
    /// Makes a note. `ranges` are parts of the stream in bytes: in order, neither empty nor
    /// touching. `missing_segments` counts the segments that were missing altogether.
    pub fn new(missing_segments: u32, ranges: Vec<Range<u64>>) -> Self {
        Self {
            missing_segments,
            ranges,
        }
    }

    /// Returns how many segments were missing altogether.
    pub fn missing_segments(&self) -> u32 {
        self.missing_segments
    }

    /// Returns the lost parts of the stream, in order.
    pub fn ranges(&self) -> &[Range<u64>] {
        &self.ranges
    }

    /// Returns everything that this note or the other one names.
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

    /// Returns whether nothing is lost.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty() && self.missing_segments == 0
    }

    /// Returns whether any of the `length` bytes of the stream from `start` on is lost.
    pub fn touches(&self, start: u64, length: u64) -> bool {
        let first = self.ranges.partition_point(|range| range.end <= start);
        self.ranges
            .get(first)
            .is_some_and(|range| range.start < start.saturating_add(length))
    }

    /// Encodes the document.
    pub fn encode(&self) -> Vec<u8> {
        let ranges = self
            .ranges
            .iter()
            .map(|range| (range.start, range.end))
            .collect();
        let document = LostDocument {
            version: VERSION,
            missing_segments: self.missing_segments,
            ranges,
        };
        serde_json::to_vec(&document).expect("numbers always become JSON")
    }

    /// Decodes the document.
    ///
    /// # Errors
    ///
    /// [`DocumentError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, DocumentError> {
        let document: LostDocument = decode_document(bytes, VERSION)?;
        let is_sound = document.ranges.iter().all(|(start, end)| start < end)
            && document
                .ranges
                .windows(2)
                .all(|pair| matches!(pair, [(_, end), (start, _)] if end < start));
        if !is_sound {
            return Err(DocumentError::Content(
                "its ranges are empty, touch or are out of order",
            ));
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
    fn a_note_reads_back_and_other_documents_are_refused() {
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
        let documented = br#"{"version": 1, "missing_segments": 0,
            "ranges": [[0, 4194816], [8389120, 8651264]]}"#;
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
