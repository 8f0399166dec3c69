//! Passphrases: of a file, of the standard input, of a command.

use crate::model::{Advice, Passphrase, Secret, hints};
use crate::platform::process;
use std::ffi::OsStr;
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::ExitStatus;

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
        /// What is wrong with the line, such as `empty`.
        what: &'static str,
    },
    /// The command could not be run.
    #[error("could not run the password command")]
    Command(#[source] io::Error),
    /// The command said that it failed.
    #[error("the password command failed: {0}")]
    CommandFailed(ExitStatus),
    /// What the command printed first is no passphrase.
    #[error("the first line that the password command printed is not a passphrase: it is {0}")]
    Printed(&'static str),
}

impl Advice for PassphraseError {
    fn hint(&self) -> Option<&str> {
        match self {
            Self::Read { .. } | Self::Unusable { .. } => Some(hints::PASS_FILE),
            Self::Command(_) | Self::CommandFailed(_) | Self::Printed(_) => {
                Some("it has to print the passphrase on one line, and to end with 0")
            }
        }
    }
}

/// Reads the first line of a file, without its end (`\n` or `\r\n`), as the original Freezer does.
/// The path `-` means standard input.
///
/// # Errors
///
/// [`PassphraseError`].
pub fn read_passphrase(path: &Path) -> Result<PassphraseFile, PassphraseError> {
    let refuse = |source| PassphraseError::Read {
        path: path.to_owned(),
        source,
    };
    // Never grows, so no copy of the secret is left behind.
    let mut buffer = Secret::new(Vec::with_capacity(MAX_BYTES + 1));
    let most = MAX_BYTES as u64 + 1;
    let open_to_others = if path == Path::new("-") {
        // One byte at a time: what follows the line belongs to whoever reads after this.
        for byte in io::stdin().lock().bytes().take(MAX_BYTES + 1) {
            buffer.expose_mut().push(byte.map_err(refuse)?);
            if buffer.expose().ends_with(b"\n") {
                break;
            }
        }
        false
    } else {
        let file = File::open(path).map_err(refuse)?;
        let open_to_others = open_to_others(&file.metadata().map_err(refuse)?);
        io::Read::take(file, most)
            .read_to_end(buffer.expose_mut())
            .map_err(refuse)?;
        open_to_others
    };
    let passphrase = first_line(buffer.expose()).map_err(|what| PassphraseError::Unusable {
        path: path.to_owned(),
        what,
    })?;
    Ok(PassphraseFile {
        passphrase,
        open_to_others,
    })
}

/// Runs a command in a shell, and returns the first line that it prints as the passphrase. It can
/// ask on the terminal, and its messages appear there.
///
/// # Errors
///
/// [`PassphraseError`].
pub fn passphrase_of_command(command: &OsStr) -> Result<Passphrase, PassphraseError> {
    let (shell, option) = if cfg!(windows) {
        ("cmd", "/C")
    } else {
        ("/bin/sh", "-c")
    };
    let mut buffer = Secret::new(Vec::with_capacity(MAX_BYTES + 1));
    let ended = process::read_output(
        shell.as_ref(),
        [OsStr::new(option), command],
        MAX_BYTES as u64 + 1,
        buffer.expose_mut(),
    );
    let ended = ended.map_err(PassphraseError::Command)?;
    if !ended.success() {
        return Err(PassphraseError::CommandFailed(ended));
    }
    first_line(buffer.expose()).map_err(PassphraseError::Printed)
}

/// Returns the first line of a text, or why it is no passphrase. Editors of other systems put a
/// byte order mark before it, which nobody types.
fn first_line(text: &[u8]) -> Result<Passphrase, &'static str> {
    if text.starts_with(b"\xff\xfe") || text.starts_with(b"\xfe\xff") {
        return Err("UTF-16 (save the file as UTF-8)");
    }
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    let line = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    match line.len() {
        0 => Err("empty"),
        length if length >= MAX_BYTES => Err("too long"),
        _ => Ok(Secret::new(line.to_vec())),
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
    use super::{PassphraseError, passphrase_of_command, read_passphrase};

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
            b"\xef\xbb\xbfsecret \xff\r\n",
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
        let utf16 = &b"\xff\xfes\0e\0c\0\n\0"[..];
        for content in [
            &b""[..],
            b"\n",
            b"\r\nsecret\n",
            b"\xef\xbb\xbf",
            utf16,
            &[b'x'; 1 << 17],
        ] {
            assert!(matches!(
                read(content),
                Err(PassphraseError::Unusable { .. })
            ));
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_command_gives_the_passphrase_or_an_error() {
        let of = |command: &str| passphrase_of_command(command.as_ref());
        let given = of("printf 'se%s\\n' cret; echo more").expect("a passphrase");
        assert_eq!(given.expose(), b"secret");
        assert!(matches!(
            of("echo secret; exit 3"),
            Err(PassphraseError::CommandFailed(_))
        ));
        assert!(matches!(of("true"), Err(PassphraseError::Printed("empty"))));
        // It prints without an end, and is not waited for.
        assert!(of("yes secret").is_err());
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
