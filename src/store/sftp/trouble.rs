//! Why a request was not done, and what a caller of the store is told of it.

use super::connection::SessionEnded;
use super::wire;
use crate::store::error::about;
use crate::store::{Error, Kind, ObjectName, Verb};

/// Why a request was not done.
pub(super) enum SftpTrouble {
    Ended(SessionEnded),
    Status {
        code: u32,
        words: String,
    },
    /// An answer of a sort that this request does not have.
    Odd,
}

impl From<SessionEnded> for SftpTrouble {
    fn from(ended: SessionEnded) -> Self {
        Self::Ended(ended)
    }
}

/// What the server said of a request.
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

    /// Returns what a caller of the store is told.
    pub(super) fn of(self, verb: Verb, object: Option<&ObjectName>) -> Error {
        match self {
            Self::Ended(ended) => about(
                if ended.is_refusal() {
                    Kind::Denied
                } else {
                    Kind::Unavailable
                },
                verb,
                object,
            )
            .because(ended),
            Self::Odd => about(Kind::Failed, verb, object)
                .because("the server sent another answer than the request has"),
            Self::Status { code, words } => {
                let kind = match code {
                    wire::NO_SUCH_FILE => Kind::Missing,
                    wire::DENIED => Kind::Denied,
                    _ => Kind::Failed,
                };
                about(kind, verb, object).because(Refusal { code, words })
            }
        }
    }
}

/// Returns what a caller is told when an object was not stored.
pub(super) fn not_stored(name: &ObjectName, trouble: SftpTrouble) -> Error {
    match trouble {
        // A folder is in the way, or one went again and again.
        trouble if trouble.is_missing() => {
            about(Kind::Failed, Verb::Put, Some(name)).because(trouble.of(Verb::Put, Some(name)))
        }
        trouble => trouble.of(Verb::Put, Some(name)),
    }
}
