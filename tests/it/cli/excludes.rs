//! `--exclude` against the program whose meaning it promises.

use super::User;
use freezer::model::{Excludes, TreePath};
use proptest::prelude::{ProptestConfig, Strategy, prop_assert_eq, proptest};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Names that hold what patterns treat specially.
const PATHS: [&str; 17] = [
    "a", "a/b", "a/b/c", "a/bc", "a/.h", "ab", "ab/a", "ab/a/*", "b", "b/a[b", "b/]", "b/-x", "B",
    "c.o", "d\\", "d\\/?", "1",
];

/// The files of a tree that a backup with these options holds.
fn kept(options: &str) -> Vec<String> {
    let user = User::new();
    for path in ["a.log", "keep.log", "x.JPG", "sub/b.log", "sub/c.txt"] {
        user.write(&format!("docs/{path}"), "text\n");
    }
    user.write("docs/large", vec![b'x'; 3000]);
    user.write(
        "docs/cache/CACHEDIR.TAG",
        "Signature: 8a477f597d28d172789f06886806bc55\n",
    );
    user.write("docs/cache/thing", "x");
    user.write("docs/false/CACHEDIR.TAG", "no signature\n");
    user.write("docs/private/.nobackup", "");
    user.write("docs/private/deep/thing", "x");
    user.write("patterns", "# what no one misses\n\n*.log\r\n!keep.log\n");
    std::os::unix::fs::symlink("docs", user.path("link")).expect("linked");
    let home = user.path("");
    let options = options.replace("$PWD", home.to_str().expect("text").trim_end_matches('/'));
    user.succeeds(&format!("backup docs {options}"));
    let listed = user.succeeds("ls -R docs");
    let mut kept: Vec<String> = listed.out.lines().map(str::to_owned).collect();
    kept.retain(|path| !kept_folders().contains(&path.as_str()));
    kept
}

/// The directories of that tree: no rule takes them out.
fn kept_folders() -> [&'static str; 6] {
    ["sub", "cache", "false", "private", "private/deep", ""]
}

#[test]
fn each_rule_leaves_out_its_files_and_no_others() {
    const ALL: [&str; 10] = [
        "a.log",
        "cache/CACHEDIR.TAG",
        "cache/thing",
        "false/CACHEDIR.TAG",
        "keep.log",
        "large",
        "private/.nobackup",
        "private/deep/thing",
        "sub/b.log",
        "sub/c.txt",
    ];
    for (options, gone) in [
        ("", &[][..]),
        ("--exclude-from patterns", &["a.log", "sub/b.log"]),
        ("--exclude *.log --exclude !sub/*", &["a.log", "keep.log"]),
        (
            "--exclude-from patterns --exclude keep.*",
            &["a.log", "keep.log", "sub/b.log"],
        ),
        ("--exclude-caches", &["cache/thing"]),
        ("--exclude-if-present .nobackup", &["private/deep/thing"]),
        ("--exclude-larger-than 2k", &["large"]),
        ("--iexclude *.jpg", &["x.JPG"]),
        ("--exclude $PWD/link/sub/*", &["sub/b.log", "sub/c.txt"]),
    ] {
        let mut expected: Vec<&str> = ALL.iter().copied().chain(["x.JPG"]).collect();
        expected.retain(|path| !gone.contains(path));
        expected.sort_unstable();
        let mut found = kept(options);
        found.sort_unstable();
        assert_eq!(found, expected, "{options}");
    }
}

#[test]
fn a_pattern_that_matched_nothing_is_named() {
    let user = User::with_docs();
    let said = user.succeeds("backup docs --exclude docs/sub --exclude b.txt");
    assert!(
        said.err.contains("pattern docs/sub matched nothing"),
        "{said:?}"
    );
    assert!(!said.err.contains("b.txt"), "{said:?}");
    let event = user
        .succeeds("backup docs --exclude docs/sub --json")
        .event("result");
    assert_eq!(event["unmatched_excludes"], serde_json::json!(["docs/sub"]));
}

