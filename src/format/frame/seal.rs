//! Sealing and opening.

use super::cipher::IV_BYTES;
use super::{
    Compression, Decoder, Encoder, FrameError, FrameId, Glimpse, Lane, MAX_RAW_BYTES, Protection,
};
use crate::model::{FrameNo, LevelId, StoreId};
use hmac::Mac;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// Length of a sealed frame's header in bytes.
pub const HEADER_BYTES: usize = 40;
/// Length of a sealed frame's tag in bytes.
pub const TAG_BYTES: usize = 32;
/// Length of a bare frame's checksum in bytes.
pub const CHECKSUM_BYTES: usize = 16;

const MAGIC: [u8; 4] = *b"FzF1";
/// What a tag or checksum begins with, so that it cannot be one of anything else.
const CONTEXT: &[u8; 16] = b"freezer-frame-1\0";

/// A frame as it is stored.
#[derive(Debug)]
pub struct Stored {
    /// The bytes for the segment.
    pub bytes: Vec<u8>,
    /// How many bytes it holds once it is opened.
    pub raw_length: u32,
    /// The checksum of a bare frame, which has no room for one of its own.
    pub checksum: Option<[u8; CHECKSUM_BYTES]>,
}

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
struct Header {
    lane: u8,
    compression: Compression,
    encrypted: bool,
    number: FrameNo,
    raw_length: u32,
    payload_length: u32,
    iv: [u8; IV_BYTES],
}

