//! The everyday commands, from the first backup on.

use super::{Said, User, said};
use std::process::Command;

/// The text with what differs from run to run replaced.
fn settled(text: &str) -> String {
    let words = text.split(' ').map(|word| {
        let is_date =
            word.len() >= 10 && word.as_bytes()[4..].starts_with(b"-") && word.starts_with("20");
        if is_date { "DATE" } else { word }
    });
    words.collect::<Vec<_>>().join(" ")
}

#[test]
fn the_first_backup_makes_the_embedded_store_and_everything_reads_it() {
    let user = User::with_docs();
    let backed_up = user.succeeds("backup docs --hostname here");
    assert_eq!(backed_up.out, "");
    assert!(
        backed_up.err.contains(".local/share/freezer/store"),
        "{backed_up:?}"
    );
    assert!(
        backed_up.err.contains("backed up here/docs@"),
        "{backed_up:?}"
    );
    assert!(
        backed_up.err.contains("2 files and 2 directories, 10 B"),
        "{backed_up:?}"
    );

    let list = user.succeeds("list");
    let lines: Vec<_> = list.out.lines().map(settled).collect();
    assert_eq!(lines[0], "BACKUP     POINTS IN TIME  NEWEST");
    assert!(
        lines[1].starts_with("here/docs               1  DATE "),
        "{lines:?}"
    );
    let levels = user.succeeds("list docs");
    assert_eq!(levels.out.lines().count(), 2, "{levels:?}");

    assert_eq!(user.succeeds("ls docs").out, "a.txt\nsub\n");
    assert_eq!(user.succeeds("ls docs sub a.txt").out, "b.txt\na.txt\n");
    assert_eq!(
        user.succeeds("ls -R here/docs@latest").out,
        "a.txt\nsub\nsub/b.txt\n"
    );
    assert_eq!(
        user.succeeds("cat docs sub/b.txt /a.txt").out,
        "bee\nhello\n"
    );

    user.succeeds("restore docs --target all");
    assert_eq!(
        std::fs::read(user.path("all/sub/b.txt")).expect("restored"),
        b"bee\n"
    );
    user.succeeds("restore docs sub/b.txt --target one");
    assert!(!user.path("one/a.txt").exists());
    assert_eq!(
        user.succeeds("restore docs sub --target none --dry-run")
            .out,
        ".\nsub\nsub/b.txt\n"
    );
    assert!(!user.path("none").exists());

    user.succeeds("check");
    user.succeeds("check docs --read-data");
    user.succeeds("export docs --output docs.tar");
    let listed = said(user.program("tar").args(["--list", "--file", "docs.tar"]));
    assert_eq!(listed.out, "./\n./a.txt\n./sub/\n./sub/b.txt\n");
}

#[test]
fn a_second_backup_is_another_point_in_time() {
    let user = User::with_docs();
    user.succeeds("backup docs");
    user.write("docs/a.txt", "changed\n");
    user.succeeds("backup docs -q");
    assert_eq!(user.succeeds("list docs").out.lines().count(), 3);
    assert_eq!(user.succeeds("cat docs a.txt").out, "changed\n");
    let first = user.succeeds("list docs --json").json()[0]["started"]
        .as_str()
        .expect("a time")
        .to_owned();
    assert_eq!(
        user.succeeds(&format!("cat docs@{first} a.txt")).out,
        "hello\n"
    );
    let early = user.fails(1, "ls docs@2001-01-01");
    assert!(early.err.contains("hint: freezer list BACKUP"), "{early:?}");
}

#[test]
fn programs_get_json() {
    let user = User::with_docs();
    let backed_up = user.succeeds("backup docs --json --hostname here --metadata-out meta.json");
    let result = backed_up.event("result");
    assert_eq!(result["backup"], "here/docs");
    assert_eq!(result["counts"]["files"], 2);
    assert_eq!(result["bytes"]["logical"], 10);
    let metadata: serde_json::Value =
        serde_json::from_slice(&std::fs::read(user.path("meta.json")).expect("written"))
            .expect("JSON");
    assert_eq!(metadata["level_id"], result["level_id"]);

    let list = user.succeeds("list --json").json();
    assert_eq!(
        (&list[0]["backup"], &list[0]["levels"]),
        (&"here/docs".into(), &1.into())
    );
    let listed = user.succeeds("list docs --json").json();
    assert_eq!(listed[0]["level_id"], result["level_id"]);
    for (key, value) in [
        ("engine", "tar"),
        ("compression", "zstd"),
        ("cipher", "none"),
    ] {
        assert_eq!(listed[0][key], value, "{key}");
    }
    assert!(
        listed[0]["seconds"]
            .as_f64()
            .is_some_and(|seconds| seconds >= 0.0)
            && listed[0]["parent"].is_null(),
        "{listed}"
    );
    user.succeeds("backup docs --hostname here");
    let listed = user.succeeds("list docs --json").json();
    assert_eq!(
        (&listed[1]["parent"], &listed[1]["level"]),
        (&listed[0]["level_id"], &1.into())
    );
    let entries = user.succeeds("ls docs --json").out;
    let file: serde_json::Value =
        serde_json::from_str(entries.lines().next().expect("a line")).expect("JSON");
    assert_eq!(
        (&file["path"], &file["size"], &file["kind"]),
        (&"a.txt".into(), &6.into(), &"file".into())
    );
    assert_eq!(user.succeeds("check --json").event("result")["damages"], 0);
    assert_eq!(
        user.succeeds("restore docs --target out --json")
            .event("result")["files"],
        2
    );
    let failed = user.fails(1, "ls nothing --json");
    assert_eq!(failed.json()["exit_code"], 1);
    assert!(failed.err.starts_with("freezer: "), "{failed:?}");
}

