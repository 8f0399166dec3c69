//! `freezer backup`.

use crate::backup::{
    self, BackupError, BackupLock, BackupRequest, BlockOptions, CheckpointRule, Engine, Evidence,
    Levels, Lies, Mounts, Report, SameContent, SourceError,
};
use crate::catalog::Patience;
use crate::cli::commands::local::prune;
use crate::cli::interrupt;
use crate::cli::open::destinations::{Destinations, Policy, StoreOutcome};
use crate::cli::open::outside::outside_stores;
use crate::cli::open::session::{Session, StorePlace};
use crate::cli::options::retention::RetentionArguments;
use crate::cli::options::store_options::parse_time;
use crate::cli::show::document::{LevelDocument, OriginalDocument, in_words, several};
use crate::cli::show::failure::{Outcome, Usage};
use crate::cli::show::output::Format;
use crate::cli::show::when;
use crate::config::{ByteSize, show_bytes};
use crate::format::frame::Compression;
use crate::format::identity::Cipher;
use crate::model::{BackupName, Excludes};
use crate::platform::{Clock, DirHandle, flush_file_systems, host_name};
use crate::store::location::Location;
use crate::store::mirror::{self, OnFailure};
use anyhow::Context;
use clap::Args;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Back up files and directories
///
/// Several PATHs become one tree with their absolute paths; one directory becomes the tree itself.
/// Sockets are skipped; what cannot be read is named, counted and left out, and the exit code is
/// then 3.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  freezer backup ~/docs
  freezer backup ~/docs -N docs --store /srv/b --encrypt-pass-file key
  freezer backup ~/docs --store /srv/b --store sftp://backup@far.example/srv/b
  freezer backup /etc /srv/www -N server --exclude '*.tmp' --exclude ./srv/www/cache --compression zstd --compression-level 9

PATTERNs mean what they mean to tar --exclude: * matches / too, a match may begin after any /. One that begins with ./
matches from the top of the tree alone, one that begins with / the absolute path.")]
pub(in crate::cli) struct Arguments {
    /// What to back up: directories or files
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,

