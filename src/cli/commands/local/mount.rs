//! `freezer mount` and `freezer umount`.

use crate::catalog::{Access, Catalog, Order, OrderMemory, locate};
use crate::cli::open::outside::outside_stores;
use crate::cli::open::session::{Session, view_of};
use crate::cli::options::store_options::parse_time;
use crate::cli::show::failure::{Outcome, Usage};
use crate::cli::show::output::Format;
use crate::config::ByteSize;
use crate::fs::forest::{FolderOwner, Forest, PointSource, SourceError};
use crate::fs::fuse::Permissions;
use crate::fs::mount::{self, Audience, MountOptions, Occupied};
use crate::fs::view::View;
use crate::fs::{FileReader, ReadOptions};
use crate::model::{BackupName, BackupRef, Dated, LevelId};
use crate::platform::process::{self, Background};
use crate::platform::{Clock, ProcessIdentity, SystemClock};
use crate::store::location::Location;
use anyhow::Context;
use clap::Args;
use serde::Serialize;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// What the process in the background is started with, beside the arguments as they were typed.
const IN_BACKGROUND: &str = "--in-background";

/// Show a backup as a read-only file system
///
/// BACKUP@DATE shows one point in time; BACKUP alone one folder for each, and `latest`. Returns
/// when the mount answers; a process in the background keeps it until it is unmounted.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  freezer mount docs /mnt
  freezer mount docs@2026-11-20 /mnt
  freezer mount 'docs@yesterday 14:00' /mnt --foreground
  freezer umount /mnt

A process in the background logs to --log-file, else to ~/.local/state/freezer/mount.log: what could not be read, and why.")]
pub(in crate::cli) struct Arguments {
    /// NAME or HOST/NAME; with @DATE the newest point in time at or before it
    #[arg(value_name = "BACKUP[@DATE]")]
    backup: BackupRef,

    /// An empty directory to show it in
    #[arg(value_name = "DIRECTORY")]
    mount_point: PathBuf,

    /// Stay, and unmount when interrupted
    #[arg(long)]
    foreground: bool,

    /// How much memory may hold decoded data, in bytes or with a unit (256MiB, 1G) [default: 64MiB]
    #[arg(long, value_name = "SIZE")]
    cache_size: Option<ByteSize>,

    /// How long a request may wait for the store before it is answered with an error (EIO), in
    /// seconds or with a unit. What a store fails to do is tried again for half of that time, and
    /// its silence is taken for failure after a quarter, unless --retry-for and --timeout say less
    #[arg(long, value_name = "TIME", value_parser = parse_read_timeout, default_value = "2m")]
    read_timeout: Duration,

    /// Let other users in too, as far as permissions go (/etc/fuse.conf must have user_allow_other,
    /// unless you are root)
    #[arg(long)]
    allow_other: bool,

    /// Show everything as owned by this user number
    #[arg(long, value_name = "NUMBER")]
    uid: Option<u32>,

    /// Show everything as belonging to this group number
    #[arg(long, value_name = "NUMBER")]
    gid: Option<u32>,

    /// Let whoever may use the mount read everything in it, whatever the permissions say
    #[arg(long)]
    no_default_permissions: bool,

    /// A file to write counts of requests to, as JSON, when the mount ends or the process gets
    /// SIGUSR1
    #[arg(long, value_name = "FILE")]
    stats_file: Option<PathBuf>,

    /// Mount over a directory that is not empty; what is in it is hidden as long as the mount lasts
    #[arg(long)]
    cover: bool,

    /// This is the process in the background.
    #[arg(long, hide = true)]
    in_background: bool,
}

/// End a mount
#[derive(Debug, Args)]
#[command(
    visible_alias = "unmount",
    after_help = "Example:
  freezer umount /mnt"
)]
pub(in crate::cli) struct UnmountArguments {
    /// Where it is mounted
    #[arg(value_name = "DIRECTORY")]
    mount_point: PathBuf,
}

#[derive(Serialize)]
struct MountDocument<'mount> {
    mounted: String,
    mount_point: &'mount Path,
    #[serde(skip_serializing_if = "Option::is_none")]
    process: Option<u32>,
}

/// Gives a process in the background, which has no terminal, a log file if nobody named one.
pub(in crate::cli) fn choose_log_file(arguments: &Arguments, session: &mut Session) {
    if !arguments.in_background || session.common.log_file.is_some() {
        return;
    }
    let Some(path) = session.environment.default_log_file() else {
        return;
    };
    let made = path.parent().map_or(Ok(()), std::fs::create_dir_all);
    match made.and_then(|()| {
        std::fs::OpenOptions::new()
            .append(true)
            .create(true)
            .open(&path)
    }) {
        Ok(_) => session.common.log_file = Some(path),
        Err(error) => session.output.warn(format_args!(
            "the mount has no log file: could not write {}: {error}",
            path.display()
        )),
    }
}

/// As long as a store that is well may take to answer, at least.
fn parse_read_timeout(text: &str) -> Result<Duration, String> {
    let time = parse_time(text)?;
    if time < Duration::from_secs(1) {
        Err("no store answers everything in less than a second".to_owned())
    } else {
        Ok(time)
    }
}

