//! The services that a login is for.

/// A service of OpenStack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OpenStackService {
    /// Swift.
    ObjectStore,
    /// The Freezer API.
    Backup,
}

impl OpenStackService {
    /// Returns its type in Keystone's catalog.
    pub(super) fn kind(self) -> &'static str {
        match self {
            Self::ObjectStore => "object-store",
            Self::Backup => "backup",
        }
    }

    /// Returns the setting that says where it is, in place of the catalog.
    pub(super) fn address(self) -> &'static str {
        match self {
            Self::ObjectStore => "STORAGE_URL",
            Self::Backup => "BACKUP_URL",
        }
    }

    /// Returns what people call it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::ObjectStore => "object store",
            Self::Backup => "Freezer API (type backup)",
        }
    }
}
