//! What a user has written somewhere is never written into a store.

use super::User;
use std::collections::BTreeMap;
use std::path::PathBuf;

impl User {
    /// A user with backups in two stores, one of which is used here and one is not.
    fn with_two_stores() -> Self {
        let user = Self::with_docs();
        user.succeeds("backup docs --store store -q");
        user.succeeds("backup docs --store other -q");
        user
    }

    /// All files of both stores, with what is in them.
    fn in_both_stores(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut found = BTreeMap::new();
        let mut waiting = vec![self.path("store"), self.path("other")];
        while let Some(folder) = waiting.pop() {
            for entry in std::fs::read_dir(&folder).expect("a directory") {
                let path = entry.expect("an entry").path();
                if path.is_dir() {
                    waiting.push(path.clone());
                    found.insert(path, Vec::new());
                } else {
                    let content = std::fs::read(&path).expect("readable");
                    found.insert(path, content);
                }
            }
        }
        found
    }
}

#[test]
fn nothing_that_a_user_names_is_written_into_a_store() {
    let user = User::with_two_stores();
    std::os::unix::fs::symlink("other/data", user.path("link")).expect("linked");
    std::os::unix::fs::symlink("other/new.tar", user.path("dangling")).expect("linked");
    let before = user.in_both_stores();
    for (code, arguments) in [
        (1, "restore docs --target store --overwrite"),
        (1, "restore docs --target other --overwrite"),
        (1, "restore docs --target other/new"),
        (1, "restore docs --target link --overwrite"),
        (1, "restore docs a.txt --target link/../x"),
        (2, "export docs --output other/freezer.json"),
        (2, "export docs --output link/x.tar"),
        (2, "export docs --output dangling"),
        (2, "list --log-file other/freezer.json"),
        (2, "backup docs --metadata-out other/x.json"),
        (2, "ls docs --disk-cache other/cache"),
        (2, "man other"),
        (2, "scheduler once --no-api --state-dir other/state"),
        (2, "api migrate --database sqlite:other/api.sqlite"),
        (2, "sync store other/data/copy"),
        (2, "backup docs --store other/data/inner"),
    ] {
        let with_store = format!("{arguments} --store store");
        let arguments = match arguments.contains("--store") {
            true => arguments,
            false => &with_store,
        };
        let said = user.fails(code, arguments);
        assert!(said.err.contains("in the store"), "{arguments}: {said:?}");
        assert_eq!(user.in_both_stores(), before, "{arguments}");
    }
}

#[test]
fn a_restore_over_a_tree_with_a_store_in_it_leaves_the_store_out() {
    let user = User::with_docs();
    user.succeeds("backup docs --store docs/store -q");
    // A backup of the store's folder, in another store.
    user.succeeds("backup docs --store other -q");
    user.write("docs/store/freezer.json.since", "x");
    let said = user.fails(3, "restore docs --store other --target docs --overwrite");
    assert!(said.err.contains("store"), "{said:?}");
    user.succeeds("list --store docs/store");
    // Where there is none in the way, it comes back.
    user.succeeds("restore docs --store other --target elsewhere");
    user.succeeds("list --store elsewhere/store");
}

#[test]
fn what_lies_beside_a_store_is_written_as_ever() {
    let user = User::with_two_stores();
    user.succeeds("export docs --store store --output docs.tar");
    user.succeeds("restore docs --store store --target new/deeper");
    user.succeeds("sync store copy");
    user.succeeds("backup docs --store copy --log-file log --metadata-out out.json");
    assert!(user.path("docs.tar").exists() && user.path("out.json").exists());
}
