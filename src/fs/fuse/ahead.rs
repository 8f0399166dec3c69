//! Sends the content of small files to the kernel before it asks for it.
//!
//! Who copies or searches a tree reads the files of a directory one after the other, and a small
//! file is one request: the reader sleeps until it is answered, the server until it comes, and the
//! two wake-ups cost more than the content. So once files are read in order, the content of those
//! that follow is put into the kernel's cache (`FUSE_NOTIFY_STORE`, see `fs/fuse/notify.c` in
//! Linux), and reading them takes no request at all.
//!
//! One thread does this, apart from those that answer: to store into a page that the kernel is
//! waiting for means to wait for that answer. It sends what was authenticated and decoded and
//! nothing else; what it cannot read it leaves out, and the reader meets the error.

use super::counts::RequestCounts;
use super::translate;
use crate::fs::ReadError;
use crate::fs::points::{Forest, Found};
use crate::model::Kind;
use crossbeam_channel::{Receiver, Sender, bounded};
use fuser::{INodeNo, Notifier};
use std::collections::VecDeque;
use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;

/// Larger files are left to read-ahead: a request of theirs is worth its message.
const MOST_FILE_BYTES: u64 = 1 << 20;
/// So much is sent for one read.
const MOST_BYTES: u64 = 8 << 20;
/// So many files are sent at first when files turn out to be read in order, and at most; twice as
/// many each time.
const FIRST_FILES: usize = 4;
const MOST_FILES: usize = 256;
/// So many directories are remembered as being read: as deep as a walk usually stands in a tree.
const MOST_RUNS: usize = 16;
/// So many entries of a directory are looked at for its first file.
const MOST_BEFORE_FIRST: usize = 256;
/// So many reads may wait to be looked at. A read that finds no room is not missed much.
const MOST_WAITING: usize = 64;

/// Hears of reads, on the threads that answer them.
pub(super) struct Listener {
    tell: Sender<u64>,
}

/// Hears what the [`Listener`] was told, until it is gone.
pub(in crate::fs) struct Hearer {
    told: Receiver<u64>,
}

/// A listener and who hears it.
pub(super) fn pair() -> (Listener, Hearer) {
    let (tell, told) = bounded(MOST_WAITING);
    (Listener { tell }, Hearer { told })
}

impl Listener {
    /// Takes note of a read that was answered. Never waits.
    pub(super) fn note(&self, inode: u64, offset: u64, file_bytes: u64) {
        if offset == 0 && file_bytes <= MOST_FILE_BYTES {
            // No room is no harm; nobody who hears is none either.
            self.tell.try_send(inode).ok();
        }
    }
}

impl Hearer {
    /// Starts the thread, which ends with the listener or with the mount.
    pub(in crate::fs) fn start(
        self,
        forest: Forest,
        notifier: Notifier,
        counts: Arc<RequestCounts>,
    ) -> io::Result<()> {
        let mut sender = FileSender {
            forest,
            notifier,
            counts,
            sweeps: Sweeps::default(),
        };
        thread::Builder::new()
            .name("freezer-send".to_owned())
            .spawn(move || {
                for inode in &self.told {
                    match sender.follow(inode) {
                        Ok(()) => {}
                        Err(Trouble::Mount(error)) => {
                            tracing::debug!(%error, "the kernel takes no more content ahead");
                            return;
                        }
                        // Whoever reads the file meets it, and it is told then.
                        Err(Trouble::Read(error)) => tracing::debug!(
                            error = error.chain(),
                            "content could not be sent ahead"
                        ),
                    }
                }
            })?;
        Ok(())
    }
}

enum Trouble {
    Read(ReadError),
    Mount(io::Error),
}

impl From<ReadError> for Trouble {
    fn from(error: ReadError) -> Self {
        Self::Read(error)
    }
}

struct FileSender {
    forest: Forest,
    notifier: Notifier,
    counts: Arc<RequestCounts>,
    sweeps: Sweeps,
}

/// A file to be sent.
struct Following {
    inode: u64,
    size: u64,
}

impl FileSender {
    /// Sends what probably is read after this file.
    fn follow(&mut self, inode: u64) -> Result<(), Trouble> {
        if self.sweeps.has_sent(inode) {
            return Ok(());
        }
        let (directory, cursor) = self.forest.standing(inode)?;
        let goes_on = self.sweeps.goes_on_with(inode);
        let most = match goes_on {
            true => self.sweeps.faster(),
            false if self.is_first(directory, inode)? => self.sweeps.window,
            false => self.sweeps.slower(),
        };
        let (files, next) = self.following(directory, cursor, most)?;
        self.sweeps
            .sent(files.iter().map(|file| file.inode).collect(), next);
        files.iter().try_for_each(|file| self.send(file))
    }

