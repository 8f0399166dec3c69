//! A wrapper that keeps the parts of data objects that were read on a local disk.
//!
//! The unit is the piece that a reader asks for: a frame or a block of an index. Each is a file of
//! its own, cut where a region of the object ends. A search takes the file of that name; where
//! there is none it puts the wanted bytes together from all files of the region. So it does not
//! matter whether bytes were asked for in one piece or in several. Only missing bytes are fetched,
//! neighbours with one request, and none is kept twice.
//!
//! Chunks are kept as they are stored, so what is encrypted there is encrypted here. Several
//! processes can share a folder: one that adds to it holds a lock and makes room first, so that
//! all of them together never take more than they may. A chunk that was used lately stays longest.
//!
//! Nothing here can fail a read: a folder that is full or gone is a cache that holds nothing.
//! Module `folder` says what is in the folder and what keeps other files safe, `region` how files
//! are called, `chunks` how they come and go; `search` and `assembly` turn pieces into chunks and
//! back.

mod assembly;
mod chunks;
mod folder;
mod region;
mod search;
#[cfg(test)]
mod tests;

pub use folder::OpenError;

use super::selection::together;
use super::{
    CreateOnce, Error, ErrorKind, ObjectInfo, ObjectName, Operation, Powers, PutUnlessThere, Rope,
    Selection, Store,
};
use assembly::Assembly;
use folder::CacheFolder;
use region::Chunk;
use search::{ChunkSearch, Missing};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// A store in front of another that keeps chunks of its data objects in a folder.
pub struct DiskCache<S> {
    inner: S,
    folder: CacheFolder,
    hits: AtomicU64,
    has_failed: AtomicBool,
}

impl<S: Store> DiskCache<S> {
    /// Keeps at most `limit_bytes` in the subfolder `freezer-cache` of `folder`. Both are made if
    /// they are not there, for their owner alone; nothing else in `folder` is touched.
    ///
    /// # Errors
    ///
    /// When the subfolder cannot be made or written to, has other files in it, or when another
    /// user made it or may write to it.
    pub fn new(inner: S, folder: &Path, limit_bytes: u64) -> Result<Self, OpenError> {
        Ok(Self {
            inner,
            folder: CacheFolder::open(folder, limit_bytes)?,
            hits: AtomicU64::new(0),
            has_failed: AtomicBool::new(false),
        })
    }

    /// Returns how many pieces came from the folder alone.
    pub fn hits(&self) -> u64 {
        self.hits.load(Ordering::Relaxed)
    }

    /// Hands pieces over in order until `take` returns `false`; fetches what is missing.
    fn read_through(
        &self,
        name: &ObjectName,
        offset: u64,
        lengths: &[usize],
        take: &mut dyn FnMut(Vec<u8>) -> bool,
    ) -> Result<(), Error> {
        let mut search = ChunkSearch::new(&self.folder, self.inner.location(), name);
        let mut pieces = Assembly::new(lengths, take);
        // They stand one behind the other: a chunk that is held comes after they were fetched.
        let mut missing = Vec::new();
        let mut at = offset;
        for length in lengths {
            let mut found = search.find(Chunk {
                offset: at,
                length: *length,
            });
            at = at.saturating_add(*length as u64);
            if found.missing.is_empty() {
                self.hits.fetch_add(1, Ordering::Relaxed);
            }
            if !found.before.is_empty() {
                self.fetch(&mut missing, &search, &mut pieces)?;
                pieces.push(found.before);
            }
            missing.append(&mut found.missing);
            if !found.after.is_empty() {
                self.fetch(&mut missing, &search, &mut pieces)?;
                pieces.push(found.after);
            }
            if !pieces.are_wanted {
                return Ok(());
            }
        }
        self.fetch(&mut missing, &search, &mut pieces)
    }

