//! The life of a mount: makes sure of the mount point, serves until told to stop, leaves nothing
//! behind.

use super::fuse::{Adapter, Appearance, Permissions, RequestCounts};
use super::mounts;
use super::points::Forest;
use crate::platform::process;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded, select};
use fuser::{Config, MountOption, Session, SessionACL};
use rustix::io::Errno;
use rustix::mount::UnmountFlags;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};
use signal_hook::iterator::{Handle, Signals};
use std::ffi::OsStr;
use std::io;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

/// How long programs that still are in a mount may hold up the end of its process.
const GRACE: Duration = Duration::from_secs(2);

/// What to mount where, and for whom.
#[derive(Clone, Debug)]
pub struct MountOptions {
    /// The directory to mount on.
    pub mount_point: PathBuf,
    /// What the table of mounts shows as the source, such as `docs@2026-11-20`.
    pub source: String,
    /// Where the store lies, if on this machine: the mount must not cover it, nor lie in it.
    pub store: Option<PathBuf>,
    /// Owners, permissions and patience.
    pub appearance: Appearance,
    /// Who may look into it.
    pub audience: Audience,
    /// What to do with a mount point that is not empty.
    pub occupied: Occupied,
    /// Threads that take requests.
    pub threads: NonZeroUsize,
    /// Where the counts of requests are written as JSON, at the end and when the process gets
    /// `SIGUSR1`.
    pub stats_file: Option<PathBuf>,
}

impl MountOptions {
    /// The usual options for a mount point.
    pub fn new(mount_point: impl Into<PathBuf>, source: impl Into<String>) -> Self {
        let cores = thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        Self {
            mount_point: mount_point.into(),
            source: source.into(),
            store: None,
            appearance: Appearance::default(),
            audience: Audience::Owner,
            occupied: Occupied::Refuse,
            threads: cores.clamp(
                NonZeroUsize::MIN.saturating_add(1),
                NonZeroUsize::MIN.saturating_add(3),
            ),
            stats_file: None,
        }
    }
}

/// Who may look into a mount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// The user who mounts it, and nobody else, not even root.
    Owner,
    /// Everybody, as far as permissions go.
    Everyone,
}

/// What to do with a mount point that is not empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Occupied {
    /// Not to mount there.
    Refuse,
    /// To hide what is there as long as the mount lasts.
    Cover,
}

