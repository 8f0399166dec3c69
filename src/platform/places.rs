//! Where a path leads, and the folders it lies in.

use super::durable::FileIdentity;
use super::system::{mount_id, mounts};
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

/// Most symbolic links in a row that are followed, the same as in Linux.
const MAX_LINKS: usize = 40;

/// Returns the full path that a path leads to, through symbolic links. Its end need not be there:
/// the result is where the entry would be once each missing folder is made.
///
/// # Errors
///
/// When a part of it that is there cannot be looked at, or when links form a circle.
pub fn resolve(path: &Path) -> io::Result<PathBuf> {
    let from = if path.is_absolute() {
        PathBuf::new()
    } else {
        Path::new(".").canonicalize()?
    };
    resolve_from(from, path, MAX_LINKS)
}

fn resolve_from(mut from: PathBuf, path: &Path, links: usize) -> io::Result<PathBuf> {
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                from.pop();
            }
            Component::Prefix(_) | Component::RootDir => from.push(component),
            Component::Normal(name) => {
                let place = from.join(name);
                match fs::symlink_metadata(&place) {
                    Ok(there) if there.is_symlink() => from = through(from, &place, links)?,
                    Ok(_) => from = place,
                    Err(error) if error.kind() == io::ErrorKind::NotFound => from = place,
                    Err(error) => return Err(error),
                }
            }
        }
    }
    Ok(from)
}

/// Follows a link in the folder `from`. It need not lead to anything: a file can be made through a
/// dangling link.
fn through(from: PathBuf, link: &Path, links: usize) -> io::Result<PathBuf> {
    match link.canonicalize() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let left = links.checked_sub(1).ok_or(io::ErrorKind::NotFound)?;
            resolve_from(from, &fs::read_link(link)?, left)
        }
        followed => followed,
    }
}

/// Returns the folders that hold the entry at a path, or would hold it once it is made. If the path
/// names a folder, that is the first.
///
/// Includes all names of a folder. Where a part of a folder is mounted elsewhere too (a bind
/// mount), an entry made there is made in the folder, so the folder is in the result.
///
/// # Errors
///
/// As [`resolve`]. Also when there is a table of mounts that cannot be read.
pub fn folders_around(path: &Path) -> io::Result<Vec<PathBuf>> {
    let full = resolve(path)?;
    let mut folders: Vec<PathBuf> = full
        .ancestors()
        .filter(|folder| folder.is_dir())
        .map(Path::to_owned)
        .collect();
    let Some(nearest) = folders.first() else {
        return Ok(folders);
    };
    let (id, table) = match mount_id(nearest).and_then(|id| Ok((id, mounts()?))) {
        Ok(known) => known,
        // A system without the table, or a rescue system in which /proc is not mounted: only the
        // path is left to go by.
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::Unsupported | io::ErrorKind::NotFound
            ) =>
        {
            return Ok(folders);
        }
        Err(error) => return Err(error),
    };
    let Some(own) = table.iter().find(|mount| mount.id == id) else {
        return Ok(folders);
    };
    let Ok(below) = nearest.strip_prefix(&own.place) else {
        return Ok(folders);
    };
    let in_file_system = own.root.join(below);
    let same = fs::metadata(nearest).map(|there| FileIdentity::of(&there))?;
    let elsewhere: Vec<PathBuf> = table
        .iter()
        .filter(|mount| mount.device == own.device && mount.id != own.id)
        .filter_map(|mount| {
            let below = in_file_system.strip_prefix(&mount.root).ok()?;
            Some(mount.place.join(below))
        })
        // Another mount may hide it.
        .filter(|name| fs::metadata(name).is_ok_and(|there| FileIdentity::of(&there) == same))
        .collect();
    for name in elsewhere {
        folders.extend(name.ancestors().map(Path::to_owned));
    }
    Ok(folders)
}

#[cfg(all(test, unix))]
mod tests {
    use super::{folders_around, resolve};
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::Path;

    #[test]
    fn a_path_leads_to_where_a_new_file_would_be_made() {
        let room = tempfile::tempdir().expect("made");
        let room = room.path().canonicalize().expect("there");
        fs::create_dir_all(room.join("a/b")).expect("made");
        symlink("a/b", room.join("link")).expect("linked");
        symlink("nowhere", room.join("dangling")).expect("linked");
        for (path, leads_to) in [
            ("a/b", "a/b"),
            ("link", "a/b"),
            ("link/../c", "a/c"),
            ("link/new/more", "a/b/new/more"),
            ("new/../link/x", "a/b/x"),
            ("new/../../a", "../a"),
            ("dangling/x", "nowhere/x"),
            ("./a//b/.", "a/b"),
        ] {
            let wanted = match leads_to.strip_prefix("../") {
                Some(rest) => room.parent().expect("below").join(rest),
                None => room.join(leads_to),
            };
            let resolved = resolve(&room.join(path)).expect("resolved");
            assert_eq!(resolved, wanted, "{path}");
        }
        assert_eq!(resolve(Path::new("/")).expect("resolved"), Path::new("/"));
    }

    #[test]
    fn a_missing_path_lies_in_the_folders_that_are_there() {
        let room = tempfile::tempdir().expect("made");
        let room = room.path().canonicalize().expect("there");
        let around = folders_around(&room.join("new/deeper")).expect("found");
        assert_eq!(around.first(), Some(&room));
        assert!(around.contains(&"/".into()));
    }
}
