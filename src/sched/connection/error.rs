//! Why a request to a Freezer API failed.

use crate::model::Advice;
use crate::net::{Error as NetError, NetErrorKind};

/// Why a request to the server failed.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// The log-in failed.
    #[error("could not log in to the Freezer API")]
    Login {
        /// Whether it may help to try again later.
        is_away: bool,
        /// The error of the connection or of the log-in.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// No answer came, or none to the end.
    #[error("could not reach the Freezer API at {url}")]
    Unreachable {
        /// Where it should be.
        url: String,
        /// The error of the connection or of the log-in.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The server refused the request.
    #[error("the Freezer API refused to {what}: {words} ({status})")]
    Refused {
        /// The request: method and address.
        what: String,
        /// The status of its answer.
        status: u16,
        /// The reason that the server gives.
        words: String,
    },
    /// The answer of the server is not what it should be.
    #[error("the Freezer API's answer cannot be read: {0}")]
    Answer(String),
}

impl Advice for ApiError {
    fn hint(&self) -> Option<&str> {
        match self {
            Self::Login { .. } => Some(
                "OS_AUTH_URL and the variables that belong to it say where to log in and as \
                 whom, or OS_CLOUD and clouds.yaml",
            ),
            Self::Unreachable { .. } => {
                Some("--api-url names another server; freezer api --dev runs one")
            }
            Self::Refused { status: 401, .. } => Some(
                "the server does not know the token, or it has expired: freezer api tokens \
                 shows those that are valid",
            ),
            Self::Refused { .. } | Self::Answer(_) => None,
        }
    }
}

impl ApiError {
    /// Whether it may help to ask the same again later.
    pub fn is_away(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Login { is_away, .. } => *is_away,
            Self::Refused { status, .. } => *status >= 500 || matches!(status, 408 | 429),
            Self::Answer(_) => false,
        }
    }

    /// Whether somebody else has changed the object meanwhile.
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::Refused { status: 412, .. })
    }

    /// The status of a refusal.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Refused { status, .. } => Some(*status),
            _ => None,
        }
    }
}

/// Makes the error for a log-in that failed.
pub(super) fn no_login(error: NetError) -> ApiError {
    ApiError::Login {
        is_away: error.kind() == NetErrorKind::Unavailable,
        source: error.into(),
    }
}

/// Makes the error for a server that gave no answer, or none to the end.
pub(super) fn unreachable_at(
    url: &str,
    source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> ApiError {
    let root = url.split_once("/v2").map_or(url, |(root, _)| root);
    ApiError::Unreachable {
        url: root.to_owned(),
        source: source.into(),
    }
}
