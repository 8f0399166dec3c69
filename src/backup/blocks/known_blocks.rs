//! The blocks that earlier levels have of a file: the place and the sums of each.

use super::earlier_streams::{EarlierStream, EarlierStreams, Unusable};
use super::earlier_version::EarlierVersion;
use super::engine::MAX_BLOCKS;
use crate::format::signature::{
    HEAD_BYTES, RUN_BYTES, SUMS_BYTES, SignatureHead, SignatureKey, SignedRun, StrongSum,
    decode_sums,
};
use crate::model::{Extent, FileOffset, LevelSerial, SignaturePlace, StreamOffset};

/// Most blocks that are loaded. A file has more if it has grown a lot since its signature began, or
/// if the signature is forged.
const MOST_BLOCKS: u64 = 2 * MAX_BLOCKS;

/// Most runs of one signature: 16 MiB of memory while they are read.
const MOST_RUNS: u64 = 1 << 20;

/// Blocks whose sums are read at once.
const BLOCKS_AT_ONCE: u64 = 4096;

/// Most blocks of one weak sum: a file may be made of blocks that share it.
const MOST_ALIKE: usize = 8;

/// A stretch of the earlier version whose blocks are all known. They follow each other in the file
/// and in the stream, and only the last may be shorter.
#[derive(Clone, Copy, Debug)]
struct KnownStretch {
    /// Where it begins in the earlier version.
    at: u64,
    length: u64,
    level: LevelSerial,
    stream: u64,
    /// Number of its first block in [`KnownBlocks::strong`].
    first: usize,
}

/// A block of the earlier version.
#[derive(Clone, Copy, Debug)]
pub(super) struct KnownBlock<'known> {
    /// Where it begins in the earlier version.
    pub(super) at: u64,
    pub(super) length: u64,
    pub(super) level: LevelSerial,
    pub(super) stream: StreamOffset,
    pub(super) strong: &'known StrongSum,
}

impl KnownBlock<'_> {
    /// Returns the extent of this block for a file that has it at `at`.
    pub(super) fn at(&self, at: u64) -> Extent {
        Extent {
            at: FileOffset(at),
            level: self.level,
            stream: self.stream,
            length: self.length,
        }
    }
}

/// The blocks of the earlier version, by place and by weak sum.
pub(in crate::backup) struct KnownBlocks {
    pub(in crate::backup) block_bytes: u32,
    pub(in crate::backup) key: SignatureKey,
    /// Sorted by `at`.
    stretches: Vec<KnownStretch>,
    /// Indices of the stretches, sorted by `first`.
    by_first: Vec<u32>,
    strong: Vec<StrongSum>,
    table: SumTable,
}

impl KnownBlocks {
    /// Reads the signatures of the earlier version. `None` if none of them can be used.
    pub(in crate::backup) fn load(
        streams: &EarlierStreams,
        earlier: &EarlierVersion,
    ) -> Option<Self> {
        let mut loading: Option<Loading> = None;
        // The newest decides on the key and the length of blocks; the others should agree.
        for place in earlier.signatures.iter().rev() {
            let mut of_level: Vec<Extent> = earlier
                .extents
                .iter()
                .filter(|extent| extent.level == place.level)
                .copied()
                .collect();
            of_level.sort_by_key(|extent| extent.stream);
            if let Err(error) = streams
                .open(place.level)
                .and_then(|stream| Loading::read(&mut loading, stream, place, &of_level))
            {
                tracing::warn!(
                    level = place.level.0,
                    %error,
                    "could not use a signature; its blocks are stored again"
                );
            }
        }
        let Loading {
            head,
            mut stretches,
            weak,
            strong,
        } = loading?;
        if strong.is_empty() {
            return None;
        }
        let mut by_first: Vec<u32> = (0..u32::try_from(stretches.len()).ok()?).collect();
        stretches.sort_by_key(|stretch| stretch.at);
        by_first.sort_by_key(|number| stretches[*number as usize].first);
        let mut known = Self {
            block_bytes: head.block_bytes,
            key: head.key,
            stretches,
            by_first,
            strong,
            table: SumTable::with_room_for(weak.len()),
        };
        let full = u64::from(known.block_bytes);
        for stretch in &known.stretches {
            for number in 0..stretch.length / full {
                let number = stretch.first + usize::try_from(number).ok()?;
                known.table.insert(weak[number], number, &known.strong);
            }
        }
        Some(known)
    }

    /// Returns whether a block may have this weak sum. Fast; wrong for few sums that no block has.
    pub(super) fn has_candidate(&self, weak: u32) -> bool {
        self.table.may_have(weak)
    }

