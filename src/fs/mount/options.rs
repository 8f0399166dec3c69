//! What to mount where, and for whom.

use crate::fs::fuse::{Appearance, Permissions};
use fuser::{Config, SessionACL};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::thread;

/// What to mount where, and for whom.
#[derive(Clone, Debug)]
pub struct MountOptions {
    /// The directory to mount on.
    pub mount_point: PathBuf,
    /// The source in the table of mounts, such as `docs@2026-11-20`.
    pub source: String,
    /// The folder of the store, if it is on this machine: the mount must not hide it. A mount point
    /// inside of any store is refused anyway.
    pub store: Option<PathBuf>,
    /// Owners, permissions and patience.
    pub appearance: Appearance,
    /// Who may enter the mount.
    pub audience: Audience,
    /// What to do with a mount point that is not empty.
    pub occupied: Occupied,
    /// How many threads take requests.
    pub threads: NonZeroUsize,
    /// Where to write the counts of requests as JSON, at the end and at `SIGUSR1`.
    pub stats_file: Option<PathBuf>,
}

impl MountOptions {
    /// Returns the usual options for a mount point: for its owner alone, with two to four threads.
    pub fn new(mount_point: impl Into<PathBuf>, source: impl Into<String>) -> Self {
        let cores = thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        Self {
            mount_point: mount_point.into(),
            source: source.into(),
            store: None,
            appearance: Appearance::default(),
            audience: Audience::Owner,
            occupied: Occupied::Refuse,
            threads: cores.clamp(
                NonZeroUsize::MIN.saturating_add(1),
                NonZeroUsize::MIN.saturating_add(3),
            ),
            stats_file: None,
        }
    }

    /// Returns the options for the kernel besides those that every mount of ours has.
    pub(super) fn for_kernel(&self) -> Vec<&'static str> {
        let checked = self.appearance.permissions == Permissions::Checked;
        let everyone = self.audience == Audience::Everyone;
        let wanted = [
            checked.then_some("default_permissions"),
            everyone.then_some("allow_other"),
        ];
        wanted.into_iter().flatten().collect()
    }

    /// Returns how requests are taken.
    pub(super) fn for_session(&self) -> Config {
        let mut config = Config::default();
        config.n_threads = Some(self.threads.get());
        config.clone_fd = true;
        config
    }
}

/// Who may enter a mount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// The user who mounts it, and nobody else, not even root.
    Owner,
    /// Every user, within the permissions of the entries.
    Everyone,
}

impl Audience {
    /// Returns whose requests are answered.
    pub(super) fn acl(self) -> SessionACL {
        match self {
            Self::Owner => SessionACL::Owner,
            Self::Everyone => SessionACL::All,
        }
    }
}

/// What to do with a mount point that is not empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Occupied {
    /// Mount nothing, and return an error.
    Refuse,
    /// Hide its entries as long as the mount lasts.
    Cover,
}
