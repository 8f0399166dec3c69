//! Listing a folder tree in the order of object names.

use super::AtPath;
use crate::store::{ObjectInfo, ObjectName, name::legal_component};
use std::fs;
use std::io;
use std::ops::ControlFlow;
use std::path::Path;

/// Shows the objects whose names begin with `prefix`, which is empty or ends with `/`.
///
/// Memory holds the names of one folder for each component of a name.
pub fn walk(
    root: &Path,
    prefix: &str,
    found: &mut dyn FnMut(ObjectInfo) -> bool,
) -> Result<ControlFlow<()>, AtPath> {
    let folder = root.join(prefix);
    let at = |source| AtPath {
        path: folder.clone(),
        source,
    };
    let Some(entries) = unless_gone(fs::read_dir(&folder)).map_err(at)? else {
        return Ok(ControlFlow::Continue(()));
    };
    // As joined names sort: a folder `a` (all it holds is `a/…`) comes after an object `a-b`,
    // because `-` is before `/`.
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(at)?;
        let Some(mut name) = entry
            .file_name()
            .into_string()
            .ok()
            .filter(|name| legal_component(name))
        else {
            continue;
        };
        let Some(kind) = unless_gone(kind_of(&entry)).map_err(at)? else {
            continue;
        };
        match kind {
            EntryKind::Folder => name.push('/'),
            EntryKind::Object => {}
            EntryKind::Other => continue,
        }
        names.push(name.into_boxed_str());
    }
    names.sort_unstable();
    for name in names {
        let name = format!("{prefix}{name}");
        if name.ends_with('/') {
            // Past the length of any object name: a link that leads back into itself, or not ours.
            if ObjectName::new(name.trim_end_matches('/')).is_some()
                && walk(root, &name, found)?.is_break()
            {
                return Ok(ControlFlow::Break(()));
            }
        } else if let Some(metadata) = unless_gone(fs::metadata(root.join(&name))).map_err(at)?
            && let Some(name) = ObjectName::new(name)
            && !found(ObjectInfo {
                name,
                length: metadata.len(),
            })
        {
            return Ok(ControlFlow::Break(()));
        }
    }
    Ok(ControlFlow::Continue(()))
}

enum EntryKind {
    Object,
    Folder,
    Other,
}

fn kind_of(entry: &fs::DirEntry) -> io::Result<EntryKind> {
    let mut kind = entry.file_type()?;
    if kind.is_symlink() {
        kind = fs::metadata(entry.path())?.file_type();
    }
    Ok(match kind {
        _ if kind.is_dir() => EntryKind::Folder,
        _ if kind.is_file() => EntryKind::Object,
        _ => EntryKind::Other,
    })
}

/// `None` for what is not there (any more): an object that is removed during a listing need not be
/// shown.
fn unless_gone<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
