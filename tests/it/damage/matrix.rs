//! Delete, cut and flip × manifest, index, frame table, segments.

use super::{Change, Readable, Sound, harms};
use crate::support::backup;
use freezer::catalog::names::Folder;
use freezer::format::frame::Compression;
use freezer::store::ObjectName;

/// Harms one object of the older level in every way; gives what could then be read of that level.
fn harm_each(sound: &Sound, name: &ObjectName, mut judge: impl FnMut(&str, Option<Readable>)) {
    for (kind, body) in harms(&sound.bytes(name)) {
        let what = format!("{name} {kind}");
        let unharmed = body.as_ref().is_some_and(|body| body.starts_with(&sound.bytes(name)));
        let store = sound.harmed(&[Change(name.clone(), body)]);
        let [older, newer] = sound.examine(&store, &what);
        assert_eq!(newer, Some(Readable::all_of(&sound.wholes[1])), "{what}: the other level");
        match older {
            // All that is needed of it is still where it was.
            Some(older) if unharmed => assert_eq!(older, Readable::all_of(&sound.wholes[0]), "{what}"),
            older => judge(&what, older),
        }
        sound.back_up_again(&store, &what);
    }
}

/// The first, one in the middle, the last.
fn some_of(names: &[ObjectName]) -> [&ObjectName; 3] {
    [&names[0], &names[names.len() / 2], &names[names.len() - 1]]
}

fn matrix(sound: &Sound) {
    let all = Readable::all_of(&sound.wholes[0]);
    let manifest = sound.manifest(0);
    for (kind, body) in harms(&sound.bytes(&manifest)) {
        let what = format!("the manifest {kind}");
        let store = sound.harmed(&[Change(manifest.clone(), body)]);
        let [older, newer] = sound.examine(&store, &what);
        assert_eq!(older, None, "{what}: it opens all the same");
        assert_eq!(newer, Some(Readable::all_of(&sound.wholes[1])), "{what}: the other level");
        sound.back_up_again(&store, &what);
    }
    for name in some_of(&sound.objects(0, Folder::Index)) {
        harm_each(sound, name, |what, older| {
            let older = older.expect("a manifest opens by itself");
            let error = older.first_error.expect(what);
            assert!(error.contains(&name.to_string()), "{what}: the error does not name the object: {error}");
            assert!(older.entries < all.entries, "{what}: not noticed");
            assert!(older.entries > all.entries / 3, "{what}: only {} of {} entries are left", older.entries, all.entries);
        });
    }
    for folder in [Folder::Frames, Folder::Segments] {
        for name in some_of(&sound.objects(0, folder)) {
            harm_each(sound, name, |what, older| {
                let older = older.expect("a manifest opens by itself");
                let error = older.first_error.expect(what);
                assert!(error.contains(&name.to_string()), "{what}: the error does not name the object: {error}");
                assert_eq!(older.entries, all.entries, "{what}: the index is not hurt");
                assert!(older.files < all.files, "{what}: not noticed");
            });
        }
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
        let segments = sound.objects(0, Folder::Segments);
        harm_each(&sound, &segments[segments.len() / 2], |what, older| {
            let older = older.expect("a manifest opens by itself");
            assert!(older.files < Readable::all_of(&sound.wholes[0]).files, "{what}: not noticed");
        });
    }
}
