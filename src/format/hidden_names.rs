//! Hidden names: keyed hashes that stand for hosts and backups in names of objects.
//!
//! Layout: docs/format.md, "Hidden names".

use hmac::{Hmac, Mac};
use sha2::Sha256;
use std::fmt::Write;

/// What every hidden name begins with.
pub const MARK: &str = "%~";

/// Bytes of a hash that a hidden name shows.
const SHOWN_BYTES: usize = 16;

/// Hides names under the name key of a store.
#[derive(Clone)]
pub struct NameHider(Hmac<Sha256>);

impl std::fmt::Debug for NameHider {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("NameHider(***)")
    }
}

impl NameHider {
    /// Prepares a code that covers no bytes yet.
    pub(super) fn new(mac: Hmac<Sha256>) -> Self {
        Self(mac)
    }

    /// Returns what stands for the component of a host.
    pub fn host(&self, host: &str) -> String {
        self.hash(&["host\0", host])
    }

    /// Returns what stands for the component of a backup of a host.
    pub fn backup(&self, host: &str, name: &str) -> String {
        self.hash(&["name\0", host, "/", name])
    }

    fn hash(&self, parts: &[&str]) -> String {
        let mac = parts.iter().fold(self.0.clone(), |mac, part| {
            mac.chain_update(part.as_bytes())
        });
        let hash = mac.finalize().into_bytes();
        let shown = hash.iter().take(SHOWN_BYTES);
        shown.fold(MARK.to_owned(), |mut text, byte| {
            // A string takes everything that is written to it.
            let _infallible = write!(text, "{byte:02x}");
            text
        })
    }
}
