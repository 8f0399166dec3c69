//! FUSE: translates the kernel's requests into calls of a [`Forest`], and its answers back. Nothing else.
//!
//! Messages are what a mount costs, so the kernel is told as much as it can keep: opening needs no message at all, entries
//! and attributes hold for ever, a listing brings attributes along, and where no entry has extended attributes it is told
//! so once. A request is tried at once with what is in memory; if that is not enough, the reply moves to another thread.

use super::points::{Forest, Found, Lasting};
use super::view::Attributes;
use super::{Errno, Piece, ReadError};
use crate::fs::pool::{Pool, Urgency};
use crate::model::{Device, Kind, Time};
use fuser::{
    BsdFileFlags, CopyFileRangeFlags, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo, InitFlags, KernelConfig,
    LockOwner, OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory, ReplyDirectoryPlus, ReplyEmpty, ReplyEntry,
    ReplyLseek, ReplyOpen, ReplyStatfs, ReplyWrite, ReplyXattr, Request, TimeOrNow, WriteFlags,
};
use std::ffi::OsStr;
use std::io;
use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::os::unix::ffi::OsStrExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How long the kernel may keep what never changes: as long as it can count.
const FOREVER: Duration = Duration::from_secs(u32::MAX as u64);
/// Threads that answer what cannot be answered at once. They wait for the threads that fetch, and cost next to nothing.
const ANSWERING_THREADS: NonZeroUsize = NonZeroUsize::new(16).expect("not zero");
/// Most bytes of one read. The kernel allows as much by default.
const MOST_READ_BYTES: u32 = 1 << 20;
/// Reads ahead that the kernel may have under way at once.
const MOST_BACKGROUND: u16 = 128;

/// How a forest is shown.
#[derive(Clone, Copy, Debug)]
pub struct Appearance {
    /// Who owns everything, in place of the owners that were backed up.
    pub uid: Option<u32>,
    /// Which group everything belongs to.
    pub gid: Option<u32>,
    /// Whether the kernel checks permissions, ACLs among them.
    pub permissions: Permissions,
    /// How long a request may wait before it is answered with an error.
    pub patience: Duration,
}

impl Default for Appearance {
    /// As it was backed up, checked, and two minutes' patience.
    fn default() -> Self {
        Self { uid: None, gid: None, permissions: Permissions::Checked, patience: Duration::from_secs(120) }
    }
}

/// Whether the kernel checks permissions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permissions {
    /// It does, as for any file system.
    Checked,
    /// Whoever gets into the mount may read everything in it.
    Ignored,
}

/// Kinds of requests, as they are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Lookup,
    Forget,
    Getattr,
    Readlink,
    Open,
    Opendir,
    Read,
    Readdir,
    Readdirplus,
    Statfs,
    Getxattr,
    Listxattr,
    Lseek,
    Access,
    Flush,
    Release,
    Change,
}

const ASKED: [(Asked, &str); 17] = [
    (Asked::Lookup, "lookup"),
    (Asked::Forget, "forget"),
    (Asked::Getattr, "getattr"),
    (Asked::Readlink, "readlink"),
    (Asked::Open, "open"),
    (Asked::Opendir, "opendir"),
    (Asked::Read, "read"),
    (Asked::Readdir, "readdir"),
    (Asked::Readdirplus, "readdirplus"),
    (Asked::Statfs, "statfs"),
    (Asked::Getxattr, "getxattr"),
    (Asked::Listxattr, "listxattr"),
    (Asked::Lseek, "lseek"),
    (Asked::Access, "access"),
    (Asked::Flush, "flush"),
    (Asked::Release, "release"),
    (Asked::Change, "change"),
];

/// How many requests there were, by kind.
#[derive(Debug, Default)]
pub struct RequestCounts {
    asked: [AtomicU64; ASKED.len()],
    handed_over: AtomicU64,
    read_bytes: AtomicU64,
}

