//! Errors of stores.

use super::ObjectName;
use crate::model::{Advice, Interrupted, hints};
use crate::net;
use std::fmt;
use std::time::Duration;

/// A call to a store failed. The [`kind`](Self::kind) alone says what a caller can do about it.
#[derive(Debug, thiserror::Error)]
#[error(
    "could not {verb}{}: {kind}",
    .object.as_ref().map(|name| format!(" {name}")).unwrap_or_default()
)]
pub struct Error {
    kind: ErrorKind,
    verb: Operation,
    object: Option<ObjectName>,
    retry_after: Option<Duration>,
    #[source]
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Advice for Error {
    fn hint(&self) -> Option<&str> {
        match self.kind() {
            // Nothing is wrong with the store: it was not asked again.
            _ if self.is_interrupted() => None,
            ErrorKind::Missing if self.verb == Operation::Open => {
                Some("the folder cannot be made there: name another place with --store")
            }
            ErrorKind::Missing | ErrorKind::Short | ErrorKind::TooLarge => Some(hints::DAMAGED),
            ErrorKind::Denied => Some(
                "use an account that may read and write the store, or grant this one the right",
            ),
            ErrorKind::Full => Some(
                "make room in the store, or choose another with --store; what is stored already is \
                 unharmed",
            ),
            ErrorKind::Unavailable => Some("try again when the store can be reached"),
            ErrorKind::Failed => None,
        }
    }
}

impl Error {
    /// Makes an error about one object.
    pub fn new(kind: ErrorKind, verb: Operation, object: &ObjectName) -> Self {
        Self {
            kind,
            verb,
            object: Some(object.clone()),
            retry_after: None,
            source: None,
        }
    }

    /// Makes an error about the store as a whole or a listing.
    pub fn of_store(kind: ErrorKind, verb: Operation) -> Self {
        Self {
            kind,
            verb,
            object: None,
            retry_after: None,
            source: None,
        }
    }

    /// Adds the cause.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Adds how long the store asked to wait.
    #[must_use]
    pub fn not_before(mut self, retry_after: Option<Duration>) -> Self {
        self.retry_after = retry_after;
        self
    }

    /// Returns how long the store asked to wait before the next try, if it did.
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// Returns what a caller can do about it.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Whether the user's wish to stop ended the tries.
    fn is_interrupted(&self) -> bool {
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            if error.is::<Interrupted>() {
                return true;
            }
            cause = error.source();
        }
        false
    }

    /// Returns the operation that failed.
    pub fn verb(&self) -> Operation {
        self.verb
    }

    /// Returns the object, if the error is about one.
    pub fn object(&self) -> Option<&ObjectName> {
        self.object.as_ref()
    }
}

/// Makes an error about an object or the whole store.
pub(super) fn about(kind: ErrorKind, verb: Operation, object: Option<&ObjectName>) -> Error {
    object.map_or_else(
        || Error::of_store(kind, verb),
        |object| Error::new(kind, verb, object),
    )
}

/// Wraps errors of the network during an operation.
pub(super) fn network<'name>(
    verb: Operation,
    object: Option<&'name ObjectName>,
) -> impl Fn(net::Error) -> Error + use<'name> {
    move |error| {
        let kind = match error.kind() {
            net::NetErrorKind::Missing => ErrorKind::Missing,
            net::NetErrorKind::Short => ErrorKind::Short,
            net::NetErrorKind::Denied => ErrorKind::Denied,
            net::NetErrorKind::Full => ErrorKind::Full,
            net::NetErrorKind::Unavailable => ErrorKind::Unavailable,
            net::NetErrorKind::Failed => ErrorKind::Failed,
        };
        about(kind, verb, object)
            .not_before(error.retry_after())
            .because(error)
    }
}

/// Why a call failed, by what a caller can do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The object does not exist. When a manifest names it, this is damage.
    Missing,
    /// The object ends before the requested range does: damage.
    Short,
    /// The object is larger than objects of its sort can be: damage.
    TooLarge,
    /// The caller has no right to do it. Asking again will not help.
    Denied,
    /// No space, or a quota is used up.
    Full,
    /// The store could not be reached or failed for now: asking again may help.
    Unavailable,
    /// Anything else. Asking again will not help.
    Failed,
}

impl ErrorKind {
    /// Returns whether the stored data is damaged, and not just out of reach.
    pub fn is_damage(self) -> bool {
        match self {
            Self::Missing | Self::Short | Self::TooLarge => true,
            Self::Denied | Self::Full | Self::Unavailable | Self::Failed => false,
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "it does not exist",
            Self::Short => "it is shorter than it was when it was stored",
            Self::TooLarge => "it is larger than it can be",
            Self::Denied => "access is denied",
            Self::Full => "the store is full",
            Self::Unavailable => "the store does not answer",
            Self::Failed => "the store failed",
        })
    }
}

/// An operation on a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// Opening the store itself.
    Open,
    /// Writing an object.
    Put,
    /// Reading an object or a part of it.
    Get,
    /// Listing.
    List,
    /// Removing an object.
    Delete,
    /// Making objects one for other programs.
    Join,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Open => "open the store",
            Self::Put => "store",
            Self::Get => "read",
            Self::List => "list the store",
            Self::Delete => "remove",
            Self::Join => "join",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Error, ErrorKind, Operation};
    use crate::store::ObjectName;

    #[test]
    fn an_error_reads_as_a_sentence_with_and_without_an_object() {
        let name = ObjectName::new("data/a").expect("legal");
        assert_eq!(
            Error::new(ErrorKind::Missing, Operation::Get, &name).to_string(),
            "could not read data/a: it does not exist"
        );
        assert_eq!(
            Error::of_store(ErrorKind::Denied, Operation::Open).to_string(),
            "could not open the store: access is denied"
        );
    }
}
