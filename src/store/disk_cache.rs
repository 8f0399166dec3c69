//! A wrapper that keeps what was read of data objects on a local disk.
//!
//! Parts are kept as they are stored, so what is encrypted there is encrypted here. Each is a file
//! of its own that begins with a sum over its name and content: one that is not what it was is
//! fetched again. Several processes can share a folder: who adds to it holds a lock, makes room
//! first, and counts what is there, so that it never takes more than it may. A part that was used
//! lately stays longest.
//!
//! Nothing here can fail a read: a folder that is full or gone is a cache that holds nothing.

use super::{Created, Error, Joined, ObjectInfo, ObjectName, Rope, Store};
use crate::platform::durable::{self, Access};
use crate::platform::{Clock, SystemClock};
use jiff::Timestamp;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::SystemTime;

/// What the sum of a file begins with: the form of the files.
const FORM: &[u8] = b"freezer disk cache 1\0";

/// Bytes of a sum.
const SUM: usize = 32;

/// Files take whole blocks of a file system.
const BLOCK: u64 = 4096;

/// When there is no room, so much is made at once: finding the oldest means looking at all.
const MADE_AT_ONCE: u64 = 10;

/// A store in front of another that keeps parts of its data objects in a folder.
pub struct DiskCache<S> {
    inner: S,
    folder: PathBuf,
    limit_bytes: u64,
    hits: AtomicU64,
    has_failed: AtomicBool,
}

/// A file of the cache.
struct Kept {
    path: PathBuf,
    bytes: u64,
    used: SystemTime,
}

impl<S: Store> DiskCache<S> {
    /// Keeps at most `limit_bytes` in `folder`, which is made if it is not there, for its owner
    /// alone.
    ///
    /// # Errors
    ///
    /// When the folder cannot be made or written to.
    pub fn new(inner: S, folder: &Path, limit_bytes: u64) -> io::Result<Self> {
        match durable::create_folder(folder, Access::private()) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        let cache = Self {
            inner,
            folder: folder.to_owned(),
            limit_bytes,
            hits: AtomicU64::new(0),
            has_failed: AtomicBool::new(false),
        };
        let lock = cache.lock()?;
        // Another limit may have held before, and a process may have died in the midst of adding.
        cache.count_anew(limit_bytes)?;
        drop(lock);
        Ok(cache)
    }

    /// How many parts came from the folder.
    pub fn hits(&self) -> u64 {
        self.hits.load(Ordering::Relaxed)
    }

    fn path_of(&self, name: &ObjectName, offset: u64, length: usize) -> (PathBuf, blake3::Hasher) {
        let mut key = blake3::Hasher::new();
        key.update(FORM);
        for part in [self.inner.location().as_bytes(), name.as_str().as_bytes()] {
            key.update(&(part.len() as u64).to_le_bytes());
            key.update(part);
        }
        key.update(&offset.to_le_bytes());
        key.update(&(length as u64).to_le_bytes());
        let text = key.finalize().to_hex();
        let (folder, file) = text.as_str().split_at(2);
        (self.folder.join(folder).join(file), key)
    }

    /// What is kept under that path, if it is what it was.
    fn find(path: &Path, key: &blake3::Hasher, length: usize) -> Option<Vec<u8>> {
        let mut file = File::open(path).ok()?;
        let mut sum = [0; SUM];
        file.read_exact(&mut sum).ok()?;
        let mut bytes = Vec::with_capacity(length);
        Read::take(&mut file, length as u64 + 1)
            .read_to_end(&mut bytes)
            .ok()?;
        if bytes.len() != length || sum_of(key, &bytes) != sum {
            // Whoever finds it next need not read it again.
            fs::remove_file(path).ok();
            return None;
        }
        // For who makes room. In vain on a file system that is read-only.
        file.set_modified(SystemTime::from(SystemClock.now())).ok();
        Some(bytes)
    }

