//! A store in a folder of this machine: each object is a file of its name below it.
//!
//! An object becomes visible by a rename, when all of it is on the disk (module `temporary`). Names
//! are files as they are, so that any tool can read the store; what is no legal name, or no file,
//! is not ours and is passed over. Who may read objects is decided by the rights of the store's own
//! folder.
//!
//! Invariant: nothing is ever made outside the folder that was opened, not even when that folder is
//! taken away (a disk that was unmounted): a store that went away is [`Kind::Unavailable`], its
//! objects are not [`Kind::Missing`].

mod listing;
mod open_files;
mod temporary;

use super::{
    Created, Error, Kind, ObjectInfo, ObjectName, Rope, Store, Verb, legal_prefix, location,
};
use crate::platform::durable::{self, Access, Identity};
use open_files::OpenFiles;
use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard};
use temporary::{Temporary, Workshop};

/// How often a put starts over when others remove folders under its hands.
const ATTEMPTS: usize = 64;

/// How many folders are remembered as surely on the disk.
const SETTLED_FOLDERS: usize = 4096;

/// A folder that keeps objects.
#[derive(Debug)]
pub struct Local {
    root: PathBuf,
    /// Of the root when it was opened.
    identity: Identity,
    access: Access,
    workshop: Workshop,
    /// Folders that exist and survive a crash, up to the root.
    settled: Mutex<HashSet<PathBuf>>,
    open_files: OpenFiles,
}

impl Local {
    /// Opens the store in an existing folder. Writes nothing.
    ///
    /// # Errors
    ///
    /// [`Kind::Missing`] when there is no such folder.
    pub fn open(root: &Path) -> Result<Self, Error> {
        let refuse = |source: io::Error| {
            Error::of_store(kind_of(&source), Verb::Open).because(AtPath {
                path: root.to_owned(),
                source,
            })
        };
        let root = std::path::absolute(root).map_err(refuse)?;
        let metadata = fs::metadata(&root).map_err(refuse)?;
        if !metadata.is_dir() {
            return Err(Error::of_store(Kind::Failed, Verb::Open).because(AtPath {
                path: root,
                source: io::ErrorKind::NotADirectory.into(),
            }));
        }
        let access = Access::like(&metadata);
        Ok(Self {
            identity: Identity::of(&metadata),
            access,
            workshop: Workshop::new(&root, access),
            settled: Mutex::default(),
            open_files: OpenFiles::default(),
            root,
        })
    }

    /// Opens the store, making its folder first, for its owner alone, where there is none.
    pub fn create(root: &Path) -> Result<Self, Error> {
        let refuse = |source: io::Error| {
            Error::of_store(kind_of(&source), Verb::Open).because(AtPath {
                path: root.to_owned(),
                source,
            })
        };
        let absolute = std::path::absolute(root).map_err(refuse)?;
        let missing: Vec<_> = absolute
            .ancestors()
            .take_while(|folder| !folder.exists())
            .collect();
        for folder in missing.into_iter().rev() {
            make_folder(folder, Access::private()).map_err(refuse)?;
        }
        Self::open(&absolute)
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.root
    }

    fn path_of(&self, name: &ObjectName) -> PathBuf {
        self.root.join(name.as_str())
    }

