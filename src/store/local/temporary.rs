//! Objects that are being written: where they are until they are whole, and what becomes of those
//! left behind.
//!
//! Below the store's folder, in `#tmp` (no legal object name), each process that writes has a
//! folder of its own with a file that it keeps locked. The system takes the lock away when the
//! process ends, however it ends: a folder whose lock can be had is nobody's, and the next writer
//! removes it. Should that ever hit a living one (a network file system on which machines do not
//! see each other's locks), its put notices at the rename and starts over.
//!
//! Others may write in `#tmp` as well. No link is followed there, and only names that a writer
//! gives are removed.

use crate::platform::durable::{FileIdentity, Sharing};
use crate::platform::folder_handle::{EntryKind, FolderHandle};
use crate::store::Rope;
use std::fs::{File, TryLockError};
use std::io::{self, IoSlice, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// Holds the folders of all writers.
const SHARED_FOLDER: &str = "#tmp";

/// The locked file in a writer's folder.
const LOCK_FILE: &str = "lock";

/// Hexadecimal digits at the end of the name of a writer's folder.
const RANDOM_DIGITS: usize = 16;

/// How often a writer's folder is tried to be made while others tidy up.
const ATTEMPTS: usize = 64;

/// Where one opened store writes its temporaries. Made at the first write: a store that is only
/// read stays untouched.
#[derive(Debug)]
pub struct Workshop {
    access: Sharing,
    /// This writer's own folder, once there is one.
    bench: Mutex<Option<Arc<Bench>>>,
}

impl Workshop {
    /// Makes what is made with this access.
    pub fn new(access: Sharing) -> Self {
        Self {
            access,
            bench: Mutex::new(None),
        }
    }

    /// Writes a body into a new temporary and flushes it. `top` opens the store's folder, or
    /// refuses where nothing may be made.
    pub fn write(
        &self,
        body: &Rope,
        top: impl Fn() -> io::Result<FolderHandle>,
    ) -> io::Result<Temporary> {
        for _ in 0..ATTEMPTS {
            let bench = self.bench(&top)?;
            let name = bench.next.fetch_add(1, Ordering::Relaxed).to_string();
            match bench.folder.create_file(&name, self.access) {
                Ok(file) => {
                    let temporary = Temporary {
                        name: Some(name),
                        bench,
                    };
                    fill(&file, body)?;
                    return Ok(temporary);
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => self.give_up(&bench),
                Err(error) => return Err(error),
            }
        }
        Err(does_not_last())
    }

    fn bench(&self, top: &impl Fn() -> io::Result<FolderHandle>) -> io::Result<Arc<Bench>> {
        let mut bench = self.bench.lock().expect("nothing panics while it is held");
        if let Some(bench) = &*bench {
            return Ok(Arc::clone(bench));
        }
        let top = Arc::new(top()?);
        match top.descend(SHARED_FOLDER) {
            Ok(shared) => remove_abandoned(&shared),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(of_shared(error)),
        }
        let made = Arc::new(Bench::create(&top, self.access)?);
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

fn does_not_last() -> io::Error {
    let what = "the folder for temporary files does not last";
    io::Error::new(io::ErrorKind::ResourceBusy, what)
}

/// Says that it is the shared folder which cannot be used.
fn of_shared(error: io::Error) -> io::Error {
    let what = format!("{SHARED_FOLDER}, the folder for what is being written: {error}");
    io::Error::new(error.kind(), what)
}

/// A writer's own folder. Removed when the store is closed and no temporary is left.
#[derive(Debug)]
struct Bench {
    top: Arc<FolderHandle>,
    shared: FolderHandle,
    /// Its name in the shared one.
    name: String,
    folder: FolderHandle,
    /// Keeps the lock for as long as it is open.
    _lock: File,
    /// Name of the next temporary.
    next: AtomicU64,
}

impl Bench {
    fn create(top: &Arc<FolderHandle>, access: Sharing) -> io::Result<Self> {
        for _ in 0..ATTEMPTS {
            match Self::try_create(top, access) {
                Ok(Some(bench)) => return Ok(bench),
                // Someone who tidied up was quicker.
                Ok(None) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Err(does_not_last())
    }

    fn try_create(top: &Arc<FolderHandle>, access: Sharing) -> io::Result<Option<Self>> {
        match top.create_folder(SHARED_FOLDER, access) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        let shared = top.descend(SHARED_FOLDER).map_err(of_shared)?;
        let random = getrandom::u64().map_err(io::Error::other)?;
        let name = format!("{}-{random:0RANDOM_DIGITS$x}", std::process::id());
        shared.create_folder(&name, access)?;
        let folder = shared.descend(&name)?;
        let lock = folder.create_file(LOCK_FILE, access)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            // No locks here: then nobody can have this one, and nothing is ever tidied up.
            Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {}
            Err(TryLockError::Error(error)) => return Err(error),
        }
        // Between its making and its locking the file could be taken for abandoned.
        let there = FileIdentity::of(&folder.look_at(LOCK_FILE)?);
        if there != FileIdentity::of(&lock.metadata()?) {
            return Ok(None);
        }
        let top = Arc::clone(top);
        Ok(Some(Self {
            top,
            shared,
            name,
            folder,
            _lock: lock,
            next: AtomicU64::new(0),
        }))
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        remove_bench(&self.shared, &self.name, &self.folder);
        // Fails while others have folders in it.
        drop(self.top.remove_folder(SHARED_FOLDER));
    }
}

/// Removes the folders of writers that are no more. What cannot be removed stays: it does no harm
/// but take space.
fn remove_abandoned(shared: &FolderHandle) {
    let entries = shared.entries().unwrap_or_default();
    for entry in entries
        .into_iter()
        .filter(|entry| entry.kind == EntryKind::Folder)
    {
        let Some(name) = entry.name.to_str().filter(|name| is_writers(name)) else {
            continue;
        };
        let Ok(folder) = shared.descend(name) else {
            continue;
        };
        match folder.open_to_lock(LOCK_FILE) {
            Ok(lock) if lock.try_lock().is_ok() => remove_bench(shared, name, &folder),
            Ok(_) => {}
            // Being made, or half removed: goes only if it is empty, and its maker then takes
            // another one.
            Err(_) => drop(shared.remove_folder(name)),
        }
    }
}

/// Tells whether a writer's folder may have that name.
fn is_writers(name: &str) -> bool {
    name.split_once('-').is_some_and(|(process, random)| {
        is_number(process)
            && random.len() == RANDOM_DIGITS
            && random
                .bytes()
                .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    })
}

/// Tells whether a temporary may have that name.
fn is_number(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit())
}

/// Removes a writer's folder, its lock last. It stays where something else was put in it.
fn remove_bench(shared: &FolderHandle, name: &str, folder: &FolderHandle) {
    for entry in folder.entries().unwrap_or_default() {
        let Some(file) = entry.name.to_str().filter(|file| is_number(file)) else {
            continue;
        };
        if let Err(error) = folder.remove_file(file) {
            tracing::warn!(folder = name, file, %error, "could not remove a temporary file");
        }
    }
    for removed in [folder.remove_file(LOCK_FILE), shared.remove_folder(name)] {
        if let Err(error) = removed {
            tracing::debug!(folder = name, %error, "could not remove a folder of temporary files");
        }
    }
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
    /// In its writer's folder; nothing once it was renamed.
    name: Option<String>,
    /// Keeps the folder.
    bench: Arc<Bench>,
}

impl Temporary {
    /// Gives the file the object's name, in place of any that had it.
    pub fn rename_to(
        mut self,
        folder: &FolderHandle,
        object: &str,
    ) -> Result<(), (Self, io::Error)> {
        match self.bench.folder.rename(self.name(), folder, object) {
            Ok(()) => {
                // There is nothing to remove.
                self.name = None;
                Ok(())
            }
            Err(error) => Err((self, error)),
        }
    }

    /// The same where no file has it.
    pub fn link_to(self, folder: &FolderHandle, object: &str) -> Result<(), (Self, io::Error)> {
        let linked = self.bench.folder.link(self.name(), folder, object);
        linked.map_err(|error| (self, error))
    }

    /// Tells whether the file still exists under its temporary name.
    pub fn is_there(&self) -> bool {
        self.bench.folder.look_at(self.name()).is_ok()
    }

    fn name(&self) -> &str {
        self.name.as_deref().unwrap_or_default()
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if let Some(name) = &self.name
            && let Err(error) = self.bench.folder.remove_file(name)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(file = name, %error, "could not remove a temporary file");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{LOCK_FILE, SHARED_FOLDER, Temporary, Workshop};
    use crate::platform::durable::Sharing;
    use crate::platform::folder_handle::FolderHandle;
    use crate::store::Rope;
    use std::fs;
    use std::path::{Path, PathBuf};

    fn workshop() -> Workshop {
        Workshop::new(Sharing::private())
    }

    fn write(workshop: &Workshop, root: &Path, body: &Rope) -> Temporary {
        workshop
            .write(body, || FolderHandle::open(root))
            .expect("written")
    }

    fn names(root: &Path) -> Vec<String> {
        let entries = fs::read_dir(root.join(SHARED_FOLDER)).expect("there");
        let mut names: Vec<_> = entries
            .map(|entry| {
                entry
                    .expect("read")
                    .file_name()
                    .into_string()
                    .expect("UTF-8")
            })
            .collect();
        names.sort_unstable();
        names
    }

    /// The folder of a writer that is no more, with half an object in it.
    fn abandoned(shared: &Path, name: &str) -> PathBuf {
        let folder = shared.join(name);
        fs::create_dir_all(&folder).expect("made");
        fs::write(folder.join(LOCK_FILE), "").expect("written");
        fs::write(folder.join("7"), "half an obj").expect("written");
        folder
    }

    #[test]
    fn what_a_dead_writer_left_is_removed_and_what_a_living_one_writes_is_not() {
        let root = tempfile::tempdir().expect("a folder");
        let left = abandoned(&root.path().join(SHARED_FOLDER), "1-00000000000000ff");
        let living = workshop();
        let body = vec![b"a".to_vec(), vec![], b"bc".to_vec()];
        let temporary = write(&living, root.path(), &body);
        assert!(!left.exists(), "its lock was free");
        let other = workshop();
        let theirs = write(&other, root.path(), &vec![]);
        assert_eq!(names(root.path()).len(), 2);
        let folder = FolderHandle::open(root.path()).expect("there");
        let renamed = temporary.rename_to(&folder, "object");
        renamed.map_err(|(_, error)| error).expect("still there");
        assert_eq!(fs::read(root.path().join("object")).expect("there"), b"abc");
        drop((living, theirs, other));
        assert!(
            !root.path().join(SHARED_FOLDER).exists(),
            "nothing is left behind"
        );
    }

    #[test]
    fn what_no_writer_made_is_not_removed() {
        let root = tempfile::tempdir().expect("a folder");
        let shared = root.path().join(SHARED_FOLDER);
        let kept = [
            "dpkg",
            "1-0",
            "1-00000000000000fg",
            "x-00000000000000ff",
            "-00000000000000ff",
        ];
        for name in kept {
            abandoned(&shared, name);
        }
        let mixed = abandoned(&shared, "1-00000000000000ff");
        fs::write(mixed.join("letter.txt"), "dear").expect("written");
        fs::write(shared.join("2-00000000000000ff"), "a file").expect("written");
        drop(write(&workshop(), root.path(), &vec![]));
        let mut expected = kept.map(str::to_owned).to_vec();
        expected.extend(["1-00000000000000ff", "2-00000000000000ff"].map(str::to_owned));
        expected.sort_unstable();
        assert_eq!(names(root.path()), expected);
        for name in kept {
            let file = shared.join(name).join("7");
            assert_eq!(fs::read(&file).expect(name), b"half an obj");
        }
        assert_eq!(fs::read(mixed.join("letter.txt")).expect("there"), b"dear");
    }

    #[cfg(unix)]
    #[test]
    fn no_link_is_followed_to_what_is_removed_or_written() {
        use std::os::unix::fs::symlink;
        for link in [
            "#tmp",
            "#tmp/1-00000000000000ff",
            "#tmp/1-00000000000000ff/lock",
        ] {
            let room = tempfile::tempdir().expect("a folder");
            let (root, elsewhere) = (room.path().join("store"), room.path().join("elsewhere"));
            let target = match link {
                "#tmp" => abandoned(&elsewhere, "1-00000000000000ff").join(".."),
                "#tmp/1-00000000000000ff" => abandoned(&elsewhere, "info"),
                _ => abandoned(&elsewhere, "info").join(LOCK_FILE),
            };
            let link = root.join(link);
            fs::create_dir_all(link.parent().expect("below the room")).expect("made");
            symlink(&target, &link).expect("linked");
            let before = tree(&elsewhere);
            let written = workshop().write(&vec![], || FolderHandle::open(&root));
            if link.ends_with(SHARED_FOLDER) {
                let error = written.expect_err("refused").to_string();
                assert!(
                    error.contains("#tmp") && error.contains("symbolic link"),
                    "{error}"
                );
            } else {
                written.expect("written beside it");
            }
            assert_eq!(tree(&elsewhere), before, "{}", link.display());
        }
    }

    /// All paths below a folder.
    fn tree(folder: &Path) -> Vec<PathBuf> {
        let mut found = Vec::new();
        for entry in fs::read_dir(folder).expect("there") {
            let path = entry.expect("read").path();
            if path.is_dir() {
                found.extend(tree(&path));
            }
            found.push(path);
        }
        found.sort_unstable();
        found
    }

    #[test]
    fn a_writer_whose_folder_was_taken_away_makes_another() {
        let root = tempfile::tempdir().expect("a folder");
        let writer = workshop();
        drop(write(&writer, root.path(), &vec![]));
        fs::remove_dir_all(root.path().join(SHARED_FOLDER)).expect("removed");
        assert!(write(&writer, root.path(), &vec![]).is_there());
    }

    #[test]
    fn a_store_that_went_away_is_not_made_again() {
        let root = tempfile::tempdir().expect("a folder");
        let refuse = || Err(std::io::ErrorKind::StaleNetworkFileHandle.into());
        workshop().write(&vec![], refuse).expect_err("refused");
        assert_eq!(fs::read_dir(root.path()).expect("there").count(), 0);
    }
}
