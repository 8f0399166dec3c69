//! `freezer mount` and `freezer umount`.

use crate::catalog::{Access, Catalog, Order, OrderMemory, locate};
use crate::cli::interrupt::{self, ProcessKind};
use crate::cli::open::outside::outside_stores;
use crate::cli::open::point::view_of;
use crate::cli::open::session::Session;
use crate::cli::options::times::at_least_a_second;
use crate::cli::show::failure::{Completion, Usage};
use crate::cli::show::output::OutputForm;
use crate::config::{ByteSize, TimeLength};
use crate::fs::forest::{FolderOwner, Forest, PointSource, PointSourceError};
use crate::fs::fuse::Permissions;
use crate::fs::mount::{self, Audience, MountOptions, Occupied};
use crate::fs::view::View;
use crate::fs::{FileReader, ReadOptions};
use crate::model::{BackupName, BackupRef, Dated, Exit, LevelId};
use crate::platform::private_file;
use crate::platform::process::{self, Background};
use crate::platform::{Clock, ProcessIdentity, SystemClock};
use crate::store::location::Location;
use anyhow::Context;
use clap::Args;
use serde::Serialize;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// The option that tells a process that it is the one in the background.
const IN_BACKGROUND: &str = "--in-background";

/// The number that the system takes for no user and no group.
const NO_OWNER: i64 = u32::MAX as i64;

/// Show a backup as a read-only file system
///
/// BACKUP@DATE shows one point in time. BACKUP alone shows a folder for each, and `latest`. The
/// command returns when the mount answers; a process in the background serves it until it is
/// unmounted.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  freezer mount docs /mnt
  freezer mount docs@2026-11-20 /mnt
  freezer mount 'docs@yesterday 14:00' /mnt --foreground
  freezer umount /mnt

The process in the background logs what could not be read, and why, \
    to --log-file or ~/.local/state/freezer/mount.log.")]
pub(in crate::cli) struct Arguments {
    /// NAME or HOST/NAME; @DATE picks the newest point in time at or before DATE
    #[arg(value_name = "BACKUP[@DATE]")]
    backup: BackupRef,

    /// An empty directory to mount on
    #[arg(value_name = "DIRECTORY")]
    mount_point: PathBuf,

    /// Stay in the foreground, and unmount when interrupted
    #[arg(long)]
    foreground: bool,

    /// Memory for decoded data, in bytes or with a unit (256MiB, 1G) [default: 64MiB]
    #[arg(long, value_name = "SIZE")]
    cache_size: Option<ByteSize>,

    /// How long a request may wait for the store before it fails with EIO (90s, 10m; a number alone
    /// counts seconds; at least 1s). Calls of the store are retried for half of that time and fail
    /// after a quarter of silence, unless --retry-for and --timeout say less
    #[arg(long, value_name = "TIME", value_parser = at_least_a_second, default_value = "2m")]
    read_timeout: TimeLength,

    /// Let other users in too, as the permissions of files allow. Unless you are root,
    /// /etc/fuse.conf must have user_allow_other
    #[arg(long)]
    allow_other: bool,

    /// Show all files as owned by this user number
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(..NO_OWNER))]
    uid: Option<u32>,

    /// Show all files as owned by this group number
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(..NO_OWNER))]
    gid: Option<u32>,

    /// Let every user of the mount read everything in it, whatever the permissions say
    #[arg(long)]
    no_default_permissions: bool,

    /// Write counts of requests to FILE, as JSON, when the mount ends and when the process gets
    /// SIGUSR1
    #[arg(long, value_name = "FILE")]
    stats_file: Option<PathBuf>,

    /// Mount on a directory that is not empty; its content is hidden until it is unmounted
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
    /// The directory on which the backup is mounted
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

