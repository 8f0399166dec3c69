//! The requests of the kernel, one method each.

use super::adapter::{Adapter, Question};
use super::appearance::Permissions;
use super::counts::Asked;
use super::listing::{Filling, placeholder};
use super::reply::{FOREVER, send_sized, time_to_live};
use crate::fs::forest::{Forest, ForestEntry};
use crate::fs::prefetch::AnsweredRead;
use crate::fs::{FilePiece, ReadError};
use fuser::{
    BsdFileFlags, CopyFileRangeFlags, FileHandle, Filesystem, FopenFlags, Generation, INodeNo,
    InitFlags, KernelConfig, LockOwner, OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData,
    ReplyDirectory, ReplyDirectoryPlus, ReplyEmpty, ReplyEntry, ReplyLseek, ReplyOpen, ReplyStatfs,
    ReplyWrite, ReplyXattr, Request, TimeOrNow, WriteFlags,
};
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::SystemTime;

/// Most bytes of one read. The kernel allows as much by default.
const MAX_READ_BYTES: u32 = 1 << 20;
/// Most reads ahead that the kernel may have under way at once.
const MAX_BACKGROUND: u16 = 128;

fn question(asked: Asked, inode: INodeNo) -> Question {
    Question { asked, inode }
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
        // Costs a request for each inode whose ACL is looked at, so only where there may be one.
        if self.state.forest.may_have_xattrs()
            && self.state.appearance.permissions == Permissions::Checked
        {
            wanted |= InitFlags::FUSE_POSIX_ACL;
        }
        let refused = |_| io::Error::other("the kernel refuses a capability that it offers");
        config.add_capabilities(wanted & offered).map_err(refused)?;
        let without_asking = offered.contains(InitFlags::FUSE_NO_OPEN_SUPPORT);
        self.state
            .opens_without_asking
            .store(without_asking, Ordering::Relaxed);
        let without_asking = offered.contains(InitFlags::FUSE_NO_OPENDIR_SUPPORT);
        self.state
            .opens_directories_without_asking
            .store(without_asking, Ordering::Relaxed);
        let number = |nearest| {
            io::Error::other(format!(
                "the kernel accepts only {nearest} where freezer asks for another limit"
            ))
        };
        config.set_max_write(MAX_READ_BYTES).map_err(number)?;
        config
            .set_max_background(MAX_BACKGROUND)
            .map_err(|nearest| number(u32::from(nearest)))?;
        Ok(())
    }

    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let name = name.as_bytes().to_vec();
        self.answer(
            question(Asked::Lookup, parent),
            reply,
            move |forest, parent| {
                Ok(forest
                    .child(parent, &name)?
                    .map(|found| ForestEntry { name: b"", ..found }))
            },
            |state, reply, found| match found {
                Ok(found) => reply.entry_with_ttls(
                    &FOREVER,
                    &time_to_live(found.validity),
                    &state.appearance.attributes(&found),
                    Generation(0),
                ),
                // Inode 0: there is no such entry, and the kernel can keep that too.
                Err(validity) => reply.entry(
                    &time_to_live(validity),
                    &state.appearance.attributes(&placeholder()),
                    Generation(0),
                ),
            },
        );
    }

    fn forget(&self, _: &Request, _: INodeNo, _: u64) {
        self.state.counts.add(Asked::Forget);
    }

    fn getattr(&self, _: &Request, inode: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        self.answer(
            question(Asked::Getattr, inode),
            reply,
            Forest::get,
            |state, reply, found| {
                reply.attr(
                    &time_to_live(found.validity),
                    &state.appearance.attributes(&found),
                );
            },
        );
    }

    fn readlink(&self, _: &Request, inode: INodeNo, reply: ReplyData) {
        self.answer(
            question(Asked::Readlink, inode),
            reply,
            Forest::link_target,
            |_, reply, target| reply.data(&target),
        );
    }

    fn open(&self, _: &Request, _: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        self.state.counts.add(Asked::Open);
        if self.state.opens_without_asking.load(Ordering::Relaxed) {
            reply.error(fuser::Errno::ENOSYS);
        } else {
            reply.opened(FileHandle(0), FopenFlags::FOPEN_KEEP_CACHE);
        }
    }

    fn opendir(&self, _: &Request, _: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        self.state.counts.add(Asked::Opendir);
        if self
            .state
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
            question(Asked::Read, inode),
            reply,
            ask,
            move |state, reply, (file_bytes, pieces)| {
                state.counts.read_bytes.fetch_add(
                    pieces.iter().map(FilePiece::length).sum(),
                    Ordering::Relaxed,
                );
                // Before the answer, so that notes come in the order in which a reader reads.
                state.reads.note(AnsweredRead {
                    inode: inode.0,
                    offset,
                    file_bytes,
                });
                reply.data(&FilePiece::joined(&pieces));
            },
        );
    }

    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        self.state.counts.add(Asked::Flush);
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
        self.state.counts.add(Asked::Release);
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
        self.list(question(Asked::Readdir, inode), offset, Filling::new(reply));
    }

    fn readdirplus(
        &self,
        _: &Request,
        inode: INodeNo,
        _: FileHandle,
        offset: u64,
        reply: ReplyDirectoryPlus,
    ) {
        self.list(
            question(Asked::Readdirplus, inode),
            offset,
            Filling::new(reply),
        );
    }

    fn releasedir(&self, _: &Request, _: INodeNo, _: FileHandle, _: OpenFlags, reply: ReplyEmpty) {
        self.state.counts.add(Asked::Release);
        reply.ok();
    }

    fn statfs(&self, _: &Request, inode: INodeNo, reply: ReplyStatfs) {
        self.answer(
            question(Asked::Statfs, inode),
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
        if !self.state.forest.may_have_xattrs() {
            self.state.counts.add(Asked::Getxattr);
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
            question(Asked::Getxattr, inode),
            reply,
            ask,
            move |_, reply, value| match value {
                Some(value) => send_sized(reply, size, &value),
                None => reply.error(fuser::Errno::NO_XATTR),
            },
        );
    }

    fn listxattr(&self, _: &Request, inode: INodeNo, size: u32, reply: ReplyXattr) {
        if !self.state.forest.may_have_xattrs() {
            self.state.counts.add(Asked::Listxattr);
            return reply.error(fuser::Errno::ENOSYS);
        }
        self.answer(
            question(Asked::Listxattr, inode),
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
        // The kernel does not ask when it checks permissions itself. When it does not check them,
        // this answer has it allow everything from now on.
        self.state.counts.add(Asked::Access);
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
        /// `SEEK_DATA` and `SEEK_HOLE` of `linux/fs.h`. The kernel handles the other values itself.
        const SEEK_DATA: i32 = 3;
        const SEEK_HOLE: i32 = 4;
        let Ok(from) = u64::try_from(offset) else {
            self.state.counts.add(Asked::Lseek);
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
            question(Asked::Lseek, inode),
            reply,
            ask,
            |_, reply, place| match place.map(i64::try_from) {
                Some(Ok(place)) => reply.offset(place),
                Some(Err(_)) => reply.error(fuser::Errno::EOVERFLOW),
                None => reply.error(fuser::Errno::ENXIO),
            },
        );
    }

    // The mount is read-only, so the kernel refuses changes itself, unless somebody has remounted
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
