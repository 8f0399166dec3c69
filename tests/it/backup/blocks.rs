//! The engine rsync: blocks that earlier levels have are not stored again, and every level gives
//! the file as it was.

use super::changing::AtFirstFile;
use super::extract_by_hand;
use crate::support::oracle::{self, Holes, compare};
use crate::support::{backup, reading, torture};
use freezer::backup::{BlockOptions, Engine, Levels, Report, run};
use freezer::catalog::Access;
use freezer::catalog::names::{Folder, data_name, level_prefix};
use freezer::format::frame::Compression;
use freezer::format::signature::RollingSum;
use freezer::model::progress::Silent;
use freezer::model::{Cancel, Content, Entry, LevelId, Progress, TreePath};
use freezer::platform::ManualClock;
use freezer::restore::{Options, Trust, export, restore};
use freezer::store::faulty::{Fault, Faulty};
use freezer::store::local::Local;
use freezer::store::memory::MemoryStore;
use freezer::store::{Operation, Store, StoreExt};
use proptest::prelude::*;
use std::fs;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use tempfile::TempDir;

const BLOCK: usize = 512;

/// Small blocks from small files on, so that little data has many blocks.
const SMALL: Engine = Engine::Rsync(BlockOptions {
    threshold_bytes: 1024,
    least_block_bytes: 512,
});

/// A tree, a store, and a clock ahead of the file system's: every change of a file is older than
/// the next run.
struct Series {
    room: TempDir,
    access: Access,
    clock: ManualClock,
    engine: Engine,
    compression: Compression,
}

impl Series {
    fn new(engine: Engine) -> Self {
        Self::in_store(engine, |room| {
            backup::create_encrypted(Arc::new(
                Local::create(&room.path().join("store")).expect("a store"),
            ))
        })
    }

    fn in_store(engine: Engine, access: impl FnOnce(&TempDir) -> Access) -> Self {
        let room = tempfile::tempdir().expect("a directory");
        fs::create_dir(room.path().join("tree")).expect("made");
        let access = access(&room);
        let clock = ManualClock::at(jiff::Timestamp::now() + jiff::SignedDuration::from_hours(1));
        Self {
            room,
            access,
            clock,
            engine,
            compression: Compression::Zstd,
        }
    }

    fn tree(&self) -> PathBuf {
        self.room.path().join("tree")
    }

    fn file(&self) -> PathBuf {
        self.tree().join("image")
    }

    fn write(&self, content: &[u8]) {
        fs::write(self.file(), content).expect("written");
    }

    fn attempt(&self, access: &Access) -> Result<Report, freezer::backup::BackupError> {
        self.attempt_with(access, &Silent)
    }

    fn attempt_with(
        &self,
        access: &Access,
        progress: &dyn Progress,
    ) -> Result<Report, freezer::backup::BackupError> {
        let tree = self.tree();
        let mut request = backup::request(&[&tree]);
        request.levels = Levels::default();
        request.engine = self.engine;
        request.compression = self.compression;
        request.compression_level = self.compression.default_level();
        request.segment_bytes = 64 << 10;
        run(&request, access, &self.clock, progress, &Cancel::new())
    }

    fn back_up(&self) -> Report {
        let report = self.attempt(&self.access).expect("a backup");
        self.clock
            .set(report.manifest.started + jiff::SignedDuration::from_hours(24));
        assert_eq!(report.manifest.counts.failed, 0);
        report
    }

    fn entry(&self, level: &LevelId) -> Entry {
        let view = reading::open(&self.access, &backup::name(), level, &reading::reader())
            .expect("it opens");
        view.lookup(&TreePath::parse(b"image").expect("legal"))
            .expect("read")
            .expect("there")
            .1
    }

    fn content(&self, level: &LevelId) -> Vec<u8> {
        let view = reading::open(&self.access, &backup::name(), level, &reading::reader())
            .expect("it opens");
        reading::content(&view, &self.entry(level)).expect("read")
    }

    fn restored(&self, level: &LevelId) -> oracle::Tree {
        let target = tempfile::tempdir().expect("a directory");
        let view = reading::open(&self.access, &backup::name(), level, &reading::reader())
            .expect("it opens");
        let target = target.path().join("out");
        let summary = restore(
            &view,
            &[],
            &target,
            &Options::default(),
            &Silent,
            &Cancel::new(),
        )
        .expect("restored");
        assert_eq!(summary.troubles, 0);
        oracle::scan(&target)
    }

