//! `freezer.json`: the document that makes a folder or bucket a store.
//!
//! Layout: docs/format.md, "Store".

use super::{DocumentError, decode_document};
use crate::model::StoreId;
use serde::{Deserialize, Serialize};

/// The version of the store's layout that this program reads and writes.
const VERSION: u32 = 1;
const FORMAT: &str = "freezer store";

/// The properties of a store that are fixed when it is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The random identity of the store.
    pub id: StoreId,
    /// How the frames of the store are protected: all of them in the same way.
    pub cipher: Cipher,
    /// When the store was made.
    pub created: jiff::Timestamp,
}

/// How the frames of a store are protected. The name of a variant is what the document holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Cipher {
    /// By checksums, without encryption.
    #[serde(rename = "none")]
    None,
    /// By AES-256-CFB, authenticated with HMAC-SHA-256.
    #[serde(rename = "aes-256-cfb+hmac-sha256")]
    Aes256Cfb,
}

#[derive(Serialize, Deserialize)]
struct IdentityDocument {
    format: String,
    version: u32,
    id: String,
    cipher: Cipher,
    created: jiff::Timestamp,
}

impl Identity {
    /// Encodes the document.
    pub fn encode(&self) -> Vec<u8> {
        let document = IdentityDocument {
            format: FORMAT.to_owned(),
            version: VERSION,
            id: self.id.to_string(),
            cipher: self.cipher,
            created: self.created,
        };
        let mut bytes =
            serde_json::to_vec_pretty(&document).expect("plain text fields always become JSON");
        bytes.push(b'\n');
        bytes
    }

    /// Returns whether a document claims to be the identity of a store, in whatever version.
    pub fn is_claimed_by(document: &[u8]) -> bool {
        #[derive(Deserialize)]
        struct Format {
            format: String,
        }
        serde_json::from_slice(document).is_ok_and(|Format { format }| format == FORMAT)
    }

    /// Decodes the document.
    ///
    /// # Errors
    ///
    /// [`DocumentError`]; for a newer version [`DocumentError::Version`].
    pub fn decode(bytes: &[u8]) -> Result<Self, DocumentError> {
        let document: IdentityDocument = decode_document(bytes, VERSION)?;
        if document.format != FORMAT {
            return Err(DocumentError::Content(
                "it does not say that it is a freezer store",
            ));
        }
        let id = document
            .id
            .parse()
            .map_err(|_| DocumentError::Content("its id is not that of a store"))?;
        Ok(Self {
            id,
            cipher: document.cipher,
            created: document.created,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Cipher, Identity};
    use crate::format::DocumentError;
    use crate::model::StoreId;

    #[test]
    fn an_identity_reads_back() {
        let identity = Identity {
            id: StoreId([9; 16]),
            cipher: Cipher::Aes256Cfb,
            created: jiff::Timestamp::UNIX_EPOCH,
        };
        assert_eq!(
            Identity::decode(&identity.encode()).expect("decoded"),
            identity
        );
    }

    #[test]
    fn a_newer_store_is_refused_by_its_version() {
        let bytes = br#"{"format":"freezer store","version":7,"shape":"unknown"}"#;
        assert!(matches!(
            Identity::decode(bytes),
            Err(DocumentError::Version {
                version: 7,
                known: 1
            })
        ));
    }
}
