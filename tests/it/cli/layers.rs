//! Command line over environment over files over defaults.

use super::{User, said};

/// The store that a backup went to, by what stands where.
fn store_used(command_line: Option<&str>, environment: Option<&str>, file: Option<&str>) -> String {
    let user = User::with_docs();
    let mut command = user.freezer();
    command.args(["backup", "docs", "-q"]);
    command.args(command_line.map(|store| format!("--store={store}")));
    command.envs(environment.map(|store| ("FREEZER_STORE", store)));
    if let Some(store) = file {
        user.write(".config/freezer/freezer.conf", format!("store = {store}\n"));
    }
    let ended = said(&mut command);
    assert_eq!(ended.code, 0, "{ended:?}");
    let used: Vec<_> = ["typed", "variable", "file", ".local/share/freezer/store"]
        .into_iter()
        .filter(|store| user.path(store).exists())
        .collect();
    used.join(",")
}

#[test]
fn the_nearest_layer_wins() {
    for (typed, variable, file, used) in [
        (None, None, None, ".local/share/freezer/store"),
        (None, None, Some("file"), "file"),
        (None, Some("variable"), None, "variable"),
        (None, Some("variable"), Some("file"), "variable"),
        (Some("typed"), None, Some("file"), "typed"),
        (Some("typed"), Some("variable"), Some("file"), "typed"),
    ] {
        assert_eq!(
            store_used(typed, variable, file),
            used,
            "{typed:?} over {variable:?} over {file:?}"
        );
    }
}

#[test]
fn a_global_option_wins_before_and_behind_the_command() {
    for arguments in [
        "--store typed backup docs",
        "backup --store typed docs",
        "backup docs -C typed",
        "--container=typed backup docs",
    ] {
        let user = User::with_docs();
        user.write(".config/freezer/freezer.conf", "store = file\n");
        user.succeeds(arguments);
        assert!(
            user.path("typed/freezer.json").exists() && !user.path("file").exists(),
            "{arguments}"
        );
    }
}

#[test]
fn every_option_can_stand_in_a_file_and_lists_add_up() {
    let user = User::with_docs();
    user.write("docs/x.tmp", "");
    user.write("docs/y.bak", "");
    user.write("docs/z.old", "");
    user.write(
        "my.conf",
        "[any]\nexclude = *.tmp\n  *.bak\nBackup_Name = papers\nquiet = True\
         \nallow_other = False\n",
    );
    user.succeeds("init");
    let said = user.succeeds("backup docs --config my.conf --exclude *.old");
    assert_eq!(said.err, "", "quiet");
    assert_eq!(user.succeeds("ls papers").out, "a.txt\nsub\n");
    let said = user.succeeds("backup docs --config my.conf --no-quiet -N other");
    assert!(said.err.contains("backed up"), "{said:?}");
}

#[test]
fn what_is_wrong_in_a_file_is_told_with_its_line() {
    for (content, told) in [
        ("\nstor = x\n", "did you mean store?"),
        ("\nmax_segment_size = many\n", "my.conf, line 2"),
        ("\nsnapshot = True\n", "volume snapshots"),
        ("\nquiet = perhaps\n", "my.conf, line 2"),
        ("\nnonsense\n", "my.conf, line 2"),
    ] {
        let user = User::with_docs();
        user.write("my.conf", content);
        let said = user.fails(2, "backup docs --config my.conf");
        assert!(said.err.contains(told), "{content:?}: {said:?}");
        assert!(!user.path(".local").exists());
    }
    let said = User::new().fails(2, "list --config nowhere.conf");
    assert!(said.err.contains("nowhere.conf"), "{said:?}");
}

#[test]
fn what_excludes_or_needs_another_option_can_stand_in_a_file() {
    let user = User::with_docs();
    user.write("my.conf", "no_incremental = True\n");
    user.succeeds("backup docs --config my.conf");
    let said = user.succeeds("backup docs --config my.conf --json");
    assert!(said.out.contains("\"level\":0"), "{said:?}");
    let said = user.succeeds("backup docs --config my.conf --no-no-incremental --json");
    assert!(said.out.contains("\"level\":1"), "{said:?}");
    let said = user.fails(2, "backup docs --config my.conf --max-level 3");
    assert!(
        said.err.contains("--no-incremental") && said.err.contains("--max-level"),
        "{said:?}"
    );
    user.write("tls.conf", "tls_key = key.pem\n");
    let said = user.fails(2, "api --config tls.conf");
    assert!(said.err.contains("--tls-certificate"), "{said:?}");
}

#[test]
fn whole_members_and_blocks_exclude_each_other() {
    let user = User::with_docs();
    let said = user.fails(2, "backup docs --engine rsync --tar-levels");
    assert!(
        said.err.contains("--tar-levels needs whole files"),
        "{said:?}"
    );
    assert!(
        !user.path(".local").exists(),
        "no store was made for nothing"
    );
    user.succeeds("backup docs --engine tar --tar-levels");
}

#[test]
fn every_length_of_time_is_one_or_refused() {
    let user = User::with_docs();
    let said = user.fails(2, "backup docs --checkpoint-interval often");
    assert!(said.err.contains("write a length of time"), "{said:?}");
    user.succeeds("backup docs --checkpoint-interval 0s --checksum");
    let said = user.succeeds("backup docs --checksum --json");
    assert!(
        said.out.contains("\"level\":1") && !said.out.contains("taken"),
        "{said:?}"
    );
}
