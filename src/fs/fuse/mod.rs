//! FUSE: translates the kernel's requests into calls of a [`Forest`], and its answers back. Nothing
//! else.
//!
//! Messages are what a mount costs, so the kernel is told as much as it can keep: opening needs no
//! message at all, entries and attributes hold for ever, a listing brings attributes along, and
//! where no entry has extended attributes it is told so once. A request is tried at once with what
//! is in memory; if that is not enough, the reply moves to another thread.

mod ahead;
mod counts;
mod listing;
mod translate;

pub use counts::RequestCounts;

use self::counts::Asked;
use self::listing::{Filled, Filling, Listing, placeholder};
use super::points::{Forest, Found, Lasting};
use super::{Errno, Piece, ReadError};
use crate::fs::deadline;
use crate::fs::pool::{Pool, Urgency};
use fuser::{
    BsdFileFlags, CopyFileRangeFlags, FileHandle, Filesystem, FopenFlags, Generation, INodeNo,
    InitFlags, KernelConfig, LockOwner, OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData,
    ReplyDirectory, ReplyDirectoryPlus, ReplyEmpty, ReplyEntry, ReplyLseek, ReplyOpen, ReplyStatfs,
    ReplyWrite, ReplyXattr, Request, TimeOrNow, WriteFlags,
};
use std::ffi::OsStr;
use std::io;
use std::num::NonZeroUsize;
use std::os::unix::ffi::OsStrExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

/// How long the kernel may keep what never changes: as long as it can count.
const FOREVER: Duration = Duration::from_secs(u32::MAX as u64);
/// Threads that answer what cannot be answered at once. They wait for the threads that fetch, and
/// cost next to nothing.
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
        Self {
            uid: None,
            gid: None,
            permissions: Permissions::Checked,
            patience: Duration::from_secs(120),
        }
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
    /// Told of reads, so that what follows is sent before it is asked for.
    reads: ahead::Listener,
    /// What the kernel can do without.
    opens_without_asking: AtomicBool,
    opens_directories_without_asking: AtomicBool,
}

impl Adapter {
    /// An adapter, and what is to be started with the means to tell the kernel something when there
    /// is a mount.
    pub(super) fn new(
        forest: Forest,
        appearance: Appearance,
        counts: Arc<RequestCounts>,
    ) -> io::Result<(Self, ahead::Hearer)> {
        let (reads, hearer) = ahead::pair();
        let shared = Shared {
            at_hand: forest.at_hand(),
            forest,
            appearance,
            answering: Pool::new("freezer-answer", ANSWERING_THREADS)?,
            counts,
            reads,
            opens_without_asking: AtomicBool::new(false),
            opens_directories_without_asking: AtomicBool::new(false),
        };
        Ok((
            Self {
                shared: Arc::new(shared),
            },
            hearer,
        ))
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
            Err(ReadError::WouldWait) => {
                self.shared
                    .hand_over(asked, inode, reply, move |shared, reply| {
                        shared.conclude(asked, inode, reply, ask(&shared.forest, inode.0), tell);
                    })
            }
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
        let (shared, came) = (Arc::clone(self), crate::platform::monotonic());
        self.answering.submit(Urgency::Wanted, move || {
            // With a dead store all threads wait as long as they may; what queued up behind them
            // has waited as long.
            if came.elapsed() > shared.appearance.patience {
                shared.refuse(asked, inode, reply, &ReadError::Deadline);
            } else {
                deadline::until(came.checked_add(shared.appearance.patience), || {
                    work(&shared, reply)
                });
            }
        });
    }

