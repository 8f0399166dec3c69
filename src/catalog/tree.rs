//! Opens the tree of a point in time by what its manifest says.

use crate::format::manifest::Manifest;
use crate::index::{BlockCache, BlockSource, HeadBlock, IndexError, Tree, TreeRun, WithHead};
use crate::model::{FrameNo, LevelId, LevelSerial};
use std::sync::Arc;

/// Why the tree of a point in time could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    /// The manifest does not say which level has this serial.
    #[error("the manifest names no level with the serial {}", .0.0)]
    NoLevel(LevelSerial),
    /// A root is malformed.
    #[error("the root of the index is malformed")]
    Index(#[source] IndexError),
}

/// Opens the tree of a point in time; `blocks` returns the source of the index blocks of a level.
/// Loads nothing.
///
/// # Errors
///
/// [`TreeError`] when the manifest contradicts itself.
pub fn open_tree(
    manifest: &Manifest,
    cache: &Arc<BlockCache>,
    mut blocks: impl FnMut(&LevelId) -> Arc<dyn BlockSource>,
) -> Result<Tree, TreeError> {
    let runs = manifest.index.iter().map(|run| {
        let level = manifest
            .levels
            .iter()
            .find(|parts| parts.serial == run.serial)
            .ok_or(TreeError::NoLevel(run.serial))?;
        let head = run.head.iter().map(|block| HeadBlock {
            number: FrameNo(block.number),
            raw: block.node.clone(),
        });
        let source = Arc::new(WithHead::new(head.collect(), blocks(&level.id)));
        Ok(TreeRun {
            level: Some(level.id.clone()),
            root: (&run.root).into(),
            subtrees: run.subtrees,
            source,
        })
    });
    Tree::of_runs(runs.collect::<Result<_, _>>()?, cache).map_err(TreeError::Index)
}
