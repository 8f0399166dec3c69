//! The OpenAPI document and a page for people, both made from the table of routes: there is one
//! list of what this server does.

mod schemas;

use super::call::LARGEST_PAGE;
use super::error::json_answer;
use super::routes::{ROUTES, Route};
use axum::Router;
use axum::body::Body;
use axum::http::{HeaderValue, Method, Response, StatusCode, header};
use axum::routing::get;
use serde_json::{Map, Value, json};
use std::fmt::Write as _;

/// `/openapi.json` and `/docs`.
pub(super) fn routes() -> Router {
    Router::new()
        .route(
            "/openapi.json",
            get(|| async { json_answer(StatusCode::OK, document().to_string()) }),
        )
        .route("/docs", get(|| async { page() }))
}

/// The OpenAPI 3.1 document of version 2.
fn document() -> Value {
    let mut paths = Map::new();
    for route in ROUTES {
        let path = paths
            .entry(format!("/v2/{{project_id}}{}", route.path))
            .or_insert_with(|| json!({}));
        path[route.method.as_str().to_lowercase()] = operation(route);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Freezer API",
            "version": "2.0",
            "description": "Clients, actions, jobs, sessions and records of backups. GET of a list \
             takes a search in its body.",
        },
        "paths": paths,
        "security": [{ "token": [] }],
        "components": {
            "securitySchemes": {
                "token": { "type": "apiKey", "in": "header", "name": "X-Auth-Token" }
            },
            "schemas": schemas::all(),
        },
    })
}

/// Returns the name by which programs call a route.
fn name_of(route: &Route) -> String {
    let path: String = route
        .path
        .chars()
        .filter(|c| *c != '{' && *c != '}')
        .collect();
    format!(
        "{}{}",
        route.method.as_str().to_lowercase(),
        path.replace('/', "_")
    )
}

/// The name of one object of a kind.
fn kind_of(resource: &str) -> &'static str {
    match resource {
        "backups" => "Backup",
        "clients" => "Client",
        "jobs" => "Job",
        "actions" => "Action",
        _ => "Session",
    }
}

fn operation(route: &Route) -> Value {
    let resource = route.path.split('/').nth(1).unwrap_or("");
    let list = !route.path.contains("{id}");
    let mut parameters = vec![in_path("project_id")];
    parameters.extend(
        ["id", "job_id"]
            .into_iter()
            .filter(|name| route.path.contains(&format!("{{{name}}}")))
            .map(in_path),
    );
    if route.method == Method::GET && list {
        parameters.push(in_query(
            "limit",
            json!({ "type": "integer", "minimum": 0, "maximum": LARGEST_PAGE }),
        ));
        parameters.push(in_query(
            "offset",
            json!({ "type": "integer", "minimum": 0, "maximum": i64::MAX }),
        ));
        parameters.push(in_query("total", json!({ "type": "boolean" })));
        if resource == "jobs" {
            parameters.push(in_query("all_projects", json!({ "type": "boolean" })));
        }
    }
    let mut operation = json!({
        "operationId": name_of(route),
        "summary": route.about,
        "description": format!("AccessPolicy rule: `{}`.", route.rule),
        "tags": [resource],
        "parameters": parameters,
        "responses": responses(route, resource, list),
    });
    if let Some((schema, required)) = request(route, resource, list) {
        operation["requestBody"] =
            json!({ "required": required, "content": body(&named(&schema)) });
    }
    operation
}

/// The name of the schema of what is sent, and whether something must be.
fn request(route: &Route, resource: &str, list: bool) -> Option<(String, bool)> {
    let kind = kind_of(resource);
    match (&route.method, route.path.rsplit('/').next()) {
        (&Method::POST, Some("event")) => Some(("JobEvent".into(), true)),
        (&Method::POST, Some("action")) => Some(("SessionAction".into(), true)),
        (&Method::POST, _) => Some((format!("New{kind}"), true)),
        (&Method::PATCH, _) => Some((format!("{kind}Change"), true)),
        (&Method::GET, _) if list => Some(("Search".into(), false)),
        _ => None,
    }
}

