//! Compression of single frames. Encoders and decoders are costly to make: one per thread, used
//! again.

use super::{Compression, FrameError};
use libdeflater::{CompressionLvl, Compressor, DecompressionError, Decompressor};
use liblzma::stream::{Action, Check, Filters, LzmaOptions, Status, Stream};
use std::io::{self, Cursor};
use std::ops::ControlFlow;
use zstd::stream::raw::{CParameter, DParameter, InBuffer, Operation, OutBuffer};

/// How far zstd looks back: 8 MiB, the most that every decoder takes without being asked to.
const ZSTD_WINDOW_LOG: u32 = 23;
/// The default level's own parameters for long inputs. For those of 256 KiB and less the library
/// takes others, which store 3 % more of text.
const SHORT_FRAMES: [CParameter; 2] = [CParameter::ChainLog(16), CParameter::HashLog(17)];
/// How long a match must be. Frames that are as short as [`DENSE_BYTES`] hold what compresses
/// little, of which shorter matches store 2 % less; of text they store 2 % more.
const LEAST_MATCH: CParameter = CParameter::MinMatch(5);
const LEAST_DENSE_MATCH: CParameter = CParameter::MinMatch(4);

/// The length of frames whose content compresses little.
pub const DENSE_BYTES: usize = 128 << 10;

/// Shorter frames are decoded before anybody could look at their beginning.
const LEAST_IN_STEPS: usize = 128 << 10;
/// So many stored bytes at least are decoded between two looks at what came of them.
const LEAST_STEP: usize = 16 << 10;

/// Compresses frames, each on its own, with one method and level.
pub struct Encoder {
    method: Compression,
    level: u32,
    zstd: Option<zstd::bulk::Compressor<'static>>,
    gzip: Option<Compressor>,
    /// Buffers with room for the worst case, used again: to get and give back megabytes for each
    /// frame tears the heap to pieces.
    spare: Vec<Vec<u8>>,
}

impl Encoder {
    /// Makes an encoder. `level` is the method's own scale; [`Compression::default_level`] is the
    /// usual one.
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
                encoder
                    .set_parameter(CParameter::WindowLog(ZSTD_WINDOW_LOG))
                    .map_err(|_| refuse())?;
                if level == Compression::Zstd.default_level() {
                    for parameter in SHORT_FRAMES {
                        encoder.set_parameter(parameter).map_err(|_| refuse())?;
                    }
                }
                Some(encoder)
            }
            _ => None,
        };
        let gzip = match method {
            Compression::Gzip => Some(Compressor::new(
                CompressionLvl::new(number).map_err(|_| refuse())?,
            )),
            _ => None,
        };
        Ok(Self {
            method,
            level,
            zstd,
            gzip,
            spare: Vec::new(),
        })
    }

    /// The method.
    pub fn method(&self) -> Compression {
        self.method
    }

    /// An empty buffer, from those that were given back if there is one.
    pub(super) fn buffer(&mut self) -> Vec<u8> {
        let mut buffer = self.spare.pop().unwrap_or_default();
        buffer.clear();
        buffer
    }

    /// Takes a buffer back that is no longer needed.
    pub(super) fn take_back(&mut self, buffer: Vec<u8>) {
        self.spare.push(buffer);
    }

    /// Appends `raw`, compressed, to `out`.
    pub(super) fn append(&mut self, raw: &[u8], out: &mut Vec<u8>) -> Result<(), FrameError> {
        let start = out.len();
        match self.method {
            Compression::None => out.extend_from_slice(raw),
            Compression::Gzip => {
                let gzip = self.gzip.as_mut().ok_or(FrameError::Codec {
                    method: self.method,
                    what: "no encoder",
                })?;
                out.resize(start + gzip.gzip_compress_bound(raw.len()), 0);
                let length = gzip
                    .gzip_compress(raw, &mut out[start..])
                    .map_err(|_| self.failed("no room for the output"))?;
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
                // A dictionary larger than the frame would cost memory in every encoder and decoder
                // and gain nothing.
                let dictionary = u32::try_from(raw.len())
                    .unwrap_or(u32::MAX)
                    .clamp(4096, 64 << 20);
                let mut options = LzmaOptions::new_preset(self.level)
                    .map_err(|_| self.failed("no such preset"))?;
                options.dict_size(dictionary);
                let mut filters = Filters::new();
                filters.lzma2(&options);
                let mut xz = Stream::new_stream_encoder(&filters, Check::Crc64)
                    .map_err(|_| self.failed("out of memory"))?;
                out.reserve(raw.len() + raw.len() / 64 + 1024);
                let status = xz.process_vec(raw, out, Action::Finish);
                if !matches!(status, Ok(Status::StreamEnd)) {
                    return Err(self.failed("no end of stream"));
                }
            }
            Compression::Zstd => {
                let zstd = self.zstd.as_mut().ok_or(FrameError::Codec {
                    method: self.method,
                    what: "no encoder",
                })?;
                out.reserve(zstd::zstd_safe::compress_bound(raw.len()));
                if self.level == Compression::Zstd.default_level() {
                    let least = if raw.len() <= DENSE_BYTES {
                        LEAST_DENSE_MATCH
                    } else {
                        LEAST_MATCH
                    };
                    zstd.set_parameter(least).map_err(|_| FrameError::Codec {
                        method: Compression::Zstd,
                        what: "no such parameter",
                    })?;
                }
                let mut cursor = Cursor::new(out);
                cursor.set_position(start as u64);
                zstd.compress_to_buffer(raw, &mut cursor)
                    .map_err(|_| FrameError::Codec {
                        method: Compression::Zstd,
                        what: "no room for the output",
                    })?;
            }
        }
        Ok(())
    }

    fn failed(&self, what: &'static str) -> FrameError {
        FrameError::Codec {
            method: self.method,
            what,
        }
    }
}

