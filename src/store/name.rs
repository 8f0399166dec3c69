//! Names of objects.

use crate::net::decode;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use std::borrow::Borrow;
use std::fmt;

/// Name of an object in a store: one or more components joined by `/`, each 1 to 255 bytes of the
/// characters `A–Z a–z 0–9 . _ - % + = @ , ~`, none of them ending with a dot. Every store can keep
/// such a name as it is, file systems of Windows among them (a colon, or a dot at the end, would be
/// lost there).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectName(Box<str>);

/// The longest component that [`ObjectName::component`] leaves whole, in bytes as escaped.
const WHOLE_BYTES: usize = 200;

/// How many bytes of a longer one are kept before the digest.
const KEPT_BYTES: usize = 160;

/// Separates the kept bytes from the digest. No escape begins like this.
const CUT_MARK: &str = "%~";

/// Digits of the digest that end a component which was cut.
const DIGEST_DIGITS: usize = 32;

/// The characters that [`ObjectName::component`] escapes at every position.
const IN_COMPONENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'.')
    .remove(b'-')
    .remove(b'_')
    .remove(b'+')
    .remove(b'=')
    .remove(b'@')
    .remove(b',')
    .remove(b'~');

impl ObjectName {
    /// Makes a name; `None` when the text breaks the rule.
    pub fn new(text: impl Into<Box<str>>) -> Option<Self> {
        let text = text.into();
        let legal = text.len() <= 1000 && text.split('/').all(legal_component);
        legal.then_some(Self(text))
    }

    /// One component made of any text but the empty one: bytes outside the rule become `%XX` (as in
    /// a URL), and so do a dot at the beginning or end and `%` itself, so that different texts stay
    /// different. Longer than 200 bytes when escaped: the first 160, without a half escape at their
    /// end, `%~`, and the first 32 hexadecimal digits of the text's SHA-256.
    pub fn component(text: &str) -> String {
        use sha2::Digest;
        use std::fmt::Write;
        let mut escaped = utf8_percent_encode(text, IN_COMPONENT).to_string();
        if escaped.ends_with('.') {
            escaped.pop();
            escaped.push_str("%2E");
        }
        if escaped.starts_with('.') {
            escaped.replace_range(..1, "%2E");
        }
        if escaped.len() > WHOLE_BYTES {
            let kept = (KEPT_BYTES - 2..KEPT_BYTES)
                .find(|at| escaped.as_bytes().get(*at) == Some(&b'%'))
                .unwrap_or(KEPT_BYTES);
            escaped.truncate(kept);
            escaped.push_str(CUT_MARK);
            let digest = sha2::Sha256::digest(text.as_bytes());
            digest.iter().take(DIGEST_DIGITS / 2).for_each(|byte| {
                write!(escaped, "{byte:02x}").expect("a String takes all that is written")
            });
        }
        escaped
    }

    /// Returns the text from which [`component`](Self::component) made this; `None` when the text
    /// was cut, or the component was made in another way.
    pub fn text_of(component: &str) -> Option<String> {
        let text = String::from_utf8(decode(component)?).ok()?;
        (Self::component(&text) == component).then_some(text)
    }

    /// Returns whether [`component`](Self::component) cut the text from which it made this.
    pub fn is_cut(component: &str) -> bool {
        component
            .rsplit_once(CUT_MARK)
            .is_some_and(|(kept, digest)| {
                (KEPT_BYTES - 2..=KEPT_BYTES).contains(&kept.len())
                    && decode(kept).is_some()
                    && is_digest(digest)
            })
            && legal_component(component)
    }

    /// Returns whether a component stands for a text that is hidden: it has a digest and nothing
    /// else. No text makes such a component.
    pub fn is_hidden(component: &str) -> bool {
        component.strip_prefix(CUT_MARK).is_some_and(is_digest)
    }

    /// Returns the name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_digest(digest: &str) -> bool {
    digest.len() == DIGEST_DIGITS
        && digest
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn legal_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"._-%+=@,~".contains(&byte)
}

/// Returns whether an [`ObjectName`] may have this component.
pub(super) fn legal_component(component: &str) -> bool {
    (1..=255).contains(&component.len())
        && !component.ends_with('.')
        && component.bytes().all(legal_byte)
}

impl Borrow<str> for ObjectName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::ObjectName;
    use proptest::prelude::*;

    #[test]
    fn a_name_that_could_leave_the_store_is_refused() {
        for bad in [
            "", "/", "a/", "/a", "a//b", "a/../b", "a/./b", ".", "..", "a.", "a:b", "a b", "a\0",
            "a\\b", "\u{e9}",
        ] {
            assert!(ObjectName::new(bad).is_none(), "{bad:?}");
        }
        assert!(ObjectName::new("data/host/docs/segments/00000001").is_some());
    }

    #[test]
    fn any_text_makes_a_component_and_different_texts_stay_different() {
        assert_eq!(ObjectName::component("docs"), "docs");
        assert_eq!(
            ObjectName::component("a/b \u{e9}%41"),
            "a%2Fb%20%C3%A9%2541"
        );
        assert_eq!(ObjectName::component(".."), "%2E%2E");
        assert_eq!(ObjectName::component("c:.x."), "c%3A.x%2E");
        let long = "\u{e9}".repeat(120);
        let other = format!("{}x", "\u{e9}".repeat(119));
        assert_ne!(ObjectName::component(&long), ObjectName::component(&other));
        assert!(ObjectName::new(ObjectName::component(&long)).is_some());
    }

    #[test]
    fn no_text_can_be_made_to_look_like_a_cut_one() {
        let long = "x".repeat(230);
        let cut = ObjectName::component(&long);
        assert!(ObjectName::is_cut(&cut), "{cut}");
        assert_eq!(ObjectName::text_of(&cut), None);
        assert_ne!(ObjectName::component(&cut), cut);
        assert!(!ObjectName::is_cut(&ObjectName::component(&cut)));
    }

    proptest! {
        #[test]
        fn a_component_is_legal_and_gives_its_text_back_unless_it_was_cut(text in "\\PC{1,255}") {
            let component = ObjectName::component(&text);
            prop_assert!(ObjectName::new(component.clone()).is_some(), "{}", component);
            prop_assert!(
                ObjectName::is_cut(&component) == ObjectName::text_of(&component).is_none()
            );
            if !ObjectName::is_cut(&component) {
                prop_assert_eq!(ObjectName::text_of(&component), Some(text));
            }
        }

        #[test]
        fn only_one_component_stands_for_a_text(component in "[a.%~26e9]{1,12}") {
            if let Some(text) = ObjectName::text_of(&component) {
                prop_assert_eq!(ObjectName::component(&text), component);
            }
        }
    }
}
