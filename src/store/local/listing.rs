//! Listing a folder tree in the order of object names.

use super::failure::AtPath;
use crate::platform::folder_handle::{EntryKind, FolderHandle, Intrusion};
use crate::store::folder_rows::{FirstRows, FolderBatch, FolderRow};
use crate::store::folders::DEEPEST;
use crate::store::{ObjectInfo, ObjectName, name::legal_component};
use std::fs::Metadata;
use std::io;
use std::ops::ControlFlow;
use std::path::Path;

/// How much memory the names of the topmost folder may take, in bytes; those of each folder below
/// may take half as much.
const MOST_BYTES: usize = 64 << 20;

/// The least that one folder may take.
const LEAST_BYTES: usize = 256 << 10;

/// Something in a store's folder that a person should be told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Oddity {
    /// A symbolic link in the place of an object or folder.
    Link,
    /// A folder in which other users may write than in the store's own.
    Open(Intrusion),
}

/// Walks the folders of one store.
pub struct Walk<'run> {
    /// The store's folder, for error messages.
    pub root: &'run Path,
    /// Describes the store's folder.
    pub top: &'run Metadata,
    /// Is called for each object, until it returns `false`.
    pub found: &'run mut dyn FnMut(ObjectInfo) -> bool,
    /// Is called for each oddity, with its name below the store's folder.
    pub told: &'run dyn Fn(&str, Oddity),
}

impl Walk<'_> {
    /// Shows the objects in `folder`, whose names begin with `prefix`. That is empty or ends with
    /// `/`.
    ///
    /// Memory is bounded: a folder with more names than there is room for is read several times.
    pub fn walk(&mut self, folder: &FolderHandle, prefix: &str) -> Result<ControlFlow<()>, AtPath> {
        self.below(folder, prefix, MOST_BYTES)
    }

    fn below(
        &mut self,
        folder: &FolderHandle,
        prefix: &str,
        room: usize,
    ) -> Result<ControlFlow<()>, AtPath> {
        let root = self.root;
        let at = |source| AtPath {
            path: root.join(prefix),
            source,
        };
        if let Some(intrusion) = folder.intrusion(self.top).map_err(at)? {
            (self.told)(prefix.trim_end_matches('/'), Oddity::Open(intrusion));
        }
        let mut after = None;
        loop {
            let batch = self.names(folder, prefix, after, room).map_err(at)?;
            for row in batch.rows {
                let whole = format!("{prefix}{}", row.name());
                if self.show(folder, row.name(), whole, room)?.is_break() {
                    return Ok(ControlFlow::Break(()));
                }
            }
            after = batch.more_after;
            if after.is_none() {
                return Ok(ControlFlow::Continue(()));
            }
        }
    }

    /// Shows the object `name` of a folder, or the objects in the folder `name/`.
    fn show(
        &mut self,
        folder: &FolderHandle,
        name: &str,
        whole: String,
        room: usize,
    ) -> Result<ControlFlow<()>, AtPath> {
        let root = self.root;
        let at = |source| AtPath {
            path: root.join(&whole),
            source,
        };
        if let Some(name) = name.strip_suffix('/') {
            // Deeper, or longer, than any object's name is: not ours.
            let is_ours = whole.matches('/').count() < DEEPEST
                && ObjectName::new(whole.trim_end_matches('/')).is_some();
            if is_ours && let Some(folder) = unless_gone(folder.descend(name)).map_err(at)? {
                return self.below(&folder, &whole, (room / 2).max(LEAST_BYTES));
            }
        } else if let Some(metadata) = unless_gone(folder.look_at(name)).map_err(at)?
            && let Some(name) = ObjectName::new(whole)
            && !(self.found)(ObjectInfo {
                name,
                length: metadata.len(),
            })
        {
            return Ok(ControlFlow::Break(()));
        }
        Ok(ControlFlow::Continue(()))
    }

    /// The first names in a folder after `after` that can be an object's, a folder's with a slash
    /// at its end. They are in the order of joined names: a folder `a` (all it holds is `a/…`)
    /// comes after an object `a-b`, because `-` is before `/`.
    fn names(
        &self,
        folder: &FolderHandle,
        prefix: &str,
        after: Option<Box<str>>,
        room: usize,
    ) -> io::Result<FolderBatch> {
        let is_first = after.is_none();
        let mut rows = FirstRows::new(after, room);
        folder.each(&mut |entry| {
            let name = entry.name.to_str().filter(|name| legal_component(name));
            let row = name.and_then(|name| match entry.kind {
                EntryKind::Folder => FolderRow::folder(name),
                EntryKind::File => FolderRow::object(name, 0),
                EntryKind::Link => {
                    if is_first {
                        (self.told)(&format!("{prefix}{name}"), Oddity::Link);
                    }
                    None
                }
                EntryKind::Other => None,
            });
            rows.take(row).map_err(io::Error::other)
        })?;
        Ok(rows.finish())
    }
}

/// Turns "it is not there" into nothing: an object that is removed during a listing need not be
/// shown.
pub fn unless_gone<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) => match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Ok(None),
            _ => Err(error),
        },
    }
}
