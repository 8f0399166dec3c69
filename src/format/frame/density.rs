//! Estimates from a sample how well content compresses.

use std::io;

/// Length of the sample. A longer one decides no better. In 120 places each of text, a database, a
/// disk image and random bytes, samples of 16 KiB told text (0.30 to 0.32) from everything else
/// (0.38 and more, except in empty parts of the image).
const SAMPLE_BYTES: usize = 16 << 10;

/// Content is dense if a compressed sample is longer than this share of the sample.
const DENSE: f64 = 0.36;

/// Tells content that compresses well from content that does not.
pub struct Density {
    encoder: zstd::bulk::Compressor<'static>,
    /// Receives the compressed sample, which nobody reads.
    out: Vec<u8>,
}

impl Density {
    /// Makes an estimator.
    ///
    /// # Errors
    ///
    /// If there is not enough memory.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            encoder: zstd::bulk::Compressor::new(1)?,
            out: vec![0; zstd::zstd_safe::compress_bound(SAMPLE_BYTES)],
        })
    }

    /// Returns whether content that ends with these bytes compresses little, or `None` if there are
    /// too few bytes for a sample.
    pub fn is_dense(&mut self, bytes: &[u8]) -> Option<bool> {
        let sample = bytes.last_chunk::<SAMPLE_BYTES>()?;
        let length = self
            .encoder
            .compress_to_buffer(sample, &mut self.out[..])
            .ok()?;
        Some(length as f64 > DENSE * SAMPLE_BYTES as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::{Density, SAMPLE_BYTES};

    #[test]
    fn words_are_not_dense_and_random_bytes_are() {
        let mut density = Density::new().expect("memory");
        let words: Vec<u8> = (0..20_000_u32)
            .flat_map(|number| format!("{} was here, ", number % 977).into_bytes())
            .collect();
        assert_eq!(density.is_dense(&words), Some(false));
        let mut random = vec![0; SAMPLE_BYTES];
        blake3::Hasher::new().finalize_xof().fill(&mut random);
        assert_eq!(density.is_dense(&random), Some(true));
        assert_eq!(density.is_dense(&random[1..]), None);
    }
}
