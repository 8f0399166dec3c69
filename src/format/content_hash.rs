//! Hashes of the content of files.
//!
//! A hash covers the data of a file in order, and after it where the data is, if there are holes.
//! Layout: docs/format/index.md, "Extensions". Start reading at [`ContentHashing`], which makes a
//! [`ContentHasher`] for data that comes in order, and a [`PieceHasher`] for data that several
//! threads have at once, in pieces.

use crate::model::{CONTENT_HASH_BYTES, Content, ContentHash, Entry, Extent};
use blake3::hazmat::{
    ChainingValue, HasherExt, Mode, merge_subtrees_non_root, merge_subtrees_root,
};
use std::fmt;
use std::sync::{Mutex, PoisonError};
use zeroize::Zeroizing;

/// Bytes of data in a piece of a [`PieceHasher`]. BLAKE3 joins the hashes of such pieces because
/// this is a power of two.
pub const HASH_PIECE_BYTES: u64 = 4 << 20;

/// A file is not what was stored: the hash of its content is another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "its content is not what was stored: its hash is {found}, and the backup says {expected}; \
     freezer check --read-data shows what is damaged"
)]
pub struct OtherContent {
    /// The hash of the content that was read.
    pub found: ContentHash,
    /// The hash that the index has.
    pub expected: ContentHash,
}

/// Makes hashes of content as one store has them: without a key, or with that of the store.
#[derive(Clone, Default)]
pub struct ContentHashing {
    key: Option<Zeroizing<[u8; 32]>>,
}

impl fmt::Debug for ContentHashing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.key {
            Some(_) => "ContentHashing(***)",
            None => "ContentHashing(without a key)",
        })
    }
}

impl ContentHashing {
    /// Makes hashes under a key, which show nothing to those who do not have it.
    pub fn keyed(key: Zeroizing<[u8; 32]>) -> Self {
        Self { key: Some(key) }
    }

    /// Begins the hash of a file.
    pub fn hasher(&self) -> ContentHasher {
        ContentHasher {
            hasher: self.begin(),
            runs: DataRuns::default(),
        }
    }

    fn begin(&self) -> blake3::Hasher {
        match &self.key {
            Some(key) => blake3::Hasher::new_keyed(key),
            None => blake3::Hasher::new(),
        }
    }

    fn mode(&self) -> Mode<'_> {
        match &self.key {
            Some(key) => Mode::KeyedHash(key),
            None => Mode::Hash,
        }
    }
}

/// Where the data of a file is: runs of bytes that no hole interrupts.
#[derive(Default)]
struct DataRuns {
    /// Where each begins, and where it ends.
    runs: Vec<(u64, u64)>,
}

impl DataRuns {
    fn of(extents: &[Extent]) -> Self {
        let mut runs = Self::default();
        for extent in extents {
            runs.push(extent.at.0, extent.length);
        }
        runs
    }

    /// Appends a run, which may touch the one before.
    fn push(&mut self, at: u64, length: u64) {
        let end = at.saturating_add(length);
        match self.runs.last_mut() {
            Some((_, last_end)) if *last_end == at => *last_end = end,
            _ => self.runs.push((at, end)),
        }
    }

    /// Returns the table that the hash covers after the data: none for a file without holes.
    fn table(&self, size: u64) -> Vec<u8> {
        match self.runs[..] {
            [(0, end)] if end == size => Vec::new(),
            _ => self
                .runs
                .iter()
                .flat_map(|(at, end)| [*at, end - at])
                .flat_map(u64::to_be_bytes)
                .collect(),
        }
    }
}

/// The hash of a file whose data comes in order.
pub struct ContentHasher {
    hasher: blake3::Hasher,
    runs: DataRuns,
}

impl ContentHasher {
    /// Takes the data at `at` in the file, which follows all data so far.
    pub fn update(&mut self, at: u64, data: &[u8]) {
        if !data.is_empty() {
            self.runs.push(at, data.len() as u64);
            self.hasher.update(data);
        }
    }

    /// Ends the hash of a file of `size` bytes.
    pub fn finish(mut self, size: u64) -> ContentHash {
        self.hasher.update(&self.runs.table(size));
        shortened(&self.hasher.finalize())
    }

    /// Ends the hash, and compares it with the one that the index has.
    ///
    /// # Errors
    ///
    /// [`OtherContent`].
    pub fn compare(self, size: u64, expected: ContentHash) -> Result<(), OtherContent> {
        same(self.finish(size), expected)
    }
}

/// Compares the content of an entry, as it is read in order, with the hash that the index has.
pub struct ContentCheck<'entry> {
    hasher: ContentHasher,
    expected: ContentHash,
    size: u64,
    /// The extents whose data has not come to its end.
    extents: &'entry [Extent],
}

impl<'entry> ContentCheck<'entry> {
    /// Begins with the content of an entry; `None` if the index has no hash of it.
    pub fn of(entry: &'entry Entry, hashing: &ContentHashing) -> Option<Self> {
        match &entry.content {
            Content::File { size, extents } => Some(Self {
                hasher: hashing.hasher(),
                expected: entry.metadata.extensions.content_hash?,
                size: *size,
                extents,
            }),
            _ => None,
        }
    }

