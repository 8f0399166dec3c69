//! How a view becomes files: copies a point in time, or parts of it, to a directory.
//!
//! Owns the order in which things are made and given their metadata, and what is done about
//! trouble. Does not know where bytes come from ([`Source`]) nor system calls (`platform`). Start
//! reading at [`restore`], then `descent`.
//!
//! One thread walks the tree depth first, each directory's entries in order of name, and makes
//! directories and hard links; writers make the files, in batches that lie together in the stream,
//! and large files in pieces. A directory is made for us alone and gets its mode, owner, attributes
//! and time when all in it and below it is done, so memory holds the directories between the root
//! and the place of the walk, and their siblings to come.
//!
//! Invariants:
//! - Nothing outside the target is touched, whatever stands in it: `platform` follows no link below
//!   the target.
//! - No folder is entered that [`KeepOut`] knows: neither the target nor one that stands in it.
//! - A name stands for whole content or is not there: a file that could not be read is removed, and
//!   one that is replaced is replaced by a rename.
//! - Trouble with one thing is told to `Progress` and counted; only a full disk, or a stop that was
//!   asked for, ends the run.

mod attributes;
mod descent;
mod directory;
mod error;
mod export;
mod file;
mod run;
mod selection;
mod source;
mod view;

pub use error::{Attempt, FileError, RestoreError};
pub use export::{ExportError, Exported, export};
pub use run::Summary;
pub use source::Source;

use crate::model::{Cancel, Entry, Progress, TreePath};
use crate::platform::DirHandle;
use selection::Chosen;
use std::io;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

/// How to restore.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// What to do about a target that holds something already.
    pub existing: Existing,
    /// By what owners are found.
    pub ownership: Ownership,
    /// How many threads write.
    pub writers: NonZeroUsize,
    /// Where nothing is written.
    pub keep_out: KeepOut,
}

/// Knows the folders that a restore must not write to: those of stores, whose backups it would
/// overwrite. The caller does, as a restore knows nothing of stores.
#[derive(Clone, Copy, Debug)]
pub struct KeepOut {
    /// Whether a folder is such a one itself.
    pub is: fn(&DirHandle) -> bool,
    /// Returns the one that a path is or lies in, or would lie in once it is made.
    pub around: fn(&Path) -> io::Result<Option<PathBuf>>,
}

impl KeepOut {
    /// None.
    pub const NOWHERE: Self = Self {
        is: |_| false,
        around: |_| Ok(None),
    };
}

impl Default for Options {
    /// Into an empty directory, owners by name, one writer per processor.
    fn default() -> Self {
        let writers = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        Self {
            existing: Existing::Refuse,
            ownership: Ownership::ByName,
            writers,
            keep_out: KeepOut::NOWHERE,
        }
    }
}

/// What to do about a target that holds something already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    /// Restore only into a directory that is empty, or is made for it.
    Refuse,
    /// Replace what has the name of something restored, at once or not at all; leave everything
    /// else. A directory is never replaced by something else, but takes in what belongs into it.
    Replace,
}

/// By what owners are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ownership {
    /// The user and group of that name, or of that number where there is none of that name.
    ByName,
    /// The user and group of that number.
    ByNumber,
}

/// Copies `selection`, or everything if it is empty, to the directory `target`, which is made if it
/// is missing.
///
/// Everything keeps its place: `a/b` becomes `target/a/b`, and `a` is made with its metadata if it
/// is not there. The metadata of the root goes to the target itself when everything is restored.
/// Not as root, owners are set as far as the process may, and [`Summary::left_out`] counts where
/// that was not all.
///
/// # Errors
///
/// Before anything was made: [`RestoreError::Missing`], [`RestoreError::Target`],
/// [`RestoreError::InStore`], [`RestoreError::NotEmpty`] and [`RestoreError::Tree`]. In the midst:
/// [`RestoreError::Full`] and [`RestoreError::Interrupted`]; what is there by then is whole, but
/// directories may lack their metadata.
pub fn restore<S: Source>(
    source: &S,
    selection: &[TreePath],
    target: &Path,
    options: &Options,
    progress: &dyn Progress,
    cancel: &Cancel,
) -> Result<Summary, RestoreError> {
    let (chosen, root) = Chosen::find(source, selection)?;
    descent::restore(source, &chosen, root, target, options, progress, cancel)
}

/// Calls `found` for everything that [`restore`] would make with this selection, in that order,
/// directories before what is in them.
///
/// # Errors
///
/// [`RestoreError::Missing`] and [`RestoreError::Tree`]; what was found before that stands.
pub fn list<S: Source>(
    source: &S,
    selection: &[TreePath],
    mut found: impl FnMut(&Entry),
) -> Result<(), RestoreError> {
    let (chosen, (root, entry)) = Chosen::find(source, selection)?;
    found(&entry);
    let mut waiting = vec![(root, entry.path, &chosen)];
    while let Some((directory, path, chosen)) = waiting.pop() {
        let first = waiting.len();
        selection::listing(source, directory, &path, chosen, |node, entry, chosen| {
            found(&entry);
            if entry.content.kind() == crate::model::Kind::Directory {
                waiting.push((node, entry.path, chosen));
            }
            std::ops::ControlFlow::Continue(())
        })
        .map_err(|source| RestoreError::Tree { path, source })?;
        if let Some(subdirectories) = waiting.get_mut(first..) {
            subdirectories.reverse();
        }
    }
    Ok(())
}
