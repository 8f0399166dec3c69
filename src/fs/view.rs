//! The tree of one point in time, for every caller that shows it: FUSE, restore, `cat`, `export`,
//! the API.

use super::extents::Layout;
use super::file_reader::{FileReader, StoreWait};
use super::level_stream::{CurrentTable, LevelObjects, LevelStream, StreamsBySerial};
use super::recent::RecentLayouts;
use super::{CacheCounts, FilePiece};
use crate::catalog::names::Folder;
use crate::catalog::{TreeError, open_tree};
use crate::format::content_hash::ContentHashing;
use crate::format::frame::{Lane, Opener, Protection};
use crate::format::manifest::Manifest;
use crate::index::{Difference, FrameTable, Tree};
use crate::model::{
    BackupName, Content, Entry, Kind, LevelId, Name, NodeId, StoreId, TreePath, Xattr,
};
use crate::store::Store;
use std::ops::ControlFlow;
use std::sync::Arc;

pub use super::ReadError;
pub use crate::index::EntryAttributes;

/// The root of every tree.
pub const ROOT: NodeId = NodeId(0);

/// The parts that a view is made of.
pub struct ViewParts {
    /// The level's manifest. It names everything else.
    pub manifest: Manifest,
    /// The store that keeps it.
    pub store: Arc<dyn Store>,
    /// That store's identity.
    pub store_id: StoreId,
    /// How the store's frames are protected.
    pub protection: Protection,
    /// The backup that the level belongs to. Its objects are named by it.
    pub backup: BackupName,
}

/// One point in time, read only and never changing. Cheap to clone. Many threads may use it at
/// once.
///
/// It loads nothing before that is needed, and keeps nothing but in the caches of its
/// [`FileReader`]. It does not remember errors: the next call tries again.
#[derive(Clone)]
pub struct View {
    shared: Arc<ViewState>,
    /// The whole tree, or for a caller that must not wait, the part of it in memory.
    tree: Tree,
    wait: StoreWait,
}

struct ViewState {
    tree: Tree,
    levels: StreamsBySerial,
    reader: Arc<FileReader>,
    recent: RecentLayouts,
    has_xattrs: bool,
    hashing: ContentHashing,
    totals: Totals,
}

/// Size of a point in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Totals {
    /// Entries of every kind, the root included.
    pub entries: u64,
    /// Bytes of all files, holes included.
    pub bytes: u64,
}

/// An entry of a directory.
#[derive(Clone, Copy, Debug)]
pub struct ChildEntry<'a> {
    /// Its own number. A listing goes on after it.
    pub node: NodeId,
    /// The number of its inode: for a file with several names, that of the first one.
    pub inode: NodeId,
    /// Its name, without the path.
    pub name: &'a [u8],
    /// The attributes that `stat` shows.
    pub attributes: EntryAttributes,
}

impl View {
    /// Opens a point in time. Loads nothing.
    ///
    /// # Errors
    ///
    /// [`ReadError::Index`] if the manifest's root blocks are malformed.
    pub fn open(parts: ViewParts, reader: &Arc<FileReader>) -> Result<Self, ReadError> {
        let ViewParts {
            manifest,
            store,
            store_id,
            protection,
            backup,
        } = parts;
        let objects = |id: &LevelId| LevelObjects {
            store: Arc::clone(&store),
            backup: backup.clone(),
            id: id.clone(),
            opener: Opener::new(store_id, id.clone(), protection.clone()),
        };
        let blocks = |id: &LevelId| reader.blocks(objects(id), Lane::Index, Folder::Index);
        let tree =
            open_tree(&manifest, reader.block_cache(), blocks).map_err(|error| match error {
                TreeError::NoLevel(serial) => ReadError::NoSuchLevel(serial),
                TreeError::Index(error) => ReadError::Index(error),
            })?;
        let mut levels = StreamsBySerial::new();
        for level in manifest.levels {
            let objects = objects(&level.id);
            let blocks = reader.blocks(objects.clone(), Lane::FrameTable, Folder::Frames);
            let table = FrameTable::open(
                level.frame_table.into(),
                blocks,
                Arc::clone(reader.block_cache()),
            )?;
            let stream = LevelStream::new(
                reader.stream(store_id, &level.id),
                objects,
                level.compression,
                CurrentTable {
                    table,
                    repacked: level.repacked,
                },
            );
            levels.insert(level.serial, Arc::new(stream));
        }
        let totals = Totals {
            entries: manifest.counts.entries,
            bytes: manifest.bytes.logical,
        };
        let shared = ViewState {
            tree: tree.clone(),
            levels,
            reader: Arc::clone(reader),
            recent: RecentLayouts::default(),
            has_xattrs: manifest.has_xattrs,
            hashing: protection.content_hashing(),
            totals,
        };
        Ok(Self {
            shared: Arc::new(shared),
            tree,
            wait: StoreWait::Allowed,
        })
    }

