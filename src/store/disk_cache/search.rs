//! Finds the chunks of a piece in the folder, and those that have to be fetched.

use super::folder::CacheFolder;
use super::region::{Chunk, REGION_BYTES, Region};
use crate::store::ObjectName;

/// The bytes of one piece that the folder holds, and the chunks between them, which one request
/// fetches.
#[derive(Default)]
pub(super) struct FoundChunks {
    /// The first bytes of the piece.
    pub(super) before: Vec<u8>,
    /// The chunks between them.
    pub(super) missing: Vec<Missing>,
    /// The last bytes of the piece.
    pub(super) after: Vec<u8>,
}

/// A chunk that is to be fetched. It lies in one region.
pub(super) struct Missing {
    pub(super) chunk: Chunk,
    /// Whether the folder has it already: it only lies between others that it does not have.
    pub(super) is_held: bool,
}

/// Looks for chunks of one object.
pub(super) struct ChunkSearch<'call> {
    folder: &'call CacheFolder,
    location: String,
    pub(super) name: &'call ObjectName,
    /// The region that was looked at last.
    region: Option<(u64, Region)>,
    /// All that the folder has of that region, once it was listed.
    held: Option<Vec<Chunk>>,
    /// The last file of which a chunk was taken.
    last: Option<(Chunk, Vec<u8>)>,
}

impl<'call> ChunkSearch<'call> {
    pub(super) fn new(
        folder: &'call CacheFolder,
        location: String,
        name: &'call ObjectName,
    ) -> Self {
        Self {
            folder,
            location,
            name,
            region: None,
            held: None,
            last: None,
        }
    }

    pub(super) fn region_of(&self, offset: u64) -> Region {
        let number = offset / REGION_BYTES;
        match &self.region {
            Some((last, region)) if *last == number => region.clone(),
            _ => Region::new(&self.location, self.name.as_str(), number),
        }
    }

    pub(super) fn find(&mut self, piece: Chunk) -> FoundChunks {
        let mut chunks = Vec::with_capacity(1);
        let mut at = piece.offset;
        while at < piece.end() {
            let region_end = (at / REGION_BYTES + 1).saturating_mul(REGION_BYTES);
            let chunk = between(at, region_end.min(piece.end()));
            self.find_in_region(chunk, &mut chunks);
            at = chunk.end();
        }
        let is_missing = |(_, bytes): &(Chunk, Option<Vec<u8>>)| bytes.is_none();
        let first = chunks.iter().position(is_missing).unwrap_or(chunks.len());
        let behind = chunks
            .iter()
            .rposition(is_missing)
            .map_or(first, |last| last + 1);
        let mut found = FoundChunks::default();
        for (place, (chunk, bytes)) in chunks.into_iter().enumerate() {
            match bytes {
                Some(bytes) if place < first => join(&mut found.before, bytes),
                Some(bytes) if place >= behind => join(&mut found.after, bytes),
                bytes => found.missing.push(Missing {
                    chunk,
                    is_held: bytes.is_some(),
                }),
            }
        }
        found
    }

    /// Adds `wanted`, which lies in one region, as the chunks that are held and those that are not.
    fn find_in_region(&mut self, wanted: Chunk, chunks: &mut Vec<(Chunk, Option<Vec<u8>>)>) {
        let number = wanted.offset / REGION_BYTES;
        let region = self.region_of(wanted.offset);
        if self.region.as_ref().is_none_or(|(last, _)| *last != number) {
            (self.region, self.held) = (Some((number, region.clone())), None);
        }
        if self.held.is_none()
            && let Some(bytes) = self.folder.find(&region, wanted)
        {
            chunks.push((wanted, Some(bytes)));
            return;
        }
        let folder = self.folder;
        let held = self.held.get_or_insert_with(|| folder.held(&region));
        for (chunk, file) in cover(held, wanted) {
            let bytes = file.and_then(|file| {
                if file == chunk {
                    return folder.find(&region, file);
                }
                if self.last.as_ref().is_none_or(|(last, _)| *last != file) {
                    self.last = Some((file, folder.find(&region, file)?));
                }
                let (_, bytes) = self.last.as_ref()?;
                let from = usize::try_from(chunk.offset - file.offset).ok()?;
                bytes.get(from..from + chunk.length).map(<[u8]>::to_vec)
            });
            chunks.push((chunk, bytes));
        }
    }
}

/// Appends without copying where there is nothing yet.
fn join(to: &mut Vec<u8>, bytes: Vec<u8>) {
    if to.is_empty() {
        *to = bytes;
    } else {
        to.extend_from_slice(&bytes);
    }
}

/// The chunk from one offset to another in the same region or piece.
fn between(start: u64, end: u64) -> Chunk {
    Chunk {
        offset: start,
        // Never longer than a piece in memory.
        length: usize::try_from(end.saturating_sub(start)).unwrap_or(usize::MAX),
    }
}

/// Splits `wanted` into chunks that lie in one of the files `held`, and chunks that lie in none.
fn cover(held: &[Chunk], wanted: Chunk) -> Vec<(Chunk, Option<Chunk>)> {
    let (mut covered, mut at) = (Vec::new(), wanted.offset);
    while at < wanted.end() {
        let file = held
            .iter()
            .filter(|file| file.offset <= at && at < file.end())
            .max_by_key(|file| file.end());
        let until = match file {
            Some(file) => file.end(),
            None => held
                .iter()
                .map(|file| file.offset)
                .filter(|start| *start > at)
                .min()
                .unwrap_or(u64::MAX),
        };
        let until = until.min(wanted.end());
        covered.push((between(at, until), file.copied()));
        at = until;
    }
    covered
}
