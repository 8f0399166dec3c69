//! `%XX` escapes, as in a URL: bytes to text and back.

use std::fmt::Write;

/// Writes each byte that `keep` refuses, and `%` itself, as `%XX` with capital digits. What is kept
/// must be ASCII.
pub fn encode(bytes: &[u8], keep: impl Fn(usize, u8) -> bool) -> String {
    let mut text = String::with_capacity(bytes.len());
    for (position, byte) in bytes.iter().copied().enumerate() {
        if byte != b'%' && byte.is_ascii() && keep(position, byte) {
            text.push(char::from(byte));
        } else {
            write!(text, "%{byte:02X}").expect("a String takes all that is written");
        }
    }
    text
}

/// Puts the bytes back; `None` when a `%` is not followed by two hexadecimal digits.
pub fn decode(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        rest = tail;
        if first != b'%' {
            bytes.push(first);
            continue;
        }
        let (digits, tail) = tail.split_at_checked(2)?;
        let [high, low] = digits else { return None };
        let value = char::from(*high).to_digit(16)? * 16 + char::from(*low).to_digit(16)?;
        bytes.push(u8::try_from(value).ok()?);
        rest = tail;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::{decode, encode};

    #[test]
    fn escapes_are_read_back_and_bad_ones_refused() {
        assert_eq!(
            encode(b"a b%\xff/", |_, byte| byte.is_ascii_alphanumeric()),
            "a%20b%25%FF%2F"
        );
        assert_eq!(decode("a%20b%25%fF/").as_deref(), Some(&b"a b%\xff/"[..]));
        for bad in ["%", "%4", "a%zz", "%+1", "%\u{e9}"] {
            assert_eq!(decode(bad), None, "{bad}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_come_back(bytes: Vec<u8>) {
            proptest::prop_assert_eq!(decode(&encode(&bytes, |_, byte| byte.is_ascii_lowercase())), Some(bytes));
        }
    }
}
