//! Exclude patterns: shell patterns with the meaning that `tar --exclude` gives them.

use super::TreePath;

/// The exclude patterns of a backup. The backup leaves out every path that one of them matches, and
/// everything below it.
///
/// A pattern means what it means to GNU tar's `--exclude` by default, for names such as
/// `docs/a.txt` (tar manual, "Controlling Pattern-Matching"). `*` and `?` also match `/`, `[…]`
/// matches one character of a set, and a backslash takes the next character literally. A match may
/// begin at the start of the path or after any `/`; it must end at the end of the path or before a
/// `/`. Case counts.
///
/// A pattern that begins with `./` matches only from the root of the tree. A pattern that begins
/// with `/` is compared with the absolute path on disk: `/home/u/.cache` works whatever directory
/// is backed up. Trailing slashes do not count (in tar, `dir/` matches nothing). The root is never
/// left out.
#[derive(Clone, Debug, Default)]
pub struct Excludes {
    floating: Vec<Pattern>,
    anchored: Vec<Pattern>,
    absolute: Vec<Pattern>,
}

impl Excludes {
    /// Reads patterns. Any bytes are a legal pattern; an empty one matches nothing.
    pub fn new(patterns: impl IntoIterator<Item = impl AsRef<[u8]>>) -> Self {
        let mut excludes = Self::default();
        for pattern in patterns {
            let text = pattern.as_ref();
            let end = text
                .iter()
                .rposition(|byte| *byte != b'/')
                .map_or(0, |last| last + 1);
            match text.get(..end).unwrap_or_default() {
                [] => {}
                text @ [b'/', ..] => excludes.absolute.push(Pattern::parse(text)),
                [b'.', b'/', text @ ..] => excludes.anchored.push(Pattern::parse(text)),
                text => excludes.floating.push(Pattern::parse(text)),
            }
        }
        excludes
    }

    /// Returns whether the backup leaves out `path`. Calls `on_disk` for its absolute path in the
    /// file system, but only if there are absolute patterns.
    pub fn matches(&self, path: &TreePath, on_disk: impl FnOnce() -> Vec<u8>) -> bool {
        if path.is_root() || self.is_empty() {
            return false;
        }
        if self
            .floating
            .iter()
            .any(|pattern| pattern.matches_anywhere(path.as_bytes()))
            || self
                .anchored
                .iter()
                .any(|pattern| pattern.matches_start(path.as_bytes()))
        {
            return true;
        }
        if self.absolute.is_empty() {
            return false;
        }
        let on_disk = on_disk();
        self.absolute
            .iter()
            .any(|pattern| pattern.matches_start(&on_disk))
    }

    /// Returns whether there are no patterns.
    pub fn is_empty(&self) -> bool {
        self.floating.is_empty() && self.anchored.is_empty() && self.absolute.is_empty()
    }
}

/// One shell pattern.
#[derive(Clone, Debug)]
struct Pattern(Vec<PatternToken>);

#[derive(Clone, Debug)]
enum PatternToken {
    /// This character.
    Literal(Unit),
    /// Any one character.
    One,
    /// Any number of characters.
    Many,
    /// One character that is in a set or, negated, is not.
    Set { negated: bool, items: Vec<SetItem> },
}

#[derive(Clone, Copy, Debug)]
enum SetItem {
    Range(Unit, Unit),
    Class(fn(char) -> bool),
}

/// A character, or a byte that is not UTF-8. Bytes have numbers above those of all characters.
type Unit = u32;

/// The number of byte 0.
const BARE_BYTE: Unit = 0x11_0000;

/// Splits off the first unit. Returns `None` if the text is empty.
fn first_unit(text: &[u8]) -> Option<(Unit, &[u8])> {
    let byte = *text.first()?;
    let length = match byte {
        0..0x80 => 1,
        0xc0..0xe0 => 2,
        0xe0..0xf0 => 3,
        _ => 4,
    };
    let character = text
        .get(..length)
        .and_then(|bytes| std::str::from_utf8(bytes).ok())
        .and_then(|text| text.chars().next());
    match character {
        Some(character) => Some((Unit::from(character), text.get(length..)?)),
        None => Some((BARE_BYTE + Unit::from(byte), text.get(1..)?)),
    }
}

impl Pattern {
    fn parse(mut text: &[u8]) -> Self {
        let mut tokens = Vec::new();
        while let Some((unit, rest)) = first_unit(text) {
            text = rest;
            tokens.push(match char::from_u32(unit) {
                Some('*') => PatternToken::Many,
                Some('?') => PatternToken::One,
                Some('[') => match parse_set(rest) {
                    Some((set, rest)) => {
                        text = rest;
                        set
                    }
                    None => PatternToken::Literal(unit),
                },
                Some('\\') => match first_unit(rest) {
                    Some((escaped, rest)) => {
                        text = rest;
                        PatternToken::Literal(escaped)
                    }
                    None => PatternToken::Literal(unit),
                },
                _ => PatternToken::Literal(unit),
            });
        }
        Self(tokens)
    }

