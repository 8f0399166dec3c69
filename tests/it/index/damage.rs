//! Damaged blocks give an error that names the block, or do no harm.

use super::{directory, file, open, path, write};
use freezer::index::{IndexError, MemoryBlocks, RunRoot};
use freezer::model::{Entry, NodeId, TreePath, Xattr};

/// Makes a file that needs a block of its own.
fn large(path: TreePath) -> Entry {
    let mut entry = file(path, 2);
    entry.metadata.xattrs = vec![Xattr {
        name: b"user.large"[..].into(),
        value: vec![7; 17_000].into(),
    }];
    entry
}

/// Makes entries for several blocks, most of them small enough to damage every byte.
fn entries() -> Vec<Entry> {
    let mut entries = vec![directory(TreePath::root())];
    entries.extend(["a", "b", "c"].map(|name| directory(path(name))));
    entries.push(large(path("a/large")));
    entries.extend((0..9).map(|number| file(path(&format!("b/{number}")), number)));
    entries.push(large(path("c/large")));
    entries.push(file(path("c/last"), 2));
    entries
}

/// Reads everything in every way. Returns an error if any part is refused.
fn read((root, blocks): (RunRoot, MemoryBlocks)) -> Result<Vec<(NodeId, Entry)>, IndexError> {
    let tree = open((root, blocks))?;
    let all: Vec<_> = tree.all().collect::<Result<_, _>>()?;
    for (node, entry) in &all {
        assert_eq!(
            tree.entry(*node)?.as_ref(),
            Some(entry),
            "the entry by rank differs from the one in order"
        );
        assert_eq!(
            tree.lookup(&entry.path)?.as_ref(),
            Some(&(*node, entry.clone())),
            "the entry by path differs from the one in order"
        );
        tree.children(*node, None)
            .try_for_each(|child| child.map(drop))?;
    }
    assert_eq!(all.len() as u64, tree.entries());
    Ok(all)
}

#[test]
fn every_flip_and_cut_of_every_small_block_is_refused_or_gives_another_sound_tree() {
    let (root, blocks) = write(&entries()).expect("sound entries");
    let sound = read((root.clone(), blocks.clone())).expect("it is sound");
    assert_eq!(root.height, 1);
    let mut refused = 0;
    let mut hurt = |root: RunRoot, blocks: MemoryBlocks, what: &str| match read((root, blocks)) {
        Ok(all) => assert_ne!(all, sound, "{what}: not noticed"),
        Err(IndexError::Malformed { .. } | IndexError::Fetch { .. }) => refused += 1,
        Err(other) => panic!("{what}: {other}"),
    };
    for at in 0..root.node.len() {
        hurt(
            RunRoot {
                node: root.node[..at].to_vec(),
                ..root.clone()
            },
            blocks.clone(),
            &format!("root cut at {at}"),
        );
        for bit in [0, 3, 7] {
            let mut bad = root.clone();
            bad.node[at] ^= 1 << bit;
            // Blocks in memory are found by their number alone, whatever the rest of the address
            // says.
            let read = read((bad, blocks.clone()));
            assert!(
                read.is_err() || read.is_ok_and(|all| all == sound),
                "root, bit {bit} of byte {at}: the damage was not noticed"
            );
        }
    }
    for (number, block) in blocks
        .blocks()
        .iter()
        .enumerate()
        .filter(|(_, block)| block.len() < 2000)
    {
        for at in 0..block.len() {
            let mut cut = blocks.clone();
            cut.blocks_mut()[number].truncate(at);
            hurt(root.clone(), cut, &format!("block {number} cut at {at}"));
            for bit in [0, 3, 7] {
                let mut flipped = blocks.clone();
                flipped.blocks_mut()[number][at] ^= 1 << bit;
                hurt(
                    root.clone(),
                    flipped,
                    &format!("block {number}, bit {bit} of byte {at}"),
                );
            }
        }
    }
    assert!(refused > 300, "{refused}");
}

#[test]
fn a_block_in_the_place_of_another_or_missing_is_refused() {
    let (root, blocks) = write(&entries()).expect("sound entries");
    let count = blocks.blocks().len();
    for (one, other) in (0..count).flat_map(|one| (0..one).map(move |other| (one, other))) {
        let mut swapped = blocks.clone();
        swapped.blocks_mut().swap(one, other);
        assert!(
            matches!(
                read((root.clone(), swapped)),
                Err(IndexError::Malformed { .. })
            ),
            "{one} for {other}"
        );
    }
    let mut missing = blocks;
    missing.blocks_mut().pop();
    assert!(matches!(
        read((root, missing)),
        Err(IndexError::Fetch { .. })
    ));
}

#[test]
fn a_root_that_is_its_own_child_is_refused() {
    let (root, _) = write(&entries()).expect("sound entries");
    let mut blocks = MemoryBlocks::default();
    *blocks.blocks_mut() = vec![root.node.clone(); 10];
    for height in [root.height, 2, 255] {
        let own = RunRoot {
            height,
            ..root.clone()
        };
        assert!(matches!(
            read((own, blocks.clone())),
            Err(IndexError::Malformed { .. })
        ));
    }
}

#[test]
fn a_root_that_counts_wrong_is_refused() {
    let (root, blocks) = write(&entries()).expect("sound entries");
    for entries in [0, root.entries - 1, root.entries + 1, u64::MAX] {
        let wrong = RunRoot {
            entries,
            ..root.clone()
        };
        assert!(
            matches!(
                read((wrong, blocks.clone())),
                Err(IndexError::Malformed { .. })
            ),
            "{entries}"
        );
    }
}
