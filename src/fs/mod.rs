//! What did the tree look like then? Points in time as read-only file systems.
//!
//! [`view`] is one point in time, the same on every platform: restore, `cat`, `export` and the API
//! read through it too, so that there is one way to read a backup. [`timeline`] goes through
//! several side by side. [`points`] puts views into one numbered tree. The front ends `fuse` and
//! `mount` translate numbers and errors, and know nothing of backups. Below: `file_reader` (extents
//! → frame table → frame cache → store), `frame_cache`, `read_ahead`, `pool`.
//!
//! Knows nothing of how a backup is made. Start reading at [`view::View`].
//!
//! Invariants:
//! - bytes are served when their frame's authentication held, and at no other time; what cannot be
//!   read is an error, never zeros, never an empty directory, never "no such file";
//! - a thread that the kernel waits for never waits for a store: it asks a view
//!   [`at hand`](view::View::at_hand), and moves the reply to another thread when that would have
//!   to wait;
//! - memory is the caches and a fixed rest. Nothing grows with the number of entries.

#[cfg(unix)]
mod attach;
mod deadline;
mod error;
mod extents;
mod far;
mod file_reader;
mod frame_cache;
#[cfg(unix)]
pub mod fuse;
#[cfg(unix)]
pub mod mount;
#[cfg(unix)]
mod mounts;
pub mod points;
mod pool;
mod read_ahead;
mod recent;
pub mod timeline;
pub mod view;

pub use error::{Errno, FrameSpan, ReadError};
pub use file_reader::{FileReader, Piece};
pub use frame_cache::CacheCounts;

use std::num::NonZeroUsize;
use std::time::Duration;

/// How much reading may use.
#[derive(Clone, Copy, Debug)]
pub struct ReadOptions {
    /// Most bytes of decoded frames that are kept.
    pub cache_bytes: usize,
    /// Most bytes of index blocks that are kept.
    pub index_cache_bytes: usize,
    /// Threads that fetch and decode.
    pub fetch_threads: NonZeroUsize,
    /// How long one fetch may take before whoever waits for it is told that it failed; less where
    /// the request it is for has waited already.
    pub patience: Duration,
}

impl ReadOptions {
    /// With threads enough for a store in a network, where fetching is waiting.
    #[must_use]
    pub fn for_network(self) -> Self {
        Self {
            fetch_threads: self.fetch_threads.max(NETWORK_THREADS),
            ..self
        }
    }
}

/// Threads that fetch from a store in a network.
const NETWORK_THREADS: NonZeroUsize = NonZeroUsize::MIN.saturating_add(15);

impl Default for ReadOptions {
    /// 64 MiB of frames, 16 MiB of index, a thread for each core but two at least, two minutes.
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