pub(in crate::cli) fn run(arguments: &Arguments, session: &mut Session) -> anyhow::Result<Outcome> {
    if arguments.foreground || arguments.in_background {
        return serve(arguments, session);
    }
    let program = std::env::current_exe().context("could not find this program's file")?;
    let mut typed: Vec<OsString> = std::env::args_os().skip(1).collect();
    let end_of_options = typed
        .iter()
        .position(|argument| argument == "--")
        .unwrap_or(typed.len());
    typed.insert(end_of_options, IN_BACKGROUND.into());
    match process::start_in_background(&program, &typed)
        .context("could not start a process in the background")?
    {
        Background::Ready(process) => {
            told_mounted(arguments, session, Some(process))?;
            Ok(Outcome::Done)
        }
        Background::Ended(status) => Ok(Outcome::Told(
            status
                .code()
                .and_then(|code| u8::try_from(code).ok())
                .unwrap_or(crate::cli::show::failure::FAILED),
        )),
    }
}

fn told_mounted(
    arguments: &Arguments,
    session: &mut Session,
    process: Option<u32>,
) -> anyhow::Result<()> {
    let mount_point = &arguments.mount_point;
    if session.output.format == Format::Json {
        session.output.json(&MountDocument {
            mounted: arguments.backup.to_string(),
            mount_point,
            process,
        })?;
    } else {
        let shown = mount_point.display();
        session.output.note(format_args!(
            "{} is mounted on {shown}; freezer umount {shown} ends it",
            arguments.backup
        ));
    }
    Ok(())
}

fn serve(arguments: &Arguments, session: &mut Session) -> anyhow::Result<Outcome> {
    session.wait_no_longer_than(arguments.read_timeout);
    let access = session.access_for_reading()?;
    let read_options = read_options(arguments, session)?;
    let reader = Arc::new(FileReader::new(&read_options).context("could not start reading")?);
    let forest = forest(arguments, session, access, reader)?;
    let mut options = MountOptions::new(&arguments.mount_point, arguments.backup.to_string());
    if let Location::Folder(store) = session.location()? {
        options.store = Some(store);
    }
    options.audience = if arguments.allow_other {
        Audience::Everyone
    } else {
        Audience::Owner
    };
    options.occupied = if arguments.cover {
        Occupied::Cover
    } else {
        Occupied::Refuse
    };
    options.appearance.uid = arguments.uid;
    options.appearance.gid = arguments.gid;
    options.appearance.patience = arguments.read_timeout;
    if arguments.no_default_permissions {
        options.appearance.permissions = Permissions::Ignored;
    }
    if let Some(path) = &arguments.stats_file {
        outside_stores("counts", path)?;
    }
    options.stats_file.clone_from(&arguments.stats_file);
    if arguments.in_background {
        // After every question: a process without a terminal cannot ask.
        process::leave_session().context("could not leave the terminal")?;
    }
    let mut told = Ok(());
    mount::serve(&options, forest, || {
        told = if arguments.in_background {
            process::report_ready().context("nobody waits for the mount any more")
        } else {
            told_mounted(arguments, session, None)
        };
    })?;
    told.map(|()| Outcome::Done)
}

fn read_options(arguments: &Arguments, session: &Session) -> anyhow::Result<ReadOptions> {
    let mut options = ReadOptions {
        patience: arguments.read_timeout,
        ..session.read_options()?
    };
    if let Some(size) = arguments.cache_size {
        let refuse = |_| {
            Usage::new(format!(
                "this machine cannot address a cache of {} bytes",
                size.0
            ))
        };
        options.cache_bytes = usize::try_from(size.0).map_err(refuse)?;
    }
    Ok(options)
}

fn forest(
    arguments: &Arguments,
    session: &Session,
    access: Access,
    reader: Arc<FileReader>,
) -> anyhow::Result<Forest> {
    if arguments.backup.at().is_some() {
        let now = session.clock.now();
        let located = locate(&access, &arguments.backup, now, &session.zone)?;
        let (backup, _, manifest) = located.opened()?;
        return Ok(Forest::of_tree(view_of(
            &access, &backup, manifest, &reader,
        )?));
    }
    let backup = Catalog::new(access.store()).find(&arguments.backup)?;
    let points = Points {
        access,
        clock: session.clock,
        memory: Mutex::default(),
        backup,
        reader: Arc::clone(&reader),
    };
    let identity = ProcessIdentity::of_process();
    Ok(Forest::of_points(
        Arc::new(points),
        reader,
        session.zone.clone(),
        FolderOwner {
            uid: identity.uid,
            gid: identity.gid,
        },
    ))
}

/// The points in time of one backup.
struct Points {
    access: Access,
    clock: SystemClock,
    /// What manifests said of the order of points in time.
    memory: Mutex<OrderMemory>,
    backup: BackupName,
    reader: Arc<FileReader>,
}

impl PointSource for Points {
    fn list(&self) -> Result<Vec<Dated>, SourceError> {
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        let order = Order::read_with(&mut memory, &self.access, &self.backup, self.clock.now())?;
        let order = order.without_strays(&mut memory, &self.access, &self.backup)?;
        Ok(order.points().to_vec())
    }

    fn open(&self, level: &LevelId) -> Result<View, SourceError> {
        let manifest = self.access.manifest(&self.backup, level)?;
        Ok(view_of(&self.access, &self.backup, manifest, &self.reader)?)
    }
}

pub(in crate::cli) fn unmount(
    arguments: &UnmountArguments,
    session: &mut Session,
) -> anyhow::Result<Outcome> {
    mount::unmount(&arguments.mount_point)?;
    session.output.note(format_args!(
        "unmounted {}",
        arguments.mount_point.display()
    ));
    Ok(Outcome::Done)
}