    /// The same as PATH
    #[arg(
        long,
        short = 'F',
        alias = "file-to-backup",
        value_name = "PATH",
        hide_short_help = true
    )]
    path_to_backup: Vec<PathBuf>,

    /// What to call the backup [default: the last part of the only PATH]
    #[arg(long, short = 'N', value_name = "NAME")]
    backup_name: Option<String>,

    /// The host it belongs to [default: this machine's name]
    #[arg(long, value_name = "NAME")]
    hostname: Option<String>,

    /// Leave out what matches, with all that lies below; can be given several times
    #[arg(long, value_name = "PATTERN")]
    exclude: Vec<OsString>,

    /// Leave out what lies on other file systems than its PATH
    #[arg(long)]
    one_file_system: bool,

    /// How data is compressed
    #[arg(long, value_name = "METHOD", default_value = "zstd", value_parser = parse_compression)]
    #[arg(help = "How data is compressed: zstd, gzip (or zlib), bzip2, xz, none")]
    compression: Compression,

    /// How hard to compress: more is smaller and slower; gzip 1–12, bzip2 1–9, xz 0–9, zstd 1–19
    /// [default: zstd 3, else 6, bzip2 9]
    #[arg(long, value_name = "LEVEL")]
    compression_level: Option<u32>,

    /// Largest object in the store, in bytes or with a unit (32MiB, 1G). Memory holds one more of
    /// them than --upload-jobs
    #[arg(long, short = 'M', value_name = "SIZE", default_value = "16MiB")]
    max_segment_size: ByteSize,

    /// Of several stores: whether the others go on when one fails, or lets them wait for too long
    #[arg(long, value_name = "WHAT", default_value = "continue", value_parser = ["continue", "abort"], hide_short_help = true)]
    on_store_failure: String,

    /// Of several stores: how long the others wait for one that is slower, for each object
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = parse_time, hide_short_help = true)]
    store_patience: Duration,

    /// Of several stores: how long the others wait for one that is slower, for all objects
    /// together. Then it is left out, and freezer sync brings it up to date
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = parse_time, hide_short_help = true)]
    store_lag: Duration,

    /// Objects that are stored at once
    #[arg(long, value_name = "N", default_value = "2", value_parser = clap::value_parser!(u16).range(1..=64), hide_short_help = true)]
    upload_jobs: u16,

    /// Store all there is again, leaning on no earlier level
    #[arg(long, alias = "noincremental", conflicts_with_all = ["max_level", "always_level", "restart_always_level"])]
    no_incremental: bool,

    /// The same, when it is `full`
    #[arg(long, value_name = "LEVEL", value_parser = ["full"], hide_short_help = true)]
    level: Option<String>,

    /// What happens anyway: the second and later runs store what is new
    #[arg(long, hide = true)]
    incremental: bool,

    /// Begin again with a full level after level N
    #[arg(
        long,
        alias = "max-backup-level",
        value_name = "N",
        hide_short_help = true
    )]
    max_level: Option<u32>,

    /// Stay at level N, each time compared with level N-1; 1 compares with the full level
    #[arg(long, value_name = "N", hide_short_help = true)]
    always_level: Option<u32>,

    /// Begin again with a full level when the last one is more than so many days old
    #[arg(long, value_name = "DAYS", hide_short_help = true)]
    restart_always_level: Option<u32>,

    /// Let mtime alone tell whether a file changed: for file systems without a ctime to trust
    #[arg(long, hide_short_help = true)]
    ignore_ctime: bool,

    /// Do not look at inode and device numbers: for file systems that give others each time they
    /// are mounted
    #[arg(long, hide_short_help = true)]
    ignore_inode: bool,

    /// Read every file and compare it with what is stored of it, whatever its times say. Costs
    /// reading all of both; a file that was only touched stores no data then
    #[arg(long, hide_short_help = true)]
    checksum: bool,

    /// Store whole what changed its name or metadata alone, so that tar --incremental -x of the
    /// levels' streams, one after the other, makes the tree
    #[arg(long, hide_short_help = true)]
    tar_levels: bool,

    /// While another run of the same backup is under way, wait for its end, or at most so long
    /// (90s, 10m, 2h), and do not fail
    #[arg(long, value_name = "DURATION", num_args = 0..=1, require_equals = true, default_missing_value = WITHOUT_END)]
    wait: Option<String>,

    /// How often, at most, to take note of how far it has come (90s, 10m): a run that is cut off is
    /// gone on with from there. Nothing is noted before 32 MiB were read
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = parse_time, hide_short_help = true)]
    checkpoint_interval: Duration,

    /// What to call the new point in time, for prune --keep-tag; can be given several times
    #[arg(long, value_name = "TAG")]
    tag: Vec<String>,

    /// Have the kernel write out what it still keeps in memory before anything is read
    #[arg(long)]
    sync: bool,

    /// Do all but store anything: tells what could not be read and how much would be stored
    #[arg(long)]
    dry_run: bool,

    /// A file to write what is known of the new level to, as JSON; - is standard output
    #[arg(long, value_name = "FILE")]
    metadata_out: Option<PathBuf>,

    /// What is backed up; this version has file trees
    #[arg(long, short = 'm', value_parser = ["fs"], hide = true)]
    mode: Option<String>,

    /// How changed files are stored: tar stores them whole, rsync of large ones the blocks that are
    /// new: for disk images and databases
    #[arg(long, short = 'e', alias = "engine-name", value_name = "ENGINE", default_value = "tar", value_parser = ["tar", "rsync", "rsyncv2"])]
    engine: String,

    /// Engine rsync: files from this size on are stored by blocks
    #[arg(
        long,
        value_name = "SIZE",
        default_value = "1MiB",
        hide_short_help = true
    )]
    block_threshold: ByteSize,

    /// Engine rsync: least length of a block; it is longer in files of more than two million blocks
    #[arg(
        long,
        alias = "rsync-block-size",
        value_name = "SIZE",
        default_value = "4KiB",
        hide_short_help = true
    )]
    block_size: ByteSize,

    // Last: its heading stands over all options after it.
    #[command(flatten)]
    retention: RetentionArguments,
}

