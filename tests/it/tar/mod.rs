//! The tar stream as other programs read it: GNU tar, bsdtar, Python's tarfile, and a small decoder
//! that was written from the standard alone.

mod decoder;
mod members;
mod properties;
mod readers;
mod torture;
