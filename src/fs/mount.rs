//! The life of a mount: makes sure of the mount point, serves until told to stop, leaves nothing
//! behind.

use super::attach::Attach;
use super::fuse::{Adapter, Appearance, Permissions, RequestCounts};
use super::mounts::{Leave, LeaveError, OwnMount, in_full, is_dead};
use super::points::Forest;
use crate::catalog::store_around;
use crate::model::Advice;
use crate::platform::{folders_around, resolve};
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded, select};
use fuser::{Config, Session, SessionACL};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};
use signal_hook::iterator::{Handle, Signals};
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
    /// Where the store lies, if on this machine: the mount must not cover it. In a store, this one
    /// or another, nothing is mounted anyway.
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
    /// A backup is mounted there, and something of another program over it or in it.
    #[error("could not unmount {}", .mount_point.display())]
    Entangled {
        /// Where.
        mount_point: PathBuf,
        /// What would go with it.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
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

impl Advice for MountError {
    fn hint(&self) -> Option<&str> {
        match self {
            Self::MountPoint { .. } | Self::NotADirectory(_) => {
                Some("name a directory that exists and is yours")
            }
            Self::Occupied(_) => {
                Some("name an empty directory, or hide what is in this one with --cover")
            }
            Self::CoversStore { .. } => {
                Some("name a directory that neither holds the store nor lies in it")
            }
            Self::Mount { .. } => Some(
                "FUSE is needed: install fuse3, make sure that /dev/fuse exists, and for \
                 --allow-other that /etc/fuse.conf has user_allow_other",
            ),
            Self::NoAnswer { .. } => {
                Some("freezer umount DIRECTORY takes it away; -vv --foreground shows what it does")
            }
            Self::Unmount { .. } => Some(
                "leave it with every program that is in it (fuser -vm DIRECTORY shows them), and \
                 try again",
            ),
            Self::Entangled { .. } => {
                Some("unmount the other one first: umount DIRECTORY; then freezer umount DIRECTORY")
            }
            Self::NotOurs(_) => Some("`mount -t fuse.freezer` lists the mounts there are"),
            Self::Serve { .. } => None,
        }
    }
}

/// A mount that is being served by threads of this process. Ended by [`unmount`](Self::unmount); by
/// Drop in need.
pub struct Mounted {
    mount_point: PathBuf,
    /// What else is mounted there is not ours to end.
    own: OwnMount,
    state: State,
    ended: Receiver<io::Result<()>>,
    counts: Arc<RequestCounts>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Served,
    /// Nobody serves it any more: it was unmounted, or is dead.
    Ended,
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
    let kernel_options = kernel_options(options);
    let source = format!("freezer:{}", options.source);
    let attach = Attach {
        source: &source,
        options: &kernel_options,
    };
    let connection = attach.on(&mount_point).map_err(failed)?;
    let (tell, ended) = bounded(1);
    // From here on dropping it takes the mount away.
    let mounted = Mounted {
        own: OwnMount::on(&mount_point).map_err(|error| ending(&mount_point, error))?,
        mount_point: mount_point.clone(),
        state: State::Served,
        ended,
        counts: Arc::clone(&counts),
    };
    let acl = acl(options.audience);
    let session = Session::from_fd(adapter, connection, acl, serving(options)).map_err(failed)?;
    hearer
        .start(forest, session.notifier(), counts)
        .map_err(failed)?;
    thread::Builder::new()
        .name("freezer-mount".to_owned())
        .spawn(move || {
            // Nobody listens any more when the mount is dropped.
            tell.send(session.run()).ok();
        })
        .map_err(failed)?;
    match rustix::fs::stat(&mount_point) {
        Ok(_) => Ok(mounted),
        Err(error) => Err(MountError::NoAnswer {
            mount_point,
            source: error.into(),
        }),
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
        let has_ended = self.state == State::Ended || !self.ended.is_empty();
        if std::mem::replace(&mut self.state, State::Left) == State::Left {
            return Ok(());
        }
        let when = if has_ended {
            Leave::IfDead
        } else {
            Leave::AtOnce
        };
        let left = self.own.leave(when);
        left.map_err(|error| ending(&self.mount_point, error))
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
    let mut mounted = mount(options, forest)?;
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
        Some(result) => {
            mounted.state = State::Ended;
            mounted.leave()?;
            result.map_err(failed)
        }
        None => mounted.unmount(),
    }
}

/// Unmounts what a process of this program mounted, this one or another: the mount that is seen
/// there, where one lies over another.
///
/// # Errors
///
/// [`MountError::NotOurs`]; [`MountError::Entangled`]; [`MountError::Unmount`], also when programs
/// are still in it.
pub fn unmount(mount_point: &Path) -> Result<(), MountError> {
    let place = in_full(mount_point).map_err(|source| MountError::Unmount {
        mount_point: mount_point.to_owned(),
        source,
    })?;
    OwnMount::on(&place)
        .and_then(|own| own.leave(Leave::WhenFree))
        .map_err(|error| ending(mount_point, error))
}

/// What is told of a mount that could not be taken away.
fn ending(mount_point: &Path, error: LeaveError) -> MountError {
    let mount_point = mount_point.to_owned();
    match error {
        LeaveError::NotOurs => MountError::NotOurs(mount_point),
        LeaveError::Covered | LeaveError::Holds(_) => MountError::Entangled {
            mount_point,
            source: error.into(),
        },
        LeaveError::System(source) => MountError::Unmount {
            mount_point,
            source,
        },
    }
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

fn kernel_options(options: &MountOptions) -> Vec<&'static str> {
    let checked = options.appearance.permissions == Permissions::Checked;
    let everyone = options.audience == Audience::Everyone;
    let wanted = [
        checked.then_some("default_permissions"),
        everyone.then_some("allow_other"),
    ];
    wanted.into_iter().flatten().collect()
}

fn acl(audience: Audience) -> SessionACL {
    match audience {
        Audience::Owner => SessionACL::Owner,
        Audience::Everyone => SessionACL::All,
    }
}

fn serving(options: &MountOptions) -> Config {
    let mut config = Config::default();
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
    if is_dead(given) {
        take_away_dead(given)?;
    }
    let mode = rustix::fs::stat(given)
        .map_err(|error| failed(error.into()))?
        .st_mode;
    if rustix::fs::FileType::from_raw_mode(mode) != rustix::fs::FileType::Directory {
        return Err(MountError::NotADirectory(given.clone()));
    }
    let mount_point = given.canonicalize().map_err(failed)?;
    if let Some(store) = covered(&mount_point, options.store.as_deref()).map_err(failed)? {
        return Err(MountError::CoversStore { mount_point, store });
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

/// The store that a mount would hide from others, or from itself.
fn covered(mount_point: &Path, own: Option<&Path>) -> io::Result<Option<PathBuf>> {
    if let Some(store) = store_around(mount_point)? {
        return Ok(Some(store));
    }
    let Some(own) = own else {
        return Ok(None);
    };
    // By all its names: what is mounted on one of them may be seen under the others too.
    let holds_it = folders_around(own)?.contains(&mount_point.to_owned());
    let lies_in_it = folders_around(mount_point)?.contains(&resolve(own)?);
    Ok((holds_it || lies_in_it).then(|| own.to_owned()))
}

/// Takes away a mount of ours whose process died.
fn take_away_dead(given: &Path) -> Result<(), MountError> {
    let place = in_full(given).map_err(|source| MountError::MountPoint {
        mount_point: given.to_owned(),
        source,
    })?;
    match OwnMount::on(&place) {
        Ok(dead) => dead
            .leave(Leave::IfDead)
            .map_err(|error| ending(given, error))?,
        // What is dead there is another's: the mount point is told of as it is.
        Err(LeaveError::NotOurs) => return Ok(()),
        Err(error) => return Err(ending(given, error)),
    }
    tracing::warn!(mount_point = %given.display(), "a mount whose process had died was taken away");
    Ok(())
}
