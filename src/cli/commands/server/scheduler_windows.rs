//! `freezer scheduler`, which Windows refuses.

use crate::cli::open::session::Session;
use crate::cli::show::failure::{Completion, Usage};
use clap::Args;

/// Run this node's jobs when they are due (not on Windows)
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  freezer scheduler start")]
pub(in crate::cli) struct Arguments {
    /// Arguments that other systems take
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    rest: Vec<std::ffi::OsString>,
}

pub(in crate::cli) fn choose_log_file(_: &Arguments, _: &mut Session) -> anyhow::Result<()> {
    Ok(())
}

pub(in crate::cli) fn run(arguments: Arguments, _: &mut Session) -> anyhow::Result<Completion> {
    let typed = arguments.rest.len();
    Err(Usage::new(format!(
        "there is no scheduler on Windows ({typed} arguments given)"
    ))
    .hint("run freezer backup by the task scheduler of the system")
    .into())
}
