//! Nodes of a run: sorted keys, each with a value. Leaves and inner nodes have one layout; they
//! differ in what a value is.
//!
//! | bytes  | meaning                                                                       |
//! |--------|-------------------------------------------------------------------------------|
//! | 1      | version, 1                                                                    |
//! | 1      | height: 0 for a leaf, else one more than the children's                       |
//! | varint | how many entries                                                              |
//! | …      | the entries: three varints (shared, rest, value), `rest` key bytes, `value` bytes |
//!
//! `shared` is how many bytes the key has in common with the key before it; 0 for every 16th. A
//! node is checked as a whole when it is decoded, once; what is served from it later was checked
//! then.
//!
//! Layout: docs/format/index.md, "Nodes".

use super::bytes::{Reader, put_varint, varint_length};
use super::error::Flaw;
use super::{BlockAddress, MAX_BLOCK_BYTES};
use std::ops::Range;

const VERSION: u8 = 1;

/// Every so many entries a key is written whole, so that a search need not begin at the first.
const RESTART_INTERVAL: usize = 16;

/// What a writer fills a node up to, in raw bytes.
const TARGET_BYTES: usize = 16 * 1024;

/// No node is larger, but a leaf whose only entry makes it so. Bounds what a root adds to a
/// manifest, and what a decoder sets aside for the entries of a node.
pub(super) const MAX_SHARED_NODE_BYTES: usize = 64 * 1024;

/// The longest key: two of them, whole, fit a node. Eight times what Linux takes as a path in one
/// call.
pub(super) const MAX_KEY_BYTES: usize = 32_000;

