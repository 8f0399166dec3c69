//! Keys: random master keys, wrapped once per passphrase, and all other keys, which are derived.
//!
//! Argon2id (RFC 9106) turns a passphrase into a key that wraps the master keys. HKDF-SHA-256 (RFC
//! 5869) derives the keys of frames from them. A passphrase can therefore be added, changed or
//! removed without touching a stored frame.
//!
//! | file | what it has |
//! |---|---|
//! | `master` | the master keys of all epochs, and what is derived from them |
//! | `slot` | the master keys wrapped under one passphrase |
//!
//! Layout: docs/format.md, "Keys".

mod master;
mod slot;

pub use master::MasterKey;
pub use slot::{KdfCost, KeySlot};

use super::DocumentError;

/// Why a key could not be made or used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The operating system gave no random bytes.
    #[error("the operating system gave no random bytes for a key")]
    Random(#[source] getrandom::Error),
    /// Argon2id refused its parameters, or there is not enough memory for them.
    #[error("could not derive a key from the passphrase: check that enough memory is free")]
    Derive,
    /// The master key was rotated as often as it can be.
    #[error("the key of the store cannot be rotated again: it has 255 epochs")]
    TooManyEpochs,
    /// The slot's document is damaged.
    #[error("a key document is damaged")]
    Document(#[source] DocumentError),
}
