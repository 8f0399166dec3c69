//! Any bytes as the root of an index, with the same bytes as every block below it: read in every way.
#![no_main]

use freezer::index::{BlockAddress, BlockCache, BlockSource, IndexError, RunRoot, Tree};
use freezer::model::NodeId;
use libfuzzer_sys::fuzz_target;
use std::sync::Arc;

/// Blocks that follow one another in the input, each after its length in two bytes.
struct Blocks(Vec<Vec<u8>>);

impl BlockSource for Blocks {
    fn load(&self, address: &BlockAddress) -> Result<Vec<u8>, IndexError> {
        let block = usize::try_from(address.number.0).ok().and_then(|number| self.0.get(number));
        block.cloned().ok_or_else(|| IndexError::fetch(*address, std::fmt::Error))
    }
}

fn split(mut data: &[u8]) -> Vec<Vec<u8>> {
    let mut blocks = Vec::new();
    while let Some((length, rest)) = data.split_first_chunk::<2>() {
        let (block, rest) = rest.split_at(usize::from(u16::from_le_bytes(*length)).min(rest.len()));
        blocks.push(block.to_vec());
        data = rest;
    }
    blocks
}

fuzz_target!(|data: &[u8]| {
    let Some((&[height, entries], rest)) = data.split_first_chunk::<2>() else { return };
    let mut blocks = split(rest);
    let Some(node) = blocks.pop() else { return };
    let root = RunRoot { node, height, entries: u64::from(entries) };
    let Ok(tree) = Tree::open(root, Arc::new(Blocks(blocks)), BlockCache::new(1 << 20)) else { return };
    let mut count = 0;
    for found in tree.all() {
        let Ok((node, entry)) = found else { break };
        assert_eq!(node, NodeId(count), "ranks count up");
        count += 1;
        assert!(count <= u64::from(entries), "more entries than the root said");
        if let Ok(found) = tree.entry(node) {
            assert_eq!(found.as_ref(), Some(&entry), "by rank it is another than in order");
        }
        if let Ok(found) = tree.lookup(&entry.path) {
            assert_eq!(found, Some((node, entry)), "by path it is another than in order");
        }
        tree.children(node, None).take_while(Result::is_ok).count();
    }
});
