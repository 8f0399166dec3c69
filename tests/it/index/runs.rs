//! Compares trees of several runs with a map in memory, under random edits from level to level.

use super::{directory, file, in_order, name, path};
use freezer::index::{
    BlockCache, DeltaRun, DeltaWriter, IndexError, MemoryBlocks, Tree, TreeRun, TreeSeries,
    TreeWriter,
};
use freezer::model::{Content, Entry, LevelId, Name, NodeId, TreePath, Xattr};
use proptest::prelude::{Strategy, any, prop_assert, prop_assert_eq, proptest};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::ControlFlow;
use std::sync::Arc;

/// An edit between two levels. Its numbers choose among the entries that exist.
#[derive(Clone, Debug)]
enum Edit {
    File {
        inside: usize,
        name: u8,
        padding: usize,
    },
    Directory {
        inside: usize,
        name: u8,
    },
    Change {
        which: usize,
        padding: usize,
    },
    Remove {
        which: usize,
    },
    Rename {
        which: usize,
        inside: usize,
        name: u8,
    },
    FileForDirectory {
        which: usize,
    },
    /// Another name of a file. The entries of its other names change as well, or not.
    Link {
        which: usize,
        inside: usize,
        name: u8,
        is_noticed: bool,
    },
}

fn edits() -> impl Strategy<Value = Edit> {
    let at = any::<usize>;
    let letter = || proptest::sample::select(b"abcdefgh".to_vec());
    let padding = || proptest::sample::select(vec![0usize, 10, 700, 3_000]);
    proptest::prop_oneof![
        4 => (at(), letter(), padding())
            .prop_map(|(inside, name, padding)| Edit::File { inside, name, padding }),
        2 => (at(), letter()).prop_map(|(inside, name)| Edit::Directory { inside, name }),
        2 => (at(), padding()).prop_map(|(which, padding)| Edit::Change { which, padding }),
        2 => at().prop_map(|which| Edit::Remove { which }),
        1 => (at(), at(), letter())
            .prop_map(|(which, inside, name)| Edit::Rename { which, inside, name }),
        1 => at().prop_map(|which| Edit::FileForDirectory { which }),
        1 => (at(), at(), letter(), any::<bool>())
            .prop_map(|(which, inside, name, is_noticed)| {
                Edit::Link { which, inside, name, is_noticed }
            }),
    ]
}

/// The expected tree.
#[derive(Clone, Default)]
struct Model {
    entries: BTreeMap<TreePath, Entry>,
    next_inode: u64,
}

impl Model {
    fn new() -> Self {
        let mut model = Self::default();
        model.put(directory(TreePath::root()));
        model
    }

    fn put(&mut self, mut entry: Entry) {
        self.next_inode += 1;
        entry.metadata.inode = self.next_inode;
        self.remove(&entry.path);
        self.entries.insert(entry.path.clone(), entry);
    }

    fn remove(&mut self, path: &TreePath) {
        self.entries.retain(|other, _| !is_at_or_below(other, path));
    }

    fn pick(&self, which: usize, is_wanted: impl Fn(&Entry) -> bool) -> Option<TreePath> {
        let found: Vec<_> = self
            .entries
            .values()
            .filter(|entry| is_wanted(entry))
            .collect();
        (!found.is_empty()).then(|| found[which % found.len()].path.clone())
    }

    fn spot(&self, inside: usize, letter: u8) -> TreePath {
        let parent = self
            .pick(inside, |entry| entry.content == Content::Directory)
            .expect("the root");
        parent.join(&Name::new(vec![letter]).expect("legal"))
    }

