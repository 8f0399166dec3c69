//! A file system that stops answering some of its calls, or all of them.

use fuser::{
    BackgroundSession, Config, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags,
    Generation, INodeNo, InitFlags, KernelConfig, LockOwner, MountOption, OpenFlags, ReplyAttr,
    ReplyData, ReplyDirectory, ReplyEntry, ReplyOpen, ReplyXattr, Request,
};
use std::any::Any;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

/// A call that may get no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    Lookup,
    Getattr,
    Open,
    Read,
    Opendir,
    Readdir,
    Readlink,
    Listxattr,
}

/// What lies in the root of the file system.
#[derive(Clone, Debug)]
pub enum Node {
    File(Vec<u8>),
    Symlink(&'static str),
    Directory,
}

type Rule = dyn Fn(Ask, &str) -> bool + Send + Sync;

struct HungShared {
    nodes: Vec<(String, Node)>,
    /// Which calls get no answer.
    hangs: Mutex<Arc<Rule>>,
    /// The answers that were not given, and the calls that wait for them.
    kept: Mutex<Vec<Box<dyn Any + Send>>>,
    asked: Mutex<Vec<(Ask, String)>>,
}

/// A mount that hangs as long as the test wants, and not longer.
pub struct HungMount {
    place: PathBuf,
    shared: Arc<HungShared>,
    session: Option<BackgroundSession>,
}

impl HungMount {
    /// Mounts nodes by their names, in order. Everything is answered at first.
    pub fn on(place: &Path, nodes: Vec<(String, Node)>) -> Self {
        let shared = Arc::new(HungShared {
            nodes,
            hangs: Mutex::new(Arc::new(|_, _| false)),
            kept: Mutex::default(),
            asked: Mutex::default(),
        });
        let mut config = Config::default();
        config.mount_options = vec![MountOption::FSName("hung".to_owned())];
        let server = HungServer(Arc::clone(&shared));
        let session = fuser::spawn_mount(server, place, &config).expect("it may mount");
        Self {
            place: place.to_owned(),
            shared,
            session: Some(session),
        }
    }

    /// Sets which calls get no answer from here on.
    pub fn hang(&self, rule: impl Fn(Ask, &str) -> bool + Send + Sync + 'static) {
        *lock(&self.shared.hangs) = Arc::new(rule);
    }

    /// Returns the calls that got no answer.
    pub fn unanswered(&self) -> Vec<(Ask, String)> {
        lock(&self.shared.asked).clone()
    }
}

impl Drop for HungMount {
    fn drop(&mut self) {
        self.hang(|_, _| false);
        lock(&self.shared.kept).clear();
        rustix::mount::unmount(&self.place, rustix::mount::UnmountFlags::DETACH).ok();
        drop(self.session.take());
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

struct HungServer(Arc<HungShared>);

const FOREVER: Duration = Duration::from_secs(3600);

impl HungServer {
    fn name(&self, inode: INodeNo) -> &str {
        let number = usize::try_from(inode.0).unwrap_or(0);
        let node = number.checked_sub(2).and_then(|at| self.0.nodes.get(at));
        node.map_or("", |(name, _)| name)
    }

    fn node(&self, inode: INodeNo) -> Option<&Node> {
        let number = usize::try_from(inode.0).ok()?;
        Some(&self.0.nodes.get(number.checked_sub(2)?)?.1)
    }

    /// Returns the reply if it is to be given; else keeps it.
    fn may<R: Send + 'static>(&self, ask: Ask, name: &str, reply: R) -> Option<R> {
        let rule = Arc::clone(&lock(&self.0.hangs));
        if !rule(ask, name) {
            return Some(reply);
        }
        lock(&self.0.kept).push(Box::new(reply));
        lock(&self.0.asked).push((ask, name.to_owned()));
        None
    }

    fn attributes(&self, inode: INodeNo) -> FileAttr {
        let (kind, size) = match self.node(inode) {
            None | Some(Node::Directory) => (FileType::Directory, 0),
            Some(Node::File(content)) => (FileType::RegularFile, content.len() as u64),
            Some(Node::Symlink(target)) => (FileType::Symlink, target.len() as u64),
        };
        FileAttr {
            ino: inode,
            size,
            blocks: size.div_ceil(512),
            atime: UNIX_EPOCH,
            mtime: UNIX_EPOCH,
            ctime: UNIX_EPOCH,
            crtime: UNIX_EPOCH,
            kind,
            perm: 0o755,
            nlink: 1,
            uid: 0,
            gid: 0,
            rdev: 0,
            blksize: 4096,
            flags: 0,
        }
    }
}

impl Filesystem for HungServer {
    fn init(&mut self, _: &Request, config: &mut KernelConfig) -> std::io::Result<()> {
        // Without it, one call that hangs keeps all others in the same directory waiting.
        let wanted = config.capabilities() & InitFlags::FUSE_PARALLEL_DIROPS;
        config.add_capabilities(wanted).expect("it is offered");
        Ok(())
    }

    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let name = name.to_string_lossy();
        let found = self.0.nodes.iter().position(|(node, _)| *node == name);
        let Some(at) = found.filter(|_| parent.0 == 1) else {
            return reply.error(Errno::ENOENT);
        };
        if let Some(reply) = self.may(Ask::Lookup, &name, reply) {
            let inode = INodeNo(at as u64 + 2);
            reply.entry(&Duration::ZERO, &self.attributes(inode), Generation(0));
        }
    }