    /// Returns the same point in time for a caller that must not wait. A call that needs a store
    /// returns [`ReadError::WouldWait`]; the view itself can answer it on another thread.
    #[must_use]
    pub fn at_hand(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            tree: self.shared.tree.cached_only(),
            wait: StoreWait::Never,
        }
    }

    /// Whether any entry has extended attributes.
    pub fn has_xattrs(&self) -> bool {
        self.shared.has_xattrs
    }

    /// Returns how the content of its files was hashed.
    pub fn hashing(&self) -> &ContentHashing {
        &self.shared.hashing
    }

    /// Returns how many entries and bytes it holds.
    pub fn totals(&self) -> Totals {
        self.shared.totals
    }

    /// Returns how the frame cache did so far, for this view and all others of its reader.
    pub fn cache_counts(&self) -> CacheCounts {
        self.shared.reader.counts()
    }

    /// Returns all metadata and the extents of an entry.
    ///
    /// # Errors
    ///
    /// [`ReadError::NoSuchNode`]; [`ReadError::Index`], as of everything here.
    pub fn entry(&self, node: NodeId) -> Result<Entry, ReadError> {
        self.tree.entry(node)?.ok_or(ReadError::NoSuchNode)
    }

    /// Returns the attributes of an entry that `stat` shows.
    ///
    /// # Errors
    ///
    /// As [`entry`](Self::entry).
    pub fn attributes(&self, node: NodeId) -> Result<EntryAttributes, ReadError> {
        let attributes = self.tree.attributes(node)?.ok_or(ReadError::NoSuchNode)?;
        self.with_blocks(node, attributes)
    }

    /// Finds the entry with this path.
    ///
    /// # Errors
    ///
    /// As [`entry`](Self::entry).
    pub fn lookup(&self, path: &TreePath) -> Result<Option<(NodeId, Entry)>, ReadError> {
        Ok(self.tree.lookup(path)?)
    }

    /// Finds the entry called `name` in a directory.
    ///
    /// # Errors
    ///
    /// As [`entry`](Self::entry).
    pub fn child<'a>(
        &self,
        directory: NodeId,
        name: &'a Name,
    ) -> Result<Option<ChildEntry<'a>>, ReadError> {
        let Some((node, attributes)) = self.tree.child_attributes(directory, name)? else {
            return Ok(None);
        };
        let attributes = self.with_blocks(node, attributes)?;
        Ok(Some(ChildEntry {
            node,
            inode: attributes.link_to.unwrap_or(node),
            name: name.as_bytes(),
            attributes,
        }))
    }

    /// Calls `found` for the entries of a directory in the order of their names, until it breaks.
    /// Begins behind the entry `after`, if one is given.
    ///
    /// # Errors
    ///
    /// [`ReadError::NotADirectory`]; else as [`entry`](Self::entry). Entries found before
    /// the error were handed to `found`.
    pub fn list(
        &self,
        directory: NodeId,
        after: Option<NodeId>,
        mut found: impl FnMut(ChildEntry<'_>) -> ControlFlow<()>,
    ) -> Result<(), ReadError> {
        if after.is_none()
            && self
                .tree
                .attributes(directory)?
                .ok_or(ReadError::NoSuchNode)?
                .kind
                != Kind::Directory
        {
            return Err(ReadError::NotADirectory);
        }
        let mut failed = None;
        self.tree.scan(directory, after, |node, name, attributes| {
            match self.with_blocks(node, *attributes) {
                Ok(attributes) => found(ChildEntry {
                    node,
                    inode: attributes.link_to.unwrap_or(node),
                    name,
                    attributes,
                }),
                Err(error) => {
                    failed = Some(error);
                    ControlFlow::Break(())
                }
            }
        })?;
        failed.map_or(Ok(()), Err)
    }

    /// Returns all metadata of each entry of a directory, in the order of their names. Ends with
    /// the first error.
    pub fn children(
        &self,
        directory: NodeId,
    ) -> impl Iterator<Item = Result<(NodeId, Entry), ReadError>> + use<> {
        self.tree
            .children(directory, None)
            .map(|child| child.map_err(ReadError::from))
    }

    /// Returns every entry in index order: directory by directory, each one's entries by name. Ends
    /// with the first error.
    pub fn all(&self) -> impl Iterator<Item = Result<(NodeId, Entry), ReadError>> + use<> {
        self.tree.all().map(|entry| entry.map_err(ReadError::from))
    }

    /// Returns the differences to a later point in time, in index order. Ends with the first error.
    pub fn differences(
        &self,
        later: &Self,
    ) -> impl Iterator<Item = Result<Difference, ReadError>> + use<> {
        self.tree
            .differences(&later.tree)
            .map(|difference| difference.map_err(ReadError::from))
    }

    /// Returns the directory that holds an entry; the root for the root itself.
    ///
    /// # Errors
    ///
    /// As [`entry`](Self::entry).
    pub fn parent(&self, node: NodeId) -> Result<NodeId, ReadError> {
        if node == ROOT {
            return Ok(ROOT);
        }
        let parent = self.entry(node)?.path.parent().unwrap_or_default();
        self.tree
            .lookup(&parent)?
            .map(|(node, _)| node)
            .ok_or(ReadError::NoSuchNode)
    }

    /// Returns the target of a symbolic link.
    ///
    /// # Errors
    ///
    /// [`ReadError::WrongKind`] for any other entry; else as [`entry`](Self::entry).
    pub fn link_target(&self, node: NodeId) -> Result<Box<[u8]>, ReadError> {
        let entry = self.entry(node)?;
        entry.metadata.extensions.understood()?;
        match entry.content {
            Content::Symlink(target) => Ok(target),
            _ => Err(ReadError::WrongKind),
        }
    }

    /// Returns the extended attributes of an entry, sorted by name. ACLs and capabilities are among
    /// them.
    ///
    /// # Errors
    ///
    /// As [`entry`](Self::entry).
    pub fn xattrs(&self, node: NodeId) -> Result<Vec<Xattr>, ReadError> {
        if !self.shared.has_xattrs
            || !self
                .tree
                .attributes(node)?
                .ok_or(ReadError::NoSuchNode)?
                .has_xattrs
        {
            return Ok(Vec::new());
        }
        let metadata = self.entry(node)?.metadata;
        metadata.extensions.understood()?;
        Ok(metadata.xattrs)
    }

    /// Returns the content of the regular file with this number.
    ///
    /// # Errors
    ///
    /// [`ReadError::IsADirectory`], [`ReadError::WrongKind`]; else as [`entry`](Self::entry).
    pub fn file(&self, node: NodeId) -> Result<FileContent, ReadError> {
        let layout = match self.shared.recent.get(node) {
            Some(layout) => layout,
            None => {
                let layout = Arc::new(layout_of(&self.entry(node)?)?);
                self.shared.recent.put(node, &layout);
                layout
            }
        };
        Ok(FileContent {
            view: self.clone(),
            layout,
        })
    }

    /// Returns the content of an entry that the caller has.
    ///
    /// # Errors
    ///
    /// [`ReadError::IsADirectory`], [`ReadError::WrongKind`].
    pub fn content(&self, entry: &Entry) -> Result<FileContent, ReadError> {
        Ok(FileContent {
            view: self.clone(),
            layout: Arc::new(layout_of(entry)?),
        })
    }

    /// Corrects the number of blocks. Some file systems report none for a small file, as they keep
    /// it with its metadata; programs then take the file for one hole.
    fn with_blocks(
        &self,
        node: NodeId,
        mut attributes: EntryAttributes,
    ) -> Result<EntryAttributes, ReadError> {
        if attributes.kind == Kind::File && attributes.blocks == 0 && attributes.size > 0 {
            let layout = Layout::of(&self.entry(node)?).ok_or(ReadError::WrongKind)?;
            attributes.blocks = layout.blocks();
        }
        Ok(attributes)
    }
}

