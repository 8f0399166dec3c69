//! Compresses and decompresses single frames.
//!
//! [`Encoder`] and [`Decoder`] are costly to make: each thread keeps one and uses it for every
//! frame.

mod decoder;
mod encoder;
#[cfg(test)]
mod tests;

pub use decoder::{Decoder, Glimpse};
pub use encoder::{DENSE_BYTES, Encoder};
