//! Objects that are being written: where they are until they are whole, and what becomes of those
//! left behind.
//!
//! Below the store's folder, in `#tmp` (no legal object name), each process that writes has a
//! folder of its own with a file that it keeps locked. The system takes the lock away when the
//! process ends, however it ends: a folder whose lock can be had is nobody's, and the next writer
//! removes it. Should that ever hit a living one (a network file system on which machines do not
//! see each other's locks), its put notices at the rename and starts over.

use crate::platform::durable::{self, Access, Identity};
use crate::store::Rope;
use std::fs::{self, File, TryLockError};
use std::io::{self, IoSlice, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// Holds the folders of all writers.
const SHARED_FOLDER: &str = "#tmp";

/// The locked file in a writer's folder.
const LOCK_FILE: &str = "lock";

/// How often a writer's folder is tried to be made while others tidy up.
const ATTEMPTS: usize = 64;

/// Where one opened store writes its temporaries. Made at the first write: a store that is only
/// read stays untouched.
#[derive(Debug)]
pub struct Workshop {
    shared: PathBuf,
    access: Access,
    /// This writer's own folder, once there is one.
    bench: Mutex<Option<Arc<Bench>>>,
}

impl Workshop {
    /// For the store in the folder `root`.
    pub fn new(root: &Path, access: Access) -> Self {
        Self {
            shared: root.join(SHARED_FOLDER),
            access,
            bench: Mutex::new(None),
        }
    }

    /// Writes a body into a new temporary and flushes it. `may_make` is asked before folders are
    /// made.
    pub fn write(
        &self,
        body: &Rope,
        may_make: impl Fn() -> io::Result<()>,
    ) -> io::Result<Temporary> {
        for _ in 0..ATTEMPTS {
            let bench = self.bench(&may_make)?;
            let temporary = Temporary {
                path: bench
                    .folder
                    .join(bench.next.fetch_add(1, Ordering::Relaxed).to_string()),
                bench,
            };
            match durable::create_file(&temporary.path, self.access) {
                Ok(file) => {
                    fill(&file, body)?;
                    return Ok(temporary);
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    self.give_up(&temporary.bench)
                }
                Err(error) => return Err(error),
            }
        }
        Err(io::Error::new(
            io::ErrorKind::ResourceBusy,
            "the folder for temporary files does not last",
        ))
    }

    fn bench(&self, may_make: &impl Fn() -> io::Result<()>) -> io::Result<Arc<Bench>> {
        let mut bench = self.bench.lock().expect("nothing panics while it is held");
        if let Some(bench) = &*bench {
            return Ok(Arc::clone(bench));
        }
        may_make()?;
        remove_abandoned(&self.shared);
        let made = Arc::new(Bench::create(&self.shared, self.access)?);
        *bench = Some(Arc::clone(&made));
        Ok(made)
    }

    fn give_up(&self, lost: &Arc<Bench>) {
        let mut bench = self.bench.lock().expect("nothing panics while it is held");
        if bench.as_ref().is_some_and(|bench| Arc::ptr_eq(bench, lost)) {
            *bench = None;
        }
    }
}

/// A writer's own folder. Removed when the store is closed and no temporary is left.
#[derive(Debug)]
struct Bench {
    folder: PathBuf,
    /// Keeps the lock for as long as it is open.
    _lock: File,
    /// Name of the next temporary.
    next: AtomicU64,
}

impl Bench {
    fn create(shared: &Path, access: Access) -> io::Result<Self> {
        for _ in 0..ATTEMPTS {
            match Self::try_create(shared, access) {
                Ok(Some(bench)) => return Ok(bench),
                // Someone who tidied up was quicker.
                Ok(None) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::Error::new(
            io::ErrorKind::ResourceBusy,
            "the folder for temporary files does not last",
        ))
    }

    fn try_create(shared: &Path, access: Access) -> io::Result<Option<Self>> {
        match durable::create_folder(shared, access) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        let folder = shared.join(format!(
            "{}-{:016x}",
            std::process::id(),
            getrandom::u64().map_err(io::Error::other)?
        ));
        durable::create_folder(&folder, access)?;
        let path = folder.join(LOCK_FILE);
        let lock = durable::create_file(&path, access)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            // No locks here: then nobody can have this one, and nothing is ever tidied up.
            Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {}
            Err(TryLockError::Error(error)) => return Err(error),
        }
        // Between its making and its locking the file could be taken for abandoned.
        let ours = Identity::of(&fs::metadata(&path)?) == Identity::of(&lock.metadata()?);
        Ok(ours.then(|| Self {
            folder,
            _lock: lock,
            next: AtomicU64::new(0),
        }))
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        remove_folder(&self.folder);
    }
}

/// Removes the folders of writers that are no more. What cannot be removed stays: it does no harm
/// but take space.
fn remove_abandoned(shared: &Path) {
    let Ok(entries) = fs::read_dir(shared) else {
        return;
    };
    for folder in entries.flatten().map(|entry| entry.path()) {
        match File::options().write(true).open(folder.join(LOCK_FILE)) {
            Ok(lock) if lock.try_lock().is_ok() => remove_folder(&folder),
            Ok(_) => {}
            // Being made, or half removed: goes only if it is empty, and its maker then takes
            // another one.
            Err(_) => drop(fs::remove_dir(&folder)),
        }
    }
}

/// Removes a writer's folder, its lock last, and the shared one when it was the last in it.
fn remove_folder(folder: &Path) {
    for entry in fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.file_name() != LOCK_FILE)
    {
        if let Err(error) = fs::remove_file(entry.path()) {
            tracing::warn!(path = %entry.path().display(), %error, "could not remove a temporary file");
        }
    }
    for removed in [
        fs::remove_file(folder.join(LOCK_FILE)),
        fs::remove_dir(folder),
    ] {
        if let Err(error) = removed {
            tracing::debug!(path = %folder.display(), %error, "could not remove a folder of temporary files");
        }
    }
    // Fails while others have folders in it.
    drop(folder.parent().map(fs::remove_dir));
}

