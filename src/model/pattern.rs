//! Shell patterns with the meaning that `tar --exclude` gives them.

/// One shell pattern.
#[derive(Clone, Debug)]
pub(super) struct Pattern {
    tokens: Vec<PatternToken>,
    /// Whether upper and lower case are the same.
    folds_case: bool,
}

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
    /// Reads a pattern. Any bytes are a legal one.
    pub(super) fn parse(mut text: &[u8], folds_case: bool) -> Self {
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
        Self { tokens, folds_case }
    }

    /// Returns whether the pattern matches from the start or after any `/`.
    pub(super) fn matches_anywhere(&self, text: &[u8]) -> bool {
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
    pub(super) fn matches_start(&self, text: &[u8]) -> bool {
        let (mut at, mut rest) = (0, text);
        let mut retry: Option<(usize, &[u8])> = None;
        loop {
            let matched = match self.tokens.get(at) {
                None if rest.is_empty() || rest.first() == Some(&b'/') => return true,
                None => None,
                Some(PatternToken::Many) => {
                    retry = Some((at, rest));
                    Some(rest)
                }
                Some(token) => first_unit(rest)
                    .filter(|(unit, _)| self.holds(token, *unit))
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

impl Pattern {
    fn holds(&self, token: &PatternToken, unit: Unit) -> bool {
        token.holds(unit) || self.folds_case && other_cases(unit).any(|unit| token.holds(unit))
    }
}

/// Returns a character in lower and in upper case, where that is one character.
fn other_cases(unit: Unit) -> impl Iterator<Item = Unit> {
    let one = |mut all: Box<dyn Iterator<Item = char>>| match (all.next(), all.next()) {
        (Some(character), None) => Some(Unit::from(character)),
        _ => None,
    };
    let cases = char::from_u32(unit).map(|character| {
        [
            one(Box::new(character.to_lowercase())),
            one(Box::new(character.to_uppercase())),
        ]
    });
    cases.into_iter().flatten().flatten()
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
