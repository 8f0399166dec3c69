//! Errors of services in a network.

use std::fmt;
use std::time::Duration;

type Cause = Box<dyn std::error::Error + Send + Sync>;

/// A request to a service failed. The text says what was attempted and how it ended. The
/// [`kind`](Self::kind) alone says whether asking again can help.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub struct Error {
    kind: NetErrorKind,
    what: What,
    retry_after: Option<Duration>,
    #[source]
    source: Option<Cause>,
}

/// How far an attempt came.
#[derive(Debug)]
enum What {
    /// Nothing was sent: the reason why the settings or the credentials cannot be used.
    Refused(String),
    /// A request was sent, and no complete answer came back.
    Silence,
    /// A web page came in place of the answer.
    Page,
    /// The server answered with a status that is not success.
    Answer { status: u16, words: Option<String> },
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(why) => f.write_str(why),
            Self::Silence => f.write_str("no complete answer came"),
            Self::Page => f.write_str(
                "a web page came in place of the answer: look whether a proxy or a login page \
                 stands between this machine and the server",
            ),
            Self::Answer { status, words } => {
                write!(f, "the server answered {status}")?;
                words.iter().try_for_each(|words| write!(f, ": {words}"))
            }
        }
    }
}

impl Error {
    /// Makes the error for settings that cannot be used.
    pub(super) fn of_settings(why: impl Into<String>) -> Self {
        Self::refused(NetErrorKind::Failed, why)
    }

    /// Makes the error for credentials that cannot be used.
    pub(super) fn of_login(why: impl Into<String>) -> Self {
        Self::refused(NetErrorKind::Denied, why)
    }

    fn refused(kind: NetErrorKind, why: impl Into<String>) -> Self {
        Self {
            kind,
            what: What::Refused(why.into()),
            retry_after: None,
            source: None,
        }
    }

    /// Makes the error for an answer that did not come, or broke off.
    pub(super) fn silence(kind: NetErrorKind, source: impl Into<Cause>) -> Self {
        Self {
            kind,
            what: What::Silence,
            retry_after: None,
            source: Some(source.into()),
        }
    }

    /// Makes the error for a web page in place of an answer. It may go away: a login to the network
    /// runs out, and is renewed.
    pub(crate) fn page() -> Self {
        Self {
            kind: NetErrorKind::Unavailable,
            what: What::Page,
            retry_after: None,
            source: None,
        }
    }

    /// Makes the error for an answer that is not success.
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

    /// Replaces the kind where the status misleads: a login at a wrong address is answered 404, and
    /// yet no object is missing.
    pub(super) fn with_kind(self, kind: NetErrorKind) -> Self {
        Self { kind, ..self }
    }

    /// Returns what a caller can do about it.
    pub fn kind(&self) -> NetErrorKind {
        self.kind
    }

    /// Returns how long the server asked to wait before the next try, if it did.
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }
}

/// Why a request failed, by what a caller can do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NetErrorKind {
    /// There is nothing at that address.
    Missing,
    /// The object ends before the requested part.
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

/// Returns the kind of error that a status means.
fn kind_of(status: u16, words: &str) -> NetErrorKind {
    match status {
        404 | 410 => NetErrorKind::Missing,
        416 => NetErrorKind::Short,
        401 | 403 => NetErrorKind::Denied,
        413 | 507 => NetErrorKind::Full,
        // The body was damaged on its way (Swift: 422), or the server is in trouble.
        408 | 409 | 422 | 425 | 429 | 498 | 499 | 500 | 502 | 503 | 504 => {
            NetErrorKind::Unavailable
        }
        400 if ["RequestTimeout", "BadDigest", "IncompleteBody"]
            .iter()
            .any(|code| words.contains(code)) =>
        {
            NetErrorKind::Unavailable
        }
        _ => NetErrorKind::Failed,
    }
}

#[cfg(test)]
mod tests {
    use super::{Error, NetErrorKind, kind_of};

    #[test]
    fn what_may_help_to_ask_again_is_told_from_what_does_not() {
        for status in [408, 429, 500, 502, 503, 504, 498] {
            assert_eq!(kind_of(status, ""), NetErrorKind::Unavailable, "{status}");
        }
        assert_eq!(
            kind_of(400, "RequestTimeout Your socket"),
            NetErrorKind::Unavailable
        );
        for (status, kind) in [
            (400, NetErrorKind::Failed),
            (401, NetErrorKind::Denied),
            (403, NetErrorKind::Denied),
            (404, NetErrorKind::Missing),
            (507, NetErrorKind::Full),
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
