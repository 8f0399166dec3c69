//! The calls to file systems that are under way: a file system that hangs is found by them.
//!
//! Each thread notes a call in a slot of its own when it begins and when it ends. That is two plain
//! stores and no look at a clock. Whoever waits for the thread looks at its slot from time to time:
//! a call that is the same at two looks has lasted at least as long as the time between them.

use std::cell::OnceCell;
use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// The lowest bits of a slot hold the kind of the call, the others count the calls.
const KIND_BITS: u64 = 4;

/// A call to a file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum CallKind {
    /// Opens a file or directory.
    Open = 1,
    /// Lists a directory.
    List,
    /// Reads metadata.
    Stat,
    /// Reads content.
    Read,
    /// Reads the target of a symbolic link.
    ReadLink,
    /// Reads extended attributes.
    Xattrs,
    /// Looks for data between holes.
    Seek,
    /// Closes a file.
    Close,
    /// Writes content, or changes a tree in another way.
    Write,
}

impl CallKind {
    const ALL: [Self; 9] = [
        Self::Open,
        Self::List,
        Self::Stat,
        Self::Read,
        Self::ReadLink,
        Self::Xattrs,
        Self::Seek,
        Self::Close,
        Self::Write,
    ];

    fn of_bits(bits: u64) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|kind| u64::from(*kind as u8) == bits)
    }
}

impl fmt::Display for CallKind {
    /// Writes the name of the system call, as people know it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Open => "open",
            Self::List => "readdir",
            Self::Stat => "lstat",
            Self::Read => "read",
            Self::ReadLink => "readlink",
            Self::Xattrs => "getxattr",
            Self::Seek => "lseek",
            Self::Close => "close",
            Self::Write => "write",
        })
    }
}

/// The call that one thread has under way.
#[derive(Debug, Default)]
pub struct CallSlot {
    /// The kind of the call, or 0, and the number of calls so far.
    word: AtomicU64,
    /// The open file or directory that the call is about, or negative.
    about: AtomicI32,
}

/// A call as it was seen once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallMark(u64);

impl CallMark {
    /// Returns the kind of the call.
    pub fn kind(self) -> CallKind {
        CallKind::of_bits(self.0 & ((1 << KIND_BITS) - 1)).unwrap_or(CallKind::Read)
    }
}

impl CallSlot {
    /// Returns the slot of this thread.
    pub fn of_this_thread() -> Arc<Self> {
        OWN.with(|own| Arc::clone(own.get()))
    }

    /// Returns the call under way; two equal answers mean one and the same call.
    pub fn look(&self) -> Option<CallMark> {
        let word = self.word.load(Ordering::Relaxed);
        (word & ((1 << KIND_BITS) - 1) != 0).then_some(CallMark(word))
    }

    fn begin(&self, kind: CallKind, about: i32) {
        let count = (self.word.load(Ordering::Relaxed) >> KIND_BITS).wrapping_add(1);
        self.about.store(about, Ordering::Relaxed);
        let word = (count << KIND_BITS) | u64::from(kind as u8);
        self.word.store(word, Ordering::Relaxed);
    }

    fn end(&self) {
        let word = self.word.load(Ordering::Relaxed);
        self.word
            .store(word >> KIND_BITS << KIND_BITS, Ordering::Relaxed);
    }
}

/// The slots of all threads that have made calls; of threads that have ended, nothing is left.
static SLOTS: Mutex<Vec<Weak<CallSlot>>> = Mutex::new(Vec::new());

thread_local! {
    static OWN: OwnSlot = const { OwnSlot(OnceCell::new()) };
}

/// The slot of a thread, made at its first call.
struct OwnSlot(OnceCell<Arc<CallSlot>>);

impl OwnSlot {
    fn get(&self) -> &Arc<CallSlot> {
        self.0.get_or_init(|| {
            let slot = Arc::new(CallSlot::default());
            let mut slots = SLOTS.lock().unwrap_or_else(PoisonError::into_inner);
            slots.retain(|slot| slot.strong_count() > 0);
            slots.push(Arc::downgrade(&slot));
            slot
        })
    }
}

/// The number of no open file.
pub const NOWHERE: i32 = -1;

/// Makes a call on this thread. `about` is the number of the open file or directory that it is
/// about, or [`NOWHERE`].
pub fn during<T>(kind: CallKind, about: i32, call: impl FnOnce() -> T) -> T {
    // A thread that ends has no slot any more; nobody waits for it either.
    let slot = OWN.try_with(|own| Arc::clone(own.get())).ok();
    if let Some(slot) = &slot {
        slot.begin(kind, about);
    }
    let done = call();
    if let Some(slot) = &slot {
        slot.end();
    }
    done
}

/// A call that some thread of this process has under way.
#[derive(Clone, Debug)]
pub struct CallUnderWay {
    slot: Weak<CallSlot>,
    mark: CallMark,
    /// The open file or directory that it is about; for a new entry, the directory.
    about: Option<PathBuf>,
}

impl fmt::Display for CallUnderWay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.about {
            Some(path) => write!(f, "{} in {}", self.mark.kind(), path.display()),
            None => self.mark.kind().fmt(f),
        }
    }
}

/// Returns the calls that are under way in all threads.
pub fn under_way() -> Vec<CallUnderWay> {
    let slots = SLOTS.lock().unwrap_or_else(PoisonError::into_inner);
    let of = |weak: &Weak<CallSlot>| {
        let slot = weak.upgrade()?;
        let mark = slot.look()?;
        let about = super::system::path_of_open(slot.about.load(Ordering::Relaxed));
        Some(CallUnderWay {
            slot: Weak::clone(weak),
            mark,
            about,
        })
    };
    slots.iter().filter_map(of).collect()
}

/// Keeps only those that are still the same.
pub fn still(mut calls: Vec<CallUnderWay>) -> Vec<CallUnderWay> {
    calls.retain(|call| call.slot.upgrade().and_then(|slot| slot.look()) == Some(call.mark));
    calls
}

#[cfg(test)]
mod tests {
    use super::{CallKind, CallSlot, during, still, under_way};
    use crossbeam_channel::bounded;
    use std::thread;

    #[test]
    fn a_call_is_seen_while_it_is_under_way_and_two_calls_are_not_one() {
        let (slot_sender, slot) = bounded(0);
        let (go_on, may_go_on) = bounded::<()>(0);
        let thread = thread::spawn(move || {
            slot_sender
                .send(CallSlot::of_this_thread())
                .expect("awaited");
            for kind in [CallKind::List, CallKind::Read] {
                during(kind, -1, || {
                    may_go_on.recv().expect("told");
                    may_go_on.recv().expect("told");
                });
            }
        });
        let slot = slot.recv().expect("sent");
        let tell = || go_on.send(()).expect("alive");
        tell();
        let first = slot.look().expect("under way");
        assert_eq!(first.kind(), CallKind::List);
        let mine = |calls: Vec<super::CallUnderWay>| {
            calls.iter().filter(|call| call.mark == first).count()
        };
        let seen = under_way();
        assert_eq!(mine(seen.clone()), 1);
        tell();
        tell();
        let second = slot.look().expect("under way");
        assert_eq!(second.kind(), CallKind::Read);
        assert_ne!(first, second);
        assert_eq!(mine(still(seen)), 0);
        tell();
        thread.join().expect("no panic");
        assert_eq!(slot.look(), None);
    }

    #[test]
    fn every_kind_is_told_by_its_bits() {
        for kind in CallKind::ALL {
            assert_eq!(CallKind::of_bits(u64::from(kind as u8)), Some(kind));
        }
        assert_eq!(CallKind::of_bits(0), None);
    }
}
