//! The person at the terminal.

use super::system;
use crate::model::Passphrase;
use std::io;

/// Whether this process has a terminal to ask on.
pub fn is_there() -> bool {
    system::terminal_is_there()
}

/// Asks on the terminal, wherever standard input and output lead, and returns the answer.
///
/// # Errors
///
/// As [`ask_secret`].
pub fn ask(question: &str) -> io::Result<String> {
    system::ask(question)
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
