//! Reads the files of a point in time as a restore does, and compares what they hold with the
//! hashes that the index has.

use crate::format::content_hash::{ContentCheck, OtherContent};
use crate::fs::view::{ReadError, View};
use crate::model::{Cancel, Entry, Interrupted, TreePath};

/// How many bytes are read at once.
const PIECE_BYTES: u64 = 4 << 20;

/// A file whose content is not what was stored.
#[derive(Debug)]
pub struct OtherFile {
    /// Its path.
    pub path: TreePath,
    /// The two hashes.
    pub error: OtherContent,
}

/// Why the contents of a point in time were not all compared.
#[derive(Debug, thiserror::Error)]
pub enum ContentsError {
    /// The tree could not be read to its end.
    #[error("could not read the tree")]
    Tree(#[source] ReadError),
    /// The user asked to stop.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
}

/// Compares the content of every file that has a hash, and hands those that differ to `found`. With
/// a `later` point in time whose files were compared, only files that it does not have.
///
/// A file that cannot be read is passed over: what a check of the frames tells of it says more.
///
/// # Errors
///
/// [`ContentsError`].
pub fn compare_contents(
    view: &View,
    later: Option<&View>,
    found: &mut dyn FnMut(OtherFile),
    cancel: &Cancel,
) -> Result<(), ContentsError> {
    let mut compare = |entry: Entry| {
        if cancel.is_requested() {
            return Err(ContentsError::Interrupted(Interrupted));
        }
        if let Err(ReadError::OtherContent(error)) = compare_one(view, &entry) {
            let path = entry.path;
            found(OtherFile { path, error });
        }
        Ok(())
    };
    match later {
        None => view
            .all()
            .try_for_each(|entry| compare(entry.map_err(ContentsError::Tree)?.1)),
        Some(later) => view.differences(later).try_for_each(|difference| {
            let difference = difference.map_err(ContentsError::Tree)?;
            let after = difference.after.map(|(_, after)| after.content);
            match difference.before {
                Some((_, before)) if Some(&before.content) != after.as_ref() => compare(before),
                _ => Ok(()),
            }
        }),
    }
}

fn compare_one(view: &View, entry: &Entry) -> Result<(), ReadError> {
    let Some(mut check) = ContentCheck::of(entry, view.hashing()) else {
        return Ok(());
    };
    let content = view.content(entry)?;
    let mut at = content.next_data(0);
    while let Some(from) = at {
        let mut end = from;
        for piece in content.pieces(from, PIECE_BYTES)? {
            if let Some(data) = piece.data() {
                check.see(end, data);
            }
            end += piece.length();
        }
        at = content.next_data(end).filter(|_| end > from);
    }
    Ok(check.finish()?)
}
