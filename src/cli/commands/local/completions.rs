//! `freezer completions` and `freezer man`: for packagers.

use crate::cli::open::outside::outside_stores;
use crate::cli::open::session::Session;
use crate::cli::show::failure::Completion;
use anyhow::Context;
use clap::{Args, Command};
use std::path::PathBuf;

/// Print a script with which a shell completes the arguments of freezer
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
    /// An existing directory
    #[arg(value_name = "DIRECTORY")]
    directory: PathBuf,
}

/// Prints the script for `program`.
pub(in crate::cli) fn run(
    arguments: &Arguments,
    mut program: Command,
    session: &mut Session,
) -> anyhow::Result<Completion> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut program, "freezer", &mut script);
    session.output.bytes(&script)?;
    Ok(Completion::Done)
}

/// Writes the manual pages of `program`.
pub(in crate::cli) fn man(
    arguments: &ManArguments,
    program: Command,
) -> anyhow::Result<Completion> {
    let directory = &arguments.directory;
    outside_stores("manual pages", directory)?;
    clap_mangen::generate_to(program, directory)
        .with_context(|| format!("could not write to {}", directory.display()))?;
    Ok(Completion::Done)
}