/// Shows the first bytes of a frame while the rest of it is still being decoded. They may be used:
/// a frame is checked as a whole before anything of it is decoded.
pub struct Glimpse<'show> {
    /// How many bytes are wanted.
    pub until: usize,
    /// Called once with at least so many, or not at all when all of the frame is there as soon.
    /// With `Break` the rest is left undone, and decoding fails.
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
    /// Makes a decoder; what it needs for a method is made at first use.
    pub fn new() -> Self {
        Self::default()
    }

    /// Decompresses `stored`, which must give exactly `raw_length` bytes and end there.
    pub(super) fn decode(
        &mut self,
        method: Compression,
        stored: &[u8],
        raw_length: usize,
        glimpse: Option<Glimpse<'_>>,
    ) -> Result<Vec<u8>, FrameError> {
        let failed = |what| FrameError::Codec { method, what };
        let mut raw = Vec::new();
        match method {
            Compression::None => raw.extend_from_slice(stored),
            Compression::Gzip => {
                let gzip = self.gzip.get_or_insert_with(Decompressor::new);
                raw.resize(raw_length, 0);
                let length =
                    gzip.gzip_decompress(stored, &mut raw)
                        .map_err(|error| match error {
                            DecompressionError::BadData => failed("the data is damaged"),
                            DecompressionError::InsufficientSpace => {
                                failed("it is longer than it should be")
                            }
                        })?;
                raw.truncate(length);
            }
            Compression::Bzip2 => {
                raw.reserve_exact(raw_length);
                let mut bzip2 = bzip2::Decompress::new(false);
                let status = bzip2
                    .decompress_vec(stored, &mut raw)
                    .map_err(|_| failed("the data is damaged"))?;
                if status != bzip2::Status::StreamEnd || bzip2.total_in() != stored.len() as u64 {
                    return Err(failed("it does not end where it should"));
                }
            }
            Compression::Xz => {
                raw.reserve_exact(raw_length);
                let mut xz = Stream::new_stream_decoder(256 << 20, 0)
                    .map_err(|_| failed("out of memory"))?;
                let status = xz
                    .process_vec(stored, &mut raw, Action::Finish)
                    .map_err(|_| failed("the data is damaged"))?;
                if status != Status::StreamEnd || xz.total_in() != stored.len() as u64 {
                    return Err(failed("it does not end where it should"));
                }
            }
            Compression::Zstd => {
                raw.reserve_exact(raw_length);
                if let Some(glimpse) = glimpse.filter(|glimpse| {
                    glimpse.until < raw_length / 4 * 3 && raw_length >= LEAST_IN_STEPS
                }) {
                    let zstd = match &mut self.zstd_in_steps {
                        Some(zstd) => zstd,
                        none => {
                            let mut zstd = zstd::stream::raw::Decoder::new()
                                .map_err(|_| failed("out of memory"))?;
                            zstd.set_parameter(DParameter::StableOutBuffer(true))
                                .map_err(|_| failed("no such parameter"))?;
                            none.insert(zstd)
                        }
                    };
                    decode_in_steps(zstd, stored, &mut raw, glimpse).map_err(|error| {
                        failed(if error.kind() == io::ErrorKind::Interrupted {
                            "the rest was not wanted"
                        } else {
                            "the data is damaged"
                        })
                    })?;
                    return if raw.len() == raw_length {
                        Ok(raw)
                    } else {
                        Err(failed("its length is not what it should be"))
                    };
                }
                let zstd = match &mut self.zstd {
                    Some(zstd) => zstd,
                    none => none.insert(
                        zstd::bulk::Decompressor::new().map_err(|_| failed("out of memory"))?,
                    ),
                };
                zstd.decompress_to_buffer(stored, &mut raw)
                    .map_err(|_| failed("the data is damaged"))?;
            }
        }
        if raw.len() == raw_length {
            Ok(raw)
        } else {
            Err(failed("its length is not what it should be"))
        }
    }
}

