//! Objects that swap their places, and old objects in the places of newer ones: each is genuine,
//! but in the wrong place.

use super::{Change, LANES, Readable, Sound};
use crate::support::backup;
use freezer::catalog::names::Folder;
use freezer::format::frame::Compression;
use freezer::store::ObjectName;

fn swap(sound: &Sound, one: &ObjectName, other: &ObjectName) -> Vec<Change> {
    vec![
        Change(one.clone(), Some(sound.bytes(other))),
        Change(other.clone(), Some(sound.bytes(one))),
    ]
}

/// Reads both levels in every way. The levels in `hurt` must notice; the others must read whole.
#[track_caller]
fn judge(sound: &Sound, changes: &[Change], hurt: [bool; 2], what: &str) {
    let store = sound.harmed(changes);
    for (level, hurt) in hurt.into_iter().enumerate() {
        let readable = sound.examine(&store, level, what);
        let all = Some(Readable::all_of(&sound.wholes[level]));
        assert_eq!(readable == all, !hurt, "{what}: {readable:?}");
        if let Some(error) = readable.and_then(|readable| readable.first_error) {
            assert!(
                error.contains("authentication")
                    || error.contains("not a valid frame")
                    || error.contains("shorter"),
                "{what}: {error}"
            );
        }
    }
    sound.back_up_again(&store, what);
}

fn swaps(sound: &Sound) {
    for folder in LANES {
        // Begin at the back: the first block of an index is in the manifest too, so no reader
        // fetches the object for it.
        let backwards = |level| {
            sound
                .objects(level, folder)
                .into_iter()
                .rev()
                .collect::<Vec<_>>()
        };
        let (older, newer) = (backwards(0), backwards(1));
        let what = format!("two objects of {folder:?} swapped");
        judge(
            sound,
            &swap(sound, &older[0], &older[1]),
            [true, false],
            &what,
        );
        judge(
            sound,
            &swap(sound, &older[0], &newer[0]),
            [true, true],
            &format!("{what} between levels"),
        );
        let replaced = [Change(newer[0].clone(), Some(sound.bytes(&older[0])))];
        judge(
            sound,
            &replaced,
            [false, true],
            &format!("an object of {folder:?} replaced by the older level's"),
        );
    }
    judge(
        sound,
        &swap(sound, &sound.manifest(0), &sound.manifest(1)),
        [true, true],
        "manifests swapped",
    );
    let replaced = [Change(
        sound.manifest(1),
        Some(sound.bytes(&sound.manifest(0))),
    )];
    judge(
        sound,
        &replaced,
        [false, true],
        "a manifest replaced by an older one",
    );
    let (index, segment) = (
        sound.objects(0, Folder::Index).pop().expect("several"),
        &sound.objects(0, Folder::Segments)[0],
    );
    judge(
        sound,
        &swap(sound, &index, segment),
        [true, false],
        "an index object and a segment swapped",
    );
}

#[test]
fn what_stands_in_anothers_place_in_an_encrypted_store_is_refused() {
    swaps(&Sound::new(Compression::Gzip, Some(backup::passphrase())));
}

#[test]
fn what_stands_in_anothers_place_in_a_plain_store_is_refused() {
    swaps(&Sound::new(Compression::Gzip, None));
}

#[test]
fn a_manifest_under_the_name_of_another_backup_is_refused() {
    for passphrase in [None, Some(backup::passphrase())] {
        let sound = Sound::new(Compression::Gzip, passphrase);
        let other = freezer::model::BackupName::new("host", "other").expect("legal");
        let name = freezer::catalog::names::manifest_name(&other, &sound.levels[0]);
        let store = sound.harmed(&[Change(name, Some(sound.bytes(&sound.manifest(0))))]);
        let error = sound
            .open(&store)
            .manifest(&other, &sound.levels[0])
            .expect_err("it belongs to another");
        assert!(
            anyhow::Error::from(error)
                .chain()
                .any(|cause| cause.to_string().contains("belongs to another backup"))
        );
    }
}
