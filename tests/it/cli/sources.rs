//! Which tree a backup holds: what is missing, left out or gone is told, and never passes for done.

use super::{User, said};
use std::process::Stdio;

/// The paths that a point in time lists, the directories among them.
fn listed(user: &User, backup: &str) -> Vec<String> {
    let said = user.succeeds(&format!("ls -R {backup}"));
    said.out.lines().map(str::to_owned).collect()
}

fn has(listed: &[String], name: &str) -> bool {
    listed.iter().any(|path| path.ends_with(name))
}

#[test]
fn of_several_paths_the_others_are_backed_up_when_one_is_missing() {
    let user = User::with_docs();
    user.write("other/x.txt", "x\n");
    user.succeeds("backup docs other -N both");
    std::fs::rename(user.path("other"), user.path("elsewhere")).expect("renamed");
    user.write("docs/new.txt", "new\n");
    let said = user.fails(3, "backup docs other -N both --keep-last 1");
    assert!(said.err.contains("other: could not open it"), "{said:?}");
    assert!(
        said.err.contains("no earlier point in time was removed"),
        "{said:?}"
    );
    let now = listed(&user, "both");
    assert!(has(&now, "docs/new.txt"), "{now:?}");
    let points = user.succeeds("list both --json").json();
    assert_eq!(points.as_array().map(Vec::len), Some(2), "{points}");
    std::fs::rename(user.path("elsewhere"), user.path("other")).expect("renamed");
    user.succeeds("backup docs other -N both");
    assert!(has(&listed(&user, "both"), "other/x.txt"));
    user.fails(1, "backup nowhere neither -N none");
}

#[test]
fn a_missing_path_beside_its_own_folder_hides_no_deletion() {
    let user = User::with_docs();
    user.succeeds("backup docs docs/sub -N one");
    std::fs::remove_file(user.path("docs/a.txt")).expect("removed");
    user.fails(3, "backup docs docs/never -N one");
    assert!(!has(&listed(&user, "one"), "a.txt"));
}

#[test]
fn paths_come_from_files_too() {
    let user = User::with_docs();
    user.write("lines", "docs/a.txt\r\n\ndocs/sub\n");
    user.write("zeros", "docs/a.txt\0docs/sub\0");
    for (name, option) in [
        ("lines", "--files-from lines"),
        ("zeros", "--files-from0 zeros"),
    ] {
        user.succeeds(&format!("backup -N {name} {option}"));
        let found = listed(&user, name);
        assert!(
            has(&found, "docs/a.txt") && has(&found, "docs/sub/b.txt"),
            "{found:?}"
        );
    }
    let mut piped = user.freezer();
    let input = std::fs::File::open(user.path("zeros")).expect("there");
    piped
        .args(["backup", "-N", "piped", "--files-from0", "-"])
        .stdin(Stdio::from(input));
    assert_eq!(said(&mut piped).code, 0);
}

#[test]
fn an_emptied_source_makes_no_point_in_time_unless_asked_for() {
    let user = User::with_docs();
    user.succeeds("backup docs --keep-last 1");
    std::fs::remove_dir_all(user.path("docs")).expect("removed");
    std::fs::create_dir(user.path("docs")).expect("made");
    for options in ["", "--no-incremental"] {
        let said = user.fails(1, &format!("backup docs --keep-last 1 {options}"));
        assert!(said.err.contains("--allow-empty"), "{said:?}");
        assert!(has(&listed(&user, "docs"), "a.txt"));
    }
    user.succeeds("backup docs --allow-empty");
    assert!(listed(&user, "docs").is_empty());
    // Once it is so, it may stay so.
    user.succeeds("backup docs");
}

#[test]
fn a_tree_of_which_most_is_gone_is_kept_but_removes_no_earlier_one() {
    let user = User::new();
    for number in 0..30 {
        user.write(&format!("docs/{number}"), "x");
    }
    user.succeeds("backup docs --keep-last 1");
    for number in 3..30 {
        std::fs::remove_file(user.path(format!("docs/{number}"))).expect("removed");
    }
    let said = user.fails(3, "backup docs --keep-last 1");
    assert!(
        said.err.contains("3 files now, 30 files in the point"),
        "{said:?}"
    );
    assert_eq!(
        user.succeeds("list docs --json")
            .json()
            .as_array()
            .map(Vec::len),
        Some(2)
    );
    user.succeeds("backup docs --keep-last 1");
}

#[test]
fn nothing_is_stored_where_nothing_has_changed_and_that_is_asked_for() {
    let user = User::with_docs();
    for path in ["docs", "docs/sub", "docs/a.txt", "docs/sub/b.txt"] {
        user.outlive_a_tick(path);
    }
    user.succeeds("backup docs --skip-if-unchanged");
    let before = user.objects("");
    let said = user.succeeds("backup docs --skip-if-unchanged");
    assert!(said.err.contains("no point in time was added"), "{said:?}");
    let event = user
        .succeeds("backup docs --skip-if-unchanged --json")
        .event("result");
    assert_eq!(event["unchanged"], true);
    assert_eq!(user.objects(""), before);
    user.write("docs/c.txt", "c");
    let event = user
        .succeeds("backup docs --skip-if-unchanged --json")
        .event("result");
    assert_eq!(event["unchanged"], false);
}

