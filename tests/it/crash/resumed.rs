//! A run that was cut off is gone on with by the next: it stores the rest, and nothing is left
//! over.

use super::{build, copy_of, passphrases, same_content, small_objects};
use crate::support::{backup, reading, scratch, torture};
use freezer::backup::{
    BackupError, BackupRequest, BlockOptions, CheckpointRule, Engine, Levels, Report, SameContent,
    run,
};
use freezer::catalog::names::{Folder, Meaning, data_name, data_prefix, meaning};
use freezer::catalog::{Access, Catalog, LockRequest, Patience, with_lock};
use freezer::format::checkpoint::Checkpoint;
use freezer::format::frame::{Compression, Protection, Sealer};
use freezer::format::manifest::Manifest;
use freezer::model::progress::Silent;
use freezer::model::{Cancel, Content, FrameNo, LevelId, Passphrase, Retention};
use freezer::platform::{Clock, ManualClock};
use freezer::store::faulty::{Fault, Faulty};
use freezer::store::memory::Memory;
use freezer::store::{Kind, ObjectInfo, ObjectName, Store, Verb};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

/// A tree, a store, and a clock that is ahead of all that the file system says.
struct Bench {
    room: TempDir,
    store: Arc<Memory>,
    passphrase: Option<Passphrase>,
    clock: ManualClock,
}

impl Bench {
    fn new(passphrase: Option<Passphrase>) -> Self {
        let store = Arc::new(Memory::default());
        match passphrase {
            None => drop(backup::create_plain(store.clone())),
            Some(_) => drop(backup::create_encrypted(store.clone())),
        }
        let clock = ManualClock::at(Timestamp::now() + SignedDuration::from_hours(1));
        Self {
            room: scratch(),
            store,
            passphrase,
            clock,
        }
    }

    fn with_tree() -> Self {
        let bench = Self::new(None);
        build(bench.tree());
        bench
    }

    fn tree(&self) -> &Path {
        self.room.path()
    }

    fn write(&self, name: &str, content: &[u8]) {
        fs::write(self.tree().join(name), content).expect("written");
        self.later();
    }

    /// Sets the clock to the system's, once all that was changed so far is settled.
    fn settle(&self) {
        use std::os::unix::fs::MetadataExt;
        let elsewhere = scratch();
        let tick = || {
            fs::write(elsewhere.path().join("probe"), b"tick").expect("written");
            let metadata = fs::metadata(elsewhere.path().join("probe")).expect("there");
            metadata.ctime() * 1000 + metadata.ctime_nsec() / 1_000_000
        };
        let began = tick();
        while tick() < began + 50 {
            std::thread::yield_now();
        }
        self.clock.set(Timestamp::now());
    }

    fn later(&self) {
        self.clock
            .set(self.clock.now() + SignedDuration::from_hours(1));
    }

    /// A checkpoint after each member.
    fn request(&self) -> BackupRequest {
        let mut request = backup::request(&[self.tree()]);
        small_objects(&mut request);
        request.levels = Levels::default();
        request.checkpoints = Some(CheckpointRule {
            least_bytes: 1,
            interval: Duration::ZERO,
        });
        request
    }

    fn access(&self, store: Arc<dyn Store>) -> Access {
        Access::open(store, self.passphrase.as_ref()).expect("a sound store opens")
    }

    fn run_in(
        &self,
        store: Arc<dyn Store>,
        request: &BackupRequest,
    ) -> Result<Report, BackupError> {
        let access =
            Access::open(store, self.passphrase.as_ref()).map_err(|_| BackupError::Stopped)?;
        let outcome = run(request, &access, &self.clock, &Silent, &Cancel::new());
        self.later();
        outcome
    }

    /// Makes a level as the store is.
    fn finish(&self, store: &Arc<Memory>) -> Report {
        self.run_in(store.clone(), &self.request())
            .expect("a backup")
    }

    /// A run that is cut off at the put with that number, of all puts that are no claim's.
    fn cut_at_put(&self, store: &Arc<Memory>, put: u64, request: &BackupRequest) {
        let cut = Arc::new(Faulty::new(store.clone()).with(Fault::at(Verb::Put, put).for_good()));
        self.run_in(cut.clone(), request)
            .expect_err("it was cut off");
        assert!(cut.has_struck());
    }

