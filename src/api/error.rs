//! What a client is told when a request does not succeed. The one place where failures become
//! status codes.

use super::db;
use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, Response, StatusCode, header};
use serde_json::json;

/// Why a request does not succeed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// The body or a parameter is not as it must be; the text names the field.
    #[error("{1}")]
    Invalid(&'static str, String),
    /// The token is missing, unknown, expired or taken back.
    #[error("not authenticated")]
    Unauthenticated,
    /// A rule of the policy does not let him.
    #[error("forbidden")]
    Forbidden,
    /// An object that is read is not there: the answer has no body.
    #[error("absent")]
    Absent,
    /// An object that is to be changed is not there.
    #[error("{0}")]
    NotFound(String),
    /// The address is none of this server's.
    #[error("no such address")]
    NoRoute,
    /// The address has other methods.
    #[error("method not allowed")]
    Method(String),
    /// What is asked of a session is nothing sessions do.
    #[error("{0}")]
    BadVerb(String),
    /// The client takes no JSON.
    #[error("not acceptable")]
    NotAcceptable,
    /// An id that is used already.
    #[error("{0}")]
    Exists(String),
    /// The object has another version than the client wants to change.
    #[error("the version is {0}")]
    Version(i64),
    /// The body is larger than allowed.
    #[error("body too large")]
    TooLarge(usize),
    /// The body came too slowly.
    #[error("body too slow")]
    TooSlow,
    /// It is well-formed and cannot be done.
    #[error("{0}")]
    Unprocessable(String),
    /// Too many requests.
    #[error("too many requests")]
    TooMany,
    /// The service that knows the tokens does not answer.
    #[error("the identity service does not answer")]
    Identity(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The database failed.
    #[error("the database failed")]
    Database(#[from] db::Error),
    /// Anything else that is this program's fault.
    #[error("{0}")]
    Internal(&'static str),
}

impl Failure {
    /// The body or a parameter is not as it must be.
    pub(super) fn invalid(text: impl Into<String>) -> Self {
        Self::Invalid("Bad request format", text.into())
    }

    /// Whether it is the database that cannot be reached, or cannot do it now.
    pub(super) fn is_database_away(&self) -> bool {
        matches!(self, Self::Database(error) if error.is_away())
    }

    /// Whether to run the request again.
    pub(super) fn is_passing(&self) -> bool {
        matches!(self, Self::Database(error) if error.is_passing())
    }

    /// The answer. No wildcard: a new variant has to choose.
    pub(super) fn answer(&self) -> Response<Body> {
        let (status, title, description) = match self {
            Self::Invalid(title, text) => (StatusCode::BAD_REQUEST, *title, Some(text.clone())),
            Self::Unauthenticated => return unauthenticated(),
            Self::Forbidden => (
                StatusCode::FORBIDDEN,
                "Access Forbidden",
                Some("You are not allowed to access this resource".into()),
            ),
            Self::Absent => return empty(StatusCode::NOT_FOUND),
            Self::NotFound(text) => (StatusCode::NOT_FOUND, "Not Found", Some(text.clone())),
            Self::NoRoute => (StatusCode::NOT_FOUND, "404 Not Found", None),
            Self::Method(_) => (
                StatusCode::METHOD_NOT_ALLOWED,
                "405 Method Not Allowed",
                None,
            ),
            Self::BadVerb(text) => (
                StatusCode::METHOD_NOT_ALLOWED,
                "Bad Method",
                Some(text.clone()),
            ),
            Self::NotAcceptable => return empty(StatusCode::NOT_ACCEPTABLE),
            Self::Exists(text) => (
                StatusCode::CONFLICT,
                "Document already existing",
                Some(text.clone()),
            ),
            Self::Version(version) => (
                StatusCode::PRECONDITION_FAILED,
                "Version mismatch",
                Some(format!("The object has version {version}")),
            ),
            Self::TooLarge(limit) => (
                StatusCode::PAYLOAD_TOO_LARGE,
                "Request too large",
                Some(format!("A request body may have {limit} bytes")),
            ),
            Self::TooSlow => (
                StatusCode::REQUEST_TIMEOUT,
                "Request timeout",
                Some("The request body did not arrive in time".into()),
            ),
            Self::Unprocessable(text) => (
                StatusCode::UNPROCESSABLE_ENTITY,
                "Unprocessable Entity",
                Some(text.clone()),
            ),
            Self::TooMany => (
                StatusCode::TOO_MANY_REQUESTS,
                "Too many requests",
                Some("Try again in a second".into()),
            ),
            Self::Identity(_) => (
                StatusCode::SERVICE_UNAVAILABLE,
                "Service Unavailable",
                Some("The identity service does not answer".into()),
            ),
            Self::Database(error) if error.is_away() => (
                StatusCode::SERVICE_UNAVAILABLE,
                "Service Unavailable",
                Some("The database does not answer; try again in a few seconds".into()),
            ),
            Self::Database(_) => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "Internal Storage Error",
                Some("Database operation failed.".into()),
            ),
            Self::Internal(_) => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "Internal Server Error",
                Some("Internal Server Error".into()),
            ),
        };
        let body = match description {
            Some(description) => json!({ "title": title, "description": description }),
            None => json!({ "title": title }),
        };
        let mut answer = json_answer(status, body.to_string());
        if let Self::Method(allowed) = self
            && let Ok(allowed) = HeaderValue::from_str(allowed)
        {
            answer.headers_mut().insert(header::ALLOW, allowed);
        }
        let seconds = match status {
            StatusCode::TOO_MANY_REQUESTS => Some("1"),
            StatusCode::SERVICE_UNAVAILABLE => Some("2"),
            _ => None,
        };
        if let Some(seconds) = seconds {
            answer
                .headers_mut()
                .insert(header::RETRY_AFTER, HeaderValue::from_static(seconds));
        }
        answer
    }
}

/// An answer with a body of JSON.
pub(super) fn json_answer(status: StatusCode, body: String) -> Response<Body> {
    let mut answer = Response::new(Body::from(body));
    *answer.status_mut() = status;
    answer.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    answer
}

fn empty(status: StatusCode) -> Response<Body> {
    let mut answer = Response::new(Body::empty());
    *answer.status_mut() = status;
    answer
}

/// As keystonemiddleware answers; the header's address is filled in by who knows it.
fn unauthenticated() -> Response<Body> {
    let error = json!({ "code": 401, "title": "Unauthorized", "message": "The request you have made requires authentication." });
    json_answer(
        StatusCode::UNAUTHORIZED,
        json!({ "error": error }).to_string(),
    )
}

/// The header of the number that a request is known by.
pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-openstack-request-id");

#[cfg(test)]
mod tests {
    use super::{Failure, StatusCode, db, header};

    #[test]
    fn a_database_that_is_away_is_no_fault_of_the_server() {
        let failure = |source| {
            Failure::Database(db::Error::Statement {
                verb: "read",
                source,
            })
        };
        let answer = failure(sqlx::Error::PoolTimedOut).answer();
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(answer.headers().contains_key(header::RETRY_AFTER));
        let answer = failure(sqlx::Error::ColumnNotFound("x".into())).answer();
        assert_eq!(answer.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert!(!answer.headers().contains_key(header::RETRY_AFTER));
    }
}
