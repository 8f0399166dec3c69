//! A manifest in whose place another one stands that opens as well: its children tell.

use crate::support::{backup, scratch};
use freezer::catalog::{Access, names};
use freezer::format::frame::{Protection, Sealer};
use freezer::model::progress::Silent;
use freezer::model::{Cancel, LevelId};
use freezer::store::Store;
use freezer::store::memory::MemoryStore;
use freezer::upkeep::{Damage, Depth, check};
use std::sync::Arc;

/// Makes a full level and one that builds on it.
fn two_levels(access: &Access) -> [LevelId; 2] {
    let tree = scratch();
    ["first", "second"].map(|text| {
        std::fs::write(tree.path().join("file"), text).expect("written");
        backup::back_up(access, &[tree.path()], |request| {
            request.levels.incremental = true;
        })
        .manifest
        .id
    })
}

fn damages(access: &Access, levels: &[LevelId]) -> Vec<String> {
    let mut told = Vec::new();
    let mut tell = |_: &[LevelId], damage: Damage| told.push(damage.to_string());
    let (name, cancel) = (backup::name(), Cancel::new());
    check(
        access,
        &name,
        levels,
        Depth::Structure,
        &mut tell,
        &Silent,
        &cancel,
    )
    .expect("checked");
    told
}

#[test]
fn a_manifest_that_its_child_does_not_know_is_damage() {
    let store = Arc::new(MemoryStore::default());
    let access = backup::create_plain(store.clone());
    let levels = two_levels(&access);
    assert_eq!(damages(&access, &levels), [""; 0]);

    // Whoever can compute checksums can store another sound manifest.
    let mut other = access.manifest(&backup::name(), &levels[0]).expect("sound");
    other.zone = "elsewhere".to_owned();
    let sealer = Sealer::new(access.store_id(), levels[0].clone(), Protection::Checksum);
    let sealed = other.seal(&sealer).expect("sealed");
    let name = names::manifest_name(&backup::name(), &levels[0]);
    store.put(&name, &vec![sealed]).expect("stored");
    for together in [&levels[..], &levels[1..]] {
        let told = damages(&access, together);
        assert!(
            matches!(&told[..], [one] if one.contains("after another manifest of level")),
            "{told:?}"
        );
    }

    // A parent that retention removed is no damage.
    store.delete(&name).expect("removed");
    assert_eq!(damages(&access, &levels[1..]), [""; 0]);
}
