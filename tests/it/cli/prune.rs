//! Which points in time stay, and how the program asks before any goes.

use super::User;

impl User {
    /// Five points in time of `docs`, each with another content.
    fn with_five_points() -> Self {
        let user = Self::with_docs();
        for content in 0..5 {
            user.write("docs/a.txt", format!("content {content}\n"));
            let tag = if content == 1 { "--tag release" } else { "" };
            user.succeeds(&format!("backup docs --hostname here -q {tag}"));
        }
        user
    }

    fn points(&self) -> usize {
        self.succeeds("list docs --json")
            .json()
            .as_array()
            .expect("a list")
            .len()
    }
}

/// The last two columns of a table: what becomes of each, and why.
fn fates(out: &str) -> Vec<String> {
    let fate_of = |line: &str| {
        let at = line.find("goes").or_else(|| line.find("stays"))?;
        Some(line[at..].split_whitespace().collect::<Vec<_>>().join(" "))
    };
    out.lines().filter_map(fate_of).collect()
}

#[test]
fn a_rehearsal_shows_what_stays_what_goes_and_why() {
    let user = User::with_five_points();
    let said =
        user.succeeds("prune docs --keep-last 2 --keep-tag release --keep-daily 1 --dry-run");
    let lines: Vec<_> = said.out.lines().collect();
    assert_eq!(lines[0], "here/docs");
    assert!(
        lines[1].starts_with("POINT IN TIME") && lines[1].ends_with("BECAUSE IT IS"),
        "{said:?}"
    );
    assert_eq!(
        fates(&said.out),
        [
            "goes",
            "stays tag release",
            "goes",
            "stays last",
            "stays newest, last, daily"
        ]
    );
    assert!(said.err.contains("2 points in time would go"), "{said:?}");
    assert!(said.err.contains("nothing was removed"), "{said:?}");
    assert_eq!(user.points(), 5);
}

#[test]
fn without_a_terminal_nothing_goes_unless_it_was_said() {
    let user = User::with_five_points();
    let said = user.fails(2, "prune docs --keep-last 1");
    assert!(
        said.err.contains("there is no terminal to ask on"),
        "{said:?}"
    );
    assert!(said.err.contains("hint: give --yes"), "{said:?}");
    assert_eq!(user.points(), 5);
    let said = user.succeeds("prune docs --keep-last 1 --yes");
    assert!(
        said.err
            .contains("here/docs: removed 4 points in time and 0 B of data"),
        "{said:?}"
    );
    assert!(
        said.err.contains("more can be removed by a prune after 20"),
        "{said:?}"
    );
    assert_eq!(user.points(), 1);
    assert_eq!(user.succeeds("cat docs a.txt").out, "content 4\n");
    assert_eq!(
        user.succeeds("cat docs sub/b.txt").out,
        "bee\n",
        "what the first level holds is still there"
    );
    let said = user.succeeds("prune --yes --grace 0");
    assert!(
        said.err.contains("removed 0 points in time and "),
        "{said:?}"
    );
    assert!(!said.err.contains("more can be removed"), "{said:?}");
    assert!(
        user.succeeds("prune --yes")
            .err
            .contains("there is nothing to remove")
    );
    user.succeeds("check --read-data");
}

#[test]
fn one_point_in_time_goes_by_its_name() {
    let user = User::with_five_points();
    let id = user.succeeds("list docs --json").json()[2]["level_id"]
        .as_str()
        .expect("an id")
        .to_owned();
    user.succeeds(&format!("prune docs@{id} --yes"));
    let left = user.succeeds("list docs --json").json();
    assert_eq!(left.as_array().expect("a list").len(), 4);
    assert!(
        left.as_array()
            .expect("a list")
            .iter()
            .all(|point| point["level_id"] != id.as_str())
    );
    user.succeeds("check --read-data");
}

#[test]
fn programs_are_told_the_plan_and_what_was_done() {
    let user = User::with_five_points();
    let plan = user
        .succeeds("prune docs --keep-last 2 --dry-run --json")
        .json();
    assert_eq!(plan[0]["backup"], "here/docs");
    assert_eq!(plan[0]["points_in_time"][0]["fate"], "goes");
    assert_eq!(
        plan[0]["points_in_time"][4]["because"],
        serde_json::json!(["newest", "last"])
    );
    assert!(plan[0].get("removed").is_none());
    let done = user
        .succeeds("prune docs --keep-last 2 --yes --grace 0 --json")
        .json();
    assert_eq!(done[0]["removed"]["points_in_time"], 3);
    assert_eq!(
        done[0]["removed"]["freed_bytes"],
        plan[0]["would_free_bytes"]
    );
}

