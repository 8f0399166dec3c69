//! `freezer completions` and `freezer man`: for packagers.

use crate::cli::arguments::Arguments as Program;
use crate::cli::open::outside::outside_stores;
use crate::cli::open::session::Session;
use crate::cli::show::failure::Outcome;
use anyhow::Context;
use clap::{Args, CommandFactory};
use std::path::PathBuf;

/// Print what a shell needs to complete the arguments of freezer
#[derive(Debug, Args)]
#[command(after_help = "Example:
  freezer completions bash > /usr/share/bash-completion/completions/freezer")]
pub(in crate::cli) struct Arguments {
    /// The shell
    #[arg(value_name = "SHELL", value_enum)]
    shell: clap_complete::Shell,
}

/// Write the manual pages to a directory
#[derive(Debug, Args)]
#[command(
    hide = true,
    after_help = "Example:
  freezer man /usr/share/man/man1"
)]
pub(in crate::cli) struct ManArguments {
    /// Where to; it must exist
    #[arg(value_name = "DIRECTORY")]
    directory: PathBuf,
}

pub(in crate::cli) fn run(arguments: &Arguments, session: &mut Session) -> anyhow::Result<Outcome> {
    let mut script = Vec::new();
    clap_complete::generate(
        arguments.shell,
        &mut Program::command(),
        "freezer",
        &mut script,
    );
    session.output.bytes(&script)?;
    Ok(Outcome::Done)
}

pub(in crate::cli) fn man(arguments: &ManArguments, _: &mut Session) -> anyhow::Result<Outcome> {
    let directory = &arguments.directory;
    outside_stores("manual pages", directory)?;
    clap_mangen::generate_to(Program::command(), directory)
        .with_context(|| format!("could not write to {}", directory.display()))?;
    Ok(Outcome::Done)
}
