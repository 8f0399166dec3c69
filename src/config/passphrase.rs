//! Passphrase files.

use crate::model::{Advice, Passphrase, Secret, hints};
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// The longest passphrase, in bytes.
const MAX_BYTES: usize = 64 << 10;

/// The content of a passphrase file.
#[derive(Debug)]
pub struct PassphraseFile {
    /// Its first line.
    pub passphrase: Passphrase,
    /// Whether users other than its owner may read it: a reason to warn.
    pub open_to_others: bool,
}

/// Why a passphrase file could not be used.
#[derive(Debug, thiserror::Error)]
pub enum PassphraseError {
    /// The file could not be read.
    #[error("could not read the passphrase file {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The first line is empty, or too long to be a passphrase.
    #[error("the first line of {path} is not a passphrase: it is {what}")]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What is wrong with the line: `empty` or `too long`.
        what: &'static str,
    },
}

impl Advice for PassphraseError {
    fn hint(&self) -> Option<&str> {
        match self {
            Self::Read { .. } | Self::Unusable { .. } => Some(hints::PASS_FILE),
        }
    }
}

/// Reads the first line of a file, without its end (`\n` or `\r\n`), as the original Freezer does.
///
/// # Errors
///
/// [`PassphraseError`].
pub fn read_passphrase(path: &Path) -> Result<PassphraseFile, PassphraseError> {
    let refuse = |source| PassphraseError::Read {
        path: path.to_owned(),
        source,
    };
    let file = File::open(path).map_err(refuse)?;
    let open_to_others = open_to_others(&file.metadata().map_err(refuse)?);
    // Never grows, so no copy of the secret is left behind.
    let mut buffer = Secret::new(Vec::with_capacity(MAX_BYTES + 1));
    io::Read::take(file, MAX_BYTES as u64 + 1)
        .read_to_end(buffer.expose_mut())
        .map_err(refuse)?;
    let line = buffer
        .expose()
        .split(|byte| *byte == b'\n')
        .next()
        .unwrap_or_default();
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let unusable = |what| {
        Err(PassphraseError::Unusable {
            path: path.to_owned(),
            what,
        })
    };
    match line.len() {
        0 => unusable("empty"),
        length if length >= MAX_BYTES => unusable("too long"),
        _ => Ok(PassphraseFile {
            passphrase: Secret::new(line.to_vec()),
            open_to_others,
        }),
    }
}

/// Whether users other than its owner may read a file; `false` if that cannot be found out.
pub fn is_open_to_others(path: &Path) -> bool {
    path.metadata()
        .is_ok_and(|metadata| open_to_others(&metadata))
}

#[cfg(unix)]
fn open_to_others(metadata: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    metadata.is_file() && metadata.mode() & 0o077 != 0
}

#[cfg(windows)]
fn open_to_others(_: &Metadata) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::{PassphraseError, read_passphrase};

    fn read(content: &[u8]) -> Result<Vec<u8>, PassphraseError> {
        let folder = tempfile::tempdir().expect("a directory");
        let path = folder.path().join("pass");
        std::fs::write(&path, content).expect("written");
        read_passphrase(&path).map(|file| file.passphrase.expose().clone())
    }

    #[test]
    fn the_first_line_is_the_passphrase() {
        for content in [
            &b"secret \xff"[..],
            b"secret \xff\n",
            b"secret \xff\r\n",
            b"secret \xff\nother\n",
        ] {
            assert_eq!(
                read(content).expect("usable"),
                b"secret \xff",
                "{content:?}"
            );
        }
    }

    #[test]
    fn a_file_without_a_passphrase_is_refused() {
        for content in [&b""[..], b"\n", b"\r\nsecret\n", &[b'x'; 1 << 17]] {
            assert!(matches!(
                read(content),
                Err(PassphraseError::Unusable { .. })
            ));
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_file_that_others_may_read_is_told() {
        use std::os::unix::fs::PermissionsExt;
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), "secret").expect("written");
        for (mode, expected) in [(0o600, false), (0o400, false), (0o640, true), (0o604, true)] {
            std::fs::set_permissions(file.path(), std::fs::Permissions::from_mode(mode))
                .expect("changed");
            assert_eq!(
                read_passphrase(file.path()).expect("usable").open_to_others,
                expected,
                "{mode:o}"
            );
        }
    }
}
