//! What a request says: who sends it, its headers and its body.

use super::auth::accounts;
use super::auth::caller::Caller;
use super::error::Failure;
use super::server::Server;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, header};
use std::net::IpAddr;
use std::time::Duration;

/// How deep a body can be. A stored document has some levels more, and must be read again: JSON is
/// read to 128.
const DEEPEST: usize = 64;

const TOKEN: &str = "x-auth-token";

/// The peer of the connection that a request came on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer(pub(super) IpAddr);

/// Returns the caller that has the token of a request.
pub(super) async fn authenticate(
    server: &Server,
    headers: &HeaderMap,
    peer: Option<IpAddr>,
) -> Result<Caller, Failure> {
    let bearer = || {
        headers
            .get(header::AUTHORIZATION)?
            .to_str()
            .ok()?
            .strip_prefix("Bearer ")
    };
    let token = headers
        .get(TOKEN)
        .and_then(|token| token.to_str().ok())
        .or_else(bearer)
        .unwrap_or("");
    let now_us = server.clock.now().as_microsecond();
    let peer = peer.map(|peer| peer.to_string()).unwrap_or_default();
    let own = accounts::digest(token);
    // Each wrong token would otherwise be an asker of its own, and none of them limited.
    let is_known = !token.is_empty() && server.authenticator.was_good(token);
    let asker = if is_known { &own } else { &peer };
    if !server.rate.take(asker, now_us) {
        return Err(Failure::TooMany);
    }
    let caller = server
        .authenticator
        .identify(&server.database, &*server.clock, token)
        .await?;
    if !is_known {
        server.rate.give_back(&peer);
        server.rate.take(&own, now_us);
    }
    Ok(caller)
}

/// The body as JSON; nothing sent is nothing.
pub(super) async fn read(
    body: Body,
    headers: &HeaderMap,
    limit: usize,
    patience: Duration,
) -> Result<Option<serde_json::Value>, Failure> {
    let announced = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|announced| announced > limit as u64) {
        return Err(Failure::TooLarge(limit));
    }
    let bytes = tokio::time::timeout(patience, to_bytes(body, limit))
        .await
        .map_err(|_| Failure::TooSlow)?;
    // Whatever else can go wrong is a connection that is gone, and hears no answer.
    let bytes = bytes.map_err(|_| Failure::TooLarge(limit))?;
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Ok(None);
    }
    let body = serde_json::from_slice(&bytes)
        .map_err(|error| Failure::Invalid("Malformed JSON", error.to_string()))?;
    if is_deeper(&body, DEEPEST) {
        return Err(Failure::invalid(format!(
            "the request body must not be nested deeper than {DEEPEST} levels"
        )));
    }
    Ok(Some(body))
}

/// Returns whether a value is nested deeper than `levels`.
fn is_deeper(value: &serde_json::Value, levels: usize) -> bool {
    match value {
        serde_json::Value::Object(inner) => {
            levels == 0 || inner.values().any(|value| is_deeper(value, levels - 1))
        }
        serde_json::Value::Array(inner) => {
            levels == 0 || inner.iter().any(|value| is_deeper(value, levels - 1))
        }
        _ => false,
    }
}

/// The version that the object must have.
pub(super) fn if_match(headers: &HeaderMap) -> Result<Option<i64>, Failure> {
    let Some(tag) = headers.get(header::IF_MATCH) else {
        return Ok(None);
    };
    match tag.to_str().ok().map(|tag| tag.trim().trim_matches('"')) {
        Some("*") => Ok(None),
        tag => tag
            .and_then(|tag| tag.parse().ok())
            .map(Some)
            .ok_or_else(|| Failure::invalid("If-Match must be a version as in \"3\"")),
    }
}

/// Whether the client takes JSON.
pub(super) fn takes_json(headers: &HeaderMap) -> bool {
    let accepted: Vec<&str> = headers
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .collect();
    accepted.is_empty()
        || accepted
            .iter()
            .flat_map(|value| value.split(','))
            .any(|range| {
                let mut parts = range.split(';').map(str::trim);
                let media = parts.next().unwrap_or("");
                let refused = parts.any(|part| {
                    matches!(
                        part.strip_prefix("q="),
                        Some("0" | "0.0" | "0.00" | "0.000")
                    )
                });
                !refused
                    && [
                        "",
                        "*/*",
                        "application/*",
                        "application/json",
                        "application/json-home",
                    ]
                    .contains(&media)
            })
}

#[cfg(test)]
mod tests {
    use super::{HeaderMap, header, takes_json};
    use axum::http::HeaderValue;

    #[test]
    fn json_is_taken_unless_it_is_left_out() {
        let with = |accept: &'static str| {
            HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static(accept))])
        };
        assert!(takes_json(&HeaderMap::new()));
        assert!(
            [
                "*/*",
                "application/json",
                "text/html, application/*;q=0.5",
                "application/json; charset=utf-8"
            ]
            .iter()
            .all(|accept| takes_json(&with(accept)))
        );
        assert!(
            [
                "text/html",
                "application/json;q=0",
                "application/xml, text/*"
            ]
            .iter()
            .all(|accept| !takes_json(&with(accept)))
        );
    }
}
