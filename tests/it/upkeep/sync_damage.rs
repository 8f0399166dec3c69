//! Damage in a store does not reach its copy: what is damaged stays behind with the points in time
//! that need it, and the rest goes on.

use super::sync::sync_to;
use super::{Series, objects};
use crate::support::backup;
use freezer::catalog::{Access, Catalog};
use freezer::model::progress::Silent;
use freezer::model::{Cancel, LevelId};
use freezer::store::memory::MemoryStore;
use freezer::store::{ObjectName, Store, StoreExt};
use freezer::upkeep::{Depth, Portion, check, repair};
use std::sync::Arc;

fn objects_of(store: &dyn Store, level: &LevelId, folder: &str) -> Vec<ObjectName> {
    let below = format!("data/host/tree/{level}/{folder}/");
    let names = objects(store, &below).into_iter();
    names
        .map(|name| ObjectName::new(name).expect("listed"))
        .collect()
}

/// Flips a bit in the middle of an object.
fn flip(store: &dyn Store, object: &ObjectName) {
    let mut body = store.get(object, u64::MAX).expect("there");
    let middle = body.len() / 2;
    body[middle] ^= 4;
    store.put(object, &vec![body]).expect("stored");
}

fn levels(store: &Arc<MemoryStore>) -> Vec<LevelId> {
    Catalog::new(store.clone())
        .levels(&backup::name())
        .expect("listed")
}

/// Checks all levels of a store with all of their data. Returns how often damage was told.
fn damages(store: &Arc<MemoryStore>) -> u64 {
    let access = Access::open(store.clone(), None).expect("it opens");
    check(
        &access,
        &backup::name(),
        &levels(store),
        Depth::Data(Portion::All),
        &mut |_, _| {},
        &Silent,
        &Cancel::new(),
    )
    .expect("checked")
    .damages
}

/// Syncs two levels, of which the newer one has a damaged object. Only the older one may arrive.
#[track_caller]
fn only_the_sound_level_arrives(folder: &str, harm: impl Fn(&dyn Store, &ObjectName)) {
    let mut series = Series::with_large_files(1, 4, 2);
    series.write_large(1, 9);
    let hurt = series.back_up();
    let store = series.store.clone();
    let object = objects_of(store.as_ref(), &hurt, folder).remove(0);
    harm(store.as_ref(), &object);
    let copy = Arc::new(MemoryStore::default());
    let synced = sync_to(&series.access, copy.clone(), &series.clock).expect("the rest goes on");
    assert_eq!((synced.points, synced.is_whole()), (1, false), "{folder}");
    assert_eq!(synced.held_back, [hurt.clone()], "{folder}");
    let told: Vec<&ObjectName> = synced
        .damaged
        .iter()
        .map(|damaged| &damaged.object)
        .collect();
    assert_eq!(told, [&object], "{folder}: {:?}", synced.damaged);
    assert!(!levels(&copy).contains(&hurt), "{folder}");
    assert_eq!(damages(&copy), 0, "{folder}");
    assert!(
        !objects(copy.as_ref(), "").contains(&object.to_string()),
        "{folder}: the damaged object is in the copy"
    );
}

#[test]
fn a_level_with_a_damaged_object_stays_behind() {
    only_the_sound_level_arrives("segments", flip);
    only_the_sound_level_arrives("segments", |store, object| {
        let body = store.get(object, u64::MAX).expect("there");
        store.put(object, &vec![body, vec![7]]).expect("stored");
    });
}

#[test]
fn a_level_with_a_missing_segment_stays_behind() {
    only_the_sound_level_arrives("segments", |store, object| {
        store.delete(object).expect("removed");
    });
}

#[test]
fn a_level_whose_index_objects_have_changed_places_stays_behind() {
    let mut series = Series::new();
    for file in 0..600 {
        let name = format!("a file with a name of some length, so that blocks fill up, {file}");
        series.write(&name, b"text");
    }
    series.segment_bytes = 1 << 10;
    let level = series.back_up();
    let store = series.store.clone();
    let index = objects_of(store.as_ref(), &level, "index");
    let [first, .., last] = &index[..] else {
        panic!("one object of the index is too few: {index:?}");
    };
    let bodies = [first, last].map(|object| store.get(object, u64::MAX).expect("there"));
    let [of_first, of_last] = bodies;
    store.put(first, &vec![of_last]).expect("stored");
    store.put(last, &vec![of_first]).expect("stored");
    let copy = Arc::new(MemoryStore::default());
    let synced = sync_to(&series.access, copy.clone(), &series.clock).expect("looked at");
    assert_eq!(
        (synced.points, synced.held_back.len()),
        (0, 1),
        "{synced:?}"
    );
}

#[test]
fn a_later_level_that_does_not_need_the_damage_arrives() {
    let mut series = Series::with_large_files(1, 2, 1);
    let full = series.levels().remove(0);
    let store = series.store.clone();
    // Both files are stored again, so nothing of the full level is needed any more.
    series.write_large(0, 8);
    series.write_large(1, 9);
    let newer = series.back_up();
    let segment = objects_of(store.as_ref(), &full, "segments").remove(0);
    flip(store.as_ref(), &segment);
    let copy = Arc::new(MemoryStore::default());
    let synced = sync_to(&series.access, copy.clone(), &series.clock).expect("the rest goes on");
    assert_eq!(synced.held_back, [full]);
    assert_eq!(levels(&copy), [newer]);
}

#[test]
fn damage_that_a_repair_has_noted_comes_with_its_note_and_is_told() {
    let series = Series::with_large_files(2, 4, 1);
    let full = series.levels().remove(0);
    let store = series.store.clone();
    let segment = objects_of(store.as_ref(), &full, "segments").remove(1);
    flip(store.as_ref(), &segment);
    repair(
        &series.access,
        &backup::name(),
        &series.levels(),
        &mut |_: &[LevelId], _| {},
        &Silent,
        &Cancel::new(),
    )
    .expect("looked at");
    let copy = Arc::new(MemoryStore::default());
    let synced = sync_to(&series.access, copy.clone(), &series.clock).expect("copied");
    assert_eq!(synced.points, 2, "{synced:?}");
    assert!(
        !synced.is_whole() && synced.held_back.is_empty(),
        "{synced:?}"
    );
    assert!(
        synced.damaged.iter().all(|damaged| damaged.was_copied),
        "{synced:?}"
    );
    assert_eq!(objects(copy.as_ref(), "lost/").len(), 1);
}

#[test]
fn what_is_no_object_of_the_layout_or_of_a_level_does_not_cross() {
    let series = Series::with_levels(2);
    let level = series.levels().remove(0);
    let store = series.store.clone();
    let sound = objects(store.as_ref(), "");
    let junk = [
        format!("data/host/tree/{level}/segments/00004711"),
        format!("data/host/tree/{level}/segments/junk"),
        format!("data/host/tree/{level}/junk"),
        "keys/00000000.json".to_owned(),
        "keys/junk".to_owned(),
        "junk".to_owned(),
        "manifests/host/tree/20991130T025420.000Z-00000000".to_owned(),
    ];
    for name in &junk {
        let name = ObjectName::new(name.clone()).expect("legal");
        store
            .put(&name, &vec![b"{\"junk\":1}".to_vec()])
            .expect("stored");
    }
    let copy = Arc::new(MemoryStore::default());
    let synced = sync_to(&series.access, copy.clone(), &series.clock).expect("copied");
    assert_eq!(
        (synced.points, synced.unreadable.len()),
        (2, 1),
        "{synced:?}"
    );
    assert_eq!(objects(copy.as_ref(), ""), sound);
}
