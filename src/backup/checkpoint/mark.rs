//! What a frame carries to the place where the checkpoint is stored.

use crate::backup::uploads::Receipt;
use crate::index::{MemoryBlocks, RunRoot, TreeWriter};
use crate::model::{Content, Entry, Extent, LevelSerial, StreamOffset};

/// The state of the run at the end of the frame that carries this mark.
#[derive(Debug)]
pub(in crate::backup) struct Mark {
    pub(in crate::backup) index: IndexSoFar,
    /// The file that is being written, with what the stream has of it: a run of one entry.
    pub(in crate::backup) begun: Option<RunRoot>,
}

/// The new run of the index, as far as it is written.
#[derive(Debug)]
pub(in crate::backup) struct IndexSoFar {
    pub(in crate::backup) root: RunRoot,
    /// Tells when the blocks below the root are stored.
    pub(in crate::backup) stored: Receipt,
}

/// Makes the run of a file that is only partly in the stream of `serial`.
///
/// `entry` has all extents that the file is to have; the result keeps those before `position`.
/// `None` if the stream has nothing of the file yet, or the file is in too many pieces.
pub(in crate::backup) fn begun_file(
    entry: &Entry,
    serial: LevelSerial,
    position: StreamOffset,
) -> Option<RunRoot> {
    let mut entry = entry.clone();
    let Content::File { extents, .. } = &mut entry.content else {
        return None;
    };
    let is_there = |extent: &Extent| extent.level != serial || extent.stream < position;
    extents.truncate(extents.partition_point(is_there));
    if let Some(last) = extents.last_mut().filter(|last| last.level == serial) {
        last.length = last.length.min(position.0 - last.stream.0);
    }
    if extents.is_empty() {
        return None;
    }
    let (mut tree, mut blocks) = (TreeWriter::new(), MemoryBlocks::default());
    tree.push(&entry, &mut blocks).ok()?;
    let root = tree.finish(&mut blocks).ok()?;
    blocks.blocks().is_empty().then_some(root)
}
