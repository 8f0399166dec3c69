//! Delivers the content of small files before the reader asks for it.
//!
//! A program that copies or searches a tree reads the files of a directory one after the other. A
//! small file is one request: the reader sleeps until the answer comes, the server sleeps until the
//! next request comes, and these two wake-ups cost more than the content. So once files are read in
//! order, a front end takes the content of the files that follow and puts it where the reader
//! finds it without a request. The FUSE front end puts it into the kernel's page cache.
//!
//! This file is the policy: which files, how many, and when to stop. It knows nothing of kernels. A
//! front end notes each read that it has answered ([`ReadNotes`]); the thread behind it
//! ([`NotedReads::start`]) calls back with the pieces of each file to deliver. A caller that has a
//! thread of its own asks the [`Prefetcher`] directly.
//!
//! - A file qualifies up to 1 MiB. Larger files are left to `read_ahead`: beside so much content, a
//!   request costs little.
//! - Four files are delivered at first, twice as many each time the reader comes as far as was
//!   delivered, and at most 256 files or 8 MiB at once. A reader that jumps gets a quarter as many,
//!   and soon none.
//! - The file after the last one delivered is left to be asked for. That request shows that the
//!   reader came so far.
//!
//! Delivered bytes are authenticated like those of any other read. A file that cannot be read is
//! left out, and the reader meets the error.

use super::forest::{Forest, ForestEntry};
use super::{FilePiece, ReadError};
use crate::model::Kind;
use crossbeam_channel::{Receiver, Sender, bounded};
use std::collections::VecDeque;
use std::io;
use std::ops::ControlFlow;
use std::thread;

/// Length in bytes of the largest file that is delivered ahead.
const MAX_FILE_BYTES: u64 = 1 << 20;
/// Most bytes that are delivered because of one read.
const MAX_BYTES: u64 = 8 << 20;
/// How many files are delivered when a reader first turns out to read in order.
const FIRST_FILES: usize = 4;
/// Most files that are delivered because of one read.
const MAX_FILES: usize = 256;
/// How many directories are remembered as being read: about as deep as a walk stands in a tree.
const MAX_SWEEPS: usize = 16;
/// How many entries of a directory are looked at to find its first small file.
const MAX_BEFORE_FIRST: usize = 256;
/// How many noted reads may wait. One that finds no room is dropped, which costs a few requests.
const MAX_WAITING: usize = 64;

/// A read that a front end has answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AnsweredRead {
    /// The file's number in the [`Forest`].
    pub inode: u64,
    /// Where in the file the read began.
    pub offset: u64,
    /// Length of the whole file in bytes.
    pub file_bytes: u64,
}

/// Takes note of reads, on the threads that answer them. The policy's thread ends when it is
/// dropped.
#[derive(Debug)]
pub struct ReadNotes {
    sender: Sender<u64>,
}

/// Receives what a [`ReadNotes`] noted.
#[derive(Debug)]
pub struct NotedReads {
    receiver: Receiver<u64>,
}

/// Returns the two ends of a bounded queue of noted reads.
pub fn read_notes() -> (ReadNotes, NotedReads) {
    let (sender, receiver) = bounded(MAX_WAITING);
    (ReadNotes { sender }, NotedReads { receiver })
}

impl ReadNotes {
    /// Notes a read. Never waits: when the queue is full or nobody listens, the note is dropped.
    pub fn note(&self, read: AnsweredRead) {
        if read.offset == 0 && read.file_bytes <= MAX_FILE_BYTES {
            self.sender.try_send(read.inode).ok();
        }
    }
}

