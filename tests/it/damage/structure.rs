//! Trees that are no trees, crafted by somebody who can compute all checksums. A check refuses
//! each.

use crate::support::stored_tree::{Planned, Recipe, StoredTree};
use freezer::catalog::{Access, Catalog};
use freezer::format::frame::{Compression, Protection, Sealer};
use freezer::format::identity::{Cipher, Identity};
use freezer::model::progress::Silent;
use freezer::model::{BackupName, Cancel, Content, LevelId, Metadata, NodeId, StoreId};
use freezer::store::memory::MemoryStore;
use freezer::store::{ObjectName, Store};
use freezer::upkeep::{Damage, Depth, Portion, check};
use std::sync::Arc;

const STORE: StoreId = StoreId([9; 16]);

fn backup() -> BackupName {
    BackupName::new("host", "docs").expect("legal")
}

/// Stores one level for each tree, in a plain store.
fn store_of(trees: Vec<Vec<Planned>>) -> (Access, Vec<LevelId>) {
    let store = Arc::new(MemoryStore::default());
    let identity = Identity::new(STORE, Cipher::None, jiff::Timestamp::UNIX_EPOCH).seal(None);
    let name = ObjectName::new("freezer.json".to_owned()).expect("legal");
    store.put(&name, &vec![identity.encode()]).expect("stored");
    let access = Access::open(store.clone(), None).expect("it opens");
    let catalog = Catalog::new(store.clone());
    let mut levels = Vec::new();
    for (number, entries) in (1..).zip(trees) {
        let recipe = Recipe {
            encrypted: false,
            compression: Compression::None,
            number,
            ..Recipe::default()
        };
        let protection = Protection::Checksum;
        let tree = StoredTree::write_level(store.clone(), entries, recipe, STORE, protection);
        let sealer = Sealer::new(STORE, tree.manifest.id.clone(), Protection::Checksum);
        let sealed = tree.manifest.seal(&sealer).expect("sealed");
        catalog
            .publish(&backup(), &tree.manifest.id, sealed)
            .expect("published");
        levels.push(tree.manifest.id);
    }
    (access, levels)
}

/// Checks with all data. Returns each damage with the number of points in time that it touches.
fn damages(access: &Access, levels: &[LevelId]) -> Vec<(usize, String)> {
    let mut told = Vec::new();
    let mut tell = |points: &[LevelId], damage: Damage| {
        told.push((points.len(), format!("{:#}", anyhow::Error::from(damage))));
    };
    let checked = check(
        access,
        &backup(),
        levels,
        Depth::Data(Portion::All),
        &mut tell,
        &Silent,
        &Cancel::new(),
    )
    .expect("the store answers");
    assert_eq!(checked.damages, told.len() as u64);
    told
}

#[track_caller]
fn is_refused(entries: Vec<Planned>, why: &str) {
    let (access, levels) = store_of(vec![entries]);
    let told = damages(&access, &levels);
    assert!(
        told.iter().any(|(_, damage)| damage.contains(why)),
        "{why}: {told:?}"
    );
}

fn root() -> Planned {
    Planned::directory("")
}

fn symlink(path: &str) -> Planned {
    let target = b"/etc".to_vec().into_boxed_slice();
    Planned::new(path, Metadata::default(), Content::Symlink(target))
}

/// A further name of the file with this number.
fn link_to(path: &str, node: u64) -> Planned {
    let mut link = Planned::file(path, "six by");
    link.entry.metadata.links = 2;
    link.entry.link_to = Some(NodeId(node));
    link.data.clear();
    link
}

fn two_names(path: &str) -> Planned {
    let mut first = Planned::file(path, "six by");
    first.entry.metadata.links = 2;
    first
}

#[test]
fn a_sound_tree_is_told_nothing_of() {
    let (access, levels) = store_of(vec![vec![
        root(),
        two_names("a"),
        link_to("b", 1),
        Planned::directory("sub"),
        Planned::directory("sub/deep"),
        Planned::file("sub/x", "text"),
        Planned::file("sub/deep/y", "text"),
    ]]);
    assert_eq!(damages(&access, &levels), []);
}

#[test]
fn a_tree_without_a_root_directory_is_damaged() {
    is_refused(vec![Planned::file("x", "text")], "the root of the tree");
    is_refused(
        vec![Planned::file("", "text"), Planned::file("x", "text")],
        "which must be a directory, is a file",
    );
    is_refused(vec![symlink("")], "is a symbolic link");
    is_refused(vec![], "is missing");
}

#[test]
fn entries_outside_of_any_directory_are_damage() {
    is_refused(
        vec![root(), Planned::file("no/x", "text")],
        "below \"no\", which is missing",
    );
    is_refused(
        vec![root(), symlink("link"), Planned::file("link/x", "text")],
        "below \"link\", which is a symbolic link",
    );
    is_refused(
        vec![
            root(),
            Planned::file("file", "text"),
            Planned::file("file/x", "text"),
        ],
        "below \"file\", which is a file",
    );
    is_refused(
        vec![
            root(),
            Planned::directory("sub"),
            Planned::file("sub/no/x", "text"),
        ],
        "below \"sub/no\", which is missing",
    );
}

#[test]
fn each_lacking_directory_is_told_once_and_of_the_points_in_time_that_lack_it() {
    let broken = |name: &str| {
        vec![
            root(),
            Planned::file("no/x", name),
            Planned::file("no/y", name),
        ]
    };
    let sound = vec![
        root(),
        Planned::directory("no"),
        Planned::file("no/x", "text"),
        Planned::file("no/y", "text"),
    ];
    let (access, levels) = store_of(vec![sound, broken("1"), broken("2")]);
    let told = damages(&access, &levels);
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told.iter().all(|(points, _)| *points == 1), "{told:?}");
}

#[test]
fn a_hard_link_to_what_is_no_such_file_is_damage() {
    let why = "hard link to an entry of another kind";
    is_refused(
        vec![root(), Planned::file("a", "text"), link_to("b", 0)],
        why,
    );
    let mut first = symlink("a");
    first.entry.metadata.links = 2;
    is_refused(vec![root(), first, link_to("b", 1)], why);
}
