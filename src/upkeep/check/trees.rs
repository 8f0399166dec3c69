//! Checks the trees of points in time, and which of their files damage touches.

use super::checker::Checker;
use super::damage::Damage;
use super::structure::{LackingDirectory, StructureCheck, root_damage};
use super::survey::{CheckedPoint, CheckedStream, Survey};
use crate::index::{Tree, TreeSeries};
use crate::model::{Content, Entry, Extent, Kind, LevelId, NodeId, TreePath};
use crate::upkeep::error::CheckError;
use std::collections::BTreeSet;
use std::ops::Range;

/// Reads the trees: those whose runs are sound all at once, the others each by itself.
pub(super) fn check_trees(
    checker: &mut Checker<'_>,
    survey: &mut Survey,
) -> Result<(), CheckError> {
    let Survey {
        points,
        streams,
        series,
        ..
    } = survey;
    let mut hurt = hurt_trees(checker, series)?;
    hurt.iter().for_each(|tree| series.leave_out(*tree));
    let mut counts = EntryCounts::new(points.len());
    let mut structure = StructureCheck::new(series);
    for history in series.histories(|_| true) {
        checker.go_on()?;
        // Every run was read a moment ago; if one fails now, each tree is read by itself.
        let read = history.and_then(|history| Ok((structure.lacking(&history)?, history)));
        let Ok((lacking, history)) = read else {
            hurt.extend(0..points.len());
            break;
        };
        for LackingDirectory { trees, damage } in lacking {
            checker.tell_of(&levels_at(points, trees), damage);
        }
        for spell in history.spells {
            counts.add(&spell.trees);
            let first = points.get(spell.trees.start);
            if let Some(point) = first
                && let Some(damage) = damage_of(&spell.entry, point, streams)
            {
                checker.checked.files_touched += 1;
                checker.tell_of(&levels_at(points, spell.trees), damage);
            }
        }
    }
    match structure.without_root(points) {
        Ok(lacking) if hurt.len() < points.len() => lacking
            .into_iter()
            .for_each(|(level, damage)| checker.tell_of(std::slice::from_ref(&level), damage)),
        Ok(_) => {}
        Err(_) => hurt.extend(0..points.len()),
    }
    for (point, (place, found)) in points.iter().zip(counts.of_trees().enumerate()) {
        if hurt.contains(&place) {
            check_tree(checker, point, streams)?;
            continue;
        }
        checker.checked.entries += found;
        if found != point.entries {
            checker.tell_of(
                std::slice::from_ref(&point.level),
                Damage::Entries {
                    found,
                    expected: point.entries,
                },
            );
        }
    }
    Ok(())
}

/// Returns the levels of points in time.
fn levels_at(points: &[CheckedPoint], places: Range<usize>) -> Vec<LevelId> {
    let points = points.get(places).unwrap_or_default();
    points.iter().map(|point| point.level.clone()).collect()
}

/// Returns the trees that have a run that cannot be read.
fn hurt_trees(checker: &Checker<'_>, series: &TreeSeries) -> Result<BTreeSet<usize>, CheckError> {
    let mut hurt = BTreeSet::new();
    for run in 0..series.runs() {
        let sound = series.verify(run, || !checker.is_cancelled());
        checker.go_on()?;
        if sound.is_err() {
            hurt.extend(series.trees_with(run));
        }
    }
    Ok(hurt)
}

/// Counts the entries of each tree, where entries are given with the trees that have them.
struct EntryCounts {
    /// How many entries more each tree has than the one before it.
    steps: Vec<i64>,
}

impl EntryCounts {
    fn new(trees: usize) -> Self {
        Self {
            steps: vec![0; trees + 1],
        }
    }

    fn add(&mut self, trees: &Range<usize>) {
        for (at, step) in [(trees.start, 1), (trees.end, -1)] {
            if let Some(count) = self.steps.get_mut(at) {
                *count += step;
            }
        }
    }

