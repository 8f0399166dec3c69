//! The formats of everything that is stored: encoder and decoder of each side by side. Knows
//! neither files nor the network.
//!
//! | module | its format |
//! |---|---|
//! | [`identity`], [`keys`] | the documents that open a store |
//! | [`features`] | what a document asks of programs that do not know all of it |
//! | [`hidden_names`] | what stands for the names of hosts and backups in encrypted stores |
//! | [`frame`], [`segment`] | the unit of everything stored, and the objects that frames lie in |
//! | [`tar`] | the members of a level's stream |
//! | [`manifest`] | the document that makes a level exist |
//! | [`checkpoint`] | how far a run has come |
//! | [`content_hash`] | the hash of a file's content |
//! | [`signature`] | the sums that tell which blocks of a file are new |
//! | [`live`], [`repacked`] | which bytes of a stream are needed, and where a repack put them |
//! | [`claim`] | who is changing a backup |
//! | [`withdrawn`] | whose data stays for a while, and which serial comes next |
//! | [`lost`] | which bytes of a level can no longer be read |
//!
//! `docs/format.md` is the specification; its example bytes are tests.
//!
//! Invariant: a decoder accepts any bytes. It never panics, and never allocates more than the bytes
//! or a stated limit justify.

pub mod checkpoint;
pub mod claim;
pub mod content_hash;
pub mod features;
pub mod frame;
pub mod hidden_names;
pub mod identity;
mod json;
pub mod keys;
pub mod live;
pub mod lost;
pub mod manifest;
pub mod repacked;
mod sealed;
pub mod segment;
pub mod signature;
pub mod tar;
pub mod withdrawn;

use crate::model::{Advice, BackupName, hints};

/// Why a JSON document of a store could not be read.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// The bytes are not JSON, or the JSON has another shape.
    #[error("it is not the JSON document that it should be")]
    Json(#[source] serde_json::Error),
    /// A newer Freezer wrote the document.
    #[error(
        "it has version {version}, and this freezer reads versions up to {known}: use a newer one"
    )]
    Version {
        /// The version of the document.
        version: u32,
        /// The newest version that this program reads.
        known: u32,
    },
    /// The document can only be read with features that this program does not know.
    #[error("it needs {0}, which this freezer does not know: use a newer one")]
    Feature(String),
    /// The content of a field is impossible.
    #[error("{0}")]
    Content(&'static str),
}

impl Advice for DocumentError {
    fn hint(&self) -> Option<&str> {
        match self {
            Self::Version { .. } | Self::Feature(_) => {
                Some("install a newer freezer; this one leaves the store as it is")
            }
            Self::Json(_) | Self::Content(_) => Some(hints::DAMAGED),
        }
    }
}

/// Decodes a document of the version `known` or of one before it. Reads the version before
/// everything else, so that a document of another version is refused by its version and not by its
/// shape.
fn decode_document<T: serde::de::DeserializeOwned>(
    bytes: &[u8],
    known: u32,
) -> Result<T, DocumentError> {
    #[derive(serde::Deserialize)]
    struct Versioned {
        version: u32,
    }
    let Versioned { version } = serde_json::from_slice(bytes).map_err(DocumentError::Json)?;
    check_version(version, known)?;
    serde_json::from_slice(bytes).map_err(DocumentError::Json)
}

/// Refuses versions after the one that this program knows.
fn check_version(version: u32, known: u32) -> Result<(), DocumentError> {
    if version == 0 || version > known {
        return Err(DocumentError::Version { version, known });
    }
    Ok(())
}

/// Joins the host and the name in a document.
fn backup_name(host: &str, name: &str) -> Result<BackupName, DocumentError> {
    BackupName::new(host, name)
        .map_err(|_| DocumentError::Content("its host and name are not those of a backup"))
}
