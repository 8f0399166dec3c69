//! The scheduler: polls, starts runs, and tells how they went.

mod runs;
mod work;

use super::book::{Rules, Tasks};
use super::connection::{ApiConnection, ApiError};
use super::journal::JournalError;
use super::order::{Agent, RunFolder};
use crate::model::{Advice, Cancel, hints};
use crate::platform::durable::{self, Sharing};
use crate::platform::{Clock, Running};
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

/// Where jobs come from.
#[derive(Debug)]
pub enum Source {
    /// A server.
    Server(Box<ApiConnection>),
    /// A folder of job files, or one such file.
    Folder(PathBuf),
}

/// How the scheduler works.
#[derive(Debug)]
pub struct Settings {
    /// Where it keeps what it has to remember.
    pub folder: PathBuf,
    /// What this node is called, if not by its project and name.
    pub client_id: Option<String>,
    /// The name of this node in the network.
    pub host: String,
    /// Time between two polls.
    pub interval: Duration,
    /// How many jobs run at once.
    pub places: usize,
    /// What holds for all jobs.
    pub rules: Rules,
    /// Who does the actions.
    pub agent: Agent,
    /// This program, to start runs with.
    pub program: PathBuf,
    /// Configuration files whose settings agents are to have too.
    pub defaults: Vec<PathBuf>,
    /// Whether commands and scripts of the server may be run.
    pub commands: bool,
    /// After how many seconds an action is ended.
    pub time_limit: Option<u64>,
    /// Whether other schedulers have the same client: then nothing is run that the server could not
    /// be asked about.
    pub cluster: bool,
}

/// Why a scheduler cannot work.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// Its folder.
    #[error("could not use the folder {path}")]
    Folder {
        /// Which one.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// There is another one.
    #[error("a scheduler with the folder {0} runs already")]
    Another(PathBuf),
    /// Its journal.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The server, where it was to be asked once.
    #[error(transparent)]
    Server(#[from] ApiError),
    /// Its files are another's.
    #[error("the scheduler has ended")]
    Closed,
    /// The thread that talks with the server is gone: a bug.
    #[error("the talk with the server has ended by itself; see what was logged before")]
    Deaf,
}

impl Advice for DaemonError {
    fn hint(&self) -> Option<&str> {
        match self {
            // Transparent: the causes of this error are those of the other one.
            Self::Server(error) => error.hint(),
            Self::Another(_) => Some("freezer scheduler stop ends it"),
            Self::Deaf => Some(hints::BUG),
            Self::Folder { .. } | Self::Journal(_) | Self::Closed => None,
        }
    }
}

/// How long to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Span {
    /// Until told to end.
    Always,
    /// Until what is due now has been run.
    Once,
}

/// What the outside tells it.
#[derive(Clone, Debug)]
pub struct Signals {
    /// To end. Runs go on.
    pub cancel: Cancel,
    /// To look at once for what has changed.
    pub reload: Arc<AtomicBool>,
}

/// What the loop hears of.
#[derive(Debug)]
pub(super) enum Heard {
    /// A run has ended.
    Ended {
        /// Its job.
        id: String,
        /// Which one.
        run: String,
    },
    /// The server was asked what there is to do.
    Polled(Result<Tasks, DaemonError>),
    /// It was asked whether a run may begin.
    Claimed {
        /// Its job.
        id: String,
        /// Which one.
        run: String,
        /// Whether it may.
        may: bool,
    },
}

/// Works until it is told to end. `ready` is called when nothing can keep it from that any more.
///
/// # Errors
///
/// [`DaemonError`]: before it begins, when its own files fail, or, with [`Span::Once`], when the
/// server does.
pub fn run(
    settings: Settings,
    source: Source,
    clock: Arc<dyn Clock>,
    span: Span,
    signals: &Signals,
    ready: impl FnOnce(),
) -> Result<(), DaemonError> {
    let lock = begin(&settings.folder)?;
    let mut daemon = work::Daemon::open(settings, source, clock)?;
    ready();
    let result = daemon.work(span, signals);
    daemon.close();
    drop(lock);
    result
}

/// The process that works with this folder, if one does.
pub fn running(folder: &std::path::Path) -> Result<Option<Running>, DaemonError> {
    let wrong = |source| DaemonError::Folder {
        path: folder.to_owned(),
        source,
    };
    match File::open(folder.join("lock")) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(wrong(error)),
        Ok(lock) => match lock.try_lock() {
            Ok(()) => return Ok(None),
            Err(std::fs::TryLockError::WouldBlock) => {}
            Err(std::fs::TryLockError::Error(error)) => return Err(wrong(error)),
        },
    }
    RunFolder::at(folder.to_owned())
        .read("process.json")
        .map_err(wrong)
}

/// Makes the folders, and locks them.
fn begin(folder: &std::path::Path) -> Result<File, DaemonError> {
    let wrong = |source| DaemonError::Folder {
        path: folder.to_owned(),
        source,
    };
    let parent = folder.parent().unwrap_or(folder);
    std::fs::create_dir_all(parent).map_err(wrong)?;
    for path in [
        folder.to_owned(),
        folder.join("runs"),
        folder.join("outbox"),
        folder.join("last"),
    ] {
        match durable::create_folder(&path, Sharing::private()) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(wrong(error)),
            _ => {}
        }
    }
    let path = folder.join("lock");
    let lock = match durable::create_file(&path, Sharing::private()) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => File::open(&path),
        lock => lock,
    };
    let lock = lock.map_err(wrong)?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(std::fs::TryLockError::WouldBlock) => {
            return Err(DaemonError::Another(folder.to_owned()));
        }
        Err(std::fs::TryLockError::Error(error)) => return Err(wrong(error)),
    }
    RunFolder::at(folder.to_owned())
        .write("process.json", &Running::this_process())
        .map_err(wrong)?;
    Ok(lock)
}