    /// Returns the level as `freezer export` writes it and stock tar extracts it.
    fn exported(&self, level: &LevelId) -> oracle::Tree {
        let target = tempfile::tempdir().expect("a directory");
        let view = reading::open(&self.access, &backup::name(), level, &reading::reader())
            .expect("it opens");
        let archive = target.path().join("tar");
        let mut out = fs::File::create(&archive).expect("made");
        export(&view, &mut out, Trust::Trusted, &Silent, &Cancel::new()).expect("exported");
        let place = target.path().join("out");
        fs::create_dir(&place).expect("made");
        let status = Command::new("tar")
            .arg("-xpSf")
            .arg(&archive)
            .arg("-C")
            .arg(&place)
            .status()
            .expect("tar runs");
        assert!(status.success());
        oracle::scan(&place)
    }
}

/// A change of a file between two levels.
#[derive(Clone, Debug)]
enum Edit {
    Overwrite(usize, Vec<u8>),
    Insert(usize, Vec<u8>),
    Delete(usize, usize),
    Append(Vec<u8>),
    Truncate(usize),
    Move {
        from: usize,
        length: usize,
        to: usize,
    },
    Copy {
        from: usize,
        length: usize,
        to: usize,
    },
    Zero(usize, usize),
    Swap(usize, usize),
}

impl Edit {
    fn apply(&self, content: &mut Vec<u8>) {
        let size = content.len();
        let cut =
            |at: usize, length: usize| (at % (size + 1), (at % (size + 1) + length).min(size));
        match self {
            Self::Overwrite(at, bytes) => {
                let (from, end) = cut(*at, bytes.len());
                content[from..end].copy_from_slice(&bytes[..end - from]);
            }
            Self::Insert(at, bytes) => {
                drop(content.splice(at % (size + 1)..at % (size + 1), bytes.iter().copied()))
            }
            Self::Delete(at, length) => {
                let (from, end) = cut(*at, *length);
                content.drain(from..end);
            }
            Self::Append(bytes) => content.extend_from_slice(bytes),
            Self::Truncate(at) => content.truncate(size - at % (size / 3 + 1)),
            Self::Move { from, length, to } => {
                let (from, end) = cut(*from, *length);
                let piece: Vec<u8> = content.drain(from..end).collect();
                let to = to % (content.len() + 1);
                content.splice(to..to, piece);
            }
            Self::Copy { from, length, to } => {
                let (from, end) = cut(*from, *length);
                let piece = content[from..end].to_vec();
                let to = to % (size + 1);
                content.splice(to..to, piece);
            }
            Self::Zero(at, length) => {
                let (from, end) = cut(*at, *length);
                content[from..end].fill(0);
            }
            Self::Swap(one, other) => {
                let blocks = size / BLOCK;
                if blocks > 1 {
                    let (one, other) = (one % blocks * BLOCK, other % blocks * BLOCK);
                    for at in 0..BLOCK {
                        content.swap(one + at, other + at);
                    }
                }
            }
        }
    }
}

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let noise =
        || (any::<u64>(), 1_usize..3000).prop_map(|(seed, length)| torture::noise(seed, length));
    let piece = || (any::<usize>(), 1_usize..9000, any::<usize>());
    let edit = prop_oneof![
        4 => (any::<usize>(), noise()).prop_map(|(at, bytes)| Edit::Overwrite(at, bytes)),
        2 => (any::<usize>(), noise()).prop_map(|(at, bytes)| Edit::Insert(at, bytes)),
        2 => (any::<usize>(), 1_usize..5000).prop_map(|(at, length)| Edit::Delete(at, length)),
        1 => noise().prop_map(Edit::Append),
        1 => any::<usize>().prop_map(Edit::Truncate),
        2 => piece().prop_map(|(from, length, to)| Edit::Move { from, length, to }),
        1 => piece().prop_map(|(from, length, to)| Edit::Copy { from, length, to }),
        2 => (any::<usize>(), 1_usize..20_000).prop_map(|(at, length)| Edit::Zero(at, length)),
        1 => (any::<usize>(), any::<usize>()).prop_map(|(one, other)| Edit::Swap(one, other)),
    ];
    prop::collection::vec(edit, 0..6)
}

