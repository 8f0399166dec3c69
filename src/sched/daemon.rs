//! The scheduler: polls, starts runs, and tells how they went.

mod error;
pub(super) mod heard;
mod runs;
mod settings;
mod work;

pub use error::DaemonError;
pub use settings::{JobSource, SchedulerSettings, Signals, WorkSpan};

use super::order::RunFolder;
use crate::platform::durable::{self, Sharing};
use crate::platform::{Clock, Running};
use std::fs::File;
use std::io;
use std::sync::Arc;

/// Works until it is told to end. `ready` is called when nothing can keep it from that any more.
///
/// # Errors
///
/// [`DaemonError`]: before it begins, when its own files fail, or when the server fails a scheduler
/// that runs once ([`WorkSpan::Once`]).
pub fn run(
    settings: SchedulerSettings,
    source: JobSource,
    clock: Arc<dyn Clock>,
    span: WorkSpan,
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
