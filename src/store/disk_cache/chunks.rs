//! The chunks in a cache's folder: how they are found, kept, forgotten and thrown out.

use super::folder::{BYTES, CacheFolder};
use super::region::{
    Chunk, PREFIX_DIGITS, REGION_BYTES, Region, SUM, UNFINISHED, chunk_of, is_chunk, is_digits,
    is_unfinished,
};
use crate::platform::{CachedFile, Clock, SystemClock};
use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

/// Files take whole blocks of a file system.
const BLOCK: u64 = 4096;

/// The share of the limit that is freed at once when there is no room, as finding the oldest chunks
/// means looking at all of them.
const MADE_AT_ONCE: u64 = 10;

/// How long a reader waits for the lock before it goes on without keeping what it has read.
const KEEPS_WITHIN: Duration = Duration::from_secs(2);

/// A chunk in the folder.
struct KeptChunk {
    folder: usize,
    name: String,
    bytes: u64,
    used: SystemTime,
}

impl CacheFolder {
    /// Returns the bytes of a chunk, if they are kept and are what they were.
    pub(super) fn find(&self, region: &Region, chunk: Chunk) -> Option<Vec<u8>> {
        let folder = self.dir.child(region.folder()).ok()?;
        let name = region.name_of(chunk);
        let mut file = folder.open_file(&name).ok()?;
        let mut sum = [0; SUM];
        let mut bytes = Vec::with_capacity(chunk.length);
        let is_read = file.read_exact(&mut sum).is_ok()
            && Read::take(&mut file, chunk.length as u64 + 1)
                .read_to_end(&mut bytes)
                .is_ok();
        if !is_read || bytes.len() != chunk.length || region.sum_of(chunk, &bytes) != sum {
            // The next reader need not look at it again.
            folder.remove(&name).ok();
            return None;
        }
        // The order in which chunks are removed. Fails on a read-only file system, where none is.
        file.set_modified(SystemTime::from(SystemClock.now())).ok();
        Some(bytes)
    }

    /// Lists the chunks of a region by offset; none when the folder cannot be read.
    pub(super) fn held(&self, region: &Region) -> Vec<Chunk> {
        let folder = self.dir.child(region.folder()).map_err(io::Error::from);
        let names = folder.and_then(|folder| folder.names()).unwrap_or_default();
        let mut held: Vec<Chunk> = names
            .iter()
            .filter(|name| is_chunk(name))
            .filter_map(|name| chunk_of(name.strip_prefix(region.prefix())?))
            .collect();
        held.sort_unstable();
        held
    }

    /// Keeps the bytes of a chunk, and makes room for them first.
    pub(super) fn keep(&self, region: &Region, chunk: Chunk, bytes: &[u8]) -> io::Result<()> {
        let size = on_disk((SUM + bytes.len()) as u64);
        if size > self.limit_bytes {
            return Ok(());
        }
        let _adding = self.adding.lock().unwrap_or_else(PoisonError::into_inner);
        let is_stuck = self.is_stuck.load(Ordering::Relaxed);
        let patience = if is_stuck {
            Duration::ZERO
        } else {
            KEEPS_WITHIN
        };
        let lock = self.lock(patience)?;
        self.is_stuck.store(lock.is_none(), Ordering::Relaxed);
        let Some(_lock) = lock else {
            let message = "another process does not let go of its lock";
            return Err(io::Error::new(io::ErrorKind::WouldBlock, message));
        };
        let folder = self.dir.child_or_new(region.folder())?;
        let name = region.name_of(chunk);
        let same = |file: CachedFile| file.length == (SUM + bytes.len()) as u64;
        if folder.look(&name)?.is_some_and(same) {
            return Ok(()); // another thread or process fetched it at the same time
        }
        let mut held = self
            .counted()
            .map_or_else(|| self.count_anew(self.limit_bytes), Ok)?;
        if held.saturating_add(size) > self.limit_bytes {
            let room = size + self.limit_bytes / MADE_AT_ONCE;
            held = self.count_anew(self.limit_bytes.saturating_sub(room))?;
            if held.saturating_add(size) > self.limit_bytes {
                return Ok(());
            }
        }
        // Counted before it is there: a process that dies in between leaves a count that is too
        // high, and the next one that needs room counts anew.
        self.count(held + size)?;
        let unfinished = format!("{name}{UNFINISHED}");
        // Left by a process that died: the lock says that no other is at it.
        folder.remove(&unfinished)?;
        let written = folder.create_file(&unfinished).and_then(|mut file| {
            file.write_all(&region.sum_of(chunk, bytes))?;
            file.write_all(bytes)?;
            drop(file);
            folder.rename(&unfinished, &name)
        });
        if written.is_err() {
            folder.remove(&unfinished).ok();
        }
        written
    }

    pub(super) fn counted(&self) -> Option<u64> {
        self.read_small(BYTES).ok()?.trim().parse().ok()
    }

    /// Writes a new file: one that stands under another name too is not changed.
    fn count(&self, bytes: u64) -> io::Result<()> {
        self.dir.remove(BYTES)?;
        let mut file = self.dir.create_file(BYTES)?;
        file.write_all(bytes.to_string().as_bytes())
    }

    /// Forgets all chunks of an object. Looks at every file of the cache: objects that a reader
    /// keeps are not meant to change.
    pub(super) fn forget(&self, location: &str, object: &str) -> io::Result<()> {
        let mut regions: BTreeMap<u64, Region> = BTreeMap::new();
        for name in self.dir.names()? {
            let Some(folder) = is_digits(&name, 2)
                .then(|| self.dir.child(&name).ok())
                .flatten()
            else {
                continue;
            };
            for file in folder.names()?.iter().filter(|file| is_chunk(file)) {
                let Some(chunk) = file.get(PREFIX_DIGITS..).and_then(chunk_of) else {
                    continue;
                };
                let number = chunk.offset / REGION_BYTES;
                let region = regions
                    .entry(number)
                    .or_insert_with(|| Region::new(location, object, number));
                if region.folder() == name && file.starts_with(region.prefix()) {
                    folder.remove(file)?;
                }
            }
        }
        Ok(())
    }

    /// Looks at all chunks, removes those that were not used for longest until no more than `most`
    /// bytes are left, and what processes left that died.
    pub(super) fn count_anew(&self, most: u64) -> io::Result<u64> {
        let (mut folders, mut kept) = (Vec::new(), Vec::new());
        for name in self.dir.names()? {
            if !is_digits(&name, 2) {
                continue;
            }
            // A link or a file, or somebody else's: it is none of ours.
            let Ok(folder) = self.dir.child(&name) else {
                continue;
            };
            for name in folder.names()? {
                let Some(file) = folder.look(&name)? else {
                    continue;
                };
                if is_unfinished(&name) {
                    folder.remove(&name)?;
                } else if is_chunk(&name) {
                    kept.push(KeptChunk {
                        folder: folders.len(),
                        name,
                        bytes: on_disk(file.length),
                        used: file.modified,
                    });
                }
            }
            folders.push(folder);
        }
        kept.sort_unstable_by_key(|kept| std::cmp::Reverse(kept.used));
        let mut held: u64 = kept.iter().map(|kept| kept.bytes).sum();
        while held > most {
            let Some(oldest) = kept.pop() else { break };
            if let Some(folder) = folders.get(oldest.folder) {
                folder.remove(&oldest.name)?;
            }
            held -= oldest.bytes;
        }
        self.count(held)?;
        Ok(held)
    }
}

/// Returns how many bytes of a disk a file of that length takes.
pub(super) fn on_disk(bytes: u64) -> u64 {
    bytes.next_multiple_of(BLOCK)
}