    /// Returns the blocks of full length that have this weak sum.
    pub(super) fn candidates(&self, weak: u32) -> impl Iterator<Item = KnownBlock<'_>> {
        self.table.find(weak).filter_map(|number| {
            let after = self
                .by_first
                .partition_point(|stretch| self.stretches[*stretch as usize].first <= number);
            let stretch = &self.stretches[*self.by_first.get(after.checked_sub(1)?)? as usize];
            Some(self.block(stretch, (number - stretch.first) as u64))
        })
    }

    fn block(&self, stretch: &KnownStretch, number: u64) -> KnownBlock<'_> {
        let offset = number * u64::from(self.block_bytes);
        KnownBlock {
            at: stretch.at + offset,
            length: u64::from(self.block_bytes).min(stretch.length - offset),
            level: stretch.level,
            stream: StreamOffset(stretch.stream + offset),
            strong: &self.strong[stretch.first + usize::try_from(number).unwrap_or(usize::MAX)],
        }
    }

    /// Returns the first block that begins at `at` or after it in the earlier version. `hint` is
    /// the index of the stretch that was found last.
    pub(super) fn next_from(&self, at: u64, hint: &mut usize) -> Option<KnownBlock<'_>> {
        let ends_after = |stretch: &KnownStretch| stretch.at + stretch.length > at;
        let is_first = |number: usize| {
            self.stretches.get(number).is_some_and(&ends_after)
                && (number == 0 || !ends_after(&self.stretches[number - 1]))
        };
        let mut number = *hint;
        if !is_first(number) {
            number += 1;
            if !is_first(number) {
                number = self
                    .stretches
                    .partition_point(|stretch| !ends_after(stretch));
            }
        }
        *hint = number;
        let stretch = self.stretches.get(number)?;
        let block = at
            .saturating_sub(stretch.at)
            .div_ceil(u64::from(self.block_bytes));
        if block * u64::from(self.block_bytes) < stretch.length {
            return Some(self.block(stretch, block));
        }
        self.stretches
            .get(number + 1)
            .map(|next| self.block(next, 0))
    }
}

/// The signatures that are read so far.
struct Loading {
    head: SignatureHead,
    stretches: Vec<KnownStretch>,
    weak: Vec<u32>,
    strong: Vec<StrongSum>,
}

impl Loading {
    /// Reads the sums of the blocks in `extents`, which belong to one level and are sorted by their
    /// place in its stream.
    fn read(
        loading: &mut Option<Self>,
        mut stream: EarlierStream,
        place: &SignaturePlace,
        extents: &[Extent],
    ) -> Result<(), Unusable> {
        let start = place.stream.0;
        let mut head = [0; HEAD_BYTES];
        stream.read(start, &mut head)?;
        let head = SignatureHead::decode(&head, place.length)?;
        let runs = head.runs();
        if (runs.end - runs.start) / RUN_BYTES as u64 > MOST_RUNS {
            return Err("the signature has too many runs".into());
        }
        let runs = head.decode_runs(&stream.bytes(start + runs.start..start + runs.end)?)?;
        let loading = loading.get_or_insert_with(|| Self {
            head: head.clone(),
            stretches: Vec::new(),
            weak: Vec::new(),
            strong: Vec::new(),
        });
        if (head.block_bytes, &head.key) != (loading.head.block_bytes, &loading.head.key) {
            return Err("its blocks differ from those of a later level".into());
        }
        for extent in extents {
            let first = runs.partition_point(|run| run.end() <= extent.stream.0);
            for run in runs.get(first..).unwrap_or_default() {
                let Some(blocks) = whole_blocks(extent, run, head.block_bytes) else {
                    if run.at.0 >= extent.stream.0.saturating_add(extent.length) {
                        break;
                    }
                    continue;
                };
                if loading.strong.len() as u64 + blocks.count > MOST_BLOCKS {
                    return Err("the file has too many blocks".into());
                }
                let range = head
                    .sums(blocks.number, blocks.count)
                    .ok_or("it has fewer blocks than its runs need")?;
                let begun = loading.strong.len();
                if let Err(error) =
                    loading.read_sums(&mut stream, start + range.start, blocks.count)
                {
                    loading.strong.truncate(begun);
                    loading.weak.truncate(begun);
                    return Err(error);
                }
                loading.stretches.push(KnownStretch {
                    first: begun,
                    ..blocks.stretch
                });
            }
        }
        Ok(())
    }

