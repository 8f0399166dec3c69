//! Files whose content is not what the index says, and entries that only a newer version can read.

use super::fresh;
use crate::support::stored_tree::{Planned, Recipe, StoredTree};
use freezer::format::content_hash::ContentHashing;
use freezer::fs::ReadError;
use freezer::fs::view::View;
use freezer::model::progress::Collected;
use freezer::model::{Cancel, ContentHash, TreePath, UnknownExtension};
use freezer::restore::{ExportError, Options, OtherFile, Trust, compare_contents, export, restore};
use freezer::store::memory::MemoryStore;
use std::fs;
use std::sync::Arc;

fn noise(length: usize, seed: u8) -> Vec<u8> {
    let mut bytes = vec![0; length];
    blake3::Hasher::new()
        .update(&[seed])
        .finalize_xof()
        .fill(&mut bytes);
    bytes
}

/// Makes a file in pieces, with the hash that it has or with another.
fn hashed(name: &str, pieces: &[(u64, Vec<u8>)], size: u64, is_right: bool) -> Planned {
    let mut hasher = ContentHashing::default().hasher();
    pieces
        .iter()
        .for_each(|(at, data)| hasher.update(*at, data));
    let ContentHash(mut hash) = hasher.finish(size);
    hash[0] ^= u8::from(!is_right);
    let mut file = Planned::file(name, Vec::<u8>::new());
    file.data = pieces.to_vec();
    file.entry.content = freezer::model::Content::File {
        size,
        extents: Vec::new(),
    };
    file.entry.metadata.extensions.content_hash = Some(ContentHash(hash));
    file
}

fn view_of(entries: Vec<Planned>) -> View {
    let recipe = Recipe {
        encrypted: false,
        ..Recipe::default()
    };
    let root = Planned::directory("");
    let all = std::iter::once(root).chain(entries);
    StoredTree::write(Arc::new(MemoryStore::default()), all, recipe).view()
}

fn path(name: &str) -> TreePath {
    TreePath::parse(name.as_bytes()).expect("legal")
}

/// Restores the view, and returns the names that are there and the troubles.
fn restored(view: &View) -> (Vec<String>, Vec<String>) {
    let (_folder, target) = fresh();
    let progress = Collected::default();
    let options = Options::default();
    restore(view, &[], &target, &options, &progress, &Cancel::new()).expect("restored");
    let mut names: Vec<String> = fs::read_dir(&target)
        .expect("listed")
        .map(|entry| {
            entry
                .expect("there")
                .file_name()
                .into_string()
                .expect("text")
        })
        .collect();
    names.sort();
    (names, progress.told().troubles)
}

fn files(is_right: bool) -> Vec<Planned> {
    let (small, large) = (noise(3000, 1), noise(9_500_000, 2));
    vec![
        hashed("large", &[(0, large.clone())], 9_500_000, is_right),
        hashed(
            "large with holes",
            &[(7, large[..5_000_000].to_vec()), (6_000_000, large)],
            20_000_000,
            is_right,
        ),
        hashed("small", &[(0, small.clone())], 3000, is_right),
        hashed(
            "small with holes",
            &[(5, small[..1000].to_vec()), (2000, small)],
            9000,
            is_right,
        ),
    ]
}

#[test]
fn files_of_the_right_content_are_restored() {
    let view = view_of(files(true));
    let (names, troubles) = restored(&view);
    assert_eq!(troubles, Vec::<String>::new());
    assert_eq!(
        names,
        ["large", "large with holes", "small", "small with holes"]
    );
    let (mut archive, progress) = (Vec::new(), Collected::default());
    let exported = export(
        &view,
        &mut archive,
        Trust::Trusted,
        &progress,
        &Cancel::new(),
    )
    .expect("exported");
    assert_eq!(exported.left_out, 0);
}

