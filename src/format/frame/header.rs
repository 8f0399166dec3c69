//! The header of a sealed frame.

use super::cipher::IV_BYTES;
use super::{Compression, Lane, MAX_RAW_BYTES};
use crate::model::FrameNo;

/// Length of a sealed frame's header in bytes.
pub const HEADER_BYTES: usize = 40;
/// Length of a sealed frame's tag in bytes.
pub(super) const TAG_BYTES: usize = 32;

const MAGIC: [u8; 4] = *b"FzF1";

/// The fields of a sealed frame's header.
///
/// | offset | size | meaning |
/// |---|---|---|
/// | 0 | 4 | `FzF1` |
/// | 4 | 1 | lane |
/// | 5 | 1 | compression |
/// | 6 | 1 | cipher: 0 none, 1 AES-256-CFB |
/// | 7 | 1 | 0 |
/// | 8 | 8 | frame number, little-endian |
/// | 16 | 4 | raw length in bytes, little-endian |
/// | 20 | 4 | payload length in bytes, little-endian |
/// | 24 | 16 | IV; zeros without encryption |
///
/// Layout: docs/format.md, "Frame".
pub(super) struct SealedHeader {
    pub(super) lane: u8,
    pub(super) compression: Compression,
    pub(super) encrypted: bool,
    pub(super) number: FrameNo,
    pub(super) raw_length: u32,
    pub(super) payload_length: u32,
    pub(super) iv: [u8; IV_BYTES],
}

impl SealedHeader {
    pub(super) fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[0..4].copy_from_slice(&MAGIC);
        bytes[4] = self.lane;
        bytes[5] = self.compression as u8;
        bytes[6] = u8::from(self.encrypted);
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
        if bytes[0..4] != MAGIC {
            return Err("it does not begin with FzF1");
        }
        let compression = Compression::from_number(bytes[5])
            .ok_or("this version does not know its compression")?;
        let encrypted = match bytes[6] {
            0 => false,
            1 => true,
            _ => return Err("this version does not know its cipher"),
        };
        if bytes[7] != 0 {
            return Err("this version does not know one of its flags");
        }
        let mut iv = [0; IV_BYTES];
        iv.copy_from_slice(&bytes[24..40]);
        let frame = FrameNo(u64::from(number(8)) | u64::from(number(12)) << 32);
        Ok(Self {
            lane: bytes[4],
            compression,
            encrypted,
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
