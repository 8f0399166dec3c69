//! Surveys the blocks of a run: which can be read, and what is known of those that cannot.

use super::cache::CachedNode;
use super::run::{RunReader, StepDown, claim_of};
use super::{BlockAddress, BlockCache, BlockSource, IndexError, RunRoot};
use std::sync::Arc;

/// A block below the root of a run.
#[derive(Clone, Debug)]
pub struct SurveyedBlock {
    /// Where the block is stored.
    pub address: BlockAddress,
    /// Height of the block; 0 for a leaf.
    pub height: u8,
    /// Rank of the first entry below the block.
    pub first: u64,
    /// Number of entries below the block.
    pub entries: u64,
    /// Why the block cannot be read; `None` if it can.
    pub fault: Option<IndexError>,
}

/// Reads every block of a run and reports each one. Blocks below an unreadable block stay unknown.
///
/// # Errors
///
/// [`IndexError::Malformed`] if the root is malformed.
pub fn survey_blocks(
    root: RunRoot,
    source: Arc<dyn BlockSource>,
    found: &mut dyn FnMut(SurveyedBlock),
) -> Result<(), IndexError> {
    let run = RunReader::open(root, source, BlockCache::new(0))?;
    survey_below(&run, run.root(), &mut Vec::new(), found);
    Ok(())
}

/// Reports every block below `parent`; `above` led to `parent`.
fn survey_below(
    run: &RunReader,
    parent: &Arc<CachedNode>,
    above: &mut Vec<StepDown>,
    found: &mut dyn FnMut(SurveyedBlock),
) {
    for position in 0.. {
        let Some((child, claim)) = claim_of(parent, position) else {
            return;
        };
        let read = run.child(parent, position, above);
        found(SurveyedBlock {
            address: child.address,
            height: claim.height,
            first: claim.first_rank,
            entries: claim.entries,
            fault: read.as_ref().err().cloned(),
        });
        if let Ok(node) = read.as_ref()
            && node.node.height() > 0
        {
            above.push(StepDown {
                node: Arc::clone(parent),
                position,
            });
            survey_below(run, node, above, found);
            above.pop();
        }
    }
}
