//! Gathers which bytes of earlier levels' streams a point in time needs, while its entries go by.
//!
//! They become a few ranges: those that are close together are joined, and ever less close ones
//! when there are too many. Ranges are joined over bytes alone that the point in time before needs
//! too. So what a new manifest says to be live in an earlier level is always among what the one
//! before says, and what no manifest says to be live never is again.

use crate::format::live::UNIT_BYTES;
use crate::format::manifest::LevelParts;
use crate::model::{Entry, LevelSerial, Ranges};
use std::collections::BTreeMap;
use std::ops::Range;

/// Ranges that are less than this apart are joined: no frame but the last of a stream is so short,
/// so none is kept for it.
const LEAST_GAP_BYTES: u64 = 64 << 10;

/// There are at most this many ranges, over all levels, …
const MOST_RANGES: usize = 8192;

/// … and one more for so many bytes of their streams: 64 KiB of manifest for a small backup, 200
/// for one of 10 TiB.
const BYTES_FOR_A_RANGE: u64 = 256 << 20;

/// What is live so far.
pub(super) struct Live {
    levels: BTreeMap<LevelSerial, OfLevel>,
    gap: u64,
    count: usize,
    most: usize,
}

/// What is live of one level.
struct OfLevel {
    /// What the point in time before needs of it; nothing when that may be all.
    before: Option<Ranges>,
    /// In order, none touching the next.
    ranges: Vec<Range<u64>>,
    /// The range that was extended last: the entries of a directory lie together.
    last: usize,
}

impl Live {
    /// Nothing is live yet of `earlier`, the levels that the point in time before leans on, nor of
    /// `taken`, the streams of runs that were cut off.
    pub(super) fn new(earlier: &[LevelParts], taken: &[LevelParts]) -> Self {
        let earlier: Vec<LevelParts> = taken.iter().chain(earlier).cloned().collect();
        let bytes: u64 = earlier
            .iter()
            .fold(0, |sum, parts| sum.saturating_add(parts.stream_bytes));
        let more = usize::try_from(bytes / BYTES_FOR_A_RANGE).unwrap_or(usize::MAX);
        Self::with_most(&earlier, MOST_RANGES.saturating_add(more))
    }

    fn with_most(earlier: &[LevelParts], most: usize) -> Self {
        let of = |parts: &LevelParts| {
            (
                parts.serial,
                OfLevel {
                    before: parts.live.clone(),
                    ranges: Vec::new(),
                    last: 0,
                },
            )
        };
        Self {
            levels: earlier.iter().map(of).collect(),
            gap: LEAST_GAP_BYTES,
            count: 0,
            most,
        }
    }

    /// All that an entry needs of earlier levels is live.
    pub(super) fn add(&mut self, entry: &Entry) {
        for (level, start, length) in entry.places() {
            // The level that is being made is not among them: all of it is live while its manifest
            // is there.
            let Some(of) = self.levels.get_mut(&level) else {
                continue;
            };
            self.count -= of.ranges.len();
            of.add(in_units(start.0, length), self.gap);
            self.count += of.ranges.len();
        }
        while self.count > self.most && self.gap < u64::MAX / 4 {
            self.gap *= 2;
            for of in self.levels.values_mut() {
                of.join(self.gap);
            }
            self.count = self.levels.values().map(|of| of.ranges.len()).sum();
        }
    }

    /// What is live of each level; of none that is not in the result.
    pub(super) fn finish(self) -> BTreeMap<LevelSerial, Ranges> {
        let found = self
            .levels
            .into_iter()
            .filter(|(_, of)| !of.ranges.is_empty());
        found
            .map(|(level, of)| (level, Ranges::new(of.ranges)))
            .collect()
    }
}

impl OfLevel {
    fn add(&mut self, range: Range<u64>, gap: u64) {
        if range.is_empty()
            || self
                .ranges
                .get(self.last)
                .is_some_and(|last| last.start <= range.start && range.end <= last.end)
        {
            return;
        }
        // Among the ranges before this place none reaches so far that it could be joined.
        let extends_last = self
            .ranges
            .get(self.last)
            .is_some_and(|last| last.start <= range.start && range.start <= last.end);
        let at = if extends_last {
            self.last
        } else {
            self.ranges.partition_point(|other| other.end < range.start)
        };
        let mut joined = range;
        let mut end = at;
        while let Some(next) = self.ranges.get(end).filter(|next| next.start <= joined.end) {
            joined = joined.start.min(next.start)..joined.end.max(next.end);
            end += 1;
        }
        if let Some(next) = self
            .ranges
            .get(end)
            .filter(|next| self.is_joined(&joined, next, gap))
        {
            joined.end = next.end;
            end += 1;
        }
        let mut begin = at;
        if let Some(previous) = at
            .checked_sub(1)
            .and_then(|before| self.ranges.get(before))
            .filter(|previous| self.is_joined(previous, &joined, gap))
        {
            joined.start = previous.start;
            begin -= 1;
        }
        self.ranges.splice(begin..end, [joined]);
        self.last = begin;
    }

    /// Whether nothing is said of what is between two ranges: it is little, and the point in time
    /// before needs it.
    fn is_joined(&self, left: &Range<u64>, right: &Range<u64>, gap: u64) -> bool {
        right.start.saturating_sub(left.end) < gap
            && self
                .before
                .as_ref()
                .is_none_or(|before| before.cover(&(left.end..right.start)))
    }

