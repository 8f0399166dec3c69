//! Names are read back as what they are, and strangers mean nothing.

use super::{
    Folder, LevelOf, Meaning, Term, claim_name, data_name, level_prefix, lost_name, manifest_name,
    manifests_prefix, meaning, place_in_level, withdrawn_name,
};
use crate::model::{BackupName, LevelId};
use crate::store::ObjectName;
use proptest::prelude::*;

fn level() -> LevelId {
    "20261122T223450.123Z-1a2b3c4d".parse().expect("legal")
}

#[test]
fn the_layout_is_what_the_format_says() {
    let backup = BackupName::new("web-1", "docs/old").expect("legal");
    assert_eq!(
        manifest_name(&backup, &level()).as_str(),
        "manifests/web-1/docs%2Fold/20261122T223450.123Z-1a2b3c4d"
    );
    let segment = data_name(&backup, &level(), Folder::Segments, 17);
    assert_eq!(
        segment.as_str(),
        "data/web-1/docs%2Fold/20261122T223450.123Z-1a2b3c4d/segments/00000017"
    );
}

#[test]
fn a_claim_is_read_back_from_its_name() {
    let backup = BackupName::new("h", "n").expect("legal");
    let until = "2026-11-22T22:44:50.123Z".parse().expect("a moment");
    let name = claim_name(&backup, &level(), Term::Until(until));
    assert_eq!(
        name.as_str(),
        "locks/h/n/20261122T223450.123Z-1a2b3c4d/20261122T224450.123Z"
    );
    for term in [Term::Until(until), Term::Over] {
        let of = LevelOf {
            backup: backup.clone(),
            level: level(),
        };
        assert_eq!(
            meaning(&claim_name(&backup, &level(), term)),
            Some(Meaning::Claim(of, term))
        );
    }
}

#[test]
fn numbers_sort_as_text_up_to_the_last() {
    let backup = BackupName::new("h", "n").expect("legal");
    let names = [
        0,
        9,
        10,
        99_999_999,
        100_000_000,
        999_999_999,
        1_000_000_000,
        u32::MAX,
    ];
    assert!(
        names
            .map(|number| data_name(&backup, &level(), Folder::Index, number))
            .is_sorted()
    );
}

#[test]
fn what_is_not_ours_means_nothing() {
    for stranger in [
        "freezer.json",
        "keys/1.json",
        "manifests/h/n",
        "manifests/h/n/latest",
        "manifests/h/n/20261122T223450.123Z-1a2b3c4d/x",
        "data/h/n/20261122T223450.123Z-1a2b3c4d/segments/1",
        "data/h/n/20261122T223450.123Z-1a2b3c4d/segments/A0000000001",
        "data/h/n/20261122T223450.123Z-1a2b3c4d/segments/+0000001",
        "data/h/n/20261122T223450.123Z-1a2b3c4d/other/00000001",
        "data/h/n/20261122T223450.123Z-1a2b3c4d/other",
        "data/h/n/20261122T223450.123Z-1a2b3c4d/stream.zip",
        "data/h/n/20261122T223450.123Z-1a2b3c4d/stream/00000001",
        "locks/h/n/20261122T223450.123Z-1a2b3c4d/20261122T223450.123Zx",
        "locks/h/n/20261122T223450.123Z-1a2b3c4d",
        "manifests/%2e/n/20261122T223450.123Z-1a2b3c4d",
        "manifests/h%2Fh/n/20261122T223450.123Z-1a2b3c4d",
    ] {
        assert_eq!(
            meaning(&ObjectName::new(stranger).expect("legal")),
            None,
            "{stranger}"
        );
    }
}

#[test]
fn a_name_too_long_for_a_component_is_found_under_its_cut_form() {
    let backup = BackupName::new("h", &"\u{e9}".repeat(127)).expect("legal");
    let Some(Meaning::Manifest(found)) = meaning(&manifest_name(&backup, &level())) else {
        panic!("it is a manifest")
    };
    assert_ne!(found.backup, backup);
    assert_eq!(super::as_listed(&backup), found.backup);
    assert_eq!(super::as_listed(&found.backup), found.backup);
    assert_eq!(manifests_prefix(&found.backup), manifests_prefix(&backup));
}

proptest! {
    #[test]
    fn names_are_read_back(
        host in "[^/\\pC]{1,20}",
        name in "\\PC{1,20}",
        number: u32,
        folder in 0_usize..5,
    ) {
        prop_assume!(BackupName::new(&host, &name).is_ok());
        let backup = BackupName::new(&host, &name).expect("checked");
        let of = LevelOf { backup: backup.clone(), level: level() };
        let read_back = [
            (manifest_name(&backup, &level()), Meaning::Manifest(of.clone())),
            (withdrawn_name(&backup, &level()), Meaning::Withdrawn(of.clone())),
            (lost_name(&backup, &level()), Meaning::Lost(of.clone())),
        ];
        for (name, expected) in read_back {
            prop_assert_eq!(meaning(&name), Some(expected));
        }
        let folder = Folder::ALL[folder];
        let data = data_name(&backup, &level(), folder, number);
        prop_assert!(data.as_str().starts_with(&level_prefix(&backup, &level())));
        prop_assert_eq!(&super::as_listed(&backup), &backup);
        prop_assert_eq!(meaning(&data), Some(Meaning::Data { of: of.clone(), folder, number }));
        prop_assert_eq!(place_in_level(&data), Some((folder, number)));
        for ending in super::WHOLE_ENDINGS {
            let whole = of.stream_name(ending);
            prop_assert_eq!(meaning(&whole), Some(Meaning::Whole(of.clone(), ending)));
        }
    }

    #[test]
    fn any_object_name_is_read_without_panic(
        text in "(manifests|data|locks|lost|withdrawn)/[%~a-zA0-9/.]{0,60}",
    ) {
        if let Some(object) = ObjectName::new(text) {
            meaning(&object);
        }
    }
}
