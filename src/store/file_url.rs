//! `file:` URLs: the folder of a local store as people write it.

use crate::net::decode;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use std::path::{Path, PathBuf};

/// What is escaped in the path of such a URL.
const IN_PATH: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'/')
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'!')
    .remove(b'$')
    .remove(b'&')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')')
    .remove(b'*')
    .remove(b'+')
    .remove(b',')
    .remove(b';')
    .remove(b'=')
    .remove(b':')
    .remove(b'@');

/// Returns the `file:` URL of an absolute path.
pub(super) fn file_url(path: &Path) -> String {
    let path = percent_encode(path.as_os_str().as_encoded_bytes(), IN_PATH).to_string();
    if path.starts_with('/') {
        format!("file://{path}")
    } else {
        format!("file:///{}", path.replace("%5C", "/"))
    }
}

/// Reads what stands behind `file:`.
pub(super) fn folder_of_url(rest: &str) -> Result<PathBuf, &'static str> {
    let path = match rest.strip_prefix("//") {
        None => rest,
        Some(rest) => {
            let (host, _) = rest
                .split_once('/')
                .ok_or("a file URL has three slashes: file:///PATH")?;
            if !host.is_empty() && !host.eq_ignore_ascii_case("localhost") {
                return Err("a file URL names no other host: file:///PATH");
            }
            rest.get(host.len()..).unwrap_or_default()
        }
    };
    if !path.starts_with('/') {
        return Err("a file URL holds an absolute path: file:///PATH");
    }
    if path.contains(['?', '#']) {
        return Err("? and # are written %3F and %23 in a URL");
    }
    let bytes =
        decode(path).ok_or("% stands before two hexadecimal digits in a URL; % itself is %25")?;
    if bytes.contains(&0) {
        return Err("a path holds no NUL");
    }
    path_of_bytes(bytes).ok_or("its path is not valid here")
}

#[cfg(unix)]
use unix::path_of_bytes;
#[cfg(windows)]
use windows::path_of_bytes;

#[cfg(unix)]
mod unix {
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt;
    use std::path::PathBuf;

    pub fn path_of_bytes(bytes: Vec<u8>) -> Option<PathBuf> {
        Some(OsString::from_vec(bytes).into())
    }
}

#[cfg(windows)]
mod windows {
    use std::path::PathBuf;

    /// `/C:/folder` is `C:/folder`.
    pub fn path_of_bytes(bytes: Vec<u8>) -> Option<PathBuf> {
        let path = String::from_utf8(bytes).ok()?;
        Some(
            path.strip_prefix('/')
                .filter(|path| path.as_bytes().get(1) == Some(&b':'))
                .unwrap_or(&path)
                .into(),
        )
    }
}