/// Why a mount could not be made, kept or ended.
#[derive(Debug, thiserror::Error)]
pub enum MountError {
    /// The mount point cannot be used for lack of rights, or is not there.
    #[error("cannot mount on {}", .mount_point.display())]
    MountPoint {
        /// Where.
        mount_point: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is no directory.
    #[error("cannot mount on {}: it is not a directory", .0.display())]
    NotADirectory(PathBuf),
    /// It has entries, which would be hidden.
    #[error("cannot mount on {}: it is not empty", .0.display())]
    Occupied(PathBuf),
    /// The store would be hidden, or the mount lie in it.
    #[error("cannot mount on {}: it would hide the store {} or a part of it", .mount_point.display(), .store.display())]
    CoversStore {
        /// Where.
        mount_point: PathBuf,
        /// Which store.
        store: PathBuf,
    },
    /// FUSE refused, or it is not there.
    #[error("could not mount {}", .mount_point.display())]
    Mount {
        /// Where.
        mount_point: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The mount was made and does not answer.
    #[error("the mount on {} does not answer", .mount_point.display())]
    NoAnswer {
        /// Where.
        mount_point: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Nothing is mounted there, or something of another program.
    #[error("could not unmount {}: no backup is mounted there", .0.display())]
    NotOurs(PathBuf),
    /// The mount could not be ended.
    #[error("could not unmount {}", .mount_point.display())]
    Unmount {
        /// Where.
        mount_point: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Serving it failed.
    #[error("the mount on {} failed", .mount_point.display())]
    Serve {
        /// Where.
        mount_point: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// A mount that is being served by threads of this process. Ended by [`unmount`](Self::unmount); by
/// Drop in need.
pub struct Mounted {
    mount_point: PathBuf,
    /// The number the system gave it: what else is mounted there is not ours to end.
    device: u64,
    state: State,
    ended: Receiver<io::Result<()>>,
    counts: Arc<RequestCounts>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Mounted,
    Left,
}

/// Mounts a forest and has it served. Returns when the mount answers.
///
/// A mount there whose process died is taken away first.
///
/// # Errors
///
/// [`MountError`]; nothing is left mounted then.
pub fn mount(options: &MountOptions, forest: Forest) -> Result<Mounted, MountError> {
    let mount_point = prepare(options)?;
    let failed = |source| MountError::Mount {
        mount_point: mount_point.clone(),
        source,
    };
    let counts = Arc::new(RequestCounts::default());
    let (adapter, hearer) =
        Adapter::new(forest.clone(), options.appearance, Arc::clone(&counts)).map_err(failed)?;
    let session = Session::new(adapter, &mount_point, &config(options)).map_err(failed)?;
    hearer
        .start(forest, session.notifier(), Arc::clone(&counts))
        .map_err(failed)?;
    let (tell, ended) = bounded(1);
    let serving = thread::Builder::new()
        .name("freezer-mount".to_owned())
        .spawn(move || {
            // Nobody listens any more when the mount is dropped.
            tell.send(session.run()).ok();
        });
    serving.map_err(failed)?;
    match rustix::fs::stat(&mount_point) {
        Ok(status) => Ok(Mounted {
            mount_point,
            device: status.st_dev,
            state: State::Mounted,
            ended,
            counts,
        }),
        Err(error) => {
            if let Err(left) = leave(&mount_point, Leave::AtOnce) {
                tracing::error!(mount_point = %mount_point.display(), error = %left, "the mount stays behind");
            }
            Err(MountError::NoAnswer {
                mount_point,
                source: error.into(),
            })
        }
    }
}

impl Mounted {
    /// Where it is mounted, as an absolute path without symbolic links.
    pub fn mount_point(&self) -> &Path {
        &self.mount_point
    }

    /// How many requests it had so far.
    pub fn counts(&self) -> &RequestCounts {
        &self.counts
    }

    /// Takes the mount out of the tree at once, and waits a little for programs that still are in
    /// it.
    ///
    /// # Errors
    ///
    /// [`MountError::Unmount`], [`MountError::Serve`].
    pub fn unmount(mut self) -> Result<(), MountError> {
        self.leave()?;
        match self.ended.recv_timeout(GRACE) {
            Ok(result) => result.map_err(|source| MountError::Serve {
                mount_point: self.mount_point.clone(),
                source,
            }),
            Err(RecvTimeoutError::Timeout) => {
                tracing::warn!(mount_point = %self.mount_point.display(), "programs still use the mount; they get errors when this process ends");
                Ok(())
            }
            Err(RecvTimeoutError::Disconnected) => Ok(()),
        }
    }

    fn leave(&mut self) -> Result<(), MountError> {
        let is_there =
            rustix::fs::stat(&self.mount_point).is_ok_and(|status| status.st_dev == self.device);
        if std::mem::replace(&mut self.state, State::Left) == State::Left || !is_there {
            return Ok(());
        }
        leave(&self.mount_point, Leave::AtOnce).map_err(|source| MountError::Unmount {
            mount_point: self.mount_point.clone(),
            source,
        })
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        if let Err(error) = self.leave() {
            tracing::error!(error = %error, "the mount stays behind");
        }
    }
}

/// Mounts a forest and serves it until it is unmounted, or the process gets `SIGINT`, `SIGTERM` or
/// `SIGHUP`, which unmount it. Calls `ready` when the mount answers.
///
/// # Errors
///
/// [`MountError`].
pub fn serve(
    options: &MountOptions,
    forest: Forest,
    ready: impl FnOnce(),
) -> Result<(), MountError> {
    let failed = |source| MountError::Serve {
        mount_point: options.mount_point.clone(),
        source,
    };
    let at_hand = forest.at_hand();
    let (signals, watcher) = watch_signals().map_err(failed)?;
    let mounted = mount(options, forest)?;
    ready();
    let report = |mounted: &Mounted| match &options.stats_file {
        Some(file) => write_stats(file, mounted.counts(), &at_hand),
        None => Ok(()),
    };
    // What ended the mount, if it was not a signal.
    let ended = loop {
        select! {
            recv(mounted.ended) -> result => break Some(result.unwrap_or(Ok(()))),
            recv(signals) -> signal => match signal {
                Ok(SIGUSR1) => report(&mounted).map_err(failed)?,
                _ => break None,
            },
        }
    };
    watcher.close();
    report(&mounted).map_err(failed)?;
    match ended {
        Some(result) => result.map_err(failed),
        None => mounted.unmount(),
    }
}

/// Unmounts what a process of this program mounted, this one or another.
///
/// # Errors
///
/// [`MountError::NotOurs`]; [`MountError::Unmount`], also when programs are still in it.
pub fn unmount(mount_point: &Path) -> Result<(), MountError> {
    let failed = |source| MountError::Unmount {
        mount_point: mount_point.to_owned(),
        source,
    };
    if !mounts::is_ours(mount_point).map_err(failed)? {
        return Err(MountError::NotOurs(mount_point.to_owned()));
    }
    leave(mount_point, Leave::WhenFree).map_err(failed)
}

fn watch_signals() -> io::Result<(Receiver<i32>, Handle)> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP, SIGUSR1])?;
    let handle = signals.handle();
    let (tell, told): (Sender<i32>, _) = bounded(16);
    thread::Builder::new()
        .name("freezer-signals".to_owned())
        .spawn(move || {
            for signal in signals.forever() {
                if tell.send(signal).is_err() {
                    break;
                }
            }
        })?;
    Ok((told, handle))
}

fn write_stats(file: &Path, counts: &RequestCounts, forest: &Forest) -> io::Result<()> {
    let requests: serde_json::Map<_, _> = counts
        .snapshot()
        .into_iter()
        .map(|(kind, count)| (kind.to_owned(), count.into()))
        .collect();
    let stats = serde_json::json!({ "requests": requests, "answered": counts.answered(), "cache": forest.cache_counts() });
    std::fs::write(file, format!("{stats}\n"))
}

fn config(options: &MountOptions) -> Config {
    let mut config = Config::default();
    // A comma would begin another option.
    let source = format!("freezer:{}", options.source.replace(',', "_"));
    config.mount_options = vec![
        MountOption::RO,
        MountOption::NoAtime,
        MountOption::NoSuid,
        MountOption::NoDev,
        MountOption::FSName(source),
        MountOption::CUSTOM(format!("subtype={}", mounts::SUBTYPE)),
    ];
    if options.appearance.permissions == Permissions::Checked {
        config.mount_options.push(MountOption::DefaultPermissions);
    }
    config.acl = match options.audience {
        Audience::Owner => SessionACL::Owner,
        Audience::Everyone => SessionACL::All,
    };
    config.n_threads = Some(options.threads.get());
    config.clone_fd = true;
    config
}

/// Makes sure that the mount point can be used. Returns it as an absolute path without symbolic
/// links.
fn prepare(options: &MountOptions) -> Result<PathBuf, MountError> {
    let given = &options.mount_point;
    let failed = |source: io::Error| MountError::MountPoint {
        mount_point: given.clone(),
        source,
    };
    // A mount whose process died. What the kernel keeps of it, such as the attributes of its root,
    // it still answers; this has to be asked each time.
    if rustix::fs::statvfs(given).err() == Some(Errno::NOTCONN)
        && mounts::is_ours(given).map_err(failed)?
    {
        leave(given, Leave::AtOnce).map_err(failed)?;
        tracing::warn!(mount_point = %given.display(), "a mount whose process had died was taken away");
    }
    let mode = rustix::fs::stat(given)
        .map_err(|error| failed(error.into()))?
        .st_mode;
    if rustix::fs::FileType::from_raw_mode(mode) != rustix::fs::FileType::Directory {
        return Err(MountError::NotADirectory(given.clone()));
    }
    let mount_point = given.canonicalize().map_err(failed)?;
    if let Some(store) = &options.store {
        let place = store.canonicalize().map_err(failed)?;
        if place.starts_with(&mount_point) || mount_point.starts_with(&place) {
            return Err(MountError::CoversStore {
                mount_point,
                store: store.clone(),
            });
        }
    }
    let is_empty = std::fs::read_dir(&mount_point)
        .map_err(failed)?
        .next()
        .is_none();
    if !is_empty && options.occupied == Occupied::Refuse {
        return Err(MountError::Occupied(given.clone()));
    }
    Ok(mount_point)
}

/// When a mount is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Leave {
    /// Not as long as programs are in it.
    WhenFree,
    /// At once: programs that are in it stay in what nobody else sees.
    AtOnce,
}

fn leave(mount_point: &Path, when: Leave) -> io::Result<()> {
    let flags = match when {
        Leave::WhenFree => UnmountFlags::NOFOLLOW,
        Leave::AtOnce => UnmountFlags::NOFOLLOW | UnmountFlags::DETACH,
    };
    match rustix::mount::unmount(mount_point, flags) {
        // Users other than root may end their own FUSE mounts through this program alone.
        Err(Errno::PERM) => fusermount(mount_point, when),
        result => Ok(result?),
    }
}

fn fusermount(mount_point: &Path, when: Leave) -> io::Result<()> {
    let flags = match when {
        Leave::WhenFree => "-u",
        Leave::AtOnce => "-uz",
    };
    let output = process::run(
        Path::new("fusermount3"),
        [OsStr::new(flags), OsStr::new("--"), mount_point.as_os_str()],
    )?;
    if output.status.success() {
        Ok(())
    } else {
        Err(io::Error::other(
            String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        ))
    }
}
