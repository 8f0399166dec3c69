//! Packs frames into segments: objects of whole frames, up to a limit of bytes.

use crate::model::SegmentOffset;
use std::sync::{Arc, Mutex, PoisonError};

/// The lowest limit of a segment's length, in bytes.
pub const MIN_SEGMENT_BYTES: u64 = 1 << 20;

/// Where a frame is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Number of the segment in its lane, from 0.
    pub segment: u32,
    /// Where the frame begins in the segment.
    pub offset: SegmentOffset,
}

/// A segment, ready to be stored.
#[derive(Debug)]
pub struct Segment {
    /// Number of the segment in its lane, from 0.
    pub number: u32,
    /// The frames end to end, cut into pieces that are independent of where frames end.
    pub body: Vec<Vec<u8>>,
}

/// Length of the pieces of a segment. The last piece may be shorter.
const PIECE_BYTES: usize = 1 << 20;

/// A pool of pieces. A packer takes pieces from it; the thread that has stored a segment gives them
/// back.
///
/// Frames kept as separate buffers would fragment the heap: they have all lengths, stay until their
/// segment is stored, and are allocated by one thread and freed by another.
#[derive(Clone, Debug, Default)]
pub struct Pieces(Arc<Mutex<Vec<Vec<u8>>>>);

impl Pieces {
    fn take(&self) -> Vec<u8> {
        let spare = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        spare.unwrap_or_else(|| Vec::with_capacity(PIECE_BYTES))
    }

    /// Takes back the pieces of a stored segment.
    pub fn give_back(&self, body: Vec<Vec<u8>>) {
        let empty = body.into_iter().map(|mut piece| {
            piece.clear();
            piece
        });
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend(empty.filter(|piece| piece.capacity() == PIECE_BYTES));
    }
}

/// Packs the frames of a lane into one segment after another.
#[derive(Debug)]
pub struct Packer {
    limit_bytes: u64,
    current: Segment,
    length_bytes: u64,
    pieces: Pieces,
}

impl Packer {
    /// Starts with segment 0. A frame longer than `limit_bytes` gets a segment to itself.
    pub fn new(limit_bytes: u64) -> Self {
        Self {
            limit_bytes,
            current: Segment {
                number: 0,
                body: Vec::new(),
            },
            length_bytes: 0,
            pieces: Pieces::default(),
        }
    }

    /// Makes the packer take its pieces from this pool.
    #[must_use]
    pub fn of_pieces(self, pieces: Pieces) -> Self {
        Self { pieces, ..self }
    }

    /// Appends a frame. Returns its place, and the segment that had no room for it, if it closed
    /// one.
    ///
    /// # Errors
    ///
    /// [`TooManySegments`] after 2^32 of them.
    pub fn put(&mut self, frame: &[u8]) -> Result<(Place, Option<Segment>), TooManySegments> {
        let length_bytes = frame.len() as u64;
        let mut full = None;
        if self.length_bytes > 0 && self.length_bytes + length_bytes > self.limit_bytes {
            let next = Segment {
                number: self.current.number.checked_add(1).ok_or(TooManySegments)?,
                body: Vec::new(),
            };
            full = Some(std::mem::replace(&mut self.current, next));
            self.length_bytes = 0;
        }
        let place = Place {
            segment: self.current.number,
            offset: SegmentOffset(self.length_bytes),
        };
        self.length_bytes += length_bytes;
        self.append(frame);
        Ok((place, full))
    }

