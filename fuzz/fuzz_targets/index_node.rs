//! Reads any bytes, in every way, as the roots of an index of one or two runs, with the same blocks
//! below both.
#![no_main]

use freezer::index::{
    BlockAddress, BlockCache, BlockSource, IndexError, RunRoot, Tree, TreeRun, TreeSeries,
};
use freezer::model::{LevelId, NodeId};
use libfuzzer_sys::fuzz_target;
use std::collections::HashSet;
use std::sync::Arc;

/// Blocks that follow each other in the input, each after its length in two bytes.
struct Blocks(Vec<Vec<u8>>);

impl BlockSource for Blocks {
    fn load(&self, address: &BlockAddress) -> Result<Vec<u8>, IndexError> {
        let block = usize::try_from(address.number.0)
            .ok()
            .and_then(|number| self.0.get(number));
        block
            .cloned()
            .ok_or_else(|| IndexError::fetch(*address, std::fmt::Error))
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

/// The blocks come in this order, from the last: the root of the newer run if there are two, the
/// root of the older one, the blocks below.
fn tree_of(height: u8, entries: u8, two: bool, mut blocks: Vec<Vec<u8>>) -> Option<Tree> {
    let newer = if two { Some(blocks.pop()?) } else { None };
    let older = blocks.pop()?;
    let source: Arc<dyn BlockSource> = Arc::new(Blocks(blocks));
    let run = |serial: u64, node, height| TreeRun {
        level: Some(LevelId::new(Default::default(), serial as u32)),
        root: RunRoot {
            node,
            height,
            entries: u64::from(entries),
        },
        subtrees: serial - 1,
        source: Arc::clone(&source),
    };
    let older = run(1, older, height & 0x7f);
    // A newer run of one block. Its number of entries is the one in the block.
    let newer = newer.map(|node| TreeRun {
        root: RunRoot {
            entries: node.get(2).copied().map_or(0, u64::from),
            height: 0,
            node,
        },
        ..run(2, Vec::new(), 0)
    });
    Tree::of_runs(
        newer.into_iter().chain([older]).collect(),
        &BlockCache::new(1 << 20),
    )
    .ok()
}

fuzz_target!(|data: &[u8]| {
    let Some((&[height, entries], rest)) = data.split_first_chunk::<2>() else {
        return;
    };
    let Some(tree) = tree_of(height, entries, height & 0x80 != 0, split(rest)) else {
        return;
    };
    let mut seen = HashSet::new();
    for found in tree.all() {
        let Ok((node, entry)) = found else { break };
        assert!(seen.insert(node), "every entry has a node of its own");
        assert!(
            tree.runs() > 1 || node == NodeId(seen.len() as u64 - 1),
            "ranks count up"
        );
        assert!(
            seen.len() as u64 <= tree.entries(),
            "more entries than the roots said"
        );
        if let Ok(found) = tree.entry(node) {
            assert_eq!(
                found.as_ref(),
                Some(&entry),
                "by node it is another than in order"
            );
        }
        if let Ok(found) = tree.lookup(&entry.path) {
            assert_eq!(
                found,
                Some((node, entry)),
                "the history by path differs from the one in order"
            );
        }
        tree.children(node, None).take_while(Result::is_ok).count();
    }
    let (mut series, mut both) = (TreeSeries::default(), 0);
    series.push(Some(&tree.oldest(1)));
    series.push(Some(&tree));
    for history in series.histories(|_| true) {
        let Ok(history) = history else { break };
        assert!(!history.spells.is_empty(), "a path that was never there");
        if let Ok(again) = series.history(&history.path) {
            assert_eq!(
                again, history,
                "the history by path differs from the one in order"
            );
        }
        both += 1;
    }
    assert!(
        both <= tree.entries(),
        "more paths than the runs have entries"
    );
    tree.verify().unwrap_or_default();
});
