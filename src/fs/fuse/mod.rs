//! FUSE: translates the kernel's requests into calls of a [`Forest`](super::forest::Forest), and
//! its answers back. Nothing else.
//!
//! Requests are what a mount costs, so the kernel is told as much as it can keep. Opening needs no
//! request at all, entries and attributes hold forever, a listing brings attributes along, and the
//! kernel asks once where no entry has extended attributes. A request is first tried with what is
//! in memory (`adapter`); if that is not enough, the reply moves to another thread.
//!
//! What `prefetch` delivers goes into the kernel's page cache (`kernel_cache`).

mod adapter;
mod appearance;
mod counts;
mod kernel_cache;
mod listing;
mod reply;
mod requests;

pub(super) use adapter::Adapter;
pub use appearance::{Appearance, Permissions};
pub use counts::RequestCounts;
pub(super) use kernel_cache::KernelCache;
