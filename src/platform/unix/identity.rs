//! The user and groups of this process, and its limits.

use rustix::process::{Resource, Rlimit};

/// The user and groups that this process acts as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessIdentity {
    /// Number of its effective user.
    pub uid: u32,
    /// Number of its effective group.
    pub gid: u32,
    /// Numbers of its supplementary groups.
    pub groups: Vec<u32>,
    /// The mode bits that the system removes from new files; `None` when the system does not tell.
    pub umask: Option<u32>,
}

impl ProcessIdentity {
    /// Returns the identity of this process at the time of the call.
    pub fn of_process() -> Self {
        let groups = rustix::process::getgroups().unwrap_or_default();
        Self {
            uid: rustix::process::geteuid().as_raw(),
            gid: rustix::process::getegid().as_raw(),
            groups: groups.iter().map(|group| group.as_raw()).collect(),
            umask: umask(),
        }
    }

    /// Whether it is root: it may give files to other users, and make devices.
    pub fn is_root(&self) -> bool {
        self.uid == 0
    }
}

/// Reads the umask from `/proc`: umask(2) can only tell it by changing it, for all threads.
fn umask() -> Option<u32> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let text = status
        .lines()
        .find_map(|line| line.strip_prefix("Umask:"))?;
    u32::from_str_radix(text.trim(), 8).ok()
}

/// Raises the limit of open files as far as the administrator allows, up to 65,536.
///
/// A deep tree needs one open directory for each level of depth. If the limit cannot be raised,
/// that shows when a file cannot be opened.
pub fn raise_open_files_limit() {
    let limit = rustix::process::getrlimit(Resource::Nofile);
    // Bounded, as the kernel sizes tables by it (systemd sets the hard limit to 524,288).
    let wanted = limit.maximum.unwrap_or(u64::MAX).min(65_536);
    if limit.current.is_some_and(|current| current < wanted) {
        // Fails only under seccomp, which may refuse any call; then the default holds.
        rustix::process::setrlimit(
            Resource::Nofile,
            Rlimit {
                current: Some(wanted),
                maximum: limit.maximum,
            },
        )
        .unwrap_or(());
    }
}

/// Turns off core files of this process, whose memory holds secrets. Holds for its children too,
/// unless they turn them on.
pub fn forbid_core_files() {
    let maximum = rustix::process::getrlimit(Resource::Core).maximum;
    // Fails only under seccomp, as above.
    rustix::process::setrlimit(
        Resource::Core,
        Rlimit {
            current: Some(0),
            maximum,
        },
    )
    .unwrap_or(());
}

#[cfg(test)]
mod tests {
    use super::{ProcessIdentity, raise_open_files_limit};
    use rustix::process::{Resource, getrlimit};

    #[test]
    fn the_umask_is_what_the_system_removes_from_the_mode_of_a_new_file() {
        use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o777)
            .open(&path)
            .unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        assert_eq!(ProcessIdentity::of_process().umask, Some(0o777 & !mode));
    }

    #[test]
    fn the_limit_of_open_files_never_falls() {
        let before = getrlimit(Resource::Nofile).current;
        raise_open_files_limit();
        let after = getrlimit(Resource::Nofile).current;
        assert!(
            after >= before || after.is_none(),
            "{before:?} to {after:?}"
        );
    }
}
