//! Claims: which process is changing a backup, or wants to. A claim is not encrypted. What names
//! the machine itself is a digest ([`MachineDigest`]), and so is its host where the names of
//! objects hide it.
//!
//! Layout: docs/format.md, "Claims".

use super::keys::MasterKey;
use super::{DocumentError, decode_document};
use crate::model::StoreId;
use crate::platform::Running;
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use zeroize::Zeroizing;

const VERSION: u32 = 1;

/// The most bytes that a claim may have.
pub const MAX_CLAIM_BYTES: u64 = 16 << 10;

/// The longest text of a claim in bytes, as people get to see it.
const MAX_TEXT_BYTES: usize = 255;

/// One process that is changing a backup, or wants to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    version: u32,
    /// The name of the machine, as it calls itself, or its digest.
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

/// What every digest of a claim begins with. No system names its machines or boots like this.
const DIGEST: &str = "hmac-sha256:";

/// How many bytes of the code stand in a claim: enough that no two machines share them.
const DIGEST_BYTES: usize = 16;

const LABEL: &[u8] = b"freezer claims 1";

/// Makes the digests that stand in the claims of one store for what names a machine: the identity
/// of its installation, which tells whose machine it is, and that of its kernel's run.
///
/// In an encrypted store the digests are keyed, and say nothing to others. In a plain store they
/// differ from those in other stores; whoever knows the name of a machine can find it out.
#[derive(Clone)]
pub struct MachineDigest {
    code: Hmac<Sha256>,
    /// Whether the names of hosts are digests, too.
    hides_hosts: bool,
}

impl std::fmt::Debug for MachineDigest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MachineDigest(***)")
    }
}

impl MachineDigest {
    /// Prepares the digests of the store `id`, which has a key if it is encrypted.
    pub fn new(master: Option<&MasterKey>, id: StoreId) -> Self {
        let key = match master {
            Some(master) => Zeroizing::new(master.lasting_key(id, LABEL).to_vec()),
            None => Zeroizing::new([LABEL, &id.0].concat()),
        };
        let code = <Hmac<Sha256> as KeyInit>::new_from_slice(&key);
        Self {
            code: code.expect("HMAC takes a key of any length"),
            hides_hosts: false,
        }
    }

    /// Makes the names of hosts digests, too.
    #[must_use]
    pub fn hiding_hosts(self) -> Self {
        Self {
            hides_hosts: true,
            ..self
        }
    }

    /// Returns the name of a host as it stands in a claim.
    pub fn conceal_host(&self, host: &str) -> String {
        let digest = self.of("host", Some(host)).filter(|_| self.hides_hosts);
        digest.unwrap_or_else(|| host.to_owned())
    }

    /// Returns what people are told of the host in a claim. `own` is that of this machine.
    pub fn shown_host(&self, host: String, own: &str) -> String {
        match host.strip_prefix(DIGEST) {
            None => host,
            Some(_) if self.conceal_host(own) == host => own.to_owned(),
            Some(digits) => {
                let short: String = digits.chars().take(8).collect();
                format!("another machine ({short})")
            }
        }
    }

    /// Returns a process as it stands in a claim.
    pub fn conceal(&self, process: &Running) -> Running {
        Running {
            machine: self.of("machine", process.machine.as_deref()),
            boot: self.of("boot", process.boot.as_deref()),
            ..process.clone()
        }
    }

    /// Returns how this process describes itself in the form that `process` has. Claims of earlier
    /// versions have no digests.
    pub fn counterpart(&self, process: &Running, this: &Running) -> Running {
        let is_digest =
            |text: &Option<String>| text.as_deref().is_some_and(|text| text.starts_with(DIGEST));
        if is_digest(&process.machine) || is_digest(&process.boot) {
            self.conceal(this)
        } else {
            this.clone()
        }
    }

    fn of(&self, field: &str, value: Option<&str>) -> Option<String> {
        let mut code = self.code.clone();
        code.update(field.as_bytes());
        code.update(b"\0");
        code.update(value?.as_bytes());
        let code = code.finalize().into_bytes();
        let digits = code.iter().take(DIGEST_BYTES);
        Some(digits.fold(DIGEST.to_owned(), |text, byte| format!("{text}{byte:02x}")))
    }
}

#[cfg(test)]
mod tests {
    use super::{Claim, MachineDigest};
    use crate::format::DocumentError;
    use crate::format::keys::MasterKey;
    use crate::model::StoreId;
    use crate::platform::Running;

    #[test]
    fn a_host_is_hidden_where_names_are_and_known_to_its_own_machine() {
        let key = MasterKey::generate().expect("random");
        let shown = MachineDigest::new(Some(&key), StoreId([7; 16]));
        assert_eq!(shown.conceal_host("web-1"), "web-1");
        let hidden = shown.hiding_hosts();
        let host = hidden.conceal_host("web-1");
        assert!(!host.contains("web-1"), "{host}");
        assert_eq!(hidden.shown_host(host.clone(), "web-1"), "web-1");
        let other = hidden.shown_host(host, "web-2");
        assert!(other.starts_with("another machine ("), "{other}");
        assert_eq!(hidden.shown_host("old".to_owned(), "web-2"), "old");
    }

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

    fn process() -> Running {
        Running {
            pid: 7,
            machine: Some("0123456789abcdef web-1".to_owned()),
            boot: Some("6f1b2a7c-1111".to_owned()),
            namespace: Some("pid:[4026531836]".to_owned()),
            began: Some(9),
        }
    }

    #[test]
    fn a_digest_depends_on_the_store_and_on_its_key_and_names_no_machine() {
        let id = StoreId([7; 16]);
        let keys = [(); 2].map(|()| MasterKey::generate().expect("random"));
        let mut seen = std::collections::BTreeSet::new();
        for (master, id) in [
            (None, id),
            (None, StoreId([8; 16])),
            (Some(&keys[0]), id),
            (Some(&keys[1]), id),
        ] {
            let digest = MachineDigest::new(master, id);
            let concealed = digest.conceal(&process());
            assert_eq!(concealed, digest.conceal(&process()));
            assert_eq!((concealed.pid, concealed.began), (7, Some(9)));
            for (hidden, plain) in [
                (concealed.machine, "web-1"),
                (concealed.boot, "6f1b2a7c-1111"),
            ] {
                let hidden = hidden.expect("there");
                assert!(!hidden.contains(plain), "{hidden}");
                assert!(seen.insert(hidden), "two stores show the same digest");
            }
        }
    }

    #[test]
    fn a_process_compares_itself_in_the_form_of_the_claim() {
        let digest = MachineDigest::new(None, StoreId([7; 16]));
        let this = process();
        assert_eq!(digest.counterpart(&this, &this), this);
        let concealed = digest.conceal(&this);
        assert_eq!(digest.counterpart(&concealed, &this), concealed);
        let unknown = Running {
            machine: None,
            boot: None,
            ..process()
        };
        assert_eq!(digest.conceal(&unknown), unknown);
    }
}
