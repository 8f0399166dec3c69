//! Any bytes as the values of a frame table's rows: what is read tiles the stream and is found again.
#![no_main]

use freezer::index::{BlockCache, FrameTable, MemoryBlocks, RunRoot};
use freezer::model::StreamOffset;
use libfuzzer_sys::fuzz_target;
use std::sync::Arc;

fuzz_target!(|data: &[u8]| {
    let Some((entries, node)) = data.split_first() else { return };
    let root = RunRoot { node: node.to_vec(), height: 0, entries: u64::from(*entries) };
    let Ok(table) = FrameTable::open(root, Arc::new(MemoryBlocks::default()), BlockCache::new(0)) else { return };
    let mut end = StreamOffset(0);
    for row in table.rows() {
        let Ok(row) = row else { return };
        assert_eq!(row.start, end, "a gap");
        assert!(row.end() > end);
        assert_eq!(table.locate(row.start).expect("it was read"), row);
        assert_eq!(table.row(row.number).expect("it was read"), Some(row));
        end = row.end();
    }
    assert_eq!(table.stream_end().expect("it was read"), end);
    table.locate(end).expect_err("nothing is there");
});
