//! Reading from a store that answers slowly.

use crate::support::{backup, reading, scratch, torture};
use freezer::catalog::Access;
use freezer::fs::view::View;
use freezer::fs::{FileReader, ReadOptions};
use freezer::model::{Cancel, TreePath};
use freezer::platform::pause;
use freezer::store::altered::{Alteration, Altered};
use freezer::store::disk_cache::DiskCache;
use freezer::store::memory::MemoryStore;
use freezer::store::{Error, ErrorKind, ObjectName, Operation, Selection, Store};
use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A store whose answers take 15 ms, and which fails requests for more than `most` bytes.
struct Far<S> {
    inner: Arc<S>,
    most: usize,
    /// Bytes returned so far.
    given: Arc<AtomicUsize>,
}

impl<S: Store> Alteration for Far<S> {
    fn inner(&self) -> &dyn Store {
        &self.inner
    }

    fn read(
        &self,
        name: &ObjectName,
        wanted: Selection<'_>,
        take: &mut dyn FnMut(Vec<u8>) -> bool,
    ) -> Result<(), Error> {
        if let Selection::Pieces { lengths, .. } = wanted {
            pause(Duration::from_millis(15), &Cancel::new());
            let length = lengths.iter().sum();
            if length > self.most {
                return Err(Error::new(ErrorKind::Failed, Operation::Get, name));
            }
            self.given.fetch_add(length, Ordering::Relaxed);
        }
        self.inner.read(name, wanted, take)
    }
}

const FILE_BYTES: usize = 48 << 20;

/// A large file in a store, and the same store as one that is far away.
fn large_file(store: Arc<dyn Store>, far: impl FnOnce() -> Arc<dyn Store>) -> (Vec<u8>, View) {
    large_file_by(ReadOptions::default(), store, far)
}

fn large_file_by(
    options: ReadOptions,
    store: Arc<dyn Store>,
    far: impl FnOnce() -> Arc<dyn Store>,
) -> (Vec<u8>, View) {
    let source = scratch();
    let content = torture::noise(7, FILE_BYTES);
    fs::write(source.path().join("large"), &content).expect("written");
    let access = backup::create_encrypted(store);
    let level = backup::back_up(&access, &[source.path()], |request| {
        request.segment_bytes = 16 << 20
    })
    .manifest
    .id;
    let far: Access = access.through(far());
    let reader = FileReader::new(&options.for_network()).expect("threads can be started");
    let view = reading::open(&far, &backup::name(), &level, &Arc::new(reader)).expect("opened");
    (content, view)
}

fn read_in_order(view: &View, content: &[u8]) {
    let (node, _) = view
        .lookup(&TreePath::parse(b"large").expect("legal"))
        .expect("read")
        .expect("there");
    let file = view.file(node).expect("a file");
    let mut buffer = vec![0; 128 << 10];
    for (number, expected) in content.chunks(buffer.len()).enumerate() {
        let read = file
            .read((number * buffer.len()) as u64, &mut buffer)
            .expect("read");
        assert!(buffer[..read] == *expected, "piece {number}");
    }
}

#[test]
fn consecutive_frames_of_a_far_store_come_with_one_request() {
    let memory = Arc::new(MemoryStore::default());
    let counted = Arc::clone(&memory);
    let (content, view) = large_file(memory.clone(), move || {
        Arc::new(Altered(Far {
            inner: counted,
            most: usize::MAX,
            given: Arc::default(),
        }))
    });
    let before = memory.calls().of(Operation::Get);
    read_in_order(&view, &content);
    let requests = memory.calls().of(Operation::Get) - before;
    // Frames inside large files have 256 KiB: 192 of them.
    assert!((3..=60).contains(&requests), "{requests} requests");
}

#[test]
fn a_request_of_many_frames_that_fails_fails_no_read() {
    let memory = Arc::new(MemoryStore::default());
    let inner = Arc::clone(&memory);
    let (content, view) = large_file(memory, move || {
        Arc::new(Altered(Far {
            inner,
            most: 400 << 10,
            given: Arc::default(),
        }))
    });
    read_in_order(&view, &content);
}

#[test]
fn a_file_that_several_threads_read_not_quite_in_order_is_fetched_once() {
    let memory = Arc::new(MemoryStore::default());
    let (inner, given) = (Arc::clone(&memory), Arc::<AtomicUsize>::default());
    let far = Altered(Far {
        inner,
        most: usize::MAX,
        given: Arc::clone(&given),
    });
    let (content, view) = large_file(memory, move || Arc::new(far));
    let (node, _) = view
        .lookup(&TreePath::parse(b"large").expect("legal"))
        .expect("read")
        .expect("there");
    let before = given.load(Ordering::Relaxed);
    // The kernel reads ahead: it asks for some places at once, and its requests overtake each
    // other.
    const PIECE: usize = 128 << 10;
    let places: Mutex<Vec<usize>> = Mutex::new(
        (0..FILE_BYTES / PIECE)
            .map(|place| place ^ 3)
            .rev()
            .collect(),
    );
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let file = view.file(node).expect("a file");
                let mut buffer = vec![0; PIECE];
                while let Some(place) = { places.lock().expect("no panic").pop() } {
                    assert_eq!(
                        file.read((place * PIECE) as u64, &mut buffer)
                            .expect("read"),
                        PIECE
                    );
                    assert!(
                        buffer[..] == content[place * PIECE..][..PIECE],
                        "piece {place}"
                    );
                }
            });
        }
    });
    let fetched = given.load(Ordering::Relaxed) - before;
    assert!(
        fetched <= FILE_BYTES + FILE_BYTES / 4,
        "{fetched} bytes were fetched for {FILE_BYTES}"
    );
}