    fn keep(&self, path: &Path, key: &blake3::Hasher, bytes: &[u8]) -> io::Result<()> {
        let size = on_disk((SUM + bytes.len()) as u64);
        if size > self.limit_bytes {
            return Ok(());
        }
        let _lock = self.lock()?;
        let mut held = self
            .counted()
            .map_or_else(|| self.count_anew(self.limit_bytes), Ok)?;
        if held + size > self.limit_bytes {
            let room = size + self.limit_bytes / MADE_AT_ONCE;
            held = self.count_anew(self.limit_bytes.saturating_sub(room))?;
            if held + size > self.limit_bytes {
                return Ok(());
            }
        }
        // Counted before it is there: who dies in between leaves a count that is too high, and the
        // next one that needs room counts anew.
        self.count(held + size)?;
        if let Some(folder) = path.parent() {
            match durable::create_folder(folder, Access::private()) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                _ => {}
            }
        }
        let unfinished = path.with_extension("part");
        // What a process left that died; the lock says that no other is at it.
        fs::remove_file(&unfinished).or_else(|error| {
            if error.kind() == io::ErrorKind::NotFound {
                Ok(())
            } else {
                Err(error)
            }
        })?;
        let mut file = durable::create_file(&unfinished, Access::private())?;
        file.write_all(&sum_of(key, bytes))?;
        file.write_all(bytes)?;
        drop(file);
        fs::rename(&unfinished, path)
    }

    /// Keeps other processes and threads from adding. A lock ends with the process that holds it.
    fn lock(&self) -> io::Result<File> {
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(self.folder.join("lock"))?;
        lock.lock()?;
        Ok(lock)
    }

    fn counted(&self) -> Option<u64> {
        fs::read_to_string(self.folder.join("bytes"))
            .ok()?
            .trim()
            .parse()
            .ok()
    }

    fn count(&self, bytes: u64) -> io::Result<()> {
        fs::write(self.folder.join("bytes"), bytes.to_string())
    }

    /// Looks at all there is, removes what was not used for longest until no more than `most` is
    /// left, and what a process left that died.
    fn count_anew(&self, most: u64) -> io::Result<u64> {
        let mut kept = Vec::new();
        for folder in fs::read_dir(&self.folder)? {
            let folder = folder?;
            if !folder.file_type()?.is_dir() || folder.file_name().len() != 2 {
                continue;
            }
            for file in fs::read_dir(folder.path())? {
                let file = file?;
                let (path, metadata) = (file.path(), file.metadata()?);
                if path.extension().is_some() {
                    fs::remove_file(&path)?;
                } else if metadata.is_file() {
                    kept.push(Kept {
                        path,
                        bytes: on_disk(metadata.len()),
                        used: metadata.modified()?,
                    });
                }
            }
        }
        kept.sort_unstable_by_key(|kept| std::cmp::Reverse(kept.used));
        let mut held: u64 = kept.iter().map(|kept| kept.bytes).sum();
        while held > most {
            let Some(oldest) = kept.pop() else { break };
            match fs::remove_file(&oldest.path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => held -= oldest.bytes,
            }
        }
        self.count(held)?;
        Ok(held)
    }
}

fn on_disk(bytes: u64) -> u64 {
    bytes.next_multiple_of(BLOCK)
}

fn sum_of(key: &blake3::Hasher, bytes: &[u8]) -> [u8; SUM] {
    let mut sum = key.clone();
    sum.update(bytes);
    *sum.finalize().as_bytes()
}

impl<S: Store> Store for DiskCache<S> {
    fn put(&self, name: &ObjectName, body: &Rope) -> Result<(), Error> {
        self.inner.put(name, body)
    }

    fn get(&self, name: &ObjectName, limit: u64) -> Result<Vec<u8>, Error> {
        self.inner.get(name, limit)
    }

    fn get_range(&self, name: &ObjectName, offset: u64, length: usize) -> Result<Vec<u8>, Error> {
        let (path, key) = self.path_of(name, offset, length);
        if let Some(bytes) = Self::find(&path, &key, length) {
            self.hits.fetch_add(1, Ordering::Relaxed);
            return Ok(bytes);
        }
        let bytes = self.inner.get_range(name, offset, length)?;
        if let Err(error) = self.keep(&path, &key, &bytes)
            && !self.has_failed.swap(true, Ordering::Relaxed)
        {
            tracing::warn!(folder = %self.folder.display(), error = &error as &dyn std::error::Error, "the disk cache cannot be added to");
        }
        Ok(bytes)
    }

    fn list(&self, prefix: &str, found: &mut dyn FnMut(ObjectInfo) -> bool) -> Result<(), Error> {
        self.inner.list(prefix, found)
    }

    fn delete(&self, name: &ObjectName) -> Result<(), Error> {
        self.inner.delete(name)
    }

    fn join(&self, whole: &ObjectName, parts: &str, count: u64) -> Result<Joined, Error> {
        self.inner.join(whole, parts, count)
    }

    fn lean_on(&self, object: &ObjectName) -> Result<(), Error> {
        self.inner.lean_on(object)
    }

    fn put_new(&self, name: &ObjectName, body: &Rope) -> Result<Created, Error> {
        self.inner.put_new(name, body)
    }

    fn put_unless_there(&self, name: &ObjectName, body: &Rope) -> Result<bool, Error> {
        self.inner.put_unless_there(name, body)
    }

    fn held_until(&self, name: &ObjectName) -> Result<Option<Timestamp>, Error> {
        self.inner.held_until(name)
    }

    fn location(&self) -> String {
        self.inner.location()
    }
}

#[cfg(test)]
mod tests {
    use super::DiskCache;
    use crate::store::memory::Memory;
    use crate::store::{ObjectName, Store, Verb};
    use std::fs;
    use std::path::{Path, PathBuf};
    use std::sync::Arc;

    fn name(text: &str) -> ObjectName {
        ObjectName::new(text).expect("legal")
    }

    /// A store with objects of 10,000 bytes each.
    fn store(objects: u8) -> Arc<Memory> {
        let store = Arc::new(Memory::default());
        (0..objects).for_each(|number| {
            store
                .put(
                    &name(&format!("data/{number}")),
                    &vec![vec![number; 10_000]],
                )
                .expect("memory")
        });
        store
    }

