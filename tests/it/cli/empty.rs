//! Arguments that are empty: a variable that a script has not set.

use super::{User, said};

#[test]
fn an_empty_argument_is_neither_everything_nor_the_default() {
    let user = User::with_docs();
    user.succeeds("backup docs");
    user.write("docs/a.txt", "newer\n");
    // `@` is the empty argument.
    for arguments in [
        "restore docs @ --target docs --overwrite",
        "restore docs a.txt @ --target docs --overwrite",
        "restore @ --target docs --overwrite",
        "restore docs --target @ --overwrite",
        "restore -N @ --target docs --overwrite",
        "restore -N docs --hostname @ --target docs --overwrite",
        "restore docs --restore-from-date @ --target docs --overwrite",
        "ls docs @",
        "ls @",
        "cat docs @",
        "du docs @",
        "find docs @",
        "history docs @",
        "diff docs docs @",
        "export @",
        "export docs --output @",
        "mount docs @",
        "umount @",
        "backup @",
        "backup docs --exclude @",
        "backup docs --hostname @",
        "backup docs -N @",
        "backup docs --tag @",
        "backup docs --wait=",
        "backup docs --metadata-out @",
        "prune @ --yes",
        "prune docs --keep-last @ --yes",
        "prune docs --keep-tag @ --yes",
        "prune -N @ --keep-last 1 --yes",
        "list --store @",
        "list --store=",
        "list --encrypt-pass-file @",
        "list --log-file @",
        "list --config @",
        "ls docs --disk-cache @",
        "check @",
        "repair @",
        "repack @ --yes",
        "sync @ copy",
        "sync .local/share/freezer/store @",
        "sync .local/share/freezer/store copy @",
        "key remove @",
        "job get @",
        "session restore @ --target x",
    ] {
        let words = arguments.split_whitespace();
        let words = words.map(|word| if word == "@" { "" } else { word });
        let ended = said(user.freezer().args(words));
        assert_eq!(ended.code, 2, "{arguments}: {ended:?}");
        assert_eq!(ended.out, "", "{arguments}");
    }
    let ended = said(
        user.freezer()
            .args(["restore", "docs", "", "--target", "docs"]),
    );
    assert!(ended.err.contains("[PATH]...' is empty"), "{ended:?}");
    let unharmed = std::fs::read(user.path("docs/a.txt")).expect("there");
    assert_eq!(unharmed, b"newer\n");
    assert!(!user.path("copy").exists());
}

#[test]
fn an_empty_variable_and_an_empty_value_in_a_file_count_as_not_set() {
    let user = User::with_docs();
    user.succeeds("backup docs");
    let ended = said(user.freezer().arg("list").env("FREEZER_STORE", ""));
    assert_eq!(ended.code, 0, "{ended:?}");
    user.write("conf", "store =\n");
    user.succeeds("list --config conf");
}

#[test]
fn the_top_can_be_named_on_purpose() {
    let user = User::with_docs();
    user.succeeds("backup docs");
    for (number, top) in ["/", "."].into_iter().enumerate() {
        user.succeeds(&format!("restore docs {top} --target all{number}"));
        assert!(user.path(format!("all{number}/sub/b.txt")).exists());
        assert!(user.succeeds(&format!("ls docs {top}")).out.contains("sub"));
    }
}