/// Writes a file with holes in place of pages of zeros.
fn write_sparse(path: &std::path::Path, content: &[u8]) {
    let file = fs::File::create(path).expect("made");
    file.set_len(content.len() as u64).expect("long");
    for (number, page) in content.chunks(4096).enumerate() {
        if page.iter().any(|byte| *byte != 0) {
            file.write_all_at(page, number as u64 * 4096)
                .expect("written");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn every_level_of_a_file_edited_at_random_gives_the_file_as_it_was(
        seed: u64,
        size in 1024_usize..200_000,
        chain in prop::collection::vec((edits(), any::<bool>()), 1..9),
    ) {
        let series = Series::new(SMALL);
        let mut content = torture::noise(seed, size);
        let mut history = Vec::new();
        for (edits, is_sparse) in std::iter::once((Vec::new(), false)).chain(chain) {
            edits.iter().for_each(|edit| edit.apply(&mut content));
            if is_sparse { write_sparse(&series.file(), &content) } else { series.write(&content) }
            // Both names of the file have its signatures.
            if !series.tree().join("another").exists() {
                fs::hard_link(series.file(), series.tree().join("another")).expect("linked");
            }
            let manifest = series.back_up().manifest;
            history.push((manifest, content.clone(), oracle::scan(&series.tree())));
        }
        for (manifest, content, tree) in &history {
            prop_assert!(series.content(&manifest.id) == *content, "level {}", manifest.level);
            let differences = compare(tree, &series.restored(&manifest.id), Holes::Zeros);
            prop_assert!(differences.is_empty(), "level {}: {differences:#?}", manifest.level);
        }
        let (manifest, _, tree) = history.last().expect("at least one");
        let differences = compare(tree, &series.exported(&manifest.id), Holes::Zeros);
        prop_assert!(differences.is_empty(), "exported: {differences:#?}");
    }
}

/// More bytes than the other parts of a stream have: the headers of the directory and of the member
/// of blocks, a short signature, and the end of the archive.
const LITTLE: u64 = 6 << 10;

/// Returns the length of a level's stream: the new blocks, a signature of them, and little more.
fn new_bytes(report: &Report) -> u64 {
    report.manifest.bytes.stream
}

#[test]
fn only_changed_blocks_are_stored() {
    let series = Series::new(Engine::Rsync(BlockOptions::default()));
    let mut content = torture::noise(1, 8 << 20);
    series.write(&content);
    let full = series.back_up();
    assert_eq!(full.manifest.engine, "rsync");
    assert!(
        new_bytes(&full) < 8 << 20 | 1 << 17,
        "the signature takes more than one percent: {}",
        new_bytes(&full)
    );
    // One page in a hundred, in place.
    let pages = content.len() / 4096;
    for number in 0..pages / 100 {
        let at = (number * 97 + 13) % pages * 4096;
        content[at..at + 4096].copy_from_slice(&torture::noise(100 + number as u64, 4096));
    }
    series.write(&content);
    let changed = (pages / 100 * 4096) as u64;
    let next = series.back_up();
    assert!(
        new_bytes(&next) < changed + changed / 20 + LITTLE,
        "{} bytes for {changed}",
        new_bytes(&next)
    );
    assert!(series.content(&next.manifest.id) == content);
    // An insertion near the beginning moves everything behind it.
    content.splice(5000..5000, torture::noise(2, 1000));
    series.write(&content);
    let next = series.back_up();
    assert!(
        new_bytes(&next) < 4096 + 1000 + LITTLE,
        "{} bytes for an insertion",
        new_bytes(&next)
    );
    assert!(series.content(&next.manifest.id) == content);
    // A block moves to the front after everything has moved once.
    let moved: Vec<u8> = content.drain(4 << 20..5 << 20).collect();
    content.splice(0..0, moved);
    series.write(&content);
    let next = series.back_up();
    assert!(
        new_bytes(&next) < 5 * 4096 + LITTLE,
        "{} bytes for a move",
        new_bytes(&next)
    );
    assert!(series.content(&next.manifest.id) == content);
    // The file is cut: nothing is new.
    content.truncate(3 << 20);
    series.write(&content);
    let next = series.back_up();
    assert!(
        new_bytes(&next) < 4096 + LITTLE,
        "{} bytes for a cut",
        new_bytes(&next)
    );
    assert!(series.content(&next.manifest.id) == content);
    assert_eq!(next.manifest.counts.changed, 1);
}

#[test]
fn signatures_stay_as_long_as_the_content_they_cover() {
    let series = Series::new(Engine::Rsync(BlockOptions::default()));
    let mut content = torture::noise(1, 2 << 20);
    series.write(&content);
    series.back_up();
    content[..4096].fill(7);
    series.write(&content);
    series.back_up();
    // In these levels the file is the same, has another mode, or has another name.
    fs::write(series.tree().join("other"), b"other").expect("written");
    series.back_up();
    fs::set_permissions(series.file(), fs::Permissions::from_mode(0o600)).expect("changed");
    series.back_up();
    fs::hard_link(series.file(), series.tree().join("a first name")).expect("linked");
    series.back_up();
    fs::remove_file(series.file()).expect("removed");
    series.back_up();
    fs::hard_link(series.tree().join("a first name"), series.file()).expect("linked");
    fs::remove_file(series.tree().join("a first name")).expect("removed");
    series.back_up();
    content[1 << 20..(1 << 20) + 4096].fill(8);
    fs::OpenOptions::new()
        .write(true)
        .open(series.file())
        .expect("opened")
        .write_all_at(&content, 0)
        .expect("written");
    let last = series.back_up();
    assert!(series.content(&last.manifest.id) == content);
}

#[test]
fn an_unchanged_file_takes_no_room_and_a_new_mode_takes_little() {
    let series = Series::new(Engine::Rsync(BlockOptions::default()));
    let content = torture::noise(1, 2 << 20);
    series.write(&content);
    let full = series.back_up().manifest;
    let signatures = series.entry(&full.id).metadata.signatures;
    assert_eq!(signatures.len(), 1);
    assert_eq!(series.back_up().manifest.bytes.stream, 1024);
    fs::set_permissions(series.file(), fs::Permissions::from_mode(0o600)).expect("changed");
    let next = series.back_up().manifest;
    assert!(next.bytes.stream < 4096);
    assert_eq!(
        series.entry(&next.id).metadata.signatures,
        signatures,
        "the new mode must not cost the signatures"
    );
    // Its time is new, so it is read again, and all its blocks are found.
    series.write(&content);
    let next = series.back_up();
    assert!(new_bytes(&next) < 4096, "{}", new_bytes(&next));
    assert_eq!(
        series.entry(&next.manifest.id).metadata.signatures,
        signatures
    );
}

#[test]
fn levels_of_both_engines_can_alternate_in_a_chain() {
    let mut series = Series::new(Engine::Tar);
    let mut content = torture::noise(1, 2 << 20);
    let mut sizes = Vec::new();
    let engines = [Engine::Tar, SMALL, SMALL, Engine::Tar, SMALL, SMALL];
    let mut levels = Vec::new();
    for (number, engine) in engines.into_iter().enumerate() {
        series.engine = engine;
        content[number * 5000..number * 5000 + 10]
            .copy_from_slice(&torture::noise(number as u64, 10));
        series.write(&content);
        let report = series.back_up();
        assert_eq!(report.manifest.engine, engine.name());
        sizes.push(new_bytes(&report) > 1 << 20);
        levels.push((report.manifest.id, content.clone()));
    }
    assert_eq!(
        sizes,
        [true, true, false, true, true, false],
        "a file is stored whole where the level before has no signature"
    );
    assert!(
        levels
            .iter()
            .all(|(level, content)| series.content(level) == *content)
    );
}

/// Returns another block with the same weak sum.
fn twin(block: &[u8]) -> Vec<u8> {
    let mut twin = block.to_vec();
    let at = twin
        .windows(3)
        .position(|three| three[0] < 255 && three[1] > 1 && three[2] < 255)
        .expect("noise has some");
    twin[at] += 1;
    twin[at + 1] -= 2;
    twin[at + 2] += 1;
    assert_eq!(RollingSum::of(&twin), RollingSum::of(block));
    assert_ne!(twin, block);
    twin
}

#[test]
fn blocks_with_the_same_weak_sum_are_told_apart() {
    let series = Series::new(SMALL);
    let mut content = torture::noise(1, 64 * BLOCK);
    // The first version has many blocks of one sum too.
    for number in 1..30 {
        let (before, block) =
            content[(number - 1) * BLOCK..(number + 1) * BLOCK].split_at_mut(BLOCK);
        block.copy_from_slice(&twin(before));
    }
    series.write(&content);
    series.back_up();
    for number in 30..64 {
        let block = &mut content[number * BLOCK..(number + 1) * BLOCK];
        let other = twin(block);
        block.copy_from_slice(&other);
    }
    // All blocks are now in places that only a rolling window finds.
    content.splice(0..0, *b"shifted");
    series.write(&content);
    let next = series.back_up();
    assert!(series.content(&next.manifest.id) == content);
    assert!(
        new_bytes(&next) < 64 * BLOCK as u64,
        "equal blocks were not found: {}",
        new_bytes(&next)
    );
}

#[test]
fn a_file_whose_signature_is_damaged_is_stored_again() {
    for harm in 0..3 {
        let mut series = Series::in_store(Engine::Rsync(BlockOptions::default()), |room| {
            backup::create_plain(Arc::new(
                Local::create(&room.path().join("store")).expect("a store"),
            ))
        });
        series.compression = Compression::None;
        let mut content = torture::noise(1, 2 << 20);
        series.write(&content);
        let full = series.back_up().manifest;
        let place = series.entry(&full.id).metadata.signatures[0];
        // Without compression and encryption, the segments put together are the stream.
        assert!(place.stream.0 > 2 << 20);
        let store = series.access.store();
        let mut found = None;
        for number in 0..full.levels[0].segments {
            let name = data_name(&backup::name(), &full.id, Folder::Segments, number);
            let bytes = store.get(&name, u64::MAX).expect("there");
            if let Some(at) = bytes.windows(4).position(|four| four == b"FzS1") {
                found = Some((name, bytes, at));
            }
        }
        let (name, mut bytes, at) = found.expect("the signature is in one of them");
        match harm {
            0 => bytes[at] ^= 1,
            1 => bytes.truncate(at),
            _ => bytes[at + 4] ^= 0xff,
        }
        store.put(&name, &vec![bytes]).expect("stored");
        content[0] ^= 1;
        series.write(&content);
        let next = series.back_up();
        assert!(
            new_bytes(&next) > 2 << 20,
            "harm {harm}: {}",
            new_bytes(&next)
        );
        assert!(series.content(&next.manifest.id) == content, "harm {harm}");
    }
}

fn copy_of(store: &dyn Store) -> MemoryStore {
    let mut names = Vec::new();
    let listed = store.list("", &mut |object| {
        names.push(object.name);
        true
    });
    listed.expect("listed");
    let copy = MemoryStore::default();
    for name in names {
        let bytes = store.get(&name, u64::MAX).expect("there");
        copy.put(&name, &vec![bytes]).expect("stored");
    }
    copy
}

#[test]
fn a_run_interrupted_at_any_call_leaves_every_level_readable() {
    let series = Series::in_store(SMALL, |_| {
        backup::create_encrypted(Arc::new(MemoryStore::default()))
    });
    let mut content = torture::noise(1, 300_000);
    series.write(&content);
    let full = (series.back_up().manifest.id, content.clone());
    content[100_000..200_000].copy_from_slice(&torture::noise(2, 100_000));
    series.write(&content);
    let copy = copy_of(series.access.store().as_ref());
    let calls = {
        let store = Arc::new(Faulty::new(copy_of(&copy)));
        let access = Access::open(store.clone(), Some(&backup::passphrase())).expect("opens");
        series.attempt(&access).expect("no fault");
        (store.calls().all(), store.calls().of(Operation::Put))
    };
    assert!(calls.0 > 8 && calls.1 > 1, "{calls:?}");
    let faults = (0..calls.0)
        .map(|call| Fault::at_any(call).for_good())
        .chain((0..calls.1).map(|put| Fault::at(Operation::Put, put)));
    for fault in faults {
        let store = Arc::new(Faulty::new(copy_of(&copy)).with(fault));
        if let Ok(access) = Access::open(store.clone(), Some(&backup::passphrase())) {
            // If the store fails while signatures are read, the level stores more. If it fails for
            // good, there is no level.
            series.attempt(&access).map(drop).unwrap_or_default();
        }
        let mended = Access::open(store.mended(), Some(&backup::passphrase())).expect("opens");
        let next = series
            .attempt(&mended)
            .expect("the next run succeeds")
            .manifest
            .id;
        for (level, content) in [&full, &(next, content.clone())] {
            let view = reading::open(&mended, &backup::name(), level, &reading::reader())
                .expect("it opens");
            let (_, entry) = view
                .lookup(&TreePath::parse(b"image").expect("legal"))
                .expect("read")
                .expect("there");
            assert!(
                reading::content(&view, &entry).expect("read") == *content,
                "{fault:?}"
            );
        }
    }
}

#[test]
fn holes_are_kept_as_holes() {
    let series = Series::new(Engine::Rsync(BlockOptions::default()));
    let file = fs::File::create(series.file()).expect("made");
    file.set_len(256 << 20).expect("long");
    let pages = 64 << 10;
    for number in 0..300_u64 {
        file.write_all_at(&torture::noise(number, 4096), number * 211 % pages * 4096)
            .expect("written");
    }
    let full = series.back_up();
    assert!(
        new_bytes(&full) < 300 * 4096 + 300 * 64 + 20_000,
        "{}",
        new_bytes(&full)
    );
    for number in 0..3_u64 {
        file.write_all_at(
            &torture::noise(1000 + number, 4096),
            number * 211 % pages * 4096,
        )
        .expect("written");
        file.write_all_at(
            &torture::noise(2000 + number, 4096),
            (number * 211 + 7) % pages * 4096,
        )
        .expect("written");
    }
    drop(file);
    let next = series.back_up();
    assert!(new_bytes(&next) < 6 * 4096 + LITTLE, "{}", new_bytes(&next));
    let differences = compare(
        &oracle::scan(&series.tree()),
        &series.restored(&next.manifest.id),
        Holes::Same,
    );
    assert!(differences.is_empty(), "{differences:#?}");
    let Content::File { extents, .. } = series.entry(&next.manifest.id).content else {
        panic!("the entry is no file")
    };
    assert!(
        extents.iter().map(|extent| extent.length).sum::<u64>() < 310 * 4096,
        "a hole became data"
    );
}

#[test]
fn stock_tar_extracts_a_full_level_and_no_file_from_its_blocks_alone() {
    let mut series = Series::in_store(Engine::Rsync(BlockOptions::default()), |room| {
        backup::create_plain(Arc::new(
            Local::create(&room.path().join("store")).expect("a store"),
        ))
    });
    series.compression = Compression::Gzip;
    let mut content = torture::noise(1, 2 << 20);
    series.write(&content);
    let full = series.back_up().manifest;
    let expected = oracle::scan(&series.tree());
    content[5000] ^= 1;
    series.write(&content);
    let next = series.back_up().manifest;
    let extract = |level: &LevelId, name: &str| {
        let target = series.room.path().join(name);
        extract_by_hand(
            &series.room.path().join("store"),
            &level_prefix(&backup::name(), level),
            "gzip -dc",
            &target,
        );
        let blocks = target.join(".freezer-blocks");
        assert!(
            blocks
                .join(format!("{}-1", if name == "full" { 1 } else { 2 }))
                .is_file()
        );
        fs::remove_dir_all(blocks).expect("there");
        target
    };
    let differences = compare(
        &expected,
        &oracle::scan(&extract(&full.id, "full")),
        Holes::Zeros,
    );
    assert!(
        differences
            .iter()
            .all(|difference| difference.contains("mtime")),
        "{differences:#?}"
    );
    assert!(
        !extract(&next.id, "next").join("image").exists(),
        "tar took some blocks of a file for the file"
    );
}

#[test]
fn a_file_that_changes_and_shrinks_while_it_is_scanned_is_kept_as_it_was_read() {
    const MIB: usize = 1 << 20;
    let series = Series::new(Engine::Rsync(BlockOptions::default()));
    let mut content = torture::noise(1, 6 * MIB);
    series.write(&content);
    series.back_up();
    content[..10].fill(0);
    series.write(&content);
    let other = torture::noise(2, MIB);
    // By then a good part of the file has been scanned.
    let progress = AtFirstFile::new(|| {
        let file = fs::OpenOptions::new()
            .write(true)
            .open(series.file())
            .expect("opened");
        file.write_all_at(&other, 3 * MIB as u64).expect("written");
        file.set_len(5 * MIB as u64 + 777).expect("cut");
    });
    let report = series
        .attempt_with(&series.access, &progress)
        .expect("a change does not end the run");
    series
        .clock
        .set(report.manifest.started + jiff::SignedDuration::from_hours(24));
    let told = progress.told.told();
    assert_eq!(
        (told.troubles.len(), report.manifest.counts.failed),
        (1, 1),
        "{:?}",
        told.troubles
    );
    content[3 * MIB..4 * MIB].copy_from_slice(&other);
    content[5 * MIB + 777..].fill(0);
    assert!(
        series.content(&report.manifest.id) == content,
        "the lost part is not zeros"
    );
    assert!(
        new_bytes(&report) < 3 * MIB as u64,
        "blocks of the earlier level are stored again"
    );
    content.truncate(5 * MIB + 777);
    let next = series.back_up();
    assert_eq!(
        next.manifest.counts.changed, 1,
        "a file that was not read whole must be read again"
    );
    assert!(series.content(&next.manifest.id) == content);
}
