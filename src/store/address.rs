//! URLs of stores: `scheme://user@host:port/path?key=value`, or `scheme:host/path`.

use super::legal_prefix;
use crate::net::decode;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use std::collections::BTreeMap;
use std::fmt;

/// What opening does when there is no store at the place yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IfMissing {
    /// It fails: for reading.
    Refuse,
    /// It makes the place: for the first backup.
    Create,
}

/// The characters that are escaped in a URL as it is shown.
const IN_URL: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'/')
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b',')
    .remove(b':')
    .remove(b'=')
    .remove(b'@')
    .remove(b'+')
    .remove(b'[')
    .remove(b']');

/// Why a password is refused.
const PASSWORD: &str = "a password in a URL can be seen by everybody; leave it out";

/// Refuses a value that is a URL with a password in it.
fn without_password(value: String) -> Result<String, &'static str> {
    let authority = value
        .split_once("://")
        .and_then(|(_, rest)| rest.split('/').next());
    let has_one = authority
        .and_then(|authority| authority.rsplit_once('@'))
        .is_some_and(|(user, _)| user.contains(':'));
    if has_one { Err(PASSWORD) } else { Ok(value) }
}

/// The parts of a store's URL, decoded. It never holds a password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    pub(super) scheme: &'static str,
    pub(super) user: Option<String>,
    /// The host, bucket or container; never empty.
    pub(super) host: String,
    pub(super) port: Option<u16>,
    /// The path, without the first slash and slashes at its end; empty when there is none.
    pub(super) path: String,
    pub(super) query: BTreeMap<String, String>,
}

impl Address {
    /// Parses the text after `scheme:`. `keys` are those that may come after `?`.
    pub(super) fn parse(scheme: &'static str, rest: &str, keys: &[&str]) -> Result<Self, String> {
        let rest = rest.strip_prefix("//").unwrap_or(rest);
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (user, host) = authority
            .rsplit_once('@')
            .map_or((None, authority), |(user, host)| (Some(user), host));
        if user.is_some_and(|user| user.contains(':')) {
            return Err(PASSWORD.to_owned());
        }
        let (host, port) = match host.rsplit_once(':') {
            Some((host, port)) if !host.starts_with('[') || host.ends_with(']') => (
                host,
                Some(
                    port.parse()
                        .map_err(|_| "the text after : is not the number of a port".to_owned())?,
                ),
            ),
            _ => (host, None),
        };
        let text = |text: &str| {
            let bytes = decode(text)
                .ok_or("% must be followed by two hexadecimal digits; write %25 for % itself")?;
            let text = String::from_utf8(bytes).map_err(|_| "it is not UTF-8")?;
            if text.contains(char::is_control) {
                Err("it contains control characters")
            } else {
                Ok(text)
            }
        };
        let mut known = BTreeMap::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair
                .split_once('=')
                .ok_or("what comes after ? is not of the form key=value")?;
            if !keys.contains(&key) {
                return Err(match keys {
                    [] => format!("it takes no {key}"),
                    keys => format!("it takes no {key}; it takes {}", keys.join(", ")),
                });
            }
            known.insert(key.to_owned(), without_password(text(value)?)?);
        }
        let host = text(host)?;
        if host.is_empty() {
            return Err(format!("it has no name; write {scheme}://NAME"));
        }
        let user = user.map(text).transpose()?;
        Ok(Self {
            scheme,
            user,
            host,
            port,
            path: text(path)?.trim_end_matches('/').to_owned(),
            query: known,
        })
    }

    /// Returns the prefix of the names of all objects there: the path and a slash, or nothing.
    /// Refuses characters that no name of an object may have.
    pub(super) fn prefix(&self) -> Result<String, &'static str> {
        let prefix = if self.path.is_empty() {
            String::new()
        } else {
            format!("{}/", self.path)
        };
        if legal_prefix(&prefix) {
            Ok(prefix)
        } else {
            Err("its path has characters or components that no name of an object may have")
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let escape = |text| utf8_percent_encode(text, IN_URL);
        write!(f, "{}://", self.scheme)?;
        if let Some(user) = &self.user {
            write!(f, "{}@", escape(user))?;
        }
        write!(f, "{}", escape(&self.host))?;
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        if !self.path.is_empty() {
            write!(f, "/{}", escape(&self.path))?;
        }
        for (number, (key, value)) in self.query.iter().enumerate() {
            write!(
                f,
                "{}{key}={}",
                if number == 0 { '?' } else { '&' },
                escape(value)
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Address;

    fn parse(rest: &str) -> Result<Address, String> {
        Address::parse("s3", rest, &["endpoint", "region"])
    }

    #[test]
    fn a_url_is_taken_apart_and_put_together_again() {
        let address = parse("//u%40x@host:8022/a%20b/c/?endpoint=http://127.0.0.1:9000&region=r")
            .expect("good");
        assert_eq!(
            (
                address.user.as_deref(),
                &*address.host,
                address.port,
                &*address.path
            ),
            (Some("u@x"), "host", Some(8022), "a b/c")
        );
        assert_eq!(address.query["endpoint"], "http://127.0.0.1:9000");
        let shown = address.to_string();
        assert_eq!(
            parse(shown.strip_prefix("s3:").expect("scheme")),
            Ok(address),
            "{shown}"
        );
        let short = parse("bucket/x").expect("good");
        assert_eq!(
            (&*short.host, &*short.path, short.to_string()),
            ("bucket", "x", "s3://bucket/x".to_owned())
        );
        assert_eq!(parse("//[::1]:22/x").expect("good").host, "[::1]");
    }

    #[test]
    fn what_is_no_address_of_a_store_is_refused_with_the_rule() {
        for (rest, why) in [
            ("", "has no name"),
            ("///x", "has no name"),
            ("//h:port/x", "number of a port"),
            ("//u:p@h/x", "password"),
            ("//b?endpoint=http://u:p@h", "password"),
            ("//h/%zz", "hexadecimal"),
            ("//h/%0a", "control"),
            (
                "//h?colour=red",
                "it takes no colour; it takes endpoint, region",
            ),
            ("//h?region", "key=value"),
        ] {
            let error = parse(rest).expect_err(rest);
            assert!(error.contains(why), "{rest}: {error}");
        }
        assert!(parse("//b/a/../c").expect("a URL").prefix().is_err());
    }
}
