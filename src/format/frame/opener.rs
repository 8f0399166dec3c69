//! Reading frames.

use super::binding::Binding;
use super::cipher::{EpochKeys, IV_BYTES};
use super::header::{FrameVersion, HEADER_BYTES, SealedHeader, TAG_BYTES};
use super::{
    CHECKSUM_BYTES, Compression, Decoder, FrameError, FrameId, Glimpse, Lane, MAX_RAW_BYTES,
    Protection,
};
use crate::model::{FrameNo, KeyEpoch, LevelId, StoreId};
use std::ops::Range;
use subtle::ConstantTimeEq;

/// A frame of the tar stream, as the frame table and the manifest of its level describe it.
#[derive(Clone, Copy, Debug)]
pub struct ExpectedFrame {
    /// The frame's number.
    pub number: FrameNo,
    /// Length of the frame's content in bytes, before compression.
    pub raw_length: u32,
    /// How bare frames of the level are compressed. A sealed frame names its method itself.
    pub compression: Compression,
    /// The checksum of a bare frame; `None` for a sealed frame.
    pub checksum: Option<[u8; CHECKSUM_BYTES]>,
}

/// Reads the frames of one level.
#[derive(Clone, Debug)]
pub struct Opener {
    binding: Binding,
}

impl Opener {
    /// Makes an opener for one level of a store.
    pub fn new(store: StoreId, level: LevelId, protection: Protection) -> Self {
        Self::of(Binding {
            store,
            level,
            protection,
        })
    }

    pub(super) fn of(binding: Binding) -> Self {
        Self { binding }
    }

    /// Returns what frame `number` of `lane` is called in errors.
    pub fn id(&self, lane: Lane, number: FrameNo) -> FrameId {
        self.binding.id(lane, number)
    }

    /// Opens a sealed frame that must be frame `number` of `lane`.
    ///
    /// # Errors
    ///
    /// [`FrameError::Tampered`] if it is another frame, was changed, or was made with another key;
    /// [`FrameError::Malformed`] if the bytes cannot be a frame.
    pub fn open(
        &self,
        decoder: &mut Decoder,
        lane: Lane,
        number: FrameNo,
        stored: Vec<u8>,
    ) -> Result<Vec<u8>, FrameError> {
        self.open_sealed(decoder, lane, number, stored, None)
    }

    /// Opens a frame of the tar stream, sealed or bare.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open). A bare frame in an encrypted level is [`FrameError::Tampered`].
    pub fn open_data(
        &self,
        decoder: &mut Decoder,
        expected: &ExpectedFrame,
        stored: Vec<u8>,
    ) -> Result<Vec<u8>, FrameError> {
        self.open_data_showing(decoder, expected, stored, None)
    }

    /// Opens a frame of the tar stream, and shows its beginning as soon as it is decoded.
    ///
    /// # Errors
    ///
    /// As [`open_data`](Self::open_data). Bytes that were shown before an error are right all the
    /// same.
    pub fn open_data_showing(
        &self,
        decoder: &mut Decoder,
        expected: &ExpectedFrame,
        stored: Vec<u8>,
        glimpse: Option<Glimpse<'_>>,
    ) -> Result<Vec<u8>, FrameError> {
        let raw_length = expected.raw_length as usize;
        let raw = match (&self.binding.protection, expected.checksum) {
            (Protection::Encrypted(_), None) => {
                self.open_sealed(decoder, Lane::Data, expected.number, stored, glimpse)?
            }
            (Protection::Checksum, Some(checksum)) => {
                self.verify_bare(expected, checksum, &stored)?;
                decoder.decode(expected.compression, &stored, raw_length, glimpse)?
            }
            (Protection::Encrypted(_), Some(_)) | (Protection::Checksum, None) => {
                return Err(self.tampered(Lane::Data, expected.number));
            }
        };
        if raw.len() == raw_length {
            Ok(raw)
        } else {
            Err(self.tampered(Lane::Data, expected.number))
        }
    }

    /// Checks a frame of the tar stream as [`open_data`](Self::open_data) does, without decrypting
    /// or decompressing it. For callers that only copy frames.
    ///
    /// # Errors
    ///
    /// As [`open_data`](Self::open_data).
    pub fn verify_data(&self, expected: &ExpectedFrame, stored: &[u8]) -> Result<(), FrameError> {
        let is_genuine = match (&self.binding.protection, expected.checksum) {
            (Protection::Encrypted(_), None) => {
                let (header, _) = self.verify_sealed(Lane::Data, expected.number, stored)?;
                header.raw_length == expected.raw_length
            }
            (Protection::Checksum, Some(checksum)) => {
                return self.verify_bare(expected, checksum, stored);
            }
            (Protection::Encrypted(_), Some(_)) | (Protection::Checksum, None) => false,
        };
        if is_genuine {
            Ok(())
        } else {
            Err(self.tampered(Lane::Data, expected.number))
        }
    }

