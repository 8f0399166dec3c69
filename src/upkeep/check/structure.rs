//! Checks that the entries of trees make trees: each lies in a directory, and the root is one.

use super::damage::Damage;
use super::survey::CheckedPoint;
use crate::index::{IndexError, PathHistory, Tree, TreeSeries};
use crate::model::{Kind, LevelId, NodeId, TreePath};
use std::ops::Range;

/// A directory that some trees lack.
pub(super) struct LackingDirectory {
    /// The trees, by their places in the series.
    pub(super) trees: Range<usize>,
    pub(super) damage: Damage,
}

/// Looks up the directory of each path, in index order. The entries of a directory follow each
/// other there, so each directory is looked up once.
pub(super) struct StructureCheck<'survey> {
    series: &'survey TreeSeries,
    /// The directory that was looked up last.
    directory: Option<Directory>,
}

/// What the trees have at the path of a directory.
struct Directory {
    path: TreePath,
    /// What there is, and the trees that have it, in their order.
    kinds: Vec<(Range<usize>, Kind)>,
    /// Trees of which it was told that they lack the directory.
    told: Vec<Range<usize>>,
}

impl<'survey> StructureCheck<'survey> {
    pub(super) fn new(series: &'survey TreeSeries) -> Self {
        Self {
            series,
            directory: None,
        }
    }

    /// Returns the trees that have a path, but not the directory that it lies in. Names each
    /// directory once for a tree.
    pub(super) fn lacking(
        &mut self,
        history: &PathHistory,
    ) -> Result<Vec<LackingDirectory>, IndexError> {
        // Whether there is a root is told of each tree, whatever lies in it.
        let Some(parent) = history.path.parent().filter(|parent| !parent.is_root()) else {
            return Ok(Vec::new());
        };
        let directory = match self.directory.take() {
            Some(known) if known.path == parent => known,
            _ => Directory::look_up(self.series, parent)?,
        };
        let directory = self.directory.insert(directory);
        let trees = history.spells.iter().map(|spell| &spell.trees);
        Ok(trees
            .filter_map(|trees| directory.lacking_in(trees))
            .collect())
    }

    /// Returns the trees without a root, of those that have any run.
    pub(super) fn without_root(
        &self,
        points: &[CheckedPoint],
    ) -> Result<Vec<(LevelId, Damage)>, IndexError> {
        let root = Directory::look_up(self.series, TreePath::root())?;
        let mut lacking = Vec::new();
        for (place, point) in points.iter().enumerate() {
            if self.series.is_empty(place) {
                continue;
            }
            let found = root.kind_in(place);
            if found != Some(Kind::Directory) {
                lacking.push((point.level.clone(), root.damage(found)));
            }
        }
        Ok(lacking)
    }
}

impl Directory {
    fn look_up(series: &TreeSeries, path: TreePath) -> Result<Self, IndexError> {
        let history = series.history(&path)?;
        let spells = history.spells.into_iter();
        Ok(Self {
            kinds: spells
                .map(|spell| (spell.trees, spell.entry.content.kind()))
                .collect(),
            path,
            told: Vec::new(),
        })
    }

    fn kind_in(&self, tree: usize) -> Option<Kind> {
        let mut kinds = self.kinds.iter();
        let here = kinds.find(|(trees, _)| trees.contains(&tree));
        here.map(|(_, kind)| *kind)
    }

    /// Returns the trees of these that lack the directory, from the first one on, unless that was
    /// told.
    fn lacking_in(&mut self, trees: &Range<usize>) -> Option<LackingDirectory> {
        let mut first = trees.start;
        for (there, _) in self
            .kinds
            .iter()
            .filter(|(_, kind)| *kind == Kind::Directory)
        {
            if there.contains(&first) {
                first = there.end;
            }
        }
        if first >= trees.end || self.told.iter().any(|told| told.contains(&first)) {
            return None;
        }
        let lacking = first..trees.end;
        self.told.push(lacking.clone());
        Some(LackingDirectory {
            trees: lacking,
            damage: self.damage(self.kind_in(first)),
        })
    }

    fn damage(&self, found: Option<Kind>) -> Damage {
        Damage::NoDirectory {
            path: self.path.clone(),
            found,
        }
    }
}

/// Returns what is wrong with the root of one tree.
pub(super) fn root_damage(tree: &Tree) -> Result<Option<Damage>, IndexError> {
    let root = tree.attributes(NodeId(0))?;
    let found = root.map(|root| root.kind);
    Ok(
        (found != Some(Kind::Directory)).then(|| Damage::NoDirectory {
            path: TreePath::root(),
            found,
        }),
    )
}
