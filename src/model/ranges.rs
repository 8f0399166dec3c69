//! Sets of bytes of a stream, kept as ranges.

use std::ops::Range;

/// A set of bytes of a stream: ranges in order, none of them empty or touching the next.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ranges(Vec<Range<u64>>);

impl Ranges {
    /// Makes the set of ranges, which may overlap and stand in any order.
    pub fn new(mut ranges: Vec<Range<u64>>) -> Self {
        ranges.retain(|range| !range.is_empty());
        ranges.sort_by_key(|range| range.start);
        Self::joined(ranges.into_iter())
    }

    /// Makes the set of one range.
    pub fn of(range: Range<u64>) -> Self {
        Self::joined(std::iter::once(range).filter(|range| !range.is_empty()))
    }

    /// Joins ranges that are sorted by their beginnings.
    fn joined(ranges: impl Iterator<Item = Range<u64>>) -> Self {
        let mut joined: Vec<Range<u64>> = Vec::new();
        for range in ranges {
            match joined.last_mut() {
                Some(last) if last.end >= range.start => last.end = last.end.max(range.end),
                _ => joined.push(range),
            }
        }
        Self(joined)
    }

    /// Returns the ranges, in order.
    pub fn as_slice(&self) -> &[Range<u64>] {
        &self.0
    }

    /// Returns whether the set is empty.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns whether any byte of `range` is in the set.
    pub fn touch(&self, range: &Range<u64>) -> bool {
        !range.is_empty()
            && self
                .first_ending_after(range.start)
                .is_some_and(|first| first.start < range.end)
    }

    /// Returns whether all bytes of `range` are in the set.
    pub fn cover(&self, range: &Range<u64>) -> bool {
        range.is_empty()
            || self
                .first_ending_after(range.start)
                .is_some_and(|first| first.start <= range.start && first.end >= range.end)
    }

    /// Returns the bytes that are in either set.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        let (mut left, mut right) = (
            self.0.iter().cloned().peekable(),
            other.0.iter().cloned().peekable(),
        );
        Self::joined(std::iter::from_fn(|| match (left.peek(), right.peek()) {
            (Some(first), Some(second)) if second.start < first.start => right.next(),
            (Some(_), _) => left.next(),
            (None, _) => right.next(),
        }))
    }

    /// Returns the bytes that are in both sets.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        let (mut left, mut right) = (self.0.iter().peekable(), other.0.iter().peekable());
        let mut both = Vec::new();
        while let (Some(first), Some(second)) = (left.peek(), right.peek()) {
            let range = first.start.max(second.start)..first.end.min(second.end);
            if !range.is_empty() {
                both.push(range);
            }
            if first.end <= second.end {
                left.next()
            } else {
                right.next()
            };
        }
        Self(both)
    }

    /// Returns the length of the longest run of bytes of `within` that are not in the set.
    pub fn longest_gap(&self, within: &Range<u64>) -> u64 {
        let (mut at, mut longest) = (within.start, 0);
        for range in &self.0 {
            longest = longest.max(range.start.min(within.end).saturating_sub(at));
            at = at.max(range.end);
        }
        longest.max(within.end.saturating_sub(at))
    }

    fn first_ending_after(&self, at: u64) -> Option<&Range<u64>> {
        self.0.get(self.0.partition_point(|range| range.end <= at))
    }
}

#[cfg(test)]
mod tests {
    use super::Ranges;
    use proptest::prelude::*;
    use std::collections::BTreeSet;
    use std::ops::Range;

    #[test]
    fn a_range_is_touched_by_one_byte_and_not_by_a_neighbour() {
        let ranges = Ranges::new(vec![30..40, 10..20, 15..22, 5..5]);
        assert_eq!(ranges.as_slice(), [10..22, 30..40]);
        for (range, expected) in [
            (0..10, false),
            (0..11, true),
            (21..22, true),
            (22..30, false),
            (22..31, true),
            (40..45, false),
            (12..12, false),
        ] {
            assert_eq!(ranges.touch(&range), expected, "{range:?}");
        }
    }

    fn some() -> impl Strategy<Value = Vec<Range<u64>>> {
        proptest::collection::vec(
            (0_u64..100, 0_u64..20).prop_map(|(start, length)| start..start + length),
            0..12,
        )
    }

    fn bytes(ranges: &[Range<u64>]) -> BTreeSet<u64> {
        ranges.iter().cloned().flatten().collect()
    }

    proptest! {
        #[test]
        fn ranges_are_the_set_of_their_bytes(
            left in some(),
            right in some(),
            probe in (0_u64..110, 0_u64..15),
        ) {
            let (first, second) = (Ranges::new(left.clone()), Ranges::new(right.clone()));
            let are_apart = |ranges: &Ranges| {
                ranges.as_slice().windows(2).all(|pair| pair[0].end < pair[1].start)
            };
            let held = bytes(&left);
            prop_assert_eq!(&bytes(first.as_slice()), &held);
            prop_assert!(are_apart(&first));
            let probe = probe.0..probe.0 + probe.1;
            prop_assert_eq!(first.touch(&probe), probe.clone().any(|at| held.contains(&at)));
            prop_assert_eq!(first.cover(&probe), probe.clone().all(|at| held.contains(&at)));
            let both = first.union(&second);
            prop_assert_eq!(&both, &Ranges::new(left.iter().chain(&right).cloned().collect()));
            let common = first.intersection(&second);
            let in_both = held.intersection(&bytes(&right)).copied().collect();
            prop_assert_eq!(bytes(common.as_slice()), in_both);
            prop_assert!(are_apart(&common));
            let (mut longest, mut gap) = (0, 0);
            for at in probe.clone() {
                gap = if held.contains(&at) { 0 } else { gap + 1 };
                longest = longest.max(gap);
            }
            prop_assert_eq!(first.longest_gap(&probe), longest);
        }
    }
}
