//! Calls to the file systems of the sources, and the places that did not answer.
//!
//! A file system that hangs keeps the thread that asks it, and nothing can end that thread. So all
//! calls are made by threads that can be left behind ([`PatientCaller`]): the walk, each reader and
//! the archive has one such thread at a time. A name that did not answer is not asked again. A file
//! system that left [`MOST_SILENT`] calls without an answer is asked nothing more, which bounds the
//! number of threads. Record: docs/design/0028.

use crate::model::{Cancel, TreePath};
use crate::platform::{FileHandle, NoAnswer, PatientCaller, device_mounted_on};
use std::collections::{HashMap, HashSet};
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Calls without an answer after which a file system is left out as a whole. One may be a file that
/// its owner locked, two may be chance.
const MOST_SILENT: u32 = 3;

/// The patience with the sources of a run, and the places that exhausted it.
pub(super) struct SourceCalls {
    patience: Option<Duration>,
    cancel: Cancel,
    /// Absolute path of the tree's root on disk.
    root: Vec<u8>,
    /// Whether any place is silent: the only question of a healthy run.
    any: AtomicBool,
    silent: Mutex<SilentPlaces>,
}

#[derive(Default)]
struct SilentPlaces {
    names: HashSet<TreePath>,
    /// Number of calls without an answer, by device.
    devices: HashMap<u64, u32>,
}

/// Why a place is not asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAsked {
    /// It did not answer before, and was named then.
    #[error("it did not answer before")]
    Name,
    /// Its file system did not answer several times.
    #[error("its file system did not answer {MOST_SILENT} times, and is left out as a whole")]
    FileSystem,
}

impl SourceCalls {
    /// Starts without a silent place. `patience` bounds one call; `None` waits for ever.
    pub(super) fn new(patience: Option<Duration>, cancel: &Cancel, root: &[u8]) -> Self {
        Self {
            patience,
            cancel: cancel.clone(),
            root: root.to_vec(),
            any: AtomicBool::new(false),
            silent: Mutex::default(),
        }
    }

    /// Fails if a path, or the file system that it is on, did not answer before.
    pub(super) fn check(&self, path: &TreePath, device: Option<u64>) -> Result<(), NotAsked> {
        if !self.any.load(Ordering::Acquire) {
            return Ok(());
        }
        let silent = self.silent();
        let count = device.and_then(|device| silent.devices.get(&device));
        if silent.names.contains(path) {
            Err(NotAsked::Name)
        } else if count.is_some_and(|count| *count >= MOST_SILENT) {
            Err(NotAsked::FileSystem)
        } else {
            Ok(())
        }
    }

    /// Notes that a path did not answer. `device` is that of the directory it is in. Returns
    /// whether it is the first call about this path without an answer.
    pub(super) fn note(&self, path: &TreePath, device: Option<u64>) -> bool {
        let device = self.mounted_on(path).or(device);
        let mut silent = self.silent();
        if let Some(device) = device {
            *silent.devices.entry(device).or_default() += 1;
        }
        self.any.store(true, Ordering::Release);
        silent.names.insert(path.clone())
    }

    /// Returns the device of the file system that is mounted on a path. The table of mounts tells
    /// that without asking the file system.
    fn mounted_on(&self, path: &TreePath) -> Option<u64> {
        let mut place = self.root.clone();
        if !path.is_root() {
            if place.last() != Some(&b'/') {
                place.push(b'/');
            }
            place.extend_from_slice(path.as_bytes());
        }
        device_mounted_on(&place)
    }

    fn silent(&self) -> MutexGuard<'_, SilentPlaces> {
        self.silent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns whether the trouble with a path was reported by the thread that asked it first.
pub(super) fn is_told(error: &io::Error) -> bool {
    let cause = error.get_ref().and_then(|cause| cause.downcast_ref());
    cause == Some(&NotAsked::Name)
}

/// Makes the calls of one thread of the run.
pub(super) struct SourceCaller {
    calls: Arc<SourceCalls>,
    caller: PatientCaller,
    /// The bytes of the last read, to be filled again.
    buffer: Mutex<Vec<u8>>,
}

impl SourceCaller {
    pub(super) fn new(calls: &Arc<SourceCalls>) -> Self {
        Self {
            calls: Arc::clone(calls),
            caller: PatientCaller::new(calls.patience, calls.cancel.clone()),
            buffer: Mutex::default(),
        }
    }

    /// Returns the silent places of the run.
    pub(super) fn calls(&self) -> &Arc<SourceCalls> {
        &self.calls
    }

    /// Does work that may make many calls, and calls `meanwhile` about ten times a second.
    pub(super) fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
        meanwhile: impl FnMut(),
    ) -> Result<T, NoAnswer> {
        self.caller.call_with(work, meanwhile)
    }

    /// Makes calls about one path, on the device of the directory it is in.
    ///
    /// # Errors
    ///
    /// That of the call; [`io::ErrorKind::TimedOut`] without an answer, at once if there was none
    /// before; [`io::ErrorKind::Interrupted`] if the run is to end.
    pub(super) fn ask<T: Send + 'static>(
        &self,
        path: &TreePath,
        device: Option<u64>,
        work: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let not_asked = |why| io::Error::new(io::ErrorKind::TimedOut, why);
        self.calls.check(path, device).map_err(not_asked)?;
        match self.caller.call(work) {
            Ok(answer) => answer,
            Err(error) => {
                if let NoAnswer::Hung { .. } = &error {
                    tracing::warn!(%path, %error, "left behind");
                    if !self.calls.note(path, device) {
                        return Err(not_asked(NotAsked::Name));
                    }
                }
                Err(error.into_io())
            }
        }
    }

    /// Fills `space` from a file, as [`FileHandle::read_at`] does.
    pub(super) fn read_at(
        &self,
        path: &TreePath,
        device: Option<u64>,
        file: &Arc<FileHandle>,
        space: &mut [u8],
        at: u64,
    ) -> io::Result<usize> {
        let wanted = space.len();
        let mut held = self.buffer.lock().unwrap_or_else(PoisonError::into_inner);
        let mut buffer = std::mem::take(&mut *held);
        let file = Arc::clone(file);
        let (buffer, read) = self.ask(path, device, move || {
            if buffer.len() < wanted {
                buffer.resize(wanted, 0);
            }
            let read = file.read_at(buffer.get_mut(..wanted).unwrap_or_default(), at);
            Ok((buffer, read))
        })?;
        let read = read?;
        if let (Some(space), Some(bytes)) = (space.get_mut(..read), buffer.get(..read)) {
            space.copy_from_slice(bytes);
        }
        *held = buffer;
        Ok(read)
    }
}
