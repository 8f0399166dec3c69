//! Failures of requests, and the errors that callers of the store get for them.

use super::connection::SessionEnded;
use super::wire;
use crate::store::error::about;
use crate::store::{Error, ErrorKind, ObjectName, Operation};

/// Why a request failed.
pub(super) enum SftpTrouble {
    Ended(SessionEnded),
    Status {
        code: u32,
        words: String,
    },
    /// The answer is of a type that this request does not have.
    Odd,
    /// The server sends a file a few bytes at a time.
    Crumbs,
}

impl From<SessionEnded> for SftpTrouble {
    fn from(ended: SessionEnded) -> Self {
        Self::Ended(ended)
    }
}

/// The answer of the server to a request that failed.
#[derive(Debug, thiserror::Error)]
#[error("the server says: {words} (status {code})")]
struct Refusal {
    code: u32,
    words: String,
}

impl SftpTrouble {
    pub(super) fn is_missing(&self) -> bool {
        matches!(
            self,
            Self::Status {
                code: wire::NO_SUCH_FILE,
                ..
            }
        )
    }

    /// Makes the error for a caller of the store.
    pub(super) fn of(self, verb: Operation, object: Option<&ObjectName>) -> Error {
        match self {
            Self::Ended(ended) => about(
                if ended.is_refusal() {
                    ErrorKind::Denied
                } else {
                    ErrorKind::Unavailable
                },
                verb,
                object,
            )
            .because(ended),
            Self::Odd => about(ErrorKind::Failed, verb, object)
                .because("the server sent an answer of the wrong type"),
            Self::Crumbs => about(ErrorKind::Failed, verb, object)
                .because("the server sends the object a few bytes at a time"),
            Self::Status { code, words } => {
                let kind = match code {
                    wire::NO_SUCH_FILE => ErrorKind::Missing,
                    wire::DENIED => ErrorKind::Denied,
                    _ => ErrorKind::Failed,
                };
                about(kind, verb, object).because(Refusal { code, words })
            }
        }
    }
}

/// Makes the error for an object that was not stored.
pub(super) fn not_stored(name: &ObjectName, trouble: SftpTrouble) -> Error {
    match trouble {
        // A folder is in the way, or one went again and again.
        trouble if trouble.is_missing() => about(ErrorKind::Failed, Operation::Put, Some(name))
            .because(trouble.of(Operation::Put, Some(name))),
        trouble => trouble.of(Operation::Put, Some(name)),
    }
}