    /// Checks that bytes are whole sealed frames of `lane`, end to end and unchanged, without
    /// decrypting or decompressing them. For callers that only copy frames. Returns the numbers
    /// from that of the first frame to the one after the last.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn verify_sealed_frames(
        &self,
        lane: Lane,
        stored: &[u8],
    ) -> Result<Range<u64>, FrameError> {
        let (mut rest, mut number) = (stored, FrameNo(0));
        let mut numbers: Option<Range<u64>> = None;
        while !rest.is_empty() {
            let malformed = |what| self.malformed(lane, number, what);
            let header = rest
                .first_chunk()
                .ok_or_else(|| malformed("it is cut short"))?;
            let header = SealedHeader::decode(header).map_err(malformed)?;
            let length = (header.payload_length as usize).saturating_add(HEADER_BYTES + TAG_BYTES);
            let (frame, later) = rest
                .split_at_checked(length)
                .ok_or_else(|| malformed("it is cut short"))?;
            self.verify_sealed(lane, header.number, frame)?;
            (rest, number) = (later, header.number);
            let first = numbers.map_or(number.0, |numbers| numbers.start);
            numbers = Some(first..number.0.saturating_add(1));
        }
        Ok(numbers.unwrap_or_default())
    }

    fn open_sealed(
        &self,
        decoder: &mut Decoder,
        lane: Lane,
        number: FrameNo,
        mut stored: Vec<u8>,
        glimpse: Option<Glimpse<'_>>,
    ) -> Result<Vec<u8>, FrameError> {
        let (header, payload_end) = self.verify_sealed(lane, number, &stored)?;
        if let Some(keys) = self.keys(lane, &header)? {
            keys.decrypt(&header.iv, &mut stored[HEADER_BYTES..payload_end]);
        }
        decoder.decode(
            header.compression,
            &stored[HEADER_BYTES..payload_end],
            header.raw_length as usize,
            glimpse,
        )
    }

    /// Checks that a sealed frame is frame `number` of `lane`, unchanged. Returns its header, and
    /// where in `stored` the payload ends.
    fn verify_sealed(
        &self,
        lane: Lane,
        number: FrameNo,
        stored: &[u8],
    ) -> Result<(SealedHeader, usize), FrameError> {
        let malformed = |what| self.malformed(lane, number, what);
        let header_bytes: [u8; HEADER_BYTES] = *stored
            .first_chunk()
            .ok_or_else(|| malformed("it is cut short"))?;
        let header = SealedHeader::decode(&header_bytes).map_err(malformed)?;
        let payload_end = HEADER_BYTES + header.payload_length as usize;
        if stored.len() != payload_end + TAG_BYTES {
            return Err(malformed("it has another length than its header says"));
        }
        if header.raw_length as usize > MAX_RAW_BYTES {
            return Err(malformed("it is longer than a frame may be"));
        }
        let is_in_place = header.is_encrypted() == self.binding.is_encrypted()
            && header.lane == lane as u8
            && header.number == number;
        if !is_in_place {
            return Err(self.tampered(lane, number));
        }
        let keys = self.keys(lane, &header)?;
        let payload = &stored[HEADER_BYTES..payload_end];
        let tag = self.binding.tag(keys, &header, payload);
        if bool::from(tag[..].ct_eq(&stored[payload_end..])) {
            Ok((header, payload_end))
        } else {
            Err(self.tampered(lane, number))
        }
    }

    /// Checks that a bare frame is the expected one, unchanged.
    fn verify_bare(
        &self,
        expected: &ExpectedFrame,
        checksum: [u8; CHECKSUM_BYTES],
        stored: &[u8],
    ) -> Result<(), FrameError> {
        let too_long = || {
            let what = "it is longer than a frame may be";
            self.malformed(Lane::Data, expected.number, what)
        };
        if expected.raw_length as usize > MAX_RAW_BYTES {
            return Err(too_long());
        }
        let header = SealedHeader {
            version: FrameVersion::One,
            lane: Lane::Data as u8,
            compression: expected.compression,
            epoch: KeyEpoch::NONE,
            number: expected.number,
            raw_length: expected.raw_length,
            payload_length: u32::try_from(stored.len()).map_err(|_| too_long())?,
            iv: [0; IV_BYTES],
        };
        let tag = self.binding.tag(None, &header, stored);
        if bool::from(tag[..CHECKSUM_BYTES].ct_eq(&checksum)) {
            Ok(())
        } else {
            Err(self.tampered(Lane::Data, expected.number))
        }
    }

    fn keys(&self, lane: Lane, header: &SealedHeader) -> Result<Option<&EpochKeys>, FrameError> {
        self.binding.keys(header, || self.id(lane, header.number))
    }

    fn tampered(&self, lane: Lane, number: FrameNo) -> FrameError {
        FrameError::Tampered(Box::new(self.id(lane, number)))
    }

    fn malformed(&self, lane: Lane, number: FrameNo, what: &'static str) -> FrameError {
        FrameError::Malformed {
            frame: Box::new(self.id(lane, number)),
            what,
        }
    }
}
