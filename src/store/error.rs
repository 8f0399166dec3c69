//! What can go wrong with a store.

use super::ObjectName;
use crate::model::{Advice, Interrupted, hints};
use crate::net;
use std::fmt;
use std::time::Duration;

/// A store did not do what it was asked. Its [`kind`](Self::kind) alone says what a caller may do
/// about it.
#[derive(Debug, thiserror::Error)]
#[error("could not {verb}{}: {kind}", .object.as_ref().map(|name| format!(" {name}")).unwrap_or_default())]
pub struct Error {
    kind: Kind,
    verb: Verb,
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
            Kind::Missing | Kind::Short | Kind::TooLarge => Some(hints::DAMAGED),
            Kind::Denied => Some(
                "use an account that may read and write the store, or grant this one the right",
            ),
            Kind::Full => Some(
                "make room in the store, or choose another with --store; what is stored already is \
                 unharmed",
            ),
            Kind::Unavailable => Some("try again when the store can be reached"),
            Kind::Failed => None,
        }
    }
}

impl Error {
    /// An error about one object.
    pub fn new(kind: Kind, verb: Verb, object: &ObjectName) -> Self {
        Self {
            kind,
            verb,
            object: Some(object.clone()),
            retry_after: None,
            source: None,
        }
    }

    /// An error about the store as a whole or a listing.
    pub fn of_store(kind: Kind, verb: Verb) -> Self {
        Self {
            kind,
            verb,
            object: None,
            retry_after: None,
            source: None,
        }
    }

    /// Keeps what caused it.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Keeps how long the store asked to be left alone.
    #[must_use]
    pub fn not_before(mut self, retry_after: Option<Duration>) -> Self {
        self.retry_after = retry_after;
        self
    }

    /// How long the store asked to be left alone before the next try, if it did.
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// What a caller may do about it.
    pub fn kind(&self) -> Kind {
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

    /// What was attempted.
    pub fn verb(&self) -> Verb {
        self.verb
    }

    /// On which object, if it was one.
    pub fn object(&self) -> Option<&ObjectName> {
        self.object.as_ref()
    }
}

/// An error about an object or the whole store.
pub(super) fn about(kind: Kind, verb: Verb, object: Option<&ObjectName>) -> Error {
    object.map_or_else(
        || Error::of_store(kind, verb),
        |object| Error::new(kind, verb, object),
    )
}

/// Wraps what went wrong in the network while `verb` was attempted.
pub(super) fn network<'name>(
    verb: Verb,
    object: Option<&'name ObjectName>,
) -> impl Fn(net::Error) -> Error + use<'name> {
    move |error| {
        let kind = match error.kind() {
            net::Kind::Missing => Kind::Missing,
            net::Kind::Short => Kind::Short,
            net::Kind::Denied => Kind::Denied,
            net::Kind::Full => Kind::Full,
            net::Kind::Unavailable => Kind::Unavailable,
            net::Kind::Failed => Kind::Failed,
        };
        about(kind, verb, object)
            .not_before(error.retry_after())
            .because(error)
    }
}

/// Why a store did not do it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// There is no such object. On a read of what a manifest names, this is damage.
    Missing,
    /// The object ends before the range that was asked for: damage.
    Short,
    /// The object is larger than anything of its sort may be: damage.
    TooLarge,
    /// The store's rights do not allow it. Asking again will not help.
    Denied,
    /// No space, or a quota is used up.
    Full,
    /// The store could not be reached or failed for now: asking again may help.
    Unavailable,
    /// Anything else. Asking again will not help.
    Failed,
}

impl Kind {
    /// Whether this says that what the store holds is damaged, rather than that it cannot be asked.
    pub fn is_damage(self) -> bool {
        match self {
            Self::Missing | Self::Short | Self::TooLarge => true,
            Self::Denied | Self::Full | Self::Unavailable | Self::Failed => false,
        }
    }
}

impl fmt::Display for Kind {
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

/// What was attempted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verb {
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

impl fmt::Display for Verb {
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
    use super::{Error, Kind, Verb};
    use crate::store::ObjectName;

    #[test]
    fn an_error_reads_as_a_sentence_with_and_without_an_object() {
        let name = ObjectName::new("data/a").expect("legal");
        assert_eq!(
            Error::new(Kind::Missing, Verb::Get, &name).to_string(),
            "could not read data/a: it does not exist"
        );
        assert_eq!(
            Error::of_store(Kind::Denied, Verb::Open).to_string(),
            "could not open the store: access is denied"
        );
    }
}
