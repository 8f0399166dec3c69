//! The kinds of damage that a check can find.

use crate::catalog::stream::RepackedError;
use crate::catalog::{AccessError, TreeError};
use crate::format::content_hash::OtherContent;
use crate::format::frame::FrameError;
use crate::index::IndexError;
use crate::model::{Kind, LevelId, NotUnderstood, TreePath};
use crate::store::{self, ObjectName};
use std::fmt;

/// Something in a store that is not as it should be.
#[derive(Debug, thiserror::Error)]
pub enum Damage {
    /// The level cannot be opened at all.
    #[error("the manifest cannot be read")]
    Manifest(#[source] AccessError),
    /// An object that must be there is missing.
    #[error("{0} is missing")]
    Missing(ObjectName),
    /// An object is shorter or longer than its frames.
    #[error("{object} has {found} bytes, and should have {expected}")]
    Length {
        /// The object.
        object: ObjectName,
        /// Its length in bytes by the store.
        found: u64,
        /// Its length in bytes by the frame table.
        expected: u64,
    },
    /// A part of a frame table cannot be read.
    #[error("the frame table cannot be read from frame {frame} on")]
    FrameTable {
        /// The first frame of the part that cannot be read.
        frame: u64,
        /// What is wrong.
        source: IndexError,
    },
    /// The record of a level's repack cannot be read.
    #[error("{object} cannot be read")]
    Repacked {
        /// The record.
        object: ObjectName,
        /// What is wrong.
        source: RepackedError,
    },
    /// The frame table does not reach the end of the stream.
    #[error("the frame table ends at byte {found} of the stream, which has {expected}")]
    StreamEnd {
        /// The byte of the stream at which the frame table ends.
        found: u64,
        /// The length of the stream by the manifest.
        expected: u64,
    },
    /// A frame does not lie where frames can lie.
    #[error("frame {frame} lies outside of its segment {object}")]
    Place {
        /// The number of the frame.
        frame: u64,
        /// The segment in which the frame should lie.
        object: ObjectName,
    },
    /// A frame could not be fetched.
    #[error("frame {frame} of {object} cannot be fetched")]
    Fetch {
        /// The number of the frame.
        frame: u64,
        /// The segment in which the frame lies.
        object: ObjectName,
        /// What the store said.
        source: store::Error,
    },
    /// A frame differs from the one that was stored.
    #[error("frame {frame} of {object} is damaged")]
    Frame {
        /// The number of the frame.
        frame: u64,
        /// The segment in which the frame lies.
        object: ObjectName,
        /// What is wrong with the frame.
        source: FrameError,
    },
    /// The index cannot be opened.
    #[error("the index cannot be opened")]
    Index(#[source] TreeError),
    /// A part of the index cannot be read that newer parts replace. This point in time does not
    /// need it, but those that lean on it may.
    #[error("a part of the index that newer parts replace cannot be read")]
    Replaced(#[source] IndexError),
    /// The entries of a directory cannot be read, from some name on.
    #[error("the entries of directory {path:?} cannot be read")]
    Directory {
        /// The directory.
        path: TreePath,
        /// What is wrong.
        source: IndexError,
    },
    /// The tree has more or fewer entries than the manifest says.
    #[error("the tree has {found} entries, and should have {expected}")]
    Entries {
        /// How many entries were found.
        found: u64,
        /// How many entries the manifest names.
        expected: u64,
    },
    /// Only a newer version of freezer can read an entry.
    #[error("{path:?} cannot be read")]
    NotUnderstood {
        /// The entry.
        path: TreePath,
        /// What this version does not know.
        source: NotUnderstood,
    },
    /// A directory that the tree needs is missing, or is no directory. No mount or restore shows
    /// what lies below it.
    #[error("{}", NoDirectory(.path, *.found))]
    NoDirectory {
        /// The path of the directory.
        path: TreePath,
        /// What is there; `None` where nothing is.
        found: Option<Kind>,
    },
    /// The manifest names a digest of its parent that the parent's manifest does not have.
    #[error(
        "it was made after another manifest of level {parent} than the one that is stored: one of \
         the two was exchanged"
    )]
    Parent {
        /// The level that it was compared with.
        parent: LevelId,
    },
    /// The store has data of a level, and nothing that explains it.
    #[error(
        "{bytes} bytes of its data are stored, but its manifest is gone, and no prune and no run \
         that was cut off explains that"
    )]
    NoManifest {
        /// Length of the data in bytes.
        bytes: u64,
    },
    /// An extent names a level or a part of a stream that does not exist.
    #[error("{0:?} leans on a part of the stream that does not exist")]
    Extent(TreePath),
    /// The content of a file is not what was stored, though every frame of it can be read.
    #[error("{path:?} is another file than was stored")]
    Content {
        /// The file.
        path: TreePath,
        /// How that shows.
        source: OtherContent,
    },
    /// A file's content is touched by damage that was told before.
    #[error("{0:?} cannot be read as a whole")]
    File(TreePath),
}

/// Says which directory is missing.
struct NoDirectory<'path>(&'path TreePath, Option<Kind>);

impl fmt::Display for NoDirectory<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(path, found) = self;
        let what = match found {
            None => "missing",
            Some(Kind::Directory) => "a directory",
            Some(Kind::File) => "a file",
            Some(Kind::Symlink) => "a symbolic link",
            Some(Kind::CharDevice | Kind::BlockDevice) => "a device",
            Some(Kind::Fifo) => "a named pipe",
        };
        if path.is_root() {
            write!(
                f,
                "the root of the tree, which must be a directory, is {what}"
            )
        } else {
            write!(f, "there are entries below {path:?}, which is {what}")
        }
    }
}
