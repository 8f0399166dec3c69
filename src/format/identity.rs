//! The document that makes a place a store: `freezer.json`.
//!
//! Layout: docs/format.md, "Store".

use super::DocumentError;
use crate::model::StoreId;
use serde::{Deserialize, Serialize};

/// Newest version of the store's layout that this program knows.
const VERSION: u32 = 1;
const FORMAT: &str = "freezer store";

/// What is fixed when a store is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Its random identity.
    pub id: StoreId,
    /// Whether everything in it is encrypted, or nothing.
    pub cipher: Cipher,
    /// When it was made.
    pub created: jiff::Timestamp,
}

/// How a store's levels are protected. The name is what is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Cipher {
    /// Checksums only.
    #[serde(rename = "none")]
    None,
    /// AES-256-CFB, authenticated by HMAC-SHA-256.
    #[serde(rename = "aes-256-cfb+hmac-sha256")]
    Aes256Cfb,
}

#[derive(Serialize, Deserialize)]
struct Document {
    format: String,
    version: u32,
    id: String,
    cipher: Cipher,
    created: jiff::Timestamp,
}

impl Identity {
    /// Writes the document.
    pub fn encode(&self) -> Vec<u8> {
        let document = Document {
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

    /// Whether the document says that it is one, of whatever version.
    pub fn is_claimed_by(document: &[u8]) -> bool {
        #[derive(Deserialize)]
        struct Format {
            format: String,
        }
        serde_json::from_slice(document).is_ok_and(|Format { format }| format == FORMAT)
    }

    /// Reads the document.
    ///
    /// # Errors
    ///
    /// [`DocumentError`]; of a newer version its name.
    pub fn decode(bytes: &[u8]) -> Result<Self, DocumentError> {
        let version = super::version_of(bytes)?;
        if version != VERSION {
            return Err(DocumentError::Version {
                version,
                known: VERSION,
            });
        }
        let document: Document = serde_json::from_slice(bytes).map_err(DocumentError::Json)?;
        if document.format != FORMAT {
            return Err(DocumentError::Content("it is not a freezer store"));
        }
        let id = document
            .id
            .parse()
            .map_err(|_| DocumentError::Content("its id is not one"))?;
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
