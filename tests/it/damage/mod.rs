//! Every kind of damage to every kind of object, against every way of reading. A reader gets an
//! error or the right answer, never anything else. Untouched files still read, and the next backup
//! works.

mod frame_table;
mod keys;
mod matrix;
mod one_reader;
mod parents;
mod repair;
mod repair_frame_table;
mod structure;
mod swapped;

use crate::support::reading::{self, Readable, Whole};
use crate::support::stored_tree::{Planned, Recipe};
use crate::support::{backup, copy_of, torture};
use freezer::backup::BackupRequest;
use freezer::catalog::names::{self, Folder, LevelOf, Meaning};
use freezer::catalog::{Access, Catalog};
use freezer::format::frame::Compression;
use freezer::model::progress::Silent;
use freezer::model::{Cancel, LevelId, Passphrase};
use freezer::store::memory::MemoryStore;
use freezer::store::{ObjectInfo, ObjectName, Store, StoreExt};
use freezer::upkeep::{Checked, Damage, Depth, Portion, check};
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

/// A store with two levels of a tree that changed in between. Both have several objects in each
/// lane.
struct Sound {
    store: MemoryStore,
    passphrase: Option<Passphrase>,
    levels: [LevelId; 2],
    wholes: [Whole; 2],
    /// The tree that the next backup reads.
    tree: tempfile::TempDir,
    compression: Compression,
}

/// Makes a tree whose index has several blocks, and whose stream has several frames.
fn build(tree: &Path, turn: u64) {
    for folder in 0..6 {
        let folder = tree.join(format!("folder-{folder}"));
        fs::create_dir_all(&folder).expect("made");
        for number in 0..70 {
            let name = folder.join(format!("{number:03}-a-file-whose-name-has-some-length"));
            fs::write(name, torture::noise(turn * 1000 + number, 20)).expect("written");
        }
    }
    fs::create_dir_all(tree.join("empty")).expect("made");
    let long: Vec<u8> = (0_u32..(1 << 20))
        .flat_map(|word| (word / 64 + u32::try_from(turn).expect("few")).to_le_bytes())
        .collect();
    fs::write(tree.join("long"), long).expect("written");
    let middle = fs::File::create(tree.join("middle")).expect("made");
    middle.set_len(700_000).expect("long");
    middle
        .write_all_at(&torture::noise(turn + 7, 300_000), 100_000)
        .expect("written");
}

impl Sound {
    fn new(compression: Compression, passphrase: Option<Passphrase>) -> Self {
        let tree = crate::support::scratch();
        let store = Arc::new(MemoryStore::default());
        let access = match &passphrase {
            None => backup::create_plain(store.clone()),
            Some(_) => backup::create_encrypted(store.clone()),
        };
        let made = [1, 2].map(|turn| {
            build(tree.path(), turn);
            let id = backup::back_up(&access, &[tree.path()], |request| {
                small_objects(request, compression)
            })
            .manifest
            .id;
            let whole = reading::whole(&access, &backup::name(), &id);
            (id, whole)
        });
        let [(first, first_whole), (second, second_whole)] = made;
        let sound = Self {
            store: copy_of(&store),
            passphrase,
            levels: [first, second],
            wholes: [first_whole, second_whole],
            tree,
            compression,
        };
        for folder in LANES {
            let objects = sound.objects(0, folder);
            assert!(objects.len() > 1, "{folder:?}: {} objects", objects.len());
        }
        sound
    }

    /// Returns the objects of a level in a folder.
    fn objects(&self, level: usize, folder: Folder) -> Vec<ObjectName> {
        let of = LevelOf {
            backup: backup::name(),
            level: self.levels[level].clone(),
        };
        let mut found = Vec::new();
        let mut each = |object: ObjectInfo| {
            match names::meaning(&object.name) {
                Some(Meaning::Data { folder: its, .. }) if its == folder => found.push(object.name),
                _ => {}
            }
            true
        };
        self.store
            .list(&names::level_prefix(&of.backup, &of.level), &mut each)
            .expect("listed");
        found
    }

    fn manifest(&self, level: usize) -> ObjectName {
        names::manifest_name(&backup::name(), &self.levels[level])
    }

    /// Returns the store after some damage.
    fn harmed(&self, harm: &[Change]) -> Arc<MemoryStore> {
        let store = copy_of(&self.store);
        for change in harm {
            match &change.1 {
                Some(body) => store.put(&change.0, &vec![body.clone()]).expect("stored"),
                None => store.delete(&change.0).expect("removed"),
            }
        }
        Arc::new(store)
    }

    fn bytes(&self, name: &ObjectName) -> Vec<u8> {
        self.store.get(name, u64::MAX).expect("it is there")
    }