    fn read_sums(
        &mut self,
        stream: &mut EarlierStream,
        mut at: u64,
        mut count: u64,
    ) -> Result<(), Unusable> {
        let mut buffer = Vec::new();
        while count > 0 {
            let now = count.min(BLOCKS_AT_ONCE);
            buffer.resize(usize::try_from(now)? * SUMS_BYTES, 0);
            stream.read(at, &mut buffer)?;
            for sums in buffer.chunks_exact(SUMS_BYTES) {
                let (weak, strong) = decode_sums(sums.first_chunk().ok_or("a sum is cut off")?);
                self.weak.push(weak);
                self.strong.push(strong);
            }
            at += now * SUMS_BYTES as u64;
            count -= now;
        }
        Ok(())
    }
}

/// Whole blocks of a signature.
struct WholeBlocks {
    stretch: KnownStretch,
    /// Number of the first block in the signature.
    number: u64,
    count: u64,
}

/// Returns the part of an extent that is whole blocks of a run.
fn whole_blocks(extent: &Extent, run: &SignedRun, block_bytes: u32) -> Option<WholeBlocks> {
    let block = u64::from(block_bytes);
    let extent_end = extent.stream.0.checked_add(extent.length)?;
    let (from, end) = (extent.stream.0.max(run.at.0), extent_end.min(run.end()));
    let first = from.checked_sub(run.at.0)?.div_ceil(block);
    let start = run.at.0.checked_add(first.checked_mul(block)?)?;
    let end = if end == run.end() {
        end
    } else {
        run.at.0 + end.checked_sub(run.at.0)? / block * block
    };
    let length = end.checked_sub(start).filter(|length| *length > 0)?;
    let at = extent.at.0.checked_add(start - extent.stream.0)?;
    let stretch = KnownStretch {
        at,
        length,
        level: extent.level,
        stream: start,
        first: 0,
    };
    Some(WholeBlocks {
        stretch,
        number: run.first_block.checked_add(first)?,
        count: length.div_ceil(block),
    })
}

/// Finds blocks by their weak sums. A bit map rules out most sums that no block has; slots answer
/// for the others.
struct SumTable {
    /// Weak sum in the upper half, number of the block plus one in the lower; 0 is an empty slot.
    /// At most half of them are full.
    slots: Vec<u64>,
    bits: Vec<u64>,
    slot_shift: u32,
    bit_shift: u32,
}

impl SumTable {
    fn with_room_for(blocks: usize) -> Self {
        let slots = (2 * blocks).next_power_of_two().max(64);
        // 16 bits for each block: of the sums that no block has, at most 1 in 16 gets past.
        let bits = (16 * blocks).next_power_of_two().max(64);
        Self {
            slots: vec![0; slots],
            bits: vec![0; bits / 64],
            slot_shift: 32 - slots.ilog2().min(32),
            bit_shift: 32 - bits.ilog2().min(32),
        }
    }

    /// Spreads the sums: those of similar blocks are close together.
    #[inline]
    fn mixed(weak: u32) -> u64 {
        u64::from(weak.wrapping_mul(0x9E37_79B1))
    }

    #[inline]
    fn may_have(&self, weak: u32) -> bool {
        let bit = Self::mixed(weak) >> self.bit_shift;
        self.bits
            .get(usize::try_from(bit / 64).unwrap_or(0))
            .is_some_and(|word| word >> (bit % 64) & 1 == 1)
    }

    fn insert(&mut self, weak: u32, number: usize, strong: &[StrongSum]) {
        let mut alike = 0;
        for other in self.find(weak) {
            alike += 1;
            // A second block with the same content is of no use.
            if alike == MOST_ALIKE || strong[other] == strong[number] {
                return;
            }
        }
        let mask = self.slots.len() - 1;
        let mut slot = usize::try_from(Self::mixed(weak) >> self.slot_shift).unwrap_or(0) & mask;
        while self.slots[slot] != 0 {
            slot = (slot + 1) & mask;
        }
        self.slots[slot] = u64::from(weak) << 32 | (number as u64 + 1);
        let bit = Self::mixed(weak) >> self.bit_shift;
        if let Some(word) = self.bits.get_mut(usize::try_from(bit / 64).unwrap_or(0)) {
            *word |= 1 << (bit % 64);
        }
    }

    fn find(&self, weak: u32) -> impl Iterator<Item = usize> {
        let mask = self.slots.len() - 1;
        let start = usize::try_from(Self::mixed(weak) >> self.slot_shift).unwrap_or(0) & mask;
        (0..self.slots.len())
            .map(move |step| self.slots[(start + step) & mask])
            .take_while(|slot| *slot != 0)
            .filter(move |slot| slot >> 32 == u64::from(weak))
            .map(|slot| usize::try_from((slot & 0xffff_ffff) - 1).unwrap_or(0))
    }
}
