//! `freezer scheduler`, where it cannot be had.

use super::failure::{Outcome, Usage};
use super::session::Session;
use clap::Args;

/// Run this node's jobs when they are due (not on Windows)
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  freezer scheduler start")]
pub(super) struct Arguments {
    /// What it would take elsewhere
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    rest: Vec<std::ffi::OsString>,
}

pub(super) fn choose_log_file(_: &Arguments, _: &mut Session) -> anyhow::Result<()> {
    Ok(())
}

pub(super) fn run(arguments: Arguments, _: &mut Session) -> anyhow::Result<Outcome> {
    let typed = arguments.rest.len();
    Err(Usage::new(format!(
        "there is no scheduler on Windows ({typed} arguments given)"
    ))
    .hint("run freezer backup by the task scheduler of the system")
    .into())
}