    fn open(&self, store: &Arc<MemoryStore>) -> Access {
        Access::open(store.clone(), self.passphrase.as_ref()).expect("the store opens")
    }

    /// Reads a level in every way, and checks it. Returns `None` if it does not open.
    #[track_caller]
    fn examine(&self, store: &Arc<MemoryStore>, level: usize, what: &str) -> Option<Readable> {
        let (access, id, whole) = (self.open(store), &self.levels[level], &self.wholes[level]);
        let all = Readable::all_of(whole);
        let opened = reading::open(&access, &backup::name(), id, &reading::reader());
        let readable = opened.ok().map(|view| reading::examine(&view, whole, what));
        let (checked, told) = self.check(store, level);
        assert!(
            readable.as_ref() == Some(&all) || checked.damages > 0,
            "{what}: a check finds nothing"
        );
        if let Some(readable) = &readable
            && readable.entries == all.entries
        {
            let unreadable = (all.files - readable.files) as u64;
            assert_eq!(
                checked.files_touched, unreadable,
                "{what}: a check finds other files: {told:?}"
            );
        }
        readable
    }

    /// Checks a level with all its bytes. Returns the damage and the result.
    fn check(&self, store: &Arc<MemoryStore>, level: usize) -> (Checked, Vec<String>) {
        let mut told = Vec::new();
        let mut tell = |_: &[LevelId], damage: Damage| told.push(damage.to_string());
        let (access, id) = (self.open(store), &self.levels[level]);
        let checked = check(
            &access,
            &backup::name(),
            std::slice::from_ref(id),
            Depth::Data(Portion::All),
            &mut tell,
            &Silent,
            &Cancel::new(),
        )
        .expect("the store answers");
        (checked, told)
    }

    /// Makes one more level, which must be sound even if the others are not.
    #[track_caller]
    fn back_up_again(&self, store: &Arc<MemoryStore>, what: &str) {
        let access = self.open(store);
        let id = backup::back_up(&access, &[self.tree.path()], |request| {
            small_objects(request, self.compression)
        })
        .manifest
        .id;
        let levels = Catalog::new(access.store())
            .levels(&backup::name())
            .expect("listed");
        assert_eq!(
            levels.last(),
            Some(&id),
            "{what}: the new level is not the newest"
        );
        let whole = reading::whole(&access, &backup::name(), &id);
        assert_eq!(whole.len(), self.wholes[1].len(), "{what}: the next backup");
        for ((entry, content), (expected, expected_content)) in whole.iter().zip(&self.wholes[1]) {
            assert!(
                entry.path == expected.path && content == expected_content,
                "{what}: {} of the next backup",
                entry.path
            );
        }
    }
}

/// The folders whose objects are harmed. A frame table this short has its one block in the
/// manifest; `frame_table` has longer ones.
const LANES: [Folder; 2] = [Folder::Segments, Folder::Index];

/// A change to an object: another body, or `None` for its removal.
struct Change(ObjectName, Option<Vec<u8>>);

/// Asks for objects of a few frames or blocks each.
fn small_objects(request: &mut BackupRequest, compression: Compression) {
    request.compression = compression;
    request.compression_level = compression.default_level();
    request.segment_bytes = 2 << 10;
    request.upload_jobs = 1;
}

/// Returns what each kind of damage leaves of an object; `None` where it is deleted.
fn harms(body: &[u8]) -> Vec<(String, Option<Vec<u8>>)> {
    let mut harms = vec![("deleted".to_owned(), None)];
    for length in [0, body.len() / 2, body.len() - 1] {
        harms.push((
            format!("cut to {length} of {} bytes", body.len()),
            Some(body[..length].to_vec()),
        ));
    }
    for (at, bit) in [(0, 0), (9, 2), (body.len() / 2, 7), (body.len() - 1, 1)] {
        let mut flipped = body.to_vec();
        flipped[at.min(body.len() - 1)] ^= 1 << bit;
        harms.push((
            format!("bit {bit} of byte {at} of {} flipped", body.len()),
            Some(flipped),
        ));
    }
    harms.push(("longer by a byte".to_owned(), Some([body, b"x"].concat())));
    harms
}

/// Returns a tree of so many files that a frame table of short frames has several blocks.
fn tree_of_many_files() -> impl Iterator<Item = Planned> {
    let files = (0..200).map(|number| {
        let content = torture::noise(number, 1000);
        Planned::file(&format!("file {number:05}"), content)
    });
    std::iter::once(Planned::directory("")).chain(files)
}

/// Asks for short frames, so that the frame table has several blocks.
fn short_frames(encrypted: bool) -> Recipe {
    Recipe {
        encrypted,
        frame_bytes: 150,
        segment_bytes: 5_000,
        ..Recipe::default()
    }
}
