//! Keys of the tree: directory path and name as flat bytes.
//!
//! A key consists of the components of the directory, each followed by a NUL, then one more NUL,
//! then the name. The root has the empty key. In byte order, the entries of a directory stand
//! together, and the tree of each subdirectory follows them: `` < `\0a` < `\0b` < `a\0\0x` <
//! `a\0c\0\0y` < `b\0\0z`. Names have no NUL, so every path has one key.
//!
//! Layout: docs/format/index.md, "Keys of the tree".

use super::error::Flaw;
use crate::model::{Name, TreePath};

/// Returns the key of `path`.
pub(super) fn of_path(path: &TreePath) -> Vec<u8> {
    let mut key = Vec::with_capacity(path.as_bytes().len() + 2);
    of_path_into(path, &mut key);
    key
}

/// Replaces the content of `key` by the key of `path`.
pub(super) fn of_path_into(path: &TreePath, key: &mut Vec<u8>) {
    key.clear();
    if path.is_root() {
        return;
    }
    let name = path.file_name();
    let directory = path.as_bytes().len() - name.len();
    key.extend(
        path.as_bytes()
            .iter()
            .take(directory)
            .map(|byte| if *byte == b'/' { 0 } else { *byte }),
    );
    key.push(0);
    key.extend_from_slice(name);
}

/// Returns the common prefix of the keys of all entries in the directory with the key `directory`.
/// In each key, the name follows the prefix.
pub(super) fn prefix_of_children(directory: &[u8]) -> Vec<u8> {
    let Some(separator) = directory.iter().rposition(|byte| *byte == 0) else {
        return vec![0];
    };
    let (parents, name) = directory.split_at(separator);
    let mut prefix = Vec::with_capacity(directory.len() + 1);
    prefix.extend_from_slice(parents);
    prefix.extend(name.iter().skip(1));
    prefix.extend_from_slice(&[0, 0]);
    prefix
}

/// Returns how many bytes of a key stand before the name. Keys with the same prefix belong to the
/// same directory.
fn prefix_length(key: &[u8]) -> usize {
    key.iter()
        .rposition(|byte| *byte == 0)
        .map_or(0, |separator| separator + 1)
}

/// Lists the subtrees that `key` lies in, the outermost first and without that of the root. A
/// subtree is the common prefix of all keys below a directory, at any depth: its components, each
/// with its NUL.
pub(super) fn subtrees(key: &[u8]) -> impl Iterator<Item = &[u8]> {
    let ends = key
        .iter()
        .enumerate()
        .skip(1)
        .filter(|(_, byte)| **byte == 0)
        .map(|(at, _)| at + 1);
    ends.filter_map(move |end| {
        key.get(..end)
            .filter(|subtree| !subtree.starts_with(&[0]) && !subtree.ends_with(&[0, 0]))
    })
}

/// Returns whether a key stands for a whole subtree and not for a path. It sorts before all keys in
/// the subtree.
pub(super) fn is_subtree(key: &[u8]) -> bool {
    key.last() == Some(&0)
}

/// Returns the first key after all keys in `subtree`, which ends with a NUL.
pub(super) fn after_subtree(subtree: &[u8]) -> Vec<u8> {
    let mut after = subtree.to_vec();
    if let Some(last) = after.last_mut() {
        *last = 1;
    }
    after
}

/// Refuses bytes that are not the subtree of a directory.
pub(super) fn check_subtree(subtree: &[u8]) -> Result<(), Flaw> {
    let components = subtree.strip_suffix(&[0]).unwrap_or_default();
    if components.split(|byte| *byte == 0).all(Name::is_legal) {
        Ok(())
    } else {
        Err("a key is not that of a subtree".into())
    }
}

/// Returns the path with this key.
pub(super) fn to_path(key: &[u8]) -> Result<TreePath, Flaw> {
    if key.is_empty() {
        return Ok(TreePath::root());
    }
    let wrong = || Flaw::from("a key is not that of a path");
    let (directory, name) = key.split_at_checked(prefix_length(key)).ok_or_else(wrong)?;
    let directory = directory.strip_suffix(&[0]).ok_or_else(wrong)?;
    let mut joined = Vec::with_capacity(key.len());
    joined.extend(
        directory
            .iter()
            .map(|byte| if *byte == 0 { b'/' } else { *byte }),
    );
    joined.extend_from_slice(name);
    let path = TreePath::parse(&joined).ok_or_else(wrong)?;
    // Parsing drops empty components and dots. A key that has such components, or a name with a
    // slash, is not that of a path.
    if path.as_bytes() == joined && of_path(&path) == key {
        Ok(path)
    } else {
        Err(wrong())
    }
}

