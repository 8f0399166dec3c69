//! Finds files whose content earlier levels, or interrupted runs, have stored.

use super::child::ListedChild;
use super::{StepReader, extensions};
use crate::backup::base::Base;
use crate::backup::compare::{Change, Likeness, Previous, SameContent};
use crate::backup::read_step::{ReadEntry, SourceFile};
use crate::backup::unread::Unread;
use crate::model::{Entry, Extensions, Kind};
use crate::platform::Stat;
use std::sync::Arc;

impl StepReader<'_> {
    /// Returns a file whose content the base has. The file is opened only if its metadata may
    /// differ.
    pub(super) fn kept_file(&self, child: &ListedChild<'_>) -> Result<Option<ReadEntry>, Unread> {
        let Some(base) = &self.earlier.base else {
            return Ok(None);
        };
        let previous = child
            .found
            .filter(|previous| previous.entry.content.kind() == Kind::File);
        if previous.is_none() && !child.is_listed_file() {
            return Ok(None);
        }
        let stat = child.stat()?;
        if let Some(moved) = self.moved_file(base, child, &stat) {
            return Ok(Some(moved));
        }
        let Some(previous) = previous.filter(|previous| !previous.is_moved) else {
            return Ok(None);
        };
        Ok(if self.earlier.stored.is_some() {
            self.compared_file(base, previous, child, &stat)
        } else {
            self.trusted_file(base, previous, child, &stat)
        })
    }

    /// Returns a file that had another path, even if another file had this one. The new name
    /// explains why its ctime differs.
    fn moved_file(&self, base: &Base, child: &ListedChild<'_>, stat: &Stat) -> Option<ReadEntry> {
        let previous = child
            .found
            .filter(|previous| previous.entry.content.kind() == Kind::File);
        let may_be = |entry: &Entry| base.comparison.judge(entry, stat) != Likeness::None;
        let moved = match previous {
            Some(previous) if previous.is_moved => Some(previous.clone()),
            Some(previous) if may_be(&previous.entry) => None,
            _ => base.moved(stat),
        };
        let moved = moved
            .filter(|moved| may_be(&moved.entry))
            .filter(|moved| self.may_keep(child, stat, &moved.entry))?;
        let entry = self.with_content_of(&moved.entry, child, stat);
        let change = Change::against(previous.filter(|previous| !previous.is_moved));
        Some(ReadEntry::kept(entry, change, stat))
    }

    /// Judges a file of the same path by its metadata.
    fn trusted_file(
        &self,
        base: &Base,
        previous: &Previous,
        child: &ListedChild<'_>,
        stat: &Stat,
    ) -> Option<ReadEntry> {
        let comparison = &base.comparison;
        match comparison.judge(&previous.entry, stat) {
            Likeness::None => None,
            Likeness::Same => Some(ReadEntry::unchanged(previous, stat)),
            Likeness::Content => {
                let entry = self.with_content_of(&previous.entry, child, stat);
                match comparison.judge_metadata(&previous.entry, &entry) {
                    Likeness::Same => Some(ReadEntry::unchanged(previous, stat)),
                    Likeness::Content => (comparison.same_content == SameContent::Lean)
                        .then(|| ReadEntry::kept(entry, Change::Changed, stat)),
                    Likeness::None => None,
                }
            }
        }
    }

    /// Judges a file of the same path by its content, whatever its metadata says.
    fn compared_file(
        &self,
        base: &Base,
        previous: &Previous,
        child: &ListedChild<'_>,
        stat: &Stat,
    ) -> Option<ReadEntry> {
        let comparison = &base.comparison;
        let likeness = comparison.judge(&previous.entry, stat);
        let is_same = likeness == Likeness::Same;
        if !self.may_keep(child, stat, &previous.entry) {
            if is_same {
                tracing::warn!(
                    path = %child.path,
                    "its content differs from what is stored, but its metadata shows no change"
                );
            }
            return None;
        }
        let entry = self.with_content_of(&previous.entry, child, stat);
        let differs_in_nothing = || match likeness {
            Likeness::Content => {
                comparison.judge_metadata(&previous.entry, &entry) == Likeness::Same
            }
            Likeness::Same | Likeness::None => entry.metadata == previous.entry.metadata,
        };
        if is_same || differs_in_nothing() {
            return Some(ReadEntry::unchanged(previous, stat));
        }
        let is_lean = comparison.same_content == SameContent::Lean;
        is_lean.then(|| ReadEntry::kept(entry, Change::Changed, stat))
    }

    /// Returns a file whose content an interrupted run has stored.
    pub(super) fn taken_file(&self, child: &ListedChild<'_>) -> Result<Option<ReadEntry>, Unread> {
        let resumed = self.earlier.resumed.as_ref();
        let Some(resumed) = resumed.filter(|_| child.is_listed_file()) else {
            return Ok(None);
        };
        let stat = child.stat()?;
        let Some(taken) = resumed.find(child.path, &stat) else {
            return Ok(None);
        };
        let earlier = taken.previous;
        let entry = if taken.likeness == Likeness::Same && !earlier.is_moved {
            Entry {
                link_to: None,
                ..earlier.entry
            }
        } else {
            let entry = self.with_content_of(&earlier.entry, child, &stat);
            // A new name explains why the ctime differs.
            if !earlier.is_moved
                && taken.comparison.judge_metadata(&earlier.entry, &entry) == Likeness::None
            {
                return Ok(None);
            }
            entry
        };
        Ok(self
            .may_keep(child, &stat, &entry)
            .then(|| ReadEntry::kept(entry, child.change(), &stat)))
    }

    /// Returns whether a file has the content of an earlier entry, as far as contents are compared.
    fn may_keep(&self, child: &ListedChild<'_>, stat: &Stat, earlier: &Entry) -> bool {
        self.earlier.stored.as_ref().is_none_or(|stored| {
            let file = child
                .directory
                .open_file(child.name)
                .map(|handle| SourceFile {
                    handle: Arc::new(handle),
                    stat: stat.clone(),
                });
            file.is_ok_and(|file| stored.is_that_of(&file, earlier))
        })
    }

    /// Returns the extensions of a file whose content need not be read. A file that this user may not
    /// open keeps no flags.
    fn extensions_of(child: &ListedChild<'_>) -> Extensions {
        child.directory.open_file(child.name).map_or_else(
            |_| extensions::of_unopened(child),
            |file| extensions::of_file(child.path, &file),
        )
    }

    /// Returns the entry of a file as it is now, with the content of an earlier one.
    fn with_content_of(&self, earlier: &Entry, child: &ListedChild<'_>, stat: &Stat) -> Entry {
        let xattrs = self.attributes(
            child.path,
            self.xattrs.of_child(child.directory, child.name),
        );
        let mut entry = self.entry(child.path, stat, xattrs, earlier.content.clone());
        entry
            .metadata
            .signatures
            .clone_from(&earlier.metadata.signatures);
        entry.metadata.extensions = Extensions {
            content_hash: earlier.metadata.extensions.content_hash,
            ..Self::extensions_of(child)
        };
        entry
    }
}
