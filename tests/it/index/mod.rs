//! The index and the frame table, through their public interfaces.

mod damage;
mod documented;
mod frame_table;
mod runs;
mod tree;

use freezer::index::{BlockCache, IndexError, MemoryBlocks, RunRoot, Tree, TreeWriter};
use freezer::model::{
    Content, Entry, Extensions, Extent, FileOffset, LevelSerial, Metadata, Name, Owner,
    StreamOffset, Time, TreePath,
};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Makes a path from its text.
fn path(text: &str) -> TreePath {
    TreePath::parse(text.as_bytes()).expect("a legal path")
}

fn name(text: &str) -> Name {
    Name::new(text.as_bytes()).expect("a legal name")
}

fn directory(path: TreePath) -> Entry {
    let owner = Owner {
        uid: 1000,
        gid: 100,
        user: b"ada"[..].into(),
        group: b"users"[..].into(),
    };
    let metadata = Metadata {
        mode: 0o755,
        owner,
        mtime: Time::new(1_700_000_000, 5),
        ctime: Time::new(1_700_000_000, 5),
        device: 2049,
        inode: 77,
        links: 2,
        blocks: 8,
        xattrs: Vec::new(),
        signatures: Vec::new(),
        extensions: Extensions::default(),
    };
    Entry {
        path,
        metadata,
        content: Content::Directory,
        link_to: None,
    }
}

/// Makes a file of `pieces` extents, with a hole before each.
fn file(path: TreePath, pieces: u64) -> Entry {
    let extent = |piece| Extent {
        at: FileOffset(piece * 20 + 10),
        level: LevelSerial(1),
        stream: StreamOffset(piece * 10 + 512),
        length: 10,
    };
    let content = Content::File {
        size: pieces * 20,
        extents: (0..pieces).map(extent).collect(),
    };
    Entry {
        content,
        ..directory(path)
    }
}

/// Sorts entries into the order of the index.
fn in_order(entries: impl IntoIterator<Item = Entry>) -> Vec<Entry> {
    // The order that the format describes: the components of the directory, then the name.
    let key = |entry: &Entry| -> (Vec<Vec<u8>>, Vec<u8>) {
        let directory = entry.path.parent().unwrap_or_default();
        (
            directory.components().map(<[u8]>::to_vec).collect(),
            entry.path.file_name().to_vec(),
        )
    };
    entries
        .into_iter()
        .map(|entry| (key(&entry), entry))
        .collect::<BTreeMap<_, _>>()
        .into_values()
        .collect()
}

fn write(entries: &[Entry]) -> Result<(RunRoot, MemoryBlocks), IndexError> {
    let (mut writer, mut blocks) = (TreeWriter::new(), MemoryBlocks::default());
    for entry in entries {
        writer.push(entry, &mut blocks)?;
    }
    Ok((writer.finish(&mut blocks)?, blocks))
}

fn open((root, blocks): (RunRoot, MemoryBlocks)) -> Result<Tree, IndexError> {
    Tree::open(root, Arc::new(blocks), BlockCache::new(1 << 20))
}

fn tree_of(entries: &[Entry]) -> Tree {
    write(entries)
        .and_then(open)
        .expect("sound entries make a sound tree")
}
