//! As much of Keystone v3 as clients of the original need to get a token, for this server's own
//! users.
//!
//! `OS_AUTH_URL=http://server:9090/v3` with a name and a password, or a token, makes them work
//! where there is no OpenStack. A server that uses a real Keystone does not offer it.

use super::answer::failed;
use super::auth::accounts::{self, NewToken};
use super::auth::caller::Caller;
use super::discovery::base;
use super::error::{Failure, json_answer};
use super::request::{Peer, authenticate};
use super::server::Server;
use crate::model::Secret;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};
use axum::routing::{any, get};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use std::sync::Arc;

const SUBJECT: HeaderName = HeaderName::from_static("x-subject-token");
/// How long a token lasts that was got with a password.
const LASTS: SignedDuration = SignedDuration::from_hours(8);
/// The longest body that is read.
const LONGEST: usize = 64 * 1024;
/// What stands for the end of a token that has none: clients want one.
const FAR: SignedDuration = SignedDuration::from_hours(24 * 365);

/// The addresses below `/v3`.
pub(super) fn routes(server: &Arc<Server>) -> Router {
    if server.authenticator.address().is_some() {
        return Router::new();
    }
    let mut router = Router::new();
    for path in ["/v3", "/v3/"] {
        let server = Arc::clone(server);
        router = router.route(
            path,
            get(move |headers: HeaderMap| async move { version(&server, &headers) }),
        );
    }
    let server = Arc::clone(server);
    router.route(
        "/v3/auth/tokens",
        any(move |request: Request| async move {
            let result = match *request.method() {
                Method::POST => log_in(&server, request).await,
                Method::GET | Method::HEAD => show(&server, &request.into_parts().0).await,
                Method::DELETE => revoke(&server, &request.into_parts().0).await,
                _ => Err(Failure::Method("GET, HEAD, POST, DELETE".into())),
            };
            result.unwrap_or_else(|failure| failed(&server, &failure))
        }),
    )
}

fn version(server: &Server, headers: &HeaderMap) -> Response<Body> {
    let links = json!([{ "rel": "self", "href": format!("{}/v3/", base(server, headers)) }]);
    let media = json!([{
        "base": "application/json",
        "type": "application/vnd.openstack.identity-v3+json",
    }]);
    let version = json!({
        "id": "v3.14",
        "status": "stable",
        "updated": "2020-04-07T00:00:00Z",
        "links": links,
        "media-types": media,
    });
    json_answer(StatusCode::OK, json!({ "version": version }).to_string())
}

/// Whether the project of a scope is this one; none said is.
fn is_scope(auth: &Value, project: &str) -> bool {
    match auth.pointer("/scope/project") {
        Some(wanted) => ["id", "name"]
            .iter()
            .any(|key| wanted.get(key).and_then(Value::as_str) == Some(project)),
        None => true,
    }
}

async fn log_in(server: &Server, request: Request) -> Result<Response<Body>, Failure> {
    let peer = request
        .extensions()
        .get::<Peer>()
        .map(|peer| peer.0.to_string())
        .unwrap_or_default();
    let now = server.clock.now();
    let (parts, body) = request.into_parts();
    let bytes = tokio::time::timeout(server.patience, to_bytes(body, LONGEST))
        .await
        .map_err(|_| Failure::TooSlow)?;
    let bytes = bytes.map_err(|_| Failure::TooLarge(LONGEST))?;
    let body: Value = serde_json::from_slice(&bytes)
        .map_err(|error| Failure::Invalid("Malformed JSON", error.to_string()))?;
    let auth = body
        .get("auth")
        .ok_or_else(|| Failure::invalid("'auth' is a required property"))?;
    let methods: Vec<&str> = auth
        .pointer("/identity/methods")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let (identity, token, expires) = match methods[..] {
        ["password"] => with_password(server, auth, now, &peer).await?,
        ["token"] => {
            let token = auth
                .pointer("/identity/token/id")
                .and_then(Value::as_str)
                .ok_or_else(|| Failure::invalid("identity.token.id must be a string"))?;
            let identity = server
                .authenticator
                .identify(&server.database, &*server.clock, token)
                .await?;
            (identity, Secret::new(token.to_owned()), now + FAR)
        }
        _ => {
            return Err(Failure::invalid(
                "identity.methods must be [\"password\"] or [\"token\"]",
            ));
        }
    };
    if !is_scope(auth, &identity.project_id) {
        return Err(Failure::Unauthenticated);
    }
    let body = token_body(&identity, now, expires, &base(server, &parts.headers));
    let mut answer = json_answer(StatusCode::CREATED, body.to_string());
    let token = HeaderValue::from_str(token.expose()).map_err(|_| Failure::Unauthenticated)?;
    answer.headers_mut().insert(SUBJECT, token);
    Ok(answer)
}

