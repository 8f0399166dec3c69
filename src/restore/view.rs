//! A view of a point in time as the source of a restore.

use super::RestoreSource;
use crate::format::content_hash::ContentHashing;
use crate::fs::view::ReadError;
use crate::fs::view::{FileContent, View};
use crate::model::{Entry, NodeId, TreePath};
use std::ops::ControlFlow;

impl RestoreSource for View {
    type Error = ReadError;
    type Content = FileContent;

    fn find(&self, path: &TreePath) -> Result<Option<(NodeId, Entry)>, ReadError> {
        self.lookup(path)
    }

    fn children(
        &self,
        directory: NodeId,
    ) -> impl Iterator<Item = Result<(NodeId, Entry), ReadError>> {
        Self::children(self, directory)
    }

    fn content(&self, entry: &Entry) -> Result<FileContent, ReadError> {
        Self::content(self, entry)
    }

    fn hashing(&self) -> ContentHashing {
        Self::hashing(self).clone()
    }

    fn read(
        &self,
        content: &FileContent,
        from: u64,
        length: u64,
        take: &mut dyn FnMut(&[u8]) -> ControlFlow<()>,
    ) -> Result<(), ReadError> {
        for piece in content.pieces(from, length)? {
            if piece.data().is_some_and(|data| take(data).is_break()) {
                break;
            }
        }
        Ok(())
    }
}
