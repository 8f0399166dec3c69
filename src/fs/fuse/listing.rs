//! Fills listings of directories, entry by entry, into the kernel's buffer.

use super::appearance::Appearance;
use super::reply::{Refuse, time_to_live};
use crate::fs::ReadError;
use crate::fs::forest::{Forest, ForestEntry, Validity, plain_attributes};
use crate::fs::view::EntryAttributes;
use crate::model::Kind;
use fuser::{FileAttr, Generation, ReplyDirectory, ReplyDirectoryPlus};
use std::ffi::OsStr;
use std::ops::ControlFlow;
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

/// A reply that takes the entries of a directory.
pub(super) trait DirectoryReply: Refuse + Send + 'static {
    /// Adds an entry. Returns whether the reply is full, so that the entry found no room.
    fn add(&mut self, cursor: u64, name: &[u8], attributes: &FileAttr, validity: Duration) -> bool;
    /// Whether it holds an entry.
    fn has_entries(&self) -> bool;
    /// Sends it.
    fn send(self);
}

/// A reply that is being filled.
pub(super) struct Filling<R> {
    reply: R,
    has_entries: bool,
}

impl<R> Filling<R> {
    pub(super) fn new(reply: R) -> Self {
        Self {
            reply,
            has_entries: false,
        }
    }
}

impl<R: Refuse> Refuse for Filling<R> {
    fn refuse(self, errno: fuser::Errno) {
        self.reply.refuse(errno);
    }
}

impl DirectoryReply for Filling<ReplyDirectoryPlus> {
    fn add(&mut self, cursor: u64, name: &[u8], attributes: &FileAttr, validity: Duration) -> bool {
        let is_full = self.reply.add(
            attributes.ino,
            cursor,
            OsStr::from_bytes(name),
            &validity,
            attributes,
            Generation(0),
        );
        self.has_entries |= !is_full;
        is_full
    }

    fn has_entries(&self) -> bool {
        self.has_entries
    }

    fn send(self) {
        self.reply.ok();
    }
}

impl DirectoryReply for Filling<ReplyDirectory> {
    fn add(&mut self, cursor: u64, name: &[u8], attributes: &FileAttr, _: Duration) -> bool {
        let is_full = self.reply.add(
            attributes.ino,
            cursor,
            attributes.kind,
            OsStr::from_bytes(name),
        );
        self.has_entries |= !is_full;
        is_full
    }

    fn has_entries(&self) -> bool {
        self.has_entries
    }

    fn send(self) {
        self.reply.ok();
    }
}

/// Cursors of a listing: 0 is before `.`, 1 behind it, 2 behind `..`; those of the forest follow,
/// with this added.
const DOTS: u64 = 2;

fn cursor_after(cursor: &mut u64) -> u64 {
    *cursor += 1;
    *cursor
}

/// How far a listing was filled.
pub(super) enum Filled {
    /// To the end of the directory, or until the reply was full.
    ToTheEnd,
    /// Up to this cursor: what follows has to be fetched.
    UpTo(u64),
}

/// Fills a listing from `cursor` on, as far as `forest` can and `reply` has room. Stops at
/// [`ReadError::WouldWait`], and returns where.
pub(super) fn fill(
    appearance: &Appearance,
    forest: &Forest,
    inode: u64,
    mut cursor: u64,
    reply: &mut impl DirectoryReply,
) -> Result<Filled, ReadError> {
    let directory = |inode| ForestEntry {
        inode,
        ..placeholder()
    };
    if cursor == 0
        && reply.add(
            cursor_after(&mut cursor),
            b".",
            &appearance.attributes(&directory(inode)),
            Duration::ZERO,
        )
    {
        return Ok(Filled::ToTheEnd);
    }
    if cursor == 1 {
        let parent = match forest.parent(inode) {
            Err(ReadError::WouldWait) => return Ok(Filled::UpTo(cursor)),
            parent => parent?,
        };
        if reply.add(
            cursor_after(&mut cursor),
            b"..",
            &appearance.attributes(&directory(parent)),
            Duration::ZERO,
        ) {
            return Ok(Filled::ToTheEnd);
        }
    }
    let listed = forest.list(inode, cursor.saturating_sub(DOTS), |found| {
        let next = found.cursor.saturating_add(DOTS);
        if reply.add(
            next,
            found.name,
            &appearance.attributes(&found),
            time_to_live(found.validity),
        ) {
            return ControlFlow::Break(());
        }
        cursor = next;
        ControlFlow::Continue(())
    });
    match listed {
        Ok(()) => Ok(Filled::ToTheEnd),
        Err(ReadError::WouldWait) => Ok(Filled::UpTo(cursor)),
        // The entries before the error are sent, and the next request meets the error.
        Err(_) if reply.has_entries() => Ok(Filled::ToTheEnd),
        Err(error) => Err(error),
    }
}

/// Returns an entry for `.` and `..`, of which the kernel uses only the number and the kind.
pub(super) fn placeholder() -> ForestEntry<'static> {
    ForestEntry {
        inode: 0,
        name: b"",
        attributes: EntryAttributes {
            links: 2,
            ..plain_attributes(Kind::Directory, 0)
        },
        validity: Validity::Now,
        cursor: 0,
    }
}