    /// Returns whether the pattern matches from the start or after any `/`.
    fn matches_anywhere(&self, text: &[u8]) -> bool {
        let starts = text
            .iter()
            .enumerate()
            .filter(|(_, byte)| **byte == b'/')
            .map(|(slash, _)| slash + 1);
        std::iter::once(0).chain(starts).any(|start| {
            text.get(start..)
                .is_some_and(|text| self.matches_start(text))
        })
    }

    /// Returns whether the pattern matches from the start, up to the end or a `/`.
    ///
    /// After a mismatch, only the last `*` takes one character more. Earlier ones cannot help, so
    /// the time is at most proportional to pattern times text.
    fn matches_start(&self, text: &[u8]) -> bool {
        let (mut at, mut rest) = (0, text);
        let mut retry: Option<(usize, &[u8])> = None;
        loop {
            let matched = match self.0.get(at) {
                None if rest.is_empty() || rest.first() == Some(&b'/') => return true,
                None => None,
                Some(PatternToken::Many) => {
                    retry = Some((at, rest));
                    Some(rest)
                }
                Some(token) => first_unit(rest)
                    .filter(|(unit, _)| token.holds(*unit))
                    .map(|(_, rest)| rest),
            };
            match (matched, retry) {
                (Some(next), _) => (at, rest) = (at + 1, next),
                (None, Some((star, from))) => match first_unit(from) {
                    Some((_, shorter)) => {
                        retry = Some((star, shorter));
                        (at, rest) = (star + 1, shorter);
                    }
                    None => return false,
                },
                (None, None) => return false,
            }
        }
    }
}

impl PatternToken {
    fn holds(&self, unit: Unit) -> bool {
        match self {
            Self::Literal(literal) => *literal == unit,
            Self::One | Self::Many => true,
            Self::Set { negated, items } => {
                let held = items.iter().any(|item| match item {
                    SetItem::Range(low, high) => (*low..=*high).contains(&unit),
                    SetItem::Class(class) => char::from_u32(unit).is_some_and(class),
                });
                held != *negated
            }
        }
    }
}

/// Reads a set after its `[`. Returns `None` if the set has no end: the `[` then stands for itself.
fn parse_set(text: &[u8]) -> Option<(PatternToken, &[u8])> {
    let (negated, mut text) = match text {
        [b'!' | b'^', rest @ ..] => (true, rest),
        _ => (false, text),
    };
    let mut items = Vec::new();
    loop {
        if let ([b']', rest @ ..], false) = (text, items.is_empty()) {
            return Some((PatternToken::Set { negated, items }, rest));
        }
        if let Some((class, rest)) = parse_class(text) {
            items.push(SetItem::Class(class));
            text = rest;
            continue;
        }
        let (low, rest) = parse_set_unit(text)?;
        (text, items) = match rest {
            [b'-', after @ ..] if after.first().is_some_and(|byte| *byte != b']') => {
                let (high, rest) = parse_set_unit(after)?;
                items.push(SetItem::Range(low, high));
                (rest, items)
            }
            _ => {
                items.push(SetItem::Range(low, low));
                (rest, items)
            }
        };
    }
}

/// Reads one character of a set: escaped, as `[.x.]` or `[=x=]`, or plain.
fn parse_set_unit(text: &[u8]) -> Option<(Unit, &[u8])> {
    match text {
        [b'\\', rest @ ..] => first_unit(rest),
        [b'[', kind @ (b'.' | b'='), rest @ ..] => match first_unit(rest) {
            Some((unit, [close, b']', rest @ ..])) if close == kind => Some((unit, rest)),
            _ => first_unit(text),
        },
        _ => first_unit(text),
    }
}

type Class = fn(char) -> bool;

/// Reads a class such as `[:alpha:]`.
fn parse_class(text: &[u8]) -> Option<(Class, &[u8])> {
    let rest = text.strip_prefix(b"[:")?;
    let end = rest.windows(2).position(|pair| pair == b":]")?;
    let class: Class = match rest.get(..end)? {
        b"alnum" => char::is_alphanumeric,
        b"alpha" => char::is_alphabetic,
        b"blank" => |character| matches!(character, ' ' | '\t'),
        b"cntrl" => char::is_control,
        b"digit" => |character| character.is_ascii_digit(),
        b"graph" => |character| !character.is_control() && !character.is_whitespace(),
        b"lower" => char::is_lowercase,
        b"print" => |character| !character.is_control(),
        b"punct" => |character| character.is_ascii_punctuation(),
        b"space" => char::is_whitespace,
        b"upper" => char::is_uppercase,
        b"xdigit" => |character| character.is_ascii_hexdigit(),
        _ => return None,
    };
    Some((class, rest.get(end + 2..)?))
}

#[cfg(test)]
mod tests {
    use super::Excludes;
    use crate::model::TreePath;

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
