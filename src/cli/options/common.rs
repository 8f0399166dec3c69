//! The options that every command takes.

use crate::cli::options::effort::Effort;
use crate::cli::options::stores::StoreOptions;
use crate::config::ByteSize;
use clap::Args;
use std::ffi::OsString;
use std::path::PathBuf;

/// Options of every command.
#[derive(Debug, Args)]
#[command(next_help_heading = "Options of every command")]
pub(in crate::cli) struct Common {
    /// The store of the backups: a path, file:///PATH, s3://BUCKET/PREFIX, swift:CONTAINER/PREFIX,
    /// sftp://USER@HOST/PATH, or NAME of a section [storage:NAME] of the configuration. backup
    /// takes several [default: $XDG_DATA_HOME/freezer/store, else ~/.local/share/freezer/store;
    /// environment: FREEZER_STORE]
    #[arg(
        long,
        short = 'C',
        visible_alias = "container",
        value_name = "PATH|URL",
        global = true
    )]
    pub(in crate::cli) store: Vec<OsString>,

    /// A file whose first line is the passphrase of the store; - is standard input. A backup
    /// with this option makes a new store an encrypted one [default: ask on the terminal;
    /// environment: FREEZER_ENCRYPT_PASS_FILE]
    #[arg(long, value_name = "FILE", global = true)]
    pub(in crate::cli) encrypt_pass_file: Option<PathBuf>,

    /// A command whose first line of output is the passphrase of the store: a shell runs it
    #[arg(
        long,
        alias = "encrypt-pass-command",
        value_name = "COMMAND",
        global = true,
        conflicts_with = "encrypt_pass_file",
        hide_short_help = true
    )]
    pub(in crate::cli) password_command: Option<OsString>,

    /// Read this configuration file instead of the default ones [environment: FREEZER_CONFIG]
    #[arg(long, value_name = "FILE", global = true)]
    pub(in crate::cli) config: Option<PathBuf>,

    /// Print data as JSON: one document, or a line for each event of a long run
    #[arg(long, global = true)]
    pub(in crate::cli) json: bool,

    /// Show only errors, warnings and files that had trouble
    #[arg(long, short, global = true)]
    pub(in crate::cli) quiet: bool,

    /// Log more to standard error: -v logs what is done, -vv how it is done, -vvv everything
    #[arg(long, short, alias = "debug", action = clap::ArgAction::Count, global = true)]
    pub(in crate::cli) verbose: u8,

    /// Append the log, with times, to FILE [default: no log file]
    #[arg(long, value_name = "FILE", global = true)]
    pub(in crate::cli) log_file: Option<PathBuf>,

    /// Size at which the log file is put aside as FILE.1 and a new one begins, in bytes or with a
    /// unit; 0 lets it grow
    #[arg(
        long,
        value_name = "SIZE",
        default_value = "10MiB",
        global = true,
        hide_short_help = true
    )]
    pub(in crate::cli) log_file_size: ByteSize,

    /// Number of log files that are kept after they were put aside, 0–1000
    #[arg(
        long,
        value_name = "NUMBER",
        default_value_t = 5,
        value_parser = clap::value_parser!(u32).range(0..=1000),
        global = true
    )]
    #[arg(hide_short_help = true)]
    pub(in crate::cli) log_file_keep: u32,

    /// Keep data that was read from the store in DIR/freezer-cache, as it is stored. Several mounts
    /// and other processes can share it; nothing else in DIR is touched [default: no disk cache]
    #[arg(long, value_name = "DIR", global = true, hide_short_help = true)]
    pub(in crate::cli) disk_cache: Option<PathBuf>,

    /// Largest size of the disk cache, in bytes or with a unit
    #[arg(
        long,
        value_name = "SIZE",
        default_value = "10GiB",
        global = true,
        hide_short_help = true
    )]
    pub(in crate::cli) disk_cache_size: ByteSize,

    /// Forget what this machine saw in the store before, and trust it as it is now
    ///
    /// Freezer remembers each store, and the newest point of each backup. It does not write to a
    /// store that is another one, is empty, or has lost its newest points, until you say so with
    /// this option.
    #[arg(long, global = true, hide_short_help = true)]
    pub(in crate::cli) forget_store: bool,

    #[command(flatten)]
    pub(in crate::cli) effort: Effort,

    #[command(flatten)]
    pub(in crate::cli) stores: StoreOptions,
}
