//! What this process is and may.

use rustix::process::{Resource, Rlimit};

/// Who this process acts as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessIdentity {
    /// Its effective user.
    pub uid: u32,
    /// Its effective group.
    pub gid: u32,
    /// The other groups it is in.
    pub groups: Vec<u32>,
    /// The mode bits that are taken from whatever it makes; `None` when the system does not tell.
    pub umask: Option<u32>,
}

impl ProcessIdentity {
    /// That of the process as it is at the call.
    pub fn of_process() -> Self {
        let groups = rustix::process::getgroups().unwrap_or_default();
        Self {
            uid: rustix::process::geteuid().as_raw(),
            gid: rustix::process::getegid().as_raw(),
            groups: groups.iter().map(|group| group.as_raw()).collect(),
            umask: umask(),
        }
    }

    /// Whether it may give files to others and make devices.
    pub fn is_root(&self) -> bool {
        self.uid == 0
    }
}

/// From `/proc`: umask(2) can only tell while it changes it, for all threads.
fn umask() -> Option<u32> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let text = status
        .lines()
        .find_map(|line| line.strip_prefix("Umask:"))?;
    u32::from_str_radix(text.trim(), 8).ok()
}

/// Lets this process have as many files open as the administrator allows it, where the default is
/// less.
///
/// A deep tree needs one open directory per depth. That it cannot be raised shows when a file
/// cannot be opened.
pub fn raise_open_files_limit() {
    let limit = rustix::process::getrlimit(Resource::Nofile);
    // The kernel sizes tables by this, so not without bound (systemd sets the hard limit to
    // 524,288).
    let wanted = limit.maximum.unwrap_or(u64::MAX).min(65_536);
    if limit.current.is_some_and(|current| current < wanted) {
        // Refused only by what may refuse anything (seccomp); then the default holds.
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

/// Has no core file written of this process, and none of its children unless they ask for it: what
/// it holds is secret.
pub fn forbid_core_files() {
    let maximum = rustix::process::getrlimit(Resource::Core).maximum;
    // As above: refused only by what may refuse anything.
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
    fn the_umask_is_what_it_takes_from_a_new_file() {
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
