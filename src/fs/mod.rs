//! What did the tree look like then? Points in time as read-only file systems.
//!
//! [`view`] is one point in time, the same on every platform. Restore, `cat`, `export` and the API
//! read through it too, so there is one way to read a backup. [`timeline`] compares several points
//! in time. [`forest`] puts views into one tree of numbered entries. [`prefetch`] decides which
//! small files to deliver before they are asked for. The front ends `fuse` and `mount` translate
//! numbers and errors, and know nothing of backups.
//!
//! Below the view, from a file's bytes down to the store (`docs/how-a-mount-reads.md`):
//! `file_reader` → `frame_cache` (`frame_lru`, `frame`) → `level_stream`; `read_ahead` plans what
//! to fetch early, `fetch_ahead` carries it out (`far`, `batch`), and `fetchers` are the threads
//! (`pool`) that alone call the store.
//!
//! Knows nothing of how a backup is made. Start reading at [`view::View`].
//!
//! Invariants:
//! - Bytes are served when their frame's authentication held, and at no other time. What cannot be
//!   read is an error: never zeros, never an empty directory, never "no such file".
//! - A thread that the kernel waits for never waits for a store. It asks a view
//!   [`at hand`](view::View::at_hand), and moves the reply to another thread when that would have
//!   to wait.
//! - Memory is the caches and a fixed rest. Nothing grows with the number of entries.

#[cfg(unix)]
mod attach;
mod batch;
mod deadline;
mod error;
mod extents;
mod far;
mod fetch_ahead;
mod fetchers;
mod file_reader;
pub mod forest;
mod frame;
mod frame_cache;
mod frame_lru;
#[cfg(unix)]
pub mod fuse;
mod level_stream;
#[cfg(unix)]
pub mod mount;
#[cfg(unix)]
mod mounts;
mod piece;
mod pool;
pub mod prefetch;
mod read_ahead;
mod recent;
pub mod timeline;
pub mod view;

pub use error::{Errno, FrameSpan, ReadError};
pub use file_reader::FileReader;
pub use frame_cache::CacheCounts;
pub use piece::FilePiece;

use std::num::NonZeroUsize;
use std::time::Duration;

/// How much memory and how many threads reading may use.
#[derive(Clone, Copy, Debug)]
pub struct ReadOptions {
    /// Most bytes of decoded frames that are kept.
    pub cache_bytes: usize,
    /// Most bytes of index and frame table blocks that are kept.
    pub index_cache_bytes: usize,
    /// How many threads fetch and decode.
    pub fetch_threads: NonZeroUsize,
    /// How long one fetch may take before the caller is told that it failed. Less where the request
    /// behind it has waited already.
    pub patience: Duration,
}

impl ReadOptions {
    /// Returns the same with at least 16 threads, for a store in a network, where fetching is
    /// mostly waiting.
    #[must_use]
    pub fn for_network(self) -> Self {
        Self {
            fetch_threads: self.fetch_threads.max(NETWORK_THREADS),
            ..self
        }
    }
}

/// Fewest threads that fetch from a store in a network.
const NETWORK_THREADS: NonZeroUsize = NonZeroUsize::new(16).expect("not zero");

impl Default for ReadOptions {
    /// Returns 64 MiB of frames, 16 MiB of index, a thread for each core but at least two, and two
    /// minutes of patience.
    fn default() -> Self {
        let cores = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        Self {
            cache_bytes: 64 << 20,
            index_cache_bytes: 16 << 20,
            fetch_threads: cores.max(NonZeroUsize::MIN.saturating_add(1)),
            patience: Duration::from_secs(120),
        }
    }
}
