//! What a client can find out before it has a token: versions, health, metrics.

use super::answer::failed;
use super::db::Statement;
use super::error::{Failure, json_answer};
use super::request::{Peer, authenticate, takes_json};
use super::server::Server;
use axum::Router;
use axum::body::Body;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use axum::routing::get;
use serde_json::json;
use std::sync::Arc;

/// Addresses that need no token.
pub(super) fn routes(server: &Arc<Server>) -> Router {
    let (root, health, numbers) = (Arc::clone(server), Arc::clone(server), Arc::clone(server));
    Router::new()
        .route(
            "/",
            get(move |headers: HeaderMap| async move { versions(&root, &headers) }),
        )
        .route(
            "/healthcheck",
            get(move || async move { healthcheck(&health).await }),
        )
        .route(
            "/metrics",
            get(move || async move { metrics(&numbers).await }),
        )
}

/// The address that a client knows the server by.
pub(super) fn base(server: &Server, headers: &HeaderMap) -> String {
    match &server.public_url {
        Some(url) => url.trim_end_matches('/').to_owned(),
        None => {
            let host = headers
                .get(header::HOST)
                .and_then(|host| host.to_str().ok())
                .unwrap_or("localhost");
            format!("{}://{host}", server.scheme)
        }
    }
}

fn versions(server: &Server, headers: &HeaderMap) -> Response<Body> {
    let base = base(server, headers);
    let links = json!([{ "rel": "self", "href": format!("{base}/v2/") }]);
    // Version 1 is there for those who ask for it; a server of the original lists one version, and
    // tests of it want this one.
    let body = json!({
        "versions": [{
            "id": "v2",
            "status": "CURRENT",
            "updated": "2018-02-21T13:30:00",
            "links": links,
        }]
    });
    json_answer(StatusCode::MULTIPLE_CHOICES, body.to_string())
}

async fn healthcheck(server: &Server) -> Response<Body> {
    let answer = server
        .database
        .fetch("be reached", &Statement::new("SELECT 1"))
        .await;
    let (status, text) = match answer {
        Ok(_) => (StatusCode::OK, "OK"),
        Err(_) => (
            StatusCode::SERVICE_UNAVAILABLE,
            "the database does not answer",
        ),
    };
    plain(status, text.to_owned())
}

async fn metrics(server: &Server) -> Response<Body> {
    let up = server
        .database
        .fetch("be reached", &Statement::new("SELECT 1"))
        .await
        .is_ok();
    plain(StatusCode::OK, server.metrics.text(up))
}

fn plain(status: StatusCode, text: String) -> Response<Body> {
    let mut answer = Response::new(Body::from(text));
    *answer.status_mut() = status;
    answer.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    answer
}

/// `GET /v2`: the JSON-home document.
pub(super) async fn home(server: &Server, parts: &Parts) -> Response<Body> {
    let peer = parts.extensions.get::<Peer>().map(|peer| peer.0);
    if let Err(failure) = authenticate(server, &parts.headers, peer).await {
        return failed(server, &failure);
    }
    if !takes_json(&parts.headers) {
        return failed(server, &Failure::NotAcceptable);
    }
    let hints = |allow: &[&str]| json!({ "allow": allow, "formats": { "application/json": {} } });
    let var = |name: &str| format!("param/{name}");
    let resources = json!({
        "rel/backups": {
            "href-template": "/v2/{project_id}/backups/{backup_id}",
            "href-vars": { "project_id": var("project_id"), "backup_id": var("backup_id") },
            "hints": hints(&["GET"]),
        },
        "rel/jobs": {
            "href-template": "/v2/{project_id}/jobs{?all_projects,offset,limit}",
            "href-vars": {
                "project_id": var("project_id"),
                "all_projects": var("all_projects"),
                "offset": var("offset"),
                "limit": var("limit"),
            },
            "hints": hints(&["GET", "POST"]),
        },
        "rel/job": {
            "href-template": "/v2/{project_id}/jobs/{job_id}",
            "href-vars": { "project_id": var("project_id"), "job_id": var("job_id") },
            "hints": hints(&["GET", "PATCH", "POST", "DELETE"]),
        },
    });
    let mut answer = json_answer(
        StatusCode::OK,
        json!({ "resources": resources }).to_string(),
    );
    answer.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json-home"),
    );
    answer
}