impl NotedReads {
    /// Starts the thread that follows the noted reads and calls `deliver` with the inode and the
    /// whole content of each file that the reader will probably want next.
    ///
    /// The thread ends when the [`ReadNotes`] is dropped, or when `deliver` fails. It must be a
    /// thread of its own: to deliver content of a page that the kernel waits for means to wait for
    /// the answer to that request.
    ///
    /// # Errors
    ///
    /// When the system gives no thread.
    pub fn start(
        self,
        forest: Forest,
        mut deliver: impl FnMut(u64, &[FilePiece]) -> io::Result<()> + Send + 'static,
    ) -> io::Result<()> {
        let mut prefetcher = Prefetcher::new(forest);
        let work = move || {
            for inode in &self.receiver {
                match prefetcher.deliver_after(inode, &mut deliver) {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => {
                        tracing::debug!(%error, "content is no longer delivered ahead");
                        return;
                    }
                    // A reader of that file meets the error, and it is logged then.
                    Err(error) => {
                        tracing::debug!(error = error.chain(), "content was not delivered ahead");
                    }
                }
            }
        };
        thread::Builder::new()
            .name("freezer-send".to_owned())
            .spawn(work)?;
        Ok(())
    }
}

/// A file whose content should be delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileAhead {
    /// Its number in the [`Forest`].
    pub inode: u64,
    /// Its length in bytes, 1 or more.
    pub bytes: u64,
}

/// Decides which files to deliver, for one mount with any number of readers.
pub struct Prefetcher {
    forest: Forest,
    sweeps: Sweeps,
}

impl Prefetcher {
    /// Returns a prefetcher that has seen no read yet.
    pub fn new(forest: Forest) -> Self {
        Self {
            forest,
            sweeps: Sweeps::default(),
        }
    }

    /// Returns the files to deliver after the small file `inode` was read from its beginning.
    /// Each counts as delivered from then on.
    ///
    /// # Errors
    ///
    /// [`ReadError`], as for any question to the forest.
    pub fn after_read(&mut self, inode: u64) -> Result<Vec<FileAhead>, ReadError> {
        if self.sweeps.has_delivered(inode) {
            return Ok(Vec::new());
        }
        let position = self.forest.position(inode)?;
        let limit = if self.sweeps.is_continued_by(inode) {
            self.sweeps.widen()
        } else if self.is_first_file(position.directory, inode)? {
            self.sweeps.window
        } else {
            self.sweeps.narrow()
        };
        let mut sweep = Sweep::default();
        let mut files = Vec::new();
        let mut bytes = 0;
        self.forest
            .list(position.directory, position.cursor, |entry| {
                if !is_small_file(&entry) {
                    return ControlFlow::Continue(());
                }
                let size = entry.attributes.size;
                if files.len() >= limit || bytes + size > MAX_BYTES {
                    sweep.next = Some(entry.inode);
                    return ControlFlow::Break(());
                }
                bytes += size;
                sweep.delivered.push(entry.inode);
                files.push(FileAhead {
                    inode: entry.inode,
                    bytes: size,
                });
                ControlFlow::Continue(())
            })?;
        self.sweeps.begin(sweep);
        Ok(files)
    }

    /// Delivers the files that [`after_read`](Self::after_read) chooses. The inner result is that
    /// of `deliver`.
    fn deliver_after(
        &mut self,
        inode: u64,
        deliver: &mut impl FnMut(u64, &[FilePiece]) -> io::Result<()>,
    ) -> Result<io::Result<()>, ReadError> {
        for file in self.after_read(inode)? {
            let pieces = self.forest.file(file.inode)?.pieces(0, file.bytes)?;
            if let Err(error) = deliver(file.inode, &pieces) {
                return Ok(Err(error));
            }
        }
        Ok(Ok(()))
    }

