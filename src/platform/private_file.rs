//! Files that hold what was private: copies of backups, logs, metadata.
//!
//! On Unix a new file is for its owner alone, whatever the umask is. A file that exists
//! keeps its owner and its mode: the user has chosen them.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

/// Opens a file for writing, empty.
///
/// # Errors
///
/// Those of the system.
pub fn create(path: &Path) -> io::Result<File> {
    private().write(true).create(true).truncate(true).open(path)
}

/// Opens a file to write at its end.
///
/// # Errors
///
/// Those of the system.
pub fn append(path: &Path) -> io::Result<File> {
    private().append(true).create(true).open(path)
}

/// Writes a file as a whole.
///
/// # Errors
///
/// Those of the system.
pub fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    create(path)?.write_all(content)
}

#[cfg(unix)]
fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Windows gives a new file the rights of its folder.
#[cfg(not(unix))]
fn private() -> OpenOptions {
    OpenOptions::new()
}
