//! Pieces of a file's content, served without a copy.

use super::frame::DecodedFrame;
use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

/// A piece of a file's content that shares the memory of a decoded frame.
#[derive(Clone, Debug)]
pub struct FilePiece(PieceContent);

#[derive(Clone, Debug)]
enum PieceContent {
    Data {
        frame: Arc<DecodedFrame>,
        range: Range<usize>,
    },
    /// Length in bytes.
    Hole(u64),
}

impl FilePiece {
    /// A piece of a frame; `range` counts from the frame's first byte.
    pub(super) fn of_frame(frame: Arc<DecodedFrame>, range: Range<usize>) -> Self {
        Self(PieceContent::Data { frame, range })
    }

    /// A hole of `length` bytes.
    pub(super) fn hole(length: u64) -> Self {
        Self(PieceContent::Hole(length))
    }

    /// Returns the bytes; `None` for a hole, which reads as zeros.
    pub fn data(&self) -> Option<&[u8]> {
        match &self.0 {
            PieceContent::Data { frame, range } => {
                Some(frame.bytes.get(range.clone()).unwrap_or_default())
            }
            PieceContent::Hole(_) => None,
        }
    }

    /// Returns how many bytes of the file the piece covers.
    pub fn length(&self) -> u64 {
        match &self.0 {
            PieceContent::Data { range, .. } => range.len() as u64,
            PieceContent::Hole(length) => *length,
        }
    }

    /// Returns the bytes of all pieces in one buffer, holes as zeros. Copies unless there is just
    /// one piece and that is data.
    pub fn joined(pieces: &[Self]) -> Cow<'_, [u8]> {
        if let [piece] = pieces
            && let Some(data) = piece.data()
        {
            return Cow::Borrowed(data);
        }
        let length = |piece: &Self| usize::try_from(piece.length()).unwrap_or_default();
        let mut bytes = Vec::with_capacity(pieces.iter().map(length).sum());
        for piece in pieces {
            match piece.data() {
                Some(data) => bytes.extend_from_slice(data),
                None => bytes.resize(bytes.len().saturating_add(length(piece)), 0),
            }
        }
        Cow::Owned(bytes)
    }
}
