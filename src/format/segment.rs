//! Packs frames into segments: objects of whole frames, up to a size.

use crate::model::SegmentOffset;

/// Smallest and usual limits of a segment's length in bytes.
pub const MIN_SEGMENT_BYTES: u64 = 1 << 20;
/// What segments are cut at unless another size is asked for. Memory holds a segment for each upload under way and one
/// that fills.
pub const DEFAULT_SEGMENT_BYTES: u64 = 32 << 20;

/// Where a frame was put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Number of the segment in its lane, from 0.
    pub segment: u32,
    /// Where the frame begins in it.
    pub offset: SegmentOffset,
}

/// A segment that is ready to be stored.
#[derive(Debug)]
pub struct Segment {
    /// Its number in its lane, from 0.
    pub number: u32,
    /// Its frames, end to end.
    pub frames: Vec<Vec<u8>>,
}

/// Fills one segment after the other with the frames of a lane.
#[derive(Debug)]
pub struct Packer {
    limit_bytes: u64,
    current: Segment,
    length_bytes: u64,
}

impl Packer {
    /// Starts with segment 0. A frame longer than `limit_bytes` gets a segment to itself.
    pub fn new(limit_bytes: u64) -> Self {
        Self { limit_bytes, current: Segment { number: 0, frames: Vec::new() }, length_bytes: 0 }
    }

    /// Puts a frame behind the one before it. Returns its place, and the segment that it closed, if any.
    ///
    /// # Errors
    ///
    /// [`TooManySegments`] after 2^32 of them.
    pub fn put(&mut self, frame: Vec<u8>) -> Result<(Place, Option<Segment>), TooManySegments> {
        let length_bytes = frame.len() as u64;
        let mut full = None;
        if self.length_bytes > 0 && self.length_bytes + length_bytes > self.limit_bytes {
            let next = Segment { number: self.current.number.checked_add(1).ok_or(TooManySegments)?, frames: Vec::new() };
            full = Some(std::mem::replace(&mut self.current, next));
            self.length_bytes = 0;
        }
        let place = Place { segment: self.current.number, offset: SegmentOffset(self.length_bytes) };
        self.length_bytes += length_bytes;
        self.current.frames.push(frame);
        Ok((place, full))
    }

    /// Closes the segment that fills, so that all frames so far are in segments that were returned. Nothing if there is none in it.
    ///
    /// # Errors
    ///
    /// [`TooManySegments`] after 2^32 of them.
    pub fn cut(&mut self) -> Result<Option<Segment>, TooManySegments> {
        if self.current.frames.is_empty() {
            return Ok(None);
        }
        let next = Segment { number: self.current.number.checked_add(1).ok_or(TooManySegments)?, frames: Vec::new() };
        self.length_bytes = 0;
        Ok(Some(std::mem::replace(&mut self.current, next)))
    }

    /// How many segments were closed.
    pub fn closed(&self) -> u32 {
        self.current.number
    }

    /// Ends the lane. Returns the last segment, unless no frame was put since one was closed, and how many there are.
    pub fn finish(self) -> (Option<Segment>, u32) {
        if self.current.frames.is_empty() {
            (None, self.current.number)
        } else {
            let count = self.current.number.saturating_add(1);
            (Some(self.current), count)
        }
    }
}

/// A lane has room for 2^32 segments.
#[derive(Debug, thiserror::Error)]
#[error("the level has more segments than can be numbered; a larger segment size is needed")]
pub struct TooManySegments;

#[cfg(test)]
mod tests {
    use super::Packer;

    #[test]
    fn frames_end_to_end_in_segments_are_the_frames_in_order() {
        let mut packer = Packer::new(100);
        let mut segments = Vec::new();
        let frames: Vec<Vec<u8>> = (0..50_u8).map(|n| vec![n; 5 + usize::from(n % 40)]).chain([vec![99; 300]]).collect();
        let mut places = Vec::new();
        for (number, frame) in frames.clone().into_iter().enumerate() {
            let (place, full) = packer.put(frame).expect("room");
            places.push(place);
            segments.extend(full);
            if number % 7 == 0 || number == 50 {
                segments.extend(packer.cut().expect("room"));
                assert_eq!(packer.closed() as usize, segments.len());
                assert!(packer.cut().expect("room").is_none(), "there is nothing in it");
            }
        }
        let (last, count) = packer.finish();
        segments.extend(last);
        assert_eq!(segments.len(), count as usize);
        for (number, segment) in segments.iter().enumerate() {
            assert_eq!(segment.number as usize, number);
            assert!(segment.frames.len() == 1 || segment.frames.concat().len() <= 100);
        }
        for (place, frame) in places.iter().zip(&frames) {
            let body = segments[place.segment as usize].frames.concat();
            let at = usize::try_from(place.offset.0).expect("small");
            assert_eq!(&body[at..at + frame.len()], &frame[..]);
        }
    }
}