    fn join(&mut self, gap: u64) {
        let mut joined: Vec<Range<u64>> = Vec::with_capacity(self.ranges.len());
        for range in std::mem::take(&mut self.ranges) {
            match joined.last_mut() {
                Some(last) if self.is_joined(last, &range, gap) => last.end = range.end,
                _ => joined.push(range),
            }
        }
        self.ranges = joined;
        self.last = 0;
    }
}

/// The bytes from `start` on, rounded outwards to what a manifest can say.
fn in_units(start: u64, length: u64) -> Range<u64> {
    let end = start.saturating_add(length);
    start / UNIT_BYTES * UNIT_BYTES..end.checked_next_multiple_of(UNIT_BYTES).unwrap_or(end)
}

#[cfg(test)]
mod tests {
    use super::{LEAST_GAP_BYTES, Live, in_units};
    use crate::format::frame::Compression;
    use crate::format::live::{UNIT_BYTES, decode, encode};
    use crate::format::manifest::{LevelParts, RootNode};
    use crate::model::{
        Content, Entry, Extent, FileOffset, LevelId, LevelSerial, Metadata, Ranges, SignaturePlace,
        StreamOffset, TreePath,
    };
    use proptest::prelude::*;
    use std::ops::Range;

    /// One level, all or some of which the point in time before needs.
    fn earlier(before: Option<Ranges>) -> Vec<LevelParts> {
        vec![LevelParts {
            serial: LevelSerial(7),
            id: LevelId::new(jiff::Timestamp::UNIX_EPOCH, 1),
            compression: Compression::Zstd,
            compression_level: 3,
            stream_bytes: 1 << 30,
            segments: 1,
            frame_table: RootNode {
                node: Vec::new(),
                height: 0,
                entries: 0,
            },
            frame_table_segments: 0,
            live: before,
            repacked: 0,
        }]
    }

    fn file(level: u64, range: Range<u64>) -> Entry {
        let extent = Extent {
            at: FileOffset(0),
            level: LevelSerial(level),
            stream: StreamOffset(range.start),
            length: range.end - range.start,
        };
        Entry {
            path: TreePath::root(),
            metadata: Metadata::default(),
            content: Content::File {
                size: 0,
                extents: vec![extent],
            },
            link_to: None,
        }
    }

    fn live_of(places: &[Range<u64>], before: Option<Ranges>, most: usize) -> Ranges {
        let mut live = Live::with_most(&earlier(before), most);
        for place in places {
            live.add(&file(7, place.clone()));
        }
        live.finish().remove(&LevelSerial(7)).unwrap_or_default()
    }

    #[test]
    fn signatures_are_live_and_the_own_level_is_not_told_of() {
        let mut live = Live::new(&earlier(None), &[]);
        let mut entry = file(8, 0..100);
        entry.metadata.signatures = vec![SignaturePlace {
            level: LevelSerial(7),
            stream: StreamOffset(1 << 20),
            length: 5000,
        }];
        live.add(&entry);
        let found = live.finish();
        assert_eq!(found.len(), 1);
        assert_eq!(
            found[&LevelSerial(7)],
            Ranges::of(1 << 20..(1 << 20) + 5120)
        );
    }

    #[test]
    fn files_one_after_the_other_are_one_range() {
        let places: Vec<_> = (0..100_000_u64)
            .map(|file| file * 3000 + 512..file * 3000 + 2900)
            .collect();
        assert_eq!(
            live_of(&places, None, 10),
            Ranges::of(512..in_units(0, 99_999 * 3000 + 2900).end)
        );
    }

    proptest! {
        #[test]
        fn what_is_live_holds_all_that_is_needed_and_nothing_that_was_not_live_before(
            places in proptest::collection::vec((0_u64..1 << 24, 1_u64..1 << 16), 0..150),
            other in proptest::collection::vec((0_u64..1 << 24, 1_u64..1 << 18), 0..100),
            is_bounded: bool,
            most in 1_usize..60,
        ) {
            let places: Vec<_> = places.into_iter().map(|(start, length)| start..start + length).collect();
            let other = other.into_iter().map(|(start, length)| start..start + length);
            let all = Ranges::new(places.iter().cloned().chain(other).collect());
            let before = is_bounded.then(|| decode(&encode(&all)).expect("sound"));
            let found = live_of(&places, before.clone(), most);
            for place in &places {
                prop_assert!(found.cover(place), "{place:?}");
            }
            match &before {
                Some(before) => {
                    for range in found.as_slice() {
                        prop_assert!(before.cover(range), "{range:?}");
                    }
                    prop_assert!(found.as_slice().len() <= most.max(before.as_slice().len()));
                }
                None => prop_assert!(found.as_slice().len() <= most),
            }
            prop_assert_eq!(&decode(&encode(&found)).expect("sound"), &found, "it is in whole units");
            // With room for all, no more is joined than what is close together.
            let found = live_of(&places, None, usize::MAX);
            let needed = Ranges::new(places.iter().map(|place| in_units(place.start, place.end - place.start)).collect());
            for pair in needed.as_slice().windows(2) {
                let gap = pair[0].end..pair[1].start;
                prop_assert_eq!(found.touch(&gap), gap.end - gap.start < LEAST_GAP_BYTES, "{:?}", gap);
            }
        }
    }

    #[test]
    fn a_place_at_the_end_of_all_numbers_does_no_harm() {
        let found = live_of(Ranges::of(u64::MAX - 5..u64::MAX).as_slice(), None, 10);
        assert_eq!(
            found,
            Ranges::of(u64::MAX / UNIT_BYTES * UNIT_BYTES..u64::MAX)
        );
    }
}
