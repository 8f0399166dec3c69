//! One point in time, or all points of a backup, as one tree whose inodes are plain numbers.
//!
//! A [`Forest`] of one tree shows that tree. A forest of points shows a folder for each point in
//! time, named by when its run began (`2026-11-22T22.34.50`, local time, with points as in a URL so
//! that every system accepts the name), and `latest`, a symbolic link to the newest. It opens a
//! point when somebody walks into it, and shows new points without being told.

mod entry;
mod listing;
mod points;

#[cfg(unix)]
pub(super) use entry::plain_attributes;
pub use entry::{ForestEntry, ForestPosition, TOP, Validity};
pub use points::{FolderOwner, PointSource, PointSourceError};

use super::view::{FileContent, ROOT, Totals, View};
use super::{CacheCounts, FileReader, ReadError};
use crate::model::{Name, NodeId, Xattr};
use entry::{NODE_BITS, entry_of, inode_of};
use points::PointsFolder;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

/// The tree that a mount shows. Cheap to clone. Many threads may use it at once.
#[derive(Clone)]
pub struct Forest {
    top: Top,
}

#[derive(Clone)]
enum Top {
    Tree(View),
    Points(PointsFolder),
}

/// What an inode names.
enum InodePlace {
    /// The folder of points.
    Folder(PointsFolder),
    /// The link to the point with this number.
    Latest(PointsFolder, u64),
    /// An entry of a point in time.
    Tree {
        view: View,
        /// 0 in a single tree.
        point: u64,
        node: NodeId,
    },
}

impl Forest {
    /// Shows a single tree.
    pub fn of_tree(view: View) -> Self {
        Self {
            top: Top::Tree(view),
        }
    }

    /// Shows a folder for each point in time, with names in `zone`. The top folder belongs to
    /// `owner`.
    pub fn of_points(
        source: Arc<dyn PointSource>,
        reader: Arc<FileReader>,
        zone: jiff::tz::TimeZone,
        owner: FolderOwner,
    ) -> Self {
        Self {
            top: Top::Points(PointsFolder::new(source, reader, zone, owner)),
        }
    }

    /// Has the points listed again when the last listing is as old as `age`, in place of two
    /// seconds.
    #[must_use]
    pub fn listing_every(mut self, age: Duration) -> Self {
        if let Top::Points(folder) = &mut self.top {
            folder.listing_lasts = age;
        }
        self
    }

    /// Returns the same for a caller that must not wait: see [`View::at_hand`].
    #[must_use]
    pub fn at_hand(&self) -> Self {
        let top = match &self.top {
            Top::Tree(view) => Top::Tree(view.at_hand()),
            Top::Points(folder) => Top::Points(folder.at_hand()),
        };
        Self { top }
    }

    /// Returns how the frame cache did so far.
    pub fn cache_counts(&self) -> CacheCounts {
        match &self.top {
            Top::Tree(view) => view.cache_counts(),
            Top::Points(folder) => folder.reader().counts(),
        }
    }

    /// Whether any entry may have extended attributes.
    pub fn may_have_xattrs(&self) -> bool {
        match &self.top {
            Top::Tree(view) => view.has_xattrs(),
            Top::Points(_) => true,
        }
    }