/// Checks the part of a key after the prefix of its directory, and returns it as the name.
pub(super) fn check_name(rest: &[u8]) -> Result<&[u8], Flaw> {
    if Name::is_legal(rest) {
        Ok(rest)
    } else {
        Err("a key is not that of a path".into())
    }
}

#[cfg(test)]
mod tests {
    use super::{after_subtree, check_subtree, of_path, prefix_of_children, subtrees, to_path};
    use crate::model::{Name, TreePath};
    use proptest::prelude::{Strategy, any, prop_assert, prop_assert_eq, proptest};

    fn path(text: &str) -> TreePath {
        TreePath::parse(text.as_bytes()).expect("a legal path")
    }

    fn paths() -> impl Strategy<Value = TreePath> {
        let byte = proptest::sample::select(vec![1u8, b'.', b'a', b'b', 0xff]);
        proptest::collection::vec(proptest::collection::vec(byte, 1..4), 0..4).prop_map(|parts| {
            let mut path = TreePath::root();
            parts
                .into_iter()
                .filter_map(Name::new)
                .for_each(|name| path.push(&name));
            path
        })
    }

    #[test]
    fn a_directorys_entries_stand_together_and_its_subdirectories_after_them() {
        let order = [
            "", "a", "a.b", "b", "a/x", "a/y", "a/c/x", "a/c/y", "a.b/x", "b/x",
        ];
        let keys: Vec<_> = order.iter().map(|text| of_path(&path(text))).collect();
        assert!(keys.is_sorted(), "{keys:?}");
        assert_eq!(of_path(&path("a/b/y")), b"a\0b\0\0y");
    }

    #[test]
    fn a_subtree_sorts_before_all_keys_in_it_and_no_others() {
        let of = |text: &str| {
            subtrees(&of_path(&path(text)))
                .map(<[u8]>::to_vec)
                .collect::<Vec<_>>()
        };
        assert_eq!(of("a/b/c"), [&b"a\0"[..], b"a\0b\0"]);
        assert_eq!(of("a"), Vec::<Vec<u8>>::new());
        assert_eq!(after_subtree(b"a\0b\0"), b"a\0b\x01");
        assert!(check_subtree(b"a\0b\0").is_ok());
        for bad in [&b"\0"[..], b"", b"a\0\0", b"\0a\0", b"..\0", b"a/b\0"] {
            assert!(check_subtree(bad).is_err(), "{}", bad.escape_ascii());
        }
    }

    #[test]
    fn a_key_that_no_path_has_is_refused() {
        for bad in [
            &b"a"[..],
            b"\0",
            b"a\0",
            b"a\0x",
            b"a\0\0",
            b"\0\0x",
            b"a\0\0\0x",
            b"\0a/b",
            b"a/b\0\0x",
            b"\0.",
            b"..\0\0x",
            b"/\0\0x",
        ] {
            assert!(to_path(bad).is_err(), "{}", bad.escape_ascii());
        }
    }

    proptest! {
        #[test]
        fn a_path_comes_back_from_its_key(path in paths()) {
            prop_assert_eq!(to_path(&of_path(&path)), Ok(path));
        }

        #[test]
        fn only_the_keys_of_paths_are_read(
            key in proptest::collection::vec(
                proptest::sample::select(vec![0u8, b'/', b'.', b'a']),
                0..8,
            ),
        ) {
            if let Ok(path) = to_path(&key) {
                prop_assert_eq!(of_path(&path), key);
            }
        }

        #[test]
        fn exactly_the_keys_below_a_directory_begin_with_its_subtree(
            directory in paths(),
            other in paths(),
        ) {
            let child = of_path(&directory.join(&Name::new(&b"x"[..]).expect("legal")));
            let Some(subtree) = subtrees(&child).last().map(<[u8]>::to_vec) else {
                return Ok(());
            };
            prop_assert_eq!(check_subtree(&subtree), Ok(()));
            let key = of_path(&other);
            let is_below = std::iter::successors(other.parent(), TreePath::parent)
                .any(|above| above == directory);
            prop_assert_eq!(key.starts_with(&subtree), is_below);
            prop_assert_eq!(is_below, subtree < key && key < after_subtree(&subtree));
        }

        #[test]
        fn exactly_the_children_begin_with_the_prefix(
            directory in paths(),
            other in paths(),
            name in any::<[u8; 3]>(),
        ) {
            let prefix = prefix_of_children(&of_path(&directory));
            let is_child = other.parent().as_ref() == Some(&directory);
            prop_assert_eq!(of_path(&other).starts_with(&prefix), is_child);
            if let Some(name) = Name::new(&name[..]) {
                prop_assert!(of_path(&directory.join(&name)).starts_with(&prefix));
            }
        }
    }
}
