//! The tar stream as it grows: bytes go in at one end, raw frames come out at the other.

use super::BackupError;
use super::checkpoint::Mark;
use crate::format::frame::{Compression, DENSE_BYTES, Density};
use crate::model::{FrameNo, StreamOffset};
use crossbeam_channel::{Receiver, Sender};

/// How long frames are, in bytes before compression.
///
/// A frame is what the smallest read costs, and what compression can look back on: long ones store
/// less, short ones open sooner. Figures: docs/design/0002.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameSizes {
    /// Where files are small: a frame ends with the first member that ends beyond this.
    pub packed: usize,
    /// Inside a file of [`LARGE_FILE_BYTES`] or more: such files are read in pieces.
    pub large: usize,
    /// The same, where the content compresses little: then shorter frames cost less, and as much of
    /// them is stored.
    pub dense: usize,
}

/// How much of a large file goes by until its content is looked at again.
const SAMPLE_EVERY: u64 = 2 << 20;

/// A file from this length on is expected to be read in pieces.
pub const LARGE_FILE_BYTES: u64 = 8 << 20;

impl FrameSizes {
    /// What suits a method.
    pub fn of(method: Compression) -> Self {
        match method {
            // Deflate looks back 32 KiB: longer frames gain next to nothing.
            Compression::None | Compression::Gzip => Self {
                packed: 512 << 10,
                large: 256 << 10,
                dense: 256 << 10,
            },
            // One block of level 9.
            Compression::Bzip2 => Self {
                packed: 900_000,
                large: 900_000,
                dense: 900_000,
            },
            Compression::Xz => Self {
                packed: 2 << 20,
                large: 1 << 20,
                dense: 1 << 20,
            },
            Compression::Zstd => Self {
                packed: 4 << 20,
                large: 256 << 10,
                dense: DENSE_BYTES,
            },
        }
    }

    /// Where a frame is cut although a member goes on.
    fn hard(target: usize) -> usize {
        target + target / 4
    }
}

/// A frame before compression.
#[derive(Debug)]
pub(super) struct RawFrame {
    pub(super) number: FrameNo,
    pub(super) start: StreamOffset,
    pub(super) bytes: Vec<u8>,
    /// The run has come to the end of this frame with what this says.
    pub(super) mark: Option<Mark>,
}

/// What the content of the large file is like that is being stored.
#[derive(Default)]
struct Texture {
    density: Option<Density>,
    is_dense: bool,
    /// When the content is looked at the next time: nothing is known of it before.
    look_at: Option<StreamOffset>,
}

impl Texture {
    /// Another file comes.
    fn forget(&mut self) {
        self.look_at = None;
    }

    /// Looks at content that ends at a place in the stream, now and then.
    fn see(&mut self, bytes: &[u8], end: StreamOffset) {
        if self.look_at.is_some_and(|next| end < next) {
            return;
        }
        if self.density.is_none() {
            self.density = Density::new().ok();
        }
        if let Some(is_dense) = self
            .density
            .as_mut()
            .and_then(|density| density.is_dense(bytes))
        {
            self.is_dense = is_dense;
            self.look_at = Some(StreamOffset(end.0 + SAMPLE_EVERY));
        }
    }
}

/// The writer's end of the stream.
pub(super) struct Stream {
    sizes: FrameSizes,
    buffer: Vec<u8>,
    start: StreamOffset,
    number: FrameNo,
    texture: Texture,
    frames: Sender<RawFrame>,
    /// Buffers that were compressed and can be filled again: a frame's worth of fresh pages costs
    /// more than its copy.
    free: Receiver<Vec<u8>>,
}

impl Stream {
    pub(super) fn new(
        sizes: FrameSizes,
        frames: Sender<RawFrame>,
        free: Receiver<Vec<u8>>,
    ) -> Self {
        Self {
            sizes,
            buffer: Vec::new(),
            start: StreamOffset(0),
            number: FrameNo(0),
            texture: Texture::default(),
            frames,
            free,
        }
    }

    /// Where the next byte goes.
    pub(super) fn position(&self) -> StreamOffset {
        StreamOffset(self.start.0 + self.buffer.len() as u64)
    }

    /// Appends what `write` appends to the buffer it is given; all of it stays in one piece unless
    /// it is longer than a frame.
    pub(super) fn append_with<T, E>(
        &mut self,
        write: impl FnOnce(&mut Vec<u8>) -> Result<T, E>,
    ) -> Result<Result<T, E>, BackupError> {
        let before = self.buffer.len();
        self.texture.forget();
        let outcome = write(&mut self.buffer);
        if outcome.is_err() {
            self.buffer.truncate(before);
        }
        let hard = FrameSizes::hard(self.sizes.packed);
        while self.buffer.len() > 2 * hard {
            self.cut_at(hard)?;
        }
        Ok(outcome)
    }

