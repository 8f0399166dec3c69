//! Notices objects of a level's index that have changed places: each is genuine by itself.

use crate::model::LevelId;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

/// The numbers of the blocks in the objects of indexes. They ascend from object to object.
#[derive(Default)]
pub(super) struct BlockOrder(Mutex<BTreeMap<LevelId, BTreeMap<u32, Range<u64>>>>);

impl BlockOrder {
    /// Takes note of the blocks of an object. Returns whether they come after those of every object
    /// before it, and before those of every one after it, as far as these were seen.
    pub(super) fn takes(&self, level: &LevelId, object: u32, blocks: Range<u64>) -> bool {
        let mut levels = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let objects = levels.entry(level.clone()).or_default();
        let before = objects.range(..object).next_back();
        let after = objects.range(object..).next();
        let fits = before.is_none_or(|(_, before)| before.end <= blocks.start)
            && after.is_none_or(|(_, after)| blocks.end <= after.start);
        if fits {
            objects.insert(object, blocks);
        }
        fits
    }
}

#[cfg(test)]
mod tests {
    use super::BlockOrder;
    use crate::model::LevelId;

    #[test]
    fn objects_that_changed_places_are_noticed_in_whichever_order_they_come() {
        let level = LevelId::new(jiff::Timestamp::UNIX_EPOCH, 1);
        let other = LevelId::new(jiff::Timestamp::UNIX_EPOCH, 2);
        let order = BlockOrder::default();
        assert!(order.takes(&level, 3, 20..30));
        assert!(order.takes(&level, 1, 5..9));
        assert!(!order.takes(&level, 2, 30..40), "it belongs after 3");
        assert!(!order.takes(&level, 4, 9..20), "it belongs before 3");
        assert!(order.takes(&level, 2, 9..20));
        assert!(order.takes(&other, 2, 0..1));
    }
}