    fn edit(&mut self, edit: &Edit) {
        let not_root = |entry: &Entry| !entry.path.is_root();
        match *edit {
            Edit::File {
                inside,
                name,
                padding,
            } => self.put(padded(
                file(self.spot(inside, name), padding as u64 % 3),
                padding,
            )),
            Edit::Directory { inside, name } => self.put(directory(self.spot(inside, name))),
            Edit::Change { which, padding } => {
                let Some(path) = self.pick(which, |_| true) else {
                    return;
                };
                self.next_inode += 1;
                let entry = self.entries.get_mut(&path).expect("picked");
                *entry = padded(entry.clone(), padding);
                entry.metadata.inode = self.next_inode;
            }
            Edit::Remove { which } => {
                if let Some(path) = self.pick(which, not_root) {
                    self.remove(&path);
                }
            }
            Edit::Rename {
                which,
                inside,
                name,
            } => {
                let Some(from) = self.pick(which, not_root) else {
                    return;
                };
                let to = self.spot(inside, name);
                if is_at_or_below(&to, &from) || is_at_or_below(&from, &to) {
                    return;
                }
                self.remove(&to);
                let moved: Vec<_> = self
                    .entries
                    .keys()
                    .filter(|path| is_at_or_below(path, &from))
                    .cloned()
                    .collect();
                for path in moved {
                    let mut entry = self.entries.remove(&path).expect("listed");
                    let rest = path
                        .as_bytes()
                        .strip_prefix(from.as_bytes())
                        .expect("below");
                    entry.path = TreePath::parse(&[to.as_bytes(), rest].concat()).expect("legal");
                    self.entries.insert(entry.path.clone(), entry);
                }
            }
            Edit::FileForDirectory { which } => {
                let wanted = |entry: &Entry| not_root(entry) && entry.content == Content::Directory;
                if let Some(path) = self.pick(which, wanted) {
                    self.put(file(path, 1));
                }
            }
            Edit::Link {
                which,
                inside,
                name,
                is_noticed,
            } => {
                let Some(of) =
                    self.pick(which, |entry| matches!(entry.content, Content::File { .. }))
                else {
                    return;
                };
                let to = self.spot(inside, name);
                if is_at_or_below(&of, &to) || is_at_or_below(&to, &of) {
                    return;
                }
                self.remove(&to);
                let Some(entry) = self.entries.get(&of).cloned() else {
                    return;
                };
                let links = entry.metadata.links + 1;
                self.entries.insert(
                    to.clone(),
                    Entry {
                        path: to.clone(),
                        ..entry.clone()
                    },
                );
                for name in self
                    .entries
                    .values_mut()
                    .filter(|name| name.metadata.inode == entry.metadata.inode)
                {
                    if is_noticed || name.path == to {
                        name.metadata.links = links;
                    }
                }
            }
        }
    }

    fn in_order(&self) -> Vec<Entry> {
        in_order(self.entries.values().cloned())
    }
}

fn is_at_or_below(path: &TreePath, above: &TreePath) -> bool {
    path == above
        || above.is_root()
        || path
            .as_bytes()
            .strip_prefix(above.as_bytes())
            .is_some_and(|rest| rest.starts_with(b"/"))
}

fn padded(mut entry: Entry, padding: usize) -> Entry {
    entry.metadata.xattrs = vec![Xattr {
        name: b"user.x"[..].into(),
        value: vec![b'x'; padding].into(),
    }];
    entry
}

/// The runs of a tree, the newest first.
#[derive(Clone, Default)]
struct Runs {
    runs: Vec<TreeRun>,
    written: u64,
}

impl Runs {
    fn tree(&self) -> Tree {
        Tree::of_runs(self.runs.clone(), &BlockCache::new(1 << 20)).expect("sound runs")
    }

