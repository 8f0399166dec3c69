//! Checkpoints that cannot be used, and stores that let nobody remove them.

use super::{Bench, objects};
use crate::crash::copy_of;
use crate::support::backup;
use freezer::catalog::names::{Folder, Meaning, data_name, data_prefix, meaning};
use freezer::format::checkpoint::Checkpoint;
use freezer::format::frame::{Protection, Sealer};
use freezer::model::{FrameNo, LevelId};
use freezer::platform::Clock;
use freezer::store::StoreExt;
use freezer::store::faulty::{Fault, Faulty};
use freezer::store::memory::MemoryStore;
use freezer::store::{ErrorKind, ObjectName, Operation, Store};
use jiff::SignedDuration;
use std::sync::Arc;

/// Cuts a run off late. Returns the id of the level that it did not make.
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

fn checkpoint_of(store: &MemoryStore, level: &LevelId) -> (ObjectName, u32) {
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
    let checked = |store: Arc<MemoryStore>, what: &str| {
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
            store = store.with(Fault::at(Operation::Delete, call).with_kind(ErrorKind::Denied));
        }
        Arc::new(match puts {
            Some(put) => store.with(Fault::at(Operation::Put, put).for_good()),
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
    // All the claims are still there, as nobody may remove them.
    bench.write("later", b"later");
    let store = append_only(None);
    let report = bench.run_in(store.clone(), &request).expect("a backup");
    assert_eq!((report.manifest.level, report.taken.files), (1, 0));
    assert!(store.calls().all() < 60, "{} calls", store.calls().all());
    // A run that may remove objects tidies up.
    let last = bench.finish(&bench.store);
    bench.check(&bench.store, &last, "tidied");
}
