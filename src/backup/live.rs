//! Gathers which bytes of earlier streams a point in time needs, entry by entry.
//!
//! The bytes become a few ranges. Ranges that are close together are joined; when there are too
//! many, wider gaps are closed too. A gap is closed only over bytes that the point in time before
//! needs as well. So the bytes that a new manifest calls live in an earlier level are always among
//! those of the manifest before. Bytes that no manifest calls live never become live again.

use crate::format::live::UNIT_BYTES;
use crate::format::manifest::LevelParts;
use crate::model::{Entry, LevelSerial, Ranges};
use std::collections::BTreeMap;
use std::ops::Range;

/// Ranges closer than this are joined. Only the last frame of a stream may be shorter, so no frame
/// is kept for such a gap.
const LEAST_GAP_BYTES: u64 = 64 << 10;

/// Most ranges over all levels, before [`BYTES_FOR_A_RANGE`] is added.
const MOST_RANGES: usize = 8192;

/// One more range is allowed for each of this many stream bytes. The ranges take 64 KiB of manifest
/// in a small backup, and 200 KiB in one of 10 TiB.
const BYTES_FOR_A_RANGE: u64 = 256 << 20;

/// The bytes that are live so far.
pub(super) struct LiveBytes {
    levels: BTreeMap<LevelSerial, LiveOfLevel>,
    /// Gaps shorter than this are closed, in bytes.
    gap: u64,
    /// Number of ranges over all levels.
    count: usize,
    /// Most ranges over all levels.
    most: usize,
}

/// The live bytes of one level.
struct LiveOfLevel {
    /// The bytes that the point in time before needs; `None` stands for all.
    before: Option<Ranges>,
    /// In order, none touching the next.
    ranges: Vec<Range<u64>>,
    /// Index of the range that was extended last: the entries of a directory lie together.
    last: usize,
}

impl LiveBytes {
    /// Starts with no live bytes. `earlier` are the levels of the base, and `taken` the streams of
    /// interrupted runs.
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
                LiveOfLevel {
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

    /// Adds everything that an entry needs of earlier levels.
    pub(super) fn add(&mut self, entry: &Entry) {
        for (level, start, length) in entry.places() {
            // The new level is not among them: all of it is live while its manifest is there.
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

    /// Returns the live bytes of each level. A level without any is not in the result.
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

impl LiveOfLevel {
    fn add(&mut self, range: Range<u64>, gap: u64) {
        if range.is_empty()
            || self
                .ranges
                .get(self.last)
                .is_some_and(|last| last.start <= range.start && range.end <= last.end)
        {
            return;
        }
        // No range before this place reaches far enough to be joined.
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

    /// Returns whether the gap between two ranges is closed: it is short, and the point in time
    /// before needs its bytes.
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

/// Returns the bytes from `start` on, rounded outwards to the units of a manifest.
fn in_units(start: u64, length: u64) -> Range<u64> {
    let end = start.saturating_add(length);
    start / UNIT_BYTES * UNIT_BYTES..end.checked_next_multiple_of(UNIT_BYTES).unwrap_or(end)
}

#[cfg(test)]
mod tests {
    use super::{LEAST_GAP_BYTES, LiveBytes, in_units};
    use crate::format::frame::Compression;
    use crate::format::live::{UNIT_BYTES, decode, encode};
    use crate::format::manifest::{LevelParts, RootNode};
    use crate::model::{
        Content, Entry, Extent, FileOffset, LevelId, LevelSerial, Metadata, Ranges, SignaturePlace,
        StreamOffset, TreePath,
    };
    use proptest::prelude::*;
    use std::ops::Range;

    /// Makes one level, of which the point in time before needs all, or these ranges.
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
        let mut live = LiveBytes::with_most(&earlier(before), most);
        for place in places {
            live.add(&file(7, place.clone()));
        }
        live.finish().remove(&LevelSerial(7)).unwrap_or_default()
    }

    #[test]
    fn signatures_are_live_and_the_new_level_is_left_out() {
        let mut live = LiveBytes::new(&earlier(None), &[]);
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
    fn files_side_by_side_become_one_range() {
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
        fn live_bytes_hold_all_that_is_needed_and_only_what_was_live_before(
            places in proptest::collection::vec((0_u64..1 << 24, 1_u64..1 << 16), 0..150),
            other in proptest::collection::vec((0_u64..1 << 24, 1_u64..1 << 18), 0..100),
            is_bounded: bool,
            most in 1_usize..60,
        ) {
            let range = |(start, length)| start..start + length;
            let places: Vec<_> = places.into_iter().map(range).collect();
            let other = other.into_iter().map(range);
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
            let stored = decode(&encode(&found)).expect("sound");
            prop_assert_eq!(&stored, &found, "the ranges are not in whole units");
            // With room for all ranges, only those that are close together are joined.
            let found = live_of(&places, None, usize::MAX);
            let unit = |place: &Range<u64>| in_units(place.start, place.end - place.start);
            let needed = Ranges::new(places.iter().map(unit).collect());
            for pair in needed.as_slice().windows(2) {
                let gap = pair[0].end..pair[1].start;
                let is_short = gap.end - gap.start < LEAST_GAP_BYTES;
                prop_assert_eq!(found.touch(&gap), is_short, "{:?}", gap);
            }
        }
    }

    #[test]
    fn a_place_at_the_largest_offset_does_no_harm() {
        let found = live_of(Ranges::of(u64::MAX - 5..u64::MAX).as_slice(), None, 10);
        assert_eq!(
            found,
            Ranges::of(u64::MAX / UNIT_BYTES * UNIT_BYTES..u64::MAX)
        );
    }
}
