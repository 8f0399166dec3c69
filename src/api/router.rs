//! Which address does what, and the way of a request: authenticated, read, allowed, run, answered.

use super::auth::Identity;
use super::call::{Call, Dialect, Reply};
use super::db::documents::{Collection, Page, Scope, Search};
use super::error::{Failure, REQUEST_ID, json_answer};
use super::{Server, actions, backups, clients, discovery, identity_api, jobs, openapi, sessions};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{RawPathParams, Request};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, header};
use axum::routing::{any, get};
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How deep a body can be. A stored document has some levels more, and must be read again: JSON is
/// read to 128.
const DEEPEST: usize = 64;
/// How often a request is run again whose transaction meets others, or loses its connection, and
/// for how long.
const ATTEMPTS: u32 = 10;
const TIME_FOR_ATTEMPTS: Duration = Duration::from_secs(10);
/// How many seconds it is not said again that the database is away: each of thousands of requests
/// would say it.
const SILENCE_ABOUT_DATABASE: i64 = 5;

const TOTAL: HeaderName = HeaderName::from_static("x-total-count");
const TOKEN: &str = "x-auth-token";

type Running<'c> = Pin<Box<dyn Future<Output = Result<Reply, Failure>> + Send + 'c>>;

/// One thing that can be asked for.
pub(super) struct Route {
    /// How.
    pub(super) method: Method,
    /// Where, below the version and the project.
    pub(super) path: &'static str,
    /// The rule of the policy that lets one.
    pub(super) rule: &'static str,
    /// What is answered when it succeeds.
    pub(super) success: u16,
    /// What it does, in a sentence.
    pub(super) about: &'static str,
    /// Whether version 1 has it.
    pub(super) in_v1: bool,
    run: for<'c> fn(&'c Call) -> Running<'c>,
}

macro_rules! route {
    ($method:ident $path:literal, $rule:literal, $success:literal, $v1:literal, $run:path, $about:literal) => {
        Route {
            method: Method::$method,
            path: $path,
            rule: $rule,
            success: $success,
            about: $about,
            in_v1: $v1,
            run: |call| Box::pin($run(call)),
        }
    };
}

/// All of them.
#[rustfmt::skip]
pub(super) const ROUTES: &[Route] = &[
    route!(GET "/backups", "backups:get_all", 200, true, backups::list, "Lists backups."),
    route!(POST "/backups", "backups:create", 201, true, backups::create, "Records a backup."),
    route!(GET "/backups/{id}", "backups:get", 200, true, backups::get, "Gives one backup."),
    route!(POST "/backups/{id}", "backups:create", 201, false, backups::create_as, "Records a backup under an id; 409 if there is one."),
    route!(PATCH "/backups/{id}", "backups:update", 200, false, backups::update, "Changes what is recorded of a backup."),
    route!(DELETE "/backups/{id}", "backups:delete", 204, true, backups::delete, "Removes the record of a backup."),
    route!(GET "/clients", "clients:get_all", 200, true, clients::list, "Lists clients."),
    route!(POST "/clients", "clients:create", 201, true, clients::create, "Registers a client."),
    route!(GET "/clients/{id}", "clients:get", 200, true, clients::get, "Gives one client."),
    route!(DELETE "/clients/{id}", "clients:delete", 204, true, clients::delete, "Removes a client."),
    route!(GET "/jobs", "jobs:get_all", 200, true, jobs::list, "Lists jobs."),
    route!(POST "/jobs", "jobs:create", 201, true, jobs::create, "Makes a job."),
    route!(GET "/jobs/{id}", "jobs:get", 200, true, jobs::get, "Gives one job."),
    route!(PATCH "/jobs/{id}", "jobs:update", 200, true, jobs::update, "Changes a job."),
    route!(POST "/jobs/{id}", "jobs:create", 201, true, jobs::replace, "Makes or replaces a job."),
    route!(DELETE "/jobs/{id}", "jobs:delete", 204, true, jobs::delete, "Removes a job."),
    route!(POST "/jobs/{id}/event", "jobs:event:create", 202, true, jobs::event, "Starts, stops or aborts a job."),
    route!(GET "/actions", "actions:get_all", 200, true, actions::list, "Lists actions."),
    route!(POST "/actions", "actions:create", 201, true, actions::create, "Makes an action."),
    route!(GET "/actions/{id}", "actions:get", 200, true, actions::get, "Gives one action."),
    route!(PATCH "/actions/{id}", "actions:update", 200, true, actions::update, "Changes an action."),
    route!(POST "/actions/{id}", "actions:replace", 201, true, actions::replace, "Makes or replaces an action."),
    route!(DELETE "/actions/{id}", "actions:delete", 204, true, actions::delete, "Removes an action."),
    route!(GET "/sessions", "sessions:get_all", 200, true, sessions::list, "Lists sessions."),
    route!(POST "/sessions", "sessions:create", 201, true, sessions::create, "Makes a session."),
    route!(GET "/sessions/{id}", "sessions:get", 200, true, sessions::get, "Gives one session."),
    route!(PATCH "/sessions/{id}", "sessions:update", 200, true, sessions::update, "Changes a session."),
    route!(POST "/sessions/{id}", "sessions:replace", 201, true, sessions::replace, "Makes or replaces a session."),
    route!(DELETE "/sessions/{id}", "sessions:delete", 204, true, sessions::delete, "Removes a session."),
    route!(POST "/sessions/{id}/action", "sessions:action:create", 202, true, sessions::action, "Starts or ends a job of a session."),
    route!(PUT "/sessions/{id}/jobs/{job_id}", "sessions:job:add", 204, true, sessions::add_job, "Adds a job to a session."),
    route!(DELETE "/sessions/{id}/jobs/{job_id}", "sessions:job:remove", 204, true, sessions::remove_job, "Takes a job out of a session."),
];

