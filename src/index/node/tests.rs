use super::{MAX_SHARED_NODE_BYTES, Node, NodeBuilder};
use proptest::prelude::{Strategy, any, prop_assert, prop_assert_eq, proptest};
use std::collections::BTreeMap;

type Map = BTreeMap<Vec<u8>, Vec<u8>>;

fn maps(entries: std::ops::Range<usize>) -> impl Strategy<Value = Map> {
    let key = proptest::collection::vec(0u8..4, 0..8);
    proptest::collection::btree_map(key, proptest::collection::vec(any::<u8>(), 0..4), entries)
}

fn leaf(map: &Map) -> Vec<u8> {
    let mut builder = NodeBuilder::new(0);
    map.iter().for_each(|(key, value)| builder.push(key, value));
    assert_eq!(builder.length(), builder.take().len());
    map.iter().for_each(|(key, value)| builder.push(key, value));
    builder.take()
}

fn entries_of(node: &Node) -> Map {
    let mut key = Vec::new();
    let entry = |position| {
        node.advance_key(position, &mut key);
        (key.clone(), node.value(position).to_vec())
    };
    (0..node.len()).map(entry).collect()
}

proptest! {
    #[test]
    fn a_node_holds_what_was_pushed_and_finds_it(
        map in maps(0..100),
        other in proptest::collection::vec(0u8..5, 0..9),
    ) {
        let node = Node::decode(leaf(&map)).expect("a sound node");
        prop_assert_eq!(&entries_of(&node), &map);
        for (position, wanted) in map.keys().enumerate() {
            prop_assert_eq!(node.search(wanted), Ok(position));
            let mut key = b"before".to_vec();
            node.key_into(position, &mut key);
            prop_assert_eq!(&key, wanted);
        }
        let keys: Vec<_> = map.keys().collect();
        prop_assert_eq!(node.search(&other), keys.binary_search(&&other));
    }

    #[test]
    fn a_damaged_node_is_refused_or_is_exactly_what_other_entries_would_make(
        map in maps(0..40), at: proptest::sample::Index, bit in 0u8..8, cut: bool,
    ) {
        let sound = leaf(&map);
        let mut bytes = sound.clone();
        let at = at.index(bytes.len());
        if cut { bytes.truncate(at) } else { bytes[at] ^= 1 << bit }
        if let Ok(node) = Node::decode(bytes.clone()) {
            let other = entries_of(&node);
            prop_assert_eq!(other.len(), node.len());
            if node.height() == 0 {
                prop_assert!(other != map);
                prop_assert_eq!(leaf(&other), bytes);
            }
        }
    }

    #[test]
    fn any_bytes_are_refused_or_make_a_node(bytes in proptest::collection::vec(0u8..6, 0..60)) {
        let bytes = [&[1, 0][..], &bytes].concat();
        if let Ok(node) = Node::decode(bytes.clone()) {
            prop_assert_eq!(leaf(&entries_of(&node)), bytes);
        }
    }
}

#[test]
fn every_single_flip_and_cut_of_a_leaf_is_noticed_or_changes_only_names_and_values() {
    let map: Map = [
        (&b""[..], &b"r"[..]),
        (b"\0a", b"x"),
        (b"\0ab", b""),
        (b"a\0\0b", b"yy"),
    ]
    .map(|(k, v)| (k.to_vec(), v.to_vec()))
    .into();
    let sound = leaf(&map);
    for at in 0..sound.len() {
        assert!(Node::decode(sound[..at].to_vec()).is_err(), "cut at {at}");
        for bit in 0..8 {
            let mut bytes = sound.clone();
            bytes[at] ^= 1 << bit;
            if let Ok(node) = Node::decode(bytes) {
                assert_ne!(entries_of(&node), map, "bit {bit} of byte {at}");
            }
        }
    }
}

#[test]
fn a_newer_version_is_refused_by_name() {
    let flaw = Node::decode(vec![2, 0, 0]).expect_err("not known");
    assert!(flaw.0.contains("version 2"), "{flaw:?}");
}

#[test]
fn only_a_leaf_with_one_entry_may_be_large() {
    let large = vec![7; MAX_SHARED_NODE_BYTES];
    let one: Map = [(b"a".to_vec(), large.clone())].into();
    let node = Node::decode(leaf(&one)).expect("one entry may be large");
    assert_eq!(node.value(0), large);
    let two: Map = [(b"a".to_vec(), large), (b"b".to_vec(), Vec::new())].into();
    Node::decode(leaf(&two)).expect_err("two may not");
}

#[test]
fn an_inner_node_needs_children() {
    Node::decode(vec![1, 1, 0]).expect_err("an inner node without children");
    Node::decode(vec![1, 1, 1, 0, 0, 0]).expect_err("an entry that is not a child");
}