    /// Appends bytes of a member's content, cutting where it must.
    pub(super) fn append(&mut self, bytes: &[u8]) -> Result<(), BackupError> {
        self.append_of(bytes, 0)
    }

    /// The same for content that is read like that of a file of `file_bytes`.
    pub(super) fn append_of(
        &mut self,
        mut bytes: &[u8],
        file_bytes: u64,
    ) -> Result<(), BackupError> {
        while !bytes.is_empty() {
            let room = self.room(bytes.len() as u64, file_bytes)?;
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.buffer.extend_from_slice(now);
            bytes = later;
        }
        Ok(())
    }

    /// Appends zeros.
    pub(super) fn append_zeros(&mut self, mut count: u64) -> Result<(), BackupError> {
        while count > 0 {
            let room = self.room(count, 0)?;
            let now = usize::try_from(count).unwrap_or(usize::MAX).min(room);
            self.buffer.resize(self.buffer.len() + now, 0);
            count -= now as u64;
        }
        Ok(())
    }

    /// Appends up to `left` bytes of the content of a file of `file_bytes` by letting `read` fill a
    /// slice; returns how many it said it filled. The rest of the slice is taken back.
    pub(super) fn append_read<E>(
        &mut self,
        left: u64,
        file_bytes: u64,
        read: impl FnOnce(&mut [u8]) -> Result<usize, E>,
    ) -> Result<Result<usize, E>, BackupError> {
        let room = self.room(left, file_bytes)?;
        let before = self.buffer.len();
        let now = usize::try_from(left).unwrap_or(usize::MAX).min(room);
        self.buffer.resize(before + now, 0);
        let outcome = read(&mut self.buffer[before..]);
        let filled = outcome.as_ref().map_or(0, |filled| (*filled).min(now));
        self.buffer.truncate(before + filled);
        if file_bytes >= LARGE_FILE_BYTES && self.sizes.dense < self.sizes.large {
            self.texture.see(&self.buffer[before..], self.position());
        }
        Ok(outcome)
    }

    /// Tells that a member is complete: a good place to end a frame.
    pub(super) fn member_ended(&mut self) -> Result<(), BackupError> {
        if self.buffer.len() >= self.sizes.packed {
            self.cut_at(self.buffer.len())
        } else {
            Ok(())
        }
    }

    /// Whether the last byte ended a frame.
    pub(super) fn is_at_cut(&self) -> bool {
        self.buffer.is_empty()
    }

    /// Ends the frame here, whatever its length, and sends a mark along with it.
    pub(super) fn cut_with(&mut self, mark: Mark) -> Result<(), BackupError> {
        self.cut_marked(self.buffer.len(), Some(mark))
    }

    /// Ends the stream; returns its length.
    pub(super) fn finish(mut self) -> Result<u64, BackupError> {
        let end = self.position().0;
        if !self.buffer.is_empty() {
            self.cut_at(self.buffer.len())?;
        }
        Ok(end)
    }

    /// How many of the `left` bytes of a member may go into the current frame; cuts it first when
    /// it is full.
    fn room(&mut self, left: u64, file_bytes: u64) -> Result<usize, BackupError> {
        // A large file that comes in many short runs would else fill each frame to the hard limit.
        let (target, hard) = match file_bytes >= LARGE_FILE_BYTES {
            true if self.texture.is_dense => (self.sizes.dense, self.sizes.dense),
            true => (self.sizes.large, self.sizes.large),
            false => (self.sizes.packed, FrameSizes::hard(self.sizes.packed)),
        };
        let fits = (self.buffer.len() as u64).saturating_add(left) <= hard as u64;
        if fits {
            return Ok(hard - self.buffer.len());
        }
        if self.buffer.len() >= target {
            self.cut_at(self.buffer.len())?;
        }
        Ok(target - self.buffer.len())
    }

    fn cut_at(&mut self, length: usize) -> Result<(), BackupError> {
        self.cut_marked(length, None)
    }

    fn cut_marked(&mut self, length: usize, mark: Option<Mark>) -> Result<(), BackupError> {
        let mut next = self.free.try_recv().unwrap_or_default();
        next.clear();
        next.extend_from_slice(&self.buffer[length..]);
        self.buffer.truncate(length);
        let bytes = std::mem::replace(&mut self.buffer, next);
        let frame = RawFrame {
            number: self.number,
            start: self.start,
            bytes,
            mark,
        };
        self.number.0 += 1;
        self.start.0 += length as u64;
        self.frames.send(frame).map_err(|_| BackupError::Stopped)
    }
}

