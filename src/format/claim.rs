//! What a claim says: who wants to change a backup, or does. It lies in the clear: its host is in
//! the names of objects anyway.
//!
//! Layout: docs/format.md, "Claims".

use super::DocumentError;
use crate::platform::Running;
use serde::{Deserialize, Serialize};

const VERSION: u32 = 1;

/// Most bytes a claim may have.
pub const MAX_CLAIM_BYTES: u64 = 16 << 10;

/// Longest text of a claim that is shown to people.
const SHOWN: usize = 255;

/// Who wants to change a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    version: u32,
    /// The machine, as it calls itself.
    pub host: String,
    /// What it does, such as `backup`.
    pub action: String,
    /// Since when.
    pub since: jiff::Timestamp,
    /// The process that does it.
    pub process: Running,
}

impl Claim {
    /// A claim of this version.
    pub fn new(host: &str, action: &str, since: jiff::Timestamp, process: Running) -> Self {
        Self {
            version: VERSION,
            host: host.to_owned(),
            action: action.to_owned(),
            since,
            process,
        }
    }

    /// Writes the document.
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("plain text fields always become JSON")
    }

    /// Reads the document. Texts that no terminal should be shown are refused.
    ///
    /// # Errors
    ///
    /// [`DocumentError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, DocumentError> {
        let version = super::version_of(bytes)?;
        if version != VERSION {
            return Err(DocumentError::Version {
                version,
                known: VERSION,
            });
        }
        let claim: Self = serde_json::from_slice(bytes).map_err(DocumentError::Json)?;
        if [&claim.host, &claim.action]
            .into_iter()
            .any(|text| text.len() > SHOWN || text.chars().any(char::is_control))
        {
            return Err(DocumentError::Content(
                "its host or action is no text to be shown",
            ));
        }
        Ok(claim)
    }
}

#[cfg(test)]
mod tests {
    use super::Claim;
    use crate::format::DocumentError;
    use crate::platform::Running;

    #[test]
    fn a_claim_reads_back_and_what_is_none_is_refused() {
        let claim = Claim::new(
            "web-1",
            "backup",
            jiff::Timestamp::UNIX_EPOCH,
            Running::this_process(),
        );
        assert_eq!(Claim::decode(&claim.encode()).expect("decoded"), claim);
        let hostile = Claim {
            host: "\x1b]0;".to_owned(),
            ..claim
        };
        assert!(matches!(
            Claim::decode(&hostile.encode()),
            Err(DocumentError::Content(_))
        ));
        assert!(matches!(
            Claim::decode(br#"{"version":2}"#),
            Err(DocumentError::Version {
                version: 2,
                known: 1
            })
        ));
        assert!(matches!(Claim::decode(b"no"), Err(DocumentError::Json(_))));
    }
}
