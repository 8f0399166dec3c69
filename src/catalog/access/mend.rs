//! Keeps both copies of a store's identity.

use super::documents::{MAX_DOCUMENT_BYTES, put};
use super::{Access, AccessError};
use crate::catalog::names;
use crate::format::identity::Identity;
use crate::store::{ErrorKind, ObjectName, StoreExt};

/// What is wrong with one of the two copies of a store's identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentityCopy {
    /// The object.
    pub object: ObjectName,
    /// Whether there is no such object; otherwise it is not what it should be.
    pub is_missing: bool,
}

impl Access {
    /// Returns the copies of the identity that are missing, or not the one that opened the store. A
    /// store of version 1 has only the first.
    ///
    /// # Errors
    ///
    /// [`AccessError::Store`].
    pub fn wrong_identity_copies(&self) -> Result<Vec<IdentityCopy>, AccessError> {
        let mut wrong = Vec::new();
        if self.identity.is_earlier() {
            return Ok(wrong);
        }
        for object in [names::identity_name(), names::identity_copy_name()] {
            match self.store.get(&object, MAX_DOCUMENT_BYTES) {
                Ok(bytes) if Identity::decode(&bytes).is_ok_and(|it| it == self.identity) => {}
                Err(error) if !error.kind().is_damage() => return Err(AccessError::Store(error)),
                other => {
                    let is_missing =
                        matches!(&other, Err(error) if error.kind() == ErrorKind::Missing);
                    wrong.push(IdentityCopy { object, is_missing });
                }
            }
        }
        Ok(wrong)
    }

    /// Puts back the copies of the identity that are missing or damaged. Returns which these were.
    ///
    /// # Errors
    ///
    /// [`AccessError`].
    pub fn mend_identity(&self) -> Result<Vec<IdentityCopy>, AccessError> {
        self.expect_writable()?;
        let wrong = self.wrong_identity_copies()?;
        // An identity that has fields of a later program is never rewritten.
        if self.identity.unknown_fields().next().is_some() {
            return Ok(Vec::new());
        }
        for copy in &wrong {
            put(self.store.as_ref(), &copy.object, self.identity.encode())?;
        }
        Ok(wrong)
    }
}
