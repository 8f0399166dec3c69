//! What differs between points in time, and where versions of files are.

use super::User;

impl User {
    /// Three points in time: the second changes `a.txt` and adds a folder, the third removes
    /// `sub/b.txt`.
    fn with_three_points() -> Self {
        let user = Self::with_docs();
        user.succeeds("backup docs --hostname here -q");
        user.write("docs/a.txt", "hello, world\n");
        user.write("docs/new/c.txt", "sea\n");
        user.succeeds("backup docs --hostname here -q");
        std::fs::remove_file(user.path("docs/sub/b.txt")).expect("removed");
        user.succeeds("backup docs --hostname here -q");
        user
    }

    fn ids(&self) -> Vec<String> {
        let list = self.succeeds("list docs --json").json();
        list.as_array()
            .expect("a list")
            .iter()
            .map(|point| point["level_id"].as_str().expect("an id").to_owned())
            .collect()
    }
}

fn lines(out: &str) -> Vec<serde_json::Value> {
    out.lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect()
}

#[test]
fn a_diff_tells_what_came_went_and_changed() {
    let user = User::with_three_points();
    let ids = user.ids();
    let said = user.succeeds(&format!("diff docs@{} docs", ids[0]));
    assert_eq!(
        said.out,
        "M a.txt  (content, mtime)\n+ new\n+ new/c.txt\n- sub/b.txt\n"
    );
    assert_eq!(said.err, "2 added, 1 removed, 1 modified\n");
    assert_eq!(user.succeeds("diff docs docs").out, "");
    let back = user.succeeds(&format!("diff docs docs@{} sub", ids[0]));
    assert_eq!(back.out, "+ sub/b.txt\n");
    let json = lines(
        &user
            .succeeds(&format!("diff docs@{} docs@{} --json", ids[0], ids[1]))
            .out,
    );
    assert_eq!(
        (&json[0]["change"], &json[0]["path"]),
        (&"modified".into(), &"a.txt".into())
    );
    assert_eq!(
        (&json[0]["size_before"], &json[0]["size_after"]),
        (&6.into(), &13.into())
    );
    std::fs::set_permissions(
        user.path("docs/a.txt"),
        std::os::unix::fs::PermissionsExt::from_mode(0o600),
    )
    .expect("changed");
    user.succeeds("backup docs --hostname here -q");
    let told = user.succeeds(&format!("diff docs@{} docs", ids[2])).out;
    assert!(
        told.starts_with("M a.txt  (") && told.contains("mode)"),
        "{told}"
    );
}

#[test]
fn a_history_tells_each_version_once() {
    let user = User::with_three_points();
    let ids = user.ids();
    let versions = lines(&user.succeeds("history docs a.txt --json").out);
    assert_eq!(versions.len(), 2);
    assert_eq!(
        (&versions[0]["size"], &versions[0]["points_in_time"]),
        (&6.into(), &1.into())
    );
    assert_eq!(
        (&versions[1]["size"], &versions[1]["points_in_time"]),
        (&13.into(), &2.into())
    );
    assert_eq!(
        (
            versions[1]["first_level_id"].as_str(),
            versions[1]["last_level_id"].as_str()
        ),
        (Some(&*ids[1]), Some(&*ids[2]))
    );
    assert_eq!(
        versions[1]["differs_in"],
        serde_json::json!(["content", "mtime"])
    );
    let text = user.succeeds("history docs sub/b.txt").out;
    assert_eq!(text.lines().count(), 1);
    assert!(
        text.contains("in 2, ") && text.ends_with("sub/b.txt\n"),
        "{text}"
    );
    assert!(
        user.fails(1, "history docs nothing")
            .err
            .contains("in any point in time")
    );
    assert!(
        user.fails(2, "history docs@latest a.txt")
            .err
            .contains("without @DATE")
    );
}

#[test]
fn files_are_found_in_every_point_in_time() {
    let user = User::with_three_points();
    let found = |arguments: &str| {
        let found = lines(&user.succeeds(&format!("find docs {arguments} --json")).out);
        found
            .iter()
            .map(|version| {
                (
                    version["path"].as_str().expect("text").to_owned(),
                    version["size"].as_u64().expect("a size"),
                )
            })
            .collect::<Vec<_>>()
    };
    let pairs = |pairs: &[(&str, u64)]| {
        pairs
            .iter()
            .map(|(path, size)| ((*path).to_owned(), *size))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        found("*.txt"),
        pairs(&[
            ("a.txt", 6),
            ("a.txt", 13),
            ("new/c.txt", 4),
            ("sub/b.txt", 4)
        ])
    );
    assert_eq!(found("sub"), pairs(&[("sub", 0)]));
    assert_eq!(found("new/*"), pairs(&[("new/c.txt", 4)]));
    assert_eq!(found("*.txt --size +6"), pairs(&[("a.txt", 13)]));
    assert_eq!(
        found("*.txt --size -6"),
        pairs(&[("new/c.txt", 4), ("sub/b.txt", 4)])
    );
    assert_eq!(found("*.txt --newer 2999-01-01"), []);
    assert_eq!(
        found("*.txt --older 2999-01-01 --size 6"),
        pairs(&[("a.txt", 6)])
    );
    assert!(
        user.fails(2, "find docs x --size big")
            .err
            .contains("32MiB")
    );
    let one = lines(&user.succeeds("find docs@latest *.txt --json").out);
    assert_eq!(one.len(), 2);
}

#[test]
fn directories_are_summed() {
    let user = User::with_three_points();
    std::fs::hard_link(user.path("docs/a.txt"), user.path("docs/new/again.txt")).expect("linked");
    user.succeeds("backup docs --hostname here -q");
    let sums = |arguments: &str| {
        let lines = lines(&user.succeeds(&format!("du docs {arguments} --json")).out);
        lines
            .iter()
            .map(|line| {
                (
                    line["path"].as_str().expect("text").to_owned(),
                    line["bytes"].as_u64(),
                    line["files"].as_u64(),
                )
            })
            .collect::<Vec<_>>()
    };
    let row = |path: &str, bytes, files| (path.to_owned(), Some(bytes), Some(files));
    assert_eq!(
        sums(""),
        [row("new", 4, 1), row("sub", 0, 0), row("", 17, 2)]
    );
    assert_eq!(sums("--depth 0"), [row("", 17, 2)]);
    assert_eq!(sums("a.txt"), [row("a.txt", 13, 1)]);
    // Where only one name of a file is asked for, it counts there.
    assert_eq!(user.succeeds("du docs new").out, "      17 B  new\n");
}
