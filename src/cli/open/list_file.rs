//! Files that list something: a path or a pattern on each line.

use anyhow::Context;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Reads a file; `-` is standard input.
pub(in crate::cli) fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    if path == Path::new("-") {
        let mut text = Vec::new();
        let read = std::io::stdin().lock().read_to_end(&mut text);
        read.context("could not read standard input")?;
        return Ok(text);
    }
    std::fs::read(path).with_context(|| format!("could not read {}", path.display()))
}

/// Returns the lines that are not empty, without their ends.
pub(in crate::cli) fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let lines = text.split(|byte| *byte == b'\n');
    lines
        .map(|line| line.strip_suffix(b"\r").unwrap_or(line))
        .filter(|line| !line.is_empty())
}

/// Returns the texts that end with a zero byte each.
pub(in crate::cli) fn ended_by_zeros(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|byte| *byte == 0)
        .filter(|text| !text.is_empty())
}

/// Returns the path that bytes stand for.
#[cfg(unix)]
pub(in crate::cli) fn path_of(bytes: &[u8]) -> PathBuf {
    use std::os::unix::ffi::OsStrExt;
    PathBuf::from(std::ffi::OsStr::from_bytes(bytes))
}

/// Returns the path that bytes stand for.
#[cfg(windows)]
pub(in crate::cli) fn path_of(bytes: &[u8]) -> PathBuf {
    PathBuf::from(String::from_utf8_lossy(bytes).into_owned())
}