impl RequestCounts {
    fn add(&self, asked: Asked) {
        if let Some(count) = self.asked.get(asked as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The kinds and how often each was asked; then `handed_over`, how many of them could not be answered at once, and
    /// `read_bytes`, how many bytes of content were answered.
    pub fn snapshot(&self) -> Vec<(&'static str, u64)> {
        let kinds = ASKED.iter().zip(&self.asked).map(|((_, name), count)| (*name, count.load(Ordering::Relaxed)));
        let more = [("handed_over", &self.handed_over), ("read_bytes", &self.read_bytes)];
        kinds.chain(more.map(|(name, count)| (name, count.load(Ordering::Relaxed)))).collect()
    }

    /// How many requests were answered in all; forgets need no answer.
    pub fn answered(&self) -> u64 {
        ASKED
            .iter()
            .zip(&self.asked)
            .filter(|((asked, _), _)| *asked != Asked::Forget)
            .map(|(_, count)| count.load(Ordering::Relaxed))
            .sum()
    }
}

/// A forest as the kernel sees it.
pub(super) struct Adapter {
    shared: Arc<Shared>,
}

struct Shared {
    forest: Forest,
    at_hand: Forest,
    appearance: Appearance,
    answering: Pool,
    counts: Arc<RequestCounts>,
    /// What the kernel can do without.
    opens_without_asking: AtomicBool,
    opens_directories_without_asking: AtomicBool,
}

impl Adapter {
    pub(super) fn new(forest: Forest, appearance: Appearance, counts: Arc<RequestCounts>) -> io::Result<Self> {
        let shared = Shared {
            at_hand: forest.at_hand(),
            forest,
            appearance,
            answering: Pool::new("freezer-answer", ANSWERING_THREADS)?,
            counts,
            opens_without_asking: AtomicBool::new(false),
            opens_directories_without_asking: AtomicBool::new(false),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Answers a request: at once if all it needs is in memory, else on another thread.
    fn answer<T: 'static, R: Refuse + Send + 'static>(
        &self,
        (asked, inode): (Asked, INodeNo),
        reply: R,
        ask: impl Fn(&Forest, u64) -> Result<T, ReadError> + Send + 'static,
        tell: impl FnOnce(&Shared, R, T) + Send + 'static,
    ) {
        self.shared.counts.add(asked);
        guarded(|| match ask(&self.shared.at_hand, inode.0) {
            Err(ReadError::WouldWait) => self.shared.hand_over(asked, inode, reply, move |shared, reply| {
                shared.conclude(asked, inode, reply, ask(&shared.forest, inode.0), tell);
            }),
            result => self.shared.conclude(asked, inode, reply, result, tell),
        });
    }

    fn refuse_change(&self, reply: impl Refuse) {
        self.shared.counts.add(Asked::Change);
        reply.refuse(fuser::Errno::EROFS);
    }
}

/// A reply that was not sent when a handler panicked is sent as `EIO` when it is dropped.
fn guarded(handler: impl FnOnce()) {
    if catch_unwind(AssertUnwindSafe(handler)).is_err() {
        tracing::error!("the answer to a request panicked");
    }
}

impl Shared {
    fn hand_over<R: Refuse + Send + 'static>(
        self: &Arc<Self>,
        asked: Asked,
        inode: INodeNo,
        reply: R,
        work: impl FnOnce(&Self, R) + Send + 'static,
    ) {
        self.counts.handed_over.fetch_add(1, Ordering::Relaxed);
        let (shared, came) = (Arc::clone(self), Instant::now());
        self.answering.submit(Urgency::Wanted, move || {
            // With a dead store all threads wait as long as they may; what queued up behind them has waited as long.
            if came.elapsed() > shared.appearance.patience {
                shared.refuse(asked, inode, reply, &ReadError::Deadline);
            } else {
                work(&shared, reply);
            }
        });
    }

    fn conclude<T, R: Refuse>(&self, asked: Asked, inode: INodeNo, reply: R, result: Result<T, ReadError>, tell: impl FnOnce(&Self, R, T)) {
        match result {
            Ok(answer) => tell(self, reply, answer),
            Err(error) => self.refuse(asked, inode, reply, &error),
        }
    }

    fn refuse(&self, asked: Asked, inode: INodeNo, reply: impl Refuse, error: &ReadError) {
        let errno = match error.errno() {
            Errno::Io => fuser::Errno::EIO,
            Errno::Access => fuser::Errno::EACCES,
            Errno::NotADirectory => fuser::Errno::ENOTDIR,
            Errno::IsADirectory => fuser::Errno::EISDIR,
            Errno::Invalid => fuser::Errno::EINVAL,
            Errno::Stale => fuser::Errno::ESTALE,
            Errno::Overflow => fuser::Errno::EOVERFLOW,
            Errno::Again => fuser::Errno::EAGAIN,
        };
        if errno.code() == fuser::Errno::EIO.code() {
            tracing::error!(request = ?asked, inode = inode.0, error = error.chain(), "a request failed");
        }
        reply.refuse(errno);
    }

    fn attributes(&self, found: &Found<'_>) -> FileAttr {
        let Attributes { kind, mode, uid, gid, mtime, ctime, links, blocks, size, numbers, .. } = found.attributes;
        let mtime = system_time(mtime);
        FileAttr {
            ino: INodeNo(found.inode),
            size,
            blocks,
            // Times of access are not kept; a copy of the file has this one for both.
            atime: mtime,
            mtime,
            ctime: system_time(ctime),
            crtime: UNIX_EPOCH,
            kind: file_type(kind),
            perm: u16::try_from(mode & 0o7777).unwrap_or_default(),
            nlink: links.max(1),
            uid: self.appearance.uid.unwrap_or(uid),
            gid: self.appearance.gid.unwrap_or(gid),
            rdev: numbers.map_or(0, encode_device),
            blksize: 4096,
            flags: 0,
        }
    }

    /// Fills a listing from `cursor` on, as far as `forest` can and the reply has room. Returns where it stopped for
    /// [`ReadError::WouldWait`].
    fn fill(&self, forest: &Forest, inode: u64, mut cursor: u64, listing: &mut impl Listing) -> Result<Filled, ReadError> {
        let directory = |inode| Found { inode, ..placeholder() };
        if cursor == 0 && listing.add(cursor_after(&mut cursor), b".", &self.attributes(&directory(inode)), Duration::ZERO) {
            return Ok(Filled::ToTheEnd);
        }
        if cursor == 1 {
            let parent = match forest.parent(inode) {
                Err(ReadError::WouldWait) => return Ok(Filled::UpTo(cursor)),
                parent => parent?,
            };
            if listing.add(cursor_after(&mut cursor), b"..", &self.attributes(&directory(parent)), Duration::ZERO) {
                return Ok(Filled::ToTheEnd);
            }
        }
        let listed = forest.list(inode, cursor.saturating_sub(DOTS), |found| {
            let next = found.cursor.saturating_add(DOTS);
            if listing.add(next, found.name, &self.attributes(&found), lasting(found.lasting)) {
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
}

/// Cursors of a listing: 0 is before `.`, 1 after it, 2 after `..`, then the forest's own.
const DOTS: u64 = 2;

fn cursor_after(cursor: &mut u64) -> u64 {
    *cursor += 1;
    *cursor
}

/// How far a listing came.
enum Filled {
    ToTheEnd,
    UpTo(u64),
}

/// `.` and `..` as the kernel takes them: it looks at nothing but number and kind.
fn placeholder() -> Found<'static> {
    let attributes = Attributes {
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
    Found { inode: 0, name: b"", attributes, lasting: Lasting::Now, cursor: 0 }
}

fn lasting(lasting: Lasting) -> Duration {
    match lasting {
        Lasting::Forever => FOREVER,
        Lasting::Now => Duration::ZERO,
    }
}

fn file_type(kind: Kind) -> FileType {
    match kind {
        Kind::File => FileType::RegularFile,
        Kind::Directory => FileType::Directory,
        Kind::Symlink => FileType::Symlink,
        Kind::CharDevice => FileType::CharDevice,
        Kind::BlockDevice => FileType::BlockDevice,
        Kind::Fifo => FileType::NamedPipe,
    }
}

/// The kernel's encoding of a device number in 32 bits (`new_encode_dev` in `include/linux/kdev_t.h`): 12 bits of major,
/// 20 of minor. It has no device with more.
fn encode_device(Device { major, minor }: Device) -> u32 {
    (minor & 0xff) | (major & 0xfff) << 8 | (minor & 0xf_ff00) << 12
}

/// Exact from the first second that a `timespec` can hold to the last.
fn system_time(time: Time) -> SystemTime {
    let seconds = Duration::from_secs(time.seconds().unsigned_abs());
    let whole = if time.seconds() < 0 { UNIX_EPOCH.checked_sub(seconds) } else { UNIX_EPOCH.checked_add(seconds) };
    whole.and_then(|whole| whole.checked_add(Duration::from_nanos(u64::from(time.nanoseconds())))).unwrap_or(UNIX_EPOCH)
}

/// A reply that can say no.
trait Refuse {
    fn refuse(self, errno: fuser::Errno);
}

macro_rules! refuse {
    ($($reply:ty),*) => { $(impl Refuse for $reply { fn refuse(self, errno: fuser::Errno) { self.error(errno); } })* };
}

refuse!(
    ReplyAttr,
    ReplyCreate,
    ReplyData,
    ReplyDirectory,
    ReplyDirectoryPlus,
    ReplyEmpty,
    ReplyEntry,
    ReplyLseek,
    ReplyStatfs,
    ReplyWrite,
    ReplyXattr
);

/// A listing that is being filled.
trait Listing: Refuse + Send + 'static {
    /// Adds an entry; whether it had no room.
    fn add(&mut self, cursor: u64, name: &[u8], attributes: &FileAttr, lasting: Duration) -> bool;
    fn has_entries(&self) -> bool;
    fn send(self);
}

struct Filling<R> {
    reply: R,
    has_entries: bool,
}

impl<R: Refuse> Refuse for Filling<R> {
    fn refuse(self, errno: fuser::Errno) {
        self.reply.refuse(errno);
    }
}

impl Listing for Filling<ReplyDirectoryPlus> {
    fn add(&mut self, cursor: u64, name: &[u8], attributes: &FileAttr, lasting: Duration) -> bool {
        let is_full = self.reply.add(attributes.ino, cursor, OsStr::from_bytes(name), &lasting, attributes, Generation(0));
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
        let is_full = self.reply.add(attributes.ino, cursor, attributes.kind, OsStr::from_bytes(name));
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

impl Adapter {
    fn list(&self, asked: Asked, inode: INodeNo, cursor: u64, mut listing: impl Listing) {
        self.shared.counts.add(asked);
        guarded(|| match self.shared.fill(&self.shared.at_hand, inode.0, cursor, &mut listing) {
            Ok(Filled::UpTo(cursor)) => self.shared.hand_over(asked, inode, listing, move |shared, mut listing| {
                let filled = shared.fill(&shared.forest, inode.0, cursor, &mut listing);
                shared.conclude(asked, inode, listing, filled, |_, listing, _| listing.send());
            }),
            filled => self.shared.conclude(asked, inode, listing, filled, |_, listing, _| listing.send()),
        });
    }
}

fn send_pieces(reply: ReplyData, pieces: &[Piece]) {
    match pieces {
        [] => reply.data(&[]),
        [piece] if piece.data().is_some() => reply.data(piece.data().unwrap_or_default()),
        pieces => {
            let mut bytes = Vec::with_capacity(pieces.iter().map(|piece| usize::try_from(piece.length()).unwrap_or_default()).sum());
            for piece in pieces {
                match piece.data() {
                    Some(data) => bytes.extend_from_slice(data),
                    None => bytes.resize(bytes.len().saturating_add(usize::try_from(piece.length()).unwrap_or_default()), 0),
                }
            }
            reply.data(&bytes);
        }
    }
}

/// Answers a question for a value of unknown length: its length, or itself if there is room.
fn send_sized(reply: ReplyXattr, room: u32, value: &[u8]) {
    match u32::try_from(value.len()) {
        Ok(length) if room == 0 => reply.size(length),
        Ok(length) if length <= room => reply.data(value),
        _ => reply.error(fuser::Errno::ERANGE),
    }
}

impl Filesystem for Adapter {
    fn init(&mut self, _: &Request, config: &mut KernelConfig) -> io::Result<()> {
        let offered = config.capabilities();
        let mut wanted = InitFlags::FUSE_DO_READDIRPLUS
            | InitFlags::FUSE_PARALLEL_DIROPS
            | InitFlags::FUSE_CACHE_SYMLINKS
            | InitFlags::FUSE_ASYNC_READ
            | InitFlags::FUSE_ASYNC_DIO
            | InitFlags::FUSE_EXPLICIT_INVAL_DATA;
        // Costs a message for each inode whose ACL is looked at, so only where there may be one.
        if self.shared.forest.may_have_xattrs() && self.shared.appearance.permissions == Permissions::Checked {
            wanted |= InitFlags::FUSE_POSIX_ACL;
        }
        let refused = |_| io::Error::other("the kernel refused a capability that it offers");
        config.add_capabilities(wanted & offered).map_err(refused)?;
        let without_asking = offered.contains(InitFlags::FUSE_NO_OPEN_SUPPORT);
        self.shared.opens_without_asking.store(without_asking, Ordering::Relaxed);
        let without_asking = offered.contains(InitFlags::FUSE_NO_OPENDIR_SUPPORT);
        self.shared.opens_directories_without_asking.store(without_asking, Ordering::Relaxed);
        let number = |nearest| io::Error::other(format!("the kernel interface takes no number but {nearest}"));
        config.set_max_write(MOST_READ_BYTES).map_err(number)?;
        config.set_max_background(MOST_BACKGROUND).map_err(|nearest| number(u32::from(nearest)))?;
        Ok(())
    }

    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let name = name.as_bytes().to_vec();
        self.answer(
            (Asked::Lookup, parent),
            reply,
            move |forest, parent| Ok(forest.child(parent, &name)?.map(|found| Found { name: b"", ..found })),
            |shared, reply, found| match found {
                Ok(found) => reply.entry_with_ttls(&FOREVER, &lasting(found.lasting), &shared.attributes(&found), Generation(0)),
                // Inode 0: there is none, and that too can be kept.
                Err(holds) => reply.entry(&lasting(holds), &shared.attributes(&placeholder()), Generation(0)),
            },
        );
    }

    fn forget(&self, _: &Request, _: INodeNo, _: u64) {
        self.shared.counts.add(Asked::Forget);
    }

    fn getattr(&self, _: &Request, inode: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        self.answer((Asked::Getattr, inode), reply, Forest::get, |shared, reply, found| {
            reply.attr(&lasting(found.lasting), &shared.attributes(&found));
        });
    }

    fn readlink(&self, _: &Request, inode: INodeNo, reply: ReplyData) {
        self.answer((Asked::Readlink, inode), reply, Forest::link_target, |_, reply, target| reply.data(&target));
    }

    fn open(&self, _: &Request, _: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        self.shared.counts.add(Asked::Open);
        if self.shared.opens_without_asking.load(Ordering::Relaxed) {
            reply.error(fuser::Errno::ENOSYS);
        } else {
            reply.opened(FileHandle(0), FopenFlags::FOPEN_KEEP_CACHE);
        }
    }

    fn opendir(&self, _: &Request, _: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        self.shared.counts.add(Asked::Opendir);
        if self.shared.opens_directories_without_asking.load(Ordering::Relaxed) {
            reply.error(fuser::Errno::ENOSYS);
        } else {
            reply.opened(FileHandle(0), FopenFlags::FOPEN_KEEP_CACHE | FopenFlags::FOPEN_CACHE_DIR);
        }
    }

    fn read(
        &self,
        _: &Request,
        inode: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let ask = move |forest: &Forest, inode| forest.file(inode)?.pieces(offset, u64::from(size));
        self.answer((Asked::Read, inode), reply, ask, |shared, reply, pieces| {
            shared.counts.read_bytes.fetch_add(pieces.iter().map(Piece::length).sum(), Ordering::Relaxed);
            send_pieces(reply, &pieces);
        });
    }

    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        self.shared.counts.add(Asked::Flush);
        reply.error(fuser::Errno::ENOSYS);
    }

    fn release(&self, _: &Request, _: INodeNo, _: FileHandle, _: OpenFlags, _: Option<LockOwner>, _: bool, reply: ReplyEmpty) {
        self.shared.counts.add(Asked::Release);
        reply.ok();
    }

    fn readdir(&self, _: &Request, inode: INodeNo, _: FileHandle, offset: u64, reply: ReplyDirectory) {
        self.list(Asked::Readdir, inode, offset, Filling { reply, has_entries: false });
    }

    fn readdirplus(&self, _: &Request, inode: INodeNo, _: FileHandle, offset: u64, reply: ReplyDirectoryPlus) {
        self.list(Asked::Readdirplus, inode, offset, Filling { reply, has_entries: false });
    }

    fn releasedir(&self, _: &Request, _: INodeNo, _: FileHandle, _: OpenFlags, reply: ReplyEmpty) {
        self.shared.counts.add(Asked::Release);
        reply.ok();
    }

    fn statfs(&self, _: &Request, inode: INodeNo, reply: ReplyStatfs) {
        self.answer((Asked::Statfs, inode), reply, Forest::totals, |_, reply, totals| {
            reply.statfs(totals.bytes.div_ceil(4096), 0, 0, totals.entries, 0, 4096, 255, 4096);
        });
    }

    fn getxattr(&self, _: &Request, inode: INodeNo, name: &OsStr, size: u32, reply: ReplyXattr) {
        if !self.shared.forest.may_have_xattrs() {
            self.shared.counts.add(Asked::Getxattr);
            return reply.error(fuser::Errno::ENOSYS);
        }
        let name = name.as_bytes().to_vec();
        let ask = move |forest: &Forest, inode| {
            let xattrs = forest.xattrs(inode)?;
            Ok(xattrs.into_iter().find(|xattr| *xattr.name == *name).map(|xattr| xattr.value))
        };
        self.answer((Asked::Getxattr, inode), reply, ask, move |_, reply, value| match value {
            Some(value) => send_sized(reply, size, &value),
            None => reply.error(fuser::Errno::NO_XATTR),
        });
    }

    fn listxattr(&self, _: &Request, inode: INodeNo, size: u32, reply: ReplyXattr) {
        if !self.shared.forest.may_have_xattrs() {
            self.shared.counts.add(Asked::Listxattr);
            return reply.error(fuser::Errno::ENOSYS);
        }
        self.answer((Asked::Listxattr, inode), reply, Forest::xattrs, move |_, reply, xattrs| {
            let names: Vec<u8> = xattrs.iter().flat_map(|xattr| xattr.name.iter().copied().chain([0])).collect();
            send_sized(reply, size, &names);
        });
    }

    fn access(&self, _: &Request, _: INodeNo, _: fuser::AccessFlags, reply: ReplyEmpty) {
        // Never asked when permissions are checked; when they are not, everything is allowed from now on.
        self.shared.counts.add(Asked::Access);
        reply.error(fuser::Errno::ENOSYS);
    }

    fn lseek(&self, _: &Request, inode: INodeNo, _: FileHandle, offset: i64, whence: i32, reply: ReplyLseek) {
        /// `SEEK_DATA` and `SEEK_HOLE` of `linux/fs.h`; the kernel does the others itself.
        const SEEK_DATA: i32 = 3;
        const SEEK_HOLE: i32 = 4;
        let Ok(from) = u64::try_from(offset) else {
            self.shared.counts.add(Asked::Lseek);
            return reply.error(fuser::Errno::ENXIO);
        };
        let ask = move |forest: &Forest, inode| {
            let file = forest.file(inode)?;
            match whence {
                SEEK_DATA => Ok(file.next_data(from)),
                SEEK_HOLE => Ok(file.next_hole(from)),
                _ => Err(ReadError::WrongKind),
            }
        };
        self.answer((Asked::Lseek, inode), reply, ask, |_, reply, place| match place.map(i64::try_from) {
            Some(Ok(place)) => reply.offset(place),
            Some(Err(_)) => reply.error(fuser::Errno::EOVERFLOW),
            None => reply.error(fuser::Errno::ENXIO),
        });
    }

    // The mount is read-only, and the kernel refuses changes by itself. Unless somebody remounts it.

    fn setattr(
        &self,
        _: &Request,
        _: INodeNo,
        _: Option<u32>,
        _: Option<u32>,
        _: Option<u32>,
        _: Option<u64>,
        _: Option<TimeOrNow>,
        _: Option<TimeOrNow>,
        _: Option<SystemTime>,
        _: Option<FileHandle>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        self.refuse_change(reply);
    }

    fn mknod(&self, _: &Request, _: INodeNo, _: &OsStr, _: u32, _: u32, _: u32, reply: ReplyEntry) {
        self.refuse_change(reply);
    }

    fn mkdir(&self, _: &Request, _: INodeNo, _: &OsStr, _: u32, _: u32, reply: ReplyEntry) {
        self.refuse_change(reply);
    }

    fn unlink(&self, _: &Request, _: INodeNo, _: &OsStr, reply: ReplyEmpty) {
        self.refuse_change(reply);
    }

    fn rmdir(&self, _: &Request, _: INodeNo, _: &OsStr, reply: ReplyEmpty) {
        self.refuse_change(reply);
    }

    fn symlink(&self, _: &Request, _: INodeNo, _: &OsStr, _: &Path, reply: ReplyEntry) {
        self.refuse_change(reply);
    }

    fn rename(&self, _: &Request, _: INodeNo, _: &OsStr, _: INodeNo, _: &OsStr, _: RenameFlags, reply: ReplyEmpty) {
        self.refuse_change(reply);
    }

    fn link(&self, _: &Request, _: INodeNo, _: INodeNo, _: &OsStr, reply: ReplyEntry) {
        self.refuse_change(reply);
    }

    fn create(&self, _: &Request, _: INodeNo, _: &OsStr, _: u32, _: u32, _: i32, reply: ReplyCreate) {
        self.refuse_change(reply);
    }

    fn write(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        _: u64,
        _: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        self.refuse_change(reply);
    }

    fn setxattr(&self, _: &Request, _: INodeNo, _: &OsStr, _: &[u8], _: i32, _: u32, reply: ReplyEmpty) {
        self.refuse_change(reply);
    }

    fn removexattr(&self, _: &Request, _: INodeNo, _: &OsStr, reply: ReplyEmpty) {
        self.refuse_change(reply);
    }

    fn fallocate(&self, _: &Request, _: INodeNo, _: FileHandle, _: u64, _: u64, _: i32, reply: ReplyEmpty) {
        self.refuse_change(reply);
    }

    fn copy_file_range(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        _: u64,
        _: INodeNo,
        _: FileHandle,
        _: u64,
        _: u64,
        _: CopyFileRangeFlags,
        reply: ReplyWrite,
    ) {
        self.refuse_change(reply);
    }
}

#[cfg(test)]
mod tests {
    use super::{encode_device, system_time};
    use crate::model::{Device, Time};
    use std::time::{Duration, UNIX_EPOCH};

    #[test]
    fn times_long_ago_and_far_ahead_are_exact() {
        let half = Duration::from_millis(500);
        assert_eq!(system_time(Time::new(-1, 500_000_000)), UNIX_EPOCH - half);
        assert_eq!(system_time(Time::new(5_000_000_000, 1)), UNIX_EPOCH + Duration::new(5_000_000_000, 1));
        for seconds in [i64::MIN, i64::MIN + 1, i64::MAX - 1] {
            let time = system_time(Time::new(seconds, 7));
            let distance = time.duration_since(UNIX_EPOCH).map_or_else(
                |before| -i128::try_from(before.duration().as_nanos()).expect("fits"),
                |after| i128::try_from(after.as_nanos()).expect("fits"),
            );
            assert_eq!(distance, i128::from(seconds) * 1_000_000_000 + 7);
        }
    }

    #[test]
    fn device_numbers_are_encoded_as_the_kernel_does() {
        assert_eq!(encode_device(Device { major: 8, minor: 1 }), 0x0801);
        assert_eq!(encode_device(Device { major: 0xfff, minor: 0xf_ffff }), 0xffff_ffff);
        assert_eq!(encode_device(Device { major: 259, minor: 0x12345 }), 0x1231_0345);
    }
}