#[cfg(test)]
mod tests {
    use super::{FrameSizes, LARGE_FILE_BYTES, RawFrame, Stream};
    use crate::format::frame::Compression;
    use crate::model::{FrameNo, StreamOffset};
    use crossbeam_channel::{Receiver, unbounded};

    const SIZES: FrameSizes = FrameSizes {
        packed: 1000,
        large: 400,
        dense: 400,
    };

    fn stream() -> (Stream, Receiver<RawFrame>) {
        let (sender, frames) = unbounded();
        let (_, free) = unbounded();
        (Stream::new(SIZES, sender, free), frames)
    }

    #[test]
    fn frames_end_to_end_are_the_stream() {
        let (mut stream, frames) = stream();
        let mut expected = Vec::new();
        for member in 0..200_u8 {
            let length = usize::from(member) * 13 % 900;
            let header = |buffer: &mut Vec<u8>| {
                buffer.extend_from_slice(&[member; 20]);
                Ok::<_, ()>(())
            };
            stream.append_with(header).expect("sent").expect("written");
            expected.extend_from_slice(&[member; 20]);
            stream.append(&vec![member; length]).expect("sent");
            expected.extend(std::iter::repeat_n(member, length));
            stream.append_zeros(u64::from(member)).expect("sent");
            expected.extend(std::iter::repeat_n(0, usize::from(member)));
            assert_eq!(stream.position(), StreamOffset(expected.len() as u64));
            stream.member_ended().expect("sent");
        }
        assert_eq!(stream.finish().expect("sent"), expected.len() as u64);
        let mut joined = Vec::new();
        for (number, frame) in frames.iter().enumerate() {
            assert_eq!(frame.number, FrameNo(number as u64));
            assert_eq!(frame.start, StreamOffset(joined.len() as u64));
            assert!(frame.bytes.len() <= 2 * FrameSizes::hard(SIZES.packed));
            joined.extend_from_slice(&frame.bytes);
        }
        assert!(joined == expected);
    }

    #[test]
    fn a_frame_ends_with_a_member_where_one_ends_near() {
        let (mut stream, frames) = stream();
        for _ in 0..10 {
            stream.append(&[1; 240]).expect("sent");
            stream.member_ended().expect("sent");
        }
        stream.finish().expect("sent");
        let lengths: Vec<usize> = frames.iter().map(|frame| frame.bytes.len()).collect();
        assert_eq!(lengths, [1200, 1200]);
    }

    #[test]
    fn a_large_file_is_cut_into_short_frames_and_a_short_read_is_taken_back() {
        let (mut stream, frames) = stream();
        let mut left = 1500;
        while left > 0 {
            let filled = stream.append_read(left, LARGE_FILE_BYTES, |space| {
                space.fill(7);
                Ok::<_, ()>(space.len().min(150))
            });
            left -= filled.expect("sent").expect("read") as u64;
        }
        stream.finish().expect("sent");
        let lengths: Vec<usize> = frames.iter().map(|frame| frame.bytes.len()).collect();
        assert_eq!(lengths.iter().sum::<usize>(), 1500);
        assert!(lengths.iter().all(|length| *length <= 500), "{lengths:?}");
    }

    #[test]
    fn a_large_file_that_compresses_little_is_cut_into_shorter_frames() {
        let sizes = FrameSizes::of(Compression::Zstd);
        let (sender, frames) = unbounded();
        let (_, free) = unbounded();
        let mut stream = Stream::new(sizes, sender, free);
        let mut noise = blake3::Hasher::new().finalize_xof();
        let write = |stream: &mut Stream, fill: &mut dyn FnMut(&mut [u8])| {
            let header = |buffer: &mut Vec<u8>| {
                buffer.extend_from_slice(&[1; 512]);
                Ok::<_, ()>(())
            };
            stream.append_with(header).expect("sent").expect("written");
            let mut left = LARGE_FILE_BYTES;
            while left > 0 {
                let read = |space: &mut [u8]| {
                    fill(space);
                    Ok::<_, ()>(space.len())
                };
                left -= stream
                    .append_read(left, LARGE_FILE_BYTES, read)
                    .expect("sent")
                    .expect("read") as u64;
            }
        };
        write(&mut stream, &mut |space| noise.fill(space));
        write(&mut stream, &mut |space| space.fill(7));
        stream.finish().expect("sent");
        let lengths: Vec<usize> = frames.iter().map(|frame| frame.bytes.len()).collect();
        // All but the first frame of each file, and what is left at its end.
        let of = |length: usize| lengths.iter().filter(|each| **each == length).count();
        assert!(of(sizes.dense) >= 60, "{lengths:?}");
        assert!(of(sizes.large) >= 30, "{lengths:?}");
        assert!(lengths.len() <= 60 + 30 + 8, "{lengths:?}");
    }
}
