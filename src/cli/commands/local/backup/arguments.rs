//! The arguments of `freezer backup`.

use crate::cli::options::retention::RetentionArguments;
use crate::cli::options::times::whole_days;
use crate::cli::options::wait::WaitOption;
use crate::config::{ByteSize, TimeLength};
use crate::format::frame::Compression;
use clap::Args;
use std::ffi::OsString;
use std::path::PathBuf;

/// Back up files and directories
///
/// One directory becomes the tree itself; several PATHs become one tree with their absolute paths.
/// Sockets are skipped. Files that cannot be read are named, counted and left out, and the exit
/// code is then 3.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  freezer backup ~/docs
  freezer backup ~/docs -N docs --store /srv/b --encrypt-pass-file key
  freezer backup ~/docs --store /srv/b --store sftp://backup@far.example/srv/b
  freezer backup /etc /srv/www -N server --exclude '*.tmp' --exclude ./srv/www/cache \
    --compression zstd --compression-level 9

A PATTERN that begins with ! keeps what it matches; the last one that matches decides. Those of \
    --exclude-from come first.
Otherwise a PATTERN means the same as for tar --exclude: * matches / too, and a match may begin \
    after any /. A pattern that begins
with ./ matches only from the top of the tree, one that begins with / only the absolute path.")]
pub(in crate::cli) struct Arguments {
    /// Directories or files to back up
    #[arg(value_name = "PATH")]
    pub(super) paths: Vec<PathBuf>,

