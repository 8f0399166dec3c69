//! JSON documents that are stored as sealed frames: manifests, checkpoints, repacked levels.

use super::DocumentError;
use super::frame::{Compression, Decoder, Encoder, FrameError, Lane, Opener, Sealer};
use crate::model::FrameNo;
use serde::Serialize;

/// Why a manifest, checkpoint or repacked level could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// The frame that holds the document.
    #[error("could not open the frame of the document")]
    Frame(#[source] FrameError),
    /// The document in the frame.
    #[error("could not read the document in its frame")]
    Document(#[source] DocumentError),
}

/// Encodes a document as it is stored: frame `number` of `lane`.
pub(super) fn seal(
    document: &impl Serialize,
    sealer: &Sealer,
    lane: Lane,
    number: FrameNo,
) -> Result<Vec<u8>, ManifestError> {
    let json = serde_json::to_vec(document)
        .map_err(|error| ManifestError::Document(DocumentError::Json(error)))?;
    let mut encoder = Encoder::new(Compression::Zstd, Compression::Zstd.default_level())
        .map_err(ManifestError::Frame)?;
    sealer
        .seal(&mut encoder, lane, number, &json)
        .map_err(ManifestError::Frame)
}

/// Returns the JSON of a document that must be frame `number` of `lane`.
pub(super) fn open(
    stored: Vec<u8>,
    opener: &Opener,
    lane: Lane,
    number: FrameNo,
) -> Result<Vec<u8>, ManifestError> {
    opener
        .open(&mut Decoder::new(), lane, number, stored)
        .map_err(ManifestError::Frame)
}