    /// Whether no other file stands before this one in its directory.
    fn is_first(&self, directory: u64, inode: u64) -> Result<bool, ReadError> {
        let (mut is_first, mut seen) = (false, 0);
        self.forest.list(directory, 0, |found| {
            seen += 1;
            is_first = found.inode == inode;
            if is_small_file(&found) || seen >= MOST_BEFORE_FIRST {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        })?;
        Ok(is_first)
    }

    /// The small files after a cursor, `most` at most, and the one after those.
    fn following(
        &self,
        directory: u64,
        cursor: u64,
        most: usize,
    ) -> Result<(Vec<Following>, Option<u64>), ReadError> {
        let (mut files, mut next, mut bytes) = (Vec::new(), None, 0);
        self.forest.list(directory, cursor, |found| {
            if !is_small_file(&found) {
                return ControlFlow::Continue(());
            }
            let size = found.attributes.size;
            if files.len() >= most || bytes + size > MOST_BYTES {
                next = Some(found.inode);
                return ControlFlow::Break(());
            }
            bytes += size;
            files.push(Following {
                inode: found.inode,
                size,
            });
            ControlFlow::Continue(())
        })?;
        Ok((files, next))
    }

    fn send(&self, file: &Following) -> Result<(), Trouble> {
        let pieces = self.forest.file(file.inode)?.pieces(0, file.size)?;
        let stored = match &*pieces {
            [piece] if piece.data().is_some() => {
                self.notifier
                    .store(INodeNo(file.inode), 0, piece.data().unwrap_or_default())
            }
            // In one call: a page that is filled in two is not taken for whole.
            pieces => self
                .notifier
                .store(INodeNo(file.inode), 0, &translate::joined(pieces)),
        };
        stored.map_err(Trouble::Mount)?;
        self.counts.sent_ahead.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

/// Whether it can be sent: a regular file of some bytes, by its first name.
fn is_small_file(found: &Found<'_>) -> bool {
    let attributes = &found.attributes;
    attributes.kind == Kind::File
        && attributes.link_to.is_none()
        && (1..=MOST_FILE_BYTES).contains(&attributes.size)
}

/// Which directories are being read in order, and how far their files were sent.
///
/// The file after the last one sent is left to be asked for: that tells whether the reader came so
/// far.
#[derive(Default)]
struct Sweeps {
    /// How many files to send. Grows with each reader that comes as far as was sent, shrinks with
    /// each that jumps.
    window: usize,
    /// The last used in front.
    runs: VecDeque<Run>,
}

struct Run {
    sent: Vec<u64>,
    next: Option<u64>,
}

impl Sweeps {
    /// A file that was sent is asked for all the same when the reader was faster, or when it was
    /// evicted.
    fn has_sent(&self, inode: u64) -> bool {
        self.runs.iter().any(|run| run.sent.contains(&inode))
    }

    /// Whether this is what a reader in order was expected to ask for next. Says so once.
    fn goes_on_with(&mut self, inode: u64) -> bool {
        let run = self.runs.iter().position(|run| run.next == Some(inode));
        run.and_then(|run| self.runs.remove(run)).is_some()
    }

    fn faster(&mut self) -> usize {
        self.window = self.window.saturating_mul(2).clamp(FIRST_FILES, MOST_FILES);
        self.window
    }

    fn slower(&mut self) -> usize {
        self.window /= 4;
        self.window
    }

    fn sent(&mut self, sent: Vec<u64>, next: Option<u64>) {
        if next.is_some() || !sent.is_empty() {
            self.runs.push_front(Run { sent, next });
            self.runs.truncate(MOST_RUNS);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{FIRST_FILES, MOST_FILES, MOST_RUNS, Sweeps};

    #[test]
    fn who_reads_on_gets_twice_as_many_each_time_up_to_a_bound() {
        let mut sweeps = Sweeps::default();
        let mut windows = Vec::new();
        for turn in 0..10 {
            sweeps.sent(vec![], Some(turn));
            assert!(sweeps.goes_on_with(turn));
            windows.push(sweeps.faster());
        }
        assert_eq!(
            windows[..3],
            [FIRST_FILES, 2 * FIRST_FILES, 4 * FIRST_FILES]
        );
        assert_eq!(windows.last(), Some(&MOST_FILES));
    }

    #[test]
    fn who_jumps_soon_gets_nothing() {
        let mut sweeps = Sweeps {
            window: MOST_FILES,
            ..Sweeps::default()
        };
        let windows: Vec<_> = (0..5).map(|_| sweeps.slower()).collect();
        assert_eq!(windows, [64, 16, 4, 1, 0]);
    }

    #[test]
    fn a_file_is_expected_once_and_a_sent_one_as_long_as_its_directory_is_remembered() {
        let mut sweeps = Sweeps::default();
        sweeps.sent(vec![2, 3], Some(4));
        assert!(!sweeps.goes_on_with(3));
        assert!(sweeps.has_sent(3) && !sweeps.has_sent(4));
        assert!(sweeps.goes_on_with(4));
        assert!(!sweeps.goes_on_with(4));
        sweeps.sent(vec![2, 3], None);
        for other in 0..MOST_RUNS as u64 {
            assert!(sweeps.has_sent(3));
            sweeps.sent(vec![100 + other], None);
        }
        assert!(!sweeps.has_sent(3));
    }
}