#[test]
fn names_that_are_like_a_wrong_one_are_listed() {
    let user = User::with_docs();
    user.succeeds("backup docs");
    assert!(user.fails(1, "ls dosc").err.contains("docs"));
    assert!(
        user.fails(1, "cat docs sub/b.tx")
            .err
            .contains("is it sub/b.txt?")
    );
    assert!(
        user.fails(1, "cat docs sbu/b.txt")
            .err
            .contains("is it sub?")
    );
    assert!(user.fails(1, "cat docs sub").err.contains("directory"));
    assert!(
        user.fails(1, "restore docs nope --target out")
            .err
            .contains("nope")
    );
    assert!(
        !user.path("out").exists(),
        "nothing is made for what is not there"
    );
}

#[test]
fn what_is_left_out_is_left_out() {
    let user = User::with_docs();
    user.write("docs/sub/x.tmp", "");
    user.write("docs/cache/x", "");
    user.succeeds("backup docs --exclude *.tmp --exclude ./cache");
    assert_eq!(user.succeeds("ls -R docs").out, "a.txt\nsub\nsub/b.txt\n");
}

#[test]
fn a_rehearsal_stores_nothing_and_tells_what_it_would() {
    let user = User::with_docs();
    let said = user.succeeds("backup docs --dry-run");
    assert!(said.err.contains("would back up"), "{said:?}");
    assert!(!user.path(".local").exists());
}

#[test]
fn nothing_is_made_for_a_source_that_is_not_there() {
    let user = User::new();
    let said = user.fails(1, "backup nowhere");
    assert!(
        said.err.contains("could not open nowhere: No such file"),
        "{said:?}"
    );
    assert!(!user.path(".local").exists());
    assert!(
        user.fails(10, "list")
            .err
            .contains("hint: freezer backup PATH makes one there")
    );
}

#[test]
fn a_target_that_is_not_empty_is_refused_without_overwrite() {
    let user = User::with_docs();
    user.succeeds("backup docs");
    user.write("out/a.txt", "mine\n");
    let said = user.fails(1, "restore docs --target out");
    assert!(said.err.contains("--overwrite"), "{said:?}");
    user.succeeds("restore docs --target out --overwrite");
    assert_eq!(
        std::fs::read(user.path("out/a.txt")).expect("there"),
        b"hello\n"
    );
}

/// Runs `freezer` as a user whom permissions bind: root reads everything.
fn as_somebody(user: &User, arguments: &str) -> Said {
    let is_root = rustix::process::geteuid().is_root();
    let mut command: Command = if is_root {
        let everything = std::os::unix::fs::PermissionsExt::from_mode(0o777);
        std::fs::set_permissions(user.home.path(), everything).expect("changed");
        let mut command = user.program("setpriv");
        command.args([
            "--reuid=65534",
            "--regid=65534",
            "--clear-groups",
            env!("CARGO_BIN_EXE_freezer"),
        ]);
        command
    } else {
        user.freezer()
    };
    said(command.args(arguments.split_whitespace()))
}

#[test]
fn a_file_that_cannot_be_read_is_named_and_the_exit_code_tells() {
    let user = User::with_docs();
    user.write("docs/secret", "x");
    std::fs::set_permissions(
        user.path("docs/secret"),
        std::os::unix::fs::PermissionsExt::from_mode(0o0),
    )
    .expect("changed");
    let said = as_somebody(&user, "backup docs");
    assert_eq!(said.code, 3, "{said:?}");
    assert!(said.err.contains("freezer: secret: "), "{said:?}");
    assert!(said.err.contains("1 file could not be read"), "{said:?}");
    let said = as_somebody(&user, "backup docs --json");
    assert_eq!(
        (said.code, &said.event("trouble")["path"]),
        (3, &"secret".into())
    );
    assert_eq!(said.event("result")["counts"]["failed"], 1);
}

#[test]
fn names_of_any_bytes_survive_a_listing() {
    use std::os::unix::ffi::OsStrExt;
    let user = User::new();
    std::fs::create_dir(user.path("docs")).expect("made");
    let name = std::ffi::OsStr::from_bytes(b"a\xff\x1b[2J");
    std::fs::write(user.path("docs").join(name), "x").expect("written");
    user.succeeds("backup docs");
    let output = user
        .freezer()
        .args(["ls", "docs"])
        .output()
        .expect("it runs");
    assert_eq!(
        output.stdout, b"a\\xff\\u{1b}[2J\n",
        "no pipe leads raw bytes on"
    );
    let entry: serde_json::Value =
        serde_json::from_str(&user.succeeds("ls docs --json").out).expect("JSON");
    assert_eq!(entry["path"]["base64"], "Yf8bWzJK");
    let content = user
        .freezer()
        .args(["cat", "docs"])
        .arg(name)
        .output()
        .expect("it runs");
    assert_eq!(content.stdout, b"x");
}