    /// Returns the number of entries of each tree, one after the other.
    fn of_trees(&self) -> impl Iterator<Item = u64> {
        self.steps.iter().scan(0_i64, |entries, step| {
            *entries += step;
            Some(entries.unsigned_abs())
        })
    }
}

/// Reads one tree directory by directory, so that a damaged block hides no more than its own
/// entries.
fn check_tree(
    checker: &mut Checker<'_>,
    point: &CheckedPoint,
    streams: &[CheckedStream],
) -> Result<(), CheckError> {
    let Some(manifest) = checker.manifest(&point.level)? else {
        return Ok(());
    };
    checker.speak_of(vec![point.level.clone()]);
    let tree = match checker.open(&manifest) {
        Ok(tree) => tree,
        Err(error) => {
            checker.tell(Damage::Index(error));
            return Ok(());
        }
    };
    match root_damage(&tree) {
        Ok(damage) => damage.into_iter().for_each(|damage| checker.tell(damage)),
        // The walk tells it of the first directory, which is the root.
        Err(error) => tracing::debug!(error = &error as &dyn std::error::Error, "no root"),
    }
    let walked = walk(checker, &tree, point, streams)?;
    checker.checked.entries += walked.entries;
    // With a directory unreadable the count cannot be right, and that was told.
    if walked.is_whole && walked.entries != manifest.counts.entries {
        checker.tell(Damage::Entries {
            found: walked.entries,
            expected: manifest.counts.entries,
        });
    }
    if walked.is_whole
        && let Err(error) = tree.verify()
    {
        checker.tell(Damage::Replaced(error));
    }
    Ok(())
}

/// What a walk through one tree has seen.
struct WalkedTree {
    entries: u64,
    /// Whether every directory could be read.
    is_whole: bool,
}

/// Walks through a tree. Tells files that damage touches and directories that cannot be read.
fn walk(
    checker: &mut Checker<'_>,
    tree: &Tree,
    point: &CheckedPoint,
    streams: &[CheckedStream],
) -> Result<WalkedTree, CheckError> {
    let mut walked = WalkedTree {
        entries: 1,
        is_whole: true,
    };
    let mut waiting = vec![(NodeId(0), TreePath::root())];
    while let Some((directory, path)) = waiting.pop() {
        for child in tree.children(directory, None) {
            checker.go_on()?;
            match child {
                Ok((node, entry)) => {
                    walked.entries += 1;
                    if let Some(damage) = damage_of(&entry, point, streams) {
                        checker.checked.files_touched += 1;
                        checker.tell(damage);
                    }
                    if entry.content.kind() == Kind::Directory {
                        waiting.push((node, entry.path));
                    }
                }
                Err(source) => {
                    walked.is_whole = false;
                    checker.tell(Damage::Directory {
                        path: path.clone(),
                        source,
                    });
                    break;
                }
            }
        }
    }
    Ok(walked)
}

/// Returns what is wrong with an entry of a point in time, or with its content.
fn damage_of(entry: &Entry, point: &CheckedPoint, streams: &[CheckedStream]) -> Option<Damage> {
    if let Err(source) = entry.metadata.extensions.understood() {
        let path = entry.path.clone();
        return Some(Damage::NotUnderstood { path, source });
    }
    let Content::File { extents, .. } = &entry.content else {
        return None;
    };
    let stream = |extent: &Extent| {
        point
            .streams
            .get(&extent.level)
            .and_then(|place| streams.get(*place))
    };
    let exists = |extent: &Extent| {
        stream(extent).is_some_and(|stream| {
            extent
                .stream
                .0
                .checked_add(extent.length)
                .is_some_and(|end| end <= stream.parts.stream_bytes)
        })
    };
    if !extents.iter().all(exists) {
        return Some(Damage::Extent(entry.path.clone()));
    }
    let is_hurt = |extent: &Extent| {
        stream(extent).is_some_and(|stream| {
            stream
                .unreadable
                .touch(&(extent.stream.0..extent.stream.0.saturating_add(extent.length)))
        })
    };
    extents
        .iter()
        .any(is_hurt)
        .then(|| Damage::File(entry.path.clone()))
}
