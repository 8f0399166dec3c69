//! Inode flags, which are set last: some of them keep an entry from being changed, linked or
//! removed.

use super::run::RestoreRun;
use super::{Attempt, EntryError, RestoreSource, Trust};
use crate::model::{Entry, InodeFlags, Kind, Name, TreePath};
use crate::platform::DirHandle;
use std::io;

/// The flags that only root may set.
const OF_ROOT: u32 = InodeFlags::IMMUTABLE | InodeFlags::APPEND_ONLY;

/// An entry that is to get flags.
#[derive(Debug)]
pub(super) struct FlaggedEntry {
    path: TreePath,
    kind: Kind,
    flags: InodeFlags,
}

impl FlaggedEntry {
    /// `None` for an entry without flags.
    fn of(entry: &Entry) -> Option<Self> {
        Some(Self {
            path: entry.path.clone(),
            kind: entry.content.kind(),
            flags: entry.metadata.extensions.inode_flags?,
        })
    }
}

impl<S: RestoreSource> RestoreRun<'_, S> {
    /// Notes the flags of an entry that is there.
    pub(super) fn flag_later(&self, entry: &Entry) {
        let Some(mut flagged) = FlaggedEntry::of(entry) else {
            return;
        };
        // What nobody can remove is no gift from somebody who is not trusted.
        if self.options.trust == Trust::Untrusted {
            self.counts.withheld();
            return;
        }
        if !self.identity.is_root() && flagged.flags.0 & OF_ROOT != 0 {
            self.counts.left_out();
            flagged.flags.0 &= !OF_ROOT;
        }
        if flagged.flags.0 != 0 {
            self.flagged().push(flagged);
        }
    }

    /// Sets all flags, once nothing else is left to do.
    pub(super) fn set_flags(&self, root: &DirHandle) {
        for FlaggedEntry { path, kind, flags } in std::mem::take(&mut *self.flagged()) {
            if let Err(error) = set(root, &path, kind, flags) {
                self.trouble(&path, EntryError::new(Attempt::SetFlags(flags), error));
            }
        }
    }
}

/// Sets the flags of one entry, reached step by step without following links.
fn set(root: &DirHandle, path: &TreePath, kind: Kind, flags: InodeFlags) -> io::Result<()> {
    let mut place: Option<DirHandle> = None;
    let mut names: Vec<Name> = path.components().filter_map(Name::new).collect();
    let last = if kind == Kind::Directory {
        None
    } else {
        names.pop()
    };
    for name in names {
        place = Some(place.as_ref().unwrap_or(root).open_child(&name)?);
    }
    let place = place.as_ref().unwrap_or(root);
    match last {
        Some(name) => place.open_file(&name)?.set_inode_flags(flags),
        None => place.set_inode_flags(flags),
    }
}
