//! The commands and the options that all of them take.

use crate::cli::commands::local::{
    backup, cat, check, completions, diff, du, export, find, key, list, ls, mount, prune, repack,
    repair, restore, sync,
};
use crate::cli::commands::server::{api, remote, scheduler};
use crate::cli::options::effort::Effort;
use crate::cli::options::store_options::StoreOptions;
use crate::config::ByteSize;
use clap::{Args, Parser, Subcommand};
use std::ffi::OsString;
use std::path::PathBuf;

/// Freezer backs up file trees as a stream and gives every point in time back as a read-only file
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
  freezer list                              which backups there are
  freezer mount docs /mnt                   look at all points in time of docs
  freezer restore docs@yesterday a.txt --target /tmp/old
                                            copy one file as it was yesterday

Every option can stand in ~/.config/freezer/freezer.conf or /etc/freezer/freezer.conf, one `name = value` on a line.
Exit codes: 0 done, 1 failed, 2 wrong usage, 3 done but some files could not be read or written, 130 interrupted."
)]
pub(super) struct Arguments {
    #[command(flatten)]
    pub(super) common: Common,
    #[command(subcommand)]
    pub(super) command: Command,
}

/// What can be done.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    Backup(Box<backup::Arguments>),
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
    Key(key::Arguments),
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

/// What every command takes.
#[derive(Debug, Args)]
#[command(next_help_heading = "Options of every command")]
pub(super) struct Common {
    /// Where backups are kept: a path, file:///PATH, s3://BUCKET/PREFIX, swift:CONTAINER/PREFIX or
    /// sftp://USER@HOST/PATH [default: $XDG_DATA_HOME/freezer/store, else
    /// ~/.local/share/freezer/store; environment: FREEZER_STORE]. backup takes several, and the
    /// name of a section [storage:NAME] of the configuration is one too
    #[arg(
        long,
        short = 'C',
        visible_alias = "container",
        value_name = "PATH|URL",
        global = true
    )]
    pub(super) store: Vec<OsString>,

    /// A file whose first line is the passphrase of the store. The first backup into a new store
    /// with this option makes it an encrypted one [default: asked for on the terminal; environment:
    /// FREEZER_ENCRYPT_PASS_FILE]
    #[arg(long, value_name = "FILE", global = true)]
    pub(super) encrypt_pass_file: Option<PathBuf>,

    /// A configuration file to read in place of the usual ones [environment: FREEZER_CONFIG]
    #[arg(long, value_name = "FILE", global = true)]
    pub(super) config: Option<PathBuf>,

    /// Print data as JSON: one document, or one line for each event of a long run
    #[arg(long, global = true)]
    pub(super) json: bool,

    /// Tell nothing but errors and files that had trouble
    #[arg(long, short, global = true)]
    pub(super) quiet: bool,

    /// Log more to standard error: once what is done, twice how, three times everything
    #[arg(long, short, alias = "debug", action = clap::ArgAction::Count, global = true)]
    pub(super) verbose: u8,

    /// A file to append the log to, with times
    #[arg(long, value_name = "FILE", global = true)]
    pub(super) log_file: Option<PathBuf>,

    /// How large the log file gets before it is put aside as FILE.1 and a new one begun; 0 lets it
    /// grow
    #[arg(
        long,
        value_name = "SIZE",
        default_value = "10MiB",
        global = true,
        hide_short_help = true
    )]
    pub(super) log_file_size: ByteSize,

    /// How many log files that were put aside are kept
    #[arg(long, value_name = "NUMBER", default_value_t = 5, value_parser = clap::value_parser!(u32).range(0..=1000), global = true)]
    #[arg(hide_short_help = true)]
    pub(super) log_file_keep: u32,

    /// Keep parts of backups that were read in DIR/freezer-cache, as they are stored. Mounts and
    /// other processes can share it; nothing else in DIR is touched
    #[arg(long, value_name = "DIR", global = true, hide_short_help = true)]
    pub(super) disk_cache: Option<PathBuf>,

    /// Most bytes that the disk cache takes
    #[arg(
        long,
        value_name = "SIZE",
        default_value = "10GiB",
        global = true,
        hide_short_help = true
    )]
    pub(super) disk_cache_size: ByteSize,

    #[command(flatten)]
    pub(super) effort: Effort,

    #[command(flatten)]
    pub(super) stores: StoreOptions,
}
