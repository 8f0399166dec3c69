//! Compression of single frames. Encoders and decoders are costly to make: one per thread, used again.

use super::{Compression, FrameError};
use libdeflater::{CompressionLvl, Compressor, DecompressionError, Decompressor};
use liblzma::stream::{Action, Check, Filters, LzmaOptions, Status, Stream};
use std::io::Cursor;

/// How far zstd looks back: 8 MiB, the most that every decoder takes without being asked to.
const ZSTD_WINDOW_LOG: u32 = 23;

/// Compresses frames, each on its own, with one method and level.
pub struct Encoder {
    method: Compression,
    level: u32,
    zstd: Option<zstd::bulk::Compressor<'static>>,
    gzip: Option<Compressor>,
}

impl Encoder {
    /// Makes an encoder. `level` is the method's own scale; [`Compression::default_level`] is the usual one.
    ///
    /// # Errors
    ///
    /// [`FrameError::Level`] if the method has no such level.
    pub fn new(method: Compression, level: u32) -> Result<Self, FrameError> {
        let refuse = || FrameError::Level { method, level };
        if !method.levels().contains(&level) {
            return Err(refuse());
        }
        let number = i32::try_from(level).map_err(|_| refuse())?;
        let zstd = match method {
            Compression::Zstd => {
                let mut encoder = zstd::bulk::Compressor::new(number).map_err(|_| refuse())?;
                // The lower levels look back 2 MiB at most, and so pass over half of a long frame.
                encoder.set_parameter(zstd::zstd_safe::CParameter::WindowLog(ZSTD_WINDOW_LOG)).map_err(|_| refuse())?;
                Some(encoder)
            }
            _ => None,
        };
        let gzip = match method {
            Compression::Gzip => Some(Compressor::new(CompressionLvl::new(number).map_err(|_| refuse())?)),
            _ => None,
        };
        Ok(Self { method, level, zstd, gzip })
    }

    /// The method.
    pub fn method(&self) -> Compression {
        self.method
    }

    /// Appends `raw`, compressed, to `out`.
    pub(super) fn append(&mut self, raw: &[u8], out: &mut Vec<u8>) -> Result<(), FrameError> {
        let start = out.len();
        match self.method {
            Compression::None => out.extend_from_slice(raw),
            Compression::Gzip => {
                let gzip = self.gzip.as_mut().ok_or(FrameError::Codec { method: self.method, what: "no encoder" })?;
                out.resize(start + gzip.gzip_compress_bound(raw.len()), 0);
                let length = gzip.gzip_compress(raw, &mut out[start..]).map_err(|_| self.failed("no room for the output"))?;
                out.truncate(start + length);
            }
            Compression::Bzip2 => {
                let mut bzip2 = bzip2::Compress::new(bzip2::Compression::new(self.level), 30);
                // bzip2's documented bound: one per cent and 600 bytes more than the input.
                out.reserve(raw.len() + raw.len() / 100 + 700);
                let status = bzip2.compress_vec(raw, out, bzip2::Action::Finish);
                if !matches!(status, Ok(bzip2::Status::StreamEnd)) {
                    return Err(self.failed("no end of stream"));
                }
            }
            Compression::Xz => {
                // A dictionary larger than the frame would cost memory in every encoder and decoder and gain nothing.
                let dictionary = u32::try_from(raw.len()).unwrap_or(u32::MAX).clamp(4096, 64 << 20);
                let mut options = LzmaOptions::new_preset(self.level).map_err(|_| self.failed("no such preset"))?;
                options.dict_size(dictionary);
                let mut filters = Filters::new();
                filters.lzma2(&options);
                let mut xz = Stream::new_stream_encoder(&filters, Check::Crc64).map_err(|_| self.failed("out of memory"))?;
                out.reserve(raw.len() + raw.len() / 64 + 1024);
                let status = xz.process_vec(raw, out, Action::Finish);
                if !matches!(status, Ok(Status::StreamEnd)) {
                    return Err(self.failed("no end of stream"));
                }
            }
            Compression::Zstd => {
                let zstd = self.zstd.as_mut().ok_or(FrameError::Codec { method: self.method, what: "no encoder" })?;
                out.reserve(zstd::zstd_safe::compress_bound(raw.len()));
                let mut cursor = Cursor::new(out);
                cursor.set_position(start as u64);
                zstd.compress_to_buffer(raw, &mut cursor)
                    .map_err(|_| FrameError::Codec { method: Compression::Zstd, what: "no room for the output" })?;
            }
        }
        Ok(())
    }

