//! `%XX` escapes, as in a URL: text back to bytes, and what is refused on the way.

use percent_encoding::percent_decode_str;

/// Puts the bytes back; `None` when a `%` is not followed by two hexadecimal digits, which
/// `percent_encoding` would leave as it is.
pub fn decode(text: &str) -> Option<Vec<u8>> {
    let is_escape = |rest: &str| {
        let digits = rest.as_bytes().get(..2);
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    };
    text.split('%')
        .skip(1)
        .all(is_escape)
        .then(|| percent_decode_str(text).collect())
}

#[cfg(test)]
mod tests {
    use super::decode;
    use percent_encoding::{NON_ALPHANUMERIC, percent_encode};

    #[test]
    fn escapes_are_read_back_and_bad_ones_refused() {
        assert_eq!(decode("a%20b%25%fF/").as_deref(), Some(&b"a b%\xff/"[..]));
        for bad in ["%", "%4", "a%zz", "%+1", "%\u{e9}", "%%41"] {
            assert_eq!(decode(bad), None, "{bad}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_come_back(bytes: Vec<u8>) {
            let text = percent_encode(&bytes, NON_ALPHANUMERIC).to_string();
            proptest::prop_assert_eq!(decode(&text), Some(bytes));
        }
    }
}
