//! Decompression of frames.

use crate::format::frame::{Compression, FrameError};
use libdeflater::{DecompressionError, Decompressor};
use liblzma::stream::{Action, Status, Stream};
use std::io;
use std::ops::ControlFlow;
use zstd::stream::raw::{DParameter, InBuffer, Operation, OutBuffer};

/// A shorter frame is decoded as a whole: showing its beginning first would save no time.
const LEAST_IN_STEPS: usize = 128 << 10;
/// The fewest stored bytes that are decoded between two looks at the output.
const LEAST_STEP: usize = 16 << 10;
/// The most memory that the xz decoder may use, in bytes.
const XZ_MEMORY_BYTES: u64 = 256 << 20;

const DAMAGED: &str = "the data is damaged";
const OUT_OF_MEMORY: &str = "out of memory";
const WRONG_LENGTH: &str = "the decompressed data has another length than it should have";
const WRONG_END: &str = "the data does not end where it should";

/// Shows the first bytes of a frame while the rest of it is still being decoded. The receiver may
/// trust them: a frame is authenticated as a whole before any of it is decoded.
pub struct Glimpse<'show> {
    /// How many bytes `show` wants at least.
    pub until: usize,
    /// Is called once with `until` bytes or more, or never if the whole frame is decoded as soon.
    /// With `Break`, decoding stops and fails.
    pub show: &'show mut dyn FnMut(&[u8]) -> ControlFlow<()>,
}

/// Decompresses frames of any method.
#[derive(Default)]
pub struct Decoder {
    zstd: Option<zstd::bulk::Decompressor<'static>>,
    zstd_in_steps: Option<zstd::stream::raw::Decoder<'static>>,
    gzip: Option<Decompressor>,
}

impl Decoder {
    /// Makes a decoder. The state of a method is made when a frame first needs it.
    pub fn new() -> Self {
        Self::default()
    }

    /// Decompresses `stored`, which must give exactly `raw_length` bytes and end there.
    pub(in crate::format::frame) fn decode(
        &mut self,
        method: Compression,
        stored: &[u8],
        raw_length: usize,
        glimpse: Option<Glimpse<'_>>,
    ) -> Result<Vec<u8>, FrameError> {
        let decoded = match method {
            Compression::None => Ok(stored.to_vec()),
            Compression::Gzip => self.decode_gzip(stored, raw_length),
            Compression::Bzip2 => decode_bzip2(stored, raw_length),
            Compression::Xz => decode_xz(stored, raw_length),
            Compression::Zstd => self.decode_zstd(stored, raw_length, glimpse),
        };
        decoded
            .and_then(|raw| {
                if raw.len() == raw_length {
                    Ok(raw)
                } else {
                    Err(WRONG_LENGTH)
                }
            })
            .map_err(|what| FrameError::Codec { method, what })
    }

    fn decode_gzip(&mut self, stored: &[u8], raw_length: usize) -> Result<Vec<u8>, &'static str> {
        let gzip = self.gzip.get_or_insert_with(Decompressor::new);
        let mut raw = vec![0; raw_length];
        let length = gzip
            .gzip_decompress(stored, &mut raw)
            .map_err(|error| match error {
                DecompressionError::BadData => DAMAGED,
                DecompressionError::InsufficientSpace => WRONG_LENGTH,
            })?;
        raw.truncate(length);
        Ok(raw)
    }

    fn decode_zstd(
        &mut self,
        stored: &[u8],
        raw_length: usize,
        glimpse: Option<Glimpse<'_>>,
    ) -> Result<Vec<u8>, &'static str> {
        if !is_one_zstd_frame(stored) {
            return Err(WRONG_END);
        }
        let mut raw = Vec::new();
        raw.reserve_exact(raw_length);
        let saves_time = |glimpse: &Glimpse<'_>| {
            glimpse.until < raw_length / 4 * 3 && raw_length >= LEAST_IN_STEPS
        };
        if let Some(glimpse) = glimpse.filter(saves_time) {
            let zstd = match &mut self.zstd_in_steps {
                Some(zstd) => zstd,
                none => none.insert(decoder_in_steps()?),
            };
            decode_in_steps(zstd, stored, &mut raw, glimpse).map_err(|error| {
                if error.kind() == io::ErrorKind::Interrupted {
                    "the reader did not want the rest"
                } else {
                    DAMAGED
                }
            })?;
        } else {
            let zstd = match &mut self.zstd {
                Some(zstd) => zstd,
                none => none.insert(zstd::bulk::Decompressor::new().map_err(|_| OUT_OF_MEMORY)?),
            };
            zstd.decompress_to_buffer(stored, &mut raw)
                .map_err(|_| DAMAGED)?;
        }
        Ok(raw)
    }
}

