//! Signatures: two sums for each block of a file as a level stored it. By them a later level finds
//! the blocks that it need not store again.
//!
//! The weak sum moves along a file byte by byte and finds candidates. The strong sum decides: no
//! block counts as known because of its weak sum alone. Start reading at [`SignatureWriter`] and
//! [`SignatureHead`]. Layout: docs/format/signature.md.
//!
//! Invariants: blocks count from the beginning of each run, and only the last block of a run may be
//! short; equal bytes under the same key give the same sums.

mod sums;

pub use sums::{RollingSum, STRONG_BYTES, SignatureKey, StrongSum};

use crate::model::StreamOffset;
use std::ops::Range;

const MAGIC: &[u8; 4] = b"FzS1";

/// Length of the part before the runs, in bytes.
pub const HEAD_BYTES: usize = 56;

/// Length of a run in a signature, in bytes.
pub const RUN_BYTES: usize = 16;

/// Length of a block's sums in a signature, in bytes.
pub const SUMS_BYTES: usize = 4 + STRONG_BYTES;

/// The longest block, in bytes.
pub const MAX_BLOCK_BYTES: u32 = 1 << 30;

/// Why bytes are not a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is not a valid signature: {0}")]
pub struct SignatureError(&'static str);

/// Returns how many blocks a run of `length` bytes has.
pub fn blocks_in(length: u64, block_bytes: u32) -> u64 {
    length.div_ceil(u64::from(block_bytes).max(1))
}

/// Makes a signature of the bytes that it is given.
#[derive(Debug)]
pub struct SignatureWriter {
    block_bytes: u32,
    key: SignatureKey,
    runs: Vec<u8>,
    run_count: u64,
    sums: Vec<u8>,
    /// The current run: where it begins, and how many of its bytes were given.
    run: Option<(StreamOffset, u64)>,
    /// The beginning of a block whose rest is still to come.
    partial: Vec<u8>,
}

impl SignatureWriter {
    /// Begins a signature. `block_bytes` is brought into the range from 1 to [`MAX_BLOCK_BYTES`].
    pub fn new(block_bytes: u32, key: SignatureKey) -> Self {
        let block_bytes = block_bytes.clamp(1, MAX_BLOCK_BYTES);
        Self {
            block_bytes,
            key,
            runs: Vec::new(),
            run_count: 0,
            sums: Vec::new(),
            run: None,
            partial: Vec::new(),
        }
    }

    /// Returns the length in bytes of a signature of runs with these lengths, none of them 0.
    pub fn length_for(&self, runs: impl Iterator<Item = u64>) -> u64 {
        let length = |run| RUN_BYTES as u64 + blocks_in(run, self.block_bytes) * SUMS_BYTES as u64;
        HEAD_BYTES as u64 + runs.map(length).sum::<u64>()
    }

    /// Ends the current run and begins the next one, whose first byte is at `at` in the stream.
    pub fn begin_run(&mut self, at: StreamOffset) {
        self.end_run();
        self.run = Some((at, 0));
    }

    /// Takes the next bytes of the current run.
    pub fn update(&mut self, mut bytes: &[u8]) {
        let Some((_, length)) = &mut self.run else {
            return;
        };
        *length += bytes.len() as u64;
        let block = self.block_bytes as usize;
        if !self.partial.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(block - self.partial.len()));
            self.partial.extend_from_slice(now);
            bytes = later;
            if self.partial.len() == block {
                self.end_block();
            }
        }
        let mut blocks = bytes.chunks_exact(block);
        for whole in &mut blocks {
            push_sums(&self.key, whole, &mut self.sums);
        }
        self.partial.extend_from_slice(blocks.remainder());
    }

    /// Takes `count` zeros as the next bytes of the current run.
    pub fn update_zeros(&mut self, mut count: u64) {
        const ZEROS: &[u8] = &[0; 4096];
        while count > 0 {
            let now = usize::try_from(count)
                .unwrap_or(usize::MAX)
                .min(ZEROS.len());
            self.update(&ZEROS[..now]);
            count -= now as u64;
        }
    }

    /// Returns the encoded signature.
    pub fn finish(mut self) -> Vec<u8> {
        self.end_run();
        let blocks = (self.sums.len() / SUMS_BYTES) as u64;
        let mut signature = Vec::with_capacity(HEAD_BYTES + self.runs.len() + self.sums.len());
        signature.extend_from_slice(MAGIC);
        signature.extend_from_slice(&self.block_bytes.to_le_bytes());
        signature.extend_from_slice(&self.run_count.to_le_bytes());
        signature.extend_from_slice(&blocks.to_le_bytes());
        signature.extend_from_slice(&self.key.0);
        signature.extend_from_slice(&self.runs);
        signature.extend_from_slice(&self.sums);
        signature
    }

    fn end_block(&mut self) {
        push_sums(&self.key, &self.partial, &mut self.sums);
        self.partial.clear();
    }

    fn end_run(&mut self) {
        if !self.partial.is_empty() {
            self.end_block();
        }
        if let Some((at, length)) = self.run.take().filter(|(_, length)| *length > 0) {
            self.runs.extend_from_slice(&at.0.to_le_bytes());
            self.runs.extend_from_slice(&length.to_le_bytes());
            self.run_count += 1;
        }
    }
}

