//! What went wrong, said once, with what to do next; and the exit code.

use crate::cli::show::hint;
use crate::cli::show::output::Closed;
use serde::Serialize;

/// How a command ended that did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Outcome {
    /// All of it is done.
    Done,
    /// Some files could not be read or written; each was named.
    Partial,
    /// Another process told the user what is wrong; this is its exit code.
    #[cfg_attr(
        windows,
        expect(
            dead_code,
            reason = "only a mount in the background is another process"
        )
    )]
    Told(u8),
}

/// Exit codes. 0 is done.
pub(in crate::cli) const FAILED: u8 = 1;
pub(in crate::cli) const USAGE: u8 = 2;
pub(in crate::cli) const PARTIAL: u8 = 3;
pub(in crate::cli) const INTERRUPTED: u8 = 130;

/// The command line asks for something that makes no sense.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(in crate::cli) struct Usage {
    message: String,
    hint: Option<String>,
}

impl Usage {
    pub(in crate::cli) fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            hint: None,
        }
    }

    pub(in crate::cli) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub(in crate::cli) fn advice(&self) -> Option<&str> {
        self.hint.as_deref()
    }
}

/// The user asked to stop.
#[derive(Debug, thiserror::Error)]
#[error("interrupted")]
pub(in crate::cli) struct Interrupted;

/// An error and all its causes in one line.
pub(in crate::cli) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}

/// A failed command as it is told: to people as text, to programs as JSON.
#[derive(Debug, Serialize)]
pub(in crate::cli) struct Told {
    /// What was attempted and did not work.
    error: String,
    /// Why, outermost first.
    causes: Vec<String>,
    /// What to do next.
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
    pub(in crate::cli) exit_code: u8,
}

impl Told {
    /// Says what `error` means; `None` when nothing is to be said: the reader of our output has
    /// gone.
    pub(in crate::cli) fn of(error: &anyhow::Error) -> Option<Self> {
        if error.chain().any(|cause| {
            cause
                .downcast_ref::<Closed>()
                .is_some_and(Closed::is_broken_pipe)
        }) {
            return None;
        }
        let mut lines: Vec<String> = Vec::new();
        for cause in error.chain() {
            let line = cause.to_string();
            // A wrapper that says no more than what it wraps is not repeated.
            if lines.last() != Some(&line) {
                lines.push(line);
            }
        }
        let causes = lines.split_off(1);
        let error_line = lines.pop().unwrap_or_default();
        Some(Self {
            error: error_line,
            causes,
            hint: hint::hint(error),
            exit_code: hint::exit_code(error),
        })
    }
}

impl std::fmt::Display for Told {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "freezer: {}", self.error)?;
        for cause in &self.causes {
            write!(f, ": {cause}")?;
        }
        if let Some(hint) = &self.hint {
            write!(f, "\nhint: {hint}")?;
        }
        Ok(())
    }
}
