//! A store in a folder of this machine: each object is a file of its name below it.
//!
//! An object becomes visible by a rename, when all of it is on the disk (module `temporary`). Names
//! of objects are names of files, so that any tool can read the store. Files with other names, and
//! everything that is not a file, are passed over. The rights of the store's own folder decide
//! which users can read objects.
//!
//! Other users may be able to write in a store's folder: the account of a backup server, a group,
//! everybody who can mount the disk. So the store is walked, written and deleted through open
//! folders ([`FolderHandle`]), and symbolic links are never followed. A link is not an object: a
//! call that meets one fails, and a listing passes it over and logs a warning.
//!
//! Invariant: nothing is ever made or removed outside the folder that was opened, not even when
//! that folder is taken away (a disk that was unmounted): a store that went away is
//! [`ErrorKind::Unavailable`], its objects are not [`ErrorKind::Missing`].

mod failure;
mod listing;
mod open_files;
mod temporary;

use super::file_url::file_url;
use super::selection::length_of;
use super::{
    Created, Error, ErrorKind, ObjectInfo, ObjectName, Operation, Powers, Rope, Selection, Store,
    check_prefix,
};
use crate::platform::durable::{self, FileIdentity, Sharing};
use crate::platform::folder_handle::{FolderHandle, Intrusion};
use failure::{AtPath, kind_of};
use listing::{Oddity, Walk, unless_gone};
use open_files::OpenFiles;
use std::collections::HashSet;
use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use temporary::{Temporary, Workshop};

/// How often a put starts over when other writers remove its folder.
const ATTEMPTS: usize = 64;

/// How many folders are remembered as flushed to the disk.
const SETTLED_FOLDERS: usize = 4096;

/// A folder that keeps objects.
#[derive(Debug)]
pub struct Local {
    root: PathBuf,
    /// Of the root when it was opened.
    identity: FileIdentity,
    access: Sharing,
    workshop: Workshop,
    /// Folders that exist and survive a crash, by their names below the root.
    settled: Mutex<HashSet<String>>,
    open_files: OpenFiles,
    /// The oddities for which a warning was logged already.
    told: Mutex<HashSet<Oddity>>,
}

impl Local {
    /// Opens the store in an existing folder, without writing anything.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Missing`] when there is no such folder.
    pub fn open(root: &Path) -> Result<Self, Error> {
        let refuse = |source: io::Error| {
            let path = root.to_owned();
            Error::of_store(kind_of(&source), Operation::Open).because(AtPath { path, source })
        };
        let root = std::path::absolute(root).map_err(refuse)?;
        let metadata = fs::metadata(&root).map_err(refuse)?;
        if !metadata.is_dir() {
            let source = io::ErrorKind::NotADirectory.into();
            return Err(Error::of_store(ErrorKind::Failed, Operation::Open)
                .because(AtPath { path: root, source }));
        }
        let access = Sharing::like(&metadata);
        Ok(Self {
            identity: FileIdentity::of(&metadata),
            access,
            workshop: Workshop::new(access),
            settled: Mutex::default(),
            open_files: OpenFiles::default(),
            told: Mutex::default(),
            root,
        })
    }

