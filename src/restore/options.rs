//! How to restore.

use crate::platform::DirHandle;
use std::io;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

/// How to restore.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// What to do about a target that has entries.
    pub existing: Existing,
    /// How owners are found on this system.
    pub ownership: Ownership,
    /// Whether entries get the rights that they had.
    pub trust: Trust,
    /// How many threads write.
    pub writers: NonZeroUsize,
    /// Folders that nothing is written to.
    pub keep_out: KeepOut,
}

/// Recognises folders that a restore must not write to: those of stores, whose backups it would
/// overwrite. The caller does, since a restore knows nothing of stores.
#[derive(Clone, Copy, Debug)]
pub struct KeepOut {
    /// Whether a folder is one of them.
    pub is: fn(&DirHandle) -> bool,
    /// Returns the folder among them that a path names, lies in, or would lie in once it is made.
    pub around: fn(&Path) -> io::Result<Option<PathBuf>>,
}

impl KeepOut {
    /// Recognises no folder.
    pub const NOWHERE: Self = Self {
        is: |_| false,
        around: |_| Ok(None),
    };
}

impl Default for Options {
    /// Restores into an empty directory with all rights, finds owners by name, and writes with one
    /// thread per processor.
    fn default() -> Self {
        let writers = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        Self {
            existing: Existing::Refuse,
            ownership: Ownership::ByName,
            trust: Trust::Trusted,
            writers,
            keep_out: KeepOut::NOWHERE,
        }
    }
}

/// What to do about a target that has entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    /// Restore only into an empty directory, or one that is made for it.
    Refuse,
    /// Replace entries that have the name of a restored one, each at once or not at all, and leave
    /// all others. A directory is never replaced by another kind of entry; a restored directory is
    /// merged into it.
    Replace,
}

/// How owners are found on this system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ownership {
    /// The user and group of the same name, or of the same number where the name is unknown.
    ByName,
    /// The user and group of the same number.
    ByNumber,
}

/// Whether the entries of a backup get the rights that they had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// They do, as far as this process may give them.
    Trusted,
    /// They get plain permission bits, content, times and a user's own attributes, and belong to
    /// whoever runs this. No setuid and setgid, no file capabilities, no access lists; no devices
    /// are made.
    Untrusted,
}
