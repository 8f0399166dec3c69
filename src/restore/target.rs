//! Opens the directory that a restore writes to.

use super::attributes::Start;
use super::directory::TargetDirectory;
use super::run::RestoreRun;
use super::selection::{RestoreSelection, SelectedTree};
use super::{Existing, RestoreError, RestoreSource};
use crate::model::TreePath;
use crate::platform::{Attributes, DirHandle, Xattrs};
use std::path::Path;
use std::sync::Arc;
use std::{fs, io};

/// Mode of a directory that is being filled.
pub(super) const PRIVATE: u32 = 0o700;

/// Opens the directory at `path`, and makes it and the folders above it if they are missing.
pub(super) fn open_target<S: RestoreSource>(
    run: &RestoreRun<'_, S>,
    tree: &SelectedTree,
    path: &Path,
) -> Result<Arc<TargetDirectory>, RestoreError> {
    let refused = |source| RestoreError::Target {
        path: path.to_owned(),
        source,
    };
    // Checked before the first folder on the way is made, which would be in the store too.
    if let Some(store) = (run.options.keep_out.around)(path).map_err(refused)? {
        return Err(RestoreError::InStore {
            path: path.to_owned(),
            store,
        });
    }
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(refused)?;
    }
    let new = match fs::create_dir(path) {
        Ok(()) => true,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => false,
        Err(error) => return Err(refused(error)),
    };
    let handle = DirHandle::open(path).map_err(refused)?;
    if !new
        && run.options.existing == Existing::Refuse
        && !handle.list().map_err(refused)?.is_empty()
    {
        return Err(RestoreError::NotEmpty(path.to_owned()));
    }
    let whole = tree.selection == RestoreSelection::All;
    if new && whole {
        handle.set_mode(PRIVATE).map_err(refused)?;
    }
    let stat = handle.stat().map_err(refused)?;
    let xattrs = Xattrs::new()
        .of_open(&handle, stat.device)
        .map_err(refused)?;
    // New entries get other attributes than asked for if the directory passes on a group of its own
    // (setgid, or mount option grpid) or ACLs.
    let plain = stat.gid == run.identity.gid
        && stat.mode & 0o2000 == 0
        && !xattrs
            .iter()
            .any(|xattr| xattr.name.starts_with(b"system."));
    let wanted = whole.then(|| run.wanted(&tree.entry.metadata));
    if whole {
        run.flag_later(&tree.entry);
    }
    let mut directory =
        TargetDirectory::new(handle, TreePath::root(), wanted, Start::UNKNOWN, None);
    (directory.plain, directory.private) = (plain, new && whole);
    Ok(Arc::new(directory))
}
