//! The person at the terminal.

use super::system;
use crate::model::{Cancel, Passphrase};
use std::io;

/// Whether this process has a terminal to ask on.
pub fn is_there() -> bool {
    system::terminal_is_there()
}

/// Asks on the terminal, wherever standard input and output lead, and returns the answer.
///
/// # Errors
///
/// As [`ask_secret`]; [`io::ErrorKind::Interrupted`] also when `cancel` is requested meanwhile, as
/// by a signal that the process watches for.
pub fn ask(question: &str, cancel: &Cancel) -> io::Result<String> {
    system::ask(question, cancel)
}

/// Asks on the terminal, wherever standard input and output lead, without showing the answer.
///
/// # Errors
///
/// [`io::ErrorKind::Interrupted`] when the person interrupts; [`io::ErrorKind::UnexpectedEof`] when
/// there is no answer.
pub fn ask_secret(question: &str) -> io::Result<Passphrase> {
    system::ask_secret(question)
}