    /// Returns the entry with this inode.
    ///
    /// # Errors
    ///
    /// [`ReadError`], as for every call here; [`ReadError::NoSuchNode`] for an inode that was never
    /// given out.
    pub fn get(&self, inode: u64) -> Result<ForestEntry<'static>, ReadError> {
        match self.place(inode)? {
            InodePlace::Folder(folder) => folder.itself(),
            InodePlace::Latest(folder, point) => folder.latest(point),
            InodePlace::Tree { view, node, .. } => Ok(ForestEntry {
                inode,
                name: b"",
                attributes: view.attributes(node)?,
                validity: Validity::Forever,
                cursor: 0,
            }),
        }
    }

    /// Finds the entry called `name` in a directory. The inner error says how long it holds that
    /// there is none.
    ///
    /// # Errors
    ///
    /// [`ReadError`].
    pub fn child<'a>(
        &self,
        directory: u64,
        name: &'a [u8],
    ) -> Result<Result<ForestEntry<'a>, Validity>, ReadError> {
        match self.place(directory)? {
            InodePlace::Folder(folder) => Ok(folder.child(name)?.ok_or(Validity::Now)),
            InodePlace::Latest(..) => Err(ReadError::NotADirectory),
            InodePlace::Tree { view, point, node } => {
                let Some(name) = Name::new(name) else {
                    return Ok(Err(Validity::Forever));
                };
                let found = view
                    .child(node, &name)?
                    .map(|child| entry_of(point, &child))
                    .transpose()?;
                Ok(found
                    .map(|found| ForestEntry { name: b"", ..found })
                    .ok_or(Validity::Forever))
            }
        }
    }

    /// Calls `found` for the entries of a directory until it breaks: for all entries (`after` is 0)
    /// or for those behind a cursor.
    ///
    /// # Errors
    ///
    /// [`ReadError`]. Entries found before the error were handed to `found`.
    pub fn list(
        &self,
        directory: u64,
        after: u64,
        mut found: impl FnMut(ForestEntry<'_>) -> ControlFlow<()>,
    ) -> Result<(), ReadError> {
        match self.place(directory)? {
            InodePlace::Folder(folder) => folder.list(after, found),
            InodePlace::Latest(..) => Err(ReadError::NotADirectory),
            InodePlace::Tree { view, point, node } => {
                let mut failed = None;
                view.list(
                    node,
                    (after > 0).then_some(NodeId(after)),
                    |child| match entry_of(point, &child) {
                        Ok(entry) => found(entry),
                        Err(error) => {
                            failed = Some(error);
                            ControlFlow::Break(())
                        }
                    },
                )?;
                failed.map_or(Ok(()), Err)
            }
        }
    }

    /// Returns the inode of the directory that holds a directory; the top for the top itself.
    ///
    /// # Errors
    ///
    /// [`ReadError`].
    pub fn parent(&self, directory: u64) -> Result<u64, ReadError> {
        match self.place(directory)? {
            InodePlace::Folder(_) | InodePlace::Latest(..) => Ok(TOP),
            InodePlace::Tree { node: ROOT, .. } => Ok(TOP),
            InodePlace::Tree { view, point, node } => inode_of(point, view.parent(node)?),
        }
    }

    /// Returns where a file stands.
    ///
    /// # Errors
    ///
    /// [`ReadError`].
    pub fn position(&self, inode: u64) -> Result<ForestPosition, ReadError> {
        match self.place(inode)? {
            InodePlace::Folder(_) | InodePlace::Latest(..) => Err(ReadError::WrongKind),
            InodePlace::Tree { view, point, node } => Ok(ForestPosition {
                directory: inode_of(point, view.parent(node)?)?,
                cursor: node.0,
            }),
        }
    }

    /// Returns the target of a symbolic link.
    ///
    /// # Errors
    ///
    /// [`ReadError`].
    pub fn link_target(&self, inode: u64) -> Result<Box<[u8]>, ReadError> {
        match self.place(inode)? {
            InodePlace::Folder(_) => Err(ReadError::WrongKind),
            InodePlace::Latest(folder, point) => folder.latest_target(point),
            InodePlace::Tree { view, node, .. } => view.link_target(node),
        }
    }

    /// Returns the extended attributes of an entry.
    ///
    /// # Errors
    ///
    /// [`ReadError`].
    pub fn xattrs(&self, inode: u64) -> Result<Vec<Xattr>, ReadError> {
        match self.place(inode)? {
            InodePlace::Folder(_) | InodePlace::Latest(..) => Ok(Vec::new()),
            InodePlace::Tree { view, node, .. } => view.xattrs(node),
        }
    }

    /// Returns the content of a regular file.
    ///
    /// # Errors
    ///
    /// [`ReadError`].
    pub fn file(&self, inode: u64) -> Result<FileContent, ReadError> {
        match self.place(inode)? {
            InodePlace::Folder(_) => Err(ReadError::IsADirectory),
            InodePlace::Latest(..) => Err(ReadError::WrongKind),
            InodePlace::Tree { view, node, .. } => view.file(node),
        }
    }

    /// Returns the size of the point in time that the inode belongs to.
    ///
    /// # Errors
    ///
    /// [`ReadError`].
    pub fn totals(&self, inode: u64) -> Result<Totals, ReadError> {
        match self.place(inode)? {
            InodePlace::Folder(folder) | InodePlace::Latest(folder, _) => Ok(Totals {
                entries: folder.entries()?,
                bytes: 0,
            }),
            InodePlace::Tree { view, .. } => Ok(view.totals()),
        }
    }

    fn place(&self, inode: u64) -> Result<InodePlace, ReadError> {
        let (point, low) = (inode >> NODE_BITS, inode & ((1 << NODE_BITS) - 1));
        match &self.top {
            Top::Tree(view) => {
                let node = NodeId(inode.checked_sub(1).ok_or(ReadError::NoSuchNode)?);
                Ok(InodePlace::Tree {
                    view: view.clone(),
                    point: 0,
                    node,
                })
            }
            Top::Points(folder) if point == 0 && low == TOP => {
                Ok(InodePlace::Folder(folder.clone()))
            }
            Top::Points(folder) if point == 0 => Ok(InodePlace::Latest(
                folder.clone(),
                low.checked_sub(TOP).ok_or(ReadError::NoSuchNode)?,
            )),
            Top::Points(folder) => {
                let node = NodeId(low.checked_sub(1).ok_or(ReadError::NoSuchNode)?);
                Ok(InodePlace::Tree {
                    view: folder.open(point)?,
                    point,
                    node,
                })
            }
        }
    }
}
