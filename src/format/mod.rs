//! What the stored bytes mean: encoder and decoder of each format side by side. No files, no
//! network.
//!
//! `frame` is the unit everything is stored in; `segment` packs frames into objects; `tar` writes
//! the members of the stream; `manifest` is the document that makes a level exist; `identity` and
//! `keys` open a store; `claim` says who changes a backup, `lost` what of it cannot be read any
//! more; `checkpoint` says how far a run has come; `signature` tells the blocks of a file apart;
//! `live` says which bytes of a stream are needed, `repacked` where they are since they were put
//! elsewhere. `docs/format.md` is the specification; its example bytes are tests.
//!
//! Invariant: a decoder takes any bytes. It never panics, and never allocates more than the bytes
//! or a stated limit justify.

pub mod checkpoint;
pub mod claim;
pub mod frame;
pub mod identity;
pub mod keys;
pub mod live;
pub mod lost;
pub mod manifest;
pub mod repacked;
pub mod segment;
pub mod signature;
pub mod tar;

use crate::model::{Advice, hints};

/// Why a JSON document of a store could not be read.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// It is not JSON, or not of this shape.
    #[error("it is not the JSON document it should be")]
    Json(#[source] serde_json::Error),
    /// A newer Freezer wrote it.
    #[error(
        "it has version {version}, and this program knows up to {known}: a newer freezer is needed"
    )]
    Version {
        /// What it says.
        version: u32,
        /// The newest known.
        known: u32,
    },
    /// A field's content is impossible.
    #[error("{0}")]
    Content(&'static str),
}

impl Advice for DocumentError {
    fn hint(&self) -> Option<&str> {
        match self {
            Self::Version { .. } => {
                Some("install a newer freezer; this one leaves the store as it is")
            }
            Self::Json(_) | Self::Content(_) => Some(hints::DAMAGED),
        }
    }
}

/// Reads the version alone, so that a document of another version is refused by it and not by its
/// shape.
fn version_of(bytes: &[u8]) -> Result<u32, DocumentError> {
    #[derive(serde::Deserialize)]
    struct Versioned {
        version: u32,
    }
    let versioned: Versioned = serde_json::from_slice(bytes).map_err(DocumentError::Json)?;
    Ok(versioned.version)
}