fn parse_compression(text: &str) -> Result<Compression, String> {
    let text = text.to_ascii_lowercase();
    Compression::from_name(if text == "gzip" { "zlib" } else { &text })
        .ok_or_else(|| "there are zstd, gzip (or zlib), bzip2, xz and none".to_owned())
}

pub(in crate::cli) fn run(arguments: Arguments, session: &mut Session) -> anyhow::Result<Outcome> {
    let rules = arguments
        .retention
        .rules(session.clock.now(), &session.zone)?;
    if let Some(path) = &arguments.metadata_out
        && path != Path::new("-")
    {
        outside_stores("metadata", path)?;
    }
    let segment_bytes = arguments.max_segment_size.0;
    let places: Vec<StorePlace> = session
        .store_places()?
        .into_iter()
        .map(|place| place.with_segment_bytes(segment_bytes))
        .collect();
    let request = request(&arguments, &places, session)?;
    let policy = Policy {
        on_failure: if arguments.on_store_failure == "abort" {
            OnFailure::Abort
        } else {
            OnFailure::Continue
        },
        patience: mirror::WaitLimits {
            for_one: arguments.store_patience,
            in_all: arguments.store_lag,
        },
    };
    let destinations = if arguments.dry_run {
        Destinations::rehearsal(session)?
    } else {
        Destinations::open(&places, policy, session)?
    };
    let access = destinations.access();
    if arguments.sync {
        flush_file_systems().context("could not flush the file systems")?;
    }
    let cancel = interrupt::watch()?;
    let progress = session.progress();
    let report = backup::run(&request, access, &session.clock, &progress, &cancel)?;
    drop(progress);
    let outcomes = destinations.outcomes();
    tell(
        &arguments,
        &request.backup,
        &report,
        (access.cipher(), &outcomes),
        session,
    )?;
    when::warn_of_wrong_dates(&request.backup, &report.ahead, session.clock.now(), session);
    if !rules.is_empty() && !arguments.dry_run {
        for access in destinations.complete() {
            let pruned =
                prune::after_backup(&access, &request.backup, rules.clone(), session, &cancel);
            pruned.context("the backup is complete, but pruning it afterwards failed")?;
        }
    }
    let is_whole = report.manifest.counts.failed == 0
        && outcomes.iter().all(|outcome| outcome.failure.is_none());
    Ok(if is_whole {
        Outcome::Done
    } else {
        Outcome::Partial
    })
}

fn request(
    arguments: &Arguments,
    places: &[StorePlace],
    session: &Session,
) -> anyhow::Result<BackupRequest> {
    let sources: Vec<PathBuf> = arguments
        .paths
        .iter()
        .chain(&arguments.path_to_backup)
        .cloned()
        .collect();
    for path in &sources {
        // Before a store is made for nothing.
        let there = path.symlink_metadata();
        there.map_err(|source| {
            BackupError::Source(SourceError::Open {
                path: path.clone(),
                source,
            })
        })?;
    }
    let name = match (&arguments.backup_name, &sources[..]) {
        (Some(name), [_, ..]) => name.clone(),
        (None, [path]) => name_of(path)?,
        (_, []) => {
            return Err(Usage::new("nothing to back up was named")
                .hint("freezer backup PATH")
                .into());
        }
        (None, _) => {
            return Err(Usage::new("several paths need a name")
                .hint("name the backup: -N NAME")
                .into());
        }
    };
    let host = match &arguments.hostname {
        Some(host) => host.clone(),
        None => host_name().context("could not find out this machine's name")?,
    };
    let compression = arguments.compression;
    let compression_level = arguments
        .compression_level
        .unwrap_or(compression.default_level());
    if !compression.levels().contains(&compression_level) {
        let levels = compression.levels();
        let message = format!("{} has no level {compression_level}", compression.name());
        return Err(Usage::new(message)
            .hint(format!("it has {} to {}", levels.start(), levels.end()))
            .into());
    }
    if arguments.max_segment_size.0 == 0 {
        return Err(Usage::new("a segment cannot have 0 bytes")
            .hint("leave --max-segment-size out, or name a size such as 32MiB")
            .into());
    }
    Ok(BackupRequest {
        backup: BackupName::new(&host, &name)
            .map_err(|error| Usage::new(error.to_string()).hint("name the backup: -N NAME"))?,
        sources,
        excludes: Excludes::new(
            arguments
                .exclude
                .iter()
                .map(|pattern| pattern.as_encoded_bytes()),
        ),
        mounts: if arguments.one_file_system {
            Mounts::Stay
        } else {
            Mounts::Cross
        },
        skip: places
            .iter()
            .filter_map(|place| place_of_store(&place.location))
            .collect(),
        levels: levels(arguments),
        engine: engine(arguments)?,
        compression,
        compression_level,
        segment_bytes: arguments.max_segment_size.0,
        upload_jobs: arguments.upload_jobs.into(),
        tags: arguments.tag.clone(),
        zone: session.zone.iana_name().unwrap_or("").to_owned(),
        // Of several places each may have come to another one.
        checkpoints: (places.len() == 1).then(|| CheckpointRule {
            interval: arguments.checkpoint_interval,
            ..CheckpointRule::default()
        }),
        lock: if arguments.dry_run {
            None
        } else {
            Some(BackupLock {
                host: host_name().unwrap_or(host),
                patience: patience(arguments.wait.as_deref())?,
            })
        },
    })
}

