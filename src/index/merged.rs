//! A cursor through the runs of a tree as one.

use super::error::Flaw;
use super::layers::{Layers, is_gone};
use super::run::{Cursor, Item};
use super::{BlockPlace, IndexError, key};
use std::borrow::Cow;

impl Layers {
    /// Returns a cursor at the first entry whose key is not less than `key`.
    pub(super) fn seek(&self, key: &[u8]) -> Result<Merged, IndexError> {
        let mut cursors = Vec::with_capacity(self.len());
        let mut from = Cow::Borrowed(key);
        for layer in self.each().rev() {
            cursors.push(layer.run.seek(&from)?);
            // Older runs have nothing in a subtree that is gone.
            if let Some(after) = layer.gone_above(&from)?.map(key::after_subtree) {
                from = Cow::Owned(after);
            }
        }
        cursors.reverse();
        let mut merged = Merged {
            layers: self.clone(),
            cursors,
            first: 0,
            second: None,
        };
        merged.settle()?;
        Ok(merged)
    }
}

/// A cursor through all runs of a tree: at an entry, or past the last. It must not be used after an
/// error.
#[derive(Clone, Debug)]
pub(super) struct Merged {
    layers: Layers,
    /// One cursor for each run, at the first entry not passed yet.
    cursors: Vec<Cursor>,
    /// The run at the least key; if several are, the newest of them.
    first: usize,
    /// The run at the least key of all other runs.
    second: Option<usize>,
}

impl Merged {
    fn item(&self, run: usize) -> Option<Item<'_>> {
        self.cursors.get(run).and_then(Cursor::current)
    }

    /// Returns the current entry and its run; `None` past the last.
    pub(super) fn current(&self) -> Option<(usize, Item<'_>)> {
        Some((self.first, self.item(self.first)?))
    }

    /// Moves to the next entry.
    pub(super) fn advance(&mut self) -> Result<(), IndexError> {
        self.step(self.first)?;
        let stays_first = match (
            self.item(self.first),
            self.second.and_then(|second| self.item(second)),
        ) {
            (None, _) => self.second.is_none(),
            (Some(item), None) => !is_gone(self.first, item),
            (Some(item), Some(other)) => item.key < other.key && !is_gone(self.first, item),
        };
        if stays_first { Ok(()) } else { self.settle() }
    }

    /// Moves to the first entry whose key is not less than `key`.
    pub(super) fn seek(&mut self, key: &[u8]) -> Result<(), IndexError> {
        *self = self.layers.seek(key)?;
        Ok(())
    }

    /// Makes an error about the current entry.
    pub(super) fn malformed(&self, flaw: Flaw) -> IndexError {
        self.cursors.get(self.first).map_or_else(
            || flaw.clone().within(BlockPlace::Root),
            |cursor| cursor.malformed(flaw.clone()),
        )
    }

    fn step(&mut self, run: usize) -> Result<(), IndexError> {
        self.cursors.get_mut(run).map_or(Ok(()), Cursor::advance)
    }

    /// Passes marks, and the entries that they remove.
    fn settle(&mut self) -> Result<(), IndexError> {
        loop {
            self.choose()?;
            let Some((run, item)) = self.current().filter(|(run, item)| is_gone(*run, *item))
            else {
                return Ok(());
            };
            if key::is_subtree(item.key) {
                key::check_subtree(item.key).map_err(|flaw| self.malformed(flaw))?;
                let subtree = item.key.to_vec();
                let after = key::after_subtree(&subtree);
                for (cursor, layer) in self.cursors.iter_mut().zip(self.layers.each()).take(run) {
                    if cursor
                        .current()
                        .is_some_and(|item| item.key.starts_with(&subtree))
                    {
                        *cursor = layer.run.seek(&after)?;
                    }
                }
            }
            self.step(run)?;
        }
    }

    /// Finds the run with the least key, and moves older runs past the same key.
    fn choose(&mut self) -> Result<(), IndexError> {
        use std::cmp::Ordering::{Equal, Greater, Less};
        let (mut first, mut second) = (None::<usize>, None::<usize>);
        for run in (0..self.cursors.len()).rev() {
            let order = loop {
                let Some(item) = self.item(run) else {
                    break None;
                };
                match first
                    .and_then(|first| self.item(first))
                    .map_or(Less, |least| item.key.cmp(least.key))
                {
                    Equal => self.step(run)?,
                    order => break Some(order),
                }
            };
            match order {
                Some(Less) => (first, second) = (Some(run), first),
                Some(Greater) => {
                    let is_less = |other| {
                        self.item(run).map(|item| item.key) < self.item(other).map(|item| item.key)
                    };
                    if second.is_none_or(is_less) {
                        second = Some(run);
                    }
                }
                Some(Equal) | None => {}
            }
        }
        self.first = first.unwrap_or(0);
        self.second = second;
        Ok(())
    }
}
