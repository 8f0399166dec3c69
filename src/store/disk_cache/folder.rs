//! The folder of a disk cache: which files are its own, how they are found, kept and removed.
//!
//! | name in the folder | what it is |
//! |---|---|
//! | `CACHEDIR.TAG` | tells backup programs to leave it out: <https://bford.info/cachedir/> |
//! | `freezer-disk-cache` | the marker: says that the folder is ours, and the form of its files |
//! | `lock` | held by the process that adds or removes files |
//! | `bytes` | how many bytes the chunks take, in decimal |
//! | two hexadecimal digits, `/`, 62 digits | one chunk of an object |
//! | the same with `.part` behind | a chunk that a process did not finish |
//!
//! Module `region` tells what the digits mean. The file of a chunk holds a BLAKE3 sum of 32 bytes
//! over its name and content, then the bytes as they are stored.
//!
//! Invariant: nothing else is ever removed, written to or counted.

use crate::model::{Advice, Cancel};
use crate::platform::durable::{self, Sharing};
use crate::platform::{CacheDir, Distrust, pause};
use std::fs::{File, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

/// The folder's name in the folder that the user names.
const NAME: &str = "freezer-cache";

const MARKER: &str = "freezer-disk-cache";
const UNFINISHED_MARKER: &str = "freezer-disk-cache.part";
const LOCK: &str = "lock";
pub(super) const BYTES: &str = "bytes";
const TAG: &str = "CACHEDIR.TAG";

/// The content of the marker. Another form of files needs another number here and in `region`.
const MARK: &str = "freezer disk cache 2\n";

/// The first line is the specification's, byte for byte.
const TAG_TEXT: &str = "Signature: 8a477f597d28d172789f06886806bc55\n\
    # This folder is the disk cache of freezer. It holds only copies: it may be removed.\n";

/// A folder without a marker that holds nothing but these is one that freezer did not finish.
const BEGUN: [&str; 3] = [LOCK, TAG, UNFINISHED_MARKER];

/// How long opening waits for a process that holds the lock: looking at all chunks of a large cache
/// takes that long.
const OPENS_WITHIN: Duration = Duration::from_secs(30);

/// How often a waiter tries to get the lock.
const LOOKS_EVERY: Duration = Duration::from_millis(2);

/// Why a folder cannot be used as a disk cache.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The folder that the user named is missing and cannot be made.
    #[error("could not make {folder}")]
    Make {
        /// The folder that the user named.
        folder: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// The system refuses to read or write there.
    #[error("could not read and write in {folder}")]
    Use {
        /// The cache's own folder.
        folder: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// Somebody else could have put files there.
    #[error("{folder} is not safe to use")]
    Unsafe {
        /// The cache's own folder.
        folder: PathBuf,
        /// The reason.
        source: Distrust,
    },
    /// It has no marker and is not empty.
    #[error(
        "{0} contains other files, and freezer did not make it; name another folder for the cache"
    )]
    NotOurs(PathBuf),
    /// The marker is of another version.
    #[error(
        "{0} is the disk cache of another version of freezer; remove it, or name another folder"
    )]
    OtherForm(PathBuf),
    /// Another process does not let go of the lock.
    #[error("another process has held the lock of {0} for half a minute")]
    Busy(PathBuf),
}

impl Advice for OpenError {
    fn hint(&self) -> Option<&str> {
        match self {
            Self::Make { .. } | Self::Use { .. } => {
                Some("name a folder on a local disk that you may write to: --disk-cache DIR")
            }
            Self::Unsafe { .. } => Some(
                "another user could have put files there: name a folder that only you may write \
                 to with --disk-cache DIR, or remove that one (a cache holds only copies)",
            ),
            Self::NotOurs(_) => Some(
                "the cache needs a subfolder of that name for itself: move the other files away, \
                 or name another folder with --disk-cache DIR",
            ),
            Self::OtherForm(_) => Some(
                "remove that folder (a cache holds only copies), or name another with \
                 --disk-cache DIR",
            ),
            Self::Busy(_) => {
                Some("end that process if it hangs, or name another folder with --disk-cache DIR")
            }
        }
    }
}

