//! Nodes of a run: sorted keys, each with a value. Leaves and inner nodes have the same layout and
//! differ in their values.
//!
//! | bytes  | meaning                                                                       |
//! |--------|-------------------------------------------------------------------------------|
//! | 1      | version, 1                                                                    |
//! | 1      | height: 0 for a leaf, otherwise one more than that of the children            |
//! | varint | number of entries                                                             |
//! | …      | the entries: three varints (shared, rest, value), `rest` key bytes, `value` bytes |
//!
//! `shared` is how many bytes the key has in common with the previous key; 0 for every 16th key. A
//! node is checked as a whole when it is decoded.
//!
//! Layout: docs/format/index.md, "Nodes".

mod builder;
#[cfg(test)]
mod tests;

pub(super) use builder::NodeBuilder;

use super::bytes::{Reader, put_varint};
use super::error::Flaw;
use super::{BlockAddress, MAX_BLOCK_BYTES};
use crate::model::{FrameNo, SegmentOffset};
use std::ops::Range;

pub(super) const VERSION: u8 = 1;

/// Every key at a multiple of this position stands whole, so that a search need not begin at the
/// first key.
pub(super) const RESTART_INTERVAL: usize = 16;

/// The largest node with more than one entry, in bytes. Bounds what a root adds to a manifest, and
/// what a decoder allocates for the entries of a node.
pub(super) const MAX_SHARED_NODE_BYTES: usize = 64 * 1024;

/// The longest key in bytes: two whole keys fit into a node. Eight times the longest path that
/// Linux accepts in a call.
pub(super) const MAX_KEY_BYTES: usize = 32_000;

/// Returns how many bytes at the start of both are equal.
pub(super) fn common_prefix(a: &[u8], b: &[u8]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

/// A decoded and checked node.
#[derive(Debug)]
pub(super) struct Node {
    bytes: Vec<u8>,
    height: u8,
    slots: Vec<Slot>,
    children: Vec<NodeChild>,
}

/// The place of an entry in the bytes of its node. 32 bits are enough for [`MAX_BLOCK_BYTES`].
#[derive(Clone, Copy, Debug)]
struct Slot {
    shared: u16,
    rest: u32,
    value: u32,
    end: u32,
}

/// What an inner node says of a child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NodeChild {
    /// Where the child is stored.
    pub(super) address: BlockAddress,
    /// Rank of the child's first entry in the run.
    pub(super) first_rank: u64,
}

impl NodeChild {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut value = Vec::with_capacity(16);
        put_address(&mut value, &self.address);
        put_varint(&mut value, self.first_rank);
        value
    }

    fn decode(value: &[u8]) -> Result<Self, Flaw> {
        let mut reader = Reader::new(value);
        let child = Self {
            address: read_address(&mut reader)?,
            first_rank: reader.varint()?,
        };
        reader.end()?;
        Ok(child)
    }
}

fn put_address(out: &mut Vec<u8>, address: &BlockAddress) {
    put_varint(out, address.number.0);
    put_varint(out, u64::from(address.object));
    put_varint(out, address.offset.0);
    put_varint(out, u64::from(address.length));
}

fn read_address(reader: &mut Reader<'_>) -> Result<BlockAddress, Flaw> {
    Ok(BlockAddress {
        number: FrameNo(reader.varint()?),
        object: reader.varint_u32()?,
        offset: SegmentOffset(reader.varint()?),
        length: reader.varint_u32()?,
    })
}

fn index(position: usize) -> Result<u32, Flaw> {
    u32::try_from(position).map_err(|_| "it is larger than a block may be".into())
}

impl Node {
    /// Decodes a node and checks all of it: order and form of keys, lengths, and the children of an
    /// inner node.
    pub(super) fn decode(bytes: Vec<u8>) -> Result<Self, Flaw> {
        if bytes.len() > MAX_BLOCK_BYTES {
            return Err(format!("{} bytes are more than a block may have", bytes.len()).into());
        }
        let mut reader = Reader::new(&bytes);
        let version = reader.u8()?;
        if version != VERSION {
            return Err(format!(
                "this version of freezer does not know nodes of version {version}"
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
                children.push(NodeChild::decode(value)?);
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

    /// Turns `key` into the next key of a node, if that may follow. `shared` must be exactly what
    /// the keys have in common: this makes the form unique, and [`search`](Self::search) relies on
    /// it.
    fn next_key(
        key: &mut Vec<u8>,
        position: usize,
        shared: usize,
        rest: &[u8],
    ) -> Result<(), &'static str> {
        let previous = key
            .get(shared..)
            .ok_or("it shares more bytes than the previous key has")?;
        if position.is_multiple_of(RESTART_INTERVAL) {
            if shared != 0 {
                return Err("its key should be whole");
            }
            if position > 0 && previous >= rest {
                return Err("its key does not come after the previous key");
            }
        } else {
            match (previous.first(), rest.first()) {
                (_, None) => return Err("its key does not come after the previous key"),
                (Some(before), Some(after)) if before == after => {
                    return Err("it shares fewer bytes than it could");
                }
                (Some(before), Some(after)) if before > after => {
                    return Err("its key does not come after the previous key");
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

    /// Returns the height; 0 for a leaf.
    pub(super) fn height(&self) -> u8 {
        self.height
    }

    /// Returns how many entries the node has.
    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    /// Returns the children of an inner node; none for a leaf.
    pub(super) fn children(&self) -> &[NodeChild] {
        &self.children
    }

    /// Returns about how many bytes of memory the node takes.
    pub(super) fn memory_bytes(&self) -> usize {
        size_of::<Self>()
            + self.bytes.capacity()
            + self.slots.capacity() * size_of::<Slot>()
            + self.children.capacity() * size_of::<NodeChild>()
    }

    fn part(&self, range: Range<u32>) -> &[u8] {
        self.bytes
            .get(range.start as usize..range.end as usize)
            .unwrap_or_default()
    }

    /// Returns the bytes of a key after those that it shares with the previous key.
    fn rest(&self, slot: Slot) -> &[u8] {
        self.part(slot.rest..slot.value)
    }

    /// Returns the value of an entry; empty past the last.
    pub(super) fn value(&self, position: usize) -> &[u8] {
        self.slots
            .get(position)
            .map_or(&[], |slot| self.part(slot.value..slot.end))
    }

    /// Replaces the content of `key` by the key of an entry.
    pub(super) fn key_into(&self, position: usize, key: &mut Vec<u8>) {
        key.clear();
        let restart = position - position % RESTART_INTERVAL;
        (restart..=position).for_each(|position| self.advance_key(position, key));
    }

    /// Turns the key of the previous entry into that of an entry.
    pub(super) fn advance_key(&self, position: usize, key: &mut Vec<u8>) {
        if let Some(slot) = self.slots.get(position) {
            key.truncate(usize::from(slot.shared));
            key.extend_from_slice(self.rest(*slot));
        }
    }

    /// Returns the first key; empty if there is none.
    pub(super) fn first_key(&self) -> &[u8] {
        self.slots.first().map_or(&[], |slot| self.rest(*slot))
    }

    /// Finds `key`: returns `Ok` with its position, or `Err` with the position that it would have.
    pub(super) fn search(&self, key: &[u8]) -> Result<usize, usize> {
        // Find the last group of 16 that does not begin after the key.
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
        // Every passed key is less than `key`, and has exactly its first `matched` bytes in common.
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
