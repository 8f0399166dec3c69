//! One name of a directory, and the questions that a reader asks about it.

use crate::backup::compare::{Change, Previous};
use crate::backup::read_step::SourceFile;
use crate::backup::step::WalkedName;
use crate::backup::unread::Unread;
use crate::model::{Kind, Name, TreePath};
use crate::platform::{DirHandle, Sort, Stat};
use std::sync::Arc;

/// A name that the walk listed in an open directory.
pub(super) struct ListedChild<'step> {
    pub(super) directory: &'step DirHandle,
    pub(super) name: &'step Name,
    pub(super) path: &'step TreePath,
    /// The type when it was listed; `None` if it could not be found out.
    pub(super) sort: Option<Sort>,
    /// The entry of the base; it had another path if the directory had.
    pub(super) found: Option<&'step Previous>,
}

impl<'step> ListedChild<'step> {
    /// Joins a name and its directory. `path` is the path of the name.
    pub(super) fn new(
        directory: &'step DirHandle,
        name: &'step WalkedName,
        path: &'step TreePath,
    ) -> Self {
        Self {
            directory,
            name: &name.listed.name,
            path,
            sort: name.listed.sort,
            found: name.previous.as_ref(),
        }
    }

    pub(super) fn is_listed_file(&self) -> bool {
        self.sort == Some(Sort::Kept(Kind::File))
    }

    /// Returns the entry of the base with this path. Of an entry with another path only the content
    /// is of use.
    pub(super) fn previous(&self) -> Option<&'step Previous> {
        self.found.filter(|previous| !previous.is_moved)
    }

    /// Returns the change of an entry that is not as it was.
    pub(super) fn change(&self) -> Change {
        Change::against(self.previous())
    }

    /// Reads type and metadata without following a link.
    pub(super) fn stat(&self) -> Result<Stat, Unread> {
        self.directory.stat_child(self.name).map_err(Unread::Stat)
    }

    /// Opens a file.
    pub(super) fn open(&self) -> Result<SourceFile, Unread> {
        let handle = self.directory.open_file(self.name).map_err(Unread::Open)?;
        let stat = handle.stat().map_err(Unread::Stat)?;
        Ok(SourceFile {
            handle: Arc::new(handle),
            stat,
        })
    }

    /// Opens a name that was listed as a file. `None` if it is no file any more.
    pub(super) fn open_listed_file(&self) -> Result<Option<SourceFile>, Unread> {
        let is_file = |stat: &Stat| stat.sort == Sort::Kept(Kind::File);
        match self.open() {
            Ok(file) => Ok(Some(file).filter(|file| is_file(&file.stat))),
            // Links and sockets cannot be opened in this way.
            Err(Unread::Open(_))
                if !self
                    .directory
                    .stat_child(self.name)
                    .is_ok_and(|stat| is_file(&stat)) =>
            {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}