/// Returns whether the bytes are exactly one zstd frame. The decoder would take several, and skip
/// those that are to be skipped.
fn is_one_zstd_frame(stored: &[u8]) -> bool {
    const MAGIC: [u8; 4] = 0xfd2f_b528_u32.to_le_bytes();
    stored.starts_with(&MAGIC)
        && zstd::zstd_safe::find_frame_compressed_size(stored)
            .is_ok_and(|length| length == stored.len())
}

fn decode_bzip2(stored: &[u8], raw_length: usize) -> Result<Vec<u8>, &'static str> {
    let mut raw = Vec::new();
    raw.reserve_exact(raw_length);
    let mut bzip2 = bzip2::Decompress::new(false);
    let status = bzip2
        .decompress_vec(stored, &mut raw)
        .map_err(|_| DAMAGED)?;
    if status == bzip2::Status::StreamEnd && bzip2.total_in() == stored.len() as u64 {
        Ok(raw)
    } else {
        Err(WRONG_END)
    }
}

fn decode_xz(stored: &[u8], raw_length: usize) -> Result<Vec<u8>, &'static str> {
    let mut raw = Vec::new();
    raw.reserve_exact(raw_length);
    let mut xz = Stream::new_stream_decoder(XZ_MEMORY_BYTES, 0).map_err(|_| OUT_OF_MEMORY)?;
    let status = xz
        .process_vec(stored, &mut raw, Action::Finish)
        .map_err(|_| DAMAGED)?;
    if status == Status::StreamEnd && xz.total_in() == stored.len() as u64 {
        Ok(raw)
    } else {
        Err(WRONG_END)
    }
}

fn decoder_in_steps() -> Result<zstd::stream::raw::Decoder<'static>, &'static str> {
    let mut zstd = zstd::stream::raw::Decoder::new().map_err(|_| OUT_OF_MEMORY)?;
    zstd.set_parameter(DParameter::StableOutBuffer(true))
        .map_err(|_| "no such parameter")?;
    Ok(zstd)
}

/// Decompresses one zstd frame into the room that `raw` has, and shows the wanted bytes on the way.
fn decode_in_steps(
    zstd: &mut zstd::stream::raw::Decoder<'_>,
    stored: &[u8],
    raw: &mut Vec<u8>,
    glimpse: Glimpse<'_>,
) -> io::Result<()> {
    zstd.reinit()?;
    let step = (stored.len() / 16).max(LEAST_STEP);
    let mut output = OutBuffer::around(raw);
    let mut wanted = Some(glimpse);
    let (mut at, mut ended) = (0_usize, false);
    while !ended {
        let next = at.saturating_add(step).min(stored.len());
        let mut input = InBuffer::around(stored.get(at..next).unwrap_or_default());
        let before = output.pos();
        ended = zstd.run(&mut input, &mut output)? == 0;
        if input.pos() == 0 && output.pos() == before {
            // The frame is cut short, or is longer than the room that it should fill.
            return Err(io::ErrorKind::InvalidData.into());
        }
        at += input.pos();
        if let Some(glimpse) = wanted.take_if(|glimpse| glimpse.until <= output.pos())
            && (glimpse.show)(output.as_slice()).is_break()
        {
            return Err(io::ErrorKind::Interrupted.into());
        }
    }
    if at == stored.len() {
        Ok(())
    } else {
        Err(io::ErrorKind::InvalidData.into())
    }
}
