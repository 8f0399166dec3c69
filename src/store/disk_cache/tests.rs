//! What is fetched, kept and handed over, over stores in memory.

use super::DiskCache;
use crate::store::altered::{Alteration, Altered};
use crate::store::memory::MemoryStore;
use crate::store::{
    Error, ErrorKind, ObjectInfo, ObjectName, Operation, Powers, Rope, Selection, Store, StoreExt,
};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

fn name(text: &str) -> ObjectName {
    ObjectName::new(text).expect("legal")
}

/// A store with objects of 10,000 bytes each.
fn store(objects: u8) -> Arc<MemoryStore> {
    let store = Arc::new(MemoryStore::default());
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
        .map(|path| super::chunks::on_disk(path.metadata().expect("there").len()))
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
    assert_eq!(inner.calls().of(Operation::Get), 1);
}

#[test]
fn a_part_that_is_not_what_it_was_is_fetched_again() {
    let (room, inner) = (tempfile::tempdir().expect("a directory"), store(2));
    let cache = DiskCache::new(Arc::clone(&inner), room.path(), 1 << 20).expect("a folder");
    let mut fetched = 0;
    let harms: [fn(&Path); 5] = [
        |path| fs::write(path, b"").expect("written"),
        |path| fs::write(path, &fs::read(path).expect("read")[..100]).expect("written"),
        |path| fs::write(path, [fs::read(path).expect("read"), vec![0]].concat()).expect("written"),
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
        assert_eq!(inner.calls().of(Operation::Get), fetched);
    }
    // One chunk in the place of another.
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
    let caches =
        [0, 1].map(|_| DiskCache::new(Arc::clone(&inner), room.path(), limit).expect("a folder"));
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

    fn read(
        &self,
        name: &ObjectName,
        wanted: Selection<'_>,
        take: &mut dyn FnMut(Vec<u8>) -> bool,
    ) -> Result<(), Error> {
        let Selection::Pieces { offset, lengths } = wanted else {
            take(self.object.clone());
            return Ok(());
        };
        let mut requests = self.requests.lock().expect("no panic");
        requests.push((offset, lengths.to_vec()));
        drop(requests);
        let mut at = offset;
        for length in lengths {
            if at.saturating_add(*length as u64) > self.object.len() as u64 {
                return Err(Error::new(ErrorKind::Short, Operation::Get, name));
            }
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

    fn powers(&self) -> Powers<'_> {
        Powers::none()
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
    impl Alteration for Cut {
        fn inner(&self) -> &dyn Store {
            &self.0
        }

        fn read(
            &self,
            name: &ObjectName,
            wanted: Selection<'_>,
            take: &mut dyn FnMut(Vec<u8>) -> bool,
        ) -> Result<(), Error> {
            let Selection::Pieces { offset, lengths } = wanted else {
                return self.0.read(name, wanted, take);
            };
            self.0.get_pieces(name, offset, &lengths[..2], take)?;
            Err(Error::new(ErrorKind::Unavailable, Operation::Get, name))
        }
    }
    let (room, inner) = (tempfile::tempdir().expect("a directory"), Noted::new(9000));
    let cut =
        DiskCache::new(Altered(Cut(Arc::clone(&inner))), room.path(), 1 << 20).expect("a folder");
    let mut come = 0;
    let ended = cut.get_pieces(&name("data/1"), 0, &[1000; 4], &mut |_| {
        come += 1;
        true
    });
    assert_eq!(ended.expect_err("cut").kind(), ErrorKind::Unavailable);
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
    assert_eq!(short.expect_err("it ends before").kind(), ErrorKind::Short);
    range(&cache, 8000, 1000);
    let short = cache.get_range(&name("data/1"), 8500, 501);
    assert_eq!(short.expect_err("it ends before").kind(), ErrorKind::Short);
    assert!(cache.get_range(&name("data/1"), u64::MAX, 2).is_err());
}

#[test]
fn what_is_stored_or_removed_through_it_is_forgotten_and_nothing_else() {
    let (room, inner) = (tempfile::tempdir().expect("a directory"), store(2));
    let cache = DiskCache::new(Arc::clone(&inner), room.path(), 1 << 20).expect("a folder");
    for number in [0, 1] {
        let object = name(&format!("data/{number}"));
        cache.get_range(&object, 10, 500).expect("read");
        cache.get_range(&object, 5000, 500).expect("read");
    }
    assert_eq!(files(room.path()).len(), 4);
    cache
        .put(&name("data/1"), &vec![vec![9; 600]])
        .expect("stored");
    assert_eq!(files(room.path()).len(), 2, "both chunks of data/1 went");
    let read = cache.get_range(&name("data/1"), 10, 500).expect("read");
    assert_eq!(read, vec![9; 500], "the new ones");
    cache.delete(&name("data/1")).expect("removed");
    let gone = cache.get_range(&name("data/1"), 10, 500);
    assert_eq!(gone.expect_err("removed").kind(), ErrorKind::Missing);
    let before = inner.calls().of(Operation::Get);
    cache.get_range(&name("data/0"), 5000, 500).expect("read");
    assert_eq!(inner.calls().of(Operation::Get), before, "data/0 is kept");
}
