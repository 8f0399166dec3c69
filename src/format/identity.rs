//! `freezer.json`: the document that makes a folder or bucket a store.
//!
//! Layout: docs/format.md, "Store".

use super::features::{FeatureScope, HIDDEN_NAMES};
use super::keys::MasterKey;
use super::{DocumentError, decode_document};
use crate::model::{KeyEpoch, StoreId};
use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::Mac;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use subtle::ConstantTimeEq;

/// The version of the store's layout that this program writes.
const VERSION: u32 = 2;
const FORMAT: &str = "freezer store";
/// The tag covers these bytes first.
const CONTEXT: &[u8] = b"freezer-store-2\0";

/// The properties of a store, which are fixed when it is made or upgraded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The random identity of the store.
    pub id: StoreId,
    /// How the frames of the store are protected: all of them in the same way.
    pub cipher: Cipher,
    /// When the store was made.
    pub created: jiff::Timestamp,
    version: u32,
    requires: Vec<String>,
    allows: Vec<String>,
    /// The epoch of the key that made the tag; [`KeyEpoch::NONE`] without encryption.
    epoch: KeyEpoch,
    tag: Vec<u8>,
    /// Fields that this program does not know.
    others: BTreeMap<String, serde_json::Value>,
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

impl Cipher {
    fn text(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Aes256Cfb => "aes-256-cfb+hmac-sha256",
        }
    }
}

#[derive(Serialize, Deserialize)]
struct IdentityDocument {
    format: String,
    version: u32,
    id: String,
    cipher: Cipher,
    created: jiff::Timestamp,
    #[serde(default)]
    requires: Vec<String>,
    #[serde(default)]
    allows: Vec<String>,
    #[serde(default)]
    epoch: u8,
    #[serde(default)]
    tag: String,
    #[serde(flatten)]
    others: BTreeMap<String, serde_json::Value>,
}

impl Identity {
    /// Describes a store of the newest version. It has no tag before it is
    /// [sealed](Self::seal).
    pub fn new(id: StoreId, cipher: Cipher, created: jiff::Timestamp) -> Self {
        Self {
            id,
            cipher,
            created,
            version: VERSION,
            requires: Vec::new(),
            allows: Vec::new(),
            epoch: KeyEpoch::NONE,
            tag: Vec::new(),
            others: BTreeMap::new(),
        }
    }

    /// Makes the store one whose objects have hidden names.
    #[must_use]
    pub fn with_hidden_names(mut self) -> Self {
        self.requires = vec![HIDDEN_NAMES.to_owned()];
        self
    }

    /// Gives the document its tag: under the newest key of `master`, or without encryption a
    /// checksum.
    #[must_use]
    pub fn seal(mut self, master: Option<&MasterKey>) -> Self {
        self.epoch = master.map_or(KeyEpoch::NONE, MasterKey::epoch);
        self.tag = self.right_tag(master).unwrap_or_default();
        self
    }

    /// Returns whether the tag is the right one. A document of version 1 has none, and counts as
    /// genuine.
    pub fn is_genuine(&self, master: Option<&MasterKey>) -> bool {
        let is_right = |right: Vec<u8>| bool::from(right.ct_eq(&self.tag));
        self.version == 1 || self.right_tag(master).is_some_and(is_right)
    }

    fn right_tag(&self, master: Option<&MasterKey>) -> Option<Vec<u8>> {
        let mut bytes = [CONTEXT, &self.id.0, &[self.epoch.0]].concat();
        let created = self.created.to_string();
        let lines = [self.cipher.text(), &created].into_iter();
        let lines = lines
            .chain(self.requires.iter().map(String::as_str))
            .chain([""])
            .chain(self.allows.iter().map(String::as_str));
        for line in lines {
            bytes.extend_from_slice(line.as_bytes());
            bytes.push(b'\n');
        }
        match master {
            None => Some(Sha256::digest(&bytes).to_vec()),
            Some(master) => {
                let mac = master.mac(self.id, self.epoch)?;
                Some(mac.chain_update(&bytes).finalize().into_bytes().to_vec())
            }
        }
    }

    /// Returns the version of the document.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// Returns whether the store is of an earlier version than this program writes.
    pub fn is_earlier(&self) -> bool {
        self.version < VERSION
    }

    /// Returns whether objects have hidden names.
    pub fn hides_names(&self) -> bool {
        self.requires.iter().any(|name| name == HIDDEN_NAMES)
    }

    /// Returns the features without which the store may be read and not be changed, as far as this
    /// program does not know them.
    pub fn read_only_for(&self) -> Vec<String> {
        FeatureScope::Store.unknown(&self.allows)
    }

    /// Returns the fields that this program does not know. Such a document is never rewritten.
    pub fn unknown_fields(&self) -> impl Iterator<Item = &str> {
        self.others.keys().map(String::as_str)
    }

