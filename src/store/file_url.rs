//! `file:` URLs: the folder of a local store as people write it.

use crate::net::decode;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use std::path::{Path, PathBuf};

/// The characters that are escaped in the path of such a URL.
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

/// Parses the text after `file:`.
pub(super) fn folder_of_url(rest: &str) -> Result<PathBuf, &'static str> {
    let path = match rest.strip_prefix("//") {
        None => rest,
        Some(rest) => {
            let (host, _) = rest
                .split_once('/')
                .ok_or("a file URL has three slashes; write file:///PATH")?;
            if !host.is_empty() && !host.eq_ignore_ascii_case("localhost") {
                return Err("a file URL cannot name another host; write file:///PATH");
            }
            rest.get(host.len()..).unwrap_or_default()
        }
    };
    if !path.starts_with('/') {
        return Err("a file URL needs an absolute path; write file:///PATH");
    }
    if path.contains(['?', '#']) {
        return Err("write %3F for ? and %23 for # in a file URL");
    }
    let bytes = decode(path)
        .ok_or("% must be followed by two hexadecimal digits; write %25 for % itself")?;
    if bytes.contains(&0) {
        return Err("a path cannot contain a NUL");
    }
    path_of_bytes(bytes).ok_or("its path is not valid on this system")
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
