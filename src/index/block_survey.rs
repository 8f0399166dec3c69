//! Which blocks of a run can be read, and what is known of those that cannot.

use super::run::Run;
use super::{BlockAddress, BlockCache, BlockSource, IndexError, RunRoot};
use std::sync::Arc;

/// A block below the root of a run.
#[derive(Clone, Debug)]
pub struct SurveyedBlock {
    /// Where it is.
    pub address: BlockAddress,
    /// Its height; 0 for a leaf.
    pub height: u8,
    /// Rank of the first entry below it.
    pub first: u64,
    /// How many entries are below it.
    pub entries: u64,
    /// Why it cannot be read; nothing when it can.
    pub fault: Option<IndexError>,
}

/// Reads every block of a run, and tells of each. Blocks below one that cannot be read are not
/// known of.
///
/// # Errors
///
/// [`IndexError::Malformed`] if the root is.
pub fn survey_blocks(
    root: RunRoot,
    source: Arc<dyn BlockSource>,
    found: &mut dyn FnMut(SurveyedBlock),
) -> Result<(), IndexError> {
    Run::open(root, source, BlockCache::new(0))?.survey(found);
    Ok(())
}
