//! What can go wrong with a service in a network.

use std::fmt;
use std::time::Duration;

type Cause = Box<dyn std::error::Error + Send + Sync>;

/// A service did not do what it was asked. Its text says what was attempted and what came of it;
/// its [`kind`](Self::kind) alone says what a caller may do about it.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub struct Error {
    kind: Kind,
    what: What,
    retry_after: Option<Duration>,
    #[source]
    source: Option<Cause>,
}

/// What was attempted, and how far it came.
#[derive(Debug)]
enum What {
    /// Settings were to be used, or somebody logged in, and this is why that is impossible.
    Refused(String),
    /// A request was sent, and no whole answer came.
    Silence,
    /// A request was answered, and the answer is no success.
    Answer { status: u16, words: Option<String> },
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(why) => f.write_str(why),
            Self::Silence => f.write_str("no whole answer came"),
            Self::Answer { status, words } => {
                write!(f, "the server answered {status}")?;
                words.iter().try_for_each(|words| write!(f, ": {words}"))
            }
        }
    }
}

impl Error {
    /// What is set cannot be used.
    pub(super) fn of_settings(why: impl Into<String>) -> Self {
        Self::refused(Kind::Failed, why)
    }

    /// Nobody can log in so.
    pub(super) fn of_login(why: impl Into<String>) -> Self {
        Self::refused(Kind::Denied, why)
    }

    fn refused(kind: Kind, why: impl Into<String>) -> Self {
        Self {
            kind,
            what: What::Refused(why.into()),
            retry_after: None,
            source: None,
        }
    }

    /// Nobody answered, or not to the end.
    pub(super) fn silence(kind: Kind, source: impl Into<Cause>) -> Self {
        Self {
            kind,
            what: What::Silence,
            retry_after: None,
            source: Some(source.into()),
        }
    }

    /// The server answered that it did not do it.
    pub(super) fn answer(
        status: u16,
        words: Option<String>,
        retry_after: Option<Duration>,
    ) -> Self {
        Self {
            kind: kind_of(status, words.as_deref().unwrap_or_default()),
            what: What::Answer { status, words },
            retry_after,
            source: None,
        }
    }

    /// The same error for whom a kind would mislead: who logs in at a wrong address is told 404,
    /// and misses no object.
    pub(super) fn with_kind(self, kind: Kind) -> Self {
        Self { kind, ..self }
    }

    /// What a caller may do about it.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// How long the server asked to be left alone before the next try, if it did.
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }
}

/// Why a service did not do it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// There is nothing at that address.
    Missing,
    /// What is there ends before the part that was asked for.
    Short,
    /// The caller's rights do not allow it. Asking again will not help.
    Denied,
    /// No space, or a quota is used up.
    Full,
    /// The service could not be reached or failed for now: asking again may help.
    Unavailable,
    /// Anything else. Asking again will not help.
    Failed,
}

/// What an answer means to a caller.
fn kind_of(status: u16, words: &str) -> Kind {
    match status {
        404 | 410 => Kind::Missing,
        416 => Kind::Short,
        401 | 403 => Kind::Denied,
        413 | 507 => Kind::Full,
        // What was sent is not what arrived (Swift: 422), or a server in trouble.
        408 | 409 | 422 | 425 | 429 | 498 | 499 | 500 | 502 | 503 | 504 => Kind::Unavailable,
        400 if ["RequestTimeout", "BadDigest", "IncompleteBody"]
            .iter()
            .any(|code| words.contains(code)) =>
        {
            Kind::Unavailable
        }
        _ => Kind::Failed,
    }
}

#[cfg(test)]
mod tests {
    use super::{Error, Kind, kind_of};

    #[test]
    fn what_may_help_to_ask_again_is_told_from_what_does_not() {
        for status in [408, 429, 500, 502, 503, 504, 498] {
            assert_eq!(kind_of(status, ""), Kind::Unavailable, "{status}");
        }
        assert_eq!(
            kind_of(400, "RequestTimeout Your socket"),
            Kind::Unavailable
        );
        for (status, kind) in [
            (400, Kind::Failed),
            (401, Kind::Denied),
            (403, Kind::Denied),
            (404, Kind::Missing),
            (507, Kind::Full),
        ] {
            assert_eq!(kind_of(status, ""), kind, "{status}");
        }
    }

    #[test]
    fn an_error_says_what_came_of_the_request() {
        let words = Some("NoSuchKey It is gone.".to_owned());
        assert_eq!(
            Error::answer(404, words, None).to_string(),
            "the server answered 404: NoSuchKey It is gone."
        );
        assert_eq!(
            Error::answer(500, None, None).to_string(),
            "the server answered 500"
        );
    }
}
