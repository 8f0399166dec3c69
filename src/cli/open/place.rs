//! A place where a store is or will be.

use crate::catalog::{AccessError, is_store};
use crate::cli::open::outside::outside_stores;
use crate::platform::DirHandle;
use crate::store::location::{IfMissing, Location};
use crate::store::{ErrorKind, Store, StoreSettings};
use std::sync::Arc;

/// A place where a store is or will be, and the settings to open it with.
pub(in crate::cli) struct StorePlace {
    pub(in crate::cli) location: Location,
    pub(in crate::cli) settings: StoreSettings,
}

impl StorePlace {
    /// Announces the length of the longest object that will be stored, in bytes.
    pub(in crate::cli) fn with_segment_bytes(self, segment_bytes: u64) -> Self {
        Self {
            settings: self.settings.with_segment_bytes(segment_bytes),
            ..self
        }
    }

    /// Opens the store in this place.
    pub(in crate::cli) fn open(&self, if_missing: IfMissing) -> anyhow::Result<Arc<dyn Store>> {
        if let (Location::Folder(folder), IfMissing::Create) = (&self.location, if_missing)
            && !DirHandle::open(folder).is_ok_and(|folder| is_store(&folder))
        {
            outside_stores("a store", folder)?;
        }
        self.location
            .open(if_missing, &self.settings)
            .map_err(|error| match (if_missing, error.kind()) {
                (IfMissing::Refuse, ErrorKind::Missing) => {
                    AccessError::NoStore(self.location.to_string()).into()
                }
                _ => error.into(),
            })
    }
}