#[test]
fn other_content_than_was_stored_is_told_and_never_left_on_disk() {
    let view = view_of(files(false));
    let (names, troubles) = restored(&view);
    assert_eq!(names, Vec::<String>::new());
    assert_eq!(troubles.len(), 4, "{troubles:?}");
    for trouble in &troubles {
        assert!(trouble.contains("not what was stored"), "{trouble}");
    }
    // An export leaves out what is small. The hash of a large file is known when it is written.
    let (mut archive, progress) = (Vec::new(), Collected::default());
    let small = view_of(files(false).split_off(2));
    let exported = export(
        &small,
        &mut archive,
        Trust::Trusted,
        &progress,
        &Cancel::new(),
    )
    .expect("exported");
    assert_eq!((exported.left_out, exported.members), (2, 1));
    let large = view_of(vec![hashed(
        "large",
        &[(0, noise(17 << 20, 3))],
        17 << 20,
        false,
    )]);
    let cut = export(
        &large,
        &mut archive,
        Trust::Trusted,
        &progress,
        &Cancel::new(),
    );
    assert!(
        matches!(cut, Err(ExportError::Cut(_, ReadError::OtherContent(_)))),
        "{cut:?}"
    );
}

#[test]
fn a_check_of_contents_names_each_file_that_differs() {
    let differing = |view: &View, later: Option<&View>| {
        let mut names = Vec::new();
        let mut found = |other: OtherFile| names.push(other.path.to_string());
        compare_contents(view, later, &mut found, &Cancel::new()).expect("compared");
        names
    };
    assert_eq!(differing(&view_of(files(true)), None), Vec::<String>::new());
    let wrong = view_of(files(false));
    let all = ["large", "large with holes", "small", "small with holes"];
    assert_eq!(differing(&wrong, None), all);
    // What a later point in time has too was compared there.
    assert_eq!(differing(&wrong, Some(&wrong)), Vec::<String>::new());
    let without_two = view_of(files(false).split_off(2));
    assert_eq!(differing(&wrong, Some(&without_two))[..2], all[..2]);
}

/// Makes a file with an extension that nobody knows.
fn strange(name: &str, number: u64) -> Planned {
    let mut file = Planned::file(name, "content");
    file.entry.metadata.extensions.unknown = vec![UnknownExtension {
        number,
        value: b"value"[..].into(),
    }];
    file
}

#[test]
fn an_entry_that_needs_a_newer_version_is_shown_and_told_and_all_others_are_there() {
    let mut directory = Planned::directory("d");
    directory.entry.metadata.extensions.unknown = strange("", 77).entry.metadata.extensions.unknown;
    let view = view_of(vec![
        strange("critical", 77),
        directory,
        strange("skippable", 78),
        Planned::file("d/below", "content"),
    ]);
    let (node, entry) = view
        .lookup(&path("critical"))
        .expect("read")
        .expect("there");
    assert_eq!(view.attributes(node).expect("shown").size, 7);
    for refused in [view.file(node).map(drop), view.content(&entry).map(drop)] {
        assert!(
            matches!(refused, Err(ReadError::NotUnderstood(_))),
            "{refused:?}"
        );
    }
    let (node, _) = view
        .lookup(&path("skippable"))
        .expect("read")
        .expect("there");
    view.file(node)
        .expect("it may be read without the extension");

    let (names, troubles) = restored(&view);
    assert_eq!(names, ["d", "skippable"]);
    assert_eq!(troubles.len(), 2, "{troubles:?}");
    for (trouble, name) in troubles.iter().zip(["critical", "d"]) {
        assert!(
            trouble.starts_with(name) && trouble.contains("newer version"),
            "{trouble}"
        );
    }
    let (mut archive, progress) = (Vec::new(), Collected::default());
    let exported = export(
        &view,
        &mut archive,
        Trust::Trusted,
        &progress,
        &Cancel::new(),
    )
    .expect("exported");
    assert_eq!(exported.left_out, 1);
}
