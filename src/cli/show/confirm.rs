//! Questions that a person answers with yes or no.

use crate::cli::show::failure::Usage;
use crate::model::{Cancel, Interrupted, printable};
use crate::platform::terminal;
use anyhow::Context;
use std::io::ErrorKind;

/// Asks whether to go on.
///
/// # Errors
///
/// [`Usage`] when there is no terminal, [`Interrupted`] when the answer is not yes.
pub(in crate::cli) fn confirm(question: &str, otherwise: &str) -> anyhow::Result<()> {
    if !terminal::is_there() {
        let message = format!("{otherwise}: there is no terminal to ask on");
        return Err(Usage::new(message)
            .hint("give --yes, or --dry-run to see what would be done")
            .into());
    }
    if is_yes(question, &Cancel::new())? {
        Ok(())
    } else {
        Err(Interrupted.into())
    }
}

/// Asks on the terminal; only `y` and `yes` mean yes.
///
/// # Errors
///
/// [`Interrupted`] when `cancel` is requested before there is an answer.
pub(in crate::cli) fn is_yes(question: &str, cancel: &Cancel) -> anyhow::Result<bool> {
    let question = printable(question.as_bytes());
    match terminal::ask(&format!("{question} [y/N] "), cancel) {
        Ok(answer) => Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes")),
        Err(error) if error.kind() == ErrorKind::Interrupted => Err(Interrupted.into()),
        Err(error) => Err(error).context("could not ask"),
    }
}
