//! A view of a point in time as a source of a restore.

use super::Source;
use crate::fs::ReadError;
use crate::fs::view::View;
use crate::model::{Entry, NodeId, TreePath};
use std::ops::ControlFlow;

impl Source for View {
    type Error = ReadError;

    fn find(&self, path: &TreePath) -> Result<Option<(NodeId, Entry)>, ReadError> {
        self.lookup(path)
    }

    fn children(&self, directory: NodeId) -> impl Iterator<Item = Result<(NodeId, Entry), ReadError>> {
        Self::children(self, directory)
    }

    fn read(&self, entry: &Entry, from: u64, length: u64, take: &mut dyn FnMut(&[u8]) -> ControlFlow<()>) -> Result<(), ReadError> {
        for piece in self.content(entry)?.pieces(from, length)? {
            if let Some(data) = piece.data()
                && take(data).is_break()
            {
                break;
            }
        }
        Ok(())
    }
}
