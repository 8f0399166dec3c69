//! Failures of the file system, and their meaning for a caller.

use crate::platform::folder_handle::is_link;
use crate::store::ErrorKind;
use std::io;
use std::path::PathBuf;

/// Returns the kind of error that a failure of the file system means.
pub fn kind_of(error: &io::Error) -> ErrorKind {
    if is_link(error) {
        return ErrorKind::Failed;
    }
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => ErrorKind::Missing,
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => ErrorKind::Denied,
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ErrorKind::Full,
        io::ErrorKind::StaleNetworkFileHandle
        | io::ErrorKind::ResourceBusy
        | io::ErrorKind::TimedOut
        | io::ErrorKind::Interrupted
        | io::ErrorKind::NotConnected
        | io::ErrorKind::HostUnreachable
        | io::ErrorKind::NetworkUnreachable
        | io::ErrorKind::NetworkDown => ErrorKind::Unavailable,
        _ => ErrorKind::Failed,
    }
}

/// The file system failed at a path.
#[derive(Debug, thiserror::Error)]
#[error("{}", path.display())]
pub struct AtPath {
    /// The file or folder.
    pub path: PathBuf,
    /// The error of the system.
    pub source: io::Error,
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::kind_of;
    use crate::store::ErrorKind;
    use std::io;

    #[test]
    fn what_the_system_says_becomes_the_right_kind() {
        let errors = [
            (2, ErrorKind::Missing),
            (20, ErrorKind::Missing),
            (1, ErrorKind::Denied),
            (13, ErrorKind::Denied),
            (30, ErrorKind::Denied),
            (28, ErrorKind::Full),
        ];
        for (number, kind) in errors.into_iter().chain([
            (122, ErrorKind::Full),
            (116, ErrorKind::Unavailable),
            (5, ErrorKind::Failed),
        ]) {
            assert_eq!(
                kind_of(&io::Error::from_raw_os_error(number)),
                kind,
                "errno {number}"
            );
        }
    }
}