fn make_tree(root: &Path, paths: &[&str]) {
    for path in paths {
        std::fs::create_dir_all(root.join(path)).expect("a directory");
    }
}

/// What GNU tar leaves out of `root`.
fn tar_leaves_out(root: &Path, paths: &[&str], pattern: &str) -> BTreeSet<PathBuf> {
    let top = paths.iter().filter(|path| !path.contains('/'));
    let output = Command::new("tar")
        .args(["--create", "--file=-", "--exclude", pattern, "--directory"])
        .arg(root)
        .arg("--")
        .args(top)
        .env("LC_ALL", "C.UTF-8")
        .output()
        .expect("tar runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let mut list = Command::new("tar")
        .args(["--list", "--quoting-style=literal"])
        .env("LC_ALL", "C.UTF-8")
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("tar runs");
    std::io::Write::write_all(&mut list.stdin.take().expect("piped"), &output.stdout)
        .expect("tar reads");
    let listed = list.wait_with_output().expect("tar ends").stdout;
    let kept: BTreeSet<&str> = std::str::from_utf8(&listed)
        .expect("UTF-8 names")
        .lines()
        .map(|line| line.trim_end_matches('/'))
        .collect();
    paths
        .iter()
        .filter(|path| !kept.contains(*path))
        .map(PathBuf::from)
        .collect()
}

/// What our patterns leave out when a walk does not enter what is left out.
fn we_leave_out(paths: &[&str], pattern: &str) -> BTreeSet<PathBuf> {
    let excludes = Excludes::new([pattern]);
    let matches = |path: &Path| {
        let path = TreePath::parse(path.as_os_str().as_encoded_bytes()).expect("a legal path");
        excludes.matches(&path, || unreachable!("no absolute pattern here"))
    };
    paths
        .iter()
        .map(PathBuf::from)
        .filter(|path| {
            path.ancestors()
                .any(|path| path != Path::new("") && matches(path))
        })
        .collect()
}

fn pattern() -> impl Strategy<Value = String> {
    let piece = proptest::sample::select(vec![
        "a",
        "b",
        "c",
        ".",
        "/",
        "*",
        "?",
        "[",
        "]",
        "[ab]",
        "[!a]",
        "[^a-b]",
        "[[:alpha:]]",
        "[]-]",
        "[a-",
        "-",
        "\\",
        "\\*",
        "\\[",
        "h",
        "o",
        "[[:digit:]x]",
        "B",
        "[[.a.]]",
        "[[=b=]c]",
        "[a\\]]",
    ]);
    proptest::collection::vec(piece, 1..6)
        .prop_map(|pieces| pieces.concat())
        .prop_filter(
            "where we are kinder: ./ and / at the start, / and a single \\ at the end",
            |text| {
                !text.starts_with('/') && !text.starts_with("./") && !text.ends_with(['/', '\\'])
            },
        )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn a_pattern_leaves_out_what_gnu_tar_leaves_out(pattern in pattern()) {
        let root = tempfile::tempdir().expect("a directory");
        make_tree(root.path(), &PATHS);
        prop_assert_eq!(
            we_leave_out(&PATHS, &pattern),
            tar_leaves_out(root.path(), &PATHS, &pattern),
            "pattern {:?}",
            pattern,
        );
    }
}

/// Apart from the property: glibc 2.36 takes such a name for its characters or for its bytes,
/// whichever fits, where a pattern holds several wildcards.
#[test]
fn a_character_is_one_character_however_many_bytes_it_has() {
    let root = tempfile::tempdir().expect("a directory");
    let paths = ["\u{e9}", "\u{e9}/\u{e9}b", "b"];
    make_tree(root.path(), &paths);
    for pattern in [
        "?",
        "[\u{e9}]",
        "[[:alpha:]]b",
        "[a-z]",
        "[!a-z]b",
        "\u{e9}/*",
        "\\\u{e9}",
    ] {
        assert_eq!(
            we_leave_out(&paths, pattern),
            tar_leaves_out(root.path(), &paths, pattern),
            "pattern {pattern:?}"
        );
    }
}
