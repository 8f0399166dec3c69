//! The answers to requests that do not succeed. The one place where failures become status codes.

use super::db;
use crate::model::job::WrongField;
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
    /// A rule of the policy does not allow it.
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
    /// Sessions have no such action.
    #[error("{0}")]
    BadVerb(String),
    /// The client does not accept JSON.
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
    Database(#[from] db::DatabaseError),
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

    /// The status of the answer. No wildcard: a new variant has to choose.
    fn status(&self) -> StatusCode {
        match self {
            Self::Invalid(..) => StatusCode::BAD_REQUEST,
            Self::Unauthenticated => StatusCode::UNAUTHORIZED,
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::Absent | Self::NotFound(_) | Self::NoRoute => StatusCode::NOT_FOUND,
            Self::Method(_) | Self::BadVerb(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::NotAcceptable => StatusCode::NOT_ACCEPTABLE,
            Self::Exists(_) => StatusCode::CONFLICT,
            Self::Version(_) => StatusCode::PRECONDITION_FAILED,
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::Unprocessable(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::TooMany => StatusCode::TOO_MANY_REQUESTS,
            Self::Identity(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Database(error) if error.is_away() => StatusCode::SERVICE_UNAVAILABLE,
            Self::Database(_) | Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// Returns the words of the answer; none for an empty body and for one of another form.
    fn words(&self) -> Option<FailureWords<'_>> {
        let words = |title, description| Some(FailureWords { title, description });
        let told = |title, text: &str| words(title, Some(text.to_owned()));
        match self {
            Self::Unauthenticated | Self::Absent | Self::NotAcceptable => None,
            Self::Invalid(title, text) => told(title, text),
            Self::Forbidden => told(
                "Access Forbidden",
                "You are not allowed to access this resource",
            ),
            Self::NotFound(text) => told("Not Found", text),
            Self::NoRoute => words("404 Not Found", None),
            Self::Method(_) => words("405 Method Not Allowed", None),
            Self::BadVerb(text) => told("Bad Method", text),
            Self::Exists(text) => told("Document already existing", text),
            Self::Version(version) => {
                let text = format!("The object has version {version}");
                words("Version mismatch", Some(text))
            }
            Self::TooLarge(limit) => {
                let text = format!("A request body may have {limit} bytes");
                words("Request too large", Some(text))
            }
            Self::TooSlow => told("Request timeout", "The request body did not arrive in time"),
            Self::Unprocessable(text) => told("Unprocessable Entity", text),
            Self::TooMany => told("Too many requests", "Try again in a second"),
            Self::Identity(_) => told(
                "Service Unavailable",
                "The identity service does not answer",
            ),
            Self::Database(error) if error.is_away() => told(
                "Service Unavailable",
                "The database does not answer; try again in a few seconds",
            ),
            Self::Database(_) => told("Internal Storage Error", "Database operation failed."),
            Self::Internal(_) => told("Internal Server Error", "Internal Server Error"),
        }
    }

    /// Returns the answer.
    pub(super) fn answer(&self) -> Response<Body> {
        let status = self.status();
        let Some(FailureWords { title, description }) = self.words() else {
            return if status == StatusCode::UNAUTHORIZED {
                unauthenticated()
            } else {
                empty(status)
            };
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

/// The words in the body of an answer.
struct FailureWords<'f> {
    title: &'f str,
    description: Option<String>,
}

impl From<WrongField> for Failure {
    fn from(wrong: WrongField) -> Self {
        Self::invalid(wrong.to_string())
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
    let error = json!({
        "code": 401,
        "title": "Unauthorized",
        "message": "The request you have made requires authentication.",
    });
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
            Failure::Database(db::DatabaseError::Statement {
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
