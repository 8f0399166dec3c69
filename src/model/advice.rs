//! What an error means to the person who ran the command: its exit code and what to do next.

use std::error::Error;

/// Exit codes of the program, beside 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// It failed.
    Failed = 1,
    /// The command line or a configuration file is wrong; nothing was done.
    Usage = 2,
    /// It is done, but for files or points in time that were each named.
    Partial = 3,
    /// There is no store in the place that was named.
    NoStore = 10,
    /// Another run holds the backup.
    InUse = 11,
    /// The passphrase is wrong, or none was given for an encrypted store.
    Passphrase = 12,
    /// It was interrupted, and ended in order.
    Interrupted = 130,
}

impl Exit {
    /// The number that the process returns.
    pub const fn code(self) -> u8 {
        self as u8
    }
}

/// An error that answers for itself. Each module implements this beside its own errors, with a
/// `match` without a wildcard: a new variant has to choose.
pub trait Advice: Error {
    /// Returns the exit code; `None` leaves it to the causes, and then to [`Exit::Failed`].
    fn exit(&self) -> Option<Exit> {
        None
    }

    /// Returns what to do next, as one line with a command that can be copied where there is one.
    /// The hint of a cause goes before that of what it caused.
    fn hint(&self) -> Option<&str>;
}

/// The user asked to stop. It is among the causes of every error that comes of that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("interrupted")]
pub struct Interrupted;

impl Advice for Interrupted {
    fn exit(&self) -> Option<Exit> {
        Some(Exit::Interrupted)
    }

    fn hint(&self) -> Option<&str> {
        None
    }
}

/// Hints that errors of several modules give.
pub mod hints {
    /// The store holds something else than was stored.
    pub const DAMAGED: &str = "the store is damaged: freezer check names the backups and files \
        that this touches; the others can be read";
    /// A passphrase is missing, or its file cannot be used.
    pub const PASS_FILE: &str = "write the passphrase on the first line of a file that only you \
        can read: --encrypt-pass-file FILE";
    /// The system gives no more threads.
    pub const THREADS: &str =
        "raise the limit of processes (ulimit -u), or try again when the machine is less busy";
    /// Something happened that cannot.
    pub const BUG: &str = "this is a bug in freezer: please report it, with the output of the \
        same command and -vv";
}