    fn files(folder: &Path) -> Vec<PathBuf> {
        let folders = fs::read_dir(folder)
            .expect("there")
            .map(|entry| entry.expect("read").path())
            .filter(|path| path.is_dir());
        folders
            .flat_map(|folder| {
                fs::read_dir(folder)
                    .expect("there")
                    .map(|entry| entry.expect("read").path())
            })
            .collect()
    }

    fn bytes(folder: &Path) -> u64 {
        files(folder)
            .iter()
            .map(|path| super::on_disk(path.metadata().expect("there").len()))
            .sum()
    }

    #[test]
    fn what_was_read_comes_from_the_folder_after_a_restart_too() {
        let (room, inner) = (tempfile::tempdir().expect("a directory"), store(2));
        for round in 0..3 {
            let cache = DiskCache::new(Arc::clone(&inner), room.path(), 1 << 20).expect("a folder");
            assert_eq!(
                cache.get_range(&name("data/1"), 10, 500).expect("read"),
                vec![1; 500]
            );
            assert_eq!(
                cache
                    .get_range(&name("data/1"), 10, 400)
                    .expect("another part"),
                vec![1; 400]
            );
            assert_eq!(cache.hits(), if round == 0 { 0 } else { 2 });
        }
        assert_eq!(inner.calls().of(Verb::Get), 2);
    }

    #[test]
    fn a_part_that_is_not_what_it_was_is_fetched_again() {
        let (room, inner) = (tempfile::tempdir().expect("a directory"), store(2));
        let cache = DiskCache::new(Arc::clone(&inner), room.path(), 1 << 20).expect("a folder");
        let mut fetched = 0;
        let harms: [fn(&Path); 5] = [
            |path| fs::write(path, b"").expect("written"),
            |path| fs::write(path, &fs::read(path).expect("read")[..100]).expect("written"),
            |path| {
                fs::write(path, [fs::read(path).expect("read"), vec![0]].concat()).expect("written")
            },
            |path| {
                let mut bytes = fs::read(path).expect("read");
                bytes[200] ^= 1;
                fs::write(path, bytes).expect("written");
            },
            |path| fs::remove_file(path).expect("removed"),
        ];
        for harm in harms {
            cache.get_range(&name("data/1"), 0, 500).expect("read");
            fetched += u64::from(fetched == 0);
            harm(files(room.path()).first().expect("one file"));
            assert_eq!(
                cache.get_range(&name("data/1"), 0, 500).expect("read"),
                vec![1; 500]
            );
            fetched += 1;
            assert_eq!(inner.calls().of(Verb::Get), fetched);
        }
        // One part in the place of another.
        cache.get_range(&name("data/0"), 0, 500).expect("read");
        let both = files(room.path());
        fs::copy(&both[0], &both[1]).expect("copied");
        for number in [0, 1] {
            assert_eq!(
                cache
                    .get_range(&name(&format!("data/{number}")), 0, 500)
                    .expect("read"),
                vec![number; 500]
            );
        }
    }

    #[test]
    fn it_never_takes_more_than_it_may_and_keeps_what_is_used() {
        let (room, inner) = (tempfile::tempdir().expect("a directory"), store(200));
        let limit = 40 * 12_288;
        let caches = [0, 1]
            .map(|_| DiskCache::new(Arc::clone(&inner), room.path(), limit).expect("a folder"));
        for number in 0..200_u8 {
            let cache = &caches[usize::from(number % 2)];
            cache
                .get_range(&name(&format!("data/{number}")), 0, 10_000)
                .expect("read");
            cache.get_range(&name("data/0"), 0, 10_000).expect("read");
            assert!(
                bytes(room.path()) <= limit,
                "after {number}: {}",
                bytes(room.path())
            );
        }
        assert!(bytes(room.path()) > limit / 2, "{}", bytes(room.path()));
        assert_eq!(
            caches.iter().map(DiskCache::hits).sum::<u64>(),
            200,
            "what is used all the time is never thrown out"
        );
        DiskCache::new(Arc::clone(&inner), room.path(), 30_000).expect("a folder");
        assert!(
            bytes(room.path()) <= 30_000,
            "a smaller limit holds at once"
        );
        assert_eq!(
            caches[0]
                .get_range(&name("data/7"), 0, 10_000)
                .expect("read"),
            vec![7; 10_000]
        );
    }

    #[test]
    fn a_folder_that_is_gone_fails_no_read() {
        let (room, inner) = (tempfile::tempdir().expect("a directory"), store(2));
        let folder = room.path().join("cache");
        let cache = DiskCache::new(Arc::clone(&inner), &folder, 1 << 20).expect("a folder");
        fs::remove_dir_all(&folder).expect("removed");
        assert_eq!(
            cache.get_range(&name("data/1"), 0, 500).expect("read"),
            vec![1; 500]
        );
        assert!(DiskCache::new(inner, Path::new("/dev/null/x"), 1).is_err());
    }
}
