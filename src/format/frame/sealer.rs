//! Making frames.

use super::binding::Binding;
use super::cipher::IV_BYTES;
use super::header::{FrameVersion, HEADER_BYTES, SealedHeader, TAG_BYTES};
use super::opener::Opener;
use super::{CHECKSUM_BYTES, Encoder, FrameError, Lane, MAX_RAW_BYTES, Protection};
use crate::model::{FrameNo, LevelId, StoreId};

/// A frame of the tar stream, ready to be stored.
#[derive(Debug)]
pub struct StoredFrame {
    /// The bytes for the segment.
    pub bytes: Vec<u8>,
    /// Length of the frame's content in bytes, before compression.
    pub raw_length: u32,
    /// The checksum of a bare frame, which has no room for it; `None` for a sealed frame.
    pub checksum: Option<[u8; CHECKSUM_BYTES]>,
}

/// Makes the frames of one level.
#[derive(Clone, Debug)]
pub struct Sealer {
    binding: Binding,
}

/// A frame that is compressed, and neither encrypted nor authenticated yet.
struct UnsealedFrame {
    header: SealedHeader,
    /// Room for the header, then the payload.
    bytes: Vec<u8>,
}

impl UnsealedFrame {
    fn payload(&self) -> &[u8] {
        &self.bytes[HEADER_BYTES..]
    }
}

impl Sealer {
    /// Makes a sealer for one level of a store.
    pub fn new(store: StoreId, level: LevelId, protection: Protection) -> Self {
        Self {
            binding: Binding {
                store,
                level,
                protection,
            },
        }
    }

    /// Returns an opener for the frames that this sealer makes.
    pub fn opener(&self) -> Opener {
        Opener::of(self.binding.clone())
    }

    /// Makes one sealed frame, whatever the protection. Not for [`Lane::Data`].
    ///
    /// # Errors
    ///
    /// [`FrameError::Codec`], [`FrameError::Random`]; [`FrameError::Malformed`] if `raw` is longer
    /// than [`MAX_RAW_BYTES`].
    pub fn seal(
        &self,
        encoder: &mut Encoder,
        lane: Lane,
        number: FrameNo,
        raw: &[u8],
    ) -> Result<Vec<u8>, FrameError> {
        let mut frames = [self.compress(encoder, lane, number, raw)?];
        self.encrypt(&mut frames);
        let [frame] = frames;
        Ok(self.finish_sealed(encoder, frame))
    }

    /// Makes frames of the tar stream: sealed with encryption, bare without. Encrypting several at
    /// once is faster than one after another. The frames need not be neighbours.
    ///
    /// # Errors
    ///
    /// As [`seal`](Self::seal).
    pub fn seal_data(
        &self,
        encoder: &mut Encoder,
        raw: &[(FrameNo, &[u8])],
    ) -> Result<Vec<StoredFrame>, FrameError> {
        let mut frames = Vec::with_capacity(raw.len());
        for (number, frame) in raw {
            frames.push(self.compress(encoder, Lane::Data, *number, frame)?);
        }
        self.encrypt(&mut frames);
        let is_encrypted = self.binding.is_encrypted();
        let finished = frames.into_iter().map(|frame| {
            if is_encrypted {
                StoredFrame {
                    raw_length: frame.header.raw_length,
                    checksum: None,
                    bytes: self.finish_sealed(encoder, frame),
                }
            } else {
                self.finish_bare(encoder, frame)
            }
        });
        Ok(finished.collect())
    }

    fn compress(
        &self,
        encoder: &mut Encoder,
        lane: Lane,
        number: FrameNo,
        raw: &[u8],
    ) -> Result<UnsealedFrame, FrameError> {
        let mut iv = [0; IV_BYTES];
        if self.binding.is_encrypted() {
            getrandom::fill(&mut iv).map_err(FrameError::Random)?;
        }
        let too_long = || FrameError::Malformed {
            frame: Box::new(self.binding.id(lane, number)),
            what: "it would be longer than a frame may be",
        };
        if raw.len() > MAX_RAW_BYTES {
            return Err(too_long());
        }
        let mut bytes = encoder.buffer();
        bytes.resize(HEADER_BYTES, 0);
        encoder.append(raw, &mut bytes)?;
        let header = SealedHeader {
            version: FrameVersion::Two,
            lane: lane as u8,
            compression: encoder.method(),
            epoch: self.binding.epoch(),
            number,
            raw_length: u32::try_from(raw.len()).map_err(|_| too_long())?,
            payload_length: u32::try_from(bytes.len() - HEADER_BYTES).map_err(|_| too_long())?,
            iv,
        };
        Ok(UnsealedFrame { header, bytes })
    }

    fn encrypt(&self, frames: &mut [UnsealedFrame]) {
        if let Protection::Encrypted(keys) = &self.binding.protection {
            let mut payloads: Vec<_> = frames
                .iter_mut()
                .map(|frame| (&frame.header.iv, &mut frame.bytes[HEADER_BYTES..]))
                .collect();
            keys.for_new().encrypt(&mut payloads);
        }
    }

    fn finish_sealed(&self, encoder: &mut Encoder, frame: UnsealedFrame) -> Vec<u8> {
        let header = frame.header.encode();
        let keys = match &self.binding.protection {
            Protection::Checksum => None,
            Protection::Encrypted(keys) => Some(keys.for_new()),
        };
        let tag = self.binding.tag(keys, &frame.header, frame.payload());
        // The codec reserved for the worst case. What waits for its place in a segment is a copy
        // in a buffer of the right size.
        let mut bytes = Vec::with_capacity(frame.bytes.len() + TAG_BYTES);
        bytes.extend_from_slice(&header);
        bytes.extend_from_slice(frame.payload());
        bytes.extend_from_slice(&tag);
        encoder.take_back(frame.bytes);
        bytes
    }

    /// The checksum of a bare frame is that of version 1 in every version: a frame table may have
    /// rows that were copied from one of version 1.
    fn finish_bare(&self, encoder: &mut Encoder, frame: UnsealedFrame) -> StoredFrame {
        let header = SealedHeader {
            version: FrameVersion::One,
            ..frame.header
        };
        let tag = self
            .binding
            .tag(None, &header, &frame.bytes[HEADER_BYTES..]);
        let mut checksum = [0; CHECKSUM_BYTES];
        checksum.copy_from_slice(&tag[..CHECKSUM_BYTES]);
        let bytes = frame.bytes[HEADER_BYTES..].to_vec();
        encoder.take_back(frame.bytes);
        StoredFrame {
            bytes,
            raw_length: header.raw_length,
            checksum: Some(checksum),
        }
    }
}