#[test]
fn a_backup_prunes_after_itself() {
    let user = User::with_five_points();
    user.write("docs/a.txt", "the last\n");
    let said = user.succeeds("backup docs --hostname here --keep-last 3");
    assert!(said.err.contains("removed 3 points in time"), "{said:?}");
    assert_eq!(user.points(), 3);
    user.write("keep.conf", "keep_last = 1\n");
    user.write("docs/a.txt", "the very last\n");
    user.succeeds("backup docs --hostname here --config keep.conf");
    assert_eq!(user.points(), 1);
    user.succeeds("check --read-data");
}

#[test]
fn rules_want_a_backup_and_make_sense() {
    let user = User::with_five_points();
    assert!(
        user.fails(2, "prune --keep-last 1 --yes")
            .err
            .contains("--all")
    );
    assert!(
        user.fails(2, "prune docs --keep-last x")
            .err
            .contains("--keep-last")
    );
    assert!(
        user.fails(2, "prune docs --keep-within soon")
            .err
            .contains("30d")
    );
    assert!(user.fails(2, "prune docs --grace soon").err.contains("90s"));
    assert!(
        user.fails(
            2,
            "prune docs --remove-older-than 3 --remove-from-date 2026-01-01"
        )
        .err
        .contains("cannot be used with")
    );
    assert!(
        user.fails(2, "prune docs here/docs --keep-last 1 --yes")
            .err
            .contains("named twice")
    );
    assert_eq!(user.points(), 5);
    assert_eq!(
        fates(
            &user
                .succeeds("prune docs --remove-from-date 2001-01-01 --dry-run")
                .out
        )[0],
        "stays young"
    );
    user.succeeds("prune --all --keep-last 2 --yes");
    assert_eq!(user.points(), 2);
}

#[test]
fn the_original_removes_without_asking() {
    let user = User::with_five_points();
    user.succeeds("--action admin -N docs --hostname here --remove-older-than 30 --storage local");
    assert_eq!(user.points(), 5);
    user.succeeds("--action admin --backup-name docs --remove-older-than 0");
    assert_eq!(user.points(), 1, "all but the newest");
    user.write(
        "job.conf",
        "[job]\naction = admin\nbackup_name = docs\nremove_older_than = 365\n",
    );
    user.succeeds("--config job.conf");
    assert_eq!(user.points(), 1);
}

impl User {
    /// Runs it on a terminal of its own, where `answer` is typed. What it shows there, and its exit
    /// code.
    fn answers(&self, arguments: &str, answer: &str) -> (String, i32) {
        use std::io::Write;
        let mut command = self.program("script");
        let line = format!("'{}' {arguments}", env!("CARGO_BIN_EXE_freezer"));
        command.args(["--quiet", "--return", "--command", &line, "/dev/null"]);
        command
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped());
        let mut child = command.spawn().expect("script runs");
        let mut typed = child.stdin.take().expect("piped");
        typed.write_all(answer.as_bytes()).expect("typed");
        // The line stays open: its end would be typed too.
        let output = child.wait_with_output().expect("it ends");
        drop(typed);
        (
            String::from_utf8_lossy(&output.stdout).into_owned(),
            output.status.code().expect("it ended by itself"),
        )
    }
}

#[test]
fn on_a_terminal_it_asks_and_does_what_is_answered() {
    let user = User::with_five_points();
    for no in ["n\n", "\n", "yes please\n"] {
        let (shown, code) = user.answers("prune docs --keep-last 1", no);
        assert!(
            shown.contains("Remove 4 points in time and ") && shown.contains("[y/N]"),
            "{shown}"
        );
        assert_eq!((code, user.points()), (130, 5), "{no:?}: {shown}");
    }
    let (shown, code) = user.answers("prune docs --keep-last 3", "Yes\n");
    assert!(
        shown.contains("here/docs: removed 2 points in time"),
        "{shown}"
    );
    assert_eq!((code, user.points()), (0, 3), "{shown}");
    let (shown, code) = user.answers("prune docs --keep-last 2 --yes", "");
    assert!(!shown.contains("[y/N]"), "{shown}");
    assert_eq!((code, user.points()), (0, 2), "{shown}");
}