/// What is limited are wrong passwords, and how many are looked at at a time: a right one is no
/// guess, and counts for nothing.
async fn with_password(
    server: &Server,
    auth: &Value,
    now: Timestamp,
    peer: &str,
) -> Result<(Caller, Secret<String>, Timestamp), Failure> {
    let user = auth
        .pointer("/identity/password/user")
        .ok_or_else(|| Failure::invalid("identity.password.user is missing"))?;
    let text = |key: &str| user.get(key).and_then(Value::as_str);
    let name = text("name")
        .or_else(|| text("id"))
        .ok_or_else(|| Failure::invalid("identity.password.user.name must be a string"))?;
    let password = text("password")
        .ok_or_else(|| Failure::invalid("identity.password.user.password must be a string"))?;
    if name.contains('\0') || name.len() > 255 {
        return Err(Failure::Unauthenticated);
    }
    if !server.logins.take(peer, now.as_microsecond()) {
        return Err(Failure::TooMany);
    }
    let turn = server
        .hashing
        .acquire()
        .await
        .map_err(|_| Failure::Internal("the server ends"))?;
    let user = accounts::log_in(
        &server.database,
        name,
        Secret::new(password.as_bytes().to_vec()),
    )
    .await
    .map_err(account)?;
    drop(turn);
    let user = user.ok_or(Failure::Unauthenticated)?;
    server.logins.give_back(peer);
    let expires = now + LASTS;
    let new = NewToken {
        user_id: user.id.clone(),
        user_name: user.name.clone(),
        project: user.project.clone(),
        roles: user.roles.clone(),
        client_id: None,
        comment: "log-in".into(),
        expires: Some(expires),
    };
    let token = accounts::make_token(&server.database, &new, now)
        .await
        .map_err(account)?;
    let identity = Caller {
        user_id: user.id,
        user_name: user.name,
        project_id: user.project,
        roles: user.roles,
        client_id: None,
    };
    Ok((identity, token, expires))
}

fn account(error: accounts::AccountError) -> Failure {
    match error {
        accounts::AccountError::Database(error) => Failure::Database(error),
        accounts::AccountError::Exists(_)
        | accounts::AccountError::Name { .. }
        | accounts::AccountError::Secret => Failure::Internal("a token could not be made"),
    }
}

fn token_body(identity: &Caller, now: Timestamp, expires: Timestamp, base: &str) -> Value {
    let domain = json!({ "id": "default", "name": "Default" });
    let endpoints = |url: String| -> Vec<Value> {
        let one = |interface: &&str| {
            json!({
                "id": interface,
                "interface": interface,
                "region": "RegionOne",
                "region_id": "RegionOne",
                "url": url,
            })
        };
        ["public", "internal", "admin"].iter().map(one).collect()
    };
    let roles: Vec<Value> = identity
        .roles
        .iter()
        .map(|role| json!({ "id": role, "name": role }))
        .collect();
    json!({ "token": {
        "methods": ["password"],
        "user": {
            "id": identity.user_id,
            "name": identity.user_name,
            "domain": domain,
            "password_expires_at": null,
        },
        "project": { "id": identity.project_id, "name": identity.project_id, "domain": domain },
        "is_domain": false,
        "roles": roles,
        "issued_at": now.to_string(),
        "expires_at": expires.to_string(),
        "audit_ids": [],
        "catalog": [
            {
                "id": "freezer",
                "type": "backup",
                "name": "freezer",
                "endpoints": endpoints(base.to_owned()),
            },
            {
                "id": "identity",
                "type": "identity",
                "name": "keystone",
                "endpoints": endpoints(format!("{base}/v3")),
            },
        ],
    }})
}

/// The token that a request is about, and whose it is; only its owner and an administrator may ask.
async fn subject(server: &Server, parts: &Parts) -> Result<(String, Caller), Failure> {
    let asker = authenticate(
        server,
        &parts.headers,
        parts.extensions.get::<Peer>().map(|peer| peer.0),
    )
    .await?;
    let token = parts
        .headers
        .get(SUBJECT)
        .and_then(|token| token.to_str().ok())
        .unwrap_or("")
        .to_owned();
    let owner = match server
        .authenticator
        .identify(&server.database, &*server.clock, &token)
        .await
    {
        Err(Failure::Unauthenticated) => {
            return Err(Failure::NotFound("There is no such token".into()));
        }
        owner => owner?,
    };
    if owner.user_id != asker.user_id && !asker.roles.iter().any(|role| role == "admin") {
        return Err(Failure::Forbidden);
    }
    Ok((token, owner))
}

async fn show(server: &Server, parts: &Parts) -> Result<Response<Body>, Failure> {
    let (token, owner) = subject(server, parts).await?;
    let now = server.clock.now();
    let mut answer = json_answer(
        StatusCode::OK,
        token_body(&owner, now, now + FAR, &base(server, &parts.headers)).to_string(),
    );
    if let Ok(token) = HeaderValue::from_str(&token) {
        answer.headers_mut().insert(SUBJECT, token);
    }
    Ok(answer)
}

async fn revoke(server: &Server, parts: &Parts) -> Result<Response<Body>, Failure> {
    let (token, _) = subject(server, parts).await?;
    accounts::revoke_digest(&server.database, &accounts::digest(&token)).await?;
    server.authenticator.forget(&token);
    let mut answer = Response::new(Body::empty());
    *answer.status_mut() = StatusCode::NO_CONTENT;
    Ok(answer)
}
