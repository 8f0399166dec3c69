//! What a backup leaves out because the user says so.

use super::{TreePath, pattern::Pattern};
use std::cell::OnceCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The rules of a backup about what it leaves out. It leaves out every path that they match, and
/// everything below it.
///
/// A pattern means what it means to GNU tar's `--exclude` by default, for names such as
/// `docs/a.txt` (tar manual, "Controlling Pattern-Matching"). `*` and `?` also match `/`, `[…]`
/// matches one character of a set, and a backslash takes the next character literally. A match may
/// begin at the start of the path or after any `/`; it must end at the end of the path or before a
/// `/`. Case counts, unless the rule says otherwise.
///
/// A pattern that begins with `./` matches only from the root of the tree. A pattern that begins
/// with `/` is compared with the absolute path on disk: `/home/u/.cache` works whatever directory
/// is backed up. Trailing slashes do not count (in tar, `dir/` matches nothing). The root is never
/// left out.
///
/// A pattern that begins with `!` keeps what it matches, whatever the patterns before it say. It
/// cannot bring back what lies below a directory that is left out.
#[derive(Clone, Debug, Default)]
pub struct Excludes {
    rules: Vec<Rule>,
    /// Names of files: the content of a directory that has one of them is left out, but for it.
    pub if_present: Vec<Vec<u8>>,
    /// Whether a `CACHEDIR.TAG` with its signature counts as such a file.
    pub caches: bool,
    /// Larger files are left out, in bytes.
    pub larger_than: Option<u64>,
}

/// The name of the file that marks a directory as a cache, and what it begins with
/// (<https://bford.info/cachedir/>).
pub const CACHE_TAG: &[u8] = b"CACHEDIR.TAG";
/// See [`CACHE_TAG`].
pub const CACHE_SIGNATURE: &[u8] = b"Signature: 8a477f597d28d172789f06886806bc55";

/// One pattern.
#[derive(Clone, Debug)]
struct Rule {
    /// As the user typed it.
    text: Vec<u8>,
    scope: Scope,
    pattern: Pattern,
    /// Whether it keeps what it matches.
    keeps: bool,
    /// Whether it has matched anything. Copies share it.
    has_matched: Arc<AtomicBool>,
}

/// What a pattern is compared with.
#[derive(Clone, Copy, Debug)]
enum Scope {
    /// The path in the tree, from the start or after any `/`.
    Floating,
    /// The path in the tree from its start.
    Anchored,
    /// The absolute path on disk.
    Absolute,
}

/// How a pattern treats upper and lower case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Case {
    /// They differ.
    Counts,
    /// They are the same.
    Ignored,
}

impl Excludes {
    /// Reads patterns in which case counts. Any bytes are a legal pattern; an empty one matches
    /// nothing.
    pub fn new(patterns: impl IntoIterator<Item = impl AsRef<[u8]>>) -> Self {
        let mut excludes = Self::default();
        for pattern in patterns {
            excludes.add(pattern.as_ref(), Case::Counts);
        }
        excludes
    }

    /// Adds a pattern behind the others.
    pub fn add(&mut self, text: &[u8], case: Case) {
        let (keeps, pattern) = match text {
            [b'!', pattern @ ..] => (true, pattern),
            pattern => (false, pattern),
        };
        let end = pattern.iter().rposition(|byte| *byte != b'/');
        let pattern = pattern
            .get(..end.map_or(0, |last| last + 1))
            .unwrap_or_default();
        let (scope, pattern) = match pattern {
            [] => return,
            [b'/', ..] => (Scope::Absolute, pattern),
            [b'.', b'/', pattern @ ..] => (Scope::Anchored, pattern),
            pattern => (Scope::Floating, pattern),
        };
        self.rules.push(Rule {
            text: text.to_vec(),
            scope,
            pattern: Pattern::parse(pattern, case == Case::Ignored),
            keeps,
            has_matched: Arc::default(),
        });
    }

    /// Returns whether the backup leaves out `path`. Calls `on_disk` for its absolute path in the
    /// file system, but only if there are absolute patterns.
    pub fn matches(&self, path: &TreePath, on_disk: impl Fn() -> Vec<u8>) -> bool {
        if path.is_root() {
            return false;
        }
        let absolute = OnceCell::new();
        let mut leaves_out = None;
        for rule in self.rules.iter().rev() {
            let has_matched = rule.has_matched.load(Ordering::Relaxed);
            // The last rule that matches decides. The others only note whether they ever match.
            if leaves_out.is_some() && has_matched {
                continue;
            }
            let matches = match rule.scope {
                Scope::Floating => rule.pattern.matches_anywhere(path.as_bytes()),
                Scope::Anchored => rule.pattern.matches_start(path.as_bytes()),
                Scope::Absolute => rule.pattern.matches_start(absolute.get_or_init(&on_disk)),
            };
            if matches {
                leaves_out.get_or_insert(!rule.keeps);
                if !has_matched {
                    rule.has_matched.store(true, Ordering::Relaxed);
                }
            }
        }
        leaves_out.unwrap_or(false)
    }

