//! Whether an entry is still what an earlier level says of it.

use crate::model::{Content, Entry, Kind, NodeId, Time};
use crate::platform::{Sort, Stat};

/// The inode number of an entry that was not read as a whole. No file has it, so the next run reads
/// the file again.
pub(super) const UNSURE: u64 = 0;

/// An entry of the point in time that a level is compared with.
#[derive(Clone, Debug)]
pub(super) struct Previous {
    pub(super) node: NodeId,
    pub(super) entry: Entry,
    /// Whether it had another path.
    pub(super) is_moved: bool,
}

impl Previous {
    pub(super) fn is_directory(&self) -> bool {
        self.entry.content == Content::Directory
    }
}

/// How an entry differs from the one of the same path in the point in time before.
#[derive(Clone, Debug)]
pub(super) enum Change {
    /// There was none.
    New,
    /// It differs.
    Changed,
    /// It is the same.
    Unchanged {
        /// The entry before.
        node: NodeId,
        /// The entry that the one before was a hard link to.
        was_link_to: Option<NodeId>,
    },
}

impl Change {
    /// Returns the change of an entry that is not as `previous` was.
    pub(super) fn against(previous: Option<&Previous>) -> Self {
        if previous.is_some() {
            Self::Changed
        } else {
            Self::New
        }
    }
}

/// Which metadata of the source's file system cannot be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Lies {
    /// The file system does not keep ctime: only mtime shows a change.
    pub ctime: bool,
    /// The file system gives other inode and device numbers each time it is mounted.
    pub inode: bool,
}

/// The evidence that the content of a file has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Evidence {
    /// Its times, size, inode and device.
    #[default]
    Metadata,
    /// Its content: each file is read and compared with its stored content.
    Content,
}

/// How a file is stored whose content is the same and whose name or metadata is new.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum SameContent {
    /// Its content is not stored again: the index says where it is.
    #[default]
    Lean,
    /// It is stored whole, so that the streams of the levels alone, one after the other, make the
    /// tree.
    Store,
}

/// The rules by which entries are compared with one point in time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Comparison {
    /// A change at this time or later proves nothing: a second one in the same tick of the file
    /// system's clock may have followed after the file was read.
    pub(super) trusted_before: Time,
    pub(super) lies: Lies,
    pub(super) same_content: SameContent,
}

/// How much of an earlier entry is still right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Likeness {
    /// All of it.
    Same,
    /// Its content, provided that other metadata explains why its ctime differs.
    Content,
    /// Nothing is known to be.
    None,
}

impl Comparison {
    /// Compares an earlier entry with the file that is there now.
    pub(super) fn judge(&self, previous: &Entry, now: &Stat) -> Likeness {
        let metadata = &previous.metadata;
        let was_read_right = metadata.inode != UNSURE && metadata.extensions.understood().is_ok();
        let is_same_thing =
            self.lies.inode || (metadata.device, metadata.inode) == (now.device, now.inode);
        let last_change = if self.lies.ctime {
            metadata.mtime
        } else {
            metadata.ctime
        };
        let is_settled = last_change < self.trusted_before;
        let has_same_content =
            metadata.mtime == now.mtime && has_same_shape(&previous.content, now);
        if !(was_read_right && is_same_thing && is_settled && has_same_content) {
            return Likeness::None;
        }
        if metadata.ctime == now.ctime && looks_the_same(previous, now) {
            Likeness::Same
        } else {
            Likeness::Content
        }
    }

    /// Returns whether a file under a new name may have had another name before. Renaming changes
    /// the ctime. A file keeps its mtime; a directory may have been changed since.
    pub(super) fn may_have_moved(&self, now: &Stat) -> bool {
        let is_renamed = self.lies.ctime || now.ctime >= self.trusted_before;
        let is_old = now.sort == Sort::Kept(Kind::Directory) || now.mtime < self.trusted_before;
        self.same_content == SameContent::Lean && !self.lies.inode && is_renamed && is_old
    }

    /// Compares two entries of the same content, once everything of the new one is read: metadata
    /// that `stat` does not show may differ.
    pub(super) fn judge_metadata(&self, previous: &Entry, now: &Entry) -> Likeness {
        match (is_same_but_for_ctime(previous, now), self.lies.ctime) {
            (false, _) => Likeness::Content,
            (true, true) => Likeness::Same,
            // Something changed the ctime, and nothing shows what. It may be new content whose
            // mtime was set back.
            (true, false) => Likeness::None,
        }
    }
}

/// Returns whether two entries of the same content agree in everything that a restore brings back.
fn is_same_but_for_ctime(previous: &Entry, now: &Entry) -> bool {
    let (before, after) = (&previous.metadata, &now.metadata);
    let owner = (before.owner.uid, before.owner.gid) == (after.owner.uid, after.owner.gid);
    owner
        && (before.mode, before.links) == (after.mode, after.links)
        && before.xattrs == after.xattrs
        && before.extensions.inode_flags == after.extensions.inode_flags
}

fn has_same_shape(previous: &Content, now: &Stat) -> bool {
    let same_kind = now.sort == Sort::Kept(previous.kind());
    same_kind
        && match previous {
            Content::File { size, .. } => *size == now.size,
            Content::CharDevice(numbers) | Content::BlockDevice(numbers) => *numbers == now.rdev,
            Content::Directory | Content::Symlink(_) | Content::Fifo => true,
        }
}