/// How many bytes at the start of both are the same.
fn common_prefix(a: &[u8], b: &[u8]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

/// Puts a node together.
#[derive(Clone, Debug)]
pub(super) struct NodeBuilder {
    height: u8,
    count: usize,
    entries: Vec<u8>,
    first_key: Vec<u8>,
    last_key: Vec<u8>,
}

impl NodeBuilder {
    pub(super) fn new(height: u8) -> Self {
        Self {
            height,
            count: 0,
            entries: Vec::new(),
            first_key: Vec::new(),
            last_key: Vec::new(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub(super) fn first_key(&self) -> &[u8] {
        &self.first_key
    }

    fn shared(&self, key: &[u8]) -> usize {
        if self.count.is_multiple_of(RESTART_INTERVAL) {
            0
        } else {
            common_prefix(&self.last_key, key)
        }
    }

    /// Whether the node should end before this entry. An inner node has two entries at least, else
    /// a tree of them would have no end.
    pub(super) fn is_full_for(&self, key: &[u8], value: &[u8]) -> bool {
        let rest = key.len() - self.shared(key);
        let lengths = varint_length(self.shared(key) as u64)
            + varint_length(rest as u64)
            + varint_length(value.len() as u64);
        let least = if self.height == 0 { 1 } else { 2 };
        self.count >= least
            && self.length_with(self.count + 1) + lengths + rest + value.len() > TARGET_BYTES
    }

    fn length_with(&self, count: usize) -> usize {
        2 + varint_length(count as u64) + self.entries.len()
    }

    /// Length of the finished node.
    pub(super) fn length(&self) -> usize {
        self.length_with(self.count)
    }

    /// Appends an entry. The caller has seen to the order of keys.
    pub(super) fn push(&mut self, key: &[u8], value: &[u8]) {
        let shared = self.shared(key);
        let (_, rest) = key.split_at(shared);
        put_varint(&mut self.entries, shared as u64);
        put_varint(&mut self.entries, rest.len() as u64);
        put_varint(&mut self.entries, value.len() as u64);
        self.entries.extend_from_slice(rest);
        self.entries.extend_from_slice(value);
        if self.count == 0 {
            self.first_key.clear();
            self.first_key.extend_from_slice(key);
        }
        self.last_key.truncate(shared);
        self.last_key.extend_from_slice(rest);
        self.count += 1;
    }

    /// Returns the node and begins the next of the same height.
    pub(super) fn take(&mut self) -> Vec<u8> {
        let mut node = Vec::with_capacity(self.length());
        node.extend_from_slice(&[VERSION, self.height]);
        put_varint(&mut node, self.count as u64);
        node.append(&mut self.entries);
        self.count = 0;
        self.last_key.clear();
        node
    }
}

/// A decoded and checked node.
#[derive(Debug)]
pub(super) struct Node {
    bytes: Vec<u8>,
    height: u8,
    slots: Vec<Slot>,
    children: Vec<Child>,
}

/// Where an entry of a node stands in its bytes. 32 bits are enough for [`MAX_BLOCK_BYTES`].
#[derive(Clone, Copy, Debug)]
struct Slot {
    shared: u16,
    rest: u32,
    value: u32,
    end: u32,
}

/// What an inner node says of a child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Child {
    /// Where it is.
    pub(super) address: BlockAddress,
    /// Rank of its first entry in the run.
    pub(super) first_rank: u64,
}

impl Child {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut value = Vec::with_capacity(16);
        self.address.encode(&mut value);
        put_varint(&mut value, self.first_rank);
        value
    }

    fn decode(value: &[u8]) -> Result<Self, Flaw> {
        let mut reader = Reader::new(value);
        let child = Self {
            address: BlockAddress::decode(&mut reader)?,
            first_rank: reader.varint()?,
        };
        reader.end()?;
        Ok(child)
    }
}

fn index(position: usize) -> Result<u32, Flaw> {
    u32::try_from(position).map_err(|_| "it is larger than a block may be".into())
}

impl Node {
    /// Checks the whole of `bytes`: order and form of keys, lengths, and of an inner node its
    /// children.
    pub(super) fn decode(bytes: Vec<u8>) -> Result<Self, Flaw> {
        if bytes.len() > MAX_BLOCK_BYTES {
            return Err(format!("{} bytes are more than a block may have", bytes.len()).into());
        }
        let mut reader = Reader::new(&bytes);
        let version = reader.u8()?;
        if version != VERSION {
            return Err(format!(
                "nodes of version {version} are not known to this version of freezer"
            )
            .into());
        }
        let height = reader.u8()?;
        let count = reader.length()?;
        if bytes.len() > MAX_SHARED_NODE_BYTES && (count != 1 || height != 0) {
            return Err(format!(
                "{} bytes are too many for a node of {count} entries",
                bytes.len()
            )
            .into());
        }
        let mut slots = Vec::with_capacity(count.min(reader.remaining() / 3));
        let mut children = Vec::with_capacity(if height == 0 { 0 } else { slots.capacity() });
        let mut key = Vec::new();
        for position in 0..count {
            let wrong = |what: &str| Flaw::from(format!("entry {position} of the node: {what}"));
            let shared = reader.varint()?;
            let rest_length = reader.length()?;
            let value_length = reader.length()?;
            let rest_at = bytes.len() - reader.remaining();
            let rest = reader.take(rest_length)?;
            let value = reader.take(value_length)?;
            let shared = u16::try_from(shared).map_err(|_| wrong("its key is too long"))?;
            Self::next_key(&mut key, position, usize::from(shared), rest).map_err(wrong)?;
            if height > 0 {
                children.push(Child::decode(value)?);
            }
            let value_at = rest_at + rest_length;
            slots.push(Slot {
                shared,
                rest: index(rest_at)?,
                value: index(value_at)?,
                end: index(value_at + value_length)?,
            });
        }
        reader.end()?;
        if height > 0 && children.is_empty() {
            return Err("an inner node has no children".into());
        }
        if !children.is_sorted_by(|a, b| a.first_rank < b.first_rank) {
            return Err("the ranks of the children do not ascend".into());
        }
        Ok(Self {
            bytes,
            height,
            slots,
            children,
        })
    }

    /// Makes `key` the next one of a node, if it may follow. That `shared` is exactly what the keys
    /// have in common makes the form unique, and is what [`search`](Self::search) builds on.
    fn next_key(
        key: &mut Vec<u8>,
        position: usize,
        shared: usize,
        rest: &[u8],
    ) -> Result<(), &'static str> {
        let previous = key
            .get(shared..)
            .ok_or("it shares more bytes than the key before it has")?;
        if position.is_multiple_of(RESTART_INTERVAL) {
            if shared != 0 {
                return Err("its key should be whole");
            }
            if position > 0 && previous >= rest {
                return Err("its key does not come after the one before it");
            }
        } else {
            match (previous.first(), rest.first()) {
                (_, None) => return Err("its key does not come after the one before it"),
                (Some(before), Some(after)) if before == after => {
                    return Err("it shares fewer bytes than it could");
                }
                (Some(before), Some(after)) if before > after => {
                    return Err("its key does not come after the one before it");
                }
                _ => {}
            }
        }
        key.truncate(shared);
        key.extend_from_slice(rest);
        if key.len() > MAX_KEY_BYTES {
            Err("its key is too long")
        } else {
            Ok(())
        }
    }

    /// 0 for a leaf.
    pub(super) fn height(&self) -> u8 {
        self.height
    }

    /// How many entries it has.
    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    /// The children of an inner node; none for a leaf.
    pub(super) fn children(&self) -> &[Child] {
        &self.children
    }

    /// What it takes in memory, about.
    pub(super) fn memory_bytes(&self) -> usize {
        size_of::<Self>()
            + self.bytes.capacity()
            + self.slots.capacity() * size_of::<Slot>()
            + self.children.capacity() * size_of::<Child>()
    }

    fn part(&self, range: Range<u32>) -> &[u8] {
        self.bytes
            .get(range.start as usize..range.end as usize)
            .unwrap_or_default()
    }

    /// Bytes of a key after those it shares with the one before.
    fn rest(&self, slot: Slot) -> &[u8] {
        self.part(slot.rest..slot.value)
    }

    /// The value of an entry; empty past the last.
    pub(super) fn value(&self, position: usize) -> &[u8] {
        self.slots
            .get(position)
            .map_or(&[], |slot| self.part(slot.value..slot.end))
    }

    /// Writes the key of an entry over what is in `key`.
    pub(super) fn key_into(&self, position: usize, key: &mut Vec<u8>) {
        key.clear();
        let restart = position - position % RESTART_INTERVAL;
        (restart..=position).for_each(|position| self.advance_key(position, key));
    }

    /// Makes the key of an entry from that of the one before it.
    pub(super) fn advance_key(&self, position: usize, key: &mut Vec<u8>) {
        if let Some(slot) = self.slots.get(position) {
            key.truncate(usize::from(slot.shared));
            key.extend_from_slice(self.rest(*slot));
        }
    }

    /// The first key; empty when there is none.
    pub(super) fn first_key(&self) -> &[u8] {
        self.slots.first().map_or(&[], |slot| self.rest(*slot))
    }

    /// Finds `key`: `Ok` where it stands, `Err` where it would.
    pub(super) fn search(&self, key: &[u8]) -> Result<usize, usize> {
        // The last group of 16 that does not begin after the key.
        let (mut low, mut high) = (0, self.slots.len().div_ceil(RESTART_INTERVAL));
        while low < high {
            let middle = low.midpoint(high);
            match self.slots.get(middle * RESTART_INTERVAL) {
                Some(slot) if self.rest(*slot) <= key => low = middle + 1,
                _ => high = middle,
            }
        }
        let Some(start) = (low * RESTART_INTERVAL).checked_sub(RESTART_INTERVAL) else {
            return Err(0);
        };
        // Every key passed is less than `key`, and has its first `matched` bytes, not one more.
        let mut matched = 0;
        for (position, slot) in self
            .slots
            .iter()
            .enumerate()
            .skip(start)
            .take(RESTART_INTERVAL)
        {
            let shared = usize::from(slot.shared);
            if shared < matched {
                return Err(position);
            }
            if shared == matched {
                let (rest, wanted) = (self.rest(*slot), key.get(matched..).unwrap_or_default());
                let common = common_prefix(rest, wanted);
                match (rest.get(common), wanted.get(common)) {
                    (None, None) => return Ok(position),
                    (Some(_), None) => return Err(position),
                    (Some(found), Some(wanted)) if found > wanted => return Err(position),
                    _ => matched += common,
                }
            }
        }
        Err(self.slots.len().min(start + RESTART_INTERVAL))
    }
}

#[cfg(test)]
mod tests {
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
        fn a_node_holds_what_was_pushed_and_finds_it(map in maps(0..100), other in proptest::collection::vec(0u8..5, 0..9)) {
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
        Node::decode(vec![1, 1, 0]).expect_err("there is nothing below it");
        Node::decode(vec![1, 1, 1, 0, 0, 0]).expect_err("that is no child");
    }
}