/// The open folder of a cache. May be used by many threads and processes at once.
pub(super) struct CacheFolder {
    pub(super) dir: CacheDir,
    path: PathBuf,
    pub(super) limit_bytes: u64,
    /// Lets one thread of this process at a time ask for the lock.
    pub(super) adding: Mutex<()>,
    /// Whether the last try to get the lock failed: then no reader waits for it.
    pub(super) is_stuck: AtomicBool,
}

impl CacheFolder {
    /// Opens the cache in the folder `parent`, or makes it there, for its owner alone; removes
    /// what is more than `limit_bytes`.
    pub(super) fn open(parent: &Path, limit_bytes: u64) -> Result<Self, OpenError> {
        match durable::create_folder(parent, Sharing::private()) {
            Err(source) if source.kind() != io::ErrorKind::AlreadyExists => {
                return Err(OpenError::Make {
                    folder: parent.to_owned(),
                    source,
                });
            }
            _ => {}
        }
        let path = parent.join(NAME);
        let dir = CacheDir::open(parent, NAME).map_err(|source| match source {
            Distrust::System(source) => OpenError::Use {
                folder: path.clone(),
                source,
            },
            source => OpenError::Unsafe {
                folder: path.clone(),
                source,
            },
        })?;
        let folder = Self {
            dir,
            path,
            limit_bytes,
            adding: Mutex::default(),
            is_stuck: AtomicBool::new(false),
        };
        // Checked first: a folder with other files does not even get a lock.
        folder.is_marked()?;
        let lock = folder
            .lock(OPENS_WITHIN)
            .map_err(|source| folder.unusable(source))?
            .ok_or_else(|| OpenError::Busy(folder.path.clone()))?;
        if !folder.is_marked()? {
            folder.mark().map_err(|source| folder.unusable(source))?;
        }
        // Another limit may have held before, and a process may have died while it added.
        let counted = folder.count_anew(limit_bytes);
        counted.map_err(|source| folder.unusable(source))?;
        drop(lock);
        Ok(folder)
    }

    /// Returns the path of the folder.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    fn unusable(&self, source: io::Error) -> OpenError {
        OpenError::Use {
            folder: self.path.clone(),
            source,
        }
    }

    /// Returns whether the marker was there at the first look. Refuses a folder that has other
    /// files and no marker.
    fn is_marked(&self) -> Result<bool, OpenError> {
        match self.read_small(MARKER) {
            Ok(text) if text == MARK => Ok(true),
            Ok(_) => Err(OpenError::OtherForm(self.path.clone())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let names = self.dir.names().map_err(|source| self.unusable(source))?;
                // Another process may have marked it between the two looks, and begun to add.
                let is_marked = names.iter().any(|name| name == MARKER);
                let is_begun = |name: &String| BEGUN.contains(&name.as_str());
                if is_marked || names.iter().all(is_begun) {
                    Ok(false)
                } else {
                    Err(OpenError::NotOurs(self.path.clone()))
                }
            }
            Err(error) => Err(self.unusable(error)),
        }
    }

    /// Says that the folder is ours. The marker comes last and whole.
    fn mark(&self) -> io::Result<()> {
        match self.dir.create_file(TAG) {
            Ok(mut tag) => tag.write_all(TAG_TEXT.as_bytes())?,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
        self.dir.remove(UNFINISHED_MARKER)?;
        let mut marker = self.dir.create_file(UNFINISHED_MARKER)?;
        marker.write_all(MARK.as_bytes())?;
        drop(marker);
        self.dir.rename(UNFINISHED_MARKER, MARKER)
    }

    /// Keeps other processes and threads from adding; `None` when one of them does so for longer
    /// than `patience`. A lock ends with the process that holds it.
    pub(super) fn lock(&self, patience: Duration) -> io::Result<Option<File>> {
        let lock = self.dir.lock_file(LOCK)?;
        let mut waited = Duration::ZERO;
        loop {
            match lock.try_lock() {
                Ok(()) => return Ok(Some(lock)),
                Err(TryLockError::WouldBlock) if waited < patience => {
                    pause(LOOKS_EVERY, &Cancel::new());
                    waited += LOOKS_EVERY;
                }
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(error)) => return Err(error),
            }
        }
    }

    pub(super) fn read_small(&self, name: &str) -> io::Result<String> {
        let mut text = String::new();
        let file = self.dir.open_file(name)?;
        file.take(256).read_to_string(&mut text)?;
        Ok(text)
    }
}

#[cfg(all(test, unix))]
#[path = "folder_tests.rs"]
mod tests;
