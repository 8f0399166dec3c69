//! The data that goes with a point in time, and when it goes.

use super::{Series, objects};
use crate::support::{backup, reading, torture};
use freezer::catalog::names::{data_prefix, level_prefix, manifest_name};
use freezer::model::{LevelId, Retention};
use freezer::store::{ObjectName, Store, StoreExt};
use freezer::upkeep::{GRACE, Going, plan, unneeded_bytes};
use jiff::SignedDuration;

fn last(count: u64) -> Going {
    Going::Unprotected(Retention {
        last: count,
        ..Retention::default()
    })
}

#[test]
fn any_point_in_time_can_go_in_any_order() {
    for seed in 0..6_usize {
        let series = Series::with_levels(9);
        let mut left = series.levels();
        let mut turn = seed;
        while left.len() > 1 {
            turn = (turn * 5 + 3) % 101;
            let level = left.remove(turn % left.len());
            let pruned = series
                .prune(&Going::Named(level.clone()), SignedDuration::ZERO)
                .expect("pruned");
            assert_eq!((pruned.points, pruned.waiting_bytes), (1, 0));
            assert_eq!(series.levels(), left, "seed {seed}");
            series.check(&series.access, &format!("seed {seed}, {level} has gone"));
            assert_eq!(
                unneeded_bytes(&series.access, &backup::name()).expect("listed"),
                0
            );
        }
        // The data that the last one needs is left, and none when that goes too.
        series
            .prune(&Going::Named(left.remove(0)), SignedDuration::ZERO)
            .expect("pruned");
        assert!(objects(series.store.as_ref(), &data_prefix(&backup::name())).is_empty());
        assert!(objects(series.store.as_ref(), "locks/").is_empty());
        // The last note alone knows which serial comes next.
        assert_eq!(objects(series.store.as_ref(), "withdrawn/").len(), 1);
    }
}

#[test]
fn after_a_full_level_has_gone_the_next_run_leans_on_what_is_left() {
    let mut series = Series::with_levels(5);
    let full = series.levels().remove(0);
    series
        .prune(&Going::Named(full), SignedDuration::ZERO)
        .expect("pruned");
    series.write("file 3", b"changed");
    let next = series.back_up();
    let manifest = series
        .access
        .manifest(&backup::name(), &next)
        .expect("it opens");
    assert_eq!(manifest.level, 5, "no new full level is needed");
    series
        .prune(&last(1), SignedDuration::ZERO)
        .expect("pruned");
    assert_eq!(series.levels(), [next]);
    series.check(&series.access, "the newest alone");
}

#[test]
fn a_chain_goes_on_when_levels_of_it_have_gone() {
    // The full level that the differential leans on is gone, and there is no other of its number.
    // So the next level is full.
    for (gone, expected) in [(0, 0), (1, 1)] {
        let mut series = Series::with_levels(1);
        let next = |series: &mut Series, content: &[u8]| {
            series.write("file 1", content);
            let mut request = series.request();
            request.levels.always_level = Some(1);
            request.levels.restart_after_days = Some(30);
            series.back_up_as(&request)
        };
        next(&mut series, b"one");
        next(&mut series, b"two");
        let level = series.levels().remove(gone);
        series
            .prune(&Going::Named(level), SignedDuration::ZERO)
            .expect("pruned");
        let last = next(&mut series, b"three");
        assert_eq!(
            series
                .access
                .manifest(&backup::name(), &last)
                .expect("it opens")
                .level,
            expected
        );
        series.check(&series.access, "a level of the chain has gone");
    }
    // The days of a chain count from its full level, even after that has gone.
    let mut series = Series::with_levels(4);
    let full = series.levels().remove(0);
    series
        .prune(&Going::Named(full), SignedDuration::ZERO)
        .expect("pruned");
    for (days, expected) in [(30, 4), (4, 0)] {
        let mut request = series.request();
        request.levels.restart_after_days = Some(days);
        series.write("file 2", b"again");
        let level = series.back_up_as(&request);
        assert_eq!(
            series
                .access
                .manifest(&backup::name(), &level)
                .expect("it opens")
                .level,
            expected,
            "{days} days"
        );
    }
}

