//! The contents of one folder of a store, as its server or its file system lists them: in any
//! order, and of any length.

use super::name::legal_component;
use std::collections::BinaryHeap;

/// How many entries a folder may have. No store has half as many, and a server that never ends its
/// list has to be stopped somewhere.
const MOST_ENTRIES: u64 = 1 << 25;

/// How many folders may be in a folder: a store has one for each node, backup or level there.
const MOST_FOLDERS: u64 = 1 << 20;

/// A file or folder in a folder.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct FolderRow {
    /// The name there. That of a folder ends with a slash, so that names sort as the whole names of
    /// the objects below them do.
    name: Box<str>,
    length: u64,
}

impl FolderRow {
    /// Makes the row of a file; `None` when no object may have that name.
    pub(super) fn object(name: &str, length: u64) -> Option<Self> {
        legal_component(name).then(|| Self {
            name: name.into(),
            length,
        })
    }

    /// Makes the row of a folder; `None` when no object may be in a folder of that name.
    pub(super) fn folder(name: &str) -> Option<Self> {
        legal_component(name).then(|| Self {
            name: format!("{name}/").into_boxed_str(),
            length: 0,
        })
    }

    /// Returns the name; that of a folder ends with a slash.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Returns the length of an object.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// About the memory that it takes.
    fn bytes(&self) -> usize {
        size_of::<Self>() + self.name.len() + 16
    }
}

/// Why a folder is none of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoStoreFolder {
    #[error("a folder with more than {MOST_ENTRIES} entries is none of a store")]
    Endless,
    #[error("a folder with more than {MOST_FOLDERS} folders in it is none of a store")]
    TooManyFolders,
}

/// The first names of a folder, in order, out of a list in any order and of any length.
pub(super) struct FirstRows {
    /// Only names after this one are wanted.
    after: Option<Box<str>>,
    /// How many bytes the names may take.
    room: usize,
    held: BinaryHeap<FolderRow>,
    bytes: usize,
    /// Whether there are names that had no room.
    has_more: bool,
    seen: u64,
    folders: u64,
}

impl FirstRows {
    /// Holds no more than `room` bytes of names that come after `after`.
    pub(super) fn new(after: Option<Box<str>>, room: usize) -> Self {
        Self {
            after,
            room,
            held: BinaryHeap::new(),
            bytes: 0,
            has_more: false,
            seen: 0,
            folders: 0,
        }
    }

    /// Takes the next entry of the list; `None` for one that is not of a store.
    pub(super) fn take(&mut self, row: Option<FolderRow>) -> Result<(), NoStoreFolder> {
        self.seen += 1;
        if self.seen > MOST_ENTRIES {
            return Err(NoStoreFolder::Endless);
        }
        let Some(row) = row else { return Ok(()) };
        if row.name.ends_with('/') {
            self.folders += 1;
            if self.folders > MOST_FOLDERS {
                return Err(NoStoreFolder::TooManyFolders);
            }
        }
        if self.after.as_ref().is_some_and(|after| row.name <= *after) {
            return Ok(());
        }
        if self.has_more && self.held.peek().is_some_and(|last| row > *last) {
            return Ok(());
        }
        self.bytes += row.bytes();
        self.held.push(row);
        while self.bytes > self.room && self.held.len() > 1 {
            self.bytes -= self.held.pop().map_or(0, |last| last.bytes());
            self.has_more = true;
        }
        Ok(())
    }

    /// Returns the names in order, and the last of them if there are more.
    ///
    /// A name that was listed twice comes once: some file systems list a file again that is
    /// replaced while they list.
    pub(super) fn finish(self) -> FolderBatch {
        let mut rows = self.held.into_sorted_vec();
        rows.dedup_by(|later, one| later.name == one.name);
        let more_after = rows.last().filter(|_| self.has_more);
        FolderBatch {
            more_after: more_after.map(|last| last.name.clone()),
            bytes: self.bytes,
            rows: rows.into_iter(),
        }
    }
}

/// Some names of a folder, in order.
pub(super) struct FolderBatch {
    pub(super) rows: std::vec::IntoIter<FolderRow>,
    /// The last of them, if the folder has more.
    pub(super) more_after: Option<Box<str>>,
    /// About the memory that they take.
    pub(super) bytes: usize,
}

#[cfg(test)]
mod tests {
    use super::{FirstRows, FolderRow, MOST_ENTRIES, MOST_FOLDERS, NoStoreFolder};

    const ROOM: usize = 256 << 10;

    fn row(name: &str) -> Option<FolderRow> {
        match name.strip_suffix('/') {
            Some(folder) => FolderRow::folder(folder),
            None => FolderRow::object(name, 7),
        }
    }

    #[test]
    fn memory_does_not_grow_with_the_length_of_a_list() {
        let mut rows = FirstRows::new(None, ROOM);
        for name in (0..200_000_u64).map(|number| format!("{:08}", number * 7_919 % 200_000)) {
            rows.take(row(&name)).expect("room");
            assert!(rows.bytes <= ROOM && rows.held.len() < 6_000);
        }
        let batch = rows.finish();
        assert!(batch.more_after.is_some() && batch.rows.len() > 3_000);
    }

    #[test]
    fn a_list_that_never_ends_is_ended() {
        let mut rows = FirstRows::new(None, ROOM);
        rows.seen = MOST_ENTRIES - 1;
        assert_eq!(rows.take(None), Ok(()));
        assert_eq!(rows.take(None), Err(NoStoreFolder::Endless));
        let mut rows = FirstRows::new(None, ROOM);
        rows.folders = MOST_FOLDERS;
        assert_eq!(rows.take(row("a/")), Err(NoStoreFolder::TooManyFolders));
    }
}
