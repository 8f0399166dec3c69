//! Several points in time side by side: each path once, with what it was in each.

use super::ReadError;
use super::view::View;
use crate::model::{Content, Entry, NodeId, TreePath};
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// A path, and what it was: pairs of a point in time, by its place among those that were asked for, and the entry there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moment {
    /// The path.
    pub path: TreePath,
    /// In ascending order of the points in time; those where there is nothing are missing.
    pub entries: Vec<(usize, Entry)>,
}

/// The entries of a tree in index order.
type Entries = Box<dyn Iterator<Item = Result<(NodeId, Entry), ReadError>>>;

/// Goes through several trees at once in index order. Memory holds an entry and some blocks of each.
pub struct Timeline {
    trees: Vec<Entries>,
    heads: Vec<Option<Entry>>,
    /// The heads, the first in index order on top.
    order: BinaryHeap<Reverse<(Vec<u8>, usize)>>,
    failed: Option<ReadError>,
}

impl Timeline {
    /// Begins with the roots of these points in time.
    pub fn new(views: &[View]) -> Self {
        let trees: Vec<Entries> = views.iter().map(|view| Box::new(view.all()) as Entries).collect();
        let heads = trees.iter().map(|_| None).collect();
        let mut timeline = Self { trees, heads, order: BinaryHeap::new(), failed: None };
        (0..views.len()).for_each(|at| timeline.advance(at));
        timeline
    }

    fn advance(&mut self, at: usize) {
        let (Some(tree), Some(head)) = (self.trees.get_mut(at), self.heads.get_mut(at)) else { return };
        match tree.next() {
            None => {}
            Some(Ok((_, entry))) => {
                self.order.push(Reverse((sort_key(&entry.path), at)));
                *head = Some(entry);
            }
            Some(Err(error)) => {
                self.failed.get_or_insert(error);
            }
        }
    }
}

impl Iterator for Timeline {
    type Item = Result<Moment, ReadError>;

    /// The next path; after an error there is no more.
    fn next(&mut self) -> Option<Self::Item> {
        if let Some(error) = self.failed.take() {
            self.order.clear();
            return Some(Err(error));
        }
        let Reverse((key, first)) = self.order.pop()?;
        let mut places = vec![first];
        while self.order.peek().is_some_and(|Reverse((other, _))| *other == key) {
            places.extend(self.order.pop().map(|Reverse((_, at))| at));
        }
        let mut entries = Vec::with_capacity(places.len());
        for at in places {
            entries.extend(self.heads.get_mut(at).and_then(Option::take).map(|entry| (at, entry)));
            self.advance(at);
        }
        let path = entries.first().map(|(_, entry)| entry.path.clone())?;
        Some(Ok(Moment { path, entries }))
    }
}

/// What sorts paths as the index does: the entries of a directory together, before those of its subdirectories.
fn sort_key(path: &TreePath) -> Vec<u8> {
    let mut key = Vec::with_capacity(path.as_bytes().len() + 2);
    if let Some(parent) = path.parent() {
        for component in parent.components() {
            key.extend_from_slice(component);
            key.push(0);
        }
        key.push(0);
        key.extend_from_slice(path.file_name());
    }
    key
}

/// In what two entries of one path differ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// One is a file and the other a directory, say.
    pub kind: bool,
    /// The content of a file was stored anew; a link has another target, a device other numbers.
    pub content: bool,
    /// Permission bits.
    pub mode: bool,
    /// User or group.
    pub owner: bool,
    /// Time of the last change of the content.
    pub mtime: bool,
    /// Extended attributes, ACLs among them.
    pub xattrs: bool,
}

/// Whether nothing can have been written to a file between the two.
fn is_same_file(before: &Entry, after: &Entry) -> bool {
    let (Content::File { size: old, .. }, Content::File { size: new, .. }) = (&before.content, &after.content) else { return false };
    old == new && before.metadata.mtime == after.metadata.mtime && before.metadata.ctime == after.metadata.ctime
}

impl Difference {
    /// Compares two entries. Reads no content: that of a file is the same when the same stored bytes make it up, and when size, mtime
    /// and ctime are the same: a backup stores again what was changed just before the last one.
    pub fn between(before: &Entry, after: &Entry) -> Self {
        let (old, new) = (&before.metadata, &after.metadata);
        let is_directory = before.content.kind() == crate::model::Kind::Directory;
        Self {
            kind: before.content.kind() != after.content.kind(),
            content: before.content != after.content && !is_same_file(before, after),
            mode: old.mode != new.mode,
            owner: old.owner != new.owner,
            // A directory's changes with what is in it, which is told of itself.
            mtime: old.mtime != new.mtime && !(is_directory && after.content == Content::Directory),
            xattrs: old.xattrs != new.xattrs,
        }
    }

    /// Whether there is none.
    pub fn is_none(self) -> bool {
        self == Self::default()
    }

    /// The words for what differs.
    pub fn words(self) -> Vec<&'static str> {
        let all = [
            (self.kind, "kind"),
            (self.content && !self.kind, "content"),
            (self.mode, "mode"),
            (self.owner, "owner"),
            (self.mtime, "mtime"),
            (self.xattrs, "xattrs"),
        ];
        all.into_iter().filter(|(differs, _)| *differs).map(|(_, word)| word).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::sort_key;
    use crate::model::TreePath;

    #[test]
    fn paths_sort_as_the_index_has_them() {
        let paths = ["", "a", "a.b", "b", "a/x", "a/b/y", "a.b/c", "b/a"];
        let keys: Vec<_> = paths.iter().map(|path| sort_key(&TreePath::parse(path.as_bytes()).expect("a path"))).collect();
        let mut sorted = keys.clone();
        sorted.sort();
        let order: Vec<_> = sorted.iter().map(|key| paths[keys.iter().position(|other| other == key).expect("one")]).collect();
        assert_eq!(order, ["", "a", "a.b", "b", "a/x", "a/b/y", "a.b/c", "b/a"]);
    }
}
