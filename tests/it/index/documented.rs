//! The example bytes in docs/format/index.md are what the code reads and writes.

use super::{directory, file, open, path, write};
use freezer::index::{
    BlockCache, DeltaWriter, FrameRow, FrameTable, FrameTableWriter, MemoryBlocks, RunRoot, Stretch,
};
use freezer::model::{
    Content, ContentHash, Entry, Extensions, Extent, FileOffset, FrameNo, InodeFlags, LevelSerial,
    SegmentOffset, StreamOffset, Time, TreePath, Xattr,
};
use std::sync::Arc;

const DOCUMENT: &str = include_str!("../../../docs/format/index.md");

/// Returns the bytes of an example: those of the block fenced with "```hex NAME". A line may end
/// with `#` and a remark.
fn example(name: &str) -> Vec<u8> {
    let fence = format!("```hex {name}\n");
    let (_, after) = DOCUMENT
        .split_once(&fence)
        .unwrap_or_else(|| panic!("no example {name:?} in the document"));
    let (block, _) = after.split_once("```").expect("the block ends");
    let digits: String = block
        .lines()
        .flat_map(|line| line.split('#').next())
        .flat_map(str::chars)
        .filter(|c| !c.is_whitespace())
        .collect();
    let byte = |at| {
        u8::from_str_radix(&digits[at..at + 2], 16)
            .unwrap_or_else(|error| panic!("{name}, digit {at}: {error}"))
    };
    (0..digits.len()).step_by(2).map(byte).collect()
}

fn assert_bytes(found: &[u8], name: &str) {
    let hex = |bytes: &[u8]| {
        bytes
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(
        hex(found),
        hex(&example(name)),
        "the code writes other bytes than example {name:?} of the document"
    );
}

/// Makes the entry that the document describes.
fn hello() -> Entry {
    let extent = Extent {
        at: FileOffset(0),
        level: LevelSerial(1),
        stream: StreamOffset(1536),
        length: 6,
    };
    let mut entry = Entry {
        content: Content::File {
            size: 6,
            extents: vec![extent],
        },
        ..directory(path("hello"))
    };
    entry.metadata.mode = 0o644;
    entry.metadata.links = 1;
    entry.metadata.ctime = Time::new(1_700_000_001, 0);
    entry
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

#[test]
fn the_leaf_and_the_entry_in_it_are_as_documented() {
    let entries = [directory(TreePath::root()), hello()];
    let (root, blocks) = write(&entries).expect("sound entries");
    assert_bytes(&root.node, "leaf");
    assert!(
        contains(&root.node, &example("entry")),
        "the documented leaf ends with the documented entry"
    );
    assert!(blocks.blocks().is_empty());
    let documented = RunRoot {
        node: example("leaf"),
        height: 0,
        entries: 2,
    };
    let tree = open((documented, blocks)).expect("the document shows a sound leaf");
    assert!(tree.all().map(|found| found.expect("sound").1).eq(entries));
}

#[test]
fn the_list_of_extents_is_as_documented() {
    let (root, _) = write(&[file(path("holes"), 2)]).expect("a sound entry");
    assert!(
        root.node.ends_with(&example("extents")),
        "{:02x?}",
        root.node
    );
}

#[test]
fn the_area_of_extensions_is_as_documented() {
    let mut entry = hello();
    let hash = std::array::from_fn(|at| 0x30 + u8::try_from(at).expect("few"));
    entry.metadata.extensions = Extensions {
        content_hash: Some(ContentHash(hash)),
        inode_flags: Some(InodeFlags(0x10)),
        birth: Some(Time::new(1_699_999_999, 2)),
        unknown: Vec::new(),
    };
    let (root, _) = write(std::slice::from_ref(&entry)).expect("a sound entry");
    assert!(
        root.node.ends_with(&example("extensions")),
        "{:02x?}",
        root.node
    );
}

#[test]
fn the_inner_node_is_as_documented() {
    let mut large = file(path("large"), 1);
    large.metadata.xattrs = vec![Xattr {
        name: b"user.large"[..].into(),
        value: vec![7; 17_000].into(),
    }];
    let entries = [directory(TreePath::root()), hello(), large];
    let (root, blocks) = write(&entries).expect("sound entries");
    assert_eq!(root.height, 1);
    assert_bytes(&root.node, "inner");
    let documented = RunRoot {
        node: example("inner"),
        height: 1,
        entries: 3,
    };
    let tree = open((documented, blocks)).expect("the document shows a sound node");
    assert!(tree.all().map(|found| found.expect("sound").1).eq(entries));
}

#[test]
fn a_mark_that_an_entry_is_gone_is_as_documented() {
    let folders = ["", "old", "z"].map(|name| directory(path(name)));
    let [x, y, gone, stays] =
        ["old/x", "old/y", "z/file", "z/stays"].map(|name| file(path(name), 1));
    let earlier = [&folders[..], &[x, y, gone, stays.clone()]].concat();
    let earlier = write(&earlier).and_then(open).expect("sound entries");
    let (mut writer, mut blocks) = (
        DeltaWriter::new(&earlier).expect("sound"),
        MemoryBlocks::default(),
    );
    for entry in [&folders[0], &folders[2], &stays] {
        assert!(writer.keep(&entry.path, &mut blocks).expect("in order"));
    }
    let run = writer.finish(&mut blocks).expect("memory takes all");
    assert_bytes(&run.root.node, "delta");
    assert_eq!((run.root.entries, run.subtrees), (3, 1));
}

#[test]
fn a_stretch_is_as_documented() {
    let row = FrameRow {
        number: FrameNo(1 << 32),
        start: StreamOffset(70_000),
        raw_length: 1000,
        segment: 4,
        offset: SegmentOffset(0),
        stored_length: 2048,
        checksum: None,
        stretch: Some(Stretch {
            skip: 512,
            frame_bytes: 8192,
        }),
    };
    let (mut writer, mut blocks) = (FrameTableWriter::new(), MemoryBlocks::default());
    writer.push_later(&row, &mut blocks).expect("in order");
    let root = writer.finish(&mut blocks).expect("memory takes all");
    assert!(
        root.node.ends_with(&example("stretch-row")),
        "{:02x?}",
        root.node
    );
}

#[test]
fn the_frame_table_is_as_documented() {
    let checksum = Some([
        0, 17, 34, 51, 68, 85, 102, 119, 136, 153, 170, 187, 204, 221, 238, 255,
    ]);
    let first = FrameRow {
        number: FrameNo(0),
        start: StreamOffset(0),
        raw_length: 1_048_576,
        segment: 0,
        offset: SegmentOffset(0),
        stored_length: 300_000,
        checksum,
        stretch: None,
    };
    let offset = SegmentOffset(300_000);
    let second = FrameRow {
        number: FrameNo(1),
        start: first.end(),
        raw_length: 10_240,
        offset,
        stored_length: 2_000,
        ..first
    };
    let (mut writer, mut blocks) = (FrameTableWriter::new(), MemoryBlocks::default());
    [first, second]
        .iter()
        .for_each(|row| writer.push(row, &mut blocks).expect("rows in order"));
    let root = writer.finish(&mut blocks).expect("memory takes all");
    assert_bytes(&root.node, "frame-table");
    assert!(contains(&root.node, &example("frame-row")));
    let documented = RunRoot {
        node: example("frame-table"),
        height: 0,
        entries: 2,
    };
    let table = FrameTable::open(documented, Arc::new(blocks), BlockCache::new(0))
        .expect("the document shows a sound table");
    assert!(
        table
            .rows()
            .map(|row| row.expect("sound"))
            .eq([first, second])
    );
}
