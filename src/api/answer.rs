//! How a request is answered.

use super::call::ApiReply;
use super::error::{Failure, json_answer};
use super::server::Server;
use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, Response, header};
use std::sync::atomic::Ordering;

/// How many seconds it is not said again that the database is away: each of thousands of requests
/// would say it.
const SILENCE_ABOUT_DATABASE: i64 = 5;

const TOTAL: HeaderName = HeaderName::from_static("x-total-count");

/// The answer that tells of a failure; what is this program's fault goes to the log.
pub(super) fn failed(server: &Server, failure: &Failure) -> Response<Body> {
    let mut answer = failure.answer();
    if answer.status().is_server_error() && (!failure.is_database_away() || is_news(server)) {
        let causes: Vec<String> =
            std::iter::successors(Some(failure as &dyn std::error::Error), |error| {
                error.source()
            })
            .map(ToString::to_string)
            .collect();
        tracing::error!(error = causes.join(": "), "a request has failed");
    }
    if matches!(failure, Failure::Unauthenticated) {
        let at = server
            .authenticator
            .address()
            .or(server.public_url.as_deref())
            .unwrap_or("/v3");
        if let Ok(value) = HeaderValue::from_str(&format!("Keystone uri=\"{at}\"")) {
            answer.headers_mut().insert(header::WWW_AUTHENTICATE, value);
        }
    }
    answer
}

/// Whether it has not been said for a while that the database is away.
fn is_news(server: &Server) -> bool {
    let (now, last) = (
        server.clock.now().as_second(),
        server.told_away.load(Ordering::Relaxed),
    );
    let is_news = now.saturating_sub(last) >= SILENCE_ABOUT_DATABASE || now < last;
    if is_news {
        server.told_away.store(now, Ordering::Relaxed);
    }
    is_news
}

/// The answer to a request that succeeds.
pub(super) fn success(reply: ApiReply) -> Response<Body> {
    let mut answer = if reply.body.is_empty() {
        Response::new(Body::empty())
    } else {
        json_answer(reply.status, reply.body)
    };
    *answer.status_mut() = reply.status;
    if let Some(Ok(tag)) = reply
        .version
        .map(|version| HeaderValue::from_str(&format!("\"{version}\"")))
    {
        answer.headers_mut().insert(header::ETAG, tag);
    }
    if let Some(total) = reply.total {
        answer.headers_mut().insert(TOTAL, HeaderValue::from(total));
    }
    answer
}