    /// Opens the store, making its folder first, for its owner alone, where there is none.
    pub fn create(root: &Path) -> Result<Self, Error> {
        let refuse = |source: io::Error| {
            let path = root.to_owned();
            Error::of_store(kind_of(&source), Operation::Open).because(AtPath { path, source })
        };
        let absolute = std::path::absolute(root).map_err(refuse)?;
        let missing: Vec<_> = absolute
            .ancestors()
            .take_while(|folder| !folder.exists())
            .collect();
        for folder in missing.into_iter().rev() {
            match durable::create_folder(folder, Sharing::private()) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                    return Err(refuse(error));
                }
                _ => folder
                    .parent()
                    .map_or(Ok(()), durable::sync_folder)
                    .map_err(refuse)?,
            }
        }
        Self::open(&absolute)
    }

    /// Returns the folder.
    pub fn path(&self) -> &Path {
        &self.root
    }

    fn settled(&self) -> MutexGuard<'_, HashSet<String>> {
        self.settled
            .lock()
            .expect("nothing panics while it is held")
    }

    /// Opens the store's folder, anew each time: an open one would keep a disk from being
    /// unmounted.
    ///
    /// # Errors
    ///
    /// Fails when it is not the folder that the store was opened with.
    fn top(&self) -> io::Result<FolderHandle> {
        let stale = |what| io::Error::new(io::ErrorKind::StaleNetworkFileHandle, what);
        let folder = match FolderHandle::open(&self.root) {
            Err(error) if kind_of(&error) == ErrorKind::Missing => {
                return Err(stale("the store's folder is gone"));
            }
            opened => opened?,
        };
        if FileIdentity::of(&folder.metadata()?) == self.identity {
            Ok(folder)
        } else {
            Err(stale("the store's folder is not the one that was opened"))
        }
    }

    /// Opens a folder of the store. It is made first, with those above it, and their names are
    /// flushed, unless that was done before.
    ///
    /// Existing folders are flushed too: their maker may not have done so yet.
    fn settle(&self, name: &str) -> io::Result<FolderHandle> {
        let mut folder = self.top()?;
        if name.is_empty() {
            return Ok(folder);
        }
        if self.settled().contains(name) {
            return folder.descend(name);
        }
        for component in name.split('/') {
            match folder.create_folder(component, self.access) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                _ => folder.sync()?,
            }
            folder = folder.descend(component)?;
        }
        let mut settled = self.settled();
        if settled.len() >= SETTLED_FOLDERS {
            settled.clear();
        }
        settled.insert(name.to_owned());
        Ok(folder)
    }

    /// Makes the error for the caller. An object counts as missing only while the store's folder is
    /// there.
    fn error(&self, verb: Operation, name: Option<&ObjectName>, mut at: AtPath) -> Error {
        if kind_of(&at.source) == ErrorKind::Missing
            && let Err(gone) = self.top()
        {
            at.source = gone;
        }
        let mut kind = kind_of(&at.source);
        if kind == ErrorKind::Missing && verb == Operation::Put {
            kind = ErrorKind::Failed;
        }
        let error = name.map_or_else(
            || Error::of_store(kind, verb),
            |name| Error::new(kind, verb, name),
        );
        error.because(at)
    }

    fn error_of(&self, verb: Operation, name: &ObjectName, source: io::Error) -> Error {
        let path = self.root.join(name.as_str());
        self.error(verb, Some(name), AtPath { path, source })
    }

    /// Writes a body. `give` makes it the object of that name in that folder.
    fn try_put<T>(
        &self,
        name: &ObjectName,
        body: &Rope,
        give: impl Fn(Temporary, &FolderHandle, &str) -> Result<T, (Temporary, io::Error)>,
    ) -> io::Result<T> {
        let (below, file) = split(name);
        let mut written = None;
        for _ in 0..ATTEMPTS {
            let temporary = match written.take() {
                Some(temporary) => temporary,
                None => self.workshop.write(body, || self.top())?,
            };
            let given = match self.settle(below) {
                Ok(folder) => give(temporary, &folder, file).map(|given| (given, folder)),
                Err(error) => Err((temporary, error)),
            };
            match given {
                Ok((given, folder)) => return folder.sync().map(|()| given),
                // A delete took the empty folder away, or someone the temporary: both are made
                // again.
                Err((temporary, error)) if error.kind() == io::ErrorKind::NotFound => {
                    self.settled().remove(below);
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
    fn reader(&self, name: &ObjectName) -> io::Result<(Arc<File>, u64)> {
        let top = self.top()?;
        let metadata = top.look_at(name.as_str())?;
        if !metadata.is_file() {
            return Err(io::ErrorKind::NotFound.into());
        }
        if let Some(file) = self.open_files.find(name, FileIdentity::of(&metadata)) {
            return Ok((file, metadata.len()));
        }
        let file = top.open_file(name.as_str())?;
        let metadata = file.metadata()?;
        Ok((
            self.open_files
                .keep(name, FileIdentity::of(&metadata), file),
            metadata.len(),
        ))
    }

    /// Returns a whole object; `None` when it is longer than `limit`.
    fn whole(&self, name: &ObjectName, limit: u64) -> io::Result<Option<Vec<u8>>> {
        let file = self.top()?.open_file(name.as_str())?;
        let length = file.metadata()?.len();
        let mut body = Vec::new();
        if length <= limit {
            body.reserve_exact(usize::try_from(length).unwrap_or(0));
            file.take(limit.saturating_add(1)).read_to_end(&mut body)?;
        }
        Ok((length.max(body.len() as u64) <= limit).then_some(body))
    }

    /// Hands over pieces that stand one behind the other.
    fn pieces(
        &self,
        name: &ObjectName,
        offset: u64,
        lengths: &[usize],
        take: &mut dyn FnMut(Vec<u8>) -> bool,
    ) -> Result<(), Error> {
        let short = || Error::new(ErrorKind::Short, Operation::Get, name);
        let fail = |source| self.error_of(Operation::Get, name, source);
        let (file, stored) = self.reader(name).map_err(fail)?;
        let length = length_of(name, offset, lengths)?;
        if offset + length as u64 > stored {
            return Err(short());
        }
        let mut at = offset;
        for length in lengths {
            let mut bytes = vec![0; *length];
            match durable::read_exact_at(&file, &mut bytes, at) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Err(short()),
                Err(source) => return Err(fail(source)),
            }
            at += *length as u64;
            if !take(bytes) {
                break;
            }
        }
        Ok(())
    }

    fn create_once(&self, name: &ObjectName, body: &Rope) -> Result<Created, Error> {
        match self.try_put(name, body, Temporary::link_to) {
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
            Err(source) => Err(self.error_of(Operation::Put, name, source)),
        }
    }

    fn remove(&self, name: &ObjectName) -> io::Result<()> {
        let top = self.top()?;
        let (below, file) = split(name);
        let opened = if below.is_empty() {
            self.top()
        } else {
            top.descend(below)
        };
        let Some(folder) = unless_gone(opened)? else {
            return Ok(());
        };
        let there = unless_gone(folder.look_at(file))?;
        if there.as_ref().is_some_and(Metadata::is_dir) {
            return Ok(());
        }
        if there.is_some() && unless_gone(folder.remove_file(file))?.is_some() {
            // That it is gone has to survive a crash: what leans on it is removed next.
            folder.sync()?;
        }
        let mut empty = below;
        while !empty.is_empty() {
            self.settled().remove(empty);
            let (above, last) = empty.rsplit_once('/').unwrap_or(("", empty));
            let removed = match above {
                "" => top.remove_folder(last),
                _ => top
                    .descend(above)
                    .and_then(|folder| folder.remove_folder(last)),
            };
            // It fails where there is still something in it.
            if removed.is_err() {
                break;
            }
            empty = above;
        }
        Ok(())
    }

    /// Logs a warning about an oddity in the store's folder, once for each sort.
    fn tell(&self, name: &str, oddity: Oddity) {
        if !self
            .told
            .lock()
            .expect("nothing panics while it is held")
            .insert(oddity)
        {
            return;
        }
        let path = self.root.join(name);
        let what = match oddity {
            Oddity::Link => {
                "is a symbolic link; links in a store are not followed, so what it \
                             points to is no part of the store"
            }
            Oddity::Open(Intrusion::ForeignOwner) => {
                "belongs to another user than the store's folder, who can change and remove what \
                 is in it; change its owner if that user is not meant to"
            }
            Oddity::Open(Intrusion::MoreWriters) => {
                "can be written by more users than the store's folder; take that right from its \
                 mode or group if they are not meant to"
            }
        };
        tracing::warn!("{} {what}", path.display());
    }
}

impl Store for Local {
    fn put(&self, name: &ObjectName, body: &Rope) -> Result<(), Error> {
        self.try_put(name, body, Temporary::rename_to)
            .map_err(|source| self.error_of(Operation::Put, name, source))
    }

    fn read(
        &self,
        name: &ObjectName,
        wanted: Selection<'_>,
        take: &mut dyn FnMut(Vec<u8>) -> bool,
    ) -> Result<(), Error> {
        match wanted {
            Selection::Whole { limit } => {
                let whole = self
                    .whole(name, limit)
                    .map_err(|source| self.error_of(Operation::Get, name, source))?;
                take(whole.ok_or_else(|| Error::new(ErrorKind::TooLarge, Operation::Get, name))?);
                Ok(())
            }
            Selection::Pieces { offset, lengths } => self.pieces(name, offset, lengths, take),
        }
    }

    fn list(&self, prefix: &str, found: &mut dyn FnMut(ObjectInfo) -> bool) -> Result<(), Error> {
        check_prefix(prefix)?;
        let fail = |at: AtPath| self.error(Operation::List, None, at);
        let at = |source| {
            fail(AtPath {
                path: self.root.join(prefix),
                source,
            })
        };
        let top = self.top().map_err(at)?;
        let metadata = top.metadata().map_err(at)?;
        let folder = match prefix.trim_end_matches('/') {
            "" => Some(top),
            name => unless_gone(top.descend(name)).map_err(at)?,
        };
        let Some(folder) = folder else { return Ok(()) };
        let told = |name: &str, oddity| self.tell(name, oddity);
        let mut walk = Walk {
            root: &self.root,
            top: &metadata,
            found,
            told: &told,
        };
        walk.walk(&folder, prefix).map_err(fail).map(|_| ())
    }

    /// Removes a file. A link that has the name is no object, and stays: the call fails.
    fn delete(&self, name: &ObjectName) -> Result<(), Error> {
        self.open_files.forget(name);
        self.remove(name)
            .map_err(|source| self.error_of(Operation::Delete, name, source))
    }

    fn location(&self) -> String {
        file_url(&self.root)
    }

    fn powers(&self) -> Powers<'_> {
        Powers {
            // Only trying shows whether the file system has hard links.
            create_once: Some(Box::new(|name, body| self.create_once(name, body))),
            ..Powers::none()
        }
    }
}

/// Splits a name into the folder of the object, empty for the topmost one, and the name there.
fn split(name: &ObjectName) -> (&str, &str) {
    name.as_str()
        .rsplit_once('/')
        .unwrap_or(("", name.as_str()))
}
