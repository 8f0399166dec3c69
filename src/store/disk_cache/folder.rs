//! The folder of a disk cache: which files are its own, how they are found, kept and removed.
//!
//! | name in the folder | what it is |
//! |---|---|
//! | `CACHEDIR.TAG` | tells backup programs to leave it out: <https://bford.info/cachedir/> |
//! | `freezer-disk-cache` | the marker: says that the folder is ours, and the form of its files |
//! | `lock` | held by the process that adds or removes files |
//! | `bytes` | how many bytes the parts take, in decimal |
//! | two hexadecimal digits, `/`, 62 digits | one part of an object |
//! | the same with `.part` behind | a part that a process did not finish |
//!
//! Of the 64 digits the first 32 name the object and a region of it, the next 16 the offset of the
//! part in the object, and the last 16 its length. The file holds a BLAKE3 sum of 32 bytes over
//! its name and content, then the bytes as they are stored.
//!
//! Invariant: nothing else is ever removed, written to or counted.

use crate::model::{Advice, Cancel};
use crate::platform::durable::{self, Access};
use crate::platform::{CacheDir, CachedFile, Clock, Distrust, SystemClock, pause};
use std::fs::{File, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

/// The folder's name in the folder that the user names.
const NAME: &str = "freezer-cache";

const MARKER: &str = "freezer-disk-cache";
const UNFINISHED_MARKER: &str = "freezer-disk-cache.part";
const LOCK: &str = "lock";
const BYTES: &str = "bytes";
const TAG: &str = "CACHEDIR.TAG";

/// What the marker holds. Another form of files needs another number here and in [`FORM`].
const MARK: &str = "freezer disk cache 2\n";

/// What every sum begins with.
const FORM: &[u8] = b"freezer disk cache 2\0";

/// The first line is the specification's, byte for byte.
const TAG_TEXT: &str = "Signature: 8a477f597d28d172789f06886806bc55\n\
    # This folder is the disk cache of freezer. It holds only copies: it may be removed.\n";

/// A folder without a marker that holds nothing but these is one that freezer did not finish.
const BEGUN: [&str; 3] = [LOCK, TAG, UNFINISHED_MARKER];

/// Bytes of a sum.
const SUM: usize = 32;

/// Hexadecimal digits of a part's name in its two-digit folder.
const DIGITS: usize = 62;

/// Files take whole blocks of a file system.
const BLOCK: u64 = 4096;

/// When there is no room, a tenth of the limit is made at once: finding the oldest parts means
/// looking at all of them.
const MADE_AT_ONCE: u64 = 10;

/// Parts are told apart by region of an object, and lie in one region: so a search looks at one
/// folder, and large objects are spread over all.
pub(super) const REGION_BYTES: u64 = 8 << 20;

/// How long opening waits for a process that holds the lock: as long as looking at all parts of a
/// large cache takes.
const OPENS_WITHIN: Duration = Duration::from_secs(30);

/// How long a reader waits for it before it goes on without keeping what it has read.
const KEEPS_WITHIN: Duration = Duration::from_secs(2);

/// How often it looks whether the lock is free.
const LOOKS_EVERY: Duration = Duration::from_millis(2);

/// Why a folder cannot be used as a disk cache.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The folder that the user named is missing and cannot be made.
    #[error("could not make {folder}")]
    Make {
        /// The folder that the user named.
        folder: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The system refuses to read or write there.
    #[error("could not read and write in {folder}")]
    Use {
        /// The cache's own folder.
        folder: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Somebody else could have put files there.
    #[error("{folder} is not safe to use")]
    Unsafe {
        /// The cache's own folder.
        folder: PathBuf,
        /// What is wrong with it.
        source: Distrust,
    },
    /// It has no marker and is not empty.
    #[error("{0} has other files in it, and no mark that freezer made it")]
    NotOurs(PathBuf),
    /// The marker is of another version.
    #[error("{0} is the disk cache of another version of freezer")]
    OtherForm(PathBuf),
    /// Another process does not let go of the lock.
    #[error("another process has held the lock of {0} for half a minute")]
    Busy(PathBuf),
}

impl Advice for OpenError {
    fn hint(&self) -> Option<&str> {
        match self {
            Self::Make { .. } | Self::Use { .. } => {
                Some("name a folder on a local disk that you may write to: --disk-cache DIR")
            }
            Self::Unsafe { .. } => Some(
                "another user could have put files there: name a folder that only you may write \
                 to with --disk-cache DIR, or remove that one (a cache holds only copies)",
            ),
            Self::NotOurs(_) => Some(
                "the cache needs a subfolder of that name for itself: move the other files away, \
                 or name another folder with --disk-cache DIR",
            ),
            Self::OtherForm(_) => Some(
                "remove that folder (a cache holds only copies), or name another with \
                 --disk-cache DIR",
            ),
            Self::Busy(_) => {
                Some("end that process if it hangs, or name another folder with --disk-cache DIR")
            }
        }
    }
}

/// A region of an object: what the names of its parts begin with.
#[derive(Clone)]
pub(super) struct Region {
    /// The 32 digits.
    digits: String,
    /// Has taken in what names the object.
    object: blake3::Hasher,
}

impl Region {
    /// The region `number` of the object `name` in the store at `location`.
    pub(super) fn new(location: &str, name: &str, number: u64) -> Self {
        let mut object = blake3::Hasher::new();
        object.update(FORM);
        for part in [location.as_bytes(), name.as_bytes()] {
            object.update(&(part.len() as u64).to_le_bytes());
            object.update(part);
        }
        let mut region = object.clone();
        region.update(&number.to_le_bytes());
        let digits = region.finalize().to_hex().as_str()[..32].to_owned();
        Self { digits, object }
    }

    fn folder(&self) -> &str {
        self.digits.split_at(2).0
    }

    fn prefix(&self) -> &str {
        self.digits.split_at(2).1
    }

    fn name_of(&self, part: Part) -> String {
        format!("{}{:016x}{:016x}", self.prefix(), part.offset, part.length)
    }

    fn sum_of(&self, part: Part, bytes: &[u8]) -> [u8; SUM] {
        let mut sum = self.object.clone();
        sum.update(&part.offset.to_le_bytes());
        sum.update(&(part.length as u64).to_le_bytes());
        sum.update(bytes);
        *sum.finalize().as_bytes()
    }
}

/// Where some bytes stand in an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Part {
    pub(super) offset: u64,
    pub(super) length: usize,
}

impl Part {
    /// The offset behind its last byte.
    pub(super) fn end(self) -> u64 {
        self.offset.saturating_add(self.length as u64)
    }
}

/// The open folder of a cache. May be used by many threads and processes at once.
pub(super) struct Folder {
    dir: CacheDir,
    path: PathBuf,
    limit_bytes: u64,
    /// Lets one thread of this process at a time ask for the lock.
    adding: Mutex<()>,
    /// Whether the lock could not be had lately: then nobody waits for it.
    is_stuck: AtomicBool,
}

/// A part in the folder.
struct Kept {
    folder: usize,
    name: String,
    bytes: u64,
    used: SystemTime,
}

impl Folder {
    /// Opens the cache in the folder `parent`, or makes it there, for its owner alone; removes
    /// what is more than `limit_bytes`.
    pub(super) fn open(parent: &Path, limit_bytes: u64) -> Result<Self, OpenError> {
        match durable::create_folder(parent, Access::private()) {
            Err(source) if source.kind() != io::ErrorKind::AlreadyExists => {
                return Err(OpenError::Make {
                    folder: parent.to_owned(),
                    source,
                });
            }
            _ => {}
        }
        let path = parent.join(NAME);
        let dir = CacheDir::open(parent, NAME).map_err(|source| match source {
            Distrust::System(source) => OpenError::Use {
                folder: path.clone(),
                source,
            },
            source => OpenError::Unsafe {
                folder: path.clone(),
                source,
            },
        })?;
        let folder = Self {
            dir,
            path,
            limit_bytes,
            adding: Mutex::default(),
            is_stuck: AtomicBool::new(false),
        };
        // Looked at first: a folder of somebody else's files does not even get a lock.
        folder.is_marked()?;
        let lock = folder
            .lock(OPENS_WITHIN)
            .map_err(|source| folder.unusable(source))?
            .ok_or_else(|| OpenError::Busy(folder.path.clone()))?;
        if !folder.is_marked()? {
            folder.mark().map_err(|source| folder.unusable(source))?;
        }
        // Another limit may have held before, and a process may have died while it added.
        let counted = folder.count_anew(limit_bytes);
        counted.map_err(|source| folder.unusable(source))?;
        drop(lock);
        Ok(folder)
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    fn unusable(&self, source: io::Error) -> OpenError {
        OpenError::Use {
            folder: self.path.clone(),
            source,
        }
    }

    /// Whether the marker was there at the first look. Refuses a folder that has other files and
    /// no marker.
    fn is_marked(&self) -> Result<bool, OpenError> {
        match self.read_small(MARKER) {
            Ok(text) if text == MARK => Ok(true),
            Ok(_) => Err(OpenError::OtherForm(self.path.clone())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let names = self.dir.names().map_err(|source| self.unusable(source))?;
                // Another process may have marked it between the two looks, and begun to add.
                let is_marked = names.iter().any(|name| name == MARKER);
                let is_begun = |name: &String| BEGUN.contains(&name.as_str());
                if is_marked || names.iter().all(is_begun) {
                    Ok(false)
                } else {
                    Err(OpenError::NotOurs(self.path.clone()))
                }
            }
            Err(error) => Err(self.unusable(error)),
        }
    }

    /// Says that the folder is ours. The marker comes last and whole.
    fn mark(&self) -> io::Result<()> {
        match self.dir.create_file(TAG) {
            Ok(mut tag) => tag.write_all(TAG_TEXT.as_bytes())?,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
        self.dir.remove(UNFINISHED_MARKER)?;
        let mut marker = self.dir.create_file(UNFINISHED_MARKER)?;
        marker.write_all(MARK.as_bytes())?;
        drop(marker);
        self.dir.rename(UNFINISHED_MARKER, MARKER)
    }

    /// Returns the bytes of a part, if they are kept and are what they were.
    pub(super) fn find(&self, region: &Region, part: Part) -> Option<Vec<u8>> {
        let folder = self.dir.child(region.folder()).ok()?;
        let name = region.name_of(part);
        let mut file = folder.open_file(&name).ok()?;
        let mut sum = [0; SUM];
        let mut bytes = Vec::with_capacity(part.length);
        let is_read = file.read_exact(&mut sum).is_ok()
            && Read::take(&mut file, part.length as u64 + 1)
                .read_to_end(&mut bytes)
                .is_ok();
        if !is_read || bytes.len() != part.length || region.sum_of(part, &bytes) != sum {
            // The next reader need not look at it again.
            folder.remove(&name).ok();
            return None;
        }
        // The order in which parts are removed. In vain on a file system that is read-only.
        file.set_modified(SystemTime::from(SystemClock.now())).ok();
        Some(bytes)
    }

    /// Lists the parts of a region, by offset. In need none.
    pub(super) fn held(&self, region: &Region) -> Vec<Part> {
        let folder = self.dir.child(region.folder()).map_err(io::Error::from);
        let names = folder.and_then(|folder| folder.names()).unwrap_or_default();
        let mut held: Vec<Part> = names
            .iter()
            .filter(|name| is_part(name))
            .filter_map(|name| part_of(name.strip_prefix(region.prefix())?))
            .collect();
        held.sort_unstable();
        held
    }

    /// Keeps the bytes of a part, and makes room for them first.
    pub(super) fn keep(&self, region: &Region, part: Part, bytes: &[u8]) -> io::Result<()> {
        let size = on_disk((SUM + bytes.len()) as u64);
        if size > self.limit_bytes {
            return Ok(());
        }
        let _adding = self.adding.lock().unwrap_or_else(PoisonError::into_inner);
        let is_stuck = self.is_stuck.load(Ordering::Relaxed);
        let patience = if is_stuck {
            Duration::ZERO
        } else {
            KEEPS_WITHIN
        };
        let lock = self.lock(patience)?;
        self.is_stuck.store(lock.is_none(), Ordering::Relaxed);
        let Some(_lock) = lock else {
            let message = "another process does not let go of its lock";
            return Err(io::Error::new(io::ErrorKind::WouldBlock, message));
        };
        let folder = self.dir.child_or_new(region.folder())?;
        let name = region.name_of(part);
        let same = |file: CachedFile| file.length == (SUM + bytes.len()) as u64;
        if folder.look(&name)?.is_some_and(same) {
            return Ok(()); // another thread or process fetched it at the same time
        }
        let mut held = self
            .counted()
            .map_or_else(|| self.count_anew(self.limit_bytes), Ok)?;
        if held.saturating_add(size) > self.limit_bytes {
            let room = size + self.limit_bytes / MADE_AT_ONCE;
            held = self.count_anew(self.limit_bytes.saturating_sub(room))?;
            if held.saturating_add(size) > self.limit_bytes {
                return Ok(());
            }
        }
        // Counted before it is there: a process that dies in between leaves a count that is too
        // high, and the next one that needs room counts anew.
        self.count(held + size)?;
        let unfinished = format!("{name}{UNFINISHED}");
        // Left by a process that died: the lock says that no other is at it.
        folder.remove(&unfinished)?;
        let written = folder.create_file(&unfinished).and_then(|mut file| {
            file.write_all(&region.sum_of(part, bytes))?;
            file.write_all(bytes)?;
            drop(file);
            folder.rename(&unfinished, &name)
        });
        if written.is_err() {
            folder.remove(&unfinished).ok();
        }
        written
    }

    /// Keeps other processes and threads from adding; `None` when one of them does so for longer
    /// than `patience`. A lock ends with the process that holds it.
    fn lock(&self, patience: Duration) -> io::Result<Option<File>> {
        let lock = self.dir.lock_file(LOCK)?;
        let mut waited = Duration::ZERO;
        loop {
            match lock.try_lock() {
                Ok(()) => return Ok(Some(lock)),
                Err(TryLockError::WouldBlock) if waited < patience => {
                    pause(LOOKS_EVERY, &Cancel::new());
                    waited += LOOKS_EVERY;
                }
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(error)) => return Err(error),
            }
        }
    }

    fn counted(&self) -> Option<u64> {
        self.read_small(BYTES).ok()?.trim().parse().ok()
    }

    /// Writes a new file: one that stands under another name too is not changed.
    fn count(&self, bytes: u64) -> io::Result<()> {
        self.dir.remove(BYTES)?;
        let mut file = self.dir.create_file(BYTES)?;
        file.write_all(bytes.to_string().as_bytes())
    }

    fn read_small(&self, name: &str) -> io::Result<String> {
        let mut text = String::new();
        let file = self.dir.open_file(name)?;
        file.take(256).read_to_string(&mut text)?;
        Ok(text)
    }

    /// Looks at all parts, removes those that were not used for longest until no more than `most`
    /// bytes are left, and what processes left that died.
    fn count_anew(&self, most: u64) -> io::Result<u64> {
        let (mut folders, mut kept) = (Vec::new(), Vec::new());
        for name in self.dir.names()? {
            if !is_digits(&name, 2) {
                continue;
            }
            // A link or a file, or somebody else's: it is none of ours.
            let Ok(folder) = self.dir.child(&name) else {
                continue;
            };
            for name in folder.names()? {
                let Some(file) = folder.look(&name)? else {
                    continue;
                };
                if is_unfinished(&name) {
                    folder.remove(&name)?;
                } else if is_part(&name) {
                    kept.push(Kept {
                        folder: folders.len(),
                        name,
                        bytes: on_disk(file.length),
                        used: file.modified,
                    });
                }
            }
            folders.push(folder);
        }
        kept.sort_unstable_by_key(|kept| std::cmp::Reverse(kept.used));
        let mut held: u64 = kept.iter().map(|kept| kept.bytes).sum();
        while held > most {
            let Some(oldest) = kept.pop() else { break };
            if let Some(folder) = folders.get(oldest.folder) {
                folder.remove(&oldest.name)?;
            }
            held -= oldest.bytes;
        }
        self.count(held)?;
        Ok(held)
    }
}

/// What the name of an unfinished part ends with.
const UNFINISHED: &str = ".part";

fn is_digits(name: &str, count: usize) -> bool {
    let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    name.len() == count && name.bytes().all(is_digit)
}

fn is_part(name: &str) -> bool {
    is_digits(name, DIGITS)
}

fn is_unfinished(name: &str) -> bool {
    name.strip_suffix(UNFINISHED).is_some_and(is_part)
}

/// The part that the last 32 digits of a name tell.
fn part_of(digits: &str) -> Option<Part> {
    let (offset, length) = digits.split_at_checked(16)?;
    let length = u64::from_str_radix(length, 16).ok()?;
    Some(Part {
        offset: u64::from_str_radix(offset, 16).ok()?,
        length: usize::try_from(length)
            .ok()
            .filter(|length| (1..=REGION_BYTES).contains(&(*length as u64)))?,
    })
}

/// How much of a disk a file of that length takes.
pub(super) fn on_disk(bytes: u64) -> u64 {
    bytes.next_multiple_of(BLOCK)
}

#[cfg(all(test, unix))]
mod tests {
    use super::{Folder, OpenError, Part, Region};
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::path::{Path, PathBuf};

    const LIMIT: u64 = 1 << 20;

    fn region() -> Region {
        Region::new("memory:", "data/1", 0)
    }

    fn part(offset: u64) -> Part {
        Part {
            offset,
            length: 500,
        }
    }

    fn keep(folder: &Folder, offset: u64) {
        folder
            .keep(&region(), part(offset), &[1; 500])
            .expect("kept");
    }

    fn finds(folder: &Folder, offset: u64) -> bool {
        folder.find(&region(), part(offset)).is_some()
    }

    /// The two-digit folder of the region.
    fn two_digits(room: &Path) -> PathBuf {
        room.join("freezer-cache").join(region().folder())
    }

    #[test]
    fn what_is_beside_the_cache_and_what_is_not_its_own_inside_stays() {
        let room = tempfile::tempdir().expect("a directory");
        let inside = room.path().join("freezer-cache");
        keep(&Folder::open(room.path(), LIMIT).expect("made"), 0);
        let digits = "0".repeat(62);
        let foreign = [
            room.path().join("go/main.go"),
            room.path().join(format!("db/{digits}")),
            room.path().join(format!("db/{digits}.part")),
            inside.join("notes.txt"),
            inside.join("go/main.go"),
            inside.join(format!("go/{digits}")),
            inside.join(format!("abc/{digits}")),
            two_digits(room.path()).join("x.part"),
            two_digits(room.path()).join("x"),
            two_digits(room.path()).join(digits.replace('0', "G")),
            two_digits(room.path()).join(format!("{digits}.part.part")),
            two_digits(room.path()).join(format!("{digits}.txt")),
        ];
        for path in &foreign {
            fs::create_dir_all(path.parent().expect("it has one")).expect("made");
            fs::write(path, vec![0; 100_000]).expect("written");
        }
        let left = two_digits(room.path()).join(format!("{digits}.part"));
        fs::write(&left, "x").expect("written");

        let folder = Folder::open(room.path(), LIMIT).expect("ours");
        assert_eq!(folder.counted(), Some(4096), "only the part is counted");
        assert!(!left.exists(), "our own unfinished part is removed");
        let folder = Folder::open(room.path(), 0).expect("ours");
        assert_eq!(folder.counted(), Some(0));
        assert!(!finds(&folder, 0));
        for path in &foreign {
            assert_eq!(fs::read(path).expect("there").len(), 100_000, "{path:?}");
        }
    }

    #[test]
    fn a_folder_that_is_neither_empty_nor_ours_is_refused_and_not_touched() {
        let room = tempfile::tempdir().expect("a directory");
        let inside = room.path().join("freezer-cache");
        fs::create_dir(&inside).expect("made");
        fs::write(inside.join("x"), "x").expect("written");
        let refused = Folder::open(room.path(), LIMIT).err().expect("refused");
        assert!(matches!(refused, OpenError::NotOurs(_)), "{refused}");
        assert_eq!(fs::read_dir(&inside).expect("there").count(), 1);

        fs::remove_file(inside.join("x")).expect("removed");
        drop(Folder::open(room.path(), LIMIT).expect("an empty one is taken"));
        let tag = fs::read_to_string(inside.join("CACHEDIR.TAG")).expect("there");
        assert!(tag.starts_with("Signature: 8a477f597d28d172789f06886806bc55\n"));
        fs::write(inside.join("freezer-disk-cache"), "freezer disk cache 3\n").expect("written");
        let refused = Folder::open(room.path(), LIMIT).err().expect("refused");
        assert!(matches!(refused, OpenError::OtherForm(_)), "{refused}");
    }

    #[test]
    fn a_folder_whose_making_was_cut_off_is_finished() {
        let room = tempfile::tempdir().expect("a directory");
        let inside = room.path().join("freezer-cache");
        fs::create_dir(&inside).expect("made");
        for name in ["lock", "CACHEDIR.TAG", "freezer-disk-cache.part"] {
            fs::write(inside.join(name), "").expect("written");
            drop(Folder::open(room.path(), LIMIT).expect("finished"));
            assert!(inside.join("freezer-disk-cache").exists(), "{name}");
            fs::remove_file(inside.join("freezer-disk-cache")).expect("removed");
            fs::remove_file(inside.join("bytes")).expect("removed");
        }
    }

    #[test]
    fn a_folder_that_others_could_have_filled_is_refused() {
        let room = tempfile::tempdir().expect("a directory");
        drop(Folder::open(room.path(), LIMIT).expect("made"));
        let inside = room.path().join("freezer-cache");
        fs::set_permissions(&inside, Permissions::from_mode(0o770)).expect("changed");
        let refused = Folder::open(room.path(), LIMIT).err().expect("refused");
        assert!(matches!(refused, OpenError::Unsafe { .. }), "{refused}");
        fs::set_permissions(&inside, Permissions::from_mode(0o700)).expect("changed");

        let marker = inside.join("freezer-disk-cache");
        fs::set_permissions(&marker, Permissions::from_mode(0o666)).expect("changed");
        let refused = Folder::open(room.path(), LIMIT).err().expect("refused");
        assert!(matches!(refused, OpenError::Use { .. }), "{refused}");

        let elsewhere = room.path().join("elsewhere");
        fs::rename(&inside, &elsewhere).expect("moved");
        symlink(&elsewhere, &inside).expect("linked");
        let refused = Folder::open(room.path(), LIMIT).err().expect("refused");
        assert!(matches!(refused, OpenError::Unsafe { .. }), "{refused}");
    }

    #[test]
    fn no_link_inside_is_followed() {
        let room = tempfile::tempdir().expect("a directory");
        let inside = room.path().join("freezer-cache");
        let theirs = room.path().join("theirs");
        let folder = Folder::open(room.path(), LIMIT).expect("made");
        keep(&folder, 0);

        // The count, a part and an unfinished part are replaced, and what they led to stays.
        fs::write(&theirs, "precious").expect("written");
        let name = region().name_of(part(1000));
        let places = [
            inside.join("bytes"),
            two_digits(room.path()).join(&name),
            two_digits(room.path()).join(format!("{name}.part")),
        ];
        for link in &places {
            fs::remove_file(link).ok();
            symlink(&theirs, link).expect("linked");
        }
        assert!(!finds(&folder, 1000));
        keep(&folder, 1000);
        assert!(finds(&folder, 1000) && finds(&folder, 0));
        assert_eq!(folder.counted(), Some(8192));

        // A lock that is a link is none.
        fs::remove_file(inside.join("lock")).expect("removed");
        symlink(&theirs, inside.join("lock")).expect("linked");
        assert!(folder.keep(&region(), part(2000), &[1; 500]).is_err());
        assert!(Folder::open(room.path(), LIMIT).is_err());
        fs::remove_file(inside.join("lock")).expect("removed");

        // A two-digit folder that is a link is none, and nothing behind it is removed.
        let elsewhere = room.path().join("elsewhere");
        fs::rename(two_digits(room.path()), &elsewhere).expect("moved");
        symlink(&elsewhere, two_digits(room.path())).expect("linked");
        assert!(!finds(&folder, 0) && folder.held(&region()).is_empty());
        assert!(folder.keep(&region(), part(2000), &[1; 500]).is_err());
        let folder = Folder::open(room.path(), 0).expect("ours");
        assert_eq!(folder.counted(), Some(0));
        assert_eq!(fs::read_dir(&elsewhere).expect("there").count(), 2);
        assert_eq!(fs::read(&theirs).expect("there"), b"precious");
    }

    #[test]
    fn a_process_that_does_not_let_go_of_the_lock_holds_nobody_up_for_long() {
        let room = tempfile::tempdir().expect("a directory");
        let folder = Folder::open(room.path(), LIMIT).expect("made");
        let lock = fs::File::open(room.path().join("freezer-cache/lock")).expect("there");
        lock.lock().expect("free");
        for offset in 0..1000 {
            let kept = folder.keep(&region(), part(offset), &[1; 500]);
            assert!(kept.is_err(), "only the first waits at all");
        }
        drop(lock);
        keep(&folder, 0);
        assert!(finds(&folder, 0));
    }
}