    /// Adds a run that makes the tree of these entries, on top of the `kept` oldest runs.
    fn add(&mut self, entries: &[Entry], kept: usize) -> u64 {
        let (mut blocks, mut written) = (MemoryBlocks::default(), 0);
        let mut firsts = HashMap::new();
        let linked = |entry: &Entry, firsts: &HashMap<u64, NodeId>| {
            let link_to = firsts
                .get(&entry.metadata.inode)
                .copied()
                .filter(|_| matches!(entry.content, Content::File { .. }));
            Entry {
                link_to,
                ..entry.clone()
            }
        };
        let run = if kept == 0 {
            let mut writer = TreeWriter::new();
            for entry in entries {
                let entry = linked(entry, &firsts);
                let rank = writer.push(&entry, &mut blocks).expect("in order");
                firsts.entry(entry.metadata.inode).or_insert(rank);
            }
            let (root, head) = writer
                .finish_with_head(&mut blocks)
                .expect("memory takes all");
            DeltaRun {
                root,
                head,
                subtrees: 0,
            }
        } else {
            let earlier = self.tree().oldest(kept);
            let mut writer = DeltaWriter::new(&earlier).expect("sound");
            for entry in entries {
                let was = earlier.lookup(&entry.path).expect("sound");
                let first = firsts.get(&entry.metadata.inode).copied();
                if let Some((node, was)) = was
                    && without_links(&was) == *entry
                    && first.is_none_or(|first| first == was.link_to.unwrap_or(node))
                {
                    assert!(writer.keep(&entry.path, &mut blocks).expect("sound"));
                    firsts.insert(entry.metadata.inode, was.link_to.unwrap_or(node));
                    continue;
                }
                let entry = linked(entry, &firsts);
                let rank = writer.push(&entry, &mut blocks).expect("in order");
                firsts.entry(entry.metadata.inode).or_insert(rank);
                written += 1;
            }
            writer.finish(&mut blocks).expect("memory takes all")
        };
        let gone = run.root.entries.saturating_sub(written);
        self.written += 1;
        self.runs.drain(..self.runs.len() - kept);
        let level = LevelId::new(
            jiff::Timestamp::UNIX_EPOCH,
            u32::try_from(self.written).expect("few"),
        );
        self.runs.insert(
            0,
            TreeRun {
                level: Some(level),
                root: run.root,
                subtrees: run.subtrees,
                source: Arc::new(blocks),
            },
        );
        gone
    }
}

fn without_links(found: &Entry) -> Entry {
    Entry {
        link_to: None,
        ..found.clone()
    }
}

/// Asks the tree everything, and compares the answers with the model.
fn examine(
    tree: &Tree,
    model: &Model,
    strangers: &BTreeSet<TreePath>,
) -> Result<(), proptest::test_runner::TestCaseError> {
    let entries = model.in_order();
    let all: Vec<(NodeId, Entry)> = tree.all().collect::<Result<_, _>>().expect("a sound tree");
    prop_assert_eq!(
        all.iter()
            .map(|(_, entry)| without_links(entry))
            .collect::<Vec<_>>(),
        entries.clone()
    );
    prop_assert_eq!(
        all.iter()
            .map(|(node, _)| *node)
            .collect::<BTreeSet<_>>()
            .len(),
        all.len(),
        "every entry has a node of its own"
    );
    prop_assert_eq!(all[0].0, NodeId(0));
    let mut records = HashMap::new();
    for (node, entry) in &all {
        prop_assert!(node.0 < (1 << 40) - 1);
        prop_assert_eq!(tree.entry(*node).expect("sound"), Some(entry.clone()));
        prop_assert_eq!(
            tree.lookup(&entry.path).expect("sound"),
            Some((*node, entry.clone()))
        );
        let attributes = tree.attributes(*node).expect("sound").expect("it is there");
        prop_assert_eq!(
            (attributes.inode, attributes.link_to),
            (entry.metadata.inode, entry.link_to)
        );
        let record = entry.link_to.unwrap_or(*node);
        if entry.content != Content::Directory {
            let of_all = *records.entry(entry.metadata.inode).or_insert(record);
            prop_assert_eq!(record, of_all, "{:?} is apart", &entry.path);
        }
        if entry.link_to.is_some() {
            let first = tree.entry(record).expect("sound").expect("a record stays");
            prop_assert_eq!(first.metadata.inode, entry.metadata.inode);
            prop_assert_eq!(&first.content, &entry.content);
            prop_assert_eq!(first.link_to, None);
        }
        let children: Vec<_> = all
            .iter()
            .filter(|(_, child)| child.path.parent().as_ref() == Some(&entry.path))
            .cloned()
            .collect();
        for (child, entry) in &children {
            let name = Name::new(entry.path.file_name()).expect("legal");
            prop_assert_eq!(
                tree.child(*node, &name).expect("sound"),
                Some((*child, entry.clone()))
            );
            prop_assert_eq!(
                tree.child_attributes(*node, &name)
                    .expect("sound")
                    .map(|(child, _)| child),
                Some(*child)
            );
        }
        prop_assert_eq!(tree.child(*node, &name("zz")).expect("sound"), None);
        for resume in 0..=children.len() {
            let after = resume.checked_sub(1).map(|last| children[last].0);
            let listed = tree
                .children(*node, after)
                .collect::<Result<Vec<_>, _>>()
                .expect("sound");
            prop_assert_eq!(&listed, &children[resume..]);
            let mut scanned = Vec::new();
            let scan = tree.scan(*node, after, |node, name, attributes| {
                scanned.push((node, name.to_vec(), attributes.inode));
                ControlFlow::Continue(())
            });
            scan.expect("sound");
            let lean: Vec<_> = listed
                .iter()
                .map(|(node, entry)| (*node, entry.path.file_name().to_vec(), entry.metadata.inode))
                .collect();
            prop_assert_eq!(scanned, lean);
        }
    }
    for stranger in strangers
        .iter()
        .filter(|path| !model.entries.contains_key(*path))
    {
        prop_assert_eq!(
            tree.lookup(stranger).expect("sound"),
            None,
            "{:?} is gone",
            stranger
        );
    }
    tree.verify().expect("every run is sound");
    Ok(())
}