fn push_sums(key: &SignatureKey, block: &[u8], sums: &mut Vec<u8>) {
    sums.extend_from_slice(&RollingSum::of(block).value().to_le_bytes());
    sums.extend_from_slice(&key.strong(block));
}

/// The head of a signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignatureHead {
    /// Length of a block in bytes. The last block of a run may be shorter.
    pub block_bytes: u32,
    /// The key of the strong sums.
    pub key: SignatureKey,
    runs: u64,
    blocks: u64,
}

impl SignatureHead {
    /// Decodes the head of a signature that is `length` bytes long.
    ///
    /// # Errors
    ///
    /// [`SignatureError`] if it is not the head of a signature of exactly that length.
    pub fn decode(head: &[u8; HEAD_BYTES], length: u64) -> Result<Self, SignatureError> {
        let (magic, rest) = head.split_at(MAGIC.len());
        if magic != MAGIC {
            return Err(SignatureError(
                "it does not begin with FzS1, or a newer version wrote it",
            ));
        }
        let mut key = [0; 32];
        key.copy_from_slice(&rest[20..]);
        let block_bytes = u32::from_le_bytes([rest[0], rest[1], rest[2], rest[3]]);
        if block_bytes == 0 || block_bytes > MAX_BLOCK_BYTES {
            return Err(SignatureError("its block length is 0 or too large"));
        }
        let (runs, blocks) = (u64_at(&rest[4..12]), u64_at(&rest[12..20]));
        let runs_end = runs
            .checked_mul(RUN_BYTES as u64)
            .and_then(|bytes| bytes.checked_add(HEAD_BYTES as u64));
        let end = blocks
            .checked_mul(SUMS_BYTES as u64)
            .zip(runs_end)
            .and_then(|(sums, runs_end)| sums.checked_add(runs_end));
        if end != Some(length) {
            return Err(SignatureError(
                "its length does not match its counts of runs and blocks",
            ));
        }
        Ok(Self {
            block_bytes,
            key: SignatureKey(key),
            runs,
            blocks,
        })
    }

    /// Returns the place of the runs in the signature, in bytes.
    pub fn runs(&self) -> Range<u64> {
        let start = HEAD_BYTES as u64;
        start..start + self.runs * RUN_BYTES as u64
    }

    /// Returns the place of the sums of `count` blocks from block `from` on, in bytes; `None` if
    /// the signature has fewer blocks.
    pub fn sums(&self, from: u64, count: u64) -> Option<Range<u64>> {
        let end = from.checked_add(count).filter(|end| *end <= self.blocks)?;
        let start = self.runs().end;
        Some(start + from * SUMS_BYTES as u64..start + end * SUMS_BYTES as u64)
    }

    /// Decodes the runs.
    ///
    /// # Errors
    ///
    /// [`SignatureError`] if runs are empty, overlap or are out of order, or if their blocks are
    /// not as many as the head says.
    pub fn decode_runs(&self, bytes: &[u8]) -> Result<Vec<SignedRun>, SignatureError> {
        let mut runs = Vec::with_capacity(bytes.len() / RUN_BYTES);
        let (mut end, mut first_block) = (0, 0_u64);
        for run in bytes.chunks_exact(RUN_BYTES) {
            let (at, length) = (u64_at(&run[..8]), u64_at(&run[8..]));
            if length == 0 || at < end {
                return Err(SignatureError("its runs are empty or out of order"));
            }
            end = at
                .checked_add(length)
                .ok_or(SignatureError("a run reaches past the end of all streams"))?;
            runs.push(SignedRun {
                at: StreamOffset(at),
                length,
                first_block,
            });
            first_block += blocks_in(length, self.block_bytes);
        }
        if runs.len() as u64 != self.runs || first_block != self.blocks {
            return Err(SignatureError(
                "its runs do not have as many blocks as its head says",
            ));
        }
        Ok(runs)
    }
}

/// A run of stream bytes whose blocks are in a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignedRun {
    /// Where the run begins in the stream.
    pub at: StreamOffset,
    /// Length in bytes; never 0.
    pub length: u64,
    /// Number of the run's first block among all blocks of the signature.
    pub first_block: u64,
}