    /// How often a run calls the store, and how often to put.
    fn calls(&self, store: &Arc<Memory>, request: &BackupRequest) -> (u64, u64) {
        let counting = Arc::new(Faulty::new(copy_of(store)));
        self.run_in(counting.clone(), request).expect("no fault");
        (counting.calls().all(), counting.calls().of(Verb::Put))
    }

    /// The tree is what was backed up, and nothing is in the store but what manifests name.
    #[track_caller]
    fn check(&self, store: &Arc<Memory>, report: &Report, what: &str) {
        let access = self.access(store.clone());
        let whole = reading::whole(&access, &backup::name(), &report.manifest.id);
        let fresh = Arc::new(Memory::default());
        let other = backup::create_plain(fresh.clone());
        let mut request = backup::request(&[self.tree()]);
        small_objects(&mut request);
        let expected = run(&request, &other, &self.clock, &Silent, &Cancel::new())
            .expect("a backup")
            .manifest
            .id;
        let without_signatures = |mut whole: reading::Whole| {
            whole
                .iter_mut()
                .for_each(|(entry, _)| entry.metadata.signatures.clear());
            whole
        };
        let expected = without_signatures(reading::whole(&other, &backup::name(), &expected));
        assert!(
            same_content(&without_signatures(whole), &expected),
            "{what}: another tree"
        );
        self.check_tidy(&access, what);
    }

    #[track_caller]
    fn check_tidy(&self, access: &Access, what: &str) {
        let levels = Catalog::new(access.store())
            .levels(&backup::name())
            .expect("listed");
        let manifests: Vec<Manifest> = levels
            .iter()
            .map(|level| access.manifest(&backup::name(), level).expect("sound"))
            .collect();
        let named: BTreeMap<_, _> = manifests
            .iter()
            .flat_map(|manifest| &manifest.levels)
            .map(|parts| (parts.id.clone(), parts))
            .collect();
        for object in objects(access.store().as_ref(), &data_prefix(&backup::name())) {
            let Some(Meaning::Data { of, folder, number }) = meaning(&object.name) else {
                panic!("{what}: {}", object.name)
            };
            let parts = named
                .get(&of.level)
                .unwrap_or_else(|| panic!("{what}: {} is left over", object.name));
            let is_level = levels.contains(&of.level);
            let is_named = match folder {
                Folder::Segments => number < parts.segments,
                Folder::Frames => number < parts.frame_table_segments,
                Folder::Index => is_level,
                Folder::Checkpoints | Folder::Repacked => false,
            };
            assert!(is_named, "{what}: {} is left over", object.name);
        }
        assert!(
            objects(access.store().as_ref(), "locks/").is_empty(),
            "{what}: a claim is left"
        );
    }

    fn levels(&self) -> Vec<LevelId> {
        Catalog::new(self.store.clone())
            .levels(&backup::name())
            .expect("listed")
    }
}

fn objects(store: &dyn Store, prefix: &str) -> Vec<ObjectInfo> {
    let mut found = Vec::new();
    let listed = store.list(prefix, &mut |object| {
        found.push(object);
        true
    });
    listed.expect("listed");
    found
}

/// Bytes of files that a level has in its own stream, each extent once.
fn own_bytes(access: &Access, manifest: &Manifest) -> u64 {
    let whole = reading::whole(access, &backup::name(), &manifest.id);
    let extents = whole
        .iter()
        .filter(|(entry, _)| entry.link_to.is_none())
        .flat_map(|(entry, _)| match &entry.content {
            Content::File { extents, .. } => extents.clone(),
            _ => Vec::new(),
        });
    extents
        .filter(|extent| extent.level == manifest.serial)
        .map(|extent| extent.length)
        .sum()
}

/// The same of all streams.
fn all_bytes(access: &Access, manifest: &Manifest) -> u64 {
    let whole = reading::whole(access, &backup::name(), &manifest.id);
    whole
        .iter()
        .filter(|(entry, _)| entry.link_to.is_none())
        .flat_map(|(entry, _)| entry.places().map(|place| place.2))
        .sum()
}

