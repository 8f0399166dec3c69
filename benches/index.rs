//! Speed and size of the index on a tree of 500,000 files: `cargo bench --bench index [FILES]`.
//!
//! The tree is made up, and no easier than a real one: times with random nanoseconds, ctime other
//! than mtime, sizes of no pattern, inodes that jump about, names with a hash in them. Each figure
//! is of one thread with everything in the cache. The same is then asked of the tree with five runs
//! of changes on top.

#![allow(clippy::too_many_lines, reason = "a benchmark is one list of figures")]
#![expect(clippy::print_stdout, reason = "figures are what a benchmark is for")]

use freezer::index::{BlockCache, DeltaWriter, MemoryBlocks, RunRoot, Tree, TreeRun, TreeWriter};
use freezer::model::{
    Content, Entry, Extensions, Extent, FileOffset, LevelId, LevelSerial, Metadata, Name, NodeId,
    Owner, StreamOffset, Time, TreePath,
};
use std::hint::black_box;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

const FILES_PER_DIRECTORY: u64 = 100;

/// xorshift64*: random enough to be incompressible, and the same each time.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, end: u32) -> u32 {
        u32::try_from(self.next() % u64::from(end)).unwrap_or(0)
    }
}

/// Calls `found` for each entry in index order.
fn make_tree(files: u64, mut found: impl FnMut(&Entry)) {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let (mut stream, mut inode) = (0, 1_000_000);
    let mut metadata = |mode: u32, links: u32, blocks: u64| {
        inode += u64::from(random.below(40));
        let seconds = 1_700_000_000 + i64::from(random.below(30_000_000));
        let mtime = Time::new(seconds, random.below(1_000_000_000));
        let ctime = Time::new(
            1_735_000_000 + i64::from(random.below(600)),
            random.below(1_000_000_000),
        );
        let owner = Owner {
            uid: 1000,
            gid: 1000,
            user: b"user"[..].into(),
            group: b"user"[..].into(),
        };
        let magnitude = 8 + random.below(10);
        let size = u64::from(random.below(1 << magnitude));
        (
            Metadata {
                mode,
                owner,
                mtime,
                ctime,
                device: 2049,
                inode,
                links,
                blocks,
                xattrs: Vec::new(),
                signatures: Vec::new(),
                extensions: Extensions::default(),
            },
            size,
            random.next() >> 40,
        )
    };
    let mut emit = |path: TreePath, metadata: Metadata, content: Content| {
        found(&Entry {
            path,
            metadata,
            content,
            link_to: None,
        })
    };
    let directories: Vec<_> = (0..files / FILES_PER_DIRECTORY)
        .map(|number| {
            TreePath::parse(format!("directory-{number:06}").as_bytes()).unwrap_or_default()
        })
        .collect();
    emit(
        TreePath::root(),
        metadata(0o755, 2, 8).0,
        Content::Directory,
    );
    for directory in &directories {
        emit(
            directory.clone(),
            metadata(0o755, 2, 8).0,
            Content::Directory,
        );
    }
    for directory in &directories {
        for number in 0..FILES_PER_DIRECTORY {
            let (mut metadata, size, hash) = metadata(0o644, 1, 0);
            let Some(name) = Name::new(format!("file_{number:04}_{hash:06x}.dat").into_bytes())
            else {
                continue;
            };
            metadata.blocks = size.div_ceil(4096) * 8;
            stream += 1536;
            let extent = Extent {
                at: FileOffset(0),
                level: LevelSerial(1),
                stream: StreamOffset(stream),
                length: size,
            };
            stream += size.next_multiple_of(512);
            let extents = if size == 0 { Vec::new() } else { vec![extent] };
            emit(
                directory.join(&name),
                metadata,
                Content::File { size, extents },
            );
        }
    }
}

fn build(files: u64) -> (RunRoot, MemoryBlocks, Duration) {
    let (mut writer, mut blocks, mut spent) =
        (TreeWriter::new(), MemoryBlocks::default(), Duration::ZERO);
    let mut batch = Vec::new();
    let mut write = |batch: &mut Vec<Entry>| {
        let begun = freezer::platform::monotonic();
        for entry in batch.drain(..) {
            writer
                .push(&entry, &mut blocks)
                .expect("entries come in order");
        }
        spent += begun.elapsed();
    };
    make_tree(files, |entry| {
        batch.push(entry.clone());
        if batch.len() == 10_000 {
            write(&mut batch);
        }
    });
    write(&mut batch);
    (
        writer.finish(&mut blocks).expect("memory takes all"),
        blocks,
        spent,
    )
}

fn level(number: u32) -> LevelId {
    LevelId::new(jiff::Timestamp::UNIX_EPOCH, number)
}

