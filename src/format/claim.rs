//! Claims: which process is changing a backup, or wants to. A claim is not encrypted: its host
//! stands in the names of objects anyway.
//!
//! Layout: docs/format.md, "Claims".

use super::{DocumentError, decode_document};
use crate::platform::Running;
use serde::{Deserialize, Serialize};

const VERSION: u32 = 1;

/// The most bytes that a claim may have.
pub const MAX_CLAIM_BYTES: u64 = 16 << 10;

/// The longest text of a claim in bytes, as people get to see it.
const MAX_TEXT_BYTES: usize = 255;

/// One process that is changing a backup, or wants to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    version: u32,
    /// The name of the machine, as it calls itself.
    pub host: String,
    /// The command that the process runs, such as `backup`.
    pub action: String,
    /// When the process made the claim.
    pub since: jiff::Timestamp,
    /// The process itself.
    pub process: Running,
}

impl Claim {
    /// Makes a claim in the format of this version.
    pub fn new(host: &str, action: &str, since: jiff::Timestamp, process: Running) -> Self {
        Self {
            version: VERSION,
            host: host.to_owned(),
            action: action.to_owned(),
            since,
            process,
        }
    }

    /// Encodes the document.
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("plain text fields always become JSON")
    }

    /// Decodes the document, and refuses texts that must not reach a terminal.
    ///
    /// # Errors
    ///
    /// [`DocumentError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, DocumentError> {
        let claim: Self = decode_document(bytes, VERSION)?;
        if [&claim.host, &claim.action]
            .into_iter()
            .any(|text| text.len() > MAX_TEXT_BYTES || text.chars().any(char::is_control))
        {
            return Err(DocumentError::Content(
                "its host or action is too long, or has control characters",
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
    fn a_claim_reads_back_and_other_documents_are_refused() {
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
