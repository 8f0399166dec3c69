//! The tar stream as it grows: bytes go in, and raw frames come out.

use super::checkpoint::Mark;
use super::error::BackupError;
use crate::format::frame::{Compression, DENSE_BYTES, Density};
use crate::model::{FrameNo, StreamOffset};
use crossbeam_channel::{Receiver, Sender};

/// Lengths of frames, in bytes before compression.
///
/// The smallest read costs one frame, and compression looks back no further than its beginning:
/// long frames take less room, short ones open sooner. Figures: docs/design/0002.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameSizes {
    /// For small files: a frame ends with the first member that ends beyond this.
    pub packed: usize,
    /// Inside a file of [`LARGE_FILE_BYTES`] or more: readers fetch pieces of it.
    pub large: usize,
    /// Inside such a file where its content compresses little: shorter frames then take no more
    /// room.
    pub dense: usize,
}

/// Bytes of a large file from one look at how well it compresses to the next.
const SAMPLE_EVERY: u64 = 2 << 20;

/// Length in bytes from which a file is expected to be read in pieces.
pub const LARGE_FILE_BYTES: u64 = 8 << 20;

impl FrameSizes {
    /// Returns the lengths that suit a compression method.
    pub fn of(method: Compression) -> Self {
        match method {
            // Deflate looks back 32 KiB: longer frames gain almost nothing.
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

    /// Returns the length at which a frame is cut inside a member.
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
    /// The state of the run at the end of this frame, if a checkpoint is to be stored.
    pub(super) mark: Option<Mark>,
}

/// How well the content of the current large file compresses.
#[derive(Default)]
struct Texture {
    density: Option<Density>,
    is_dense: bool,
    /// Where the content is looked at next; `None` before the first look.
    look_at: Option<StreamOffset>,
}

impl Texture {
    /// Starts with another file.
    fn forget(&mut self) {
        self.look_at = None;
    }

    /// Looks at content that ends at `end` in the stream, if it is time to.
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

/// The tar stream of a level, cut into frames.
pub(super) struct TarStream {
    sizes: FrameSizes,
    buffer: Vec<u8>,
    start: StreamOffset,
    number: FrameNo,
    texture: Texture,
    frames: Sender<RawFrame>,
    /// Buffers of sealed frames, to be filled again: fresh memory for a frame costs more than
    /// copying the frame.
    free: Receiver<Vec<u8>>,
}

impl TarStream {
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

    /// Returns where the next byte goes.
    pub(super) fn position(&self) -> StreamOffset {
        StreamOffset(self.start.0 + self.buffer.len() as u64)
    }

    /// Appends what `write` adds to the buffer. It stays in one frame unless it is longer than
    /// that. If `write` fails, nothing is appended, and the inner error is its own.
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

    /// Appends content of a member, and cuts frames where it must.
    pub(super) fn append(&mut self, bytes: &[u8]) -> Result<(), BackupError> {
        self.append_of(bytes, 0)
    }

    /// Appends content that is read like that of a file of `file_bytes`.
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

    /// Appends up to `left` bytes of a file of `file_bytes`: lets `read` fill a slice, and returns
    /// how many bytes it filled. The rest of the slice is removed again.
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

    /// Notes that a member is complete: a good place to end a frame.
    pub(super) fn member_ended(&mut self) -> Result<(), BackupError> {
        if self.buffer.len() >= self.sizes.packed {
            self.cut_at(self.buffer.len())
        } else {
            Ok(())
        }
    }

    /// Returns whether the last byte ended a frame.
    pub(super) fn is_at_cut(&self) -> bool {
        self.buffer.is_empty()
    }

    /// Ends the frame here, whatever its length, and sends `mark` along with it.
    pub(super) fn cut_with(&mut self, mark: Mark) -> Result<(), BackupError> {
        self.cut_marked(self.buffer.len(), Some(mark))
    }

    /// Ends the stream, and returns its length in bytes.
    pub(super) fn finish(mut self) -> Result<u64, BackupError> {
        let end = self.position().0;
        if !self.buffer.is_empty() {
            self.cut_at(self.buffer.len())?;
        }
        Ok(end)
    }

    /// Returns how many of the `left` bytes of a member may go into the current frame. Cuts the
    /// frame first if it is full.
    fn room(&mut self, left: u64, file_bytes: u64) -> Result<usize, BackupError> {
        // For a large file both limits are one: many short runs would else fill each frame to the
        // hard limit.
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
    use super::{FrameSizes, LARGE_FILE_BYTES, RawFrame, TarStream};
    use crate::format::frame::Compression;
    use crate::model::{FrameNo, StreamOffset};
    use crossbeam_channel::{Receiver, unbounded};

    const SIZES: FrameSizes = FrameSizes {
        packed: 1000,
        large: 400,
        dense: 400,
    };

    fn stream() -> (TarStream, Receiver<RawFrame>) {
        let (sender, frames) = unbounded();
        let (_, free) = unbounded();
        (TarStream::new(SIZES, sender, free), frames)
    }

    #[test]
    fn frames_put_together_are_the_stream() {
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
    fn a_frame_ends_with_a_member_that_ends_nearby() {
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
    fn a_large_file_is_cut_into_short_frames_and_a_short_read_leaves_no_gap() {
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
        let mut stream = TarStream::new(sizes, sender, free);
        let mut noise = blake3::Hasher::new().finalize_xof();
        let write = |stream: &mut TarStream, fill: &mut dyn FnMut(&mut [u8])| {
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
        // All frames but the first and the last of each file.
        let of = |length: usize| lengths.iter().filter(|each| **each == length).count();
        assert!(of(sizes.dense) >= 60, "{lengths:?}");
        assert!(of(sizes.large) >= 30, "{lengths:?}");
        assert!(lengths.len() <= 60 + 30 + 8, "{lengths:?}");
    }
}