#[test]
fn the_store_is_left_out_from_the_first_run_on() {
    let user = User::with_docs();
    let home = user.path("");
    let home = home.to_str().expect("text");
    for _ in 0..2 {
        let said = user.succeeds(&format!("backup {home} -N home"));
        assert!(
            said.err.contains("it is the store of the backup"),
            "{said:?}"
        );
        let found = listed(&user, "home");
        assert!(
            has(&found, "docs/a.txt") && !has(&found, "freezer.json"),
            "{found:?}"
        );
    }
}

#[test]
#[ignore = "needs the right to mount"]
fn other_file_systems_are_left_out_on_request_and_named() {
    let user = User::with_docs();
    let place = user.path("docs/disk");
    std::fs::create_dir(&place).expect("made");
    let mount = |program: &str, arguments: &[&str]| {
        assert_eq!(said(user.program(program).args(arguments)).code, 0);
    };
    let text = place.to_str().expect("text");
    mount("mount", &["-t", "tmpfs", "-o", "size=1m", "tmpfs", text]);
    user.write("docs/disk/on-it", "x");
    let stays = user.runs("backup docs --one-file-system");
    let crosses = user.runs("backup docs -N crossed");
    let named = user.runs(&format!("backup docs {text} -N named --one-file-system"));
    mount("umount", &[text]);
    assert!(
        stays
            .err
            .contains("left out what is in disk: it is another file system"),
        "{stays:?}"
    );
    assert!(has(&listed(&user, "docs"), "disk") && !has(&listed(&user, "docs"), "on-it"));
    assert_eq!((crosses.code, named.code), (0, 0), "{crosses:?} {named:?}");
    assert!(has(&listed(&user, "crossed"), "on-it") && has(&listed(&user, "named"), "on-it"));
}

#[test]
#[ignore = "needs /dev/fuse and the right to mount"]
fn mounts_of_backups_and_file_systems_of_the_kernel_are_left_out() {
    let user = User::with_docs();
    std::fs::create_dir(user.path("docs/seen")).expect("made");
    std::fs::create_dir(user.path("docs/proc")).expect("made");
    user.succeeds("backup docs");
    user.succeeds("mount docs docs/seen");
    let proc = user.path("docs/proc");
    let proc = proc.to_str().expect("text");
    assert_eq!(
        said(user.program("mount").args(["-t", "proc", "proc", proc])).code,
        0
    );
    let again = user.runs("backup docs --json");
    let asked = user.runs(&format!("backup {proc}/uptime -N uptime"));
    assert_eq!(said(user.program("umount").arg(proc)).code, 0);
    user.succeeds("umount docs/seen");
    assert_eq!((again.code, asked.code), (0, 0), "{again:?} {asked:?}");
    let event = again.event("result");
    let left_out = event["left_out"].to_string();
    assert!(left_out.contains("backups are mounted there"), "{left_out}");
    assert!(
        left_out.contains("file system of the kernel (proc)"),
        "{left_out}"
    );
    assert!(!has(&listed(&user, "docs"), "latest") && !has(&listed(&user, "docs"), "uptime"));
}

#[test]
fn a_file_that_cannot_be_read_is_named_once() {
    use std::os::unix::fs::PermissionsExt;
    let user = User::with_docs();
    let (home, secret) = (user.path(""), user.path("docs/a.txt"));
    std::fs::set_permissions(&secret, PermissionsExt::from_mode(0o000)).expect("changed");
    if std::fs::read(&secret).is_ok() {
        // Root reads everything: somebody else makes the backup.
        for path in [home.as_path(), &user.path("docs"), &user.path("docs/sub")] {
            std::fs::set_permissions(path, PermissionsExt::from_mode(0o755)).expect("changed");
        }
        let store = user.path("store");
        std::fs::create_dir(&store).expect("made");
        std::os::unix::fs::chown(&store, Some(65534), Some(65534)).expect("given away");
        let mut other = user.program("setpriv");
        other
            .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
            .arg(env!("CARGO_BIN_EXE_freezer"))
            .args(["backup", "docs", "--store", "store"])
            .env("HOME", &store);
        let said = said(&mut other);
        assert_eq!(
            (said.code, said.err.matches("a.txt").count()),
            (3, 1),
            "{said:?}"
        );
        return;
    }
    let said = user.fails(3, "backup docs");
    assert_eq!(said.err.matches("a.txt").count(), 1, "{said:?}");
}