#[test]
fn a_run_cut_off_at_any_call_is_gone_on_with_and_stores_only_the_rest() {
    for passphrase in passphrases() {
        let bench = Bench::new(passphrase);
        build(bench.tree());
        bench.later();
        let mut request = bench.request();
        request.checkpoints = Some(CheckpointRule {
            least_bytes: 8_000,
            interval: Duration::ZERO,
        });
        let (calls, puts) = bench.calls(&bench.store, &request);
        assert!(puts > 35, "{puts} puts");
        let (mut resumed, mut most) = (0, 0);
        for call in 0..calls {
            let store = Arc::new(copy_of(&bench.store));
            let cut = Arc::new(Faulty::cut_at(store.clone(), call));
            if bench.run_in(cut, &request).is_ok() {
                // What comes after the level is there, or is none of its business.
                continue;
            }
            let report = bench.finish(&store);
            bench.check(&store, &report, &format!("cut at call {call}"));
            let access = bench.access(store);
            if report.manifest.level == 0 {
                let (own, all) = (
                    own_bytes(&access, &report.manifest),
                    all_bytes(&access, &report.manifest),
                );
                assert_eq!(
                    own + report.taken.bytes,
                    all,
                    "cut at call {call}: what was taken is not stored again"
                );
            }
            resumed += u64::from(report.taken.files > 0);
            most = most.max(report.taken.files);
        }
        assert!(
            resumed > calls / 2,
            "only {resumed} of {calls} runs took anything"
        );
        assert!(most > 90, "only {most} files were ever taken");
    }
}

#[test]
fn the_same_for_a_later_level() {
    let bench = Bench::with_tree();
    bench.later();
    bench.finish(&bench.store);
    for number in 0..12 {
        bench.write(
            &format!("names/new {number}"),
            &torture::noise(number, 20_000),
        );
    }
    bench.write("sparse", &torture::noise(77, 30_000));
    fs::remove_dir_all(bench.tree().join("names/deep")).expect("removed");
    bench.later();
    let request = bench.request();
    let (calls, _) = bench.calls(&bench.store, &request);
    let mut most = 0;
    for call in 0..calls {
        let store = Arc::new(copy_of(&bench.store));
        if bench
            .run_in(Arc::new(Faulty::cut_at(store.clone(), call)), &request)
            .is_ok()
        {
            continue;
        }
        let report = bench.finish(&store);
        bench.check(&store, &report, &format!("cut at call {call}"));
        most = most.max(report.taken.bytes);
        if report.manifest.level == 1 {
            let counts = report.manifest.counts;
            assert_eq!(
                (counts.new, counts.removed),
                (12, 2),
                "cut at call {call}: {counts:?}"
            );
        }
    }
    assert_eq!(
        most,
        12 * 20_000 + 30_000,
        "all that is new was taken at last"
    );
}

#[test]
fn what_goes_on_may_be_cut_off_too_anywhere() {
    let bench = Bench::with_tree();
    bench.later();
    let mut request = bench.request();
    request.checkpoints = Some(CheckpointRule {
        least_bytes: 20_000,
        interval: Duration::ZERO,
    });
    let (_, puts) = bench.calls(&bench.store, &request);
    for first in [puts / 3, puts - 3] {
        let begun = Arc::new(copy_of(&bench.store));
        bench.cut_at_put(&begun, first, &request);
        let (calls, _) = bench.calls(&begun, &request);
        for call in 0..calls {
            let store = Arc::new(copy_of(&begun));
            let second = bench.run_in(Arc::new(Faulty::cut_at(store.clone(), call)), &request);
            let third = bench.finish(&store);
            bench.check(
                &store,
                &third,
                &format!("cut at put {first}, then at call {call}"),
            );
            if second.is_err() && third.manifest.level == 0 {
                assert!(
                    third.taken.files >= 1,
                    "cut at put {first}, then at call {call}: {:?}",
                    third.taken
                );
            }
        }
    }
}