/// Decompresses one zstd frame into the room that `raw` has, and shows what is wanted of it on the
/// way.
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
            return Err(io::ErrorKind::InvalidData.into()); // it goes on behind its end, or behind the room it should fill
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

#[cfg(test)]
mod tests {
    use super::{Compression, Decoder, Encoder, Glimpse};
    use std::ops::ControlFlow;

    fn samples() -> Vec<Vec<u8>> {
        let mut noise = vec![0_u8; 200_000];
        let mut state = 1_u32;
        for byte in &mut noise {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            *byte = state.to_be_bytes()[0];
        }
        vec![
            Vec::new(),
            b"a".to_vec(),
            vec![0; 1 << 20],
            b"to be or not to be ".repeat(20_000),
            noise,
        ]
    }

    #[test]
    fn every_method_and_level_gives_back_what_it_was_given() {
        let mut decoder = Decoder::new();
        for method in Compression::ALL {
            for level in [
                *method.levels().start(),
                method.default_level(),
                *method.levels().end(),
            ] {
                let mut encoder = Encoder::new(method, level).expect("a level of the method");
                for raw in samples() {
                    let mut stored = b"before".to_vec();
                    encoder.append(&raw, &mut stored).expect("encoded");
                    assert_eq!(&stored[..6], b"before");
                    let back = decoder
                        .decode(method, &stored[6..], raw.len(), None)
                        .expect("decoded");
                    assert!(back == raw, "{method} {level}, {} bytes", raw.len());
                }
            }
        }
    }

    #[test]
    fn a_glimpse_is_the_beginning_and_the_frame_is_whole_all_the_same() {
        let mut decoder = Decoder::new();
        for method in Compression::ALL {
            let mut encoder = Encoder::new(method, method.default_level()).expect("a level");
            for raw in samples() {
                let mut stored = Vec::new();
                encoder.append(&raw, &mut stored).expect("encoded");
                for until in [1, 4096, raw.len() / 2, raw.len()] {
                    let mut seen = None;
                    let glimpse = Glimpse {
                        until,
                        show: &mut |bytes| {
                            seen = Some(bytes.to_vec());
                            ControlFlow::Continue(())
                        },
                    };
                    let back = decoder
                        .decode(method, &stored, raw.len(), Some(glimpse))
                        .expect("decoded");
                    assert!(back == raw, "{method}, {} bytes", raw.len());
                    assert!(
                        seen.as_ref()
                            .is_none_or(|seen| seen.len() >= until && raw.starts_with(seen)),
                        "{method} until {until}"
                    );
                    if method == Compression::Zstd && raw.len() == 200_000 && until == 4096 {
                        assert!(
                            seen.is_some_and(|seen| seen.len() < raw.len()),
                            "there was something to see before the end"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn what_is_not_wanted_is_not_decoded_and_the_next_frame_is_whole() {
        let mut decoder = Decoder::new();
        let mut encoder = Encoder::new(Compression::Zstd, 3).expect("a level");
        let raw = samples().pop().expect("several");
        let mut stored = Vec::new();
        encoder.append(&raw, &mut stored).expect("encoded");
        for _ in 0..2 {
            let mut seen = 0;
            let mut show = |bytes: &[u8]| {
                seen = bytes.len();
                ControlFlow::Break(())
            };
            let glimpse = Glimpse {
                until: 4096,
                show: &mut show,
            };
            decoder
                .decode(Compression::Zstd, &stored, raw.len(), Some(glimpse))
                .expect_err("it was left off");
            assert!((4096..raw.len()).contains(&seen), "{seen}");
            let whole = Glimpse {
                until: 4096,
                show: &mut |_| ControlFlow::Continue(()),
            };
            assert!(
                decoder
                    .decode(Compression::Zstd, &stored, raw.len(), Some(whole))
                    .expect("decoded")
                    == raw
            );
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
                assert!(
                    decoder.decode(method, &stored, wrong, None).is_err(),
                    "{method} as {wrong}"
                );
                let glimpse = Glimpse {
                    until: 1,
                    show: &mut |_| ControlFlow::Continue(()),
                };
                assert!(
                    decoder
                        .decode(method, &stored, wrong, Some(glimpse))
                        .is_err(),
                    "{method} as {wrong}"
                );
            }
            if method == Compression::Gzip {
                continue; // libdeflate stops at the member's end; what stands behind it is the checksum's to find
            }
            stored.push(0);
            assert!(
                decoder.decode(method, &stored, 5000, None).is_err(),
                "{method} with a byte behind its end"
            );
        }
    }
}
