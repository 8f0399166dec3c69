//! How the files of a cache are called: by the object, a region of it, and the place of the bytes.
//!
//! Of the 64 hexadecimal digits the first 32 name the object and a region of it, the next 16 the
//! offset of the chunk in the object, and the last 16 its length. The first two digits are a
//! folder.

/// The first bytes that go into every sum.
const FORM: &[u8] = b"freezer disk cache 2\0";

/// How many bytes a sum has.
pub(super) const SUM: usize = 32;

/// How many hexadecimal digits the name of a chunk's file has, in its two-digit folder.
const DIGITS: usize = 62;

/// How many of them come before the place of the chunk in the object.
pub(super) const PREFIX_DIGITS: usize = 30;

/// How many bytes of an object are one region. A chunk lies in one region, and the chunks of a
/// region in one folder: so a search looks at one folder, and large objects are spread over all.
pub(super) const REGION_BYTES: u64 = 8 << 20;

/// A region of an object, which the names of its chunks begin with.
#[derive(Clone)]
pub(super) struct Region {
    /// The first 32 digits of the names.
    digits: String,
    /// A hash that has taken in the location of the store and the name of the object.
    object: blake3::Hasher,
}

impl Region {
    /// Returns the region `number` of the object `name` in the store at `location`.
    pub(super) fn new(location: &str, name: &str, number: u64) -> Self {
        let mut object = blake3::Hasher::new();
        object.update(FORM);
        for chunk in [location.as_bytes(), name.as_bytes()] {
            object.update(&(chunk.len() as u64).to_le_bytes());
            object.update(chunk);
        }
        let mut region = object.clone();
        region.update(&number.to_le_bytes());
        let digits = region.finalize().to_hex().as_str()[..32].to_owned();
        Self { digits, object }
    }

    pub(super) fn folder(&self) -> &str {
        self.digits.split_at(2).0
    }

    pub(super) fn prefix(&self) -> &str {
        self.digits.split_at(2).1
    }

    pub(super) fn name_of(&self, chunk: Chunk) -> String {
        format!(
            "{}{:016x}{:016x}",
            self.prefix(),
            chunk.offset,
            chunk.length
        )
    }

    pub(super) fn sum_of(&self, chunk: Chunk, bytes: &[u8]) -> [u8; SUM] {
        let mut sum = self.object.clone();
        sum.update(&chunk.offset.to_le_bytes());
        sum.update(&(chunk.length as u64).to_le_bytes());
        sum.update(bytes);
        *sum.finalize().as_bytes()
    }
}

/// The place of some bytes in an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Chunk {
    pub(super) offset: u64,
    pub(super) length: usize,
}

impl Chunk {
    /// Returns the offset behind its last byte.
    pub(super) fn end(self) -> u64 {
        self.offset.saturating_add(self.length as u64)
    }
}

/// The end of the name of an unfinished chunk.
pub(super) const UNFINISHED: &str = ".part";

pub(super) fn is_digits(name: &str, count: usize) -> bool {
    let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    name.len() == count && name.bytes().all(is_digit)
}

pub(super) fn is_chunk(name: &str) -> bool {
    is_digits(name, DIGITS)
}

pub(super) fn is_unfinished(name: &str) -> bool {
    name.strip_suffix(UNFINISHED).is_some_and(is_chunk)
}

/// Reads a chunk off the last 32 digits of a name.
pub(super) fn chunk_of(digits: &str) -> Option<Chunk> {
    let (offset, length) = digits.split_at_checked(16)?;
    let length = u64::from_str_radix(length, 16).ok()?;
    Some(Chunk {
        offset: u64::from_str_radix(offset, 16).ok()?,
        length: usize::try_from(length)
            .ok()
            .filter(|length| (1..=REGION_BYTES).contains(&(*length as u64)))?,
    })
}
