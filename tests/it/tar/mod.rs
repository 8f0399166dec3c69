//! The tar stream as others read it: GNU tar, bsdtar, Python's tarfile, and a small decoder written
//! from the standard alone.

mod decoder;
mod members;
mod properties;
mod readers;
mod torture;
