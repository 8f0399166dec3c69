//! Compares the frame table with a list of its rows.

use freezer::index::{
    BlockCache, FrameRow, FrameTable, FrameTableWriter, IndexError, MemoryBlocks, RunRoot, Stretch,
};
use freezer::model::{FrameNo, SegmentOffset, StreamOffset};
use proptest::prelude::{Strategy, any, prop_assert, prop_assert_eq, proptest};
use std::sync::Arc;

fn tables() -> impl Strategy<Value = Vec<FrameRow>> {
    let row = (
        1u32..,
        any::<u32>(),
        any::<u64>(),
        any::<u32>(),
        any::<Option<[u8; 16]>>(),
    );
    proptest::collection::vec(row, 0..1500).prop_map(|rows| {
        let mut start = 0;
        let row = |(number, (raw_length, segment, offset, stored_length, checksum))| {
            let row = FrameRow {
                number: FrameNo(number),
                start: StreamOffset(start),
                raw_length,
                segment,
                offset: SegmentOffset(offset),
                stored_length,
                checksum,
                stretch: None,
            };
            start = row.end().0;
            row
        };
        (0..).zip(rows).map(row).collect()
    })
}

fn write(rows: &[FrameRow]) -> (RunRoot, MemoryBlocks) {
    let (mut writer, mut blocks) = (FrameTableWriter::new(), MemoryBlocks::default());
    rows.iter()
        .for_each(|row| writer.push(row, &mut blocks).expect("rows in order"));
    (
        writer.finish(&mut blocks).expect("memory takes all"),
        blocks,
    )
}

fn open((root, blocks): (RunRoot, MemoryBlocks)) -> FrameTable {
    FrameTable::open(root, Arc::new(blocks), BlockCache::new(1 << 20)).expect("a sound table")
}

proptest! {
    #[test]
    fn every_byte_of_the_stream_is_found_in_its_frame(
        rows in tables(),
        probe: proptest::sample::Index,
    ) {
        let table = open(write(&rows));
        prop_assert_eq!(table.frames(), rows.len() as u64);
        prop_assert_eq!(
            &table.rows().collect::<Result<Vec<_>, _>>().expect("sound"),
            &rows
        );
        let end = rows.last().map_or(StreamOffset(0), FrameRow::end);
        prop_assert_eq!(table.stream_end().expect("sound"), end);
        for at in [end.0, end.0.saturating_add(1), u64::MAX] {
            let past = table
                .locate(StreamOffset(at))
                .expect_err("nothing is there");
            prop_assert!(
                matches!(past, IndexError::PastEnd { end: told, .. } if told == end),
                "{past:?}"
            );
        }
        prop_assert_eq!(table.row(rows.len() as u64).expect("sound"), None);
        for position in (!rows.is_empty())
            .then(|| probe.index(rows.len()))
            .into_iter()
            .chain(0..rows.len().min(40))
        {
            let row = rows[position];
            for at in [
                row.start.0,
                row.start.0 + u64::from(row.raw_length / 2),
                row.end().0 - 1,
            ] {
                prop_assert_eq!(table.locate(StreamOffset(at)).expect("sound"), row);
            }
            prop_assert_eq!(table.row(position as u64).expect("sound"), Some(row));
            prop_assert_eq!(
                table.next(&row).expect("sound"),
                rows.get(position + 1).copied()
            );
        }
    }
}

proptest! {
    #[test]
    fn a_removed_frame_is_told_apart_from_the_others(
        rows in tables(),
        kept: u64,
        probe: proptest::sample::Index,
    ) {
        let stays = |row: &FrameRow| (kept >> (row.number.0 % 64)) & 1 == 1;
        let left: Vec<FrameRow> = rows.iter().copied().filter(stays).collect();
        let (mut writer, mut blocks) = (FrameTableWriter::new(), MemoryBlocks::default());
        left.iter()
            .for_each(|row| writer.push_later(row, &mut blocks).expect("rows in order"));
        let table = open((
            writer.finish(&mut blocks).expect("memory takes all"),
            blocks,
        ));
        prop_assert_eq!(
            &table.rows().collect::<Result<Vec<_>, _>>().expect("sound"),
            &left
        );
        let end = left.last().map_or(StreamOffset(0), FrameRow::end);
        for position in (!rows.is_empty())
            .then(|| probe.index(rows.len()))
            .into_iter()
            .chain(0..rows.len().min(40))
        {
            let row = rows[position];
            for at in [row.start, StreamOffset(row.end().0 - 1)] {
                match table.locate(at) {
                    Ok(found) => prop_assert_eq!(found, row),
                    Err(IndexError::Gone { .. }) => prop_assert!(!stays(&row) && at < end),
                    Err(IndexError::PastEnd { end: told, .. }) => {
                        prop_assert!(at >= end && told == end)
                    }
                    Err(other) => panic!("{other}"),
                }
            }
            prop_assert_eq!(table.locate(row.start).is_ok(), stays(&row));
            if stays(&row) {
                let next = left.iter().find(|other| other.number > row.number).copied();
                prop_assert_eq!(table.next(&row).expect("sound"), next);
            }
        }
    }
}

/// Replaces some frames by stretches of a joined one, and leaves others out.
fn repacked(rows: &[FrameRow], choice: u64) -> Vec<FrameRow> {
    let mut left = Vec::new();
    for (at, row) in rows.iter().enumerate() {
        match (choice >> (at % 32 * 2)) & 3 {
            0 => {}
            1 if row.raw_length > 3 => {
                let third = row.raw_length / 3;
                let part = |number, skip, start: u64, raw_length| FrameRow {
                    number: FrameNo((1 << 32) + number),
                    start: StreamOffset(start),
                    raw_length,
                    stretch: Some(Stretch {
                        skip,
                        frame_bytes: u32::MAX,
                    }),
                    ..*row
                };
                left.push(part(at as u64, 7, row.start.0, third.min(1000)));
                let second = row.start.0 + u64::from(row.raw_length - third);
                left.push(part(at as u64, 5000, second, third.min(1000)));
            }
            _ => left.push(*row),
        }
    }
    left
}

