//! The options that every command takes.

use crate::cli::options::effort::Effort;
use crate::cli::options::stores::StoreOptions;
use crate::config::ByteSize;
use clap::Args;
use std::ffi::OsString;
use std::path::PathBuf;

/// What every command takes.
#[derive(Debug, Args)]
#[command(next_help_heading = "Options of every command")]
pub(in crate::cli) struct Common {
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
    pub(in crate::cli) store: Vec<OsString>,

    /// A file whose first line is the passphrase of the store. The first backup into a new store
    /// with this option makes it an encrypted one [default: asked for on the terminal; environment:
    /// FREEZER_ENCRYPT_PASS_FILE]
    #[arg(long, value_name = "FILE", global = true)]
    pub(in crate::cli) encrypt_pass_file: Option<PathBuf>,

    /// A configuration file to read in place of the usual ones [environment: FREEZER_CONFIG]
    #[arg(long, value_name = "FILE", global = true)]
    pub(in crate::cli) config: Option<PathBuf>,

    /// Print data as JSON: one document, or one line for each event of a long run
    #[arg(long, global = true)]
    pub(in crate::cli) json: bool,

    /// Tell nothing but errors and files that had trouble
    #[arg(long, short, global = true)]
    pub(in crate::cli) quiet: bool,

    /// Log more to standard error: once what is done, twice how, three times everything
    #[arg(long, short, alias = "debug", action = clap::ArgAction::Count, global = true)]
    pub(in crate::cli) verbose: u8,

    /// A file to append the log to, with times
    #[arg(long, value_name = "FILE", global = true)]
    pub(in crate::cli) log_file: Option<PathBuf>,

    /// How large the log file gets before it is put aside as FILE.1 and a new one begun; 0 lets it
    /// grow
    #[arg(
        long,
        value_name = "SIZE",
        default_value = "10MiB",
        global = true,
        hide_short_help = true
    )]
    pub(in crate::cli) log_file_size: ByteSize,

    /// How many log files that were put aside are kept
    #[arg(long, value_name = "NUMBER", default_value_t = 5, value_parser = clap::value_parser!(u32).range(0..=1000), global = true)]
    #[arg(hide_short_help = true)]
    pub(in crate::cli) log_file_keep: u32,

    /// Keep parts of backups that were read in DIR/freezer-cache, as they are stored. Mounts and
    /// other processes can share it; nothing else in DIR is touched
    #[arg(long, value_name = "DIR", global = true, hide_short_help = true)]
    pub(in crate::cli) disk_cache: Option<PathBuf>,

    /// Most bytes that the disk cache takes
    #[arg(
        long,
        value_name = "SIZE",
        default_value = "10GiB",
        global = true,
        hide_short_help = true
    )]
    pub(in crate::cli) disk_cache_size: ByteSize,

    #[command(flatten)]
    pub(in crate::cli) effort: Effort,

    #[command(flatten)]
    pub(in crate::cli) stores: StoreOptions,
}
