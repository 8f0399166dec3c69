//! Makes sure that a mount point can be used.

use super::error::MountError;
use super::options::{MountOptions, Occupied};
use crate::catalog::store_around;
use crate::fs::mounts::{Leave, LeaveError, OwnMount, in_full, is_dead};
use crate::platform::{folders_around, resolve};
use std::io;
use std::path::{Path, PathBuf};

/// Makes sure that the mount point can be used, and takes a dead mount of ours away from it.
/// Returns it as an absolute path without symbolic links.
pub(super) fn prepare(options: &MountOptions) -> Result<PathBuf, MountError> {
    let given = &options.mount_point;
    let failed = |source: io::Error| MountError::MountPoint {
        mount_point: given.clone(),
        source,
    };
    if is_dead(given) {
        take_away_dead(given)?;
    }
    let mode = rustix::fs::stat(given)
        .map_err(|error| failed(error.into()))?
        .st_mode;
    if rustix::fs::FileType::from_raw_mode(mode) != rustix::fs::FileType::Directory {
        return Err(MountError::NotADirectory(given.clone()));
    }
    let mount_point = given.canonicalize().map_err(failed)?;
    if let Some(store) = covered(&mount_point, options.store.as_deref()).map_err(failed)? {
        return Err(MountError::CoversStore { mount_point, store });
    }
    let is_empty = std::fs::read_dir(&mount_point)
        .map_err(failed)?
        .next()
        .is_none();
    if !is_empty && options.occupied == Occupied::Refuse {
        return Err(MountError::Occupied(given.clone()));
    }
    Ok(mount_point)
}

/// Returns the store that a mount would hide from others, or from itself.
fn covered(mount_point: &Path, own: Option<&Path>) -> io::Result<Option<PathBuf>> {
    if let Some(store) = store_around(mount_point)? {
        return Ok(Some(store));
    }
    let Some(own) = own else {
        return Ok(None);
    };
    // Under all names of the folder: a mount on one of them may be seen under the others too.
    let holds_it = folders_around(own)?.contains(&mount_point.to_owned());
    let lies_in_it = folders_around(mount_point)?.contains(&resolve(own)?);
    Ok((holds_it || lies_in_it).then(|| own.to_owned()))
}

/// Takes away a mount of ours whose process has died.
fn take_away_dead(given: &Path) -> Result<(), MountError> {
    let place = in_full(given).map_err(|source| MountError::MountPoint {
        mount_point: given.to_owned(),
        source,
    })?;
    match OwnMount::on(&place) {
        Ok(dead) => dead
            .leave(Leave::IfDead)
            .map_err(|error| MountError::leaving(given, error))?,
        // A dead mount of another program stays, and the mount point fails as it is.
        Err(LeaveError::NotOurs) => return Ok(()),
        Err(error) => return Err(MountError::leaving(given, error)),
    }
    tracing::warn!(
        mount_point = %given.display(),
        "took away a mount whose process had died"
    );
    Ok(())
}