    /// Takes the bytes at a place in the file, which come after all before. What lies in a hole is
    /// passed over.
    pub fn see(&mut self, at: u64, bytes: &[u8]) {
        let end = at.saturating_add(bytes.len() as u64);
        while let Some(extent) = self.extents.first() {
            let (from, to) = (extent.at.0.max(at), extent.end().min(end));
            if from < to {
                let part = [from - at, to - at].map(|at| usize::try_from(at).unwrap_or(usize::MAX));
                let part = bytes.get(part[0]..part[1]).unwrap_or_default();
                self.hasher.update(from, part);
            }
            if extent.end() > end {
                break;
            }
            self.extents = self.extents.get(1..).unwrap_or_default();
        }
    }

    /// Ends the comparison, once all bytes have come.
    ///
    /// # Errors
    ///
    /// [`OtherContent`].
    pub fn finish(self) -> Result<(), OtherContent> {
        self.hasher.compare(self.size, self.expected)
    }
}

fn same(found: ContentHash, expected: ContentHash) -> Result<(), OtherContent> {
    if found == expected {
        Ok(())
    } else {
        Err(OtherContent { found, expected })
    }
}

fn shortened(hash: &blake3::Hash) -> ContentHash {
    let mut short = [0; CONTENT_HASH_BYTES];
    short.copy_from_slice(&hash.as_bytes()[..CONTENT_HASH_BYTES]);
    ContentHash(short)
}

/// The hash of a file whose data several threads have at once, each a piece of
/// [`HASH_PIECE_BYTES`]. Holes do not count: the data of all extents, end to end, is cut.
#[derive(Debug)]
pub struct PieceHasher {
    hashing: ContentHashing,
    /// What follows the data.
    table: Vec<u8>,
    data_bytes: u64,
    /// Guards the hashes of the pieces, with the table as data of the last one, and what is more.
    pieces: Mutex<Vec<Option<ChainingValue>>>,
}

/// One piece of data, as it comes.
pub struct PieceHash<'file> {
    of: &'file PieceHasher,
    /// The number of the piece that is next to end.
    number: u64,
    hasher: blake3::Hasher,
    /// How many bytes of it have come.
    filled: u64,
}

impl PieceHasher {
    /// Describes a file of `size` bytes. `None` if it is so short that it has only one piece: then
    /// a [`ContentHasher`] does it.
    pub fn new(hashing: &ContentHashing, size: u64, extents: &[Extent]) -> Option<Self> {
        let table = DataRuns::of(extents).table(size);
        let data_bytes = extents.iter().map(|extent| extent.length).sum::<u64>();
        let pieces = (data_bytes + table.len() as u64).div_ceil(HASH_PIECE_BYTES);
        (pieces > 1).then(|| Self {
            hashing: hashing.clone(),
            table,
            data_bytes,
            pieces: Mutex::new(vec![None; usize::try_from(pieces).unwrap_or(usize::MAX)]),
        })
    }

    /// Begins the piece with this number, counted from 0.
    pub fn piece(&self, number: u64) -> PieceHash<'_> {
        PieceHash {
            of: self,
            number,
            hasher: self.begin(number),
            filled: 0,
        }
    }

    fn begin(&self, number: u64) -> blake3::Hasher {
        let mut hasher = self.hashing.begin();
        hasher.set_input_offset(number * HASH_PIECE_BYTES);
        hasher
    }

    /// Returns the hash once all pieces have ended; `None` if one has not.
    pub fn finish(&self) -> Option<ContentHash> {
        let pieces = self.pieces.lock().unwrap_or_else(PoisonError::into_inner);
        let pieces: Option<Vec<ChainingValue>> = pieces.iter().copied().collect();
        let mode = self.hashing.mode();
        // As BLAKE3's tree is built: whenever two subtrees of one size stand side by side, and
        // something follows them, they become one.
        let pieces = pieces?;
        let mut subtrees: Vec<ChainingValue> = Vec::new();
        let (last, before) = pieces.split_last()?;
        for (count, piece) in (1_u64..).zip(before) {
            let mut joined = *piece;
            for _ in 0..count.trailing_zeros() {
                joined = merge_subtrees_non_root(&subtrees.pop()?, &joined, mode);
            }
            subtrees.push(joined);
        }
        let mut right = *last;
        while subtrees.len() > 1 {
            right = merge_subtrees_non_root(&subtrees.pop()?, &right, mode);
        }
        Some(shortened(&merge_subtrees_root(
            &subtrees.pop()?,
            &right,
            mode,
        )))
    }

    /// Compares the hash with the one that the index has.
    ///
    /// # Errors
    ///
    /// [`OtherContent`].
    pub fn compare(&self, expected: ContentHash) -> Result<(), OtherContent> {
        self.finish().map_or(Ok(()), |found| same(found, expected))
    }

    fn put(&self, number: u64, hash: ChainingValue) {
        let mut pieces = self.pieces.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(piece) = usize::try_from(number)
            .ok()
            .and_then(|number| pieces.get_mut(number))
        {
            *piece = Some(hash);
        }
    }
}