proptest! {
    #![proptest_config(proptest::test_runner::Config::with_cases(128))]

    #[test]
    fn a_tree_of_several_runs_answers_as_the_map_of_its_entries(
        levels in proptest::collection::vec(
            (proptest::collection::vec(edits(), 1..12), any::<usize>()),
            1..9,
        ),
    ) {
        let (mut model, mut runs, mut seen) = (Model::new(), Runs::default(), BTreeSet::new());
        let mut history: Vec<(Tree, BTreeMap<TreePath, Entry>)> = Vec::new();
        for (edits, kept) in &levels {
            edits.iter().for_each(|edit| model.edit(edit));
            seen.extend(model.entries.keys().cloned());
            // A random number of runs stays, most often all of them.
            let kept = if kept % 3 == 0 {
                kept / 3 % (runs.runs.len() + 1)
            } else {
                runs.runs.len()
            };
            runs.add(&model.in_order(), kept);
            let tree = runs.tree();
            examine(&tree, &model, &seen)?;
            for (before, was) in &history {
                let found: Vec<_> = before
                    .differences(&tree)
                    .collect::<Result<_, _>>()
                    .expect("sound");
                let bare = |found: &Option<(NodeId, Entry)>| {
                    found.as_ref().map(|(_, entry)| without_links(entry))
                };
                let found: Vec<_> = found
                    .iter()
                    .map(|found| (found.path.clone(), bare(&found.before), bare(&found.after)))
                    .collect();
                let paths: BTreeSet<_> = was.keys().chain(model.entries.keys()).collect();
                let wanted = paths.into_iter().map(|path| {
                    (
                        path.clone(),
                        was.get(path).cloned(),
                        model.entries.get(path).cloned(),
                    )
                });
                let wanted: BTreeSet<_> = wanted
                    .filter(|(_, was, is)| was != is)
                    .map(|(path, ..)| path)
                    .collect();
                prop_assert_eq!(
                    found
                        .iter()
                        .map(|(path, ..)| path.clone())
                        .collect::<BTreeSet<_>>(),
                    wanted
                );
                prop_assert_eq!(
                    found
                        .iter()
                        .map(|(path, ..)| path.clone())
                        .collect::<BTreeSet<_>>()
                        .len(),
                    found.len()
                );
                for (path, before, after) in found {
                    prop_assert_eq!(
                        (before, after),
                        (was.get(&path).cloned(), model.entries.get(&path).cloned())
                    );
                }
            }
            history.push((tree, model.entries.clone()));
        }
        examine_side_by_side(&history, &seen)?;
    }
}

