//! Unlocks an encrypted store, and ensures that its identity is the one that its key vouches for.

use super::AccessError;
use super::documents::{self, FoundIdentity, Unlocked};
use crate::catalog::names;
use crate::format::identity::Identity;
use crate::model::Passphrase;
use crate::store::Store;

/// Opens the key of a store with a passphrase, and compares the identity with it. Where the first
/// copy of the identity is not genuine, the second may be.
pub(super) fn unlock(
    store: &dyn Store,
    found: FoundIdentity,
    passphrase: &Passphrase,
) -> Result<(Identity, Unlocked), AccessError> {
    let error = match vouched(store, &found.identity, passphrase) {
        Ok(unlocked) => return Ok((found.identity, unlocked)),
        Err(error) => error,
    };
    let is_doubtful = matches!(
        error,
        AccessError::WrongPassphrase(_)
            | AccessError::IdentityForged(_)
            | AccessError::Downgraded(_)
    );
    if !is_doubtful || found.instead.is_some() {
        return Err(error);
    }
    match documents::read_identity(store, names::identity_copy_name()) {
        Ok(copy) if copy.bytes != found.bytes => {
            let Ok(unlocked) = vouched(store, &copy.identity, passphrase) else {
                return Err(error);
            };
            let instead = FoundIdentity {
                instead: Some(error),
                ..copy
            };
            instead.tell();
            Ok((instead.identity, unlocked))
        }
        _ => Err(error),
    }
}

fn vouched(
    store: &dyn Store,
    identity: &Identity,
    passphrase: &Passphrase,
) -> Result<Unlocked, AccessError> {
    let unlocked = documents::unlock(store, identity.id, passphrase)?;
    if !identity.is_genuine(Some(&unlocked.master)) {
        return Err(AccessError::IdentityForged(store.location()));
    }
    if identity.version() < unlocked.slot.version() {
        return Err(AccessError::Downgraded(store.location()));
    }
    Ok(unlocked)
}