/// What `--wait` says.
/// The value of `--wait` that stands for no value.
pub(in crate::cli) const WITHOUT_END: &str = "forever";

pub(in crate::cli) fn patience(wait: Option<&str>) -> anyhow::Result<Patience> {
    match wait {
        None => Ok(Patience::None),
        Some(WITHOUT_END) => Ok(Patience::Endless),
        Some(text) => Ok(Patience::For(duration(text)?)),
    }
}

fn duration(text: &str) -> anyhow::Result<Duration> {
    let length = text
        .parse::<jiff::SignedDuration>()
        .ok()
        .and_then(|length| Duration::try_from(length).ok());
    Ok(length.ok_or_else(|| {
        Usage::new(format!("{text:?} is no length of time")).hint("write it like 90s, 10m or 2h")
    })?)
}

fn engine(arguments: &Arguments) -> anyhow::Result<Engine> {
    if arguments.engine == "tar" {
        return Ok(Engine::Tar);
    }
    if arguments.tar_levels {
        return Err(Usage::new(
            "the engine rsync stores blocks, and --tar-levels wants whole files",
        )
        .hint("leave one of them out")
        .into());
    }
    let sizes = 512..=64 << 20;
    let least_block_bytes = u32::try_from(arguments.block_size.0)
        .ok()
        .filter(|bytes| sizes.contains(bytes))
        .ok_or_else(|| {
            Usage::new(format!(
                "a block cannot have {} bytes",
                arguments.block_size.0
            ))
            .hint("--block-size takes 512 bytes to 64 MiB")
        })?;
    Ok(Engine::Rsync(BlockOptions {
        threshold_bytes: arguments.block_threshold.0,
        least_block_bytes,
    }))
}

fn levels(arguments: &Arguments) -> Levels {
    Levels {
        incremental: !arguments.no_incremental && arguments.level.is_none(),
        max_level: arguments.max_level,
        always_level: arguments.always_level,
        restart_after_days: arguments.restart_always_level,
        evidence: if arguments.checksum {
            Evidence::Content
        } else {
            Evidence::Metadata
        },
        lies: Lies {
            ctime: arguments.ignore_ctime,
            inode: arguments.ignore_inode,
        },
        same_content: if arguments.tar_levels {
            SameContent::Store
        } else {
            SameContent::Lean
        },
    }
}

/// The last part of a path, which may be `.` or end in `..`.
fn name_of(path: &Path) -> anyhow::Result<String> {
    let absolute =
        std::path::absolute(path).with_context(|| format!("could not find {}", path.display()))?;
    let resolved = if absolute.file_name().is_some() {
        absolute
    } else {
        path.canonicalize().unwrap_or(absolute)
    };
    let name = resolved
        .file_name()
        .and_then(|name| name.to_str())
        .map(str::to_owned);
    Ok(name.ok_or_else(|| {
        Usage::new(format!("{} gives the backup no name", path.display())).hint("name it: -N NAME")
    })?)
}

