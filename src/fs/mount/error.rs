//! Errors of mounting and unmounting.

use crate::fs::mounts::LeaveError;
use crate::model::Advice;
use std::io;
use std::path::{Path, PathBuf};

/// Why a mount could not be made, kept or ended.
#[derive(Debug, thiserror::Error)]
pub enum MountError {
    /// The mount point is missing, or the user may not use it.
    #[error("cannot mount on {}", .mount_point.display())]
    MountPoint {
        /// The mount point as it was given.
        mount_point: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// The mount point is a file.
    #[error("cannot mount on {}: it is not a directory", .0.display())]
    NotADirectory(PathBuf),
    /// The mount point has entries, which a mount would hide.
    #[error("cannot mount on {}: it is not empty", .0.display())]
    Occupied(PathBuf),
    /// The mount would hide the store, or lie inside of it.
    #[error(
        "cannot mount on {}: it would hide the store {} or a part of it",
        .mount_point.display(),
        .store.display()
    )]
    CoversStore {
        /// The mount point in full.
        mount_point: PathBuf,
        /// The folder of the store.
        store: PathBuf,
    },
    /// The system has no FUSE, or refuses the mount.
    #[error("could not mount on {}", .mount_point.display())]
    Mount {
        /// The mount point in full.
        mount_point: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// The mount was made, but does not answer.
    #[error("the mount on {} does not answer", .mount_point.display())]
    NoAnswer {
        /// The mount point in full.
        mount_point: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// Nothing is mounted there, or a file system of another program.
    #[error("could not unmount {}: no backup is mounted there", .0.display())]
    NotOurs(PathBuf),
    /// A backup is mounted there, but another file system is mounted over it or in it.
    #[error("could not unmount {}", .mount_point.display())]
    Entangled {
        /// The mount point.
        mount_point: PathBuf,
        /// Where the other file system is mounted.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The system refused to end the mount.
    #[error("could not unmount {}", .mount_point.display())]
    Unmount {
        /// The mount point.
        mount_point: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// The mount was made, but could not be served to its end.
    #[error("the mount on {} failed", .mount_point.display())]
    Serve {
        /// The mount point.
        mount_point: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
}

impl Advice for MountError {
    fn hint(&self) -> Option<&str> {
        match self {
            Self::MountPoint { .. } | Self::NotADirectory(_) => {
                Some("name a directory that exists and is yours")
            }
            Self::Occupied(_) => {
                Some("name an empty directory, or hide what is in this one with --cover")
            }
            Self::CoversStore { .. } => {
                Some("name a directory that neither holds the store nor lies in it")
            }
            Self::Mount { .. } => Some(
                "FUSE is needed: install fuse3, make sure that /dev/fuse exists, and for \
                 --allow-other that /etc/fuse.conf has user_allow_other",
            ),
            Self::NoAnswer { .. } => {
                Some("freezer umount DIRECTORY takes it away; -vv --foreground shows what it does")
            }
            Self::Unmount { .. } => Some(
                "leave it with every program that is in it (fuser -vm DIRECTORY shows them), and \
                 try again",
            ),
            Self::Entangled { .. } => {
                Some("unmount the other one first: umount DIRECTORY; then freezer umount DIRECTORY")
            }
            Self::NotOurs(_) => Some("`mount -t fuse.freezer` lists the mounts there are"),
            Self::Serve { .. } => None,
        }
    }
}

impl MountError {
    /// Returns the error of a mount that could not be ended.
    pub(super) fn leaving(mount_point: &Path, error: LeaveError) -> Self {
        let mount_point = mount_point.to_owned();
        match error {
            LeaveError::NotOurs => Self::NotOurs(mount_point),
            LeaveError::Covered | LeaveError::Holds(_) => Self::Entangled {
                mount_point,
                source: error.into(),
            },
            LeaveError::System(source) => Self::Unmount {
                mount_point,
                source,
            },
        }
    }
}
