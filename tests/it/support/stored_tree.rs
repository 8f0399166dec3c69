//! Trees in a store, written without the backup: the readers' own tests stand on the formats alone.

use freezer::catalog::names::{self, Folder};
use freezer::format::frame::{Compression, Encoder, Lane, Protection, Sealer};
use freezer::format::keys::MasterKey;
use freezer::format::manifest::{
    Bytes, Counts, LevelParts, Manifest, ManifestParts, RootNode, Run,
};
use freezer::format::segment::{Packer, Segment};
use freezer::fs::view::{View, ViewParts};
use freezer::fs::{FileReader, ReadOptions};
use freezer::index::{
    BlockAddress, BlockSink, FrameRow, FrameTableWriter, IndexError, RunRoot, Stretch, TreeWriter,
};
use freezer::model::{
    BackupName, Content, Entry, Extent, FileOffset, FrameNo, LevelId, LevelSerial, Metadata,
    NodeId, StoreId, StreamOffset, TreePath,
};
use freezer::store::Store;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

/// An entry to be stored. What its data does not cover is a hole.
#[derive(Clone, Debug)]
pub struct Planned {
    /// Without extents.
    pub entry: Entry,
    /// Pieces of its content: where, and what.
    pub data: Vec<(u64, Vec<u8>)>,
}

impl Planned {
    /// An entry without data.
    pub fn new(path: &str, metadata: Metadata, content: Content) -> Self {
        let path = TreePath::parse(path.as_bytes()).expect("a legal path");
        Self {
            entry: Entry {
                path,
                metadata,
                content,
                link_to: None,
            },
            data: Vec::new(),
        }
    }

    /// A directory.
    pub fn directory(path: &str) -> Self {
        Self::new(
            path,
            Metadata {
                mode: 0o755,
                links: 2,
                ..Metadata::default()
            },
            Content::Directory,
        )
    }

    /// A file without holes.
    pub fn file(path: &str, data: impl Into<Vec<u8>>) -> Self {
        let data = data.into();
        let size = data.len() as u64;
        let metadata = Metadata {
            mode: 0o644,
            links: 1,
            blocks: size.div_ceil(4096) * 8,
            ..Metadata::default()
        };
        let content = Content::File {
            size,
            extents: Vec::new(),
        };
        let data = if data.is_empty() {
            Vec::new()
        } else {
            vec![(0, data)]
        };
        Self {
            data,
            ..Self::new(path, metadata, content)
        }
    }
}

/// How a tree is stored.
#[derive(Clone, Copy, Debug)]
pub struct Recipe {
    pub compression: Compression,
    pub encrypted: bool,
    pub frame_bytes: usize,
    pub segment_bytes: u64,
    /// Makes levels differ.
    pub number: u32,
    /// Whether rows of the frame table share frames, as after a repack that joined them.
    pub stretches: bool,
}

impl Default for Recipe {
    fn default() -> Self {
        Self {
            compression: Compression::Zstd,
            encrypted: true,
            frame_bytes: 1 << 20,
            segment_bytes: 8 << 20,
            number: 1,
            stretches: false,
        }
    }
}

/// What was stored, and what opens it.
#[derive(Clone)]
pub struct StoredTree {
    pub store: Arc<dyn Store>,
    pub manifest: Manifest,
    pub backup: BackupName,
    pub store_id: StoreId,
    pub protection: Protection,
}

impl StoredTree {
    /// Stores a tree. `entries` are in index order: of each directory its entries by name, then its
    /// subdirectories.
    pub fn write(
        store: Arc<dyn Store>,
        entries: impl IntoIterator<Item = Planned>,
        recipe: Recipe,
    ) -> Self {
        let store_id = StoreId([9; 16]);
        let protection = match recipe.encrypted {
            true => Protection::Encrypted(Arc::new(
                MasterKey::generate()
                    .expect("random bytes")
                    .frame_keys(store_id),
            )),
            false => Protection::Checksum,
        };
        Self::write_level(store, entries, recipe, store_id, protection)
    }