    fn getattr(&self, _: &Request, inode: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        if let Some(reply) = self.may(Ask::Getattr, self.name(inode), reply) {
            // The root is asked for again each time, so that it can hang later.
            let lasts = if inode.0 == 1 {
                Duration::ZERO
            } else {
                FOREVER
            };
            reply.attr(&lasts, &self.attributes(inode));
        }
    }

    fn readlink(&self, _: &Request, inode: INodeNo, reply: ReplyData) {
        if let Some(reply) = self.may(Ask::Readlink, self.name(inode), reply) {
            match self.node(inode) {
                Some(Node::Symlink(target)) => reply.data(target.as_bytes()),
                _ => reply.error(Errno::EINVAL),
            }
        }
    }

    fn open(&self, _: &Request, inode: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        if let Some(reply) = self.may(Ask::Open, self.name(inode), reply) {
            reply.opened(FileHandle(0), FopenFlags::empty());
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
        if let Some(reply) = self.may(Ask::Read, self.name(inode), reply) {
            let Some(Node::File(content)) = self.node(inode) else {
                return reply.error(Errno::EISDIR);
            };
            let from = usize::try_from(offset).expect("fits").min(content.len());
            let to = (from + size as usize).min(content.len());
            reply.data(&content[from..to]);
        }
    }

    fn opendir(&self, _: &Request, inode: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        if let Some(reply) = self.may(Ask::Opendir, self.name(inode), reply) {
            reply.opened(FileHandle(0), FopenFlags::empty());
        }
    }

    fn readdir(
        &self,
        _: &Request,
        inode: INodeNo,
        _: FileHandle,
        offset: u64,
        reply: ReplyDirectory,
    ) {
        let Some(mut reply) = self.may(Ask::Readdir, self.name(inode), reply) else {
            return;
        };
        if inode.0 == 1 {
            let skipped = usize::try_from(offset).expect("fits");
            for (at, (name, node)) in self.0.nodes.iter().enumerate().skip(skipped) {
                let kind = match node {
                    Node::File(_) => FileType::RegularFile,
                    Node::Symlink(_) => FileType::Symlink,
                    Node::Directory => FileType::Directory,
                };
                if reply.add(INodeNo(at as u64 + 2), at as u64 + 1, kind, name) {
                    break;
                }
            }
        }
        reply.ok();
    }

    fn listxattr(&self, _: &Request, inode: INodeNo, size: u32, reply: ReplyXattr) {
        if let Some(reply) = self.may(Ask::Listxattr, self.name(inode), reply) {
            if size == 0 {
                reply.size(0);
            } else {
                reply.data(&[]);
            }
        }
    }
}