impl SignedRun {
    /// Returns where the run ends in the stream.
    pub fn end(&self) -> u64 {
        self.at.0.saturating_add(self.length)
    }
}

/// Decodes the sums of a block: the weak one and the strong one.
pub fn decode_sums(bytes: &[u8; SUMS_BYTES]) -> (u32, StrongSum) {
    let (weak, strong) = bytes.split_at(4);
    let mut sum = [0; STRONG_BYTES];
    sum.copy_from_slice(strong);
    (
        u32::from_le_bytes([weak[0], weak[1], weak[2], weak[3]]),
        sum,
    )
}

/// Returns the first eight bytes as a little-endian number.
fn u64_at(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .take(8)
        .rev()
        .fold(0, |number, byte| number << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::{
        HEAD_BYTES, RollingSum, SUMS_BYTES, SignatureHead, SignatureKey, SignatureWriter,
        decode_sums,
    };
    use crate::model::StreamOffset;
    use proptest::prelude::*;
    use std::ops::Range;

    fn head_of(signature: &[u8]) -> Result<SignatureHead, super::SignatureError> {
        SignatureHead::decode(
            signature.first_chunk::<HEAD_BYTES>().expect("long enough"),
            signature.len() as u64,
        )
    }

    proptest! {
        #[test]
        fn a_signature_reads_back_however_its_bytes_came(
            runs in prop::collection::vec(
                (0_u64..100, prop::collection::vec(any::<u8>(), 0..60)),
                0..6,
            ),
            block_bytes in 1_u32..20,
            cut in 1_usize..30,
        ) {
            let key = SignatureKey([9; 32]);
            let mut writer = SignatureWriter::new(block_bytes, key.clone());
            let (mut at, mut expected) = (0, Vec::new());
            for (gap, bytes) in &runs {
                at += gap;
                writer.begin_run(StreamOffset(at));
                bytes.chunks(cut).for_each(|piece| writer.update(piece));
                if !bytes.is_empty() {
                    expected.push((at, bytes));
                }
                at += bytes.len() as u64;
            }
            let length = writer.length_for(expected.iter().map(|(_, bytes)| bytes.len() as u64));
            let signature = writer.finish();
            prop_assert_eq!(signature.len() as u64, length);
            let head = head_of(&signature).expect("it is one");
            let index = |at: u64| usize::try_from(at).unwrap();
            let range = |range: Range<u64>| &signature[index(range.start)..index(range.end)];
            let read = head.decode_runs(range(head.runs())).expect("they are sound");
            prop_assert_eq!(read.len(), expected.len());
            for (run, (at, bytes)) in read.iter().zip(expected) {
                prop_assert_eq!((run.at.0, run.length), (at, bytes.len() as u64));
                for (number, block) in (0..).zip(bytes.chunks(block_bytes as usize)) {
                    let sums = head.sums(run.first_block + number, 1).expect("it has the block");
                    let sums = range(sums).first_chunk::<SUMS_BYTES>().expect("whole");
                    let (weak, strong) = decode_sums(sums);
                    prop_assert_eq!(weak, RollingSum::of(block).value());
                    prop_assert_eq!(strong, key.strong(block));
                }
            }
        }

        #[test]
        fn a_changed_signature_is_refused_or_sound(
            at in 0_usize..HEAD_BYTES + 32,
            bit in 0_u8..8,
        ) {
            let mut writer = SignatureWriter::new(4, SignatureKey([1; 32]));
            writer.begin_run(StreamOffset(512));
            writer.update(b"0123456789");
            writer.begin_run(StreamOffset(600));
            writer.update_zeros(5);
            let mut signature = writer.finish();
            signature[at] ^= 1 << bit;
            let runs = HEAD_BYTES..HEAD_BYTES + 32;
            if let Ok(head) = head_of(&signature)
                && let Ok(runs) = head.decode_runs(&signature[runs])
            {
                // Another key, or runs in other places or of other lengths with as many blocks. The
                // tag of the frame shows such damage.
                prop_assert_eq!(runs.len(), 2);
                prop_assert!(head.sums(0, 5).is_some());
                prop_assert!(head.sums(1, 5).is_none());
                prop_assert!(head.sums(u64::MAX, 2).is_none());
            }
        }
    }

    #[test]
    fn counts_that_overflow_are_refused() {
        let signature = SignatureWriter::new(4, SignatureKey([1; 32])).finish();
        for at in [8, 16] {
            let mut forged = signature.clone();
            forged[at..at + 8].fill(0xff);
            head_of(&forged).expect_err("no signature has as many");
        }
        let mut forged = signature.clone();
        forged[4..8].fill(0);
        head_of(&forged).expect_err("an empty block");
        head_of(&[&signature[..], &[0]].concat()).expect_err("one byte too many");
    }
}
