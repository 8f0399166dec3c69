//! Reads any bytes as the value of an entry: refused, or the only encoding of that entry.
#![no_main]

use freezer::index::{BlockCache, MemoryBlocks, RunRoot, Tree, TreeWriter};
use freezer::model::NodeId;
use libfuzzer_sys::fuzz_target;
use std::sync::Arc;

fn put_varint(out: &mut Vec<u8>, mut number: usize) {
    while number >= 0x80 {
        out.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Makes a leaf with one entry, the root directory, that has this value.
fn leaf(value: &[u8]) -> Vec<u8> {
    let mut node = vec![1, 0, 1, 0, 0];
    put_varint(&mut node, value.len());
    node.extend_from_slice(value);
    node
}

fuzz_target!(|value: &[u8]| {
    let root = RunRoot {
        node: leaf(value),
        height: 0,
        entries: 1,
    };
    let Ok(tree) = Tree::open(
        root.clone(),
        Arc::new(MemoryBlocks::default()),
        BlockCache::new(0),
    ) else {
        return;
    };
    let attributes = tree.attributes(NodeId(0));
    let Ok(Some(entry)) = tree.entry(NodeId(0)) else {
        return;
    };
    let attributes = attributes
        .ok()
        .flatten()
        .expect("what reads whole reads in part");
    assert_eq!(
        (attributes.size, attributes.kind),
        (entry.content.size(), entry.content.kind())
    );
    let (mut writer, mut blocks) = (TreeWriter::new(), MemoryBlocks::default());
    writer
        .push(&entry, &mut blocks)
        .expect("what reads can be written");
    assert_eq!(
        writer.finish(&mut blocks).expect("memory takes all"),
        root,
        "an entry has one encoding"
    );
});
