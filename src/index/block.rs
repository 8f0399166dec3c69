//! Blocks: where nodes are kept, and what keeps them.

use super::IndexError;
use super::bytes::{Reader, put_varint};
use super::error::Flaw;
use crate::model::{FrameNo, SegmentOffset};
use std::fmt;
use std::sync::Arc;

/// Where a block of a run is kept. Made by a [`BlockSink`], understood by the [`BlockSource`] of
/// the same level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BlockAddress {
    /// Its place in its lane of the level; what its authentication is bound to. Unlike that of any
    /// other block of the run.
    pub number: FrameNo,
    /// Number of the object that holds it.
    pub object: u32,
    /// Where it begins in that object.
    pub offset: SegmentOffset,
    /// Its length as stored.
    pub length: u32,
}

impl fmt::Display for BlockAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "block {} ({} bytes at {} of object {:08})",
            self.number.0, self.length, self.offset.0, self.object
        )
    }
}

impl BlockAddress {
    /// Layout: docs/format/index.md, "Inner node".
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        put_varint(out, self.number.0);
        put_varint(out, u64::from(self.object));
        put_varint(out, self.offset.0);
        put_varint(out, u64::from(self.length));
    }

    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Self, Flaw> {
        Ok(Self {
            number: FrameNo(reader.varint()?),
            object: reader.varint_u32()?,
            offset: SegmentOffset(reader.varint()?),
            length: reader.varint_u32()?,
        })
    }
}

/// Takes the blocks of a run in the order they become full, and says where they are kept.
/// Compression, encryption and authentication are its business.
pub trait BlockSink {
    /// Takes one block of at most [`MAX_BLOCK_BYTES`](super::MAX_BLOCK_BYTES). Its number must be
    /// new in this run.
    ///
    /// # Errors
    ///
    /// [`IndexError::Store`]; the run is then lost.
    fn append(&mut self, raw: &[u8]) -> Result<BlockAddress, IndexError>;
}

/// Gives the blocks of a run back. May be called from many threads at once.
pub trait BlockSource: Send + Sync {
    /// Returns the raw bytes that were appended. Authenticated before they are returned, and
    /// bounded by [`MAX_BLOCK_BYTES`](super::MAX_BLOCK_BYTES) while they are decompressed.
    ///
    /// # Errors
    ///
    /// [`IndexError::Fetch`], made with [`IndexError::fetch`].
    fn load(&self, address: &BlockAddress) -> Result<Vec<u8>, IndexError>;
}

/// A block that is kept with a run's root too: what the first entries need besides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeadBlock {
    /// Its number in the run.
    pub number: FrameNo,
    /// Its bytes, raw.
    pub raw: Vec<u8>,
}

/// A source that has some blocks at hand and gets the others from another.
pub struct WithHead {
    head: Vec<HeadBlock>,
    rest: Arc<dyn BlockSource>,
}

impl WithHead {
    /// `head` must be as authentic as what `rest` gives.
    pub fn new(head: Vec<HeadBlock>, rest: Arc<dyn BlockSource>) -> Self {
        Self { head, rest }
    }
}

impl BlockSource for WithHead {
    fn load(&self, address: &BlockAddress) -> Result<Vec<u8>, IndexError> {
        match self
            .head
            .iter()
            .find(|block| block.number == address.number)
        {
            Some(block) => Ok(block.raw.clone()),
            None => self.rest.load(address),
        }
    }
}

/// What a manifest keeps of a run: its top block, and what cannot be told from it. At most 64 KiB.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunRoot {
    /// The root node, raw.
    pub node: Vec<u8>,
    /// Height of that node; 0 when it is a leaf and so the whole run.
    pub height: u8,
    /// How many entries the run has.
    pub entries: u64,
}
