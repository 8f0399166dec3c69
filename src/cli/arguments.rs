//! The commands.

use crate::cli::commands::local::{
    backup, cat, check, completions, diff, du, export, find, init, key, list, ls, mount, prune,
    repack, repair, restore, sync, unlock, upgrade_store,
};
use crate::cli::commands::server::{api, remote, scheduler};
use crate::cli::options::common::Common;
use clap::{Parser, Subcommand};

/// Freezer backs up file trees as a stream, and shows each point in time as a read-only file
/// system.
#[derive(Debug, Parser)]
#[command(
    name = "freezer",
    version,
    args_override_self = true,
    max_term_width = 110,
    infer_subcommands = false,
    after_help = "Examples:
  freezer backup ~/docs                     back up a directory; the backup is called docs
  freezer list                              show the backups
  freezer mount docs /mnt                   browse all points in time of docs
  freezer restore docs@yesterday a.txt --target /tmp/old
                                            copy one file as it was yesterday

Every option can also be set in ~/.config/freezer/freezer.conf or /etc/freezer/freezer.conf, \
    as one `name = value` on a line.
Exit codes: 0 done, 1 failed, 2 wrong usage, 3 done but some files could not be read or written, \
    10 no store there, 11 another run holds the backup, 12 wrong passphrase, 130 interrupted."
)]
pub(super) struct Arguments {
    #[command(flatten)]
    pub(super) common: Common,
    #[command(subcommand)]
    pub(super) command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    Backup(Box<backup::Arguments>),
    Init(init::Arguments),
    List(list::Arguments),
    Ls(ls::Arguments),
    Cat(cat::Arguments),
    Mount(mount::Arguments),
    Umount(mount::UnmountArguments),
    Restore(restore::Arguments),
    Export(export::Arguments),
    Diff(diff::Arguments),
    Find(find::FindArguments),
    History(find::HistoryArguments),
    Du(du::Arguments),
    Check(check::Arguments),
    Repair(repair::Arguments),
    Prune(prune::Arguments),
    Repack(repack::Arguments),
    Sync(sync::Arguments),
    Unlock(unlock::Arguments),
    Key(key::Arguments),
    UpgradeStore(upgrade_store::Arguments),
    Api(Box<api::Arguments>),
    Scheduler(Box<scheduler::Arguments>),
    Job(Box<remote::job::Arguments>),
    Session(Box<remote::session::Arguments>),
    Client(Box<remote::client::Arguments>),
    Action(Box<remote::action::Arguments>),
    BackupList(Box<remote::backup_list::Arguments>),
    Completions(completions::Arguments),
    Man(completions::ManArguments),
}