/// Where the store's own files are, so that a backup of all there is does not take them in.
fn place_of_store(location: &Location) -> Option<(u64, u64)> {
    let Location::Folder(path) = location else {
        return None;
    };
    let stat = DirHandle::open(path)
        .and_then(|folder| folder.stat())
        .ok()?;
    Some((stat.device, stat.inode))
}

fn tell(
    arguments: &Arguments,
    backup: &BackupName,
    report: &Report,
    (cipher, outcomes): (Cipher, &[StoreOutcome]),
    session: &mut Session,
) -> anyhow::Result<()> {
    let manifest = &report.manifest;
    let document = LevelDocument::of(backup, manifest, cipher);
    let store = match outcomes.iter().find(|outcome| outcome.failure.is_none()) {
        Some(outcome) => outcome.store.clone(),
        None => session.location()?.to_string(),
    };
    let original = OriginalDocument::of(backup, manifest, cipher, &store);
    #[derive(serde::Serialize)]
    struct Metadata<'report> {
        #[serde(flatten)]
        original: OriginalDocument,
        #[serde(flatten)]
        level: LevelDocument<'report>,
        /// Where it is, and which stores did not get it.
        stores: &'report [StoreOutcome],
    }
    let document = Metadata {
        original,
        level: document,
        stores: outcomes,
    };
    let to_output = arguments.metadata_out.as_deref() == Some(Path::new("-"));
    if let (Some(path), false) = (&arguments.metadata_out, to_output) {
        let json = serde_json::to_vec_pretty(&document).context("could not write the metadata")?;
        std::fs::write(path, json)
            .with_context(|| format!("could not write {}", path.display()))?;
    }
    if session.output.format == Format::Json || to_output {
        #[derive(serde::Serialize)]
        struct Result<'report> {
            event: &'static str,
            dry_run: bool,
            /// What a run had stored that was cut off.
            #[serde(skip_serializing_if = "Option::is_none")]
            taken: Option<Taken>,
            #[serde(flatten)]
            level: Metadata<'report>,
        }
        #[derive(serde::Serialize)]
        struct Taken {
            files: u64,
            bytes: u64,
        }
        let taken = (report.taken.files > 0).then_some(Taken {
            files: report.taken.files,
            bytes: report.taken.bytes,
        });
        session.output.json(&Result {
            event: "result",
            dry_run: arguments.dry_run,
            taken,
            level: document,
        })?;
    }
    let complete = outcomes.iter().find(|outcome| outcome.failure.is_none());
    for (outcome, why) in outcomes
        .iter()
        .filter_map(|outcome| Some((outcome, outcome.failure.as_ref()?)))
    {
        session.output.warn(format_args!(
            "{} did not get this point in time: {why}",
            outcome.store
        ));
        if let Some(complete) = complete {
            session.output.note(format_args!(
                "hint: freezer sync {} {} brings it up to date",
                complete.store, outcome.store
            ));
        }
    }
    if session.output.format == Format::Json || to_output {
        return Ok(());
    }
    let what = if arguments.dry_run {
        "would back up"
    } else {
        "backed up"
    };
    let point = when::show(manifest.started, &session.zone);
    let counts = in_words(&manifest.counts, &manifest.bytes);
    session.output.note(format_args!(
        "{what} {backup}@{point}: {counts}, in {:.1} s",
        report.elapsed.as_secs_f64()
    ));
    if report.taken.files > 0 {
        let files = several(report.taken.files, "file", "files");
        session.output.note(format_args!(
            "{files} of these, {}, had been stored by a run that was cut off",
            show_bytes(report.taken.bytes)
        ));
    }
    if manifest.counts.failed > 0 {
        session.output.warn(format_args!(
            "{} could not be read as a whole",
            several(manifest.counts.failed, "file", "files")
        ));
    }
    Ok(())
}