/// Puts trees side by side, and compares the history of each path.
fn examine_side_by_side(
    history: &[(Tree, BTreeMap<TreePath, Entry>)],
    seen: &BTreeSet<TreePath>,
) -> Result<(), proptest::test_runner::TestCaseError> {
    let mut series = TreeSeries::default();
    history.iter().for_each(|(tree, _)| series.push(Some(tree)));
    let mut paths = Vec::new();
    for found in series.histories(|_| true) {
        let found = found.expect("sound");
        prop_assert_eq!(&series.history(&found.path).expect("sound"), &found);
        let mut was = vec![None; history.len()];
        for spell in &found.spells {
            prop_assert_eq!(&spell.entry.path, &found.path);
            was[spell.trees.clone()]
                .iter_mut()
                .for_each(|was| *was = Some(spell.entry.clone()));
        }
        let wanted: Vec<_> = history
            .iter()
            .map(|(_, model)| model.get(&found.path).cloned())
            .collect();
        prop_assert_eq!(was, wanted, "{:?}", found.path);
        prop_assert!(
            found
                .spells
                .windows(2)
                .all(|pair| pair[0].trees.end < pair[1].trees.start
                    || pair[0].entry != pair[1].entry)
        );
        paths.push(found.path);
    }
    prop_assert_eq!(
        paths.iter().collect::<BTreeSet<_>>().len(),
        paths.len(),
        "each path once"
    );
    let ever: BTreeSet<_> = history.iter().flat_map(|(_, model)| model.keys()).collect();
    prop_assert_eq!(paths.iter().collect::<BTreeSet<_>>(), ever);
    for stranger in seen
        .iter()
        .chain([&path("never/seen")])
        .filter(|path| !paths.contains(path))
    {
        prop_assert!(series.history(stranger).expect("sound").spells.is_empty());
    }
    // A filter leaves out paths and changes nothing else.
    let named = |path: &TreePath| {
        path.file_name()
            .first()
            .is_some_and(|letter| letter % 2 == 0)
    };
    let some: Vec<_> = series
        .histories(|key| key.name().first().is_some_and(|letter| letter % 2 == 0))
        .collect::<Result<_, _>>()
        .expect("sound");
    prop_assert_eq!(
        some.into_iter().map(|found| found.path).collect::<Vec<_>>(),
        paths.into_iter().filter(named).collect::<Vec<_>>()
    );
    Ok(())
}

/// Makes 40 directories of 50 files.
fn wide() -> Model {
    let mut model = Model::new();
    for number in 0..40 {
        let folder = path(&format!("folder {number:02}"));
        model.put(directory(folder.clone()));
        (0..50).for_each(|number| {
            model.put(file(folder.join(&name(&format!("file {number:02}"))), 1))
        });
    }
    model
}

#[test]
fn a_run_holds_only_the_changed_entries() {
    let (mut model, mut runs) = (wide(), Runs::default());
    runs.add(&model.in_order(), 0);
    model.put(file(path("folder 07/new"), 1));
    model.put(file(path("folder 09/file 03"), 2));
    assert_eq!(runs.add(&model.in_order(), 1), 0);
    assert_eq!(runs.runs[0].root.entries, 2);
    // There is nothing else: the whole run is in the root.
    assert_eq!(runs.runs[0].root.height, 0);
    assert!(runs.runs[0].root.node.len() < 300);
    // A run without changes is empty.
    runs.add(&model.in_order(), 2);
    assert_eq!(runs.runs[0].root.entries, 0);
    assert_eq!(runs.tree().all().count(), model.entries.len());
}

#[test]
fn a_directory_that_is_gone_takes_two_entries_whatever_was_in_it() {
    let (mut model, mut runs) = (wide(), Runs::default());
    runs.add(&model.in_order(), 0);
    model.remove(&path("folder 05"));
    model.remove(&path("folder 08/file 31"));
    assert_eq!(
        runs.add(&model.in_order(), 1),
        3,
        "the directory, everything in it, and a file"
    );
    assert_eq!(runs.runs[0].subtrees, 1);
    let tree = runs.tree();
    assert_eq!(
        tree.lookup(&path("folder 05/file 11")).expect("sound"),
        None
    );
    assert_eq!(tree.lookup(&path("folder 05")).expect("sound"), None);
    assert_eq!(tree.all().count(), model.entries.len());
    // The directory comes back with other entries: those that were gone stay gone.
    model.put(directory(path("folder 05")));
    model.put(file(path("folder 05/file 99"), 1));
    runs.add(&model.in_order(), 2);
    examine(
        &runs.tree(),
        &model,
        &BTreeSet::from([path("folder 05/file 11")]),
    )
    .expect("as the model");
}