proptest! {
    #[test]
    fn stretches_of_joined_frames_are_found_and_what_lies_between_them_is_gone(
        rows in tables(), choice: u64,
    ) {
        let left = repacked(&rows, choice);
        let (mut writer, mut blocks) = (FrameTableWriter::new(), MemoryBlocks::default());
        for row in &left {
            writer.push_later(row, &mut blocks).expect("rows in order");
        }
        let table = open((writer.finish(&mut blocks).expect("memory takes all"), blocks));
        let all: Vec<FrameRow> = table.rows().collect::<Result<_, _>>().expect("sound");
        prop_assert_eq!(&all, &left);
        for (at, row) in left.iter().enumerate().take(60) {
            for place in [row.start, StreamOffset(row.end().0 - 1)] {
                prop_assert_eq!(table.locate(place).expect("sound"), *row);
            }
            let next = left.get(at + 1);
            prop_assert_eq!(table.next(row).expect("sound"), next.copied());
            if next.is_some_and(|next| next.start > row.end()) {
                let gone = table.locate(row.end());
                prop_assert!(matches!(gone, Err(IndexError::Gone { .. })), "{:?}", gone);
            }
        }
    }
}

#[test]
fn a_stretch_gives_its_part_of_the_frame() {
    let stretch = FrameRow {
        stretch: Some(Stretch {
            skip: 3,
            frame_bytes: 10,
        }),
        ..row(1 << 32, 100, 4)
    };
    assert_eq!(stretch.part_of(b"0123456789".to_vec()), b"3456");
    assert_eq!(
        row(1, 100, 10).part_of(b"0123456789".to_vec()),
        b"0123456789"
    );
    let mut writer = FrameTableWriter::new();
    let mut push = |row: FrameRow| writer.push_later(&row, &mut MemoryBlocks::default());
    let too_long = FrameRow {
        raw_length: 8,
        ..stretch
    };
    assert!(matches!(push(too_long), Err(IndexError::OutOfOrder { .. })));
    push(stretch).expect("it fits");
    let before = FrameRow {
        start: StreamOffset(103),
        ..stretch
    };
    assert!(
        matches!(push(before), Err(IndexError::OutOfOrder { .. })),
        "an overlap"
    );
}

fn row(number: u64, start: u64, raw_length: u32) -> FrameRow {
    let offset = SegmentOffset(start / 2);
    FrameRow {
        number: FrameNo(number),
        start: StreamOffset(start),
        raw_length,
        segment: 0,
        offset,
        stored_length: 5,
        checksum: None,
        stretch: None,
    }
}

#[test]
fn rows_that_leave_a_gap_overlap_or_are_empty_are_refused() {
    let (mut writer, mut blocks) = (FrameTableWriter::new(), MemoryBlocks::default());
    writer.push(&row(0, 0, 10), &mut blocks).expect("the first");
    for bad in [
        row(1, 11, 10),
        row(1, 9, 10),
        row(2, 10, 10),
        row(0, 10, 10),
        row(1, 10, 0),
    ] {
        assert!(
            matches!(
                writer.push(&bad, &mut blocks),
                Err(IndexError::OutOfOrder { .. })
            ),
            "{bad:?}"
        );
    }
    // Each missing frame had at least one byte.
    for bad in [
        row(1, 11, 10),
        row(2, 10, 10),
        row(4, 12, 10),
        row(0, 50, 10),
        row(3, 50, 0),
    ] {
        assert!(
            matches!(
                writer.push_later(&bad, &mut blocks),
                Err(IndexError::OutOfOrder { .. })
            ),
            "{bad:?}"
        );
    }
    writer
        .push(&row(1, 10, 10), &mut blocks)
        .expect("the second");
    let table = open((
        writer.finish(&mut blocks).expect("memory takes all"),
        blocks,
    ));
    assert_eq!(table.rows().count(), 2);
}

#[test]
fn a_flipped_or_cut_byte_gives_an_error_or_other_rows_that_still_follow_each_other() {
    let rows = [
        row(0, 0, 1000),
        FrameRow {
            checksum: Some([0xab; 16]),
            ..row(1, 1000, 300)
        },
        row(2, 1300, 1),
    ];
    let (root, _) = write(&rows);
    for at in 0..root.node.len() {
        let cut = RunRoot {
            node: root.node[..at].to_vec(),
            ..root.clone()
        };
        FrameTable::open(cut, Arc::new(MemoryBlocks::default()), BlockCache::new(0))
            .expect_err("it ends too early");
        for bit in 0..8 {
            let mut flipped = root.clone();
            flipped.node[at] ^= 1 << bit;
            let Ok(table) = FrameTable::open(
                flipped,
                Arc::new(MemoryBlocks::default()),
                BlockCache::new(0),
            ) else {
                continue;
            };
            let Ok(read) = table.rows().collect::<Result<Vec<_>, _>>() else {
                continue;
            };
            assert_ne!(read, rows, "bit {bit} of byte {at}");
            let mut next = (0, 0);
            for row in read {
                let left_out = row.number.0 - next.0;
                let fits = if left_out == 0 {
                    row.start.0 == next.1
                } else {
                    row.start.0 >= next.1 + left_out
                };
                assert!(fits, "bit {bit} of byte {at}");
                assert_eq!(table.locate(row.start).expect("it reads"), row);
                next = (row.number.0 + 1, row.end().0);
            }
        }
    }
}
