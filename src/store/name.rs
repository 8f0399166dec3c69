//! Names of objects.

use std::fmt;

/// Name of an object in a store: one or more components joined by `/`, each 1 to 255 bytes of the characters
/// `A–Z a–z 0–9 . _ - % + = @ : , ~`, none of them `.` or `..`. Every store can keep such a name as it is.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectName(Box<str>);

impl ObjectName {
    /// Checks the rule; `None` when it does not hold.
    pub fn new(text: impl Into<Box<str>>) -> Option<Self> {
        let text = text.into();
        let legal = text.len() <= 1000 && text.split('/').all(legal_component);
        legal.then_some(Self(text))
    }

    /// One component made of any text: bytes outside the rule become `%XX` (as in a URL), and so do a leading dot
    /// and `%` itself, so that different texts stay different. Longer than 255 bytes when escaped: cut, and ended
    /// by a digest of the whole.
    pub fn component(text: &str) -> String {
        use sha2::Digest;
        use std::fmt::Write;
        let mut escaped = String::with_capacity(text.len());
        for (position, byte) in text.bytes().enumerate() {
            if byte != b'%' && legal_byte(byte) && !(byte == b'.' && position == 0) {
                escaped.push(char::from(byte));
            } else {
                write!(escaped, "%{byte:02X}").expect("a String takes all that is written");
            }
        }
        if escaped.len() > 200 {
            let digest = sha2::Sha256::digest(text.as_bytes());
            escaped.truncate(160);
            escaped.push('~');
            digest.iter().take(16).for_each(|byte| write!(escaped, "{byte:02x}").expect("a String takes all that is written"));
        }
        escaped
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn legal_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"._-%+=@:,~".contains(&byte)
}

fn legal_component(component: &str) -> bool {
    (1..=255).contains(&component.len()) && component != "." && component != ".." && component.bytes().all(legal_byte)
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

    #[test]
    fn a_name_that_could_leave_the_store_is_refused() {
        for bad in ["", "/", "a/", "/a", "a//b", "a/../b", ".", "a b", "a\0", "\u{e9}"] {
            assert!(ObjectName::new(bad).is_none(), "{bad:?}");
        }
        assert!(ObjectName::new("data/host/docs/segments/00000001").is_some());
    }

    #[test]
    fn any_text_makes_a_component_and_different_texts_stay_different() {
        assert_eq!(ObjectName::component("docs"), "docs");
        assert_eq!(ObjectName::component("a/b \u{e9}%41"), "a%2Fb%20%C3%A9%2541");
        assert_eq!(ObjectName::component(".."), "%2E.");
        let long = "\u{e9}".repeat(120);
        let other = format!("{}x", "\u{e9}".repeat(119));
        assert_ne!(ObjectName::component(&long), ObjectName::component(&other));
        assert!(ObjectName::new(ObjectName::component(&long)).is_some());
    }
}