#[test]
fn a_first_name_that_a_newer_run_replaces_leaves_the_others_together() {
    let mut runs = Runs::default();
    let linked = |name: &str| {
        let mut entry = file(path(name), 2);
        entry.metadata.links = 3;
        entry.metadata.inode = 500;
        entry
    };
    let mut model = Model::new();
    ["a", "b", "c"]
        .iter()
        .for_each(|name| drop(model.entries.insert(path(name), linked(name))));
    runs.add(&model.in_order(), 0);
    let first = runs
        .tree()
        .lookup(&path("a"))
        .expect("sound")
        .expect("there")
        .0;
    let link_of = |runs: &Runs, name: &str| {
        runs.tree()
            .lookup(&path(name))
            .expect("sound")
            .expect("there")
            .1
            .link_to
    };
    assert_eq!(
        (link_of(&runs, "b"), link_of(&runs, "c")),
        (Some(first), Some(first))
    );
    for gone in [true, false] {
        let mut runs = runs.clone();
        let mut model = model.clone();
        model.remove(&path("a"));
        if !gone {
            model.put(file(path("a"), 1));
        }
        runs.add(&model.in_order(), 1);
        let links = (link_of(&runs, "b"), link_of(&runs, "c"));
        assert_eq!(links, (Some(first), Some(first)));
        examine(&runs.tree(), &model, &BTreeSet::new()).expect("as the model");
    }
}

#[test]
fn a_tree_of_no_runs_or_too_many_is_refused() {
    let mut runs = Runs::default();
    runs.add(&Model::new().in_order(), 0);
    let of = |count: usize| Tree::of_runs(vec![runs.runs[0].clone(); count], &BlockCache::new(0));
    assert!(matches!(of(0), Err(IndexError::Malformed { .. })));
    assert!(matches!(of(64), Err(IndexError::Malformed { .. })));
    assert_eq!(of(63).expect("as many as there may be").all().count(), 1);
}

#[test]
fn a_flipped_byte_of_any_run_is_refused_or_gives_another_sound_tree() {
    let (mut model, mut runs) = (Model::new(), Runs::default());
    ["a", "b", "c"]
        .iter()
        .for_each(|name| model.put(directory(path(name))));
    ["a/x", "a/y", "b/x", "c/x", "c/z"]
        .iter()
        .for_each(|name| model.put(file(path(name), 1)));
    runs.add(&model.in_order(), 0);
    model.remove(&path("a"));
    model.put(file(path("c/z"), 2));
    model.put(file(path("c/q"), 2));
    runs.add(&model.in_order(), 1);
    assert_eq!(runs.runs[0].subtrees, 1);
    let sound: Vec<_> = runs.tree().all().collect::<Result<_, _>>().expect("sound");
    let mut refused = 0;
    for run in 0..2 {
        for at in 0..runs.runs[run].root.node.len() {
            for bit in 0..8 {
                let mut hurt = runs.clone();
                hurt.runs[run].root.node[at] ^= 1 << bit;
                let Ok(tree) = Tree::of_runs(hurt.runs, &BlockCache::new(0)) else {
                    refused += 1;
                    continue;
                };
                let Ok(all) = tree.all().collect::<Result<Vec<_>, _>>() else {
                    refused += 1;
                    continue;
                };
                // Damage in a newer run may change which older entries it hides. The entries that
                // are read are sound all the same.
                let is_other = all != sound || tree.verify().is_err();
                assert!(
                    is_other || run == 1,
                    "bit {bit} of byte {at} of run {run}: the damage was not noticed"
                );
                for (node, entry) in &all {
                    assert_eq!(
                        tree.entry(*node).expect("it was just read").as_ref(),
                        Some(entry),
                        "bit {bit} of byte {at} of run {run}"
                    );
                }
            }
        }
    }
    assert!(refused > 500, "{refused}");
}
