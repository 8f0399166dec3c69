//! What every command that removes or rewrites data of backups asks for: a rehearsal, a yes, the
//! time for readers, and a wait for other runs.

use crate::cli::options::times::with_unit;
use crate::cli::options::wait::WaitOption;
use crate::config::TimeLength;
use clap::Args;

#[derive(Debug, Args)]
#[command(next_help_heading = "How it is done")]
pub(in crate::cli) struct ChangeOptions {
    /// Change nothing; show what would be done, and why
    #[arg(long)]
    pub(in crate::cli) dry_run: bool,

    /// Do not ask
    #[arg(long, short)]
    pub(in crate::cli) yes: bool,

    /// How long data stays for mounts that still read it (90s, 10m, 2h, 1d or 0)
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = with_unit)]
    pub(in crate::cli) grace: TimeLength,

    #[command(flatten)]
    pub(in crate::cli) wait: WaitOption,
}
