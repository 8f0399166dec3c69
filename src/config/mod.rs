//! What the user asked for besides the command line: configuration files, the environment and
//! passphrase files.
//!
//! This module reads all three; the rest of the program gets plain values. It knows no option by
//! its meaning: a [`Setting`] is a name and a text, and `cli` decides which option takes it, by the
//! same rules as on the command line. Sizes and lengths of time are parsed here: [`ByteSize`],
//! [`TimeLength`].
//!
//! | source | read by | wins over |
//! |---|---|---|
//! | command line | `cli` | all below |
//! | environment | [`Environment::settings`] | files and defaults |
//! | `--config FILE`, else the user's file, then the machine's | [`file::read`] | defaults |
//! | defaults | the help of each option | nothing |
//!
//! Start reading at [`Environment`].
//!
//! Invariant: nothing else reads the environment (`clippy.toml` refuses it). No passphrase comes
//! from it: every child process inherits the environment, and others can read it in `/proc`.
//! Credentials of stores in a network do, by the names of those stores' own tools: people and
//! platforms put them there.

mod environment;
pub mod file;
mod passphrase;
mod size;
mod time_length;

pub use environment::Environment;
pub use passphrase::{
    PassphraseError, PassphraseFile, is_open_to_others, passphrase_of_command, read_passphrase,
};
pub use size::{ByteSize, SizeError, show_bytes};
pub use time_length::{BareUnit, TimeLength, TimeLengthError};

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;

/// One value for one option, from a file or the environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// NAME, if it stands in a section `[storage:NAME]`.
    pub section: Option<String>,
    /// The long name of an option, in lower case and with `-`.
    pub name: String,
    /// The value, as on the command line.
    pub value: OsString,
    /// Where it is set.
    pub origin: SettingOrigin,
}

/// Where a setting is set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SettingOrigin {
    /// In a configuration file.
    File {
        /// The file.
        path: PathBuf,
        /// The number of the line, from 1.
        line: usize,
    },
    /// In the environment variable of this name.
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