/// The answers to requests that fail, and why they do.
const FAILURES: [(&str, &str); 9] = [
    (
        "400",
        "The body or a parameter breaks a rule; the text names the field.",
    ),
    ("403", "A rule of the policy does not allow it."),
    ("405", "Sessions have no such action."),
    ("409", "The id is used already."),
    ("412", "The object has another version than If-Match says."),
    ("413", "The body is too large."),
    (
        "422",
        "An object that this one refers to does not exist, or cannot do it.",
    ),
    ("429", "Too many requests."),
    (
        "503",
        "The database, or the identity service, does not answer: ask again after Retry-After \
         seconds. A change may have been made.",
    ),
];

fn responses(route: &Route, resource: &str, list: bool) -> Value {
    let one = named(kind_of(resource));
    let mut success = match (&route.method, list) {
        (_, _) if route.success == 204 => json!({ "description": "Done." }),
        (&Method::GET, true) => {
            let listed = json!({
                "type": "object",
                "required": [resource],
                "properties": { resource: { "type": "array", "items": one } },
            });
            json!({ "description": "A page of the list.", "content": body(&listed) })
        }
        (&Method::GET, false) => json!({ "description": "The object.", "content": body(&one) }),
        (&Method::PATCH, _) if resource == "backups" => {
            json!({ "description": "The object.", "content": body(&one) })
        }
        _ => {
            json!({
                "description": "What was done.",
                "content": body(&json!({ "type": "object" })),
            })
        }
    };
    if route.method == Method::POST && list {
        success["links"] = links(resource);
    }
    let mut responses = Map::from_iter([(route.success.to_string(), success)]);
    for (status, description) in FAILURES {
        responses.insert(
            status.into(),
            json!({ "description": description, "content": body(&named("Error")) }),
        );
    }
    responses.insert(
        "401".into(),
        json!({
            "description": "The token is missing or not valid.",
            "content": body(&named("Unauthenticated")),
        }),
    );
    // The answer to a GET has no body, that to a change has one.
    responses.insert(
        "404".into(),
        json!({ "description": "There is no such object." }),
    );
    responses.insert(
        "406".into(),
        json!({ "description": "The client does not accept JSON." }),
    );
    Value::Object(responses)
}

/// Returns the operations on an object that was made.
fn links(resource: &str) -> Value {
    let single = format!("/{resource}/{{id}}");
    let key = kind_of(resource).to_lowercase();
    let mut links = Map::new();
    for route in ROUTES
        .iter()
        .filter(|route| route.path.starts_with(&single) && !route.path.contains("{job_id}"))
    {
        let parameters = json!({
            "project_id": "$request.path.project_id",
            "id": format!("$response.body#/{key}_id"),
        });
        links.insert(
            name_of(route),
            json!({ "operationId": name_of(route), "parameters": parameters }),
        );
    }
    Value::Object(links)
}

fn body(schema: &Value) -> Value {
    json!({ "application/json": { "schema": schema } })
}

fn named(schema: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{schema}") })
}

fn in_path(name: &str) -> Value {
    json!({
        "name": name,
        "in": "path",
        "required": true,
        "schema": { "type": "string", "minLength": 1 },
    })
}

fn in_query(name: &str, schema: Value) -> Value {
    json!({ "name": name, "in": "query", "schema": schema })
}

/// The table of routes for people.
fn page() -> Response<Body> {
    let mut html = String::from(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Freezer API</title>\
         <style>body{font:16px/1.5 sans-serif;max-width:60em;margin:2em auto;padding:0 1em}\
         td{padding:.2em .8em .2em 0;vertical-align:top}\
         code{font-size:90%}</style><h1>Freezer API</h1><p>Below \
         <code>/v2/{project_id}</code>, with a token in \
         <code>X-Auth-Token</code>. The whole in <a href=\"openapi.json\">OpenAPI</a>.</p><table>",
    );
    for Route {
        method,
        path,
        rule,
        success,
        about,
        ..
    } in ROUTES
    {
        let row = format!(
            "<tr><td><code>{method} {path}</code><td>{about}<td>{success}<td><code>{rule}</code>"
        );
        write!(html, "{row}").expect("a String takes all");
    }
    html.push_str("</table></html>");
    let mut answer = Response::new(Body::from(html));
    answer.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/html; charset=utf-8"),
    );
    answer
}
