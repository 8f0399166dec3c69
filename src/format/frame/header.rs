//! The header of a sealed frame.

use super::cipher::IV_BYTES;
use super::{Compression, Lane, MAX_RAW_BYTES};
use crate::model::{FrameNo, KeyEpoch};

/// Length of a sealed frame's header in bytes.
pub const HEADER_BYTES: usize = 40;
/// Length of a sealed frame's tag in bytes.
pub(super) const TAG_BYTES: usize = 32;

/// How the header and the tag of a sealed frame are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FrameVersion {
    /// Frames of version 1, and the checksums of all bare frames.
    One,
    /// Frames that name the epoch of their key.
    Two,
}

impl FrameVersion {
    fn magic(self) -> [u8; 4] {
        match self {
            Self::One => *b"FzF1",
            Self::Two => *b"FzF2",
        }
    }

    fn of_magic(magic: [u8; 4]) -> Option<Self> {
        [Self::One, Self::Two]
            .into_iter()
            .find(|version| version.magic() == magic)
    }
}

/// The fields of a sealed frame's header.
///
/// | offset | size | meaning |
/// |---|---|---|
/// | 0 | 4 | `FzF2`, or `FzF1` |
/// | 4 | 1 | lane |
/// | 5 | 1 | compression |
/// | 6 | 1 | cipher: 0 none, 1 AES-256-CFB |
/// | 7 | 1 | key epoch, from 1; 0 without encryption and in `FzF1` |
/// | 8 | 8 | frame number, little-endian |
/// | 16 | 4 | raw length in bytes, little-endian |
/// | 20 | 4 | payload length in bytes, little-endian |
/// | 24 | 16 | IV; zeros without encryption |
///
/// Layout: docs/format.md, "Frame".
pub(super) struct SealedHeader {
    pub(super) version: FrameVersion,
    pub(super) lane: u8,
    pub(super) compression: Compression,
    /// The epoch of the frame's key; [`KeyEpoch::NONE`] without encryption.
    pub(super) epoch: KeyEpoch,
    pub(super) number: FrameNo,
    pub(super) raw_length: u32,
    pub(super) payload_length: u32,
    pub(super) iv: [u8; IV_BYTES],
}

impl SealedHeader {
    /// Returns whether the payload is encrypted.
    pub(super) fn is_encrypted(&self) -> bool {
        self.epoch != KeyEpoch::NONE
    }

    pub(super) fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[0..4].copy_from_slice(&self.version.magic());
        bytes[4] = self.lane;
        bytes[5] = self.compression as u8;
        bytes[6] = u8::from(self.is_encrypted());
        bytes[7] = match self.version {
            FrameVersion::One => 0,
            FrameVersion::Two => self.epoch.0,
        };
        bytes[8..16].copy_from_slice(&self.number.0.to_le_bytes());
        bytes[16..20].copy_from_slice(&self.raw_length.to_le_bytes());
        bytes[20..24].copy_from_slice(&self.payload_length.to_le_bytes());
        bytes[24..40].copy_from_slice(&self.iv);
        bytes
    }

    pub(super) fn decode(bytes: &[u8; HEADER_BYTES]) -> Result<Self, &'static str> {
        let number = |at: usize| {
            u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
        };
        let version = FrameVersion::of_magic([bytes[0], bytes[1], bytes[2], bytes[3]])
            .ok_or("it does not begin with FzF2 or FzF1")?;
        let compression = Compression::from_number(bytes[5])
            .ok_or("this version does not know its compression")?;
        let epoch = match (version, bytes[6], bytes[7]) {
            (_, 0, 0) => KeyEpoch::NONE,
            (FrameVersion::One, 1, 0) => KeyEpoch::FIRST,
            (FrameVersion::Two, 1, epoch @ 1..) => KeyEpoch(epoch),
            (_, 0 | 1, _) => return Err("its key epoch does not fit its cipher"),
            _ => return Err("this version does not know its cipher"),
        };
        let mut iv = [0; IV_BYTES];
        iv.copy_from_slice(&bytes[24..40]);
        let frame = FrameNo(u64::from(number(8)) | u64::from(number(12)) << 32);
        Ok(Self {
            version,
            lane: bytes[4],
            compression,
            epoch,
            number: frame,
            raw_length: number(16),
            payload_length: number(20),
            iv,
        })
    }
}

/// The header of a sealed frame, read but not authenticated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SealedOutline {
    /// The frame's number in its lane.
    pub number: FrameNo,
    /// Length of the content in bytes, before compression.
    pub raw_length: u32,
    /// Length of header, payload and tag together, in bytes.
    pub stored_length: u32,
}

impl SealedOutline {
    /// Reads the header of a frame of the tar stream. Returns `None` for any other bytes.
    ///
    /// Layout: docs/format.md, "Frame".
    pub fn read(header: &[u8; HEADER_BYTES]) -> Option<Self> {
        let header = SealedHeader::decode(header).ok()?;
        let stored_length = header
            .payload_length
            .checked_add(u32::try_from(HEADER_BYTES + TAG_BYTES).ok()?)?;
        let is_sound = header.lane == Lane::Data as u8
            && header.raw_length > 0
            && header.raw_length as usize <= MAX_RAW_BYTES;
        is_sound.then_some(Self {
            number: header.number,
            raw_length: header.raw_length,
            stored_length,
        })
    }
}
