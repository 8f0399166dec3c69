//! What went wrong, told once with its causes and what to do next; and the exit code.

use crate::backup::{BackupError, SourceError};
use crate::catalog::known::{KnownStoresError, Surprise};
use crate::catalog::{AccessError, CatalogError, LockError};
use crate::cli::show::output::Closed;
use crate::config::PassphraseError;
use crate::config::file::ConfigFileError;
use crate::format::DocumentError;
use crate::format::frame::FrameError;
#[cfg(unix)]
use crate::fs::mount::MountError;
use crate::model::{Advice, Exit, Interrupted, printable};
use crate::restore::{ExportError, RestoreError};
use crate::sched::connection::ApiError;
#[cfg(unix)]
use crate::sched::daemon::DaemonError;
use crate::store;
use crate::store::disk_cache;
use crate::upkeep::{CheckError, DamageFound, NothingToCheck, PruneError, RepairError, SyncError};
use serde::Serialize;
use std::error::Error;

/// How a command ended that did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Completion {
    /// All of it is done.
    Done,
    /// Some files or points in time could not be read or written; each was named.
    Partial,
    /// Another process has told the user what is wrong; this is its exit code.
    #[cfg_attr(
        windows,
        expect(
            dead_code,
            reason = "only a mount and a scheduler in the background are other processes"
        )
    )]
    OfAnother(u8),
}

impl Completion {
    /// Returns `Done` if all is done, else `Partial`.
    pub(in crate::cli) fn of(is_whole: bool) -> Self {
        if is_whole { Self::Done } else { Self::Partial }
    }

    /// Returns the exit code of the program.
    pub(in crate::cli) fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Partial => Exit::Partial.code(),
            Self::OfAnother(code) => code,
        }
    }
}

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

    /// Adds what to do instead.
    pub(in crate::cli) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl Advice for Usage {
    fn exit(&self) -> Option<Exit> {
        Some(Exit::Usage)
    }

    fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }
}

/// Returns an error and all its causes in one line.
pub(in crate::cli) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}

/// The errors that answer for themselves. A test compares this list with the source.
fn advice<'error>(cause: &'error (dyn Error + 'static)) -> Option<&'error dyn Advice> {
    fn of<'error, E: Advice + 'static>(
        cause: &'error (dyn Error + 'static),
    ) -> Option<&'error dyn Advice> {
        cause.downcast_ref::<E>().map(|error| error as &dyn Advice)
    }
    let unix = || {
        #[cfg(unix)]
        return of::<DaemonError>(cause).or_else(|| of::<MountError>(cause));
        #[cfg(not(unix))]
        None
    };
    None.or_else(|| of::<Usage>(cause))
        .or_else(|| of::<Interrupted>(cause))
        .or_else(|| of::<store::Error>(cause))
        .or_else(|| of::<disk_cache::OpenError>(cause))
        .or_else(|| of::<AccessError>(cause))
        .or_else(|| of::<CatalogError>(cause))
        .or_else(|| of::<Surprise>(cause))
        .or_else(|| of::<KnownStoresError>(cause))
        .or_else(|| of::<LockError>(cause))
        .or_else(|| of::<DocumentError>(cause))
        .or_else(|| of::<FrameError>(cause))
        .or_else(|| of::<PassphraseError>(cause))
        .or_else(|| of::<ConfigFileError>(cause))
        .or_else(|| of::<BackupError>(cause))
        .or_else(|| of::<SourceError>(cause))
        .or_else(|| of::<RestoreError>(cause))
        .or_else(|| of::<ExportError>(cause))
        .or_else(|| of::<CheckError>(cause))
        .or_else(|| of::<DamageFound>(cause))
        .or_else(|| of::<NothingToCheck>(cause))
        .or_else(|| of::<PruneError>(cause))
        .or_else(|| of::<RepairError>(cause))
        .or_else(|| of::<SyncError>(cause))
        .or_else(|| of::<ApiError>(cause))
        .or_else(unix)
}

/// A failed command as it is told: to people as text, to programs as JSON.
#[derive(Debug, Serialize)]
pub(in crate::cli) struct FailureReport {
    /// What was attempted and did not work.
    error: String,
    /// Why, outermost first.
    causes: Vec<String>,
    /// What to do next.
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
    pub(in crate::cli) exit_code: u8,
}