    /// The same for one more level of a store.
    pub fn write_level(
        store: Arc<dyn Store>,
        entries: impl IntoIterator<Item = Planned>,
        recipe: Recipe,
        store_id: StoreId,
        protection: Protection,
    ) -> Self {
        let backup = BackupName::new("host", "docs").expect("a legal name");
        let started = "2026-11-22T22:34:50.123Z"
            .parse::<jiff::Timestamp>()
            .expect("a time");
        let started = started + jiff::SignedDuration::from_secs(i64::from(recipe.number) * 3600);
        let level = LevelId::new(started, recipe.number);
        let serial = LevelSerial(u64::from(recipe.number));
        let sealer = Sealer::new(store_id, level.clone(), protection.clone());
        let lane = |lane, folder| {
            LaneWriter::new(
                Arc::clone(&store),
                backup.clone(),
                level.clone(),
                &sealer,
                lane,
                folder,
                recipe,
            )
        };

        let mut stream = StreamWriter {
            sealed: lane(Lane::Data, Folder::Segments),
            rows: Vec::new(),
            pending: Vec::new(),
            end: 0,
            recipe,
        };
        let mut index = lane(Lane::Index, Folder::Index);
        let mut tree = TreeWriter::new();
        let (mut counts, mut logical, mut has_xattrs) = (Counts::default(), 0, false);
        let mut written: Vec<(NodeId, Entry)> = Vec::new();
        for Planned { mut entry, data } in entries {
            match entry.link_to {
                Some(first) => {
                    let first = &written
                        .iter()
                        .find(|(node, _)| *node == first)
                        .expect("a link comes after what it leads to")
                        .1;
                    // A link of another kind than its first name is broken on purpose.
                    if entry.content.kind() == first.content.kind() {
                        entry.content = first.content.clone();
                    }
                }
                None => {
                    if let Content::File { size, extents } = &mut entry.content {
                        logical += *size;
                        *extents = data
                            .iter()
                            .map(|(at, bytes)| stream.append(serial, *at, bytes))
                            .collect();
                    }
                }
            }
            counts.entries += 1;
            has_xattrs |= !entry.metadata.xattrs.is_empty();
            let node = tree.push(&entry, &mut index).expect("in order");
            if entry.metadata.links > 1 && entry.link_to.is_none() {
                written.push((node, entry));
            }
        }
        let index_root = tree.finish(&mut index).expect("stored");
        let index_segments = index.finish();
        let stream_bytes = stream.end;
        let (rows, segments) = stream.finish();
        let mut table = FrameTableWriter::new();
        let mut table_lane = lane(Lane::FrameTable, Folder::Frames);
        for row in &rows {
            table.push_later(row, &mut table_lane).expect("in order");
        }
        let table_root = table.finish(&mut table_lane).expect("stored");
        let manifest = Manifest::new(ManifestParts {
            engine: "tar",
            store: store_id,
            backup: backup.clone(),
            id: level.clone(),
            serial,
            started,
            ended: started,
            zone: "UTC".to_owned(),
            sources: Vec::new(),
            tags: Vec::new(),
            chain: None,
            counts,
            bytes: Bytes {
                logical,
                stream: stream_bytes,
                stored: 0,
            },
            has_xattrs,
            index: vec![Run {
                serial,
                root: root_node(index_root),
                segments: index_segments,
                subtrees: 0,
                head: Vec::new(),
            }],
            level: 0,
            parent: None,
            levels: vec![LevelParts {
                serial,
                id: level,
                compression: recipe.compression,
                compression_level: recipe.compression.default_level(),
                stream_bytes,
                segments,
                frame_table: root_node(table_root),
                frame_table_segments: table_lane.finish(),
                live: None,
                repacked: 0,
            }],
        });
        Self {
            store,
            manifest,
            backup,
            store_id,
            protection,
        }
    }

    /// Opens it with the usual options but patience of some seconds.
    pub fn view(&self) -> View {
        self.view_through(&reader(64 << 20))
    }

    /// Opens it with a reader of one's own.
    pub fn view_through(&self, reader: &Arc<FileReader>) -> View {
        View::open(self.parts(), reader).expect("the manifest's roots are sound")
    }

    /// What a view is made of.
    pub fn parts(&self) -> ViewParts {
        ViewParts {
            manifest: self.manifest.clone(),
            store: Arc::clone(&self.store),
            store_id: self.store_id,
            protection: self.protection.clone(),
            backup: self.backup.clone(),
        }
    }
}

/// A reader with a frame cache of that size.
pub fn reader(cache_bytes: usize) -> Arc<FileReader> {
    let fetch_threads = NonZeroUsize::new(2).expect("not zero");
    let options = ReadOptions {
        cache_bytes,
        fetch_threads,
        patience: Duration::from_secs(20),
        ..ReadOptions::default()
    };
    Arc::new(FileReader::new(&options).expect("threads can be started"))
}

fn root_node(root: RunRoot) -> RootNode {
    RootNode {
        node: root.node,
        height: root.height,
        entries: root.entries,
    }
}

/// Seals and stores the frames of one lane.
struct LaneWriter {
    store: Arc<dyn Store>,
    backup: BackupName,
    level: LevelId,
    sealer: Sealer,
    encoder: Encoder,
    lane: Lane,
    folder: Folder,
    packer: Packer,
    next: u64,
}

impl LaneWriter {
    fn new(
        store: Arc<dyn Store>,
        backup: BackupName,
        level: LevelId,
        sealer: &Sealer,
        lane: Lane,
        folder: Folder,
        recipe: Recipe,
    ) -> Self {
        let method = if lane == Lane::Data {
            recipe.compression
        } else {
            Compression::Zstd
        };
        let encoder = Encoder::new(method, method.default_level()).expect("a level of the method");
        Self {
            store,
            backup,
            level,
            sealer: sealer.clone(),
            encoder,
            lane,
            folder,
            packer: Packer::new(recipe.segment_bytes),
            next: 0,
        }
    }