#[test]
fn no_more_is_fetched_ahead_than_a_small_cache_has_room_for() {
    let memory = Arc::new(MemoryStore::default());
    let (inner, given) = (Arc::clone(&memory), Arc::<AtomicUsize>::default());
    let far = Altered(Far {
        inner,
        most: usize::MAX,
        given: Arc::clone(&given),
    });
    let options = ReadOptions {
        cache_bytes: 6 << 20,
        ..ReadOptions::default()
    };
    let (content, view) = large_file_by(options, memory, move || Arc::new(far));
    let before = given.load(Ordering::Relaxed);
    read_in_order(&view, &content);
    let fetched = given.load(Ordering::Relaxed) - before;
    assert!(
        fetched <= FILE_BYTES + FILE_BYTES / 8,
        "{fetched} bytes were fetched for {FILE_BYTES}"
    );
}

#[test]
fn a_small_read_anywhere_costs_at_most_one_node_and_one_frame() {
    let memory = Arc::new(MemoryStore::default());
    let (inner, given) = (Arc::clone(&memory), Arc::<AtomicUsize>::default());
    let far = Altered(Far {
        inner,
        most: usize::MAX,
        given: Arc::clone(&given),
    });
    let (content, view) = large_file(memory.clone(), move || Arc::new(far));
    let (node, _) = view
        .lookup(&TreePath::parse(b"large").expect("legal"))
        .expect("read")
        .expect("there");
    let file = view.file(node).expect("a file");
    let mut buffer = [0; 4096];
    let seen = || {
        (
            memory.calls().of(Operation::Get),
            given.load(Ordering::Relaxed),
        )
    };
    // In the middle of frames: across the edge of two, a read needs both.
    for place in [47, 3, 29, 11, 40, 17, 22, 35].map(|mib| (mib << 20) + 40_000) {
        let before = seen();
        assert_eq!(
            file.read(place as u64, &mut buffer).expect("read"),
            buffer.len()
        );
        assert!(
            buffer[..] == content[place..][..buffer.len()],
            "place {place}"
        );
        let now = seen();
        let (requests, bytes) = (now.0 - before.0, now.1 - before.1);
        assert!(
            (1..=2).contains(&requests),
            "{requests} requests at {place}"
        );
        assert!(
            bytes <= (128 << 10) + (64 << 10),
            "{bytes} bytes at {place}"
        );
    }
}

#[test]
fn a_file_read_whole_through_a_disk_cache_takes_no_request_again() {
    let (memory, room) = (Arc::new(MemoryStore::default()), scratch());
    let source = scratch();
    let content = torture::noise(7, FILE_BYTES);
    fs::write(source.path().join("large"), &content).expect("written");
    let access = backup::create_encrypted(memory.clone());
    let level = backup::back_up(&access, &[source.path()], |request| {
        request.segment_bytes = 16 << 20
    })
    .manifest
    .id;
    // Each time as another process would: only the files on the disk are left.
    let open = || {
        let far = Altered(Far {
            inner: memory.clone(),
            most: usize::MAX,
            given: Arc::default(),
        });
        let given = Arc::clone(&far.0.given);
        let cache = DiskCache::new(far, room.path(), 1 << 30).expect("a folder");
        let access = access.through(Arc::new(cache));
        let reader = FileReader::new(&ReadOptions::default().for_network()).expect("threads");
        let view = reading::open(&access, &backup::name(), &level, &Arc::new(reader));
        (view.expect("opened"), given)
    };
    let (view, given) = open();
    read_in_order(&view, &content);
    let fetched = given.load(Ordering::Relaxed);
    assert!(
        fetched <= FILE_BYTES + FILE_BYTES / 8,
        "{fetched} bytes for {FILE_BYTES}"
    );

    let (view, given) = open();
    read_in_order(&view, &content);
    assert_eq!(given.load(Ordering::Relaxed), 0, "a second copy");

    let (view, given) = open();
    let (node, _) = view
        .lookup(&TreePath::parse(b"large").expect("legal"))
        .expect("read")
        .expect("there");
    let file = view.file(node).expect("a file");
    let mut buffer = [0; 4096];
    for place in [47, 3, 29, 11, 40, 17, 22, 35].map(|mib| (mib << 20) + 40_000) {
        file.read(place as u64, &mut buffer).expect("read");
        assert!(buffer[..] == content[place..][..buffer.len()], "{place}");
    }
    assert_eq!(given.load(Ordering::Relaxed), 0, "reads anywhere");

    let mut waiting = vec![room.path().to_owned()];
    let mut kept = 0;
    while let Some(folder) = waiting.pop() {
        for entry in fs::read_dir(folder).expect("there") {
            let entry = entry.expect("read");
            match entry.metadata().expect("there") {
                seen if seen.is_dir() => waiting.push(entry.path()),
                seen => kept += seen.len(),
            }
        }
    }
    assert!(
        kept <= (FILE_BYTES + FILE_BYTES / 8) as u64,
        "{kept} bytes on disk for {FILE_BYTES}"
    );
}
