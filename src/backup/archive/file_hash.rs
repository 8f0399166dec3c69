//! The hash of the content of the file that is being stored.

use super::data_runs::FileData;
use crate::backup::compare::UNSURE;
use crate::format::content_hash::{ContentHasher, ContentHashing};
use crate::model::{Content, Entry, Extent};

/// Bytes that are read at once for the hash alone.
const READ_BYTES: usize = 1 << 20;

/// The hash of one file, as far as its data has come.
pub(super) struct FileHash {
    hasher: ContentHasher,
    /// Data before this place in the file was taken already, when the file was compared.
    from: u64,
    /// Whether all data that should have come has come.
    is_whole: bool,
}

impl FileHash {
    pub(super) fn new(hashing: &ContentHashing) -> Self {
        Self {
            hasher: hashing.hasher(),
            from: 0,
            is_whole: true,
        }
    }

    /// Takes data that is stored at a place in the file.
    pub(super) fn store(&mut self, at: u64, data: &[u8]) {
        let known = usize::try_from(self.from.saturating_sub(at)).unwrap_or(usize::MAX);
        if let Some(new) = data.get(known..) {
            self.hasher.update(at + known as u64, new);
        }
    }

    /// Takes data that was read to be compared. All data before its end has come then.
    pub(super) fn compare(&mut self, at: u64, data: &[u8]) {
        self.hasher.update(at, data);
        self.from = at.saturating_add(data.len() as u64);
    }

    /// Notes that some data could not be read.
    pub(super) fn give_up(&mut self) {
        self.is_whole = false;
    }

    /// Reads the beginning of a file that is stored already, for the hash alone.
    pub(super) fn read(&mut self, file: &FileData<'_>, extents: &[Extent]) {
        let mut piece = vec![0; READ_BYTES];
        for extent in extents {
            let mut at = extent.at.0;
            while self.is_whole && at < extent.end() {
                let left = usize::try_from(extent.end() - at).unwrap_or(usize::MAX);
                let length = left.min(READ_BYTES);
                let read = piece
                    .get_mut(..length)
                    .map_or(Ok(0), |piece| file.read_at(piece, at));
                match (read, piece.get(..length)) {
                    (Ok(read), Some(data)) if read == length => self.compare(at, data),
                    _ => self.give_up(),
                }
                at += length as u64;
            }
        }
    }

    /// Puts the hash into the entry, unless its content is not sure.
    pub(super) fn finish(self, entry: &mut Entry) {
        let is_sure = self.is_whole && entry.metadata.inode != UNSURE;
        if let Content::File { size, .. } = &entry.content
            && is_sure
            && *size > 0
        {
            entry.metadata.extensions.content_hash = Some(self.hasher.finish(*size));
        }
    }
}
