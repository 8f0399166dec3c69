//! The names of one file stay together in every point in time, whatever moves.

use super::levels::{Dice, Series};
use crate::support::oracle::{self, Holes, compare};
use crate::support::{backup, reading, torture};
use freezer::backup::SameContent;
use freezer::fs::forest::{Forest, TOP};
use freezer::model::{Content, Kind, LevelId, TreePath};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The names of each file that has several.
type Groups = BTreeSet<BTreeSet<Vec<u8>>>;

fn grouped<K: std::hash::Hash + Eq>(names: impl Iterator<Item = (K, Vec<u8>)>) -> Groups {
    let mut groups: HashMap<K, BTreeSet<Vec<u8>>> = HashMap::new();
    for (file, name) in names {
        groups.entry(file).or_default().insert(name);
    }
    groups
        .into_values()
        .filter(|names| names.len() > 1)
        .collect()
}

fn of_source(tree: &oracle::Tree) -> Groups {
    let with_several = tree.iter().filter(|(_, found)| found.links > 1);
    grouped(with_several.map(|(path, found)| (found.first_name.clone(), path.clone())))
}

/// Groups the names of a level by the record that they have in common.
fn of_level(series: &Series, level: &LevelId) -> Groups {
    let view = reading::open(&series.access, &backup::name(), level, &reading::reader())
        .expect("it opens");
    let files = view.all().map(|found| found.expect("sound"));
    let files = files.filter(|(_, entry)| entry.content != Content::Directory);
    grouped(files.map(|(node, entry)| {
        (
            entry.link_to.unwrap_or(node),
            entry.path.as_bytes().to_vec(),
        )
    }))
}

/// Groups the names that a mount shows by their inode numbers, and checks that the kernel can ask
/// for each by that number.
fn of_mount(series: &Series, level: &LevelId) -> Groups {
    let view = reading::open(&series.access, &backup::name(), level, &reading::reader())
        .expect("it opens");
    let forest = Forest::of_tree(view);
    let (mut names, mut waiting) = (Vec::new(), vec![(TOP, TreePath::root())]);
    while let Some((directory, path)) = waiting.pop() {
        let mut listed = Vec::new();
        let each = |entry: freezer::fs::forest::ForestEntry<'_>| {
            let name = freezer::model::Name::new(entry.name).expect("legal");
            listed.push((entry.inode, path.join(&name), entry.attributes));
            std::ops::ControlFlow::Continue(())
        };
        forest.list(directory, 0, each).expect("listed");
        for (inode, path, attributes) in listed {
            if attributes.kind == Kind::Directory {
                waiting.push((inode, path));
                continue;
            }
            let by_inode = forest
                .get(inode)
                .expect("the kernel asks by inode")
                .attributes;
            assert_eq!(
                (by_inode.kind, by_inode.size, by_inode.mtime, by_inode.links),
                (
                    attributes.kind,
                    attributes.size,
                    attributes.mtime,
                    attributes.links
                ),
                "{path}"
            );
            names.push((inode, path.as_bytes().to_vec()));
        }
    }
    grouped(names.into_iter())
}

/// Returns the directories and the files below a folder, sorted.
fn paths(folder: &Path) -> (Vec<PathBuf>, Vec<PathBuf>) {
    let (mut directories, mut files, mut at) = (vec![folder.to_owned()], Vec::new(), 0);
    while at < directories.len() {
        let listed = fs::read_dir(&directories[at]).expect("listed");
        let mut names: Vec<PathBuf> = listed.map(|entry| entry.expect("there").path()).collect();
        names.sort();
        let filler = |path: &PathBuf| path.ends_with("filler");
        for path in names.into_iter().filter(|path| !filler(path)) {
            if path.is_dir() {
                directories.push(path);
            } else {
                files.push(path);
            }
        }
        at += 1;
    }
    (directories, files)
}

/// Changes the tree in one way that matters to files with several names.
fn edit(tree: &Path, dice: &mut Dice) {
    let (directories, files) = paths(tree);
    let directory = &directories[dice.roll(directories.len())];
    let fresh = directory.join(format!("{:04}", dice.roll(10_000)));
    if fresh.exists() {
        return;
    }
    let file = (!files.is_empty()).then(|| &files[dice.roll(files.len())]);
    match (dice.roll(12), file) {
        (0, _) => fs::write(&fresh, torture::noise(dice.roll(1000) as u64, 300)).expect("written"),
        (1, _) => fs::create_dir(&fresh).expect("made"),
        (2..=4, Some(file)) => fs::hard_link(file, &fresh).expect("linked"),
        (5..=8, _) => {
            let moved = &directories[dice.roll(directories.len())];
            if moved != tree && !fresh.starts_with(moved) {
                fs::rename(moved, &fresh).expect("renamed");
            }
        }
        (9, Some(file)) => fs::remove_file(file).expect("removed"),
        (10, Some(file)) => {
            let mode = 0o400 + u32::try_from(dice.roll(0o400)).expect("small");
            fs::set_permissions(file, fs::Permissions::from_mode(mode)).expect("changed");
        }
        (11, Some(file)) => fs::write(file, torture::noise(7, 500)).expect("written"),
        _ => {}
    }
}

