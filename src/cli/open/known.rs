//! Compares the stores of a run with what this machine knows of them.

use crate::catalog::known::{KnownStores, KnownStoresError, Purpose, Surprise, Witness};
use crate::catalog::{Access, AccessError};
use crate::cli::open::session::Session;
use crate::format::identity::Identity;
use crate::store::Store;
use crate::store::location::IfMissing;
use std::sync::Arc;

impl Session {
    /// Watches an open store, so that what it shows is compared with what this machine remembers.
    ///
    /// A memory that cannot be used stops a command that writes. A command that reads goes on
    /// without it, and says so.
    ///
    /// # Errors
    ///
    /// [`Surprise`] where another store is in the place, and the command writes.
    pub(in crate::cli) fn watched(
        &self,
        access: Access,
        purpose: Purpose,
    ) -> anyhow::Result<Access> {
        let witness = self.witness(&access.store().location(), access.identity(), purpose)?;
        self.tell_of_plain_http(access.cipher());
        let Some(witness) = witness else {
            return Ok(access);
        };
        if let Some(epoch) = access.key_epoch() {
            witness.key_epoch(epoch)?;
        }
        Ok(access.watched_by(Arc::new(witness)))
    }

    /// Compares a store with what this machine knows of the place, and starts to watch it. `None`
    /// where this machine has no memory.
    pub(in crate::cli) fn witness(
        &self,
        place: &str,
        identity: &Identity,
        purpose: Purpose,
    ) -> anyhow::Result<Option<Witness>> {
        let Some(known) = self.known_stores() else {
            return Ok(None);
        };
        match self.recalled(&known, place, identity, purpose) {
            Ok(witness) => Ok(Some(witness)),
            Err(error) if purpose != Purpose::Writing && error.is::<KnownStoresError>() => {
                self.output.warn(format_args!("{error:#}"));
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    fn recalled(
        &self,
        known: &KnownStores,
        place: &str,
        identity: &Identity,
        purpose: Purpose,
    ) -> anyhow::Result<Witness> {
        if self.common.forget_store {
            known.forget(identity.id)?;
            known.forget_place(place)?;
        }
        let surprise = known.surprise_at(place, identity)?;
        let witness = known.watch(place, identity, purpose)?;
        if let Some(surprise) = surprise {
            witness.surprised(surprise)?;
        }
        Ok(witness)
    }

    /// Fails where this machine knows a store at a place that holds none.
    ///
    /// # Errors
    ///
    /// [`Surprise::Emptied`].
    pub(in crate::cli) fn expect_new_place(&self, place: &str) -> anyhow::Result<()> {
        let Some(known) = self.known_stores() else {
            return Ok(());
        };
        if self.common.forget_store {
            known.forget_place(place)?;
        }
        match known.surprise_of_nothing_at(place)? {
            Some(surprise) => Err(surprise.into()),
            None => Ok(()),
        }
    }

    /// Opens the copy of a store to write to it, or makes it. Makes none where this machine knows a
    /// store that is gone.
    ///
    /// # Errors
    ///
    /// [`Surprise`], and those of [`Access::copy_at`].
    pub(in crate::cli) fn copy_at(
        &self,
        of: &Access,
        place: Arc<dyn Store>,
        if_missing: IfMissing,
    ) -> anyhow::Result<Access> {
        if let Err(AccessError::NoStore(_)) = Access::is_encrypted(place.as_ref()) {
            self.expect_new_place(&place.location())?;
        }
        match of.copy_at(Arc::clone(&place), if_missing) {
            Err(error @ AccessError::OtherStore { .. }) => Err(self.or_exchanged(&place, error)),
            copy => self.watched(copy?, Purpose::Writing),
        }
    }

    /// Says of an error that another store is in a place whether this machine knows the right one
    /// there.
    fn or_exchanged(&self, place: &Arc<dyn Store>, error: AccessError) -> anyhow::Error {
        let identity = Access::identity_at(place.as_ref()).ok();
        let surprise = self
            .known_stores()
            .zip(identity)
            .and_then(|(known, found)| known.surprise_at(&place.location(), &found).ok()?);
        surprise.map_or_else(|| error.into(), Into::into)
    }

    /// Says of an error that there is no store in a place whether this machine knows one there.
    pub(in crate::cli) fn or_emptied(&self, place: &str, error: anyhow::Error) -> anyhow::Error {
        let is_missing = matches!(error.downcast_ref(), Some(AccessError::NoStore(_)));
        let known = self.known_stores().filter(|_| is_missing);
        match known.map(|known| known.surprise_of_nothing_at(place)) {
            Some(Ok(Some(surprise @ Surprise::Emptied { .. }))) => surprise.into(),
            _ => error,
        }
    }

    /// Returns whether this machine has seen this store in this place before.
    pub(in crate::cli) fn knows(&self, place: &str, identity: &Identity) -> bool {
        let known = self.known_stores();
        known.is_some_and(|known| known.knows(place, identity.id).unwrap_or_default())
    }

    fn known_stores(&self) -> Option<KnownStores> {
        self.environment.known_stores().map(KnownStores::new)
    }
}
