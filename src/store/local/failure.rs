//! What the file system says, and what it means to a caller.

use crate::platform::folder_handle::is_link;
use crate::store::Kind;
use std::io;
use std::path::PathBuf;

/// Returns what a failure of the file system means to a caller.
pub fn kind_of(error: &io::Error) -> Kind {
    if is_link(error) {
        return Kind::Failed;
    }
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Kind::Missing,
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => Kind::Denied,
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Kind::Full,
        io::ErrorKind::StaleNetworkFileHandle
        | io::ErrorKind::ResourceBusy
        | io::ErrorKind::TimedOut
        | io::ErrorKind::Interrupted
        | io::ErrorKind::NotConnected
        | io::ErrorKind::HostUnreachable
        | io::ErrorKind::NetworkUnreachable
        | io::ErrorKind::NetworkDown => Kind::Unavailable,
        _ => Kind::Failed,
    }
}

/// The file system failed at a path.
#[derive(Debug, thiserror::Error)]
#[error("{}", path.display())]
pub struct AtPath {
    /// The file or folder.
    pub path: PathBuf,
    /// What the system said.
    pub source: io::Error,
}

#[cfg(all(test, unix))]
mod tests {
    use super::kind_of;
    use crate::store::Kind;
    use std::io;

    #[test]
    fn what_the_system_says_becomes_the_right_kind() {
        let errors = [
            (2, Kind::Missing),
            (20, Kind::Missing),
            (1, Kind::Denied),
            (13, Kind::Denied),
            (30, Kind::Denied),
            (28, Kind::Full),
        ];
        for (number, kind) in errors.into_iter().chain([
            (122, Kind::Full),
            (116, Kind::Unavailable),
            (5, Kind::Failed),
        ]) {
            assert_eq!(
                kind_of(&io::Error::from_raw_os_error(number)),
                kind,
                "errno {number}"
            );
        }
    }
}
