//! Tells our mounts from others, and takes one away without taking another along.

use crate::platform::{self, Mount, mount_id, mounts};
use rustix::io::Errno;
use rustix::mount::UnmountFlags;
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

/// What follows `fuse.` in the kind of our mounts.
pub(super) const SUBTYPE: &str = "freezer";

/// When a mount is to be taken away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leave {
    /// Only when no program uses it.
    WhenFree,
    /// At once. Programs that use it keep it, and nobody else sees it any more.
    AtOnce,
    /// At once, but only if nobody serves it any more. Another mount, which is served, may have got
    /// the number of a mount that has ended.
    IfDead,
}

/// Why a mount was not taken away.
#[derive(Debug, thiserror::Error)]
pub(super) enum LeaveError {
    /// Nothing is mounted there, or a file system of another program.
    #[error("no backup is mounted there")]
    NotOurs,
    /// It is ours, but another file system is mounted over it. Unmounting by path would hit that.
    #[error("something else is mounted over it")]
    Covered,
    /// It is ours, but another file system is mounted on a directory in it, and would go with it.
    #[error("something else is mounted in it, on {}", .0.display())]
    Holds(PathBuf),
    /// The system refused.
    #[error(transparent)]
    System(io::Error),
}

/// A mount of this program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct OwnMount {
    mount: Mount,
}

impl OwnMount {
    /// Finds our mount on a path, which is given in full.
    ///
    /// # Errors
    ///
    /// [`LeaveError::NotOurs`], [`LeaveError::Covered`].
    pub(super) fn on(place: &Path) -> Result<Self, LeaveError> {
        let seen = mount_id(place).map_err(LeaveError::System)?;
        let table = mounts().map_err(LeaveError::System)?;
        let is_ours = |mount: &&Mount| mount.place == place && is_ours(mount);
        match table.iter().filter(is_ours).find(|mount| mount.id == seen) {
            Some(mount) => Ok(Self {
                mount: mount.clone(),
            }),
            None if table.iter().any(|mount| is_ours(&mount)) => Err(LeaveError::Covered),
            None => Err(LeaveError::NotOurs),
        }
    }

    /// Takes it away, and nothing else. Does nothing if it is gone.
    ///
    /// # Errors
    ///
    /// [`LeaveError::Covered`], [`LeaveError::Holds`]: the mount stays, since the system could only
    /// take the other one away too. [`LeaveError::System`].
    pub(super) fn leave(&self, when: Leave) -> Result<(), LeaveError> {
        let table = mounts().map_err(LeaveError::System)?;
        // The system reuses numbers, so the number alone does not identify a mount.
        let is_it = |mount: &Mount| {
            (mount.id, mount.device, &mount.place)
                == (self.mount.id, self.mount.device, &self.mount.place)
                && is_ours(mount)
        };
        if !table.iter().any(is_it) {
            return Ok(());
        }
        match mount_id(&self.mount.place) {
            Ok(seen) if seen == self.mount.id => {}
            // The mount over it may lie on a folder above, under another name.
            Ok(_) => return Err(LeaveError::Covered),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(LeaveError::Covered);
            }
            Err(error) => return Err(LeaveError::System(error)),
        }
        if when == Leave::IfDead && !is_dead(&self.mount.place) {
            return Ok(());
        }
        if let Some(inside) = table.iter().find(|mount| mount.parent == self.mount.id) {
            return Err(LeaveError::Holds(inside.place.clone()));
        }
        unmount(&self.mount.place, when).map_err(LeaveError::System)
    }
}

/// Whether nobody serves the mount at a place any more. Asks for the size of the file system, which
/// the kernel never keeps; it still answers from its cache for the attributes of a dead root.
pub(super) fn is_dead(place: &Path) -> bool {
    rustix::fs::statvfs(place).err() == Some(Errno::NOTCONN)
}

fn is_ours(mount: &Mount) -> bool {
    mount.kind.strip_prefix("fuse.") == Some(SUBTYPE)
}

fn unmount(place: &Path, when: Leave) -> io::Result<()> {
    let flags = match when {
        Leave::WhenFree => UnmountFlags::NOFOLLOW,
        Leave::AtOnce | Leave::IfDead => UnmountFlags::NOFOLLOW | UnmountFlags::DETACH,
    };
    match rustix::mount::unmount(place, flags) {
        // Users other than root may end their own FUSE mounts only through `fusermount3`.
        Err(Errno::PERM) => by_helper(place, when),
        result => Ok(result?),
    }
}

fn by_helper(place: &Path, when: Leave) -> io::Result<()> {
    let flags = match when {
        Leave::WhenFree => "-u",
        Leave::AtOnce | Leave::IfDead => "-uz",
    };
    let output = platform::process::run(
        Path::new("fusermount3"),
        [OsStr::new(flags), OsStr::new("--"), place.as_os_str()],
    )?;
    if output.status.success() {
        Ok(())
    } else {
        Err(io::Error::other(
            String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        ))
    }
}

/// Returns the full path without symbolic links. Does not ask the file system that is mounted
/// there, which may be dead.
pub(super) fn in_full(path: &Path) -> io::Result<PathBuf> {
    match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) if !path.is_symlink() => {
            let parent = if parent.as_os_str().is_empty() {
                Path::new(".")
            } else {
                parent
            };
            Ok(parent.canonicalize()?.join(name))
        }
        _ => path.canonicalize(),
    }
}

#[cfg(test)]
mod tests {
    use super::{LeaveError, OwnMount, in_full};
    use std::path::Path;

    #[test]
    fn a_mount_of_another_program_is_not_ours() {
        for place in ["/proc", "/"] {
            assert!(matches!(
                OwnMount::on(Path::new(place)),
                Err(LeaveError::NotOurs)
            ));
        }
    }

    #[test]
    fn a_path_is_found_as_the_table_has_it() {
        let room = tempfile::tempdir().expect("made");
        let whole = room.path().canonicalize().expect("there");
        std::fs::create_dir(room.path().join("m")).expect("made");
        std::os::unix::fs::symlink("m", room.path().join("link")).expect("linked");
        assert_eq!(
            in_full(&room.path().join("m/")).expect("there"),
            whole.join("m")
        );
        assert_eq!(
            in_full(&room.path().join("link")).expect("there"),
            whole.join("m")
        );
        assert_eq!(in_full(&room.path().join("m/..")).expect("there"), whole);
    }
}
