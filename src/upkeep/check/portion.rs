//! Chooses the segments that a check reads.

use crate::model::LevelId;
use std::collections::{BTreeMap, BTreeSet};

/// How much a check reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// Everything but the content of files: manifests, all of index and frame tables, and the
    /// lengths of segments.
    Structure,
    /// The content too: every frame of some or all segments is authenticated and decompressed.
    Data(Portion),
}

/// How much of the data is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Portion {
    /// All of it.
    All,
    /// One of several parts that together are everything. A segment stays in its part.
    Part {
        /// Number of the part, from 1 to `of`.
        part: u32,
        /// Number of parts.
        of: u32,
    },
    /// Segments that chance picks, with at least this share of all bytes.
    Share {
        /// The share in millionths, at most 1,000,000.
        millionths: u32,
    },
    /// Segments that chance picks, with at least this many bytes.
    Bytes(u64),
}

/// The segments of several levels that are to be read.
pub(super) struct SegmentsToRead {
    /// The segments of each level, in the order of the levels.
    segments: Vec<BTreeSet<u32>>,
    bytes: u64,
}

impl SegmentsToRead {
    /// Chooses among segments, given with their lengths for each level.
    pub(super) fn new<'levels>(
        portion: Portion,
        levels: impl Iterator<Item = (&'levels LevelId, &'levels BTreeMap<u32, u64>)>,
    ) -> Result<Self, getrandom::Error> {
        let mut chosen = Self {
            segments: Vec::new(),
            bytes: 0,
        };
        let mut rest = Vec::new();
        for (place, (level, lengths)) in levels.enumerate() {
            chosen.segments.push(BTreeSet::new());
            for (number, length) in lengths {
                match portion {
                    Portion::All => chosen.take(place, *number, *length),
                    Portion::Part { part, of } => {
                        if place_of(level, *number) % u64::from(of.max(1))
                            == u64::from(part.saturating_sub(1))
                        {
                            chosen.take(place, *number, *length);
                        }
                    }
                    Portion::Share { .. } | Portion::Bytes(_) => {
                        rest.push((place, *number, *length))
                    }
                }
            }
        }
        let all: u64 = rest.iter().map(|(.., length)| length).sum();
        let wanted = match portion {
            Portion::Share { millionths } => share(all, millionths.into(), 1_000_000),
            Portion::Bytes(bytes) => bytes,
            Portion::All | Portion::Part { .. } => 0,
        };
        while chosen.bytes < wanted && !rest.is_empty() {
            let at = getrandom::u64()? % rest.len() as u64;
            let (place, number, length) = rest.swap_remove(usize::try_from(at).unwrap_or(0));
            chosen.take(place, number, length);
        }
        Ok(chosen)
    }

    fn take(&mut self, place: usize, number: u32, length: u64) {
        if let Some(segments) = self.segments.get_mut(place) {
            segments.insert(number);
        }
        self.bytes += length;
    }

    /// Returns the chosen segments of the level at `place`.
    pub(super) fn of(&self, place: usize) -> &BTreeSet<u32> {
        static NONE: BTreeSet<u32> = BTreeSet::new();
        self.segments.get(place).unwrap_or(&NONE)
    }

    /// Returns how many bytes the chosen segments have.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Returns the share of `whole` that these segments have of `all` bytes.
    pub(super) fn share_of(&self, whole: u64, all: u64) -> u64 {
        share(whole, self.bytes, all)
    }
}

fn share(whole: u64, some: u64, all: u64) -> u64 {
    let share = u128::from(whole) * u128::from(some) / u128::from(all.max(1));
    u64::try_from(share).unwrap_or(u64::MAX)
}

/// Returns a number that spreads segments over parts, and is always the same for one segment:
/// FNV-1a over its name, mixed once more, as its low bits alone would follow the last digits.
fn place_of(level: &LevelId, number: u32) -> u64 {
    let bytes = level.as_str().bytes().chain(number.to_le_bytes());
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let mixed = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    mixed ^ (mixed >> 33)
}

#[cfg(test)]
mod tests {
    use super::{Portion, SegmentsToRead};
    use crate::model::LevelId;
    use std::collections::BTreeMap;

    fn levels() -> Vec<(LevelId, BTreeMap<u32, u64>)> {
        let lengths = |level: u32| {
            (0..100 + level)
                .map(|number| (number, u64::from(1000 + number)))
                .collect()
        };
        (0..10)
            .map(|level| {
                (
                    LevelId::new(jiff::Timestamp::UNIX_EPOCH, level),
                    lengths(level),
                )
            })
            .collect()
    }

    fn choose(portion: Portion) -> (Vec<(usize, u32)>, u64) {
        let levels = levels();
        let chosen = SegmentsToRead::new(portion, levels.iter().map(|(id, lengths)| (id, lengths)))
            .expect("random numbers");
        let segments: Vec<_> = (0..levels.len())
            .flat_map(|level| chosen.of(level).iter().map(move |number| (level, *number)))
            .collect();
        let bytes = segments
            .iter()
            .map(|(level, number)| levels[*level].1[number])
            .sum();
        assert_eq!(chosen.bytes(), bytes);
        (segments, bytes)
    }

    #[test]
    fn the_parts_together_are_every_segment_once_and_stay_what_they_are() {
        let (mut all, whole) = choose(Portion::All);
        for of in [1, 2, 7, 100] {
            let parts: Vec<_> = (1..=of)
                .map(|part| choose(Portion::Part { part, of }).0)
                .collect();
            let mut together = parts.concat();
            together.sort_unstable();
            all.sort_unstable();
            assert_eq!(together, all, "{of} parts");
            let (least, most) = (
                parts.iter().map(Vec::len).min(),
                parts.iter().map(Vec::len).max(),
            );
            assert!(
                of > 10
                    || least
                        .zip(most)
                        .is_some_and(|(least, most)| most < 2 * least),
                "{least:?} to {most:?} in {of} parts"
            );
            assert_eq!(choose(Portion::Part { part: 1, of }).0, parts[0]);
        }
        assert!(whole > 1_000_000);
    }

    #[test]
    fn chance_picks_as_many_bytes_as_are_asked_for_and_not_always_the_same() {
        let (_, all) = choose(Portion::All);
        for (portion, wanted) in [
            (Portion::Share { millionths: 50_000 }, all / 20),
            (Portion::Bytes(30_000), 30_000),
        ] {
            let (first, bytes) = choose(portion);
            assert!(
                (wanted..wanted + 2000).contains(&bytes),
                "{bytes} for {wanted}"
            );
            assert!((0..50).any(|_| choose(portion).0 != first));
        }
        assert_eq!(
            choose(Portion::Share {
                millionths: 1_000_000
            })
            .1,
            all
        );
        assert_eq!(choose(Portion::Bytes(u64::MAX)).1, all);
    }
}
