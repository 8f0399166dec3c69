//! Delete, cut and flip × manifest, index, frame table, segments.

use super::{Change, Readable, Sound, harms};
use crate::support::backup;
use freezer::catalog::names::Folder;
use freezer::format::frame::Compression;
use freezer::store::ObjectName;

/// Harms one object of the newest level in every way. Returns what could be read of it each time.
fn harm_each(sound: &Sound, name: &ObjectName, mut judge: impl FnMut(&str, Readable)) {
    let sound_bytes = sound.bytes(name);
    for (kind, body) in harms(&sound_bytes) {
        let what = format!("{name} {kind}");
        let deleted = body.is_none();
        let unharmed = body
            .as_ref()
            .is_some_and(|body| body.starts_with(&sound_bytes));
        let store = sound.harmed(&[Change(name.clone(), body)]);
        let newest = sound
            .examine(&store, 1, &what)
            .expect("a manifest opens by itself");
        if unharmed {
            assert_eq!(
                newest,
                Readable::all_of(&sound.wholes[1]),
                "{what}: all that is needed is where it was"
            );
        } else {
            let error = newest
                .first_error
                .as_ref()
                .unwrap_or_else(|| panic!("{what}: not noticed"));
            assert!(
                error.contains(name.as_str()),
                "{what}: the error does not name the object: {error}"
            );
            judge(&what, newest);
        }
        if deleted {
            assert_eq!(
                sound.examine(&store, 0, &what),
                Some(Readable::all_of(&sound.wholes[0])),
                "{what}: the other level"
            );
            sound.back_up_again(&store, &what);
        }
    }
}

/// Returns the first, one in the middle and the last.
fn some_of(names: &[ObjectName]) -> [&ObjectName; 3] {
    [&names[0], &names[names.len() / 2], &names[names.len() - 1]]
}

fn matrix(sound: &Sound) {
    let all = Readable::all_of(&sound.wholes[1]);
    let manifest = sound.manifest(1);
    for (kind, body) in harms(&sound.bytes(&manifest)) {
        let what = format!("the manifest {kind}");
        let store = sound.harmed(&[Change(manifest.clone(), body)]);
        assert_eq!(
            sound.examine(&store, 1, &what),
            None,
            "{what}: it opens all the same"
        );
        assert_eq!(
            sound.examine(&store, 0, &what),
            Some(Readable::all_of(&sound.wholes[0])),
            "{what}: the other level"
        );
        sound.back_up_again(&store, &what);
    }
    let [first, middle, last] = some_of(&sound.objects(1, Folder::Index)).map(Clone::clone);
    for name in [middle, last] {
        harm_each(sound, &name, |what, newest| {
            assert!(newest.entries < all.entries, "{what}: not noticed");
            assert!(
                newest.entries > all.entries / 4,
                "{what}: only {} of {} entries are left",
                newest.entries,
                all.entries
            );
        });
    }
    the_manifest_stands_in_for(sound, &first);
    for name in some_of(&sound.objects(1, Folder::Segments)) {
        harm_each(sound, name, |what, newest| {
            assert_eq!(newest.entries, all.entries, "{what}: the index is not hurt");
            assert!(newest.files < all.files, "{what}: not noticed");
        });
    }
}

/// The block with the first entries is in the manifest too: without its object everything reads,
/// and a check reports that the object is missing.
fn the_manifest_stands_in_for(sound: &Sound, name: &ObjectName) {
    let sound_bytes = sound.bytes(name);
    for (kind, body) in harms(&sound_bytes) {
        let what = format!("{name} {kind}");
        let unharmed = body
            .as_ref()
            .is_some_and(|body| body.starts_with(&sound_bytes));
        let store = sound.harmed(&[Change(name.clone(), body)]);
        assert_eq!(
            sound.examine(&store, 1, &what),
            Some(Readable::all_of(&sound.wholes[1])),
            "{what}"
        );
        assert!(
            unharmed || sound.check(&store, 1).0.damages > 0,
            "{what}: a check does not tell"
        );
    }
}

#[test]
fn damage_to_an_encrypted_level_is_an_error_for_what_it_hits_and_everything_else_reads() {
    matrix(&Sound::new(Compression::Gzip, Some(backup::passphrase())));
}

#[test]
fn damage_to_a_plain_level_is_an_error_for_what_it_hits_and_everything_else_reads() {
    matrix(&Sound::new(Compression::Gzip, None));
}

#[test]
fn a_harmed_frame_of_any_compression_is_never_served() {
    for compression in Compression::ALL {
        let sound = Sound::new(compression, None);
        let segments = sound.objects(1, Folder::Segments);
        harm_each(&sound, &segments[segments.len() / 2], |what, newest| {
            assert!(
                newest.files < Readable::all_of(&sound.wholes[1]).files,
                "{what}: not noticed"
            );
        });
    }
}
