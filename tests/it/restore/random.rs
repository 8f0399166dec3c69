//! Random trees.

use super::tree::{Tree, assert_all_restored, path};
use super::{fresh, replace, restore_all};
use freezer::model::Content;
use freezer::restore::Options;
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use std::num::NonZeroUsize;

#[derive(Clone, Debug)]
enum Thing {
    Directory(Vec<(String, Thing)>, u32),
    File(u32, Vec<u8>),
    Link(Vec<u8>),
    Fifo,
}

fn thing() -> impl Strategy<Value = Thing> {
    // Mostly for the owner alone: the rights of others are not tested here.
    let mode = prop_oneof![
        Just(0o644),
        Just(0o700),
        Just(0o500),
        Just(0o4711),
        Just(0o000)
    ];
    let leaf = prop_oneof![
        (mode.clone(), vec(any::<u8>(), 0..3000))
            .prop_map(|(mode, content)| Thing::File(mode, content)),
        vec(1_u8..255, 1..20).prop_map(Thing::Link),
        Just(Thing::Fifo),
    ];
    leaf.prop_recursive(5, 40, 8, |inner| {
        (
            btree_map("[a-c\u{e9} ]{1,3}", inner, 0..8),
            prop_oneof![Just(0o755), Just(0o500), Just(0o1777)],
        )
            .prop_map(|(entries, mode)| Thing::Directory(entries.into_iter().collect(), mode))
    })
}

fn add(tree: Tree, at: &str, thing: &Thing) -> Tree {
    match thing {
        Thing::Directory(entries, mode) => {
            let tree = if at.is_empty() {
                tree
            } else {
                tree.directory(at, *mode)
            };
            entries.iter().fold(tree, |tree, (name, thing)| {
                add(tree, &format!("{at}/{name}"), thing)
            })
        }
        Thing::File(mode, content) => tree
            .file(at, content)
            .change(at, |metadata| metadata.mode = *mode),
        Thing::Link(target) => tree.symlink(at, target),
        Thing::Fifo => tree.with(at, 0o600, Content::Fifo),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    #[test]
    fn any_tree_comes_back_with_any_number_of_writers_and_over_itself(
        entries in btree_map("[a-z]{1,2}", thing(), 0..10),
        writers in 1_usize..5,
        second_names in vec((any::<prop::sample::Index>(), "[A-Z]{1,2}"), 0..4),
    ) {
        let mut tree = add(
            Tree::new(),
            "",
            &Thing::Directory(entries.into_iter().collect(), 0o755),
        );
        let files: Vec<String> = tree.memory().entries.iter()
            .filter(|entry| matches!(entry.content, Content::File { .. }))
            .map(|entry| String::from_utf8(entry.path.as_bytes().to_vec()).expect("text"))
            .collect();
        for (file, name) in second_names {
            // At the top, where no other name is in capitals.
            let taken = tree.memory().entries.iter().any(|entry| entry.path == path(&name));
            if !files.is_empty() && !taken {
                tree = tree.link(&name, &file.get::<String>(&files).clone());
            }
        }
        let memory = tree.memory();
        let (_folder, target) = fresh();
        let writers = NonZeroUsize::new(writers).expect("not 0");
        restore_all(&memory, &target, &Options { writers, ..Options::default() });
        assert_all_restored(&memory, &target);
        restore_all(&memory, &target, &Options { writers, ..replace() });
        assert_all_restored(&memory, &target);
    }
}