fn layout_of(entry: &Entry) -> Result<Layout, ReadError> {
    entry.metadata.extensions.understood()?;
    Layout::of(entry).ok_or(match entry.content.kind() {
        Kind::Directory => ReadError::IsADirectory,
        _ => ReadError::WrongKind,
    })
}

/// The content of one regular file.
#[derive(Clone)]
pub struct FileContent {
    view: View,
    layout: Arc<Layout>,
}

impl FileContent {
    /// Returns the length in bytes, holes included.
    pub fn size(&self) -> u64 {
        self.layout.size()
    }

    /// Returns `length` bytes from `from` on without copying them; fewer where the file ends
    /// before.
    ///
    /// # Errors
    ///
    /// [`ReadError::Fetch`], [`ReadError::Damaged`], [`ReadError::Index`], [`ReadError::Deadline`].
    /// Never returns wrong bytes.
    pub fn pieces(&self, from: u64, length: u64) -> Result<Vec<FilePiece>, ReadError> {
        self.view.shared.reader.pieces(
            &self.layout,
            &self.view.shared.levels,
            from..from.saturating_add(length),
            self.view.wait,
        )
    }

    /// Fills `buffer` with the bytes from `from` on. Returns how many it filled in: fewer than fit
    /// only where the file ends.
    ///
    /// # Errors
    ///
    /// As [`pieces`](Self::pieces).
    pub fn read(&self, from: u64, buffer: &mut [u8]) -> Result<usize, ReadError> {
        let mut rest = &mut *buffer;
        for piece in self.pieces(from, rest.len() as u64)? {
            let length = usize::try_from(piece.length())
                .unwrap_or(usize::MAX)
                .min(rest.len());
            let (filled, after) = rest.split_at_mut(length);
            match piece.data() {
                Some(data) => filled.copy_from_slice(data),
                None => filled.fill(0),
            }
            rest = after;
        }
        let left = rest.len();
        Ok(buffer.len() - left)
    }

    /// Returns where the first data at or after `from` begins; `None` when there is none.
    pub fn next_data(&self, from: u64) -> Option<u64> {
        self.layout.next_data(from)
    }

    /// Returns where the first hole at or after `from` begins; the end of the file counts as one.
    /// `None` from there on.
    pub fn next_hole(&self, from: u64) -> Option<u64> {
        self.layout.next_hole(from)
    }
}
