//! The blocks that earlier levels have of a file: where each is, and what its sums are.

use super::Earlier;
use super::stored::{StoredStream, Streams, Unusable};
use crate::format::signature::{
    HEAD_BYTES, RUN_BYTES, SUMS_BYTES, SignatureHead, SignatureKey, SignedRun, StrongSum,
    decode_sums,
};
use crate::model::{Extent, LevelSerial, SignaturePlace, StreamOffset};

/// More blocks than this are not looked at: a file that has grown since its signature began, or a
/// forged one.
const MOST_BLOCKS: u64 = 2 * super::MAX_BLOCKS;

/// Most runs of one signature that are read: 16 MiB of memory while they are.
const MOST_RUNS: u64 = 1 << 20;

/// Blocks whose sums are read at once.
const BLOCKS_AT_ONCE: u64 = 4096;

/// So many blocks of one weak sum are looked at; a file may be made of blocks that share it.
const MOST_ALIKE: usize = 8;

/// A stretch of the earlier version of which all blocks are known: of equal length but the last, in
/// order, both in the file and in the stream.
#[derive(Clone, Copy, Debug)]
struct Stretch {
    /// Where it begins in the earlier version.
    at: u64,
    length: u64,
    level: LevelSerial,
    stream: u64,
    /// Number of its first block in [`Known::strong`].
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
    /// The block as a piece of the file at another place.
    pub(super) fn at(&self, at: u64) -> Extent {
        Extent {
            at: crate::model::FileOffset(at),
            level: self.level,
            stream: self.stream,
            length: self.length,
        }
    }
}

/// All blocks of the earlier version whose sums are known.
pub(super) struct Known {
    pub(super) block_bytes: u32,
    pub(super) key: SignatureKey,
    /// Sorted by `at`.
    stretches: Vec<Stretch>,
    /// The same, sorted by `first`.
    by_first: Vec<u32>,
    strong: Vec<StrongSum>,
    table: Table,
}

impl Known {
    /// Reads the signatures of the earlier version. `None` when there is none that can be used.
    pub(super) fn load(streams: &Streams, earlier: &Earlier) -> Option<Self> {
        let mut loading: Option<Loading> = None;
        // The newest says which key and length of blocks; the others have the same.
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
                tracing::warn!(level = place.level.0, %error, "a signature cannot be used; what it is of is stored again where it changed");
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
            table: Table::with_room_for(weak.len()),
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

    /// Whether blocks can be looked for at all.
    pub(super) fn has_candidate(&self, weak: u32) -> bool {
        self.table.may_have(weak)
    }

    /// The blocks of full length that have this weak sum.
    pub(super) fn candidates(&self, weak: u32) -> impl Iterator<Item = KnownBlock<'_>> {
        self.table.find(weak).filter_map(|number| {
            let after = self
                .by_first
                .partition_point(|stretch| self.stretches[*stretch as usize].first <= number);
            let stretch = &self.stretches[*self.by_first.get(after.checked_sub(1)?)? as usize];
            Some(self.block(stretch, (number - stretch.first) as u64))
        })
    }

    fn block(&self, stretch: &Stretch, number: u64) -> KnownBlock<'_> {
        let offset = number * u64::from(self.block_bytes);
        KnownBlock {
            at: stretch.at + offset,
            length: u64::from(self.block_bytes).min(stretch.length - offset),
            level: stretch.level,
            stream: StreamOffset(stretch.stream + offset),
            strong: &self.strong[stretch.first + usize::try_from(number).unwrap_or(usize::MAX)],
        }
    }

    /// The first block that begins at `at` or after it in the earlier version. `hint` is where the
    /// last one was found.
    pub(super) fn next_from(&self, at: u64, hint: &mut usize) -> Option<KnownBlock<'_>> {
        let ends_after = |stretch: &Stretch| stretch.at + stretch.length > at;
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

/// What was read so far.
struct Loading {
    head: SignatureHead,
    stretches: Vec<Stretch>,
    weak: Vec<u32>,
    strong: Vec<StrongSum>,
}

impl Loading {
    /// Reads the sums of the blocks that lie in `extents`, which are of one level and sorted by
    /// where they are in its stream.
    fn read(
        loading: &mut Option<Self>,
        mut stream: StoredStream,
        place: &SignaturePlace,
        extents: &[Extent],
    ) -> Result<(), Unusable> {
        let start = place.stream.0;
        let mut head = [0; HEAD_BYTES];
        stream.read(start, &mut head)?;
        let head = SignatureHead::decode(&head, place.length)?;
        let runs = head.runs();
        if (runs.end - runs.start) / RUN_BYTES as u64 > MOST_RUNS {
            return Err("it has too many runs".into());
        }
        let runs = head.decode_runs(&stream.bytes(start + runs.start..start + runs.end)?)?;
        let loading = loading.get_or_insert_with(|| Self {
            head: head.clone(),
            stretches: Vec::new(),
            weak: Vec::new(),
            strong: Vec::new(),
        });
        if (head.block_bytes, &head.key) != (loading.head.block_bytes, &loading.head.key) {
            return Err("it has other blocks than that of a later level".into());
        }
        for extent in extents {
            let first = runs.partition_point(|run| run.end() <= extent.stream.0);
            for run in runs.get(first..).unwrap_or_default() {
                let Some((stretch, number, count)) = whole_blocks(extent, run, head.block_bytes)
                else {
                    if run.at.0 >= extent.stream.0.saturating_add(extent.length) {
                        break;
                    }
                    continue;
                };
                if loading.strong.len() as u64 + count > MOST_BLOCKS {
                    return Err("there are too many blocks".into());
                }
                let range = head
                    .sums(number, count)
                    .ok_or("it has fewer blocks than its runs")?;
                let begun = loading.strong.len();
                if let Err(error) = loading.read_sums(&mut stream, start + range.start, count) {
                    loading.strong.truncate(begun);
                    loading.weak.truncate(begun);
                    return Err(error);
                }
                loading.stretches.push(Stretch {
                    first: begun,
                    ..stretch
                });
            }
        }
        Ok(())
    }

    fn read_sums(
        &mut self,
        stream: &mut StoredStream,
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

/// The part of an extent that is whole blocks of a run: as a stretch, the number of its first block
/// in the signature, and how many there are.
fn whole_blocks(extent: &Extent, run: &SignedRun, block_bytes: u32) -> Option<(Stretch, u64, u64)> {
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
    let stretch = Stretch {
        at,
        length,
        level: extent.level,
        stream: start,
        first: 0,
    };
    Some((
        stretch,
        run.first_block.checked_add(first)?,
        length.div_ceil(block),
    ))
}

/// Finds blocks by their weak sums: a bit for most sums that no block has, and slots for the
/// others.
struct Table {
    /// A weak sum and the number of a block, plus one; 0 is an empty slot. Never more than half
    /// full.
    slots: Vec<u64>,
    bits: Vec<u64>,
    slot_shift: u32,
    bit_shift: u32,
}

impl Table {
    fn with_room_for(blocks: usize) -> Self {
        let slots = (2 * blocks).next_power_of_two().max(64);
        // 16 bits for each block: 1 sum of 16 or fewer that no block has gets past.
        let bits = (16 * blocks).next_power_of_two().max(64);
        Self {
            slots: vec![0; slots],
            bits: vec![0; bits / 64],
            slot_shift: 32 - slots.ilog2().min(32),
            bit_shift: 32 - bits.ilog2().min(32),
        }
    }

    /// Neighbouring sums are of similar windows: this spreads them.
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
            // The same block once more helps nobody.
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