    /// Whether no other small file stands before this one in its directory: a walk that enters a
    /// directory reads that file first.
    fn is_first_file(&self, directory: u64, inode: u64) -> Result<bool, ReadError> {
        let (mut is_first, mut seen) = (false, 0);
        self.forest.list(directory, 0, |entry| {
            seen += 1;
            is_first = entry.inode == inode;
            if is_small_file(&entry) || seen >= MAX_BEFORE_FIRST {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        })?;
        Ok(is_first)
    }
}

/// Whether an entry can be delivered: a regular file with 1 to [`MAX_FILE_BYTES`] bytes, under its
/// first name.
fn is_small_file(entry: &ForestEntry<'_>) -> bool {
    let attributes = &entry.attributes;
    attributes.kind == Kind::File
        && attributes.link_to.is_none()
        && (1..=MAX_FILE_BYTES).contains(&attributes.size)
}

/// The directories that are being read in order.
#[derive(Default)]
struct Sweeps {
    /// How many files to deliver next, for all readers together.
    window: usize,
    /// Most recently used first.
    sweeps: VecDeque<Sweep>,
}

/// One directory that is being read in order.
#[derive(Default)]
struct Sweep {
    /// Inodes of the files that were delivered last.
    delivered: Vec<u64>,
    /// Inode of the file after those: the next request of a reader in order.
    next: Option<u64>,
}

impl Sweeps {
    /// Whether a file was delivered. It is asked for all the same when the reader was faster, or
    /// when the reader's cache has dropped it.
    fn has_delivered(&self, inode: u64) -> bool {
        self.sweeps
            .iter()
            .any(|sweep| sweep.delivered.contains(&inode))
    }

    /// Whether a sweep expected this file next. Forgets that sweep: its successor takes its place.
    fn is_continued_by(&mut self, inode: u64) -> bool {
        let sweep = self
            .sweeps
            .iter()
            .position(|sweep| sweep.next == Some(inode));
        sweep.and_then(|sweep| self.sweeps.remove(sweep)).is_some()
    }

    fn widen(&mut self) -> usize {
        self.window = self.window.saturating_mul(2).clamp(FIRST_FILES, MAX_FILES);
        self.window
    }

    fn narrow(&mut self) -> usize {
        self.window /= 4;
        self.window
    }

    fn begin(&mut self, sweep: Sweep) {
        if sweep.next.is_some() || !sweep.delivered.is_empty() {
            self.sweeps.push_front(sweep);
            self.sweeps.truncate(MAX_SWEEPS);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{FIRST_FILES, MAX_FILES, MAX_SWEEPS, Sweep, Sweeps};

    fn sweep(delivered: &[u64], next: Option<u64>) -> Sweep {
        Sweep {
            delivered: delivered.to_vec(),
            next,
        }
    }

    #[test]
    fn a_reader_in_order_gets_twice_as_many_each_time_up_to_a_bound() {
        let mut sweeps = Sweeps::default();
        let mut windows = Vec::new();
        for turn in 0..10 {
            sweeps.begin(sweep(&[], Some(turn)));
            assert!(sweeps.is_continued_by(turn));
            windows.push(sweeps.widen());
        }
        assert_eq!(
            windows[..3],
            [FIRST_FILES, 2 * FIRST_FILES, 4 * FIRST_FILES]
        );
        assert_eq!(windows.last(), Some(&MAX_FILES));
    }

    #[test]
    fn a_reader_that_jumps_soon_gets_nothing() {
        let mut sweeps = Sweeps {
            window: MAX_FILES,
            ..Sweeps::default()
        };
        let windows: Vec<_> = (0..5).map(|_| sweeps.narrow()).collect();
        assert_eq!(windows, [64, 16, 4, 1, 0]);
    }

    #[test]
    fn a_sweep_expects_its_next_file_once_and_knows_what_it_delivered() {
        let mut sweeps = Sweeps::default();
        sweeps.begin(sweep(&[2, 3], Some(4)));
        assert!(!sweeps.is_continued_by(3));
        assert!(sweeps.has_delivered(3) && !sweeps.has_delivered(4));
        assert!(sweeps.is_continued_by(4));
        assert!(!sweeps.is_continued_by(4));
        sweeps.begin(sweep(&[2, 3], None));
        for other in 0..MAX_SWEEPS as u64 {
            assert!(sweeps.has_delivered(3));
            sweeps.begin(sweep(&[100 + other], None));
        }
        assert!(!sweeps.has_delivered(3));
    }
}
