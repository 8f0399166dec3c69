//! A wrapper that keeps what was read of data objects on a local disk.
//!
//! The unit is the piece that a reader asks for: a frame or a block of an index. Each is a file of
//! its own, cut where a region of the object ends. A search takes the file of that name; where
//! there is none it puts the wanted bytes together from all files of the region. So it does not
//! matter whether bytes were asked for in one piece or in several. Only missing bytes are fetched,
//! neighbours with one request, and none is kept twice.
//!
//! Parts are kept as they are stored, so what is encrypted there is encrypted here. Several
//! processes can share a folder: one that adds to it holds a lock and makes room first, so that
//! all of them together never take more than they may. A part that was used lately stays longest.
//!
//! Nothing here can fail a read: a folder that is full or gone is a cache that holds nothing.
//! What is in the folder, and what keeps other files safe, is in module `folder`.

mod folder;

pub use folder::OpenError;

use super::{Created, Error, Joined, Kind, ObjectInfo, ObjectName, Rope, Store, Verb, together};
use folder::{Folder, Part, REGION_BYTES, Region};
use jiff::Timestamp;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// A store in front of another that keeps parts of its data objects in a folder.
pub struct DiskCache<S> {
    inner: S,
    folder: Folder,
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
            folder: Folder::open(folder, limit_bytes)?,
            hits: AtomicU64::new(0),
            has_failed: AtomicBool::new(false),
        })
    }

    /// How many pieces came from the folder, as a whole.
    pub fn hits(&self) -> u64 {
        self.hits.load(Ordering::Relaxed)
    }

    /// Hands pieces over in order until `take` returns `false`; fetches what is missing.
    fn read(
        &self,
        name: &ObjectName,
        offset: u64,
        lengths: &[usize],
        take: &mut dyn FnMut(Vec<u8>) -> bool,
    ) -> Result<(), Error> {
        let mut search = Search::new(&self.folder, self.inner.location(), name);
        let mut pieces = Assembly::new(lengths, take);
        // They stand one behind the other: a part that is held comes after they were fetched.
        let mut missing = Vec::new();
        let mut at = offset;
        for length in lengths {
            let mut found = search.find(Part {
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

    /// Fetches parts that stand one behind the other with one request, and keeps those that are
    /// new.
    fn fetch(
        &self,
        missing: &mut Vec<Missing>,
        search: &Search<'_>,
        pieces: &mut Assembly<'_>,
    ) -> Result<(), Error> {
        let missing = std::mem::take(missing);
        let Some(first) = missing.first().filter(|_| pieces.are_wanted) else {
            return Ok(());
        };
        let name = search.name;
        if let [only] = missing.as_slice() {
            let bytes = self
                .inner
                .get_range(name, only.part.offset, only.part.length)?;
            self.keep(search, only, &bytes);
            pieces.push(bytes);
            return Ok(());
        }
        let lengths: Vec<usize> = missing.iter().map(|missing| missing.part.length).collect();
        let mut expected = missing.iter();
        let mut come = |bytes: Vec<u8>| {
            let Some(missing) = expected.next() else {
                return false;
            };
            self.keep(search, missing, &bytes);
            pieces.push(bytes);
            pieces.are_wanted
        };
        self.inner
            .get_pieces(name, first.part.offset, &lengths, &mut come)?;
        if pieces.are_wanted && expected.next().is_some() {
            return Err(Error::new(Kind::Short, Verb::Get, name));
        }
        Ok(())
    }

    fn keep(&self, search: &Search<'_>, missing: &Missing, bytes: &[u8]) {
        if missing.is_held || bytes.len() != missing.part.length {
            return;
        }
        let region = search.region_of(missing.part.offset);
        if let Err(error) = self.folder.keep(&region, missing.part, bytes)
            && !self.has_failed.swap(true, Ordering::Relaxed)
        {
            tracing::warn!(
                folder = %self.folder.path().display(),
                error = &error as &dyn std::error::Error,
                "the disk cache cannot be added to"
            );
        }
    }
}

/// Puts parts together to the pieces that were asked for, and hands those over.
struct Assembly<'call> {
    lengths: std::slice::Iter<'call, usize>,
    take: &'call mut dyn FnMut(Vec<u8>) -> bool,
    /// Whether the caller wants to go on.
    are_wanted: bool,
    /// What there is of the next piece.
    begun: Vec<u8>,
}

impl<'call> Assembly<'call> {
    fn new(lengths: &'call [usize], take: &'call mut dyn FnMut(Vec<u8>) -> bool) -> Self {
        Self {
            lengths: lengths.iter(),
            take,
            are_wanted: true,
            begun: Vec::new(),
        }
    }

    /// Adds bytes that belong to one piece.
    fn push(&mut self, bytes: Vec<u8>) {
        let Some(length) = self.lengths.as_slice().first().filter(|_| self.are_wanted) else {
            return;
        };
        if self.begun.is_empty() {
            self.begun = bytes;
        } else {
            self.begun.extend_from_slice(&bytes);
        }
        if self.begun.len() >= *length {
            self.lengths.next();
            self.are_wanted = (self.take)(std::mem::take(&mut self.begun));
        }
    }
}

/// What the folder holds of one piece: bytes at its begin, and at its end. What lies between is
/// fetched with one request.
#[derive(Default)]
struct Found {
    before: Vec<u8>,
    missing: Vec<Missing>,
    after: Vec<u8>,
}

/// A part that is to be fetched. It lies in one region.
struct Missing {
    part: Part,
    /// Whether the folder has it already: it only lies between others that it does not have.
    is_held: bool,
}

/// Looks for parts of one object.
struct Search<'call> {
    folder: &'call Folder,
    location: String,
    name: &'call ObjectName,
    /// The region that was looked at last.
    region: Option<(u64, Region)>,
    /// All that the folder has of that region, once it was listed.
    held: Option<Vec<Part>>,
    /// The last file of which a part was taken.
    last: Option<(Part, Vec<u8>)>,
}

impl<'call> Search<'call> {
    fn new(folder: &'call Folder, location: String, name: &'call ObjectName) -> Self {
        Self {
            folder,
            location,
            name,
            region: None,
            held: None,
            last: None,
        }
    }

    fn region_of(&self, offset: u64) -> Region {
        let number = offset / REGION_BYTES;
        match &self.region {
            Some((last, region)) if *last == number => region.clone(),
            _ => Region::new(&self.location, self.name.as_str(), number),
        }
    }

    fn find(&mut self, piece: Part) -> Found {
        let mut parts = Vec::with_capacity(1);
        let mut at = piece.offset;
        while at < piece.end() {
            let region_end = (at / REGION_BYTES + 1).saturating_mul(REGION_BYTES);
            let part = between(at, region_end.min(piece.end()));
            self.find_in_region(part, &mut parts);
            at = part.end();
        }
        let is_missing = |(_, bytes): &(Part, Option<Vec<u8>>)| bytes.is_none();
        let first = parts.iter().position(is_missing).unwrap_or(parts.len());
        let behind = parts
            .iter()
            .rposition(is_missing)
            .map_or(first, |last| last + 1);
        let mut found = Found::default();
        for (place, (part, bytes)) in parts.into_iter().enumerate() {
            match bytes {
                Some(bytes) if place < first => join(&mut found.before, bytes),
                Some(bytes) if place >= behind => join(&mut found.after, bytes),
                bytes => found.missing.push(Missing {
                    part,
                    is_held: bytes.is_some(),
                }),
            }
        }
        found
    }

    /// Adds `wanted`, which lies in one region, as the parts that are held and those that are not.
    fn find_in_region(&mut self, wanted: Part, parts: &mut Vec<(Part, Option<Vec<u8>>)>) {
        let number = wanted.offset / REGION_BYTES;
        let region = self.region_of(wanted.offset);
        if self.region.as_ref().is_none_or(|(last, _)| *last != number) {
            (self.region, self.held) = (Some((number, region.clone())), None);
        }
        if self.held.is_none()
            && let Some(bytes) = self.folder.find(&region, wanted)
        {
            parts.push((wanted, Some(bytes)));
            return;
        }
        let folder = self.folder;
        let held = self.held.get_or_insert_with(|| folder.held(&region));
        for (part, file) in cover(held, wanted) {
            let bytes = file.and_then(|file| {
                if file == part {
                    return folder.find(&region, file);
                }
                if self.last.as_ref().is_none_or(|(last, _)| *last != file) {
                    self.last = Some((file, folder.find(&region, file)?));
                }
                let (_, bytes) = self.last.as_ref()?;
                let from = usize::try_from(part.offset - file.offset).ok()?;
                bytes.get(from..from + part.length).map(<[u8]>::to_vec)
            });
            parts.push((part, bytes));
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

/// The part from one offset to another in the same region or piece.
fn between(start: u64, end: u64) -> Part {
    Part {
        offset: start,
        // Never longer than a piece in memory.
        length: usize::try_from(end.saturating_sub(start)).unwrap_or(usize::MAX),
    }
}

/// Splits `wanted` into parts that lie in one of the files `held`, and parts that lie in none.
fn cover(held: &[Part], wanted: Part) -> Vec<(Part, Option<Part>)> {
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

/// Whether there are bytes to be read, and an object could have all of them.
fn is_plain(offset: u64, lengths: &[usize]) -> bool {
    let end = together(lengths).and_then(|length| offset.checked_add(length as u64));
    end.is_some() && !lengths.is_empty() && !lengths.contains(&0)
}

impl<S: Store> Store for DiskCache<S> {
    fn put(&self, name: &ObjectName, body: &Rope) -> Result<(), Error> {
        self.inner.put(name, body)
    }

    fn get(&self, name: &ObjectName, limit: u64) -> Result<Vec<u8>, Error> {
        self.inner.get(name, limit)
    }

    fn get_range(&self, name: &ObjectName, offset: u64, length: usize) -> Result<Vec<u8>, Error> {
        if !is_plain(offset, &[length]) {
            return self.inner.get_range(name, offset, length);
        }
        let mut whole = None;
        self.read(name, offset, &[length], &mut |bytes| {
            whole = Some(bytes);
            true
        })?;
        whole.ok_or_else(|| Error::new(Kind::Short, Verb::Get, name))
    }

    fn get_pieces(
        &self,
        name: &ObjectName,
        offset: u64,
        lengths: &[usize],
        take: &mut dyn FnMut(Vec<u8>) -> bool,
    ) -> Result<(), Error> {
        if !is_plain(offset, lengths) {
            return self.inner.get_pieces(name, offset, lengths, take);
        }
        self.read(name, offset, lengths, take)
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
    use crate::store::{Error, Kind, ObjectInfo, ObjectName, Rope, Store, Verb};
    use std::fs;
    use std::path::{Path, PathBuf};
    use std::sync::{Arc, Mutex};

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
        let folders = fs::read_dir(folder.join("freezer-cache"))
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
            .map(|path| super::folder::on_disk(path.metadata().expect("there").len()))
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
            // The second lies within the first.
            assert_eq!(cache.hits(), if round == 0 { 1 } else { 2 });
        }
        assert_eq!(inner.calls().of(Verb::Get), 1);
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

    /// An object whose bytes tell where they stand, and a store that notes each request.
    struct Noted {
        object: Vec<u8>,
        /// Offset and lengths of each request.
        requests: Mutex<Vec<(u64, Vec<usize>)>>,
    }

    impl Noted {
        fn new(length: usize) -> Arc<Self> {
            let words = (0..=length as u64 / 8).flat_map(u64::to_le_bytes);
            Arc::new(Self {
                object: words.take(length).collect(),
                requests: Mutex::default(),
            })
        }

        fn bytes(&self, offset: u64, length: usize) -> Vec<u8> {
            let from = usize::try_from(offset).expect("small");
            self.object[from..from + length].to_vec()
        }

        /// The requests since the last call.
        fn requests(&self) -> Vec<(u64, Vec<usize>)> {
            std::mem::take(&mut *self.requests.lock().expect("no panic"))
        }
    }

    impl Store for Noted {
        fn put(&self, _: &ObjectName, _: &Rope) -> Result<(), Error> {
            unreachable!("only read")
        }

        fn get(&self, _: &ObjectName, _: u64) -> Result<Vec<u8>, Error> {
            Ok(self.object.clone())
        }

        fn get_range(&self, name: &ObjectName, at: u64, length: usize) -> Result<Vec<u8>, Error> {
            let mut requests = self.requests.lock().expect("no panic");
            requests.push((at, vec![length]));
            if at.saturating_add(length as u64) > self.object.len() as u64 {
                return Err(Error::new(Kind::Short, Verb::Get, name));
            }
            Ok(self.bytes(at, length))
        }

        fn get_pieces(
            &self,
            _: &ObjectName,
            offset: u64,
            lengths: &[usize],
            take: &mut dyn FnMut(Vec<u8>) -> bool,
        ) -> Result<(), Error> {
            let mut requests = self.requests.lock().expect("no panic");
            requests.push((offset, lengths.to_vec()));
            drop(requests);
            let mut at = offset;
            for length in lengths {
                if !take(self.bytes(at, *length)) {
                    break;
                }
                at += *length as u64;
            }
            Ok(())
        }

        fn list(&self, _: &str, _: &mut dyn FnMut(ObjectInfo) -> bool) -> Result<(), Error> {
            Ok(())
        }

        fn delete(&self, _: &ObjectName) -> Result<(), Error> {
            Ok(())
        }

        fn location(&self) -> String {
            "noted:".to_owned()
        }
    }

    /// Reads pieces, and wants them right.
    fn pieces(cache: &DiskCache<Arc<Noted>>, offset: u64, lengths: &[usize]) {
        let (mut at, mut left) = (offset, lengths.iter());
        let mut take = |piece: Vec<u8>| {
            let length = *left.next().expect("no more than was asked for");
            assert!(piece == cache.inner.bytes(at, length), "{length} at {at}");
            at += length as u64;
            true
        };
        cache
            .get_pieces(&name("data/1"), offset, lengths, &mut take)
            .expect("read");
        assert!(left.next().is_none(), "all of them come");
    }

    fn range(cache: &DiskCache<Arc<Noted>>, offset: u64, length: usize) {
        let read = cache.get_range(&name("data/1"), offset, length);
        assert!(read.expect("read") == cache.inner.bytes(offset, length));
    }

    #[test]
    fn bytes_are_found_however_they_were_asked_for_and_kept_once() {
        let (room, inner) = (tempfile::tempdir().expect("a directory"), Noted::new(9000));
        let open = || DiskCache::new(Arc::clone(&inner), room.path(), 1 << 20).expect("a folder");
        pieces(&open(), 0, &[1000, 2000, 3000]);
        assert_eq!(inner.requests(), [(0, vec![1000, 2000, 3000])]);
        let cache = open();
        pieces(&cache, 0, &[1000, 2000, 3000]);
        for (offset, length) in [(1000, 2000), (0, 6000), (500, 1), (999, 2002), (3000, 3000)] {
            range(&cache, offset, length);
        }
        assert_eq!(inner.requests(), []);
        assert_eq!(files(room.path()).len(), 3, "one file for each piece");

        // The other way round: asked for as one, then in pieces.
        range(&cache, 6000, 3000);
        assert_eq!(inner.requests(), [(6000, vec![3000])]);
        pieces(&cache, 5000, &[1000, 1500, 700, 800]);
        range(&cache, 7000, 100);
        assert_eq!(inner.requests(), []);
        assert_eq!(files(room.path()).len(), 4);
    }

    #[test]
    fn only_missing_pieces_are_fetched_and_neighbours_with_one_request() {
        let (room, inner) = (tempfile::tempdir().expect("a directory"), Noted::new(9000));
        let cache = DiskCache::new(Arc::clone(&inner), room.path(), 1 << 20).expect("a folder");
        range(&cache, 3000, 1000);
        range(&cache, 6000, 500);
        inner.requests();
        pieces(&cache, 0, &[1000; 9]);
        let expected = [
            (0, vec![1000, 1000, 1000]),
            (4000, vec![1000, 1000]),
            (6500, vec![500, 1000, 1000]),
        ];
        assert_eq!(inner.requests(), expected);
        pieces(&cache, 0, &[900; 10]);
        assert_eq!(inner.requests(), []);

        // Within one piece a single request: what is held in its midst comes again, and is not
        // kept again.
        let room = tempfile::tempdir().expect("a directory");
        let cache = DiskCache::new(Arc::clone(&inner), room.path(), 1 << 20).expect("a folder");
        for offset in [0, 2000, 4000] {
            range(&cache, offset, 100);
        }
        inner.requests();
        range(&cache, 0, 4100);
        assert_eq!(inner.requests(), [(100, vec![1900, 100, 1900])]);
        assert_eq!(files(room.path()).len(), 5);
        range(&cache, 0, 4100);
        assert_eq!(inner.requests(), []);
    }

    #[test]
    fn pieces_over_the_edge_of_a_region_are_found_again() {
        let length = 3 * (8 << 20) + 7;
        let (room, inner) = (
            tempfile::tempdir().expect("a directory"),
            Noted::new(length),
        );
        let cache = DiskCache::new(Arc::clone(&inner), room.path(), 1 << 30).expect("a folder");
        let frames = [vec![300_001; 83], vec![length - 300_001 * 83]].concat();
        pieces(&cache, 0, &frames);
        assert_eq!(inner.requests().len(), 1);
        assert_eq!(files(room.path()).len(), 84 + 3, "three are cut in two");
        pieces(&cache, 0, &frames);
        range(&cache, 0, length);
        range(&cache, 300_001 * 27, 300_001);
        assert_eq!(inner.requests(), []);
        range(&cache, 0, 1);
        let kept = bytes(room.path());
        assert!(kept < length as u64 + 90 * 8192, "{kept} bytes on disk");
    }

    #[test]
    fn pieces_are_handed_over_as_they_come_and_no_further_than_they_are_wanted() {
        /// Hands over two pieces and then fails.
        struct Cut(Arc<Noted>);
        impl Store for Cut {
            fn put(&self, name: &ObjectName, body: &Rope) -> Result<(), Error> {
                self.0.put(name, body)
            }
            fn get(&self, name: &ObjectName, limit: u64) -> Result<Vec<u8>, Error> {
                self.0.get(name, limit)
            }
            fn get_range(&self, name: &ObjectName, _: u64, _: usize) -> Result<Vec<u8>, Error> {
                Err(Error::new(Kind::Unavailable, Verb::Get, name))
            }
            fn get_pieces(
                &self,
                name: &ObjectName,
                offset: u64,
                lengths: &[usize],
                take: &mut dyn FnMut(Vec<u8>) -> bool,
            ) -> Result<(), Error> {
                self.0.get_pieces(name, offset, &lengths[..2], take)?;
                Err(Error::new(Kind::Unavailable, Verb::Get, name))
            }
            fn list(&self, _: &str, _: &mut dyn FnMut(ObjectInfo) -> bool) -> Result<(), Error> {
                Ok(())
            }
            fn delete(&self, name: &ObjectName) -> Result<(), Error> {
                self.0.delete(name)
            }
            fn location(&self) -> String {
                self.0.location()
            }
        }
        let (room, inner) = (tempfile::tempdir().expect("a directory"), Noted::new(9000));
        let cut = DiskCache::new(Cut(Arc::clone(&inner)), room.path(), 1 << 20).expect("a folder");
        let mut come = 0;
        let ended = cut.get_pieces(&name("data/1"), 0, &[1000; 4], &mut |_| {
            come += 1;
            true
        });
        assert_eq!(ended.expect_err("cut").kind(), Kind::Unavailable);
        assert_eq!(come, 2, "what had come before stays good");

        // And it is kept: only the rest is fetched.
        let cache = DiskCache::new(Arc::clone(&inner), room.path(), 1 << 20).expect("a folder");
        inner.requests();
        let mut come = 0;
        cache
            .get_pieces(&name("data/1"), 0, &[1000; 6], &mut |_| {
                come += 1;
                come < 4
            })
            .expect("read");
        assert_eq!(come, 4);
        assert_eq!(inner.requests(), [(2000, vec![1000; 4])]);
        pieces(&cache, 0, &[1000; 4]);
        assert_eq!(inner.requests(), [], "the two that were taken are kept");
    }

    #[test]
    fn a_store_that_gives_less_than_it_was_asked_for_is_an_error() {
        let (room, inner) = (tempfile::tempdir().expect("a directory"), Noted::new(9000));
        let cache = DiskCache::new(Arc::clone(&inner), room.path(), 1 << 20).expect("a folder");
        let short = cache.get_range(&name("data/1"), 8500, 501);
        assert_eq!(short.expect_err("it ends before").kind(), Kind::Short);
        range(&cache, 8000, 1000);
        let short = cache.get_range(&name("data/1"), 8500, 501);
        assert_eq!(short.expect_err("it ends before").kind(), Kind::Short);
        assert!(cache.get_range(&name("data/1"), u64::MAX, 2).is_err());
    }
}
