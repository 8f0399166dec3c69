//! Which parts of a stream cannot be read.

use crate::model::Extent;
use std::ops::Range;

/// Ranges of a stream, in order and not touching.
#[derive(Clone, Debug, Default)]
pub(super) struct Ranges(Vec<Range<u64>>);

impl Ranges {
    /// Collects ranges that may overlap and stand in any order.
    pub(super) fn new(mut ranges: Vec<Range<u64>>) -> Self {
        ranges.retain(|range| !range.is_empty());
        ranges.sort_by_key(|range| range.start);
        let mut joined: Vec<Range<u64>> = Vec::new();
        for range in ranges {
            match joined.last_mut() {
                Some(last) if last.end >= range.start => last.end = last.end.max(range.end),
                _ => joined.push(range),
            }
        }
        Self(joined)
    }

    /// The ranges, in order and not touching.
    pub(super) fn into_ranges(self) -> Vec<Range<u64>> {
        self.0
    }

    /// Whether a byte of the extent lies in one.
    pub(super) fn touch(&self, extent: &Extent) -> bool {
        let first = self.0.partition_point(|range| range.end <= extent.stream.0);
        self.0.get(first).is_some_and(|range| range.start < extent.stream.0.saturating_add(extent.length))
    }
}

#[cfg(test)]
mod tests {
    use super::Ranges;
    use crate::model::{Extent, FileOffset, LevelSerial, StreamOffset};

    #[test]
    fn an_extent_is_touched_by_one_byte_and_not_by_a_neighbour() {
        let ranges = Ranges::new(vec![30..40, 10..20, 15..22, 5..5]);
        for (stream, length, expected) in [(0, 10, false), (0, 11, true), (21, 1, true), (22, 8, false), (22, 9, true), (40, 5, false)] {
            let extent = Extent { at: FileOffset(0), level: LevelSerial(1), stream: StreamOffset(stream), length };
            assert_eq!(ranges.touch(&extent), expected, "{stream}+{length}");
        }
    }
}
