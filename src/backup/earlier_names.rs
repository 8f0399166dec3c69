//! The names that a directory had in the base, beside those that it has now.

use super::base::Base;
use super::compare::Previous;
use crate::index::Children;
use std::cmp::Ordering;
use std::error::Error;

/// Goes through the names of a directory in the base, in order. Reads the index only as far as it
/// is asked.
pub(super) struct EarlierNames<'base> {
    base: &'base Base,
    children: Option<Children>,
    next: Option<Previous>,
    has_lost: bool,
    /// Whether the directory had another path: its entries are then counted as gone there.
    is_moved: bool,
}

impl<'base> EarlierNames<'base> {
    /// Starts with the first name in `directory`.
    pub(super) fn of(base: &'base Base, directory: &Previous) -> Self {
        let children = directory
            .is_directory()
            .then(|| base.tree.children(directory.node, None));
        Self {
            base,
            children,
            next: None,
            has_lost: false,
            is_moved: directory.is_moved,
        }
    }

    /// Returns the entry under `name`. The caller asks for names in their order; the names between
    /// two questions are gone.
    pub(super) fn find(&mut self, name: &[u8]) -> Option<Previous> {
        loop {
            let next = self.next.take().or_else(|| self.read())?;
            match next.entry.path.file_name().cmp(name) {
                Ordering::Less => self.lost(&next),
                Ordering::Equal => return Some(next),
                Ordering::Greater => {
                    self.next = Some(next);
                    return None;
                }
            }
        }
    }

    /// Takes all remaining names for gone. Returns whether any name of the directory is gone.
    pub(super) fn finish(mut self) -> bool {
        while let Some(gone) = self.next.take().or_else(|| self.read()) {
            self.lost(&gone);
        }
        self.has_lost
    }

    fn lost(&mut self, gone: &Previous) {
        self.has_lost = true;
        if !self.is_moved {
            self.base.count_removed(gone);
        }
    }

    fn read(&mut self) -> Option<Previous> {
        match self.children.as_mut()?.next()? {
            Ok((node, entry)) => Some(self.base.previous(node, entry, self.is_moved)),
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn Error,
                    "could not read part of the previous level's index; its files are stored again"
                );
                self.children = None;
                None
            }
        }
    }
}
