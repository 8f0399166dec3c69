//! `freezer mount` and `freezer umount`, which Windows refuses.

use crate::cli::open::session::Session;
use crate::cli::show::failure::Completion;
use anyhow::bail;
use clap::Args;
use std::ffi::OsString;

/// Show a backup as a read-only file system (not on Windows yet)
#[derive(Debug, Args)]
pub(in crate::cli) struct Arguments {
    #[arg(hide = true, allow_hyphen_values = true)]
    _anything: Vec<OsString>,
}

/// End a mount (not on Windows yet)
#[derive(Debug, Args)]
pub(in crate::cli) struct UnmountArguments {
    #[arg(hide = true, allow_hyphen_values = true)]
    _anything: Vec<OsString>,
}

pub(in crate::cli) fn choose_log_file(_: &Arguments, _: &mut Session) {}

pub(in crate::cli) fn run(_: &Arguments, _: &mut Session) -> anyhow::Result<Completion> {
    bail!(
        "freezer cannot mount on Windows yet: freezer restore copies files, freezer cat prints one"
    )
}

pub(in crate::cli) fn unmount(_: &UnmountArguments, _: &mut Session) -> anyhow::Result<Completion> {
    bail!("freezer cannot mount on Windows yet")
}