impl PieceHash<'_> {
    /// Takes the data that follows in the piece.
    pub fn update(&mut self, mut data: &[u8]) {
        while !data.is_empty() {
            if self.filled == HASH_PIECE_BYTES {
                self.next();
            }
            let room = usize::try_from(HASH_PIECE_BYTES - self.filled).unwrap_or(usize::MAX);
            let (now, later) = data.split_at(room.min(data.len()));
            self.hasher.update(now);
            self.filled += now.len() as u64;
            data = later;
        }
    }

    fn next(&mut self) {
        self.of.put(self.number, self.hasher.finalize_non_root());
        self.number += 1;
        self.hasher = self.of.begin(self.number);
        self.filled = 0;
    }

    /// Ends the piece. The last one takes the table too.
    pub fn finish(mut self) {
        let at = self.number * HASH_PIECE_BYTES + self.filled;
        if at == self.of.data_bytes {
            let of = self.of;
            self.update(&of.table);
        }
        self.of.put(self.number, self.hasher.finalize_non_root());
    }
}

#[cfg(test)]
mod tests {
    use super::{ContentHashing, HASH_PIECE_BYTES, PieceHasher};
    use crate::model::{Extent, FileOffset, LevelSerial, StreamOffset};
    use proptest::prelude::{any, prop_assert_eq, proptest};
    use zeroize::Zeroizing;

    fn extent(at: u64, length: u64) -> Extent {
        Extent {
            at: FileOffset(at),
            level: LevelSerial(1),
            stream: StreamOffset(0),
            length,
        }
    }

    fn noise(length: u64, seed: u8) -> Vec<u8> {
        let mut bytes = vec![0; usize::try_from(length).expect("small")];
        blake3::Hasher::new()
            .update(&[seed])
            .finalize_xof()
            .fill(&mut bytes);
        bytes
    }

    proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(12))]
        #[test]
        fn pieces_in_any_order_give_the_hash_of_the_whole(
            lengths in proptest::collection::vec(0u64..9_000_000, 1..4),
            has_hole: bool,
            key in proptest::option::of(any::<[u8; 32]>()),
            seed: u8,
        ) {
            let hashing = key.map_or_else(ContentHashing::default, |key| {
                ContentHashing::keyed(Zeroizing::new(key))
            });
            let (mut extents, mut end) = (Vec::new(), u64::from(has_hole) * 5);
            for length in lengths.into_iter().filter(|length| *length > 0) {
                extents.push(extent(end, length));
                end += length + u64::from(has_hole) * 3;
            }
            let data = noise(extents.iter().map(|extent| extent.length).sum(), seed);
            let (mut whole, mut at) = (hashing.hasher(), 0);
            for extent in &extents {
                let length = usize::try_from(extent.length).expect("small");
                whole.update(extent.at.0, &data[at..at + length]);
                at += length;
            }
            let whole = whole.finish(end);
            let Some(pieces) = PieceHasher::new(&hashing, end, &extents) else {
                prop_assert_eq!((data.len() as u64) / HASH_PIECE_BYTES, 0);
                return Ok(());
            };
            let piece_bytes = usize::try_from(HASH_PIECE_BYTES).expect("small");
            let cut: Vec<(u64, &[u8])> = (0..).zip(data.chunks(piece_bytes)).collect();
            for (number, data) in cut.into_iter().rev() {
                prop_assert_eq!(pieces.finish(), None);
                let mut piece = pieces.piece(number);
                data.chunks(100_000).for_each(|data| piece.update(data));
                piece.finish();
            }
            prop_assert_eq!(pieces.finish(), Some(whole));
        }
    }

    #[test]
    fn a_file_without_holes_has_the_plain_hash_of_its_bytes() {
        let mut hasher = ContentHashing::default().hasher();
        hasher.update(0, b"to be or ");
        hasher.update(9, b"not to be");
        let plain = blake3::hash(b"to be or not to be");
        assert_eq!(hasher.finish(18).0, plain.as_bytes()[..20]);
    }

    #[test]
    fn holes_and_the_key_count() {
        let hash = |hashing: &ContentHashing, at, size| {
            let mut hasher = hashing.hasher();
            hasher.update(at, b"data");
            hasher.finish(size)
        };
        let (plain, keyed) = (
            ContentHashing::default(),
            ContentHashing::keyed(Zeroizing::new([1; 32])),
        );
        let all = [
            hash(&plain, 0, 4),
            hash(&plain, 0, 5),
            hash(&plain, 1, 5),
            hash(&keyed, 0, 4),
        ];
        for (at, one) in all.iter().enumerate() {
            assert!(!all[..at].contains(one), "{all:?}");
        }
    }
}
