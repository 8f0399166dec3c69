//! The torture tree and the oracles against each other: a copy that another program made is the
//! same.

use crate::support::oracle::{Holes, differences, rsync, scan};
use crate::support::torture::build;
use std::path::Path;
use std::process::Command;

#[test]
fn the_torture_tree_is_built_and_both_oracles_see_a_copy_of_it_as_the_same() {
    let scratch = tempfile::tempdir().expect("a directory");
    let (original, copy) = (scratch.path().join("original"), scratch.path().join("copy"));
    std::fs::create_dir(&original).expect("a directory");
    let left_out = build(&original);
    assert_eq!(
        left_out,
        Vec::<String>::new(),
        "run this as root on ext4, XFS or btrfs"
    );
    assert!(scan(&original).len() > 5_300);

    copy_tree(&original, &copy);
    assert_eq!(
        differences(&original, &copy, Holes::Same),
        Vec::<String>::new()
    );
    assert_eq!(rsync(&original, &copy), Vec::<String>::new());
}

#[expect(
    clippy::disallowed_methods,
    reason = "the copy is made by another program"
)]
fn copy_tree(original: &Path, copy: &Path) {
    let status = Command::new("cp")
        .args(["-a", "--sparse=auto"])
        .arg(original)
        .arg(copy)
        .status()
        .expect("cp runs");
    assert!(status.success());
}
