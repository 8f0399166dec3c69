//! Building a node from its entries.

use super::{RESTART_INTERVAL, VERSION, common_prefix};
use crate::index::bytes::{put_varint, varint_length};

/// A writer ends a node before it gets longer than this, in raw bytes.
const TARGET_BYTES: usize = 16 * 1024;

/// Builds one node after another, all of the same height.
#[derive(Clone, Debug)]
pub(in crate::index) struct NodeBuilder {
    height: u8,
    count: usize,
    entries: Vec<u8>,
    first_key: Vec<u8>,
    last_key: Vec<u8>,
}

impl NodeBuilder {
    pub(in crate::index) fn new(height: u8) -> Self {
        Self {
            height,
            count: 0,
            entries: Vec::new(),
            first_key: Vec::new(),
            last_key: Vec::new(),
        }
    }

    pub(in crate::index) fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub(in crate::index) fn first_key(&self) -> &[u8] {
        &self.first_key
    }

    fn shared(&self, key: &[u8]) -> usize {
        if self.count.is_multiple_of(RESTART_INTERVAL) {
            0
        } else {
            common_prefix(&self.last_key, key)
        }
    }

    /// Returns whether the node should end before this entry. An inner node has at least two
    /// entries: with one each, the tree would grow in height for ever.
    pub(in crate::index) fn is_full_for(&self, key: &[u8], value: &[u8]) -> bool {
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

    /// Returns the length of the finished node in bytes.
    pub(in crate::index) fn length(&self) -> usize {
        self.length_with(self.count)
    }

    /// Appends an entry. Keys must come in order.
    pub(in crate::index) fn push(&mut self, key: &[u8], value: &[u8]) {
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

    /// Returns the node and begins the next one.
    pub(in crate::index) fn take(&mut self) -> Vec<u8> {
        let mut node = Vec::with_capacity(self.length());
        node.extend_from_slice(&[VERSION, self.height]);
        put_varint(&mut node, self.count as u64);
        node.append(&mut self.entries);
        self.count = 0;
        self.last_key.clear();
        node
    }
}
