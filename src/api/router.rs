//! The way of a request: authenticated, read, allowed, run, answered.

use super::answer::{failed, success};
use super::call::{ApiCall, ApiReply, Dialect};
use super::error::{Failure, REQUEST_ID};
use super::request::{Peer, authenticate, if_match, read, takes_json};
use super::routes::{ROUTES, Route};
use super::server::Server;
use super::{discovery, identity_api, openapi};
use axum::Router;
use axum::body::Body;
use axum::extract::{RawPathParams, Request};
use axum::http::{HeaderValue, Method, Response, StatusCode};
use axum::routing::{any, get};
use std::sync::Arc;
use std::time::Duration;

/// How often a request is run again whose transaction meets others, or loses its connection, and
/// for how long.
const ATTEMPTS: u32 = 10;
const TIME_FOR_ATTEMPTS: Duration = Duration::from_secs(10);
/// All addresses.
pub(super) fn router(server: Arc<Server>) -> Router {
    let mut router = discovery::routes(&server)
        .merge(openapi::routes())
        .merge(identity_api::routes(&server));
    for dialect in [Dialect::V1, Dialect::V2] {
        let mut paths: Vec<&'static str> = ROUTES.iter().map(|route| route.path).collect();
        paths.dedup();
        paths.sort_unstable();
        paths.dedup();
        for path in paths {
            let routes: Arc<[&'static Route]> = ROUTES
                .iter()
                .filter(|route| route.path == path && (dialect == Dialect::V2 || route.in_v1))
                .collect();
            let prefix = if dialect == Dialect::V1 {
                "/v1"
            } else {
                "/v2/{project_id}"
            };
            for slash in ["", "/"] {
                let (server, routes) = (Arc::clone(&server), Arc::clone(&routes));
                let at_route = any(
                    move |params: Result<
                        RawPathParams,
                        axum::extract::rejection::RawPathParamsRejection,
                    >,
                          request: Request| async move {
                        let ids = params.map(|params| {
                            params
                                .iter()
                                .map(|(name, id)| (name.to_owned(), id.to_owned()))
                                .collect()
                        });
                        answer(
                            server,
                            Some((dialect, routes)),
                            ids.unwrap_or_default(),
                            request,
                        )
                        .await
                    },
                );
                router = router.route(&format!("{prefix}{path}{slash}"), at_route);
            }
        }
    }
    for path in ["/v2", "/v2/"] {
        let server = Arc::clone(&server);
        router = router.route(
            path,
            get(move |request: Request| async move {
                discovery::home(&server, &request.into_parts().0).await
            }),
        );
    }
    router.fallback(move |request: Request| answer(server, None, Vec::new(), request))
}

/// The answer to a request that is for one of these routes, or for none.
async fn answer(
    server: Arc<Server>,
    at: Option<(Dialect, Arc<[&'static Route]>)>,
    ids: Vec<(String, String)>,
    request: Request,
) -> Response<Body> {
    let began = crate::platform::monotonic();
    let method = request.method().clone();
    let label = at
        .as_ref()
        .and_then(|(_, routes)| routes.first())
        .map_or("unknown", |route| route.path);
    // In a task of its own: a client that goes away would cut it off in the middle of a
    // transaction, and a connection to the database be lost with it.
    let attending = tokio::spawn({
        let server = Arc::clone(&server);
        async move {
            attend(
                &server,
                at.as_ref().map(|(dialect, routes)| (*dialect, &**routes)),
                ids,
                request,
            )
            .await
        }
    });
    let result = attending.await.unwrap_or(Err(Failure::Internal(
        "a request has ended without an answer",
    )));
    let mut answer = match result {
        Ok(reply) => success(reply),
        Err(failure) => failed(&server, &failure),
    };
    let id = super::auth::accounts::new_id().unwrap_or_default();
    if let (false, Ok(id)) = (
        answer.status() == StatusCode::UNAUTHORIZED,
        HeaderValue::from_str(&format!("req-{}", with_hyphens(&id))),
    ) {
        answer.headers_mut().insert(REQUEST_ID, id);
    }
    server.metrics.count(
        method.as_str(),
        label,
        answer.status().as_u16(),
        began.elapsed(),
    );
    answer
}

/// An id in the form of a UUID.
fn with_hyphens(id: &str) -> String {
    let part = |from: usize, to: usize| id.get(from..to).unwrap_or("");
    format!(
        "{}-{}-{}-{}-{}",
        part(0, 8),
        part(8, 12),
        part(12, 16),
        part(16, 20),
        part(20, 32)
    )
}

async fn attend(
    server: &Arc<Server>,
    at: Option<(Dialect, &[&'static Route])>,
    ids: Vec<(String, String)>,
    request: Request,
) -> Result<ApiReply, Failure> {
    let (parts, body) = request.into_parts();
    let identity = authenticate(
        server,
        &parts.headers,
        parts.extensions.get::<Peer>().map(|peer| peer.0),
    )
    .await?;
    let (dialect, routes) = at.ok_or(Failure::NoRoute)?;
    let route = route_of(routes, &parts.method)?;
    if !takes_json(&parts.headers) {
        return Err(Failure::NotAcceptable);
    }
    refuse_strange_ids(route, &ids)?;
    let project = match dialect {
        Dialect::V1 => identity.project_id.clone(),
        Dialect::V2 => ids
            .iter()
            .find(|(name, _)| name == "project_id")
            .map(|(_, id)| id.clone())
            .unwrap_or_default(),
    };
    let now = server.clock.now();
    let query = form_urlencoded::parse(parts.uri.query().unwrap_or("").as_bytes())
        .into_owned()
        .collect();
    let body = read(body, &parts.headers, server.body_limit, server.patience).await?;
    let if_match = if_match(&parts.headers)?;
    let (now, now_us) = (now.as_second(), now.as_microsecond());
    let call = ApiCall {
        server: Arc::clone(server),
        identity,
        project,
        dialect,
        ids,
        query,
        body,
        if_match,
        now,
        now_us,
    };
    call.must(route.rule)?;
    run(route, &call).await
}

/// The route of a method among those of an address.
fn route_of(routes: &[&'static Route], method: &Method) -> Result<&'static Route, Failure> {
    let found = routes.iter().copied().find(|route| route.method == *method);
    found.ok_or_else(|| {
        let allowed: Vec<&str> = routes.iter().map(|route| route.method.as_str()).collect();
        Failure::Method(allowed.join(", "))
    })
}

/// Refuses ids with control characters: no id and no project has one, and PostgreSQL could not even
/// look for one.
fn refuse_strange_ids(route: &Route, ids: &[(String, String)]) -> Result<(), Failure> {
    let is_strange = ids.iter().any(|(_, id)| id.chars().any(char::is_control))
        || (ids.is_empty() && route.path.contains('{'));
    if !is_strange {
        Ok(())
    } else if route.method == Method::GET {
        Err(Failure::Absent)
    } else {
        Err(Failure::NotFound("There is nothing with this id".into()))
    }
}

/// Runs a request, again and again while its transaction meets those of others.
async fn run(route: &Route, call: &ApiCall) -> Result<ApiReply, Failure> {
    let (mut attempt, began) = (0, crate::platform::monotonic());
    loop {
        match (route.run)(call).await {
            Err(failure)
                if failure.is_passing()
                    && attempt < ATTEMPTS
                    && began.elapsed() < TIME_FOR_ATTEMPTS =>
            {
                attempt += 1;
                tokio::time::sleep(Duration::from_millis(u64::from(attempt * attempt))).await;
            }
            result => return result,
        }
    }
}
