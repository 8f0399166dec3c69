//! Listings of directories, entry by entry into the kernel's buffer.

use super::super::points::{Forest, Found, Lasting};
use super::super::view::EntryAttributes;
use super::{Appearance, Refuse, lasting};
use crate::fs::ReadError;
use crate::model::{Kind, Time};
use fuser::{FileAttr, Generation, ReplyDirectory, ReplyDirectoryPlus};
use std::ffi::OsStr;
use std::ops::ControlFlow;
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

/// A listing that is being filled.
pub(super) trait Listing: Refuse + Send + 'static {
    /// Adds an entry; whether it had no room.
    fn add(&mut self, cursor: u64, name: &[u8], attributes: &FileAttr, lasting: Duration) -> bool;
    fn has_entries(&self) -> bool;
    fn send(self);
}

/// A listing on its way to the kernel.
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

impl Listing for Filling<ReplyDirectoryPlus> {
    fn add(&mut self, cursor: u64, name: &[u8], attributes: &FileAttr, lasting: Duration) -> bool {
        let is_full = self.reply.add(
            attributes.ino,
            cursor,
            OsStr::from_bytes(name),
            &lasting,
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

impl Listing for Filling<ReplyDirectory> {
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

/// Cursors of a listing: 0 is before `.`, 1 after it, 2 after `..`, then the forest's own.
const DOTS: u64 = 2;

fn cursor_after(cursor: &mut u64) -> u64 {
    *cursor += 1;
    *cursor
}

/// How far a listing came.
pub(super) enum Filled {
    ToTheEnd,
    UpTo(u64),
}

/// Fills a listing from `cursor` on, as far as `forest` can and the reply has room. Returns where
/// it stopped for [`ReadError::WouldWait`].
pub(super) fn fill(
    appearance: &Appearance,
    forest: &Forest,
    inode: u64,
    mut cursor: u64,
    listing: &mut impl Listing,
) -> Result<Filled, ReadError> {
    let directory = |inode| Found {
        inode,
        ..placeholder()
    };
    if cursor == 0
        && listing.add(
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
        if listing.add(
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
        if listing.add(
            next,
            found.name,
            &appearance.attributes(&found),
            lasting(found.lasting),
        ) {
            return ControlFlow::Break(());
        }
        cursor = next;
        ControlFlow::Continue(())
    });
    match listed {
        Ok(()) => Ok(Filled::ToTheEnd),
        Err(ReadError::WouldWait) => Ok(Filled::UpTo(cursor)),
        // What stands before the error is answered, and the next request meets it.
        Err(_) if listing.has_entries() => Ok(Filled::ToTheEnd),
        Err(error) => Err(error),
    }
}

/// `.` and `..` as the kernel takes them: it looks at nothing but number and kind.
pub(super) fn placeholder() -> Found<'static> {
    let attributes = EntryAttributes {
        kind: Kind::Directory,
        mode: 0,
        uid: 0,
        gid: 0,
        mtime: Time::default(),
        ctime: Time::default(),
        device: 0,
        inode: 0,
        links: 2,
        blocks: 0,
        size: 0,
        numbers: None,
        link_to: None,
        has_xattrs: false,
    };
    Found {
        inode: 0,
        name: b"",
        attributes,
        lasting: Lasting::Now,
        cursor: 0,
    }
}
