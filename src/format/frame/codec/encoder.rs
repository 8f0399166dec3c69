//! Compression of frames.

use crate::format::frame::{Compression, FrameError};
use libdeflater::{CompressionLvl, Compressor};
use liblzma::stream::{Action, Check, Filters, LzmaOptions, Status, Stream};
use std::io::Cursor;
use zstd::stream::raw::CParameter;

/// How far back zstd finds matches: 8 MiB, the most that every decoder accepts without an option.
const ZSTD_WINDOW_LOG: u32 = 23;
/// The default level's own parameters for long inputs. For inputs of 256 KiB and less the library
/// picks others, which store 3 % more of text.
const SHORT_FRAMES: [CParameter; 2] = [CParameter::ChainLog(16), CParameter::HashLog(17)];
/// The shortest match. Frames of [`DENSE_BYTES`] and less hold content that compresses little:
/// shorter matches store 2 % less of it, and 2 % more of text.
const LEAST_MATCH: CParameter = CParameter::MinMatch(5);
const LEAST_DENSE_MATCH: CParameter = CParameter::MinMatch(4);

/// The length of frames whose content compresses little.
pub const DENSE_BYTES: usize = 128 << 10;

/// Compresses frames, each on its own, with one method and level.
pub struct Encoder {
    method: Compression,
    level: u32,
    state: CodecState,
    /// Buffers with room for the worst case, used again: allocating megabytes for each frame
    /// fragments the heap.
    spare: Vec<Vec<u8>>,
}

/// What an encoder keeps from one frame to the next. bzip2 and xz keep nothing.
enum CodecState {
    None,
    Gzip(Compressor),
    Bzip2,
    Xz,
    Zstd(zstd::bulk::Compressor<'static>),
}

impl CodecState {
    /// Makes the state, or returns `None` if the library does not accept the level.
    fn new(method: Compression, level: u32) -> Option<Self> {
        let number = i32::try_from(level).ok()?;
        Some(match method {
            Compression::None => Self::None,
            Compression::Gzip => Self::Gzip(Compressor::new(CompressionLvl::new(number).ok()?)),
            Compression::Bzip2 => Self::Bzip2,
            Compression::Xz => Self::Xz,
            Compression::Zstd => {
                let mut zstd = zstd::bulk::Compressor::new(number).ok()?;
                // The lower levels look back 2 MiB at most, and so miss half of a long frame.
                zstd.set_parameter(CParameter::WindowLog(ZSTD_WINDOW_LOG))
                    .ok()?;
                if level == Compression::Zstd.default_level() {
                    for parameter in SHORT_FRAMES {
                        zstd.set_parameter(parameter).ok()?;
                    }
                }
                Self::Zstd(zstd)
            }
        })
    }
}

impl Encoder {
    /// Makes an encoder. `level` is on the method's own scale; [`Compression::default_level`] is
    /// the usual one.
    ///
    /// # Errors
    ///
    /// [`FrameError::Level`] if the method has no such level.
    pub fn new(method: Compression, level: u32) -> Result<Self, FrameError> {
        let state = Some(level)
            .filter(|level| method.levels().contains(level))
            .and_then(|level| CodecState::new(method, level))
            .ok_or(FrameError::Level { method, level })?;
        Ok(Self {
            method,
            level,
            state,
            spare: Vec::new(),
        })
    }

    /// Returns the method that it compresses with.
    pub fn method(&self) -> Compression {
        self.method
    }

    /// Returns an empty buffer: one that was given back, if there is one.
    pub(in crate::format::frame) fn buffer(&mut self) -> Vec<u8> {
        let mut buffer = self.spare.pop().unwrap_or_default();
        buffer.clear();
        buffer
    }

    /// Takes back a buffer that the caller no longer needs.
    pub(in crate::format::frame) fn take_back(&mut self, buffer: Vec<u8>) {
        self.spare.push(buffer);
    }

    /// Appends `raw`, compressed, to `out`.
    pub(in crate::format::frame) fn append(
        &mut self,
        raw: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), FrameError> {
        let appended = match &mut self.state {
            CodecState::None => {
                out.extend_from_slice(raw);
                Ok(())
            }
            CodecState::Gzip(gzip) => append_gzip(gzip, raw, out),
            CodecState::Bzip2 => append_bzip2(self.level, raw, out),
            CodecState::Xz => append_xz(self.level, raw, out),
            CodecState::Zstd(zstd) => {
                let is_default = self.level == Compression::Zstd.default_level();
                let least_match = match raw.len() {
                    ..=DENSE_BYTES => LEAST_DENSE_MATCH,
                    _ => LEAST_MATCH,
                };
                append_zstd(zstd, is_default.then_some(least_match), raw, out)
            }
        };
        appended.map_err(|what| FrameError::Codec {
            method: self.method,
            what,
        })
    }
}

fn append_gzip(gzip: &mut Compressor, raw: &[u8], out: &mut Vec<u8>) -> Result<(), &'static str> {
    let start = out.len();
    out.resize(start + gzip.gzip_compress_bound(raw.len()), 0);
    let length = gzip
        .gzip_compress(raw, &mut out[start..])
        .map_err(|_| "no room for the output")?;
    out.truncate(start + length);
    Ok(())
}

fn append_bzip2(level: u32, raw: &[u8], out: &mut Vec<u8>) -> Result<(), &'static str> {
    let mut bzip2 = bzip2::Compress::new(bzip2::Compression::new(level), 30);
    // bzip2's documented bound: one per cent and 600 bytes more than the input.
    out.reserve(raw.len() + raw.len() / 100 + 700);
    match bzip2.compress_vec(raw, out, bzip2::Action::Finish) {
        Ok(bzip2::Status::StreamEnd) => Ok(()),
        _ => Err("no end of stream"),
    }
}

fn append_xz(level: u32, raw: &[u8], out: &mut Vec<u8>) -> Result<(), &'static str> {
    // A dictionary larger than the frame would cost memory in every encoder and decoder and gain
    // nothing.
    let dictionary = u32::try_from(raw.len())
        .unwrap_or(u32::MAX)
        .clamp(4096, 64 << 20);
    let mut options = LzmaOptions::new_preset(level).map_err(|_| "no such preset")?;
    options.dict_size(dictionary);
    let mut filters = Filters::new();
    filters.lzma2(&options);
    let mut xz = Stream::new_stream_encoder(&filters, Check::Crc64).map_err(|_| "out of memory")?;
    out.reserve(raw.len() + raw.len() / 64 + 1024);
    match xz.process_vec(raw, out, Action::Finish) {
        Ok(Status::StreamEnd) => Ok(()),
        _ => Err("no end of stream"),
    }
}

fn append_zstd(
    zstd: &mut zstd::bulk::Compressor<'static>,
    least_match: Option<CParameter>,
    raw: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), &'static str> {
    if let Some(least_match) = least_match {
        zstd.set_parameter(least_match)
            .map_err(|_| "no such parameter")?;
    }
    out.reserve(zstd::zstd_safe::compress_bound(raw.len()));
    let start = out.len() as u64;
    let mut cursor = Cursor::new(out);
    cursor.set_position(start);
    zstd.compress_to_buffer(raw, &mut cursor)
        .map(drop)
        .map_err(|_| "no room for the output")
}