    fn settled(&self) -> MutexGuard<'_, HashSet<PathBuf>> {
        self.settled
            .lock()
            .expect("nothing panics while it is held")
    }

    /// Makes the folder and those above it, and flushes their names, unless that was done before.
    ///
    /// Folders that were there are flushed too: whoever made them may not have come to it yet.
    fn settle(&self, folder: &Path) -> io::Result<()> {
        if self.settled().contains(folder) {
            return Ok(());
        }
        self.check_root()?;
        let mut unsettled: Vec<_> = folder
            .ancestors()
            .take_while(|ancestor| *ancestor != self.root)
            .collect();
        while let Some(ancestor) = unsettled.pop() {
            make_folder(ancestor, self.access)?;
        }
        let mut settled = self.settled();
        if settled.len() >= SETTLED_FOLDERS {
            settled.clear();
        }
        settled.insert(folder.to_owned());
        Ok(())
    }

    /// Flushes the names in a folder, or, when a delete has taken it away, those in the one that
    /// held it.
    fn sync(&self, folder: &Path) -> io::Result<()> {
        for ancestor in folder
            .ancestors()
            .take_while(|ancestor| ancestor.starts_with(&self.root))
        {
            match durable::sync_folder(ancestor) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                done => return done,
            }
        }
        self.check_root()
    }

    /// Fails when the root is not the folder that was opened.
    fn check_root(&self) -> io::Result<()> {
        match fs::metadata(&self.root) {
            Ok(metadata) if Identity::of(&metadata) == self.identity => Ok(()),
            Ok(_) => Err(io::Error::new(
                io::ErrorKind::StaleNetworkFileHandle,
                "the store's folder is not the one that was opened",
            )),
            Err(source) if source.kind() == io::ErrorKind::NotFound => Err(io::Error::new(
                io::ErrorKind::StaleNetworkFileHandle,
                "the store's folder is gone",
            )),
            Err(source) => Err(source),
        }
    }

    /// What the caller is told. That something is missing counts only while the store itself is
    /// there.
    fn error(
        &self,
        verb: Verb,
        name: Option<&ObjectName>,
        path: &Path,
        mut source: io::Error,
    ) -> Error {
        if kind_of(&source) == Kind::Missing
            && let Err(gone) = self.check_root()
        {
            source = gone;
        }
        let mut kind = kind_of(&source);
        if kind == Kind::Missing && verb == Verb::Put {
            kind = Kind::Failed;
        }
        let error = name.map_or_else(
            || Error::of_store(kind, verb),
            |name| Error::new(kind, verb, name),
        );
        error.because(AtPath {
            path: path.to_owned(),
            source,
        })
    }

    /// `give` makes what was written the object.
    fn try_put<T>(
        &self,
        target: &Path,
        body: &Rope,
        give: impl Fn(Temporary, &Path) -> Result<T, (Temporary, io::Error)>,
    ) -> io::Result<T> {
        let folder = target.parent().unwrap_or(&self.root);
        let mut written = None;
        for _ in 0..ATTEMPTS {
            let temporary = match written.take() {
                Some(temporary) => temporary,
                None => self.workshop.write(body, || self.check_root())?,
            };
            let given = match self.settle(folder) {
                Ok(()) => give(temporary, target),
                Err(error) => Err((temporary, error)),
            };
            match given {
                Ok(given) => return self.sync(folder).map(|()| given),
                // A delete took the empty folder away, or someone the temporary: both are made
                // again.
                Err((temporary, error)) if error.kind() == io::ErrorKind::NotFound => {
                    self.settled().remove(folder);
                    written = temporary.is_there().then_some(temporary);
                }
                Err((_, error)) => return Err(error),
            }
        }
        Err(io::Error::new(
            io::ErrorKind::ResourceBusy,
            "others keep removing the folder",
        ))
    }

    /// Opens an object for ranged reads, or finds it open, and tells its length.
    fn reader(&self, name: &ObjectName, path: &Path) -> io::Result<(std::sync::Arc<File>, u64)> {
        let metadata = fs::metadata(path)?;
        if !metadata.is_file() {
            return Err(io::ErrorKind::NotFound.into());
        }
        if let Some(file) = self.open_files.find(name, Identity::of(&metadata)) {
            return Ok((file, metadata.len()));
        }
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        Ok((
            self.open_files.keep(name, Identity::of(&metadata), file),
            metadata.len(),
        ))
    }
}

impl Store for Local {
    fn put(&self, name: &ObjectName, body: &Rope) -> Result<(), Error> {
        let target = self.path_of(name);
        self.try_put(&target, body, Temporary::rename_to)
            .map_err(|source| self.error(Verb::Put, Some(name), &target, source))
    }