    fn conclude<T, R: Refuse>(
        &self,
        asked: Asked,
        inode: INodeNo,
        reply: R,
        result: Result<T, ReadError>,
        tell: impl FnOnce(&Self, R, T),
    ) {
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
}

fn lasting(lasting: Lasting) -> Duration {
    match lasting {
        Lasting::Forever => FOREVER,
        Lasting::Now => Duration::ZERO,
    }
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

impl Adapter {
    fn list(&self, asked: Asked, inode: INodeNo, cursor: u64, mut listing: impl Listing) {
        self.shared.counts.add(asked);
        guarded(|| {
            match listing::fill(
                &self.shared.appearance,
                &self.shared.at_hand,
                inode.0,
                cursor,
                &mut listing,
            ) {
                Ok(Filled::UpTo(cursor)) => {
                    self.shared
                        .hand_over(asked, inode, listing, move |shared, mut listing| {
                            let filled = listing::fill(
                                &shared.appearance,
                                &shared.forest,
                                inode.0,
                                cursor,
                                &mut listing,
                            );
                            shared.conclude(asked, inode, listing, filled, |_, listing, _| {
                                listing.send()
                            });
                        })
                }
                filled => self
                    .shared
                    .conclude(asked, inode, listing, filled, |_, listing, _| {
                        listing.send()
                    }),
            }
        });
    }
}

fn send_pieces(reply: ReplyData, pieces: &[Piece]) {
    match pieces {
        [] => reply.data(&[]),
        [piece] if piece.data().is_some() => reply.data(piece.data().unwrap_or_default()),
        pieces => reply.data(&translate::joined(pieces)),
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
        if self.shared.forest.may_have_xattrs()
            && self.shared.appearance.permissions == Permissions::Checked
        {
            wanted |= InitFlags::FUSE_POSIX_ACL;
        }
        let refused = |_| io::Error::other("the kernel refused a capability that it offers");
        config.add_capabilities(wanted & offered).map_err(refused)?;
        let without_asking = offered.contains(InitFlags::FUSE_NO_OPEN_SUPPORT);
        self.shared
            .opens_without_asking
            .store(without_asking, Ordering::Relaxed);
        let without_asking = offered.contains(InitFlags::FUSE_NO_OPENDIR_SUPPORT);
        self.shared
            .opens_directories_without_asking
            .store(without_asking, Ordering::Relaxed);
        let number = |nearest| {
            io::Error::other(format!(
                "the kernel interface takes no number but {nearest}"
            ))
        };
        config.set_max_write(MOST_READ_BYTES).map_err(number)?;
        config
            .set_max_background(MOST_BACKGROUND)
            .map_err(|nearest| number(u32::from(nearest)))?;
        Ok(())
    }

    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let name = name.as_bytes().to_vec();
        self.answer(
            (Asked::Lookup, parent),
            reply,
            move |forest, parent| {
                Ok(forest
                    .child(parent, &name)?
                    .map(|found| Found { name: b"", ..found }))
            },
            |shared, reply, found| match found {
                Ok(found) => reply.entry_with_ttls(
                    &FOREVER,
                    &lasting(found.lasting),
                    &shared.appearance.attributes(&found),
                    Generation(0),
                ),
                // Inode 0: there is none, and that too can be kept.
                Err(holds) => reply.entry(
                    &lasting(holds),
                    &shared.appearance.attributes(&placeholder()),
                    Generation(0),
                ),
            },
        );
    }

    fn forget(&self, _: &Request, _: INodeNo, _: u64) {
        self.shared.counts.add(Asked::Forget);
    }

    fn getattr(&self, _: &Request, inode: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        self.answer(
            (Asked::Getattr, inode),
            reply,
            Forest::get,
            |shared, reply, found| {
                reply.attr(
                    &lasting(found.lasting),
                    &shared.appearance.attributes(&found),
                );
            },
        );
    }

    fn readlink(&self, _: &Request, inode: INodeNo, reply: ReplyData) {
        self.answer(
            (Asked::Readlink, inode),
            reply,
            Forest::link_target,
            |_, reply, target| reply.data(&target),
        );
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
        if self
            .shared
            .opens_directories_without_asking
            .load(Ordering::Relaxed)
        {
            reply.error(fuser::Errno::ENOSYS);
        } else {
            reply.opened(
                FileHandle(0),
                FopenFlags::FOPEN_KEEP_CACHE | FopenFlags::FOPEN_CACHE_DIR,
            );
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
        let ask = move |forest: &Forest, inode| {
            let file = forest.file(inode)?;
            Ok((file.size(), file.pieces(offset, u64::from(size))?))
        };
        self.answer(
            (Asked::Read, inode),
            reply,
            ask,
            move |shared, reply, (file_bytes, pieces)| {
                shared
                    .counts
                    .read_bytes
                    .fetch_add(pieces.iter().map(Piece::length).sum(), Ordering::Relaxed);
                // First, so that notes come in the order in which a reader reads.
                shared.reads.note(inode.0, offset, file_bytes);
                send_pieces(reply, &pieces);
            },
        );
    }

    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        self.shared.counts.add(Asked::Flush);
        reply.error(fuser::Errno::ENOSYS);
    }

    fn release(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        _: OpenFlags,
        _: Option<LockOwner>,
        _: bool,
        reply: ReplyEmpty,
    ) {
        self.shared.counts.add(Asked::Release);
        reply.ok();
    }

    fn readdir(
        &self,
        _: &Request,
        inode: INodeNo,
        _: FileHandle,
        offset: u64,
        reply: ReplyDirectory,
    ) {
        self.list(Asked::Readdir, inode, offset, Filling::new(reply));
    }

    fn readdirplus(
        &self,
        _: &Request,
        inode: INodeNo,
        _: FileHandle,
        offset: u64,
        reply: ReplyDirectoryPlus,
    ) {
        self.list(Asked::Readdirplus, inode, offset, Filling::new(reply));
    }

    fn releasedir(&self, _: &Request, _: INodeNo, _: FileHandle, _: OpenFlags, reply: ReplyEmpty) {
        self.shared.counts.add(Asked::Release);
        reply.ok();
    }

    fn statfs(&self, _: &Request, inode: INodeNo, reply: ReplyStatfs) {
        self.answer(
            (Asked::Statfs, inode),
            reply,
            Forest::totals,
            |_, reply, totals| {
                reply.statfs(
                    totals.bytes.div_ceil(4096),
                    0,
                    0,
                    totals.entries,
                    0,
                    4096,
                    255,
                    4096,
                );
            },
        );
    }

    fn getxattr(&self, _: &Request, inode: INodeNo, name: &OsStr, size: u32, reply: ReplyXattr) {
        if !self.shared.forest.may_have_xattrs() {
            self.shared.counts.add(Asked::Getxattr);
            return reply.error(fuser::Errno::ENOSYS);
        }
        let name = name.as_bytes().to_vec();
        let ask = move |forest: &Forest, inode| {
            let xattrs = forest.xattrs(inode)?;
            Ok(xattrs
                .into_iter()
                .find(|xattr| *xattr.name == *name)
                .map(|xattr| xattr.value))
        };
        self.answer(
            (Asked::Getxattr, inode),
            reply,
            ask,
            move |_, reply, value| match value {
                Some(value) => send_sized(reply, size, &value),
                None => reply.error(fuser::Errno::NO_XATTR),
            },
        );
    }

    fn listxattr(&self, _: &Request, inode: INodeNo, size: u32, reply: ReplyXattr) {
        if !self.shared.forest.may_have_xattrs() {
            self.shared.counts.add(Asked::Listxattr);
            return reply.error(fuser::Errno::ENOSYS);
        }
        self.answer(
            (Asked::Listxattr, inode),
            reply,
            Forest::xattrs,
            move |_, reply, xattrs| {
                let names: Vec<u8> = xattrs
                    .iter()
                    .flat_map(|xattr| xattr.name.iter().copied().chain([0]))
                    .collect();
                send_sized(reply, size, &names);
            },
        );
    }

    fn access(&self, _: &Request, _: INodeNo, _: fuser::AccessFlags, reply: ReplyEmpty) {
        // Never asked when permissions are checked; when they are not, everything is allowed from
        // now on.
        self.shared.counts.add(Asked::Access);
        reply.error(fuser::Errno::ENOSYS);
    }

    fn lseek(
        &self,
        _: &Request,
        inode: INodeNo,
        _: FileHandle,
        offset: i64,
        whence: i32,
        reply: ReplyLseek,
    ) {
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
        self.answer(
            (Asked::Lseek, inode),
            reply,
            ask,
            |_, reply, place| match place.map(i64::try_from) {
                Some(Ok(place)) => reply.offset(place),
                Some(Err(_)) => reply.error(fuser::Errno::EOVERFLOW),
                None => reply.error(fuser::Errno::ENXIO),
            },
        );
    }

    // The mount is read-only, and the kernel refuses changes by itself. Unless somebody remounts
    // it.

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

    fn rename(
        &self,
        _: &Request,
        _: INodeNo,
        _: &OsStr,
        _: INodeNo,
        _: &OsStr,
        _: RenameFlags,
        reply: ReplyEmpty,
    ) {
        self.refuse_change(reply);
    }

    fn link(&self, _: &Request, _: INodeNo, _: INodeNo, _: &OsStr, reply: ReplyEntry) {
        self.refuse_change(reply);
    }

    fn create(
        &self,
        _: &Request,
        _: INodeNo,
        _: &OsStr,
        _: u32,
        _: u32,
        _: i32,
        reply: ReplyCreate,
    ) {
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

    fn setxattr(
        &self,
        _: &Request,
        _: INodeNo,
        _: &OsStr,
        _: &[u8],
        _: i32,
        _: u32,
        reply: ReplyEmpty,
    ) {
        self.refuse_change(reply);
    }

    fn removexattr(&self, _: &Request, _: INodeNo, _: &OsStr, reply: ReplyEmpty) {
        self.refuse_change(reply);
    }

    fn fallocate(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        _: u64,
        _: u64,
        _: i32,
        reply: ReplyEmpty,
    ) {
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