#[test]
fn what_changed_in_between_is_stored_again_and_what_was_renamed_is_not() {
    let bench = Bench::new(None);
    let names = ["changed", "deleted", "kept", "linked", "mode", "renamed"];
    for (name, number) in names.into_iter().zip(0..) {
        bench.write(name, &torture::noise(number, 10_000));
    }
    bench.write("zz", &torture::noise(99, 10_000));
    let request = bench.request();
    let (_, puts) = bench.calls(&bench.store, &request);
    // By the system's own clock: that something was renamed shows in its ctime.
    bench.settle();
    bench.cut_at_put(&bench.store, puts - 2, &request);
    let at = |name: &str| bench.tree().join(name);
    bench.write("changed", &torture::noise(50, 10_000));
    fs::remove_file(at("deleted")).expect("removed");
    fs::hard_link(at("linked"), at("linked too")).expect("linked");
    fs::rename(at("renamed"), at("another name")).expect("renamed");
    fs::set_permissions(
        at("mode"),
        std::os::unix::fs::PermissionsExt::from_mode(0o600),
    )
    .expect("set");
    bench.settle();
    let report = bench.finish(&bench.store);
    bench.check(&bench.store, &report, "after changes");
    let own = own_bytes(&bench.access(bench.store.clone()), &report.manifest);
    assert_eq!(own, 10_000, "what changed, and nothing else");
    assert_eq!(report.taken.bytes, 50_000);
    assert_eq!(
        (
            report.manifest.level,
            report.manifest.counts.new,
            report.manifest.counts.removed
        ),
        (0, 8, 0)
    );
}

#[test]
fn other_settings_do_not_matter_but_whole_members_do() {
    let bench = Bench::with_tree();
    bench.later();
    let (_, puts) = bench.calls(&bench.store, &bench.request());
    for change in 0..3 {
        let store = Arc::new(copy_of(&bench.store));
        let mut first = bench.request();
        (first.compression, first.compression_level) = (Compression::Gzip, 1);
        first.levels.incremental = false;
        bench.cut_at_put(&store, puts / 2, &first);
        let mut second = bench.request();
        match change {
            0 => second.segment_bytes = 100_000,
            1 => {
                second.engine = Engine::Rsync(BlockOptions {
                    threshold_bytes: 1000,
                    least_block_bytes: 512,
                })
            }
            _ => second.levels.same_content = SameContent::Store,
        }
        let report = bench.run_in(store.clone(), &second).expect("a backup");
        bench.check(&store, &report, &format!("change {change}"));
        assert_eq!(
            report.taken.files > 0,
            change < 2,
            "change {change}: {:?}",
            report.taken
        );
    }
}

#[test]
fn blocks_of_a_file_that_changed_since_are_found_in_what_was_cut_off() {
    let bench = Bench::new(None);
    let mut image = torture::noise(1, 400_000);
    bench.write("image", &image);
    bench.write("zz", &torture::noise(2, 40_000));
    let mut request = bench.request();
    request.engine = Engine::Rsync(BlockOptions {
        threshold_bytes: 100_000,
        least_block_bytes: 4096,
    });
    let (_, puts) = bench.calls(&bench.store, &request);
    bench.cut_at_put(&bench.store, puts - 2, &request);
    image[200_000..200_100].fill(7);
    bench.write("image", &image);
    let report = bench
        .run_in(bench.store.clone(), &request)
        .expect("a backup");
    bench.check(&bench.store, &report, "a changed image");
    let own = own_bytes(&bench.access(bench.store.clone()), &report.manifest);
    assert!(own <= 2 * 4096, "{own} bytes were stored again");
    // And a level on top of that finds them too.
    image[300_000..300_100].fill(8);
    bench.write("image", &image);
    let next = bench
        .run_in(bench.store.clone(), &request)
        .expect("a backup");
    bench.check(&bench.store, &next, "the next level");
    assert_eq!((next.manifest.level, next.taken.files), (1, 0));
    let own = own_bytes(&bench.access(bench.store.clone()), &next.manifest);
    assert!(own <= 2 * 4096, "{own} bytes were stored again");
}