#[test]
fn the_index_of_a_level_goes_when_only_its_content_is_needed() {
    let series = Series::with_levels(4);
    series
        .prune(&last(1), SignedDuration::ZERO)
        .expect("pruned");
    let indexes = objects(series.store.as_ref(), "data/")
        .into_iter()
        .filter(|name| name.contains("/index/"))
        .count();
    let newest = series.levels().remove(0);
    let manifest = series
        .access
        .manifest(&backup::name(), &newest)
        .expect("it opens");
    assert!(manifest.levels.len() > 1, "it leans on others");
    assert!(indexes <= 1, "{indexes} index objects");
    series.check(&series.access, "the newest alone");
}

#[test]
fn the_plan_tells_the_bytes_that_go() {
    let series = Series::with_levels(6);
    let bytes = |series: &Series| {
        let mut sum = 0;
        let mut each = |object: freezer::store::ObjectInfo| {
            sum += object.length;
            true
        };
        series.store.list("data/", &mut each).expect("listed");
        sum
    };
    use freezer::platform::Clock;
    let planned = plan(
        &series.access,
        &backup::name(),
        &last(2),
        series.clock.now(),
        &jiff::tz::TimeZone::UTC,
    )
    .expect("a plan");
    assert_eq!(series.levels().len(), 6, "a plan changes nothing");
    let before = bytes(&series);
    let pruned = series
        .prune(&last(2), SignedDuration::ZERO)
        .expect("pruned");
    assert_eq!(
        (planned.freed_bytes, planned.going() as u64),
        (pruned.freed_bytes, pruned.points)
    );
    assert_eq!(before - bytes(&series), pruned.freed_bytes);
    assert!(pruned.freed_bytes > 0);
}

#[test]
fn who_reads_a_point_in_time_that_goes_can_read_on_for_the_grace() {
    let series = Series::with_levels(5);
    let first = series.levels().remove(0);
    let view = reading::open(&series.access, &backup::name(), &first, &reading::reader())
        .expect("it opens");
    let pruned = series.prune(&last(1), GRACE).expect("pruned");
    assert_eq!((pruned.points, pruned.freed_bytes), (4, 0));
    assert!(pruned.waiting_bytes > 0 && pruned.waiting_until.is_some());
    assert!(
        reading::of_view(&view) == series.held[&first],
        "the reader is not disturbed"
    );
    series.pass(SignedDuration::from_mins(59));
    assert_eq!(
        series.prune(&last(1), GRACE).expect("pruned").freed_bytes,
        0,
        "not yet"
    );
    series.pass(SignedDuration::from_mins(1));
    let later = series
        .prune(&Going::Unprotected(Retention::default()), GRACE)
        .expect("pruned");
    assert_eq!(
        (later.freed_bytes, later.waiting_bytes),
        (pruned.waiting_bytes, 0)
    );
    assert!(objects(series.store.as_ref(), "withdrawn/").is_empty());
    series.check(&series.access, "after the grace");
}

#[test]
fn a_note_that_cannot_be_read_keeps_all_that_is_older() {
    let series = Series::with_levels(7);
    let waiting = series.prune(&last(1), GRACE).expect("pruned").waiting_bytes;
    let note = objects(series.store.as_ref(), "withdrawn/").remove(0);
    let name = freezer::store::ObjectName::new(note).expect("listed");
    series
        .store
        .put(&name, &vec![b"x".to_vec()])
        .expect("stored");
    let again = series.prune(&last(1), GRACE).expect("pruned");
    assert_eq!((again.freed_bytes, again.waiting_bytes), (0, waiting));
    assert!(waiting > 0);
    assert!(
        series
            .prune(&last(1), SignedDuration::ZERO)
            .expect("pruned")
            .freed_bytes
            > 0
    );
}

