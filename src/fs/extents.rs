//! The layout of a file: where its bytes are in streams, and where it has holes.

use crate::model::{Content, Entry, Extent, LevelSerial, StreamOffset};

/// Maps the bytes of one regular file to places in streams.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    size: u64,
    /// Ordered by file offset, none empty, none overlapping.
    extents: Box<[Extent]>,
}

/// A part of a file that is one hole, or lies together in one stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Span {
    /// Zeros that were never stored; how many bytes.
    Hole(u64),
    /// Bytes of a level's stream.
    Data {
        /// The level that stored them.
        level: LevelSerial,
        /// Where in its stream they begin.
        stream: StreamOffset,
        /// How many bytes.
        length: u64,
    },
}

impl Span {
    fn length(&self) -> u64 {
        match self {
            Self::Hole(length) | Self::Data { length, .. } => *length,
        }
    }
}

impl Layout {
    /// Returns the layout of an entry; `None` when it is not a regular file.
    pub(super) fn of(entry: &Entry) -> Option<Self> {
        match &entry.content {
            Content::File { size, extents } => Some(Self {
                size: *size,
                extents: extents.as_slice().into(),
            }),
            _ => None,
        }
    }

    /// Returns the length of the file in bytes, holes included.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// Returns how many extents it has. They are what it costs in memory.
    pub(super) fn extents(&self) -> usize {
        self.extents.len()
    }

    /// Returns `length` bytes from `from` on as spans in file order; fewer bytes where the file
    /// ends before.
    pub(super) fn spans(&self, from: u64, length: u64) -> impl Iterator<Item = Span> {
        let end = from.saturating_add(length).min(self.size);
        let mut at = from;
        let mut extents = self
            .extents
            .get(self.first_ending_after(from)..)
            .unwrap_or_default()
            .iter()
            .peekable();
        std::iter::from_fn(move || {
            if at >= end {
                return None;
            }
            let span = match extents.peek() {
                Some(extent) if extent.at.0 <= at => {
                    let skipped = at - extent.at.0;
                    let stream = StreamOffset(extent.stream.0.saturating_add(skipped));
                    let length = extent.length.saturating_sub(skipped).min(end - at);
                    let level = extent.level;
                    extents.next();
                    Span::Data {
                        level,
                        stream,
                        length,
                    }
                }
                Some(extent) => Span::Hole(extent.at.0.min(end) - at),
                None => Span::Hole(end - at),
            };
            at += span.length();
            Some(span)
        })
        .filter(|span| span.length() > 0)
    }

    /// Returns where the first data at or after `from` begins, like `lseek` with `SEEK_DATA`.
    /// `None` when there is none.
    pub(super) fn next_data(&self, from: u64) -> Option<u64> {
        let extent = self.extents.get(self.first_ending_after(from))?;
        let at = extent.at.0.max(from);
        (at < self.size).then_some(at)
    }

    /// Returns where the first hole at or after `from` begins, like `lseek` with `SEEK_HOLE`: the
    /// end of the file counts as a hole. `None` when `from` is not inside the file.
    pub(super) fn next_hole(&self, from: u64) -> Option<u64> {
        if from >= self.size {
            return None;
        }
        let mut at = from;
        for extent in self
            .extents
            .get(self.first_ending_after(from)..)
            .unwrap_or_default()
        {
            if extent.at.0 > at {
                break;
            }
            at = extent_end(extent);
        }
        Some(at.min(self.size))
    }

    /// Returns the space that the data takes in units of 512 bytes, in whole blocks of 4096 bytes.
    pub(super) fn blocks(&self) -> u64 {
        let bytes = self
            .extents
            .iter()
            .fold(0_u64, |sum, extent| sum.saturating_add(extent.length));
        bytes.div_ceil(4096).saturating_mul(8)
    }

    fn first_ending_after(&self, at: u64) -> usize {
        self.extents
            .partition_point(|extent| extent_end(extent) <= at)
    }
}

fn extent_end(extent: &Extent) -> u64 {
    extent.at.0.saturating_add(extent.length)
}

#[cfg(test)]
mod tests {
    use super::{Layout, Span};
    use crate::model::{Extent, FileOffset, LevelSerial, StreamOffset};
    use proptest::prelude::*;

    fn layout(size: u64, extents: &[(u64, u64)]) -> Layout {
        let extents = extents.iter().map(|&(at, length)| Extent {
            at: FileOffset(at),
            level: LevelSerial(1 + at % 2),
            stream: StreamOffset(at.wrapping_add(10_000)),
            length,
        });
        Layout {
            size,
            extents: extents.collect(),
        }
    }

    /// Returns for each byte of the file where it is in the stream; `None` for a hole.
    fn map_of(layout: &Layout) -> Vec<Option<u64>> {
        let size = usize::try_from(layout.size).expect("small in tests");
        let mut map = vec![None; size];
        for extent in &layout.extents {
            for step in 0..extent.length {
                if let Some(byte) = map.get_mut(usize::try_from(extent.at.0 + step).expect("small"))
                {
                    *byte = Some(extent.stream.0 + step);
                }
            }
        }
        map
    }

    prop_compose! {
        fn any_layout()(
            gaps in prop::collection::vec((0_u64..20, 1_u64..20), 0..8),
            tail in 0_u64..20,
        ) -> Layout {
            let mut at = 0;
            let mut extents = Vec::new();
            for (gap, length) in gaps {
                extents.push((at + gap, length));
                at += gap + length;
            }
            layout(at + tail, &extents)
        }
    }

    proptest! {
        #[test]
        fn spans_and_seeks_agree_with_a_map_of_every_byte(
            layout in any_layout(),
            from in 0_u64..200,
            length in 0_u64..200,
        ) {
            let map = map_of(&layout);
            let mut seen = Vec::new();
            for span in layout.spans(from, length) {
                match span {
                    Span::Hole(length) => (0..length).for_each(|_| seen.push(None)),
                    Span::Data { stream, length, .. } => {
                        seen.extend((0..length).map(|step| Some(stream.0 + step)));
                    }
                }
            }
            let (skipped, taken) = (usize::try_from(from)?, usize::try_from(length)?);
            let expected: Vec<_> = map.iter().copied().skip(skipped).take(taken).collect();
            prop_assert_eq!(seen, expected);

            let tail = || map.iter().enumerate().skip(usize::try_from(from).unwrap_or(usize::MAX));
            let data = tail().find(|(_, byte)| byte.is_some()).map(|(at, _)| at as u64);
            prop_assert_eq!(layout.next_data(from), data);
            let hole = tail().find(|(_, byte)| byte.is_none()).map(|(at, _)| at as u64);
            let hole = if from < layout.size { hole.or(Some(layout.size)) } else { None };
            prop_assert_eq!(layout.next_hole(from), hole);
        }
    }

    #[test]
    fn a_file_that_is_one_hole_has_no_data_and_a_hole_at_its_start() {
        let layout = layout(100, &[]);
        assert_eq!(layout.next_data(0), None);
        assert_eq!(layout.next_hole(0), Some(0));
        assert_eq!(layout.blocks(), 0);
        assert_eq!(layout.spans(90, 50).collect::<Vec<_>>(), [Span::Hole(10)]);
    }

    #[test]
    fn offsets_near_the_largest_number_do_not_overflow() {
        let layout = layout(u64::MAX, &[(u64::MAX - 10, 10)]);
        assert_eq!(layout.next_data(5), Some(u64::MAX - 10));
        assert_eq!(
            layout
                .spans(u64::MAX - 3, u64::MAX)
                .map(|span| span.length())
                .sum::<u64>(),
            3
        );
    }
}
