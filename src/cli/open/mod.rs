//! Opening what a command works with: stores, their keys, backups and points in time.

pub(in crate::cli) mod destinations;
pub(in crate::cli) mod outside;
pub(in crate::cli) mod session;