    fn failed(&self, what: &'static str) -> FrameError {
        FrameError::Codec { method: self.method, what }
    }
}

/// Decompresses frames of any method.
#[derive(Default)]
pub struct Decoder {
    zstd: Option<zstd::bulk::Decompressor<'static>>,
    gzip: Option<Decompressor>,
}

impl Decoder {
    /// Makes a decoder; what it needs for a method is made at first use.
    pub fn new() -> Self {
        Self::default()
    }

    /// Decompresses `stored`, which must give exactly `raw_length` bytes and end there.
    pub(super) fn decode(&mut self, method: Compression, stored: &[u8], raw_length: usize) -> Result<Vec<u8>, FrameError> {
        let failed = |what| FrameError::Codec { method, what };
        let mut raw = Vec::new();
        match method {
            Compression::None => raw.extend_from_slice(stored),
            Compression::Gzip => {
                let gzip = self.gzip.get_or_insert_with(Decompressor::new);
                raw.resize(raw_length, 0);
                let length = gzip.gzip_decompress(stored, &mut raw).map_err(|error| match error {
                    DecompressionError::BadData => failed("the data is damaged"),
                    DecompressionError::InsufficientSpace => failed("it is longer than it should be"),
                })?;
                raw.truncate(length);
            }
            Compression::Bzip2 => {
                raw.reserve_exact(raw_length);
                let mut bzip2 = bzip2::Decompress::new(false);
                let status = bzip2.decompress_vec(stored, &mut raw).map_err(|_| failed("the data is damaged"))?;
                if status != bzip2::Status::StreamEnd || bzip2.total_in() != stored.len() as u64 {
                    return Err(failed("it does not end where it should"));
                }
            }
            Compression::Xz => {
                raw.reserve_exact(raw_length);
                let mut xz = Stream::new_stream_decoder(256 << 20, 0).map_err(|_| failed("out of memory"))?;
                let status = xz.process_vec(stored, &mut raw, Action::Finish).map_err(|_| failed("the data is damaged"))?;
                if status != Status::StreamEnd || xz.total_in() != stored.len() as u64 {
                    return Err(failed("it does not end where it should"));
                }
            }
            Compression::Zstd => {
                let zstd = match &mut self.zstd {
                    Some(zstd) => zstd,
                    none => none.insert(zstd::bulk::Decompressor::new().map_err(|_| failed("out of memory"))?),
                };
                raw.reserve_exact(raw_length);
                zstd.decompress_to_buffer(stored, &mut raw).map_err(|_| failed("the data is damaged"))?;
            }
        }
        if raw.len() == raw_length { Ok(raw) } else { Err(failed("its length is not what it should be")) }
    }
}

#[cfg(test)]
mod tests {
    use super::{Compression, Decoder, Encoder};

    fn samples() -> Vec<Vec<u8>> {
        let mut noise = vec![0_u8; 200_000];
        let mut state = 1_u32;
        for byte in &mut noise {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            *byte = state.to_be_bytes()[0];
        }
        vec![Vec::new(), b"a".to_vec(), vec![0; 1 << 20], b"to be or not to be ".repeat(20_000), noise]
    }

    #[test]
    fn every_method_and_level_gives_back_what_it_was_given() {
        let mut decoder = Decoder::new();
        for method in Compression::ALL {
            for level in [*method.levels().start(), method.default_level(), *method.levels().end()] {
                let mut encoder = Encoder::new(method, level).expect("a level of the method");
                for raw in samples() {
                    let mut stored = b"before".to_vec();
                    encoder.append(&raw, &mut stored).expect("encoded");
                    assert_eq!(&stored[..6], b"before");
                    let back = decoder.decode(method, &stored[6..], raw.len()).expect("decoded");
                    assert!(back == raw, "{method} {level}, {} bytes", raw.len());
                }
            }
        }
    }

    #[test]
    fn a_frame_of_another_length_than_promised_is_refused() {
        let mut decoder = Decoder::new();
        for method in Compression::ALL {
            let mut encoder = Encoder::new(method, method.default_level()).expect("a level");
            let mut stored = Vec::new();
            encoder.append(&[7; 5000], &mut stored).expect("encoded");
            for wrong in [0, 4999, 5001, 1 << 20] {
                assert!(decoder.decode(method, &stored, wrong).is_err(), "{method} as {wrong}");
            }
            if method == Compression::Gzip {
                continue; // libdeflate stops at the member's end; what stands behind it is the checksum's to find
            }
            stored.push(0);
            assert!(decoder.decode(method, &stored, 5000).is_err(), "{method} with a byte behind its end");
        }
    }
}
