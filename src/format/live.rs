//! Live ranges: the bytes of a level's stream that a point in time needs, as its manifest names
//! them.
//!
//! Layout: docs/format.md, "Live ranges".

use super::DocumentError;
use crate::model::Ranges;
use std::ops::Range;

/// Ranges begin and end at multiples of this, in bytes. It is the block of a tar archive: content
/// begins at a block too, so a rounded range never reaches into another member or its frame.
pub const UNIT_BYTES: u64 = 512;

/// Encodes ranges, rounded outwards to whole units. Each is two varints, in units: the distance
/// from the end of the previous range, and the length.
pub fn encode(ranges: &Ranges) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(ranges.as_slice().len() * 4);
    let mut end = 0;
    for range in rounded(ranges).as_slice() {
        put_varint(&mut bytes, range.start / UNIT_BYTES - end);
        put_varint(&mut bytes, (range.end - range.start) / UNIT_BYTES);
        end = range.end / UNIT_BYTES;
    }
    bytes
}

/// Decodes ranges.
///
/// # Errors
///
/// [`DocumentError::Content`] if a number is too large or not in its shortest form, a range is
/// empty, or a range touches the next one.
pub fn decode(bytes: &[u8]) -> Result<Ranges, DocumentError> {
    let mut rest = bytes;
    let mut ranges: Vec<Range<u64>> = Vec::new();
    let mut end = 0_u64;
    while !rest.is_empty() {
        let (gap, length) = (take_varint(&mut rest)?, take_varint(&mut rest)?);
        if length == 0 || gap == 0 && !ranges.is_empty() {
            return Err(DocumentError::Content(
                "its live ranges are empty, or touch each other",
            ));
        }
        let start = end.checked_add(gap);
        let next = start.and_then(|start| start.checked_add(length));
        let in_bytes = |units: u64| units.checked_mul(UNIT_BYTES);
        let (Some(start), Some(next)) = (start.and_then(in_bytes), next) else {
            return Err(DocumentError::Content(
                "its live ranges reach past the end of all streams",
            ));
        };
        let last = in_bytes(next).ok_or(DocumentError::Content(
            "its live ranges reach past the end of all streams",
        ))?;
        ranges.push(start..last);
        end = next;
    }
    Ok(Ranges::new(ranges))
}

fn rounded(ranges: &Ranges) -> Ranges {
    let largest = u64::MAX / UNIT_BYTES * UNIT_BYTES;
    let outwards = |range: &Range<u64>| {
        let end = range.end.min(largest).next_multiple_of(UNIT_BYTES);
        range.start.min(largest) / UNIT_BYTES * UNIT_BYTES..end
    };
    Ranges::new(ranges.as_slice().iter().map(outwards).collect())
}

fn put_varint(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    bytes.push((value & 0x7f) as u8);
}

fn take_varint(bytes: &mut &[u8]) -> Result<u64, DocumentError> {
    let malformed = DocumentError::Content(
        "a number in its live ranges is cut short, too large or not in its shortest form",
    );
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let Some((byte, rest)) = bytes.split_first() else {
            return Err(malformed);
        };
        *bytes = rest;
        let bits = u64::from(byte & 0x7f);
        if shift == 63 && bits > 1 {
            return Err(malformed);
        }
        value |= bits << shift;
        if byte & 0x80 == 0 {
            return if *byte == 0 && shift > 0 {
                Err(malformed)
            } else {
                Ok(value)
            };
        }
    }
    Err(malformed)
}

/// Live ranges in JSON, for serde's `with`: base64. Without any, the whole stream is live.
pub(super) mod json {
    use crate::model::Ranges;
    use base64::{Engine, engine::general_purpose::STANDARD};
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    #[expect(clippy::ref_option, reason = "serde's signature")]
    pub(in crate::format) fn serialize<S: Serializer>(
        ranges: &Option<Ranges>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match ranges {
            Some(ranges) => serializer.serialize_some(&STANDARD.encode(super::encode(ranges))),
            None => serializer.serialize_none(),
        }
    }

    pub(in crate::format) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Ranges>, D::Error> {
        let Some(text) = Option::<String>::deserialize(deserializer)? else {
            return Ok(None);
        };
        let bytes = STANDARD.decode(text).map_err(D::Error::custom)?;
        super::decode(&bytes).map(Some).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::{UNIT_BYTES, decode, encode};
    use crate::model::Ranges;
    use proptest::prelude::*;

    #[test]
    fn ranges_are_rounded_outwards_and_read_back() {
        let ranges = Ranges::new(vec![5000..5001, 70_000..90_000, 1 << 40..(1 << 40) + 1]);
        let back = decode(&encode(&ranges)).expect("sound");
        assert_eq!(back.as_slice()[0], 4608..5120);
        assert_eq!(back.as_slice()[1], 69_632..90_112);
        assert_eq!(decode(&encode(&back)).expect("sound"), back, "rounded once");
        assert_eq!(encode(&Ranges::default()), b"");
        assert_eq!(decode(b"").expect("sound"), Ranges::default());
        assert!(
            decode(&encode(&Ranges::of(0..u64::MAX)))
                .expect("sound")
                .cover(&(0..u64::MAX - UNIT_BYTES))
        );
    }

    #[test]
    fn malformed_ranges_are_refused() {
        let is_refused = |bytes: &[u8]| decode(bytes).is_err();
        // Cut, empty, touching, not in the shortest form, too large.
        for bytes in [
            &b"\x01"[..],
            b"\x80",
            b"\x01\x00",
            b"\x00\x01\x00\x01",
            b"\x81\x00\x01",
            b"\x00\x81\x00",
            &[0xff; 20],
        ] {
            assert!(is_refused(bytes), "{bytes:02x?}");
        }
        let mut beyond = vec![0];
        beyond.extend([0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]);
        assert!(is_refused(&beyond), "a length of 2^64 units");
        // The bits above the 64th must not get lost: this would read as a gap of 1.
        let mut overflowing = vec![0x81];
        overflowing.extend([0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x02, 0x01]);
        assert!(is_refused(&overflowing), "a gap of 2^64 + 1 units");
    }

    proptest! {
        #[test]
        fn any_ranges_read_back_rounded(
            ranges in proptest::collection::vec((any::<u32>(), 1_u64..1 << 20), 0..50),
        ) {
            let range = |(start, length): (u32, u64)| u64::from(start)..u64::from(start) + length;
            let ranges = Ranges::new(ranges.into_iter().map(range).collect());
            let back = decode(&encode(&ranges)).expect("sound");
            for range in ranges.as_slice() {
                prop_assert!(back.cover(range));
            }
            for range in back.as_slice() {
                prop_assert_eq!((range.start % UNIT_BYTES, range.end % UNIT_BYTES), (0, 0));
                prop_assert!(ranges.touch(&(range.start..range.start + UNIT_BYTES)));
                prop_assert!(ranges.touch(&(range.end - UNIT_BYTES..range.end)));
            }
        }

        #[test]
        fn any_bytes_are_refused_or_have_one_encoding(
            bytes in proptest::collection::vec(any::<u8>(), 0..40),
        ) {
            if let Ok(ranges) = decode(&bytes) {
                prop_assert_eq!(encode(&ranges), bytes);
            }
        }
    }
}