/// Chooses a log file for a process in the background, which has no terminal, if none is named.
pub(in crate::cli) fn choose_log_file(arguments: &Arguments, session: &mut Session) {
    if !arguments.in_background || session.common.log_file.is_some() {
        return;
    }
    let Some(path) = session.environment.default_log_file() else {
        return;
    };
    let made = path.parent().map_or(Ok(()), std::fs::create_dir_all);
    match made.and_then(|()| private_file::append(&path)) {
        Ok(_) => session.common.log_file = Some(path),
        Err(error) => session.output.warn(format_args!(
            "the mount has no log file: could not write {}: {error}",
            path.display()
        )),
    }
}

pub(in crate::cli) fn run(
    arguments: &Arguments,
    session: &mut Session,
) -> anyhow::Result<Completion> {
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
            tell_mounted(arguments, session, Some(process))?;
            Ok(Completion::Done)
        }
        Background::Ended(status) => Ok(Completion::OfAnother(
            status
                .code()
                .and_then(|code| u8::try_from(code).ok())
                .unwrap_or(Exit::Failed.code()),
        )),
    }
}

fn tell_mounted(
    arguments: &Arguments,
    session: &mut Session,
    process: Option<u32>,
) -> anyhow::Result<()> {
    let mount_point = &arguments.mount_point;
    if session.output.form == OutputForm::Json {
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

fn serve(arguments: &Arguments, session: &mut Session) -> anyhow::Result<Completion> {
    session.wait_no_longer_than(arguments.read_timeout.0);
    let access = session.access_for_reading()?;
    session.forget_passphrase();
    let read_options = read_options(arguments, session)?;
    let reader = Arc::new(FileReader::new(&read_options).context("could not start reading")?);
    let forest = forest(arguments, session, access, reader)?;
    let options = mount_options(arguments, session)?;
    if arguments.in_background {
        // After every question: a process without a terminal cannot ask.
        process::leave_session().context("could not leave the terminal")?;
    }
    interrupt::watch(ProcessKind::Mount, &session.screen)?;
    let mut told = Ok(());
    mount::serve(&options, forest, || {
        told = if arguments.in_background {
            process::report_ready().context("the process that waited for the mount has gone")
        } else {
            tell_mounted(arguments, session, None)
        };
    })?;
    told.map(|()| Completion::Done)
}

fn mount_options(arguments: &Arguments, session: &Session) -> anyhow::Result<MountOptions> {
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
    options.appearance.patience = arguments.read_timeout.0;
    if arguments.no_default_permissions {
        options.appearance.permissions = Permissions::Ignored;
    }
    if let Some(path) = &arguments.stats_file {
        outside_stores("counts", path)?;
    }
    options.stats_file.clone_from(&arguments.stats_file);
    Ok(options)
}

fn read_options(arguments: &Arguments, session: &Session) -> anyhow::Result<ReadOptions> {
    let mut options = ReadOptions {
        patience: arguments.read_timeout.0,
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
    let points = PointsOfBackup {
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
struct PointsOfBackup {
    access: Access,
    clock: SystemClock,
    /// The order of points in time, as far as manifests were read for it.
    memory: Mutex<OrderMemory>,
    backup: BackupName,
    reader: Arc<FileReader>,
}

impl PointSource for PointsOfBackup {
    fn list(&self) -> Result<Vec<Dated>, PointSourceError> {
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        let order = Order::read_with(&mut memory, &self.access, &self.backup, self.clock.now())?;
        let order = order.without_strays(&mut memory, &self.access, &self.backup)?;
        Ok(order.points().to_vec())
    }

    fn open(&self, level: &LevelId) -> Result<View, PointSourceError> {
        let manifest = self.access.manifest(&self.backup, level)?;
        Ok(view_of(&self.access, &self.backup, manifest, &self.reader)?)
    }
}

pub(in crate::cli) fn unmount(
    arguments: &UnmountArguments,
    session: &mut Session,
) -> anyhow::Result<Completion> {
    mount::unmount(&arguments.mount_point)?;
    session.output.note(format_args!(
        "unmounted {}",
        arguments.mount_point.display()
    ));
    Ok(Completion::Done)
}
