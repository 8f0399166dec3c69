//! Listing a folder tree in the order of object names.

use super::failure::AtPath;
use crate::platform::folder_handle::{EntryKind, FolderHandle, Intrusion};
use crate::store::{ObjectInfo, ObjectName, name::legal_component};
use std::fs::Metadata;
use std::io;
use std::ops::ControlFlow;
use std::path::Path;

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
    /// Memory holds the names of one folder for each component of a name.
    pub fn walk(&mut self, folder: &FolderHandle, prefix: &str) -> Result<ControlFlow<()>, AtPath> {
        let root = self.root;
        let at = |source| AtPath {
            path: root.join(prefix),
            source,
        };
        if let Some(intrusion) = folder.intrusion(self.top).map_err(at)? {
            (self.told)(prefix.trim_end_matches('/'), Oddity::Open(intrusion));
        }
        for name in self.names(folder, prefix).map_err(at)? {
            let (name, whole) = (name.trim_end_matches('/'), format!("{prefix}{name}"));
            if whole.ends_with('/') {
                // Deeper than any object's name goes: not ours.
                let is_short = ObjectName::new(whole.trim_end_matches('/')).is_some();
                if is_short
                    && let Some(folder) = unless_gone(folder.descend(name)).map_err(at)?
                    && self.walk(&folder, &whole)?.is_break()
                {
                    return Ok(ControlFlow::Break(()));
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
        }
        Ok(ControlFlow::Continue(()))
    }

    /// The names in a folder that can be an object's, a folder's with a slash at its end. They are
    /// in the order of joined names: a folder `a` (all it holds is `a/…`) comes after an object
    /// `a-b`, because `-` is before `/`.
    fn names(&self, folder: &FolderHandle, prefix: &str) -> io::Result<Vec<Box<str>>> {
        let mut names = Vec::new();
        for entry in folder.entries()? {
            let name = entry
                .name
                .into_string()
                .ok()
                .filter(|name| legal_component(name));
            let Some(mut name) = name else { continue };
            match entry.kind {
                EntryKind::Folder => name.push('/'),
                EntryKind::File => {}
                EntryKind::Link => {
                    (self.told)(&format!("{prefix}{name}"), Oddity::Link);
                    continue;
                }
                EntryKind::Other => continue,
            }
            names.push(name.into_boxed_str());
        }
        names.sort_unstable();
        Ok(names)
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