impl FailureReport {
    /// Returns what to tell about `error`; `None` if whoever read the output has gone.
    pub(in crate::cli) fn of(error: &anyhow::Error) -> Option<Self> {
        let is_broken_pipe = |cause: &(dyn Error + 'static)| {
            cause
                .downcast_ref::<Closed>()
                .is_some_and(Closed::is_broken_pipe)
        };
        if error.chain().any(is_broken_pipe) {
            return None;
        }
        let advised: Vec<&dyn Advice> = error.chain().filter_map(advice).collect();
        let exit = advised.iter().find_map(|advice| advice.exit());
        let is_usage = exit == Some(Exit::Usage);
        let hint = advised
            .iter()
            // What is wrong with the command line is said by the outermost.
            .filter(|advice| !is_usage || advice.exit().is_some())
            .rev()
            .find_map(|advice| advice.hint());
        let mut lines = lines(error);
        let causes = lines.split_off(1);
        Some(Self {
            error: lines.pop().unwrap_or_default(),
            causes,
            hint: hint.map(str::to_owned),
            exit_code: exit.unwrap_or(Exit::Failed).code(),
        })
    }
}

/// The error and its causes, outermost first, without those that say nothing new: a wrapper that
/// says the same as what it wraps, and the interrupt that the error above it tells of.
fn lines(error: &anyhow::Error) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for cause in error.chain() {
        let line = cause.to_string();
        let tells = |line: &String| line.contains("interrupted");
        if lines.last() == Some(&line) || cause.is::<Interrupted>() && lines.iter().any(tells) {
            continue;
        }
        lines.push(line);
    }
    lines
}

impl std::fmt::Display for FailureReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "freezer: {}", printable(self.error.as_bytes()))?;
        for cause in &self.causes {
            write!(f, ": {}", printable(cause.as_bytes()))?;
        }
        if let Some(hint) = &self.hint {
            write!(f, "\nhint: {}", printable(hint.as_bytes()))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{FailureReport, Usage};
    use crate::catalog::LockError;
    use crate::model::{BackupName, Interrupted};
    use crate::store::{Error, ErrorKind, Operation};
    use crate::upkeep::PruneError;
    use anyhow::Context;
    use std::path::Path;

    fn report(error: impl Into<anyhow::Error>) -> FailureReport {
        FailureReport::of(&error.into()).expect("something to tell")
    }

    #[test]
    fn an_interrupt_has_its_exit_code_wherever_it_came_from() {
        let backup = BackupName::new("host", "docs").expect("a name");
        let waiting = LockError::Interrupted {
            backup,
            source: Interrupted,
        };
        let store = Error::of_store(ErrorKind::Unavailable, Operation::List).because(Interrupted);
        for (error, told) in [
            (anyhow::Error::from(Interrupted), "freezer: interrupted"),
            (
                waiting.into(),
                "freezer: interrupted while waiting for the lock of host/docs",
            ),
            (
                PruneError::List(store).into(),
                "freezer: could not list the points in time and data of the backup: could not \
                 list the store: the store does not answer: interrupted",
            ),
        ] {
            let report = report(error);
            assert_eq!(
                (report.exit_code, report.to_string()),
                (130, told.to_owned())
            );
        }
    }

    #[test]
    fn the_innermost_hint_is_given_and_that_of_a_wrong_command_line_first() {
        let store = || Error::of_store(ErrorKind::Full, Operation::Put);
        let full = report(PruneError::Remove(store()));
        assert!(full.hint.is_some_and(|hint| hint.starts_with("make room")));
        let usage = report(Usage::new("nonsense").hint("sense"));
        assert_eq!((usage.exit_code, usage.hint.as_deref()), (2, Some("sense")));
        let other = report(std::io::Error::other("x"));
        assert_eq!((other.exit_code, other.hint), (1, None));
        let context = Err::<(), _>(store())
            .context("while it ran")
            .map_err(report);
        assert_eq!(context.expect_err("failed").exit_code, 1);
    }

    /// All `impl Advice for` in the source below `folder`.
    fn advised(folder: &Path, found: &mut Vec<String>) {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                advised(&path, found);
            } else {
                let text = std::fs::read_to_string(&path).expect("source");
                found.extend(text.lines().filter_map(|line| {
                    let name = line.strip_prefix("impl Advice for ")?;
                    Some(name.trim_end_matches(" {").to_owned())
                }));
            }
        }
    }

    #[test]
    fn every_error_that_answers_for_itself_is_asked() {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let mut found = Vec::new();
        advised(&source, &mut found);
        found.sort();
        let this = std::fs::read_to_string(source.join("cli/show/failure.rs")).expect("source");
        let (code, _tests) = this.split_once("#[cfg(test)]").expect("tests");
        let mut asked: Vec<String> = code
            .split("of::<")
            .skip(1)
            .filter_map(|rest| Some(rest.split_once(">(cause)")?.0))
            .map(|name| name.rsplit("::").next().unwrap_or(name).to_owned())
            .collect();
        asked.sort();
        assert!(found.len() > 15, "{found:?}");
        assert_eq!(asked, found);
    }
}