    /// The same as PATH
    #[arg(
        long,
        short = 'F',
        alias = "file-to-backup",
        value_name = "PATH",
        hide_short_help = true
    )]
    pub(super) path_to_backup: Vec<PathBuf>,

    /// Name of the backup [default: the last part of PATH, if there is only one]
    #[arg(long, short = 'N', value_name = "NAME")]
    pub(super) backup_name: Option<String>,

    /// Name of the host that the backup belongs to [default: this machine's name]
    #[arg(long, value_name = "NAME")]
    pub(super) hostname: Option<String>,

    /// Leave out files and directories that match, with everything below them; can be given several
    /// times
    #[arg(long, value_name = "PATTERN")]
    pub(super) exclude: Vec<OsString>,

    /// The same as --exclude, but upper and lower case are the same
    #[arg(long, value_name = "PATTERN", hide_short_help = true)]
    pub(super) iexclude: Vec<OsString>,

    /// Read patterns from FILE, one on each line; - is standard input. Empty lines and lines that
    /// begin with # do not count
    #[arg(long, value_name = "FILE")]
    pub(super) exclude_from: Vec<PathBuf>,

    /// Leave out the content of directories with a CACHEDIR.TAG, as browsers and build tools make
    /// them
    #[arg(long)]
    pub(super) exclude_caches: bool,

    /// Leave out the content of directories with a file called NAME, such as .nobackup; can be
    /// given several times
    #[arg(long, value_name = "NAME", hide_short_help = true)]
    pub(super) exclude_if_present: Vec<OsString>,

    /// Leave out files that are larger, in bytes or with a unit (1G)
    #[arg(long, value_name = "SIZE", hide_short_help = true)]
    pub(super) exclude_larger_than: Option<ByteSize>,

    /// Read more PATHs from FILE, one on each line; - is standard input
    #[arg(long, value_name = "FILE", hide_short_help = true)]
    pub(super) files_from: Vec<PathBuf>,

    /// Read more PATHs from FILE, each with a zero byte at its end, as find -print0 writes them
    #[arg(long, value_name = "FILE", hide_short_help = true)]
    pub(super) files_from0: Vec<PathBuf>,

    /// Stay on the file system of each PATH. Directories where another one begins are kept empty,
    /// and named
    #[arg(long)]
    pub(super) one_file_system: bool,

    /// With --one-file-system: go on into subvolumes of the same file system (btrfs)
    #[arg(long, requires = "one_file_system", hide_short_help = true)]
    pub(super) follow_subvolumes: bool,

    /// Make a point in time without any file where the newest one has some. Without this option the
    /// run fails: a disk that is not mounted looks like an empty folder
    #[arg(long, hide_short_help = true)]
    pub(super) allow_empty: bool,

    /// Make no point in time where nothing differs from the newest one
    #[arg(long)]
    pub(super) skip_if_unchanged: bool,

    /// Compression method: zstd, gzip (or zlib), bzip2, xz or none
    #[arg(long, value_name = "METHOD", default_value = "zstd", value_parser = parse_compression)]
    pub(super) compression: Compression,

    /// Compression level; higher is smaller and slower: zstd 1–19, gzip 1–12, bzip2 1–9, xz 0–9
    /// [default: zstd 3, gzip and xz 6, bzip2 9]
    #[arg(long, value_name = "LEVEL")]
    pub(super) compression_level: Option<u32>,

    /// Largest object in the store, in bytes or with a unit (32MiB, 1G). Memory holds one such
    /// object more than --upload-jobs
    #[arg(long, short = 'M', value_name = "SIZE", default_value = "16MiB")]
    pub(super) max_segment_size: ByteSize,

    /// Fail where there is no store yet, and make none: for scripts. freezer init makes one
    #[arg(long)]
    pub(super) must_exist: bool,

    /// With several stores: what to do when one fails or is too slow, continue with the others or
    /// abort
    #[arg(
        long,
        value_name = "WHAT",
        default_value = "continue",
        value_parser = ["continue", "abort"],
        hide_short_help = true
    )]
    pub(super) on_store_failure: String,

    /// With several stores: how long the others wait for a slower one, per object (90s, 10m; a
    /// number alone counts seconds)
    #[arg(
        long,
        value_name = "TIME",
        default_value = "60s",
        hide_short_help = true
    )]
    pub(super) store_patience: TimeLength,

    /// With several stores: how long the others wait for a slower one, over all objects (90s, 10m;
    /// a number alone counts seconds). The run then goes on without it, and freezer sync brings it
    /// up to date
    #[arg(
        long,
        value_name = "TIME",
        default_value = "10m",
        hide_short_help = true
    )]
    pub(super) store_lag: TimeLength,

    /// Number of objects that are stored at the same time, 1–64
    #[arg(
        long,
        value_name = "N",
        default_value = "2",
        value_parser = clap::value_parser!(u16).range(1..=64),
        hide_short_help = true
    )]
    pub(super) upload_jobs: u16,

    /// Make a full level: store everything again and need no earlier level
    #[arg(
        long,
        alias = "noincremental",
        conflicts_with_all = ["max_level", "always_level", "restart_always_level"]
    )]
    pub(super) no_incremental: bool,

    /// full does the same as --no-incremental
    #[arg(long, value_name = "LEVEL", value_parser = ["full"], hide_short_help = true)]
    pub(super) level: Option<String>,

    /// Has no effect: the second and later runs store only what is new
    #[arg(long, hide = true)]
    pub(super) incremental: bool,

    /// Make a full level after level N [default: never]
    #[arg(
        long,
        alias = "max-backup-level",
        value_name = "N",
        hide_short_help = true
    )]
    pub(super) max_level: Option<u32>,

    /// Stay at level N: compare each run with level N-1; 1 compares with the full level
    #[arg(long, value_name = "N", hide_short_help = true)]
    pub(super) always_level: Option<u32>,

    /// Make a full level when the last one is more than DAYS old (30, 30d, 4w) [default: never]
    #[arg(long, value_name = "DAYS", value_parser = whole_days, hide_short_help = true)]
    pub(super) restart_always_level: Option<u32>,

    /// Do not look at the ctime to tell whether a file changed: for file systems whose ctime is not
    /// reliable
    #[arg(long, hide_short_help = true)]
    pub(super) ignore_ctime: bool,

    /// Do not look at inode and device numbers to tell whether a file changed: for file systems
    /// that give out new ones at each mount
    #[arg(long, hide_short_help = true)]
    pub(super) ignore_inode: bool,

    /// Read every file and compare it with its stored content, whatever its times say. Reads all
    /// files and all their stored data; a file that was only touched then stores no data
    #[arg(long, hide_short_help = true)]
    pub(super) checksum: bool,

    /// Store files whole even if only their name or metadata changed. GNU tar can then restore the
    /// tree: tar --incremental -x of each level's stream in turn
    #[arg(long, hide_short_help = true)]
    pub(super) tar_levels: bool,

    #[command(flatten)]
    pub(super) wait: WaitOption,

    /// Shortest time between two checkpoints (90s, 10m; a number alone counts seconds). The run
    /// after one that was cut off goes on from its last checkpoint. None is made before 32 MiB are
    /// read
    #[arg(
        long,
        value_name = "TIME",
        default_value = "60s",
        hide_short_help = true
    )]
    pub(super) checkpoint_interval: TimeLength,

    /// How long one call to a file system of PATH may take (90s, 10m; a number alone counts
    /// seconds; 0: for ever). What does not answer, such as a network mount whose server is gone,
    /// is named and left out
    #[arg(
        long,
        value_name = "TIME",
        default_value = "60s",
        hide_short_help = true
    )]
    pub(super) source_timeout: TimeLength,

    /// Tag of the new point in time, for prune --keep-tag; can be given several times
    #[arg(long, value_name = "TAG")]
    pub(super) tag: Vec<String>,

    /// Before reading, have the kernel write to disk what it still keeps in memory
    #[arg(long)]
    pub(super) sync: bool,

    /// Store nothing; show which files cannot be read and how much would be stored
    #[arg(long)]
    pub(super) dry_run: bool,

    /// Write a description of the new level to FILE, as JSON; - is standard output
    #[arg(long, value_name = "FILE")]
    pub(super) metadata_out: Option<PathBuf>,

    /// Has no effect but to refuse other modes than fs: this version backs up file trees
    #[arg(long, short = 'm', value_parser = ["fs"], hide = true)]
    pub(super) mode: Option<String>,

    /// How changed files are stored: tar stores them whole; rsync stores only the new blocks of
    /// large files, which suits disk images and databases
    #[arg(
        long,
        short = 'e',
        alias = "engine-name",
        value_name = "ENGINE",
        default_value = "tar",
        value_parser = ["tar", "rsync", "rsyncv2"]
    )]
    pub(super) engine: String,

    /// Engine rsync: smallest file that is stored by blocks, in bytes or with a unit
    #[arg(
        long,
        value_name = "SIZE",
        default_value = "1MiB",
        hide_short_help = true
    )]
    pub(super) block_threshold: ByteSize,

    /// Engine rsync: shortest block, in bytes or with a unit (512 to 64MiB). Blocks are longer in
    /// files that would have more than two million
    #[arg(
        long,
        alias = "rsync-block-size",
        value_name = "SIZE",
        default_value = "4KiB",
        hide_short_help = true
    )]
    pub(super) block_size: ByteSize,

    // Last: its heading stands over all options after it.
    #[command(flatten)]
    pub(super) retention: RetentionArguments,
}

fn parse_compression(text: &str) -> Result<Compression, String> {
    let text = text.to_ascii_lowercase();
    Compression::from_name(if text == "gzip" { "zlib" } else { &text })
        .ok_or_else(|| "write zstd, gzip (or zlib), bzip2, xz or none".to_owned())
}