/// Writes all pieces, without joining them first, and flushes them to the disk.
fn fill(mut file: &File, body: &Rope) -> io::Result<()> {
    let mut slices: Vec<IoSlice<'_>> = body
        .iter()
        .filter(|piece| !piece.is_empty())
        .map(|piece| IoSlice::new(piece))
        .collect();
    let mut rest = slices.as_mut_slice();
    while !rest.is_empty() {
        match file.write_vectored(rest) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => IoSlice::advance_slices(&mut rest, count),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    file.sync_all()
}

/// A file that is whole and on the disk but not yet an object. Removed when dropped, unless it
/// became one.
#[derive(Debug)]
pub struct Temporary {
    path: PathBuf,
    /// Keeps the folder.
    bench: Arc<Bench>,
}

impl Temporary {
    /// Gives the file the object's name, in place of any that had it.
    pub fn rename_to(mut self, target: &Path) -> Result<(), (Self, io::Error)> {
        match fs::rename(&self.path, target) {
            Ok(()) => {
                // There is nothing to remove.
                self.path = PathBuf::new();
                Ok(())
            }
            Err(error) => Err((self, error)),
        }
    }

    /// The same where no file has it.
    pub fn link_to(self, target: &Path) -> Result<(), (Self, io::Error)> {
        fs::hard_link(&self.path, target).map_err(|error| (self, error))
    }

    /// Whether the file still exists under its temporary name.
    pub fn is_there(&self) -> bool {
        self.path.exists()
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.path.as_os_str().is_empty()
            && let Err(error) = fs::remove_file(&self.path)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(path = %self.path.display(), %error, "could not remove a temporary file");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{LOCK_FILE, SHARED_FOLDER, Workshop};
    use crate::platform::durable::Access;
    use std::fs;
    use std::path::Path;

    fn workshop(root: &Path) -> Workshop {
        Workshop::new(root, Access::private())
    }

    fn folders(root: &Path) -> usize {
        fs::read_dir(root.join(SHARED_FOLDER)).map_or(0, Iterator::count)
    }

    #[test]
    fn what_a_dead_writer_left_is_removed_and_what_a_living_one_writes_is_not() {
        let root = tempfile::tempdir().expect("a folder");
        let abandoned = root.path().join(SHARED_FOLDER).join("1-0");
        fs::create_dir_all(&abandoned).expect("made");
        fs::write(abandoned.join(LOCK_FILE), "").expect("written");
        fs::write(abandoned.join("7"), "half an obj").expect("written");
        let living = workshop(root.path());
        let temporary = living
            .write(&vec![b"a".to_vec(), vec![], b"bc".to_vec()], || Ok(()))
            .expect("written");
        assert!(!abandoned.exists(), "its lock was free");
        let other = workshop(root.path());
        let theirs = other.write(&vec![], || Ok(())).expect("written");
        assert_eq!(folders(root.path()), 2);
        temporary
            .rename_to(&root.path().join("object"))
            .map_err(|(_, error)| error)
            .expect("still there");
        assert_eq!(fs::read(root.path().join("object")).expect("there"), b"abc");
        drop((living, theirs, other));
        assert!(
            !root.path().join(SHARED_FOLDER).exists(),
            "nothing is left behind"
        );
    }

    #[test]
    fn a_writer_whose_folder_was_taken_away_makes_another() {
        let root = tempfile::tempdir().expect("a folder");
        let writer = workshop(root.path());
        drop(writer.write(&vec![], || Ok(())).expect("written"));
        fs::remove_dir_all(root.path().join(SHARED_FOLDER)).expect("removed");
        assert!(
            writer
                .write(&vec![], || Ok(()))
                .expect("written")
                .is_there()
        );
    }

    #[test]
    fn a_store_that_went_away_is_not_made_again() {
        let root = tempfile::tempdir().expect("a folder");
        let refuse = || Err(std::io::ErrorKind::StaleNetworkFileHandle.into());
        workshop(root.path())
            .write(&vec![], refuse)
            .expect_err("refused");
        assert_eq!(fs::read_dir(root.path()).expect("there").count(), 0);
    }
}