fn looks_the_same(previous: &Entry, now: &Stat) -> bool {
    let metadata = &previous.metadata;
    // Some file systems count a link for each subdirectory and others do not. The mtime of a
    // directory shows both.
    let links = previous.content.kind() == Kind::Directory || metadata.links == now.links;
    links
        && metadata.mode == now.mode
        && (metadata.owner.uid, metadata.owner.gid) == (now.uid, now.gid)
}

#[cfg(test)]
mod tests {
    use super::{Comparison, Lies, Likeness, SameContent, UNSURE};
    use crate::model::{Content, Device, Entry, Kind, Metadata, Time, TreePath};
    use crate::platform::{Sort, Stat};

    fn stat() -> Stat {
        Stat {
            sort: Sort::Kept(Kind::File),
            mode: 0o644,
            uid: 1,
            gid: 2,
            size: 10,
            mtime: Time::new(100, 5),
            ctime: Time::new(200, 6),
            device: 7,
            inode: 8,
            links: 1,
            blocks: 8,
            rdev: Device { major: 0, minor: 0 },
        }
    }

    fn entry() -> Entry {
        let Stat {
            mode,
            mtime,
            ctime,
            device,
            inode,
            links,
            blocks,
            ..
        } = stat();
        let owner = crate::model::Owner {
            uid: 1,
            gid: 2,
            ..Default::default()
        };
        let metadata = Metadata {
            mode,
            owner,
            mtime,
            ctime,
            device,
            inode,
            links,
            blocks,
            xattrs: Vec::new(),
            signatures: Vec::new(),
            extensions: crate::model::Extensions::default(),
        };
        Entry {
            path: TreePath::root(),
            metadata,
            content: Content::File {
                size: 10,
                extents: Vec::new(),
            },
            link_to: None,
        }
    }

    fn judge(lies: Lies, previous: &Entry, now: &Stat) -> Likeness {
        Comparison {
            trusted_before: Time::new(1000, 0),
            lies,
            same_content: SameContent::default(),
        }
        .judge(previous, now)
    }

    #[test]
    fn an_entry_that_differs_in_nothing_is_the_same() {
        assert_eq!(judge(Lies::default(), &entry(), &stat()), Likeness::Same);
        // Some file systems allocate space late.
        assert_eq!(
            judge(
                Lies::default(),
                &entry(),
                &Stat {
                    blocks: 16,
                    ..stat()
                }
            ),
            Likeness::Same
        );
    }

    #[test]
    fn a_difference_that_may_mean_new_content_counts() {
        let others = [
            Stat { size: 11, ..stat() },
            Stat {
                mtime: Time::new(100, 6),
                ..stat()
            },
            Stat {
                device: 9,
                ..stat()
            },
            Stat { inode: 9, ..stat() },
            Stat {
                sort: Sort::Kept(Kind::Fifo),
                ..stat()
            },
        ];
        for other in others {
            assert_eq!(
                judge(Lies::default(), &entry(), &other),
                Likeness::None,
                "{other:?}"
            );
        }
        let mut fresh = entry();
        fresh.metadata.ctime = Time::new(1000, 0);
        let now = Stat {
            ctime: Time::new(1000, 0),
            ..stat()
        };
        assert_eq!(
            judge(Lies::default(), &fresh, &now),
            Likeness::None,
            "the file was read in the tick of its change"
        );
        let mut unsure = entry();
        unsure.metadata.inode = UNSURE;
        assert_eq!(
            judge(
                Lies {
                    inode: true,
                    ctime: true
                },
                &unsure,
                &stat()
            ),
            Likeness::None
        );
    }

    #[test]
    fn other_metadata_means_the_same_content() {
        let others = [
            Stat {
                ctime: Time::new(201, 0),
                ..stat()
            },
            Stat {
                ctime: Time::new(5000, 0),
                ..stat()
            },
            Stat {
                mode: 0o600,
                ..stat()
            },
            Stat { uid: 3, ..stat() },
            Stat { gid: 3, ..stat() },
            Stat { links: 2, ..stat() },
        ];
        for other in others {
            assert_eq!(
                judge(Lies::default(), &entry(), &other),
                Likeness::Content,
                "{other:?}"
            );
        }
    }

    #[test]
    fn metadata_that_lies_is_ignored() {
        let remounted = Stat {
            device: 70,
            inode: 80,
            ..stat()
        };
        assert_eq!(
            judge(
                Lies {
                    inode: true,
                    ctime: false
                },
                &entry(),
                &remounted
            ),
            Likeness::Same
        );
        let now = Stat {
            ctime: Time::new(5000, 0),
            ..stat()
        };
        assert_eq!(
            judge(
                Lies {
                    inode: false,
                    ctime: true
                },
                &entry(),
                &now
            ),
            Likeness::Content
        );
        assert_eq!(
            judge(
                Lies {
                    inode: false,
                    ctime: true
                },
                &entry(),
                &Stat {
                    mtime: Time::new(100, 6),
                    ..now
                }
            ),
            Likeness::None
        );
    }
}