    /// Fetches chunks that stand one behind the other with one request, and keeps those that are
    /// new.
    fn fetch(
        &self,
        missing: &mut Vec<Missing>,
        search: &ChunkSearch<'_>,
        pieces: &mut Assembly<'_>,
    ) -> Result<(), Error> {
        let missing = std::mem::take(missing);
        let Some(first) = missing.first().filter(|_| pieces.are_wanted) else {
            return Ok(());
        };
        let name = search.name;
        let lengths: Vec<usize> = missing.iter().map(|missing| missing.chunk.length).collect();
        let mut expected = missing.iter();
        let mut come = |bytes: Vec<u8>| {
            let Some(missing) = expected.next() else {
                return false;
            };
            self.keep(search, missing, &bytes);
            pieces.push(bytes);
            pieces.are_wanted
        };
        let wanted = Selection::Pieces {
            offset: first.chunk.offset,
            lengths: &lengths,
        };
        self.inner.read(name, wanted, &mut come)?;
        if pieces.are_wanted && expected.next().is_some() {
            return Err(Error::new(ErrorKind::Short, Operation::Get, name));
        }
        Ok(())
    }

    fn forget(&self, name: &ObjectName) {
        let forgotten = self.folder.forget(&self.inner.location(), name.as_str());
        if let Err(error) = forgotten {
            self.warn_once(&error);
        }
    }

    fn warn_once(&self, error: &std::io::Error) {
        if !self.has_failed.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                folder = %self.folder.path().display(),
                error = error as &dyn std::error::Error,
                "the disk cache cannot be changed"
            );
        }
    }

    fn keep(&self, search: &ChunkSearch<'_>, missing: &Missing, bytes: &[u8]) {
        if missing.is_held || bytes.len() != missing.chunk.length {
            return;
        }
        let region = search.region_of(missing.chunk.offset);
        if let Err(error) = self.folder.keep(&region, missing.chunk, bytes) {
            self.warn_once(&error);
        }
    }
}

/// Returns whether a selection has bytes in each piece, and an object could have all of them.
fn is_plain(offset: u64, lengths: &[usize]) -> bool {
    let end = together(lengths).and_then(|length| offset.checked_add(length as u64));
    end.is_some() && !lengths.is_empty() && !lengths.contains(&0)
}

impl<S: Store> Store for DiskCache<S> {
    /// Forgets what is kept of the object that had the name. A read that is under way at that
    /// moment may still keep a chunk of the old one.
    fn put(&self, name: &ObjectName, body: &Rope) -> Result<(), Error> {
        let outcome = self.inner.put(name, body);
        self.forget(name);
        outcome
    }

    fn read(
        &self,
        name: &ObjectName,
        wanted: Selection<'_>,
        take: &mut dyn FnMut(Vec<u8>) -> bool,
    ) -> Result<(), Error> {
        match wanted {
            Selection::Pieces { offset, lengths } if is_plain(offset, lengths) => {
                self.read_through(name, offset, lengths, take)
            }
            // Whole objects are small ones, of which a newer form may be there at any time.
            _ => self.inner.read(name, wanted, take),
        }
    }

    fn list(&self, prefix: &str, found: &mut dyn FnMut(ObjectInfo) -> bool) -> Result<(), Error> {
        self.inner.list(prefix, found)
    }

    fn delete(&self, name: &ObjectName) -> Result<(), Error> {
        let outcome = self.inner.delete(name);
        self.forget(name);
        outcome
    }

    fn location(&self) -> String {
        self.inner.location()
    }

    fn powers(&self) -> Powers<'_> {
        let inner = self.inner.powers();
        Powers {
            create_once: inner.create_once.map(|create_once| -> CreateOnce<'_> {
                Box::new(move |name, body| {
                    let created = create_once(name, body);
                    self.forget(name);
                    created
                })
            }),
            put_unless_there: inner.put_unless_there.map(|put| -> PutUnlessThere<'_> {
                Box::new(move |name, body| {
                    let done = put(name, body);
                    self.forget(name);
                    done
                })
            }),
            // None of these changes an object.
            held_until: inner.held_until,
            join: inner.join,
            lean_on: inner.lean_on,
        }
    }
}