#[test]
fn a_run_that_is_told_to_stop_leaves_a_checkpoint_in_the_midst_of_a_file() {
    struct StopAt(Cancel, std::sync::atomic::AtomicU64);
    impl freezer::model::Progress for StopAt {
        fn stage(&self, _: &'static str) {}
        fn expect_total(&self, _: u64, _: u64) {}
        fn trouble(&self, trouble: freezer::model::Trouble) {
            panic!("{trouble}");
        }
        fn advance(&self, _: u64, bytes: u64) {
            if self
                .1
                .fetch_add(bytes, std::sync::atomic::Ordering::Relaxed)
                + bytes
                > 3_000_000
            {
                self.0.request();
            }
        }
    }
    let bench = Bench::new(None);
    bench.write("a", &torture::noise(1, 500_000));
    bench.write("b", &torture::noise(2, 500_000));
    bench.write("c", &torture::noise(3, 12_000_000));
    let mut request = bench.request();
    // None would be due for an hour.
    request.checkpoints = Some(CheckpointRule {
        least_bytes: 900_000,
        interval: Duration::from_secs(3600),
    });
    let cancel = Cancel::new();
    let stopped = run(
        &request,
        &bench.access(bench.store.clone()),
        &bench.clock,
        &StopAt(cancel.clone(), 0.into()),
        &cancel,
    );
    assert!(
        matches!(stopped, Err(BackupError::Interrupted(_))),
        "{stopped:?}"
    );
    bench.later();
    let report = bench.finish(&bench.store);
    bench.check(&bench.store, &report, "stopped");
    let access = bench.access(bench.store.clone());
    assert_eq!(report.taken.files, 3);
    assert!(report.taken.bytes > 2_000_000, "{:?}", report.taken);
    assert_eq!(
        own_bytes(&access, &report.manifest) + report.taken.bytes,
        13_000_000
    );
}

#[test]
fn a_single_large_file_is_gone_on_with_from_where_it_was_cut_off_again_and_again() {
    use std::os::unix::fs::FileExt;
    for engine in [
        Engine::Tar,
        Engine::Rsync(BlockOptions {
            threshold_bytes: 1000,
            least_block_bytes: 4096,
        }),
    ] {
        let bench = Bench::new(None);
        let image = fs::File::create(bench.tree().join("image")).expect("made");
        image
            .write_all_at(&torture::noise(1, 6_000_000), 5_000)
            .expect("written");
        image
            .write_all_at(&torture::noise(2, 6_000_000), 9_000_000)
            .expect("written");
        image.set_len(16_000_000).expect("long");
        fs::hard_link(bench.tree().join("image"), bench.tree().join("linked")).expect("linked");
        bench.later();
        let mut request = bench.request();
        request.engine = engine;
        request.checkpoints = Some(CheckpointRule {
            least_bytes: 500_000,
            interval: Duration::ZERO,
        });
        let (_, puts) = bench.calls(&bench.store, &request);
        for first in [puts / 4, puts / 2, puts * 3 / 4] {
            let store = Arc::new(copy_of(&bench.store));
            bench.cut_at_put(&store, first, &request);
            bench.cut_at_put(&store, puts / 6, &request);
            let report = bench.run_in(store.clone(), &request).expect("a backup");
            bench.check(&store, &report, &format!("cut at put {first}"));
            let access = bench.access(store.clone());
            let own = own_bytes(&access, &report.manifest);
            let data = 12_000_000..=12_000_000 + 5 * 4096;
            assert!(
                data.contains(&(own + report.taken.bytes)),
                "{own} bytes and {:?}",
                report.taken
            );
            let both = (first + puts / 6) as f64 / puts as f64 * 12e6;
            assert!(
                report.taken.bytes as f64 > both - 3e6,
                "cut at put {first} of {puts}: {:?}",
                report.taken
            );
            // A level on top of it leans on all three.
            image.write_all_at(&[7; 100], 10_000_000).expect("written");
            bench.later();
            let next = bench.run_in(store.clone(), &request).expect("a backup");
            bench.check(&store, &next, &format!("after a cut at put {first}"));
            assert_eq!(next.manifest.level, 1);
        }
        // One that changed since is not.
        let store = Arc::new(copy_of(&bench.store));
        bench.cut_at_put(&store, puts / 2, &request);
        image.write_all_at(&[8; 100], 20_000).expect("written");
        bench.later();
        let report = bench.run_in(store.clone(), &request).expect("a backup");
        bench.check(&store, &report, "changed");
        assert_eq!(report.taken.bytes, 0);
    }
}

/// Cuts a run off late, and gives the level that it did not make.
fn cut_late(bench: &Bench) -> LevelId {
    let request = bench.request();
    let (_, puts) = bench.calls(&bench.store, &request);
    bench.cut_at_put(&bench.store, puts - 2, &request);
    let of_data = objects(bench.store.as_ref(), &data_prefix(&backup::name()))
        .pop()
        .expect("data");
    let Some(Meaning::Data { of, .. }) = meaning(&of_data.name) else {
        panic!("{}", of_data.name)
    };
    of.level
}

fn checkpoint_of(store: &Memory, level: &LevelId) -> (ObjectName, u32) {
    let all = objects(store, &data_prefix(&backup::name()));
    let mut checkpoints = all.iter().filter_map(|object| match meaning(&object.name) {
        Some(Meaning::Data {
            of,
            folder: Folder::Checkpoints,
            number,
        }) if of.level == *level => Some((object.name.clone(), number)),
        _ => None,
    });
    let only = checkpoints.next().expect("a checkpoint");
    assert!(checkpoints.next().is_none(), "older ones are removed");
    only
}

#[test]
fn checkpoints_that_are_damaged_forged_or_old_are_passed_over_and_go() {
    let bench = Bench::with_tree();
    bench.later();
    let level = cut_late(&bench);
    let (name, number) = checkpoint_of(&bench.store, &level);
    let stored = bench.store.get(&name, u64::MAX).expect("there");
    let access = bench.access(bench.store.clone());
    let sealer =
        |level: &LevelId| Sealer::new(access.store_id(), level.clone(), Protection::Checksum);
    let sound = Checkpoint::open(
        stored.clone(),
        &access.opener(&level),
        FrameNo(number.into()),
    )
    .expect("sound");
    let forged = |change: &dyn Fn(&mut Checkpoint)| {
        let mut other = sound.clone();
        change(&mut other);
        other
            .seal(&sealer(&level), FrameNo(number.into()))
            .expect("sealed")
    };
    let another: LevelId = "20261122T223450.123Z-1a2b3c4d".parse().expect("legal");
    let mut flipped = stored.clone();
    flipped[60] ^= 1;
    let bad = [
        ("flipped", flipped),
        ("empty", Vec::new()),
        (
            "of another number",
            sound
                .seal(&sealer(&level), FrameNo(u64::from(number) + 1))
                .expect("sealed"),
        ),
        (
            "of another level",
            sound
                .seal(&sealer(&another), FrameNo(number.into()))
                .expect("sealed"),
        ),
        (
            "of another store",
            forged(&|other| other.store = freezer::model::StoreId([7; 16])),
        ),
        (
            "of more segments",
            forged(&|other| other.levels[0].segments += 1000),
        ),
        (
            "of more of the frame table",
            forged(&|other| other.levels[0].frame_table_segments += 1000),
        ),
        ("that takes from nowhere", {
            forged(&|other| {
                let mut from = other.levels[0].clone();
                (from.id, from.serial, from.segments) =
                    (another.clone(), freezer::model::LevelSerial(0), 0);
                other.levels.push(from);
            })
        }),
        (
            "without an index",
            forged(&|other| other.index.node = vec![0xff; 100]),
        ),
        (
            "with an index of another height",
            forged(&|other| other.index.height += 1),
        ),
    ];
    let checked = |store: Arc<Memory>, what: &str| {
        let report = bench.finish(&store);
        bench.check(&store, &report, what);
        report.taken.files
    };
    for (what, bytes) in bad {
        let store = Arc::new(copy_of(&bench.store));
        store.put(&name, &vec![bytes]).expect("stored");
        assert_eq!(checked(store, what), 0, "{what}");
    }
    let store = Arc::new(copy_of(&bench.store));
    store
        .delete(&data_name(&backup::name(), &level, Folder::Segments, 0))
        .expect("removed");
    assert_eq!(checked(store, "without a segment"), 0);
    let store = Arc::new(copy_of(&bench.store));
    for object in objects(
        store.as_ref(),
        &format!("{}{level}/index/", data_prefix(&backup::name())),
    ) {
        store.delete(&object.name).expect("removed");
    }
    checked(store, "without its index");
    assert!(checked(Arc::new(copy_of(&bench.store)), "sound") > 90);
    let store = Arc::new(copy_of(&bench.store));
    let no_file = forged(&|other| other.begun = Some(other.levels[0].frame_table.clone()));
    store.put(&name, &vec![no_file]).expect("stored");
    assert!(checked(store, "with a beginning that is none") > 90);
    bench
        .clock
        .set(bench.clock.now() + SignedDuration::from_hours(24 * 31));
    assert_eq!(checked(Arc::new(copy_of(&bench.store)), "old"), 0);
}

#[test]
fn where_nothing_may_be_removed_a_run_is_gone_on_with_all_the_same() {
    let bench = Bench::with_tree();
    bench.later();
    let append_only = |puts: Option<u64>| {
        let mut store = Faulty::new(bench.store.clone());
        for call in 0..2000 {
            store = store.with(Fault::at(Verb::Delete, call).with_kind(Kind::Denied));
        }
        Arc::new(match puts {
            Some(put) => store.with(Fault::at(Verb::Put, put).for_good()),
            None => store,
        })
    };
    let request = bench.request();
    let (_, puts) = bench.calls(&bench.store, &request);
    bench
        .run_in(append_only(Some(puts - 2)), &request)
        .expect_err("cut off");
    let report = bench.run_in(append_only(None), &request).expect("a backup");
    assert!(report.taken.files > 90, "{:?}", report.taken);
    // With all the claims that nobody may remove.
    bench.write("later", b"later");
    let store = append_only(None);
    let report = bench.run_in(store.clone(), &request).expect("a backup");
    assert_eq!((report.manifest.level, report.taken.files), (1, 0));
    assert!(store.calls().all() < 60, "{} calls", store.calls().all());
    // One who may tidies up.
    let last = bench.finish(&bench.store);
    bench.check(&bench.store, &last, "tidied");
}

#[test]
fn a_prune_in_between_keeps_what_can_be_gone_on_with() {
    use freezer::upkeep::{Going, plan, withdraw};
    let bench = Bench::with_tree();
    bench.later();
    bench.finish(&bench.store);
    bench.write("big", &torture::noise(5, 300_000));
    bench.write("another", &torture::noise(6, 300_000));
    bench.finish(&bench.store);
    bench.write("another", &torture::noise(7, 300_000));
    bench.write("zz", &torture::noise(8, 300_000));
    let request = bench.request();
    let (_, puts) = bench.calls(&bench.store, &request);
    bench.cut_at_put(&bench.store, puts - 2, &request);

    let (access, name, now) = (
        bench.access(bench.store.clone()),
        backup::name(),
        bench.clock.now(),
    );
    let going = Going::Unprotected(Retention {
        last: 1,
        ..Retention::default()
    });
    let mut plan = plan(&access, &name, &going, now, &TimeZone::UTC).expect("a plan");
    let lock = LockRequest {
        backup: &name,
        host: "here",
        action: "prune",
        patience: Patience::None,
    };
    let condemned = with_lock(
        bench.store.as_ref(),
        &Catalog::new(bench.store.clone()),
        lock,
        &bench.clock,
        &Cancel::new(),
        Result::is_ok,
        |held| {
            withdraw(
                &access,
                &mut plan,
                held,
                (now, SignedDuration::ZERO),
                &Cancel::new(),
            )
        },
    );
    let pruned = condemned
        .expect("locked")
        .expect("planned")
        .remove(&access, &name, &Cancel::new())
        .expect("pruned");
    assert_eq!((pruned.points, bench.levels().len()), (1, 1));

    let report = bench.finish(&bench.store);
    assert!(report.taken.bytes >= 300_000, "{:?}", report.taken);
    let whole = reading::whole(&access, &name, &report.manifest.id);
    assert!(
        whole
            .iter()
            .any(|(entry, content)| entry.path.to_string() == "zz"
                && *content == torture::noise(8, 300_000))
    );
    assert!(objects(bench.store.as_ref(), "locks/").is_empty());
}