    fn put(&mut self, frame: Vec<u8>) -> (freezer::format::segment::Place, FrameNo) {
        let (place, full) = self.packer.put(&frame).expect("room");
        self.keep(full);
        self.next += 1;
        (place, FrameNo(self.next - 1))
    }

    fn keep(&self, segment: Option<Segment>) {
        if let Some(Segment { number, body }) = segment {
            self.store
                .put(
                    &names::data_name(&self.backup, &self.level, self.folder, number),
                    &body,
                )
                .expect("stored");
        }
    }

    fn finish(mut self) -> u32 {
        let packer = std::mem::replace(&mut self.packer, Packer::new(0));
        let (last, count) = packer.finish();
        self.keep(last);
        count
    }
}

impl BlockSink for LaneWriter {
    fn append(&mut self, raw: &[u8]) -> Result<BlockAddress, IndexError> {
        let frame = self
            .sealer
            .seal(&mut self.encoder, self.lane, FrameNo(self.next), raw)
            .expect("sealed");
        let length = u32::try_from(frame.len()).expect("short");
        let (place, number) = self.put(frame);
        Ok(BlockAddress {
            number,
            object: place.segment,
            offset: place.offset,
            length,
        })
    }
}

/// Cuts the stream into frames.
struct StreamWriter {
    sealed: LaneWriter,
    rows: Vec<FrameRow>,
    pending: Vec<u8>,
    end: u64,
    recipe: Recipe,
}

impl StreamWriter {
    /// Appends a piece behind what stands for its header.
    fn append(&mut self, level: LevelSerial, at: u64, data: &[u8]) -> Extent {
        self.push(&[b'h'; 512]);
        let extent = Extent {
            at: FileOffset(at),
            level,
            stream: StreamOffset(self.end),
            length: data.len() as u64,
        };
        self.push(data);
        extent
    }

    fn push(&mut self, bytes: &[u8]) {
        self.pending.extend_from_slice(bytes);
        self.end += bytes.len() as u64;
        while self.pending.len() >= self.recipe.frame_bytes {
            let rest = self.pending.split_off(self.recipe.frame_bytes);
            let frame = std::mem::replace(&mut self.pending, rest);
            self.flush(&frame);
        }
    }

    fn flush(&mut self, frame: &[u8]) {
        if self.recipe.stretches && frame.len() > 1 {
            return self.flush_in_stretches(frame);
        }
        let start = self.rows.last().map_or(StreamOffset(0), FrameRow::end);
        let lane = &mut self.sealed;
        let stored = lane
            .sealer
            .seal_data(&mut lane.encoder, &[(FrameNo(lane.next), frame)])
            .expect("sealed")
            .remove(0);
        let stored_length = u32::try_from(stored.bytes.len()).expect("short");
        let (place, number) = lane.put(stored.bytes);
        let (raw_length, checksum) = (stored.raw_length, stored.checksum);
        self.rows.push(FrameRow {
            number,
            start,
            raw_length,
            segment: place.segment,
            offset: place.offset,
            stored_length,
            checksum,
            stretch: None,
        });
    }

    /// Stores bytes as two stretches of a frame that holds other bytes too.
    fn flush_in_stretches(&mut self, bytes: &[u8]) {
        let start = self.rows.last().map_or(StreamOffset(0), FrameRow::end);
        let (first, second) = bytes.split_at(bytes.len() / 2);
        let frame = [b"other bytes", second, b"and more", first].concat();
        let lane = &mut self.sealed;
        let number = FrameNo((1 << 32) + lane.next);
        let stored = lane
            .sealer
            .seal_data(&mut lane.encoder, &[(number, &frame)])
            .expect("sealed")
            .remove(0);
        let stored_length = u32::try_from(stored.bytes.len()).expect("short");
        let (place, _) = lane.put(stored.bytes);
        let length = |bytes: &[u8]| u32::try_from(bytes.len()).expect("short");
        let row = |start, part, skip| FrameRow {
            number,
            start,
            raw_length: length(part),
            segment: place.segment,
            offset: place.offset,
            stored_length,
            checksum: stored.checksum,
            stretch: Some(Stretch {
                skip,
                frame_bytes: stored.raw_length,
            }),
        };
        let behind = length(b"other bytes") + length(second) + length(b"and more");
        let row_of_first = row(start, first, behind);
        self.rows.push(row_of_first);
        self.rows
            .push(row(row_of_first.end(), second, length(b"other bytes")));
    }

    fn finish(mut self) -> (Vec<FrameRow>, u32) {
        let rest = std::mem::take(&mut self.pending);
        if !rest.is_empty() {
            self.flush(&rest);
        }
        (self.rows, self.sealed.finish())
    }
}