#[test]
fn a_manifest_that_cannot_be_read_stops_the_removal_of_what_it_may_name() {
    let series = Series::with_levels(7);
    let levels = series.levels();
    let name = manifest_name(&backup::name(), &levels[1]);
    let sound = series.store.get(&name, u64::MAX).expect("there");
    let mut damaged = sound.clone();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    series.store.put(&name, &vec![damaged]).expect("stored");
    let data_of = |level: &LevelId| {
        objects(series.store.as_ref(), &level_prefix(&backup::name(), level)).len()
    };
    let before: Vec<usize> = levels.iter().map(data_of).collect();
    let pruned = series
        .prune(&last(1), SignedDuration::ZERO)
        .expect("pruned");
    assert_eq!(series.levels(), [levels[1].clone(), levels[6].clone()]);
    assert!(pruned.doubtful_bytes > 0);
    for at in 0..2 {
        assert_eq!(
            data_of(&levels[at]),
            before[at],
            "level {at} is older than the damaged manifest, or its own"
        );
    }
    assert!(
        pruned.freed_bytes > 0,
        "what is newer cannot be named by it"
    );
    // When its object is back, it reads as before.
    let damaged = series.store.get(&name, u64::MAX).expect("there");
    series.store.put(&name, &vec![sound]).expect("stored");
    series.check(&series.access, "the manifest is back");
    // When it cannot be saved, it goes if it is named, and its data with it.
    series.store.put(&name, &vec![damaged]).expect("stored");
    series
        .prune(&Going::Named(levels[1].clone()), SignedDuration::ZERO)
        .expect("pruned");
    assert_eq!(
        unneeded_bytes(&series.access, &backup::name()).expect("listed"),
        0
    );
    series.check(&series.access, "the damaged one has gone");
}

#[test]
fn what_a_dead_run_left_goes_without_any_rule() {
    let series = Series::with_levels(2);
    let dead = LevelId::new(
        series.levels()[1].started() + SignedDuration::from_hours(1),
        7,
    );
    for folder in freezer::catalog::names::Folder::ALL {
        let name = freezer::catalog::names::data_name(&backup::name(), &dead, folder, 0);
        series
            .store
            .put(&name, &vec![torture::noise(1, 1000)])
            .expect("stored");
    }
    let pruned = series
        .prune(&Going::Unprotected(Retention::default()), GRACE)
        .expect("pruned");
    let left = freezer::catalog::names::Folder::ALL.len() as u64;
    assert_eq!(
        (pruned.points, pruned.objects, pruned.freed_bytes),
        (0, left, 1000 * left)
    );
    series.check(&series.access, "leftovers have gone");
}

#[test]
fn nothing_goes_but_what_has_a_name_of_the_layout() {
    let series = Series::with_levels(3);
    let mut strangers = Vec::new();
    for level in series.levels() {
        let below = level_prefix(&backup::name(), &level);
        let names = [
            "letter.txt",
            "other/id_rsa",
            "segments/readme",
            "index/1",
            "stream.zip",
        ];
        for name in names {
            let object = ObjectName::new(format!("{below}{name}")).expect("legal");
            series
                .store
                .put(&object, &vec![b"precious".to_vec()])
                .expect("stored");
            strangers.push(object.to_string());
        }
    }
    strangers.sort_unstable();
    series
        .prune(&last(1), SignedDuration::ZERO)
        .expect("pruned");
    for level in series.levels() {
        series
            .prune(&Going::Named(level), SignedDuration::ZERO)
            .expect("pruned");
    }
    let left = objects(series.store.as_ref(), &data_prefix(&backup::name()));
    assert_eq!(left, strangers);
}

#[test]
fn a_prune_asks_the_store_in_proportion_to_manifests() {
    let series = Series::with_levels(60);
    let before = series.store.calls().all();
    series
        .prune(&last(6), SignedDuration::ZERO)
        .expect("pruned");
    let calls = series.store.calls().all() - before;
    assert!(calls < 60 * 12, "{calls} calls for 60 points in time");
}