impl Header {
    fn encode(&self) -> [u8; HEADER_BYTES] {
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

    fn decode(bytes: &[u8; HEADER_BYTES]) -> Result<Self, &'static str> {
        let number = |at: usize| {
            u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
        };
        if bytes[0..4] != MAGIC {
            return Err("it does not begin as a frame does");
        }
        let compression = Compression::from_number(bytes[5])
            .ok_or("its compression is unknown to this version")?;
        let encrypted = match bytes[6] {
            0 => false,
            1 => true,
            _ => return Err("its cipher is unknown to this version"),
        };
        if bytes[7] != 0 {
            return Err("it has a flag that is unknown to this version");
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

/// What the header of a sealed frame says, before it is known to be genuine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SealedOutline {
    /// Number of the frame in its lane.
    pub number: FrameNo,
    /// Bytes before compression.
    pub raw_length: u32,
    /// Bytes of header, payload and tag.
    pub stored_length: u32,
}

impl SealedOutline {
    /// Reads the header of a frame of the tar stream; `None` for any other bytes.
    ///
    /// Layout: docs/format.md, "Frame".
    pub fn read(header: &[u8; HEADER_BYTES]) -> Option<Self> {
        let header = Header::decode(header).ok()?;
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

/// Computes what a frame is authenticated with: over the context, the store, the level, the header
/// and the payload.
fn tag(
    protection: &Protection,
    store: StoreId,
    level: &LevelId,
    header: &[u8; HEADER_BYTES],
    payload: &[u8],
) -> [u8; TAG_BYTES] {
    let parts: [&[u8]; 5] = [
        CONTEXT,
        &store.0,
        level.as_str().as_bytes(),
        header,
        payload,
    ];
    match protection {
        Protection::Checksum => parts
            .iter()
            .fold(Sha256::new(), |hash, part| hash.chain_update(part))
            .finalize()
            .into(),
        Protection::Encrypted(keys) => parts
            .iter()
            .fold(keys.mac(), |mac, part| mac.chain_update(part))
            .finalize()
            .into_bytes()
            .into(),
    }
}

/// Makes the frames of one level.
#[derive(Clone, Debug)]
pub struct Sealer {
    store: StoreId,
    level: LevelId,
    protection: Protection,
}

impl Sealer {
    /// A sealer for one level of a store.
    pub fn new(store: StoreId, level: LevelId, protection: Protection) -> Self {
        Self {
            store,
            level,
            protection,
        }
    }

    /// An opener for what this sealer makes.
    pub fn opener(&self) -> Opener {
        Opener {
            store: self.store,
            level: self.level.clone(),
            protection: self.protection.clone(),
        }
    }

    /// Makes one sealed frame, whatever the protection: for all lanes but [`Lane::Data`].
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
        let mut frames = [self.begin(encoder, lane, number, raw)?];
        self.encrypt(&mut frames);
        let [frame] = frames;
        Ok(self.finish(encoder, frame))
    }

    /// Makes frames of the tar stream: sealed with encryption, bare without. Several at once are
    /// encrypted faster than one after another; they need not be neighbours.
    ///
    /// # Errors
    ///
    /// As [`seal`](Self::seal).
    pub fn seal_data(
        &self,
        encoder: &mut Encoder,
        raw: &[(FrameNo, &[u8])],
    ) -> Result<Vec<Stored>, FrameError> {
        let mut frames = Vec::with_capacity(raw.len());
        for (number, frame) in raw {
            frames.push(self.begin(encoder, Lane::Data, *number, frame)?);
        }
        self.encrypt(&mut frames);
        let stored = frames.into_iter().map(|frame| match self.protection {
            Protection::Encrypted(_) => {
                let raw_length = frame.header.raw_length;
                Stored {
                    raw_length,
                    checksum: None,
                    bytes: self.finish(encoder, frame),
                }
            }
            Protection::Checksum => {
                let tag = tag(
                    &self.protection,
                    self.store,
                    &self.level,
                    &frame.header.encode(),
                    &frame.bytes[HEADER_BYTES..],
                );
                let mut checksum = [0; CHECKSUM_BYTES];
                checksum.copy_from_slice(&tag[..CHECKSUM_BYTES]);
                let bytes = frame.bytes[HEADER_BYTES..].to_vec();
                encoder.take_back(frame.bytes);
                Stored {
                    raw_length: frame.header.raw_length,
                    checksum: Some(checksum),
                    bytes,
                }
            }
        });
        Ok(stored.collect())
    }

    fn begin(
        &self,
        encoder: &mut Encoder,
        lane: Lane,
        number: FrameNo,
        raw: &[u8],
    ) -> Result<Unfinished, FrameError> {
        let encrypted = matches!(self.protection, Protection::Encrypted(_));
        let mut iv = [0; IV_BYTES];
        if encrypted {
            getrandom::fill(&mut iv).map_err(FrameError::Random)?;
        }
        let too_long = |what| FrameError::Malformed {
            frame: Box::new(self.id(lane, number)),
            what,
        };
        if raw.len() > MAX_RAW_BYTES {
            return Err(too_long("it would be longer than a frame may be"));
        }
        let mut bytes = encoder.buffer();
        bytes.resize(HEADER_BYTES, 0);
        encoder.append(raw, &mut bytes)?;
        let header = Header {
            lane: lane as u8,
            compression: encoder.method(),
            encrypted,
            number,
            raw_length: u32::try_from(raw.len())
                .map_err(|_| too_long("its length does not fit"))?,
            payload_length: u32::try_from(bytes.len() - HEADER_BYTES)
                .map_err(|_| too_long("its length does not fit"))?,
            iv,
        };
        Ok(Unfinished { header, bytes })
    }

    fn encrypt(&self, frames: &mut [Unfinished]) {
        if let Protection::Encrypted(keys) = &self.protection {
            let mut payloads: Vec<_> = frames
                .iter_mut()
                .map(|frame| (&frame.header.iv, &mut frame.bytes[HEADER_BYTES..]))
                .collect();
            keys.encrypt(&mut payloads);
        }
    }

    fn finish(&self, encoder: &mut Encoder, frame: Unfinished) -> Vec<u8> {
        let header = frame.header.encode();
        let tag = tag(
            &self.protection,
            self.store,
            &self.level,
            &header,
            &frame.bytes[HEADER_BYTES..],
        );
        // The codec reserved for the worst case: a buffer of the right size waits for its place in
        // a segment instead.
        let mut bytes = Vec::with_capacity(frame.bytes.len() + TAG_BYTES);
        bytes.extend_from_slice(&header);
        bytes.extend_from_slice(&frame.bytes[HEADER_BYTES..]);
        bytes.extend_from_slice(&tag);
        encoder.take_back(frame.bytes);
        bytes
    }

    fn id(&self, lane: Lane, number: FrameNo) -> FrameId {
        FrameId {
            store: self.store,
            level: self.level.clone(),
            lane,
            number,
        }
    }
}

struct Unfinished {
    header: Header,
    /// Room for the header, then the payload.
    bytes: Vec<u8>,
}

/// Reads the frames of one level.
#[derive(Clone, Debug)]
pub struct Opener {
    store: StoreId,
    level: LevelId,
    protection: Protection,
}

impl Opener {
    /// An opener for one level of a store.
    pub fn new(store: StoreId, level: LevelId, protection: Protection) -> Self {
        Self {
            store,
            level,
            protection,
        }
    }

    /// What frame `number` of `lane` is called in errors.
    pub fn id(&self, lane: Lane, number: FrameNo) -> FrameId {
        FrameId {
            store: self.store,
            level: self.level.clone(),
            lane,
            number,
        }
    }

    /// Opens a sealed frame that must be frame `number` of `lane`.
    ///
    /// # Errors
    ///
    /// [`FrameError::Tampered`] when it is not, or was changed, or was made with another key;
    /// [`FrameError::Malformed`] when it cannot be a frame.
    pub fn open(
        &self,
        decoder: &mut Decoder,
        lane: Lane,
        number: FrameNo,
        stored: Vec<u8>,
    ) -> Result<Vec<u8>, FrameError> {
        self.open_showing(decoder, lane, number, stored, None)
    }

    /// Whether a sealed frame is frame `number` of `lane` as it was made; returns its header, and
    /// where the payload ends.
    fn verify(
        &self,
        lane: Lane,
        number: FrameNo,
        stored: &[u8],
    ) -> Result<(Header, usize), FrameError> {
        let malformed = |what| FrameError::Malformed {
            frame: Box::new(self.id(lane, number)),
            what,
        };
        let tampered = || FrameError::Tampered(Box::new(self.id(lane, number)));
        let header_bytes: [u8; HEADER_BYTES] = *stored
            .first_chunk()
            .ok_or_else(|| malformed("it is cut short"))?;
        let header = Header::decode(&header_bytes).map_err(malformed)?;
        let payload_end = HEADER_BYTES + header.payload_length as usize;
        if stored.len() != payload_end + TAG_BYTES {
            return Err(malformed("its length is not what its header says"));
        }
        if header.raw_length as usize > MAX_RAW_BYTES {
            return Err(malformed("it is longer than a frame may be"));
        }
        if header.encrypted != matches!(self.protection, Protection::Encrypted(_))
            || header.lane != lane as u8
            || header.number != number
        {
            return Err(tampered());
        }
        let tag = tag(
            &self.protection,
            self.store,
            &self.level,
            &header_bytes,
            &stored[HEADER_BYTES..payload_end],
        );
        if bool::from(tag[..].ct_eq(&stored[payload_end..])) {
            Ok((header, payload_end))
        } else {
            Err(tampered())
        }
    }

    /// Whether a bare frame is frame `number` of the tar stream as it was made.
    fn verify_bare(
        &self,
        (number, raw_length): (FrameNo, u32),
        (compression, checksum): (Compression, [u8; CHECKSUM_BYTES]),
        stored: &[u8],
    ) -> Result<(), FrameError> {
        let malformed = |what| FrameError::Malformed {
            frame: Box::new(self.id(Lane::Data, number)),
            what,
        };
        if raw_length as usize > MAX_RAW_BYTES {
            return Err(malformed("it is longer than a frame may be"));
        }
        let payload_length =
            u32::try_from(stored.len()).map_err(|_| malformed("its length does not fit"))?;
        let header = Header {
            lane: Lane::Data as u8,
            compression,
            encrypted: false,
            number,
            raw_length,
            payload_length,
            iv: [0; IV_BYTES],
        };
        let tag = tag(
            &self.protection,
            self.store,
            &self.level,
            &header.encode(),
            stored,
        );
        if bool::from(tag[..CHECKSUM_BYTES].ct_eq(&checksum)) {
            Ok(())
        } else {
            Err(FrameError::Tampered(Box::new(self.id(Lane::Data, number))))
        }
    }

    /// Whether stored bytes are frame `number` of the tar stream, as [`open_data`](Self::open_data)
    /// would find: for those who only copy it. Neither decrypts nor decompresses.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn verify_data(
        &self,
        (number, raw_length): (FrameNo, u32),
        bare: Option<(Compression, [u8; CHECKSUM_BYTES])>,
        stored: &[u8],
    ) -> Result<(), FrameError> {
        let holds = match (&self.protection, bare) {
            (Protection::Encrypted(_), None) => {
                self.verify(Lane::Data, number, stored)?.0.raw_length == raw_length
            }
            (Protection::Checksum, Some(bare)) => {
                return self.verify_bare((number, raw_length), bare, stored);
            }
            (Protection::Encrypted(_), Some(_)) | (Protection::Checksum, None) => false,
        };
        if holds {
            Ok(())
        } else {
            Err(FrameError::Tampered(Box::new(self.id(Lane::Data, number))))
        }
    }

    fn open_showing(
        &self,
        decoder: &mut Decoder,
        lane: Lane,
        number: FrameNo,
        mut stored: Vec<u8>,
        glimpse: Option<Glimpse<'_>>,
    ) -> Result<Vec<u8>, FrameError> {
        let (header, payload_end) = self.verify(lane, number, &stored)?;
        if let Protection::Encrypted(keys) = &self.protection {
            keys.decrypt(&header.iv, &mut stored[HEADER_BYTES..payload_end]);
        }
        decoder.decode(
            header.compression,
            &stored[HEADER_BYTES..payload_end],
            header.raw_length as usize,
            glimpse,
        )
    }

    /// Opens frame `number` of the tar stream, which must hold `raw_length` bytes: sealed, or bare
    /// when `checksum` is given.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open). A bare frame in an encrypted level is [`FrameError::Tampered`].
    pub fn open_data(
        &self,
        decoder: &mut Decoder,
        number: FrameNo,
        raw_length: u32,
        bare: Option<(Compression, [u8; CHECKSUM_BYTES])>,
        stored: Vec<u8>,
    ) -> Result<Vec<u8>, FrameError> {
        self.open_data_showing(decoder, (number, raw_length), bare, stored, None)
    }

    /// The same, and shows the beginning as soon as it is decoded.
    ///
    /// # Errors
    ///
    /// As [`open_data`](Self::open_data), also after something was shown: what was shown is right
    /// all the same.
    pub fn open_data_showing(
        &self,
        decoder: &mut Decoder,
        (number, raw_length): (FrameNo, u32),
        bare: Option<(Compression, [u8; CHECKSUM_BYTES])>,
        stored: Vec<u8>,
        glimpse: Option<Glimpse<'_>>,
    ) -> Result<Vec<u8>, FrameError> {
        let tampered = || FrameError::Tampered(Box::new(self.id(Lane::Data, number)));
        let raw = match (&self.protection, bare) {
            (Protection::Encrypted(_), None) => {
                self.open_showing(decoder, Lane::Data, number, stored, glimpse)?
            }
            (Protection::Checksum, Some((compression, checksum))) => {
                self.verify_bare((number, raw_length), (compression, checksum), &stored)?;
                decoder.decode(compression, &stored, raw_length as usize, glimpse)?
            }
            (Protection::Encrypted(_), Some(_)) | (Protection::Checksum, None) => {
                return Err(tampered());
            }
        };
        if raw.len() == raw_length as usize {
            Ok(raw)
        } else {
            Err(tampered())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Opener, Sealer};
    use crate::format::frame::{
        Compression, Decoder, Encoder, FrameError, FrameKeys, Lane, Protection,
    };
    use crate::model::{FrameNo, LevelId, StoreId};
    use std::sync::Arc;
    use zeroize::Zeroizing;

    fn level(random: u32) -> LevelId {
        LevelId::new(jiff::Timestamp::UNIX_EPOCH, random)
    }

    fn encrypted(key: u8) -> Protection {
        Protection::Encrypted(Arc::new(FrameKeys::new(
            &Zeroizing::new([key; 32]),
            &Zeroizing::new([key + 1; 32]),
        )))
    }

    fn encoder() -> Encoder {
        Encoder::new(Compression::Zstd, 3).expect("a level of zstd")
    }

    #[test]
    fn sealed_and_bare_frames_give_back_what_they_were_given() {
        for protection in [Protection::Checksum, encrypted(1)] {
            for method in Compression::ALL {
                let sealer = Sealer::new(StoreId([3; 16]), level(1), protection.clone());
                let opener = sealer.opener();
                let mut encoder =
                    Encoder::new(method, method.default_level()).expect("a level of the method");
                let mut decoder = Decoder::new();
                let raw: Vec<Vec<u8>> = (0..6).map(|n| vec![n; 10_000 * usize::from(n)]).collect();
                let numbered: Vec<(FrameNo, &[u8])> = raw
                    .iter()
                    .zip(40..)
                    .map(|(raw, number)| (FrameNo(number), &raw[..]))
                    .collect();
                let stored = sealer.seal_data(&mut encoder, &numbered).expect("sealed");
                for ((stored, raw), number) in stored.into_iter().zip(&raw).zip(40..) {
                    let bare = stored.checksum.map(|checksum| (method, checksum));
                    assert_eq!(
                        bare.is_none(),
                        matches!(protection, Protection::Encrypted(_))
                    );
                    let back = opener
                        .open_data(
                            &mut decoder,
                            FrameNo(number),
                            stored.raw_length,
                            bare,
                            stored.bytes,
                        )
                        .expect("opened");
                    assert!(&back == raw);
                }
                let sealed = sealer
                    .seal(&mut encoder, Lane::Index, FrameNo(7), &raw[3])
                    .expect("sealed");
                assert!(
                    opener
                        .open(&mut decoder, Lane::Index, FrameNo(7), sealed)
                        .expect("opened")
                        == raw[3]
                );
            }
        }
    }

    #[test]
    fn a_flipped_or_cut_byte_is_never_served() {
        for protection in [Protection::Checksum, encrypted(1)] {
            let sealer = Sealer::new(StoreId([3; 16]), level(1), protection);
            let opener = sealer.opener();
            let mut decoder = Decoder::new();
            let sealed = sealer
                .seal(
                    &mut encoder(),
                    Lane::Manifest,
                    FrameNo(0),
                    b"to be or not to be",
                )
                .expect("sealed");
            for at in 0..sealed.len() {
                for bit in 0..8 {
                    let mut damaged = sealed.clone();
                    damaged[at] ^= 1 << bit;
                    assert!(
                        opener
                            .open(&mut decoder, Lane::Manifest, FrameNo(0), damaged)
                            .is_err(),
                        "byte {at} bit {bit}"
                    );
                }
                assert!(
                    opener
                        .open(
                            &mut decoder,
                            Lane::Manifest,
                            FrameNo(0),
                            sealed[..at].to_vec()
                        )
                        .is_err(),
                    "cut at {at}"
                );
            }
            let stored = sealer
                .seal_data(&mut encoder(), &[(FrameNo(0), b"to be or not to be")])
                .expect("sealed")
                .remove(0);
            let bare = stored
                .checksum
                .map(|checksum| (Compression::Zstd, checksum));
            for at in 0..stored.bytes.len() {
                let mut damaged = stored.bytes.clone();
                damaged[at] ^= 0x10;
                assert!(
                    opener
                        .open_data(&mut decoder, FrameNo(0), stored.raw_length, bare, damaged)
                        .is_err(),
                    "byte {at}"
                );
            }
            assert!(
                opener
                    .open_data(
                        &mut decoder,
                        FrameNo(0),
                        stored.raw_length + 1,
                        bare,
                        stored.bytes
                    )
                    .is_err()
            );
        }
    }

    #[test]
    fn a_frame_in_another_place_or_under_another_key_fails_authentication() {
        for protection in [Protection::Checksum, encrypted(1)] {
            let store = StoreId([3; 16]);
            let mut decoder = Decoder::new();
            let sealed = Sealer::new(store, level(1), protection.clone())
                .seal(&mut encoder(), Lane::Index, FrameNo(5), b"x")
                .expect("sealed");
            let mut opened = |opener: Opener, lane, number| {
                opener.open(&mut decoder, lane, FrameNo(number), sealed.clone())
            };
            opened(
                Opener::new(store, level(1), protection.clone()),
                Lane::Index,
                5,
            )
            .expect("its own place");
            for (opener, lane, number) in [
                (
                    Opener::new(StoreId([4; 16]), level(1), protection.clone()),
                    Lane::Index,
                    5,
                ),
                (
                    Opener::new(store, level(2), protection.clone()),
                    Lane::Index,
                    5,
                ),
                (
                    Opener::new(store, level(1), protection.clone()),
                    Lane::FrameTable,
                    5,
                ),
                (
                    Opener::new(store, level(1), protection.clone()),
                    Lane::Index,
                    6,
                ),
                (Opener::new(store, level(1), encrypted(9)), Lane::Index, 5),
            ] {
                assert!(matches!(
                    opened(opener, lane, number),
                    Err(FrameError::Tampered(_))
                ));
            }
        }
    }

    #[test]
    fn a_bare_frame_is_refused_where_frames_are_encrypted() {
        let plain = Sealer::new(StoreId([3; 16]), level(1), Protection::Checksum);
        let stored = plain
            .seal_data(&mut encoder(), &[(FrameNo(0), b"planted")])
            .expect("sealed")
            .remove(0);
        let opener = Opener::new(StoreId([3; 16]), level(1), encrypted(1));
        let bare = stored
            .checksum
            .map(|checksum| (Compression::Zstd, checksum));
        let opened = opener.open_data(
            &mut Decoder::new(),
            FrameNo(0),
            stored.raw_length,
            bare,
            stored.bytes,
        );
        assert!(matches!(opened, Err(FrameError::Tampered(_))));
    }
}