    /// Encodes the document.
    pub fn encode(&self) -> Vec<u8> {
        let document = IdentityDocument {
            format: FORMAT.to_owned(),
            version: self.version,
            id: self.id.to_string(),
            cipher: self.cipher,
            created: self.created,
            requires: self.requires.clone(),
            allows: self.allows.clone(),
            epoch: self.epoch.0,
            tag: STANDARD.encode(&self.tag),
            others: self.others.clone(),
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

    /// Decodes the document. The tag of an encrypted store is not looked at: that needs its key
    /// ([`is_genuine`](Self::is_genuine)).
    ///
    /// # Errors
    ///
    /// [`DocumentError`]; for a newer version [`DocumentError::Version`], for a feature that is not
    /// known [`DocumentError::Feature`].
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
        let tag = STANDARD.decode(&document.tag);
        let identity = Self {
            id,
            cipher: document.cipher,
            created: document.created,
            version: document.version,
            requires: document.requires,
            allows: document.allows,
            epoch: KeyEpoch(document.epoch),
            tag: tag.map_err(|_| DocumentError::Content("its tag is not base64"))?,
            others: document.others,
        };
        FeatureScope::Store.check(&identity.requires, &identity.allows)?;
        identity.check_against_itself()?;
        Ok(identity)
    }

    /// Refuses a document that contradicts itself.
    fn check_against_itself(&self) -> Result<(), DocumentError> {
        let is_plain = self.cipher == Cipher::None;
        let has_features = !self.requires.is_empty() || !self.allows.is_empty();
        let wrong = match self.version {
            1 if has_features || !self.tag.is_empty() || self.epoch != KeyEpoch::NONE => {
                "version 1 has neither features nor a tag"
            }
            1 => return Ok(()),
            _ if is_plain != (self.epoch == KeyEpoch::NONE) => "its epoch does not fit its cipher",
            _ if is_plain && self.hides_names() => "only an encrypted store hides names",
            _ if is_plain && !self.is_genuine(None) => "its checksum does not match",
            _ => return Ok(()),
        };
        Err(DocumentError::Content(wrong))
    }
}

#[cfg(test)]
mod tests {
    use super::{Cipher, Identity};
    use crate::format::DocumentError;
    use crate::format::keys::MasterKey;
    use crate::model::StoreId;

    fn identity(cipher: Cipher) -> Identity {
        Identity::new(StoreId([9; 16]), cipher, jiff::Timestamp::UNIX_EPOCH)
    }

    fn text(identity: &Identity) -> String {
        String::from_utf8(identity.encode()).expect("text")
    }

    #[test]
    fn an_identity_reads_back_and_knows_its_key() {
        let master = MasterKey::generate().expect("random bytes");
        let sealed = identity(Cipher::Aes256Cfb)
            .with_hidden_names()
            .seal(Some(&master));
        let back = Identity::decode(&sealed.encode()).expect("decoded");
        assert_eq!(back, sealed);
        assert!(back.hides_names() && back.is_genuine(Some(&master)));
        let rotated = master.rotated().expect("random bytes");
        assert!(back.is_genuine(Some(&rotated)), "by its own epoch");
        let other = MasterKey::generate().expect("random bytes");
        assert!(!back.is_genuine(Some(&other)));
        let shown = text(&sealed).replace("hidden-names", "");
        let shown = shown.replace("\"\"", "");
        let changed = Identity::decode(shown.as_bytes()).expect("well formed");
        assert!(!changed.is_genuine(Some(&master)), "{shown}");
        let plain = identity(Cipher::None).seal(None);
        assert_eq!(Identity::decode(&plain.encode()).expect("decoded"), plain);
        let changed = text(&plain).replace("1970", "1971");
        Identity::decode(changed.as_bytes()).expect_err("the checksum covers it");
    }

    #[test]
    fn a_newer_store_is_refused_by_its_version_or_its_features() {
        let bytes = br#"{"format":"freezer store","version":7,"shape":"unknown"}"#;
        assert!(matches!(
            Identity::decode(bytes),
            Err(DocumentError::Version {
                version: 7,
                known: 2
            })
        ));
        let mut newer = identity(Cipher::None);
        newer.requires = vec!["later".to_owned()];
        assert!(matches!(
            Identity::decode(&newer.clone().seal(None).encode()),
            Err(DocumentError::Feature(_))
        ));
        newer.allows = std::mem::take(&mut newer.requires);
        let readable = Identity::decode(&newer.seal(None).encode()).expect("readable");
        assert_eq!(readable.read_only_for(), ["later".to_owned()]);
    }

    #[test]
    fn one_of_version_1_is_read_and_has_nothing_of_version_2() {
        let old = r#"{"format":"freezer store","version":1,"cipher":"none",
            "id":"09090909090909090909090909090909","created":"1970-01-01T00:00:00Z""#;
        let read = Identity::decode(format!("{old}}}").as_bytes()).expect("decoded");
        assert!(read.is_earlier() && read.is_genuine(None));
        let extended = format!("{old},\"note\":1}}");
        let read = Identity::decode(extended.as_bytes()).expect("unknown fields are ignored");
        assert_eq!(read.unknown_fields().collect::<Vec<_>>(), ["note"]);
        let mixed = format!("{old},\"requires\":[\"hidden-names\"]}}");
        Identity::decode(mixed.as_bytes()).expect_err("version 1 has no features");
    }
}