    fn put_new(&self, name: &ObjectName, body: &Rope) -> Result<Created, Error> {
        let target = self.path_of(name);
        match self.try_put(&target, body, Temporary::link_to) {
            Ok(()) => Ok(Created::New),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(Created::WasThere),
            // Some file systems have no links.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::PermissionDenied | io::ErrorKind::Unsupported
                ) =>
            {
                Ok(Created::Cannot)
            }
            Err(source) => Err(self.error(Verb::Put, Some(name), &target, source)),
        }
    }

    fn get(&self, name: &ObjectName, limit: u64) -> Result<Vec<u8>, Error> {
        let path = self.path_of(name);
        let fail = |source| self.error(Verb::Get, Some(name), &path, source);
        if !fs::metadata(&path).map_err(fail)?.is_file() {
            return Err(fail(io::ErrorKind::NotFound.into()));
        }
        let file = File::open(&path).map_err(fail)?;
        let length = file.metadata().map_err(fail)?.len();
        let mut body = Vec::new();
        if length <= limit {
            body.reserve_exact(usize::try_from(length).unwrap_or(0));
            file.take(limit.saturating_add(1))
                .read_to_end(&mut body)
                .map_err(fail)?;
        }
        if length > limit || body.len() as u64 > limit {
            return Err(Error::new(Kind::TooLarge, Verb::Get, name));
        }
        Ok(body)
    }

    fn get_range(&self, name: &ObjectName, offset: u64, length: usize) -> Result<Vec<u8>, Error> {
        let path = self.path_of(name);
        let (file, stored) = self
            .reader(name, &path)
            .map_err(|source| self.error(Verb::Get, Some(name), &path, source))?;
        if offset
            .checked_add(length as u64)
            .is_none_or(|end| end > stored)
        {
            return Err(Error::new(Kind::Short, Verb::Get, name));
        }
        let mut bytes = vec![0; length];
        match durable::read_exact_at(&file, &mut bytes, offset) {
            Ok(()) => Ok(bytes),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Err(Error::new(Kind::Short, Verb::Get, name))
            }
            Err(source) => Err(self.error(Verb::Get, Some(name), &path, source)),
        }
    }

    fn list(&self, prefix: &str, found: &mut dyn FnMut(ObjectInfo) -> bool) -> Result<(), Error> {
        if !legal_prefix(prefix) {
            return Err(Error::of_store(Kind::Failed, Verb::List)
                .because(format!("{prefix:?} is not a prefix of whole components")));
        }
        let fail = |at: AtPath| self.error(Verb::List, None, &at.path, at.source);
        self.check_root().map_err(|source| {
            fail(AtPath {
                path: self.root.clone(),
                source,
            })
        })?;
        listing::walk(&self.root, prefix, found)
            .map_err(fail)
            .map(|_| ())
    }

    fn delete(&self, name: &ObjectName) -> Result<(), Error> {
        let path = self.path_of(name);
        let fail = |source| self.error(Verb::Delete, Some(name), &path, source);
        let folder = path.parent().unwrap_or(&self.root);
        self.open_files.forget(name);
        match fs::remove_file(&path) {
            // That it is gone has to survive a crash: what leans on it is removed next.
            Ok(()) => self.sync(folder).map_err(fail)?,
            Err(source) if kind_of(&source) == Kind::Missing => self.check_root().map_err(fail)?,
            Err(_) if path.is_dir() => return Ok(()),
            Err(source) => return Err(fail(source)),
        }
        for empty in folder
            .ancestors()
            .take_while(|ancestor| *ancestor != self.root)
        {
            self.settled().remove(empty);
            if fs::remove_dir(empty).is_err() {
                break;
            }
        }
        Ok(())
    }

    fn location(&self) -> String {
        location::file_url(&self.root)
    }
}

/// Makes a folder unless it is there, and flushes its name.
fn make_folder(folder: &Path, access: Access) -> io::Result<()> {
    match durable::create_folder(folder, access) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => folder.parent().map_or(Ok(()), durable::sync_folder),
    }
}

fn kind_of(error: &io::Error) -> Kind {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Kind::Missing,
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => Kind::Denied,
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Kind::Full,
        io::ErrorKind::StaleNetworkFileHandle
        | io::ErrorKind::ResourceBusy
        | io::ErrorKind::TimedOut
        | io::ErrorKind::Interrupted
        | io::ErrorKind::NotConnected
        | io::ErrorKind::HostUnreachable
        | io::ErrorKind::NetworkUnreachable
        | io::ErrorKind::NetworkDown => Kind::Unavailable,
        _ => Kind::Failed,
    }
}

/// Where the file system failed.
#[derive(Debug, thiserror::Error)]
#[error("{}", path.display())]
struct AtPath {
    path: PathBuf,
    source: io::Error,
}

#[cfg(all(test, unix))]
mod tests {
    use super::kind_of;
    use crate::store::Kind;
    use std::io;

    #[test]
    fn what_the_system_says_becomes_the_right_kind() {
        let errors = [
            (2, Kind::Missing),
            (20, Kind::Missing),
            (1, Kind::Denied),
            (13, Kind::Denied),
            (30, Kind::Denied),
            (28, Kind::Full),
        ];
        for (number, kind) in errors.into_iter().chain([
            (122, Kind::Full),
            (116, Kind::Unavailable),
            (5, Kind::Failed),
        ]) {
            assert_eq!(
                kind_of(&io::Error::from_raw_os_error(number)),
                kind,
                "errno {number}"
            );
        }
    }
}
