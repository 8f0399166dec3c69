//! Reads files whose content is to be stored.

use super::child::ListedChild;
use super::{StepReader, extensions};
use crate::backup::blocks::EarlierVersion;
use crate::backup::read_step::{ContentSource, ReadEntry, ReadStep, SourceFile, SourceInode};
use crate::backup::unread::{Unread, stayed_the_same};
use crate::model::{Content, ContentHash, Extensions, Extent, TreePath};
use crate::platform::Stat;
use std::ops::Range;

/// A file up to this length is read with its metadata. A longer one stays open, and the archive
/// reads it.
const SMALL_FILE_BYTES: usize = 128 << 10;

/// Most bytes of small files in one step. Further files stay open.
const STEP_BYTES: usize = 2 << 20;

impl StepReader<'_> {
    /// Reads the entry of an open file into `read`, and its content too if that is small.
    pub(super) fn file(
        &self,
        child: &ListedChild<'_>,
        file: SourceFile,
        read: &mut ReadStep,
    ) -> Result<(), Unread> {
        let mut stat = file.stat.clone();
        let xattrs = self.attributes(child.path, self.xattrs.of_open(&file.handle, stat.device));
        let extensions = extensions::of_file(child.path, &file.handle);
        let has_room = stat.size <= SMALL_FILE_BYTES as u64
            && read.bytes.len() + SMALL_FILE_BYTES <= STEP_BYTES;
        let mut content_hash = None;
        let content = if stat.size == 0 {
            ContentSource::Empty
        } else if let Some(begun) = (!has_room).then(|| self.begun(child.path, &stat)).flatten() {
            ContentSource::Rest { file, begun }
        } else if self.engine.takes(stat.size) {
            let earlier = self.earlier_version(child).map(Box::new);
            ContentSource::Blocks { file, earlier }
        } else if has_room && stat.blocks.saturating_mul(512) >= stat.size {
            let SmallContent { range, is_steady } = read_small(child.path, &file, &mut read.bytes)?;
            // Its header is not written yet, so its size is what was read.
            stat.size = range.len() as u64;
            if is_steady && !range.is_empty() {
                content_hash = Some(self.hash_of(&read.bytes[range.clone()]));
            }
            if range.is_empty() {
                ContentSource::Empty
            } else {
                ContentSource::Read(range)
            }
        } else {
            ContentSource::Whole(file)
        };
        let size = stat.size;
        let extents = Vec::new();
        let mut entry = self.entry(child.path, &stat, xattrs, Content::File { size, extents });
        entry.metadata.extensions = Extensions {
            content_hash,
            ..extensions
        };
        read.entries.push(ReadEntry {
            entry,
            content,
            change: child.change(),
            inode: SourceInode::of(&stat),
        });
        Ok(())
    }

    fn hash_of(&self, content: &[u8]) -> ContentHash {
        let mut hasher = self.hashing.hasher();
        hasher.update(0, content);
        hasher.finish(content.len() as u64)
    }

    /// Returns the beginning of a file that an interrupted run has stored.
    fn begun(&self, path: &TreePath, stat: &Stat) -> Option<Vec<Extent>> {
        self.earlier
            .resumed
            .as_ref()
            .filter(|_| self.earlier.stored.is_none())?
            .begun(path, stat)
    }

    /// Returns the newest version of a file whose blocks can be compared.
    fn earlier_version(&self, child: &ListedChild<'_>) -> Option<EarlierVersion> {
        let unfinished = self
            .earlier
            .resumed
            .as_ref()
            .and_then(|resumed| resumed.version(child.path));
        unfinished
            .as_ref()
            .or(child.found)
            .and_then(EarlierVersion::of)
    }
}

/// The content of a small file among that of others.
struct SmallContent {
    range: Range<usize>,
    /// Whether the file stayed the same while it was read.
    is_steady: bool,
}

/// Appends the content of a small file to `bytes`, and returns where it is. The range is shorter
/// than the file was if that shrank.
fn read_small(
    path: &TreePath,
    file: &SourceFile,
    bytes: &mut Vec<u8>,
) -> Result<SmallContent, Unread> {
    let start = bytes.len();
    let length = usize::try_from(file.stat.size).unwrap_or(usize::MAX);
    bytes.resize(start + length, 0);
    match file.handle.read_at(&mut bytes[start..], 0) {
        Ok(read) => {
            let is_steady = if read < length {
                tracing::warn!(%path, "shrank while it was read");
                bytes.truncate(start + read);
                false
            } else {
                stayed_the_same(path, file)
            };
            Ok(SmallContent {
                range: start..start + read,
                is_steady,
            })
        }
        Err(error) => {
            bytes.truncate(start);
            Err(Unread::Small(error))
        }
    }
}