/// Puts five runs on top of a tree, each with a part of its files changed: so many in a thousand.
fn with_changes(root: RunRoot, blocks: MemoryBlocks, cache: &Arc<BlockCache>) -> Tree {
    let mut runs = vec![TreeRun {
        level: Some(level(1)),
        root,
        subtrees: 0,
        source: Arc::new(blocks),
    }];
    let mut random = Random(11);
    for (serial, changed) in (2..).zip([200, 60, 20, 6, 2]) {
        let tree = Tree::of_runs(runs.clone(), cache).expect("sound runs");
        let (mut writer, mut blocks) = (
            DeltaWriter::new(&tree).expect("sound"),
            MemoryBlocks::default(),
        );
        let begun = freezer::platform::monotonic();
        let mut entries = 0;
        for found in tree.all() {
            let (_, mut entry) = found.expect("sound");
            entries += 1;
            if random.below(1000) < changed {
                entry.metadata.mtime = Time::new(
                    1_800_000_000 + i64::from(random.below(1000)),
                    random.below(1_000_000_000),
                );
                writer.push(&entry, &mut blocks).expect("in order");
            } else {
                assert!(
                    writer.keep(&entry.path, &mut blocks).expect("in order"),
                    "it is there"
                );
            }
        }
        let run = writer.finish(&mut blocks).expect("memory takes all");
        print_each(
            &format!("write a run of {} changes", run.root.entries),
            entries,
            begun.elapsed(),
        );
        runs.insert(
            0,
            TreeRun {
                level: Some(level(serial)),
                root: run.root,
                subtrees: run.subtrees,
                source: Arc::new(blocks),
            },
        );
    }
    Tree::of_runs(runs, cache).expect("sound runs")
}

/// Does `work` for every one of `items`; prints what one took.
fn time_each<T>(what: &str, items: &[T], mut work: impl FnMut(&T)) {
    let begun = freezer::platform::monotonic();
    items.iter().for_each(&mut work);
    print_each(what, items.len() as u64, begun.elapsed());
}

fn print_each(what: &str, count: u64, spent: Duration) {
    println!(
        "{what:<44} {:>9.3} µs each, {:>7.3} s for {count}",
        spent.as_secs_f64() * 1e6 / count as f64,
        spent.as_secs_f64()
    );
}

fn main() {
    let files = std::env::args()
        .skip(1)
        .find_map(|argument| argument.parse().ok())
        .unwrap_or(500_000);
    let (root, blocks, spent) = build(files);
    let entries = root.entries;
    print_each("write", entries, spent);
    let raw: usize = blocks.blocks().iter().map(Vec::len).sum();
    let stored: usize = blocks
        .blocks()
        .iter()
        .map(|block| zstd::bulk::compress(block, 3).map_or(0, |stored| stored.len()))
        .sum();
    let each = |bytes: usize| bytes as f64 / entries as f64;
    println!(
        "{entries} entries: {} blocks, height {}, root {} bytes; {:.1} bytes an entry raw, {:.1} with zstd 3 for each block",
        blocks.blocks().len(),
        root.height,
        root.node.len(),
        each(raw),
        each(stored)
    );

    let cache = BlockCache::new(1 << 30);
    let tree = Tree::open(root.clone(), Arc::new(blocks.clone()), Arc::clone(&cache))
        .expect("a sound tree");
    ask(&tree, files, entries, &cache);
    println!("with five runs of changes:");
    let cache = BlockCache::new(1 << 30);
    let tree = with_changes(root, blocks, &cache);
    ask(&tree, files, entries, &cache);
}

fn ask(tree: &Tree, files: u64, entries: u64, cache: &BlockCache) {
    let begun = freezer::platform::monotonic();
    assert_eq!(tree.all().filter(Result::is_ok).count() as u64, entries);
    print_each("all, blocks not yet decoded", entries, begun.elapsed());
    println!(
        "decoded blocks take {:.1} bytes an entry",
        cache.used_bytes() as f64 / entries as f64
    );
    let begun = freezer::platform::monotonic();
    assert_eq!(tree.all().filter(Result::is_ok).count() as u64, entries);
    print_each("all", entries, begun.elapsed());

    let directories: Vec<NodeId> = tree
        .children(NodeId(0), None)
        .filter_map(Result::ok)
        .map(|(node, _)| node)
        .collect();
    assert_eq!(directories.len() as u64, files / FILES_PER_DIRECTORY);
    let begun = freezer::platform::monotonic();
    let listed: usize = directories
        .iter()
        .map(|directory| {
            tree.children(*directory, None)
                .filter(Result::is_ok)
                .count()
        })
        .sum();
    print_each("children (whole entries)", listed as u64, begun.elapsed());
    let begun = freezer::platform::monotonic();
    let mut scanned = 0;
    for directory in &directories {
        let scan = tree.scan(*directory, None, |node, name, attributes| {
            black_box((node, name, attributes));
            scanned += 1;
            ControlFlow::Continue(())
        });
        scan.expect("a sound tree");
    }
    print_each("scan (names and numbers)", scanned, begun.elapsed());

    let mut random = Random(7);
    let nodes: Vec<NodeId> = tree
        .all()
        .filter_map(Result::ok)
        .map(|(node, _)| node)
        .collect();
    let probes: Vec<NodeId> = (0..200_000)
        .filter_map(|_| {
            nodes
                .get(usize::try_from(random.next() % entries).ok()?)
                .copied()
        })
        .collect();
    time_each("entry", &probes, |node| drop(black_box(tree.entry(*node))));
    time_each("attributes", &probes, |node| {
        drop(black_box(tree.attributes(*node)))
    });
    let paths: Vec<_> = probes
        .iter()
        .filter_map(|node| tree.entry(*node).ok().flatten())
        .map(|entry| entry.path)
        .collect();
    time_each("lookup", &paths, |path| drop(black_box(tree.lookup(path))));
    let names: Vec<_> = paths
        .iter()
        .filter_map(|path| {
            let parent = tree.lookup(&path.parent()?).ok()??;
            Some((parent.0, Name::new(path.file_name())?))
        })
        .collect();
    time_each("child", &names, |(parent, name)| {
        drop(black_box(tree.child(*parent, name)))
    });
    time_each("child_attributes", &names, |(parent, name)| {
        drop(black_box(tree.child_attributes(*parent, name)))
    });
}