/// The peer of the connection that a request came on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer(pub(super) IpAddr);

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

/// Reads the token and says whose it is.
pub(super) async fn authenticate(
    server: &Server,
    headers: &HeaderMap,
    peer: Option<IpAddr>,
) -> Result<Identity, Failure> {
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
    let asker = if token.is_empty() {
        peer.map(|peer| peer.to_string()).unwrap_or_default()
    } else {
        super::auth::accounts::digest(token)
    };
    if !server
        .rate
        .take(&asker, server.clock.now().as_microsecond())
    {
        return Err(Failure::TooMany);
    }
    server
        .authenticator
        .identify(&server.database, &*server.clock, token)
        .await
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

fn success(reply: Reply) -> Response<Body> {
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

async fn attend(
    server: &Arc<Server>,
    at: Option<(Dialect, &[&'static Route])>,
    ids: Vec<(String, String)>,
    request: Request,
) -> Result<Reply, Failure> {
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
    let call = Call {
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
async fn run(route: &Route, call: &Call) -> Result<Reply, Failure> {
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

/// The body as JSON; nothing sent is nothing.
async fn read(
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

/// Whether a value has values inside values more than so many times.
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
fn if_match(headers: &HeaderMap) -> Result<Option<i64>, Failure> {
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

impl Call {
    /// A page of a list.
    pub(super) async fn listing(
        &self,
        collection: &Collection,
        name: &str,
        scope: Scope,
        search: Search,
    ) -> Result<Reply, Failure> {
        let page: Page = self.page()?;
        let rows = collection
            .list(&self.server.database, &scope, &search, page)
            .await?;
        let total = if self.flag("total")? {
            Some(
                collection
                    .count(&self.server.database, &scope, &search)
                    .await?,
            )
        } else {
            None
        };
        let privileged = self.may("jobs:get_all_projects");
        let mut body = format!("{{\"{name}\": [");
        for (number, row) in rows.iter().enumerate() {
            if number > 0 {
                body.push_str(", ");
            }
            if !privileged && row.client_project != row.project {
                let document = serde_json::from_str(&row.text)
                    .map_err(|_| Failure::Internal("a stored document cannot be read"))?;
                body.push_str(&super::db::documents::text_of(&jobs::without_pid(document)));
            } else {
                body.push_str(&row.text);
            }
        }
        body.push_str("]}");
        Ok(Reply {
            status: StatusCode::OK,
            body,
            version: None,
            total,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{HeaderMap, HeaderValue, header, takes_json};

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
