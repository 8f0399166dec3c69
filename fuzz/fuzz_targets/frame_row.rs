//! Reads any bytes as the values of a frame table's rows. The rows that are read are in order, do
//! not overlap and are found again.
#![no_main]

use freezer::index::{BlockCache, FrameTable, MemoryBlocks, RunRoot};
use freezer::model::StreamOffset;
use libfuzzer_sys::fuzz_target;
use std::sync::Arc;

fuzz_target!(|data: &[u8]| {
    let Some((entries, node)) = data.split_first() else {
        return;
    };
    let root = RunRoot {
        node: node.to_vec(),
        height: 0,
        entries: u64::from(*entries),
    };
    let Ok(table) = FrameTable::open(root, Arc::new(MemoryBlocks::default()), BlockCache::new(0))
    else {
        return;
    };
    // Where the last row ends, and the number and the end of the last whole frame.
    let (mut end, mut frame_end, mut last) = (StreamOffset(0), StreamOffset(0), None);
    for (rank, row) in (0..).zip(table.rows()) {
        let Ok(row) = row else { return };
        assert!(row.start >= end, "an overlap");
        if row.stretch.is_none() {
            let is_next = last.map_or(0, |last: u64| last + 1) == row.number.0;
            // The reader looks back by one row, so behind a stretch it does not know.
            if end == frame_end {
                assert!(
                    if is_next {
                        row.start == end
                    } else {
                        row.start > end
                    },
                    "a gap without a frame in it"
                );
                assert!(last.is_none_or(|last| last < row.number.0));
            }
            (frame_end, last) = (row.end(), Some(row.number.0));
        }
        assert!(row.end() > end);
        assert_eq!(table.locate(row.start).expect("it was read"), row);
        assert_eq!(table.row(rank).expect("it was read"), Some(row));
        end = row.end();
    }
    assert_eq!(table.stream_end().expect("it was read"), end);
    table.locate(end).expect_err("the stream ends here");
});