/// Makes levels of a tree full of hard links, and compares each with the source. `filler` files
/// without other names make the index so large that levels keep its runs.
fn chain(seed: u64, filler: usize, levels: usize) -> usize {
    let series = Series::new();
    let tree = series.tree();
    fs::create_dir(tree.join("filler")).expect("made");
    for file in 0..filler {
        series.write(&format!("filler/a file of some name, number {file:05}"), "");
    }
    let mut dice = Dice::new(seed);
    let (mut history, mut most_runs) = (Vec::new(), 0);
    for level in 0..levels {
        for _ in 0..(if level == 0 { 100 } else { 4 }) {
            edit(&tree, &mut dice);
        }
        let manifest = series.back_up().manifest;
        most_runs = most_runs.max(manifest.index.len());
        let source = oracle::scan(&tree);
        let groups = of_source(&source);
        assert!(!groups.is_empty());
        assert_eq!(
            of_level(&series, &manifest.id),
            groups,
            "seed {seed}, level {level}"
        );
        assert_eq!(
            of_mount(&series, &manifest.id),
            groups,
            "seed {seed}, level {level}"
        );
        history.push((manifest.id, source));
    }
    for (level, source) in history.iter().rev().take(3) {
        let differences = compare(source, &series.restored(level), Holes::Zeros);
        assert!(differences.is_empty(), "seed {seed}: {differences:#?}");
        let differences = compare(source, &exported(&series, level), Holes::Zeros);
        assert!(
            differences.is_empty(),
            "seed {seed}, export: {differences:#?}"
        );
    }
    most_runs
}

/// Returns what stock tar makes of an export.
fn exported(series: &Series, level: &LevelId) -> oracle::Tree {
    let mut archive = tempfile::NamedTempFile::new().expect("a file");
    series.export(level, archive.as_file_mut());
    let target = tempfile::tempdir().expect("a directory");
    unpack(&["-x"], archive.path(), target.path());
    oracle::scan(target.path())
}

fn unpack(how: &[&str], archive: &Path, target: &Path) {
    let done = Command::new("tar")
        .args(["--xattrs", "--acls", "-p"])
        .args(how)
        .arg("-f")
        .arg(archive)
        .arg("-C")
        .arg(target)
        .output()
        .expect("tar runs");
    assert!(
        done.status.success(),
        "{}",
        String::from_utf8_lossy(&done.stderr)
    );
}

#[test]
fn names_of_one_file_stay_together_in_small_trees() {
    for seed in 0..4 {
        chain(seed, 0, 8);
    }
}

#[test]
fn names_of_one_file_stay_together_in_trees_of_several_runs() {
    for seed in 0..3 {
        let runs = chain(seed, 1200, 10);
        assert!(runs > 2, "seed {seed}: at most {runs} runs");
    }
}

/// Makes `a/x` and `b/x`, two names of one file, in a tree of several blocks.
fn pair(series: &Series) {
    for directory in ["a", "b", "filler"] {
        fs::create_dir(series.tree().join(directory)).expect("made");
    }
    for file in 0..1200 {
        series.write(&format!("filler/a file of some name, number {file:05}"), "");
    }
    series.write("a/x", torture::noise(1, 5000));
    fs::hard_link(series.tree().join("a/x"), series.tree().join("b/x")).expect("linked");
}

#[test]
fn a_renamed_directory_leaves_its_files_joined_to_their_other_names() {
    for renamed in ["0", "aa", "c"] {
        let series = Series::new();
        pair(&series);
        series.back_up();
        fs::rename(series.tree().join("a"), series.tree().join(renamed)).expect("renamed");
        // What comes to the old place is another file.
        fs::create_dir(series.tree().join("a")).expect("made");
        series.write("a/x", "another");
        for _ in 0..2 {
            let manifest = series.back_up().manifest;
            assert!(
                manifest.index.len() > 1,
                "the test needs a run that is kept"
            );
            let expected = of_source(&oracle::scan(&series.tree()));
            assert_eq!(
                of_level(&series, &manifest.id),
                expected,
                "a became {renamed}"
            );
            assert_eq!(
                of_mount(&series, &manifest.id),
                expected,
                "a became {renamed}"
            );
            series.write("b/new", "more");
        }
    }
}

#[test]
fn stock_tar_joins_them_from_the_streams_alone() {
    for renamed in ["0", "c"] {
        let mut series = Series::plain();
        series.levels.same_content = SameContent::Store;
        pair(&series);
        let target = tempfile::tempdir().expect("a directory");
        for _ in 0..2 {
            let manifest = series.back_up().manifest;
            let name = backup::name();
            let script = format!(
                "set -o pipefail; cat '{}'/data/{}/{}/{}/segments/* | zstd -dc > '{}'",
                series.store().display(),
                name.host(),
                name.name(),
                manifest.id,
                target.path().join("stream").display()
            );
            let done = Command::new("bash")
                .args(["-c", &script])
                .status()
                .expect("bash runs");
            assert!(done.success());
            let out = target.path().join("out");
            fs::create_dir_all(&out).expect("made");
            unpack(
                &["--incremental", "-x"],
                &target.path().join("stream"),
                &out,
            );
            let source = oracle::scan(&series.tree());
            let differences = compare(&source, &oracle::scan(&out), Holes::Zeros);
            assert!(
                differences.is_empty(),
                "a became {renamed}: {differences:#?}"
            );
            if series.tree().join("a").exists() {
                fs::rename(series.tree().join("a"), series.tree().join(renamed)).expect("renamed");
            }
        }
    }
}

#[test]
fn they_are_counted_once_wherever_the_first_of_them_went() {
    let series = Series::new();
    pair(&series);
    series.back_up();
    fs::rename(series.tree().join("a"), series.tree().join("c")).expect("renamed");
    let manifest = series.back_up().manifest;
    assert_eq!(manifest.bytes.logical, 5000);
    let names: BTreeMap<_, _> = oracle::scan(&series.tree());
    assert_eq!(of_source(&names).len(), 1);
}
