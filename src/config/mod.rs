//! What the user asked for apart from the command line: configuration files, environment,
//! passphrase files.
//!
//! Owns the reading of all three; everything else in the program gets plain values. Knows no option
//! by meaning: a [`Setting`] is a name and a text, and `cli` decides which option takes it, by the
//! same rules as on the command line.
//!
//! | comes from | by | wins over |
//! |---|---|---|
//! | command line | `cli` | all below |
//! | environment | [`Environment::settings`] | files and defaults |
//! | `--config FILE`, else the user's file, then the machine's | [`file::read`] | defaults |
//! | defaults | the option's help says them | nothing |
//!
//! Start reading at [`Environment`].
//!
//! Invariant: nothing else reads the environment (`clippy.toml` refuses it). No passphrase is taken
//! from it: what stands in the environment is inherited by every child process and can be read from
//! `/proc`. Credentials of stores in a network are, by the names that their own tools use, because
//! that is where people and platforms put them.

mod environment;
pub mod file;
mod passphrase;
mod size;
mod time_length;

pub use environment::Environment;
pub use passphrase::{PassphraseError, PassphraseFile, is_open_to_others, read_passphrase};
pub use size::{ByteSize, SizeError, show_bytes};
pub use time_length::{BareUnit, TimeLength, TimeLengthError};

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;

/// One value for one option, from a file or the environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The store that it is about, where it stands in a section `[storage:NAME]`.
    pub section: Option<String>,
    /// The long name of an option, in lower case and with `-`.
    pub name: String,
    /// Its value, as it would stand on the command line.
    pub value: OsString,
    /// Where it stands.
    pub origin: SettingOrigin,
}

/// Where a setting stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SettingOrigin {
    /// In a file.
    File {
        /// Which one.
        path: PathBuf,
        /// On which line, counted from 1.
        line: usize,
    },
    /// In this variable.
    Environment(&'static str),
}

impl fmt::Display for SettingOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, line } => write!(f, "{}, line {line}", path.display()),
            Self::Environment(variable) => write!(f, "the environment variable {variable}"),
        }
    }
}
