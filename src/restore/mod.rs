//! How a view becomes files: copies a point in time, or parts of it, to a directory.
//!
//! Owns the order in which entries are made and given their metadata, and the reaction to errors.
//! Knows neither where bytes come from ([`RestoreSource`]) nor system calls (`platform`). Start
//! reading at [`restore`], then `descent`.
//!
//! One thread walks the tree depth first, each directory's entries in order of name. It makes
//! directories and hard links. Writer threads make the files, in batches that lie together in the
//! stream, and large files in pieces. A directory is first made for this user alone. It gets its
//! mode, owner, attributes and time when all its entries are done. So memory holds the directories
//! between the root and the place of the walk, and their siblings to come.
//!
//! Invariants:
//! - Nothing outside the target is touched, whatever the target holds: `platform` follows no link
//!   below it.
//! - No folder is entered that [`KeepOut`] recognises, be it the target or a folder in it.
//! - A name has its whole content or is not there. A file that could not be read is removed; a file
//!   that replaces another does so by a rename.
//! - No entry acts as an owner that it was not given (`rights`), and without [`Trust`] as none.
//! - An error with one entry goes to `Progress` and is counted. Only a full disk or a requested
//!   stop
//!   ends the run.

mod attributes;
mod contents;
mod descent;
mod directory;
mod error;
mod export;
mod file;
mod inode_flags;
mod options;
mod rights;
mod run;
mod selection;
mod source;
mod target;
mod view;

pub use contents::{ContentsError, OtherFile, compare_contents};
pub use error::{Attempt, EntryError, RestoreError};
pub use export::{ExportError, Exported, export};
pub use options::{Existing, KeepOut, Options, Ownership, Trust};
pub use run::Summary;
pub use source::RestoreSource;

use crate::model::{Cancel, Entry, Progress, TreePath};
use run::RestoreRun;
use selection::SelectedTree;
use std::path::Path;

/// Copies `selection`, or everything if it is empty, to the directory `target`. Makes the directory
/// if it is missing.
///
/// Every entry keeps its place: `a/b` becomes `target/a/b`, and `a` is made with its metadata if it
/// is not there. When everything is restored, the target itself gets the metadata of the root. A
/// user other than root sets owners only as far as the system allows; [`Summary::left_out`] counts
/// the entries where that was not all.
///
/// # Errors
///
/// Before anything is made: [`RestoreError::Missing`], [`RestoreError::Target`],
/// [`RestoreError::InStore`], [`RestoreError::NotEmpty`] and [`RestoreError::Tree`]. Later:
/// [`RestoreError::Full`] and [`RestoreError::Interrupted`]; each file made by then is whole, but
/// directories may lack their metadata.
pub fn restore<S: RestoreSource>(
    source: &S,
    selection: &[TreePath],
    target: &Path,
    options: &Options,
    progress: &dyn Progress,
    cancel: &Cancel,
) -> Result<Summary, RestoreError> {
    let found = selection::find(source, selection)?;
    let run = RestoreRun::new(source, options, progress, cancel);
    descent::restore(run, &found, target)
}

/// Calls `found` for every entry that [`restore`] would make with this selection, in the same
/// order: a directory comes before its entries.
///
/// # Errors
///
/// [`RestoreError::Missing`] and [`RestoreError::Tree`]. Entries before the error were handed to
/// `found`.
pub fn list<S: RestoreSource>(
    source: &S,
    selection: &[TreePath],
    mut found: impl FnMut(&Entry),
) -> Result<(), RestoreError> {
    let SelectedTree {
        selection,
        root,
        entry,
    } = selection::find(source, selection)?;
    found(&entry);
    let mut waiting = vec![(root, entry.path, &selection)];
    while let Some((directory, path, selection)) = waiting.pop() {
        let first = waiting.len();
        selection::listing(
            source,
            directory,
            &path,
            selection,
            |node, entry, selection| {
                found(&entry);
                if entry.content.kind() == crate::model::Kind::Directory {
                    waiting.push((node, entry.path, selection));
                }
                std::ops::ControlFlow::Continue(())
            },
        )
        .map_err(|source| RestoreError::Tree { path, source })?;
        if let Some(subdirectories) = waiting.get_mut(first..) {
            subdirectories.reverse();
        }
    }
    Ok(())
}
