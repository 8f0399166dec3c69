//! Which of the system's mounts are ours, and how one of them is taken away without another.

use crate::platform::{self, Mount, mount_id, mounts};
use rustix::io::Errno;
use rustix::mount::UnmountFlags;
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

/// What our mounts have behind `fuse.` as their kind.
pub(super) const SUBTYPE: &str = "freezer";

/// When a mount is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leave {
    /// Not as long as programs are in it.
    WhenFree,
    /// At once: programs that are in it stay in what nobody else sees.
    AtOnce,
    /// At once, but only if nobody serves it any more. Of a mount whose service has ended the
    /// numbers may have gone to another, which answers.
    IfDead,
}

/// Why a mount was not taken away.
#[derive(Debug, thiserror::Error)]
pub(super) enum LeaveError {
    /// What is mounted there is not of this program.
    #[error("no backup is mounted there")]
    NotOurs,
    /// It is ours, and something that is not lies on it. Whoever unmounts by path hits that.
    #[error("something else is mounted over it")]
    Covered,
    /// It is ours, and something else is mounted on a directory in it, and would go with it.
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
    /// What is mounted on a path, named in full.
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

    /// Takes it away, and nothing else. Does nothing if it is gone already.
    ///
    /// # Errors
    ///
    /// [`LeaveError::Covered`], [`LeaveError::Holds`]: it stays as it is, as the system could only
    /// take the other away too.
    pub(super) fn leave(&self, when: Leave) -> Result<(), LeaveError> {
        let table = mounts().map_err(LeaveError::System)?;
        // Numbers are given out again, so one alone tells little.
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
            // What covers it may lie on a folder above it, and not have its name.
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

/// Whether a mount is there that nobody serves any more. What the kernel keeps of it, such as the
/// attributes of its root, it still answers; this has to be asked each time.
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
        // Users other than root may end their own FUSE mounts through this program alone.
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

/// The path without symbolic links, and without asking the file system that is mounted there: it
/// may be dead.
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
    fn what_others_mounted_is_not_ours() {
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
