//! Text from outside, made safe for a terminal, a log and the eyes of its reader.
//!
//! Everything that is printed or logged passes through here once, where it leaves the program: in
//! `cli::show`. A name in JSON stays exact: JSON has escapes of its own
//! ([`printable_json`]).

use std::borrow::Cow;

/// Returns one line of text: characters that could disturb a terminal or mislead a reader are
/// escaped (`\n`, `\u{202e}`), and so are bytes that are not UTF-8 (`\xff`).
pub fn printable(bytes: &[u8]) -> Cow<'_, str> {
    escaped(bytes, is_harmful)
}

/// Returns text like [`printable`] does, but keeps the ends of lines and tabs: for messages of
/// several lines, each part of which is [`printable`] already.
pub fn printable_lines(bytes: &[u8]) -> Cow<'_, str> {
    escaped(bytes, |c| !matches!(c, '\n' | '\t') && is_harmful(c))
}

/// Returns a JSON document that means the same, with characters that could mislead a reader written
/// as `\u202e`.
pub fn printable_json(document: &str) -> Cow<'_, str> {
    // Outside strings, JSON is ASCII; inside, it has no control characters of ASCII.
    let must_be = |c: char| !c.is_ascii() && is_harmful(c);
    if !document.contains(must_be) {
        return document.into();
    }
    let mut text = String::with_capacity(document.len() + 16);
    for character in document.chars() {
        if must_be(character) {
            for unit in character.encode_utf16(&mut [0; 2]) {
                text.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            text.push(character);
        }
    }
    text.into()
}

fn escaped(bytes: &[u8], must_be: impl Fn(char) -> bool) -> Cow<'_, str> {
    match str::from_utf8(bytes) {
        Ok(text) if !text.contains(&must_be) => return text.into(),
        _ => {}
    }
    let mut text = String::with_capacity(bytes.len() + 16);
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            if must_be(character) {
                text.extend(character.escape_default());
            } else {
                text.push(character);
            }
        }
        for byte in chunk.invalid() {
            text.push_str(&format!("\\x{byte:02x}"));
        }
    }
    text.into()
}

/// Returns whether a character moves the cursor, ends a line, turns the direction of text or cannot
/// be seen at all.
///
/// The joiners U+200C and U+200D are harmless: names in Persian and emoji need them.
fn is_harmful(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{ad}'
                | '\u{61c}'
                | '\u{180e}'
                | '\u{200b}'
                | '\u{200e}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

#[cfg(test)]
mod tests {
    use super::{printable, printable_json, printable_lines};
    use std::borrow::Cow;

    #[test]
    fn what_disturbs_a_terminal_or_misleads_a_reader_is_escaped() {
        for (text, shown) in [
            ("a\x1b[2J\n", "a\\u{1b}[2J\\n"),
            ("\u{9b}31m", "\\u{9b}31m"),
            ("\u{202e}gpj.exe", "\\u{202e}gpj.exe"),
            ("a\u{2066}b\u{2069}", "a\\u{2066}b\\u{2069}"),
            ("\u{61c}\u{200e}\u{200f}", "\\u{61c}\\u{200e}\\u{200f}"),
            ("a\u{2028}b\u{2029}c", "a\\u{2028}b\\u{2029}c"),
            ("\u{feff}\u{e0041}", "\\u{feff}\\u{e0041}"),
        ] {
            assert_eq!(printable(text.as_bytes()), shown);
        }
        assert_eq!(printable(b"\xff\xc3\xa9\xe2\x80"), "\\xffé\\xe2\\x80");
    }

    #[test]
    fn ordinary_text_stays_as_it_is() {
        for text in [
            "",
            "Überweisung 3.pdf",
            "می\u{200c}خواهم",
            "👩\u{200d}🚀",
            "a\\n",
        ] {
            assert!(matches!(printable(text.as_bytes()), Cow::Borrowed(same) if same == text));
        }
    }

    #[test]
    fn a_json_document_means_the_same_and_misleads_nobody() {
        let names = ["\u{202e}gpj.exe\n", "\u{9b}31m", "\u{e0041}", "é\"\\"];
        let document = serde_json::to_string_pretty(&names).expect("text");
        let shown = printable_json(&document);
        assert!(
            shown.contains("\\u202egpj.exe\\n") && shown.contains('é'),
            "{shown}"
        );
        assert_eq!(printable_lines(shown.as_bytes()), shown);
        let read: Vec<String> = serde_json::from_str(&shown).expect("JSON");
        assert_eq!(read, names);
    }

    #[test]
    fn several_lines_stay_several_lines() {
        let text = "freezer: no\n\thint: yes\r\u{2028}\x07";
        assert_eq!(
            printable_lines(text.as_bytes()),
            "freezer: no\n\thint: yes\\r\\u{2028}\\u{7}"
        );
    }
}
