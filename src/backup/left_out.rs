//! What a walk keeps out of a backup by itself, and tells of: stores, mounts of backups, the file
//! systems of the kernel, and on request every other file system.

use super::step::WalkedDirectory;
use crate::model::TreePath;
use crate::platform::{DirHandle, Mount, Stat, mounts};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt;
use std::sync::Mutex;

/// A directory that a backup holds without its content, though nobody named it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// Its path in the tree of the backup.
    pub path: TreePath,
    /// Why its content is not in the backup.
    pub why: WhyLeftOut,
}

/// Why the content of a directory is not in a backup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WhyLeftOut {
    /// It is the store that the backup goes to.
    Store,
    /// Backups are mounted there: each run would double them.
    Backups,
    /// The kernel makes its content up. This is the kind of file system, such as `proc`.
    Kernel(String),
    /// Another file system is mounted there, and the run stays on its own.
    OtherFileSystem,
    /// It is a subvolume of its own, and the run stays on its file system.
    Subvolume,
}

impl fmt::Display for WhyLeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store => f.write_str("it is the store of the backup"),
            Self::Backups => f.write_str("backups are mounted there"),
            Self::Kernel(kind) => write!(f, "it is a file system of the kernel ({kind})"),
            Self::OtherFileSystem => f.write_str("it is another file system"),
            Self::Subvolume => f.write_str("it is another subvolume"),
        }
    }
}

/// How a directory is treated on which another file system begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Mounts {
    /// It is walked like any other, unless the kernel makes its content up.
    #[default]
    Cross,
    /// It is kept as an empty directory.
    Stay,
    /// It is kept as an empty directory, unless it is a subvolume of the same file system.
    StayButSubvolumes,
}

/// Kinds of file systems whose content the kernel makes up (proc(5), filesystems(5)), and those in
/// which desktops show what lies elsewhere. Backups of the whole machine are no use with them.
const OF_THE_KERNEL: [&str; 22] = [
    "autofs",
    "binfmt_misc",
    "bpf",
    "cgroup",
    "cgroup2",
    "configfs",
    "debugfs",
    "devpts",
    "devtmpfs",
    "efivarfs",
    "fuse.gvfsd-fuse",
    "fuse.portal",
    "fusectl",
    "hugetlbfs",
    "mqueue",
    "nsfs",
    "proc",
    "pstore",
    "rpc_pipefs",
    "securityfs",
    "sysfs",
    "tracefs",
];

/// The kind of our own mounts.
const OURS: &str = "fuse.freezer";

/// Most directories that are remembered for the report.
const MOST_TOLD: usize = 1000;

/// The borders of a walk.
pub(super) struct Borders<'run> {
    /// Device and inode of the stores.
    pub(super) stores: &'run [(u64, u64)],
    pub(super) mounts: Mounts,
    /// Devices of the sources that the user named: nothing of them is left out.
    pub(super) asked: HashSet<u64>,
    /// Directories that lead to a source. They are always entered.
    pub(super) leading: BTreeSet<TreePath>,
}

/// Decides at each border, and remembers what was left out.
pub(super) struct BorderGuard<'run> {
    borders: &'run Borders<'run>,
    /// The table of mounts by number, read when an unknown mount is met.
    table: HashMap<u64, Mount>,
    told: &'run Mutex<Vec<LeftOut>>,
}

impl<'run> BorderGuard<'run> {
    pub(super) fn new(borders: &'run Borders<'run>, told: &'run Mutex<Vec<LeftOut>>) -> Self {
        Self {
            borders,
            table: HashMap::new(),
            told,
        }
    }

    /// Returns whether the walk enters a directory that it has opened in `parent`. Asks the table
    /// of mounts, and no file system.
    pub(super) fn enters(
        &mut self,
        parent: &WalkedDirectory,
        child: &DirHandle,
        stat: Option<&Stat>,
        path: &TreePath,
    ) -> bool {
        let Some(why) = stat.and_then(|stat| self.reason(parent, child, stat, path)) else {
            return true;
        };
        tracing::info!(directory = %path, "left out: {why}");
        if let Ok(mut told) = self.told.lock()
            && told.len() < MOST_TOLD
        {
            told.push(LeftOut {
                path: path.clone(),
                why,
            });
        }
        false
    }

    fn reason(
        &mut self,
        parent: &WalkedDirectory,
        child: &DirHandle,
        stat: &Stat,
        path: &TreePath,
    ) -> Option<WhyLeftOut> {
        if self.borders.stores.contains(&(stat.device, stat.inode)) {
            return Some(WhyLeftOut::Store);
        }
        let handle = parent.access.handle()?;
        let is_border = parent.device? != stat.device;
        let is_asked = self.borders.asked.contains(&stat.device);
        if !is_border || is_asked || self.borders.leading.contains(path) {
            return None;
        }
        let is_mount = match (handle.mount(), child.mount()) {
            (Ok(outside), Ok(inside)) => outside != inside,
            _ => true,
        };
        let kind = child.mount().ok().filter(|_| is_mount);
        match kind.and_then(|mount| self.kind(mount)) {
            Some(kind) if kind == OURS => return Some(WhyLeftOut::Backups),
            Some(kind) if OF_THE_KERNEL.contains(&kind.as_str()) => {
                return Some(WhyLeftOut::Kernel(kind));
            }
            _ => {}
        }
        match (self.borders.mounts, is_mount) {
            (Mounts::Cross, _) | (Mounts::StayButSubvolumes, false) => None,
            (Mounts::Stay | Mounts::StayButSubvolumes, true) => Some(WhyLeftOut::OtherFileSystem),
            (Mounts::Stay, false) => Some(WhyLeftOut::Subvolume),
        }
    }

    /// Returns the kind of file system of a mount; `None` where the system does not tell.
    fn kind(&mut self, mount: u64) -> Option<String> {
        if !self.table.contains_key(&mount) {
            // Mounts come and go while a run is under way.
            let table = mounts().ok()?;
            self.table = table.into_iter().map(|mount| (mount.id, mount)).collect();
        }
        Some(self.table.get(&mount)?.kind.clone())
    }
}
