//! Recognises folders of this machine that are stores, so that nothing but a store writes there.

use super::names;
use crate::format::identity::Identity;
use crate::model::{Kind, LevelId, Name};
use crate::platform::{DirHandle, Sort, folders_around};
use crate::store::ObjectName;
use std::io;
use std::path::{Path, PathBuf};

/// Most bytes of a document that are looked at.
const MAX_DOCUMENT_BYTES: usize = 64 << 10;

/// Most names of a folder that are looked at for a manifest, where no document tells.
const MOST_NAMES: usize = 32;

/// Returns whether a folder is a store: by its `freezer.json`, or by manifests in their place.
///
/// A folder whose `freezer.json` may not be read counts as a store, as it may be one. No symbolic
/// link is followed.
pub fn is_store(folder: &DirHandle) -> bool {
    let says_so = |name: ObjectName| match document(folder, &name) {
        Ok(document) => Identity::is_claimed_by(&document),
        Err(error) => error.kind() == io::ErrorKind::PermissionDenied,
    };
    // The document may be lost or damaged. Its copy and manifests show that this is a store, too.
    says_so(names::identity_name())
        || says_so(names::identity_copy_name())
        || has_manifests(folder).unwrap_or(false)
}

/// Returns the store that a path is or lies in, or would lie in once it is made.
///
/// Symbolic links, `..` and bind mounts are seen through.
///
/// # Errors
///
/// Fails when it cannot be found out where the path leads.
pub fn store_around(path: &Path) -> io::Result<Option<PathBuf>> {
    let is_one = |folder: &PathBuf| DirHandle::open(folder).is_ok_and(|folder| is_store(&folder));
    Ok(folders_around(path)?.into_iter().find(is_one))
}

fn document(folder: &DirHandle, name: &ObjectName) -> io::Result<Vec<u8>> {
    let name = Name::new(name.as_str().as_bytes()).ok_or(io::ErrorKind::InvalidFilename)?;
    let file = folder.open_file(&name)?;
    // Anything else of that name, such as a FIFO, is not read.
    if file.stat()?.sort != Sort::Kept(Kind::File) {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut bytes = vec![0; MAX_DOCUMENT_BYTES];
    let read = file.read_at(&mut bytes, 0)?;
    bytes.truncate(read);
    Ok(bytes)
}

/// Returns whether there is a `manifests/HOST/NAME/LEVEL`.
fn has_manifests(folder: &DirHandle) -> io::Result<bool> {
    let name = names::MANIFESTS.trim_end_matches('/').as_bytes();
    let name = Name::new(name).ok_or(io::ErrorKind::InvalidFilename)?;
    let is_level = |name: &Name| {
        let name = std::str::from_utf8(name.as_bytes());
        name.is_ok_and(|name| name.parse::<LevelId>().is_ok())
    };
    for host in folders_in(&folder.open_child(&name)?)? {
        for backup in folders_in(&host)? {
            let mut levels = backup.list()?.into_iter().take(MOST_NAMES);
            if levels.any(|listed| is_level(&listed.name)) {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

fn folders_in(folder: &DirHandle) -> io::Result<Vec<DirHandle>> {
    let names = folder.list()?.into_iter().take(MOST_NAMES);
    Ok(names
        .filter_map(|listed| folder.open_child(&listed.name).ok())
        .collect())
}

#[cfg(all(test, unix))]
mod tests {
    use super::{is_store, store_around};
    use crate::format::identity::{Cipher, Identity};
    use crate::model::StoreId;
    use crate::platform::DirHandle;
    use std::fs;
    use std::path::{Path, PathBuf};

    const LEVEL: &str = "20261122T223450.123Z-1a2b3c4d";

    fn room() -> (tempfile::TempDir, PathBuf) {
        let room = tempfile::tempdir().expect("made");
        let path = room.path().canonicalize().expect("there");
        (room, path)
    }

    fn there(folder: &Path) -> bool {
        is_store(&DirHandle::open(folder).expect("a folder"))
    }

    fn make_store(folder: &Path) {
        let created = jiff::Timestamp::UNIX_EPOCH;
        let identity = Identity::new(StoreId([9; 16]), Cipher::None, created).seal(None);
        fs::create_dir_all(folder).expect("made");
        fs::write(folder.join("freezer.json"), identity.encode()).expect("written");
    }

    #[test]
    fn a_store_is_known_by_its_document_or_by_its_manifests() {
        let (_room, room) = room();
        let with = |name: &str, file: &str, content: &[u8]| {
            let path = room.join(name).join(file);
            fs::create_dir_all(path.parent().expect("below")).expect("made");
            fs::write(path, content).expect("written");
            there(&room.join(name))
        };
        let newer = br#"{"format":"freezer store","version":7,"shape":"unknown"}"#;
        assert!(with("newer", "freezer.json", newer));
        assert!(with("copy", "freezer-copy.json", newer));
        assert!(with("lost", &format!("manifests/h/b/{LEVEL}"), b"x"));
        assert!(!with("other", "freezer.json", b"{\"format\":\"icebox\"}"));
        assert!(!with("text", "freezer.json", b"x"));
        assert!(!with("cluster", "manifests/app/deployment.yaml", b"x"));
        assert!(!with("cluster", "manifests/app/web/deployment.yaml", b"x"));
        assert!(!there(&room));
        // Cut off at its first byte, with all else still there.
        fs::write(room.join("lost/freezer.json"), b"{").expect("written");
        assert!(there(&room.join("lost")));
    }

    #[test]
    fn a_store_is_found_around_what_is_in_it_whatever_way_leads_there() {
        let (_room, room) = room();
        let store = room.join("store");
        make_store(&store);
        fs::create_dir_all(store.join("data/x")).expect("made");
        fs::create_dir(room.join("beside")).expect("made");
        std::os::unix::fs::symlink("store/data", room.join("link")).expect("linked");
        for inside in [
            "store",
            "store/",
            "store/data/x",
            "store/new/newer",
            "link/new",
            "beside/../store/x",
            "missing/../store/x",
        ] {
            let found = store_around(&room.join(inside)).expect("found out");
            assert_eq!(found.as_ref(), Some(&store), "{inside}");
        }
        for outside in [".", "beside", "new", "store/../beside/x"] {
            let found = store_around(&room.join(outside)).expect("found out");
            assert_eq!(found, None, "{outside}");
        }
    }
}