    fn append(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self
                .current
                .body
                .last()
                .is_none_or(|piece| piece.len() >= PIECE_BYTES)
            {
                self.current.body.push(self.pieces.take());
            }
            let Some(piece) = self.current.body.last_mut() else {
                return;
            };
            let (now, later) = bytes.split_at(bytes.len().min(PIECE_BYTES - piece.len()));
            piece.extend_from_slice(now);
            bytes = later;
        }
    }

    /// Closes the current segment, so that every frame so far is in a segment that was returned.
    /// Returns `None` if no frame was put since the last segment was closed.
    ///
    /// # Errors
    ///
    /// [`TooManySegments`] after 2^32 of them.
    pub fn cut(&mut self) -> Result<Option<Segment>, TooManySegments> {
        if self.current.body.is_empty() {
            return Ok(None);
        }
        let next = Segment {
            number: self.current.number.checked_add(1).ok_or(TooManySegments)?,
            body: Vec::new(),
        };
        self.length_bytes = 0;
        Ok(Some(std::mem::replace(&mut self.current, next)))
    }

    /// Returns how many segments are closed.
    pub fn closed(&self) -> u32 {
        self.current.number
    }

    /// Ends the lane. Returns the last segment, if any frame is in it, and the number of segments.
    pub fn finish(self) -> (Option<Segment>, u32) {
        if self.current.body.is_empty() {
            (None, self.current.number)
        } else {
            let count = self.current.number.saturating_add(1);
            (Some(self.current), count)
        }
    }
}

/// The lane has no number left: it has room for 2^32 segments.
#[derive(Debug, thiserror::Error)]
#[error("the level would have more than 2^32 segments: choose a larger segment size")]
pub struct TooManySegments;

#[cfg(test)]
mod tests {
    use super::{PIECE_BYTES, Packer, Pieces};

    #[test]
    fn frames_end_to_end_in_segments_are_the_frames_in_order() {
        let mut packer = Packer::new(100);
        let mut segments = Vec::new();
        let frames: Vec<Vec<u8>> = (0..50_u8)
            .map(|n| vec![n; 5 + usize::from(n % 40)])
            .chain([vec![99; 300]])
            .collect();
        let mut places = Vec::new();
        for (number, frame) in frames.iter().enumerate() {
            let (place, full) = packer.put(frame).expect("room");
            places.push(place);
            segments.extend(full);
            if number % 7 == 0 || number == 50 {
                segments.extend(packer.cut().expect("room"));
                assert_eq!(packer.closed() as usize, segments.len());
                assert!(
                    packer.cut().expect("room").is_none(),
                    "the segment is empty"
                );
            }
        }
        let (last, count) = packer.finish();
        segments.extend(last);
        assert_eq!(segments.len(), count as usize);
        for (number, segment) in segments.iter().enumerate() {
            assert_eq!(segment.number as usize, number);
            let body = segment.body.concat();
            assert!(
                body.len() <= 100 || body == frames[50],
                "only a frame longer than the limit makes a longer segment"
            );
        }
        for (place, frame) in places.iter().zip(&frames) {
            let body = segments[place.segment as usize].body.concat();
            let at = usize::try_from(place.offset.0).expect("small");
            assert_eq!(&body[at..at + frame.len()], &frame[..]);
        }
    }

    #[test]
    fn pieces_are_used_again_without_their_old_bytes() {
        let (pieces, frame_bytes) = (Pieces::default(), PIECE_BYTES / 3 + 1);
        let mut packer = Packer::new(4 * PIECE_BYTES as u64).of_pieces(pieces.clone());
        let (mut expected, mut segments, mut buffers) =
            (Vec::new(), 0, std::collections::BTreeSet::new());
        for n in 0..100_u8 {
            let (_, full) = packer.put(&vec![n; frame_bytes]).expect("room");
            if let Some(segment) = full {
                buffers.extend(segment.body.iter().map(|piece| piece.as_ptr()));
                assert!(segment.body.concat() == expected, "segment {segments}");
                segments += 1;
                expected.clear();
                pieces.give_back(segment.body);
            }
            expected.resize(expected.len() + frame_bytes, n);
        }
        assert!(segments >= 8, "{segments}");
        assert!(
            buffers.len() <= 9,
            "two segments' worth of buffers for all: {}",
            buffers.len()
        );
        pieces.give_back(vec![vec![1; 5]]);
        let spare = pieces.0.lock().expect("nothing panics while it is held");
        assert!(
            spare
                .iter()
                .all(|piece| piece.is_empty() && piece.capacity() == PIECE_BYTES),
            "a buffer of another length is not kept"
        );
    }
}