    /// Returns the patterns that have matched nothing so far, as the user typed them.
    pub fn unmatched(&self) -> Vec<String> {
        let unmatched = self
            .rules
            .iter()
            .filter(|rule| !rule.has_matched.load(Ordering::Relaxed));
        unmatched
            .map(|rule| String::from_utf8_lossy(&rule.text).into_owned())
            .collect()
    }

    /// Returns whether there are no patterns.
    pub fn has_no_patterns(&self) -> bool {
        self.rules.is_empty()
    }

    /// Returns whether a file of this name may mark its directory as one to be left out.
    pub fn is_tag(&self, name: &[u8]) -> bool {
        self.caches && name == CACHE_TAG || self.if_present.iter().any(|tag| tag == name)
    }
}

#[cfg(test)]
mod tests {
    use super::{Case, Excludes};
    use crate::model::TreePath;

    fn leaves_out(excludes: &Excludes, path: &str) -> bool {
        let tree = TreePath::parse(path.as_bytes()).expect("a legal path");
        excludes.matches(&tree, || format!("/home/u/{path}").into_bytes())
    }

    #[test]
    fn the_last_pattern_that_matches_decides() {
        let excludes = Excludes::new(["*.log", "!keep.log", "./a/keep.log", "\\!x"]);
        for (path, expected) in [
            ("b.log", true),
            ("b/keep.log", false),
            ("a/keep.log", true),
            ("!x", true),
            ("x", false),
        ] {
            assert_eq!(leaves_out(&excludes, path), expected, "{path}");
        }
    }

    #[test]
    fn case_is_ignored_where_that_is_asked_for() {
        let mut excludes = Excludes::default();
        excludes.add("*.JPG".as_bytes(), Case::Ignored);
        excludes.add("[a-c]\u{c4}*".as_bytes(), Case::Ignored);
        for (path, expected) in [
            ("x.jpg", true),
            ("x.JpG", true),
            ("B\u{e4}x", true),
            ("D\u{e4}x", false),
            ("x.png", false),
        ] {
            assert_eq!(leaves_out(&excludes, path), expected, "{path}");
        }
    }

    #[test]
    fn a_pattern_that_never_matched_is_known_even_behind_one_that_did() {
        let excludes = Excludes::new(["*.o", "a.o", "never/*", "!b.o"]);
        let copy = excludes.clone();
        for path in ["a.o", "b.o", "c"] {
            leaves_out(&copy, path);
        }
        assert_eq!(excludes.unmatched(), ["never/*"]);
    }

    fn excludes(pattern: &str, path: &str) -> bool {
        let tree = TreePath::parse(path.as_bytes()).expect("a legal path");
        Excludes::new([pattern]).matches(&tree, || format!("/home/u/{path}").into_bytes())
    }

    #[test]
    fn a_pattern_matches_after_any_slash_and_excludes_everything_below() {
        for (pattern, path) in [
            ("*.o", "a/b.o"),
            ("*.o", "a.o/b"),
            ("b", "a/b"),
            ("b/c", "a/b/c/d"),
            ("./a", "a"),
            ("a*c", "a/b/c"),
            ("?", "\u{e9}"),
            ("[!a]", "b"),
            ("[]x]", "]"),
            ("[a-]", "-"),
            ("[[:upper:]]*", "Ab"),
            ("a[b", "a[b"),
            ("a\\*", "a*"),
            ("*", "anything"),
            (".*", "a/.git"),
            ("./*/b", "a/b"),
            ("cache/", "a/cache"),
            ("/home/u/a", "a/b"),
            ("/home/*/a", "a"),
        ] {
            assert!(excludes(pattern, path), "{pattern} should leave out {path}");
        }
    }

    #[test]
    fn a_path_that_no_pattern_matches_stays() {
        for (pattern, path) in [
            ("b", "ab"),
            ("b", "bc"),
            ("./b", "a/b"),
            (".*", "a/b"),
            ("*/a", "a"),
            ("a\\*", "ab"),
            ("[!a]", "a"),
            ("", "a"),
            ("/", "a"),
            ("u", "a"),
            ("/a", "a"),
            ("/home/u/a", "ab"),
            ("A", "a"),
        ] {
            assert!(!excludes(pattern, path), "{pattern} should keep {path}");
        }
        assert!(!excludes("*", ""), "the root stays");
    }

    #[test]
    fn names_that_are_not_utf8_match_byte_by_byte() {
        let path = TreePath::parse(b"a\xff\xfeb").expect("a legal path");
        for (pattern, expected) in [
            (&b"a??b"[..], true),
            (b"a?b", false),
            (b"a\xff[\xfe]b", true),
            (b"a\xff[!\xfe]b", false),
        ] {
            assert_eq!(
                Excludes::new([pattern]).matches(&path, Vec::new),
                expected,
                "{pattern:?}"
            );
        }
    }

    #[test]
    fn many_stars_do_not_take_exponential_time() {
        assert!(!excludes(&"*a".repeat(50), &"a".repeat(49)));
        assert!(!excludes(
            &format!("{}b", "a*".repeat(100)),
            &"a".repeat(4000)
        ));
    }
}
