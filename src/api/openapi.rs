//! The OpenAPI document and a page for people, both made from the table of routes: there is one list of what this server
//! does.

use super::error::json_answer;
use super::router::{ROUTES, Route};
use axum::Router;
use axum::body::Body;
use axum::http::{HeaderValue, Method, Response, StatusCode, header};
use axum::routing::get;
use serde_json::{Map, Value, json};
use std::fmt::Write as _;

/// `/openapi.json` and `/docs`.
pub(super) fn routes() -> Router {
    Router::new()
        .route("/openapi.json", get(|| async { json_answer(StatusCode::OK, document().to_string()) }))
        .route("/docs", get(|| async { page() }))
}

/// The OpenAPI 3.1 document of version 2.
fn document() -> Value {
    let mut paths = Map::new();
    for route in ROUTES {
        let path = paths.entry(format!("/v2/{{project_id}}{}", route.path)).or_insert_with(|| json!({}));
        path[route.method.as_str().to_lowercase()] = operation(route);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Freezer API",
            "version": "2.0",
            "description": "Clients, actions, jobs, sessions and records of backups. GET of a list takes a search in its body: \
                {\"match\": [{KEY: VALUE}], \"match_not\": [{KEY: VALUE}], \"time_after\": SECOND, \"time_before\": SECOND}.",
        },
        "paths": paths,
        "security": [{ "token": [] }],
        "components": {
            "securitySchemes": { "token": { "type": "apiKey", "in": "header", "name": "X-Auth-Token" } },
            "schemas": schemas(),
        },
    })
}

fn operation(route: &Route) -> Value {
    let resource = route.path.split('/').nth(1).unwrap_or("");
    let list = !route.path.contains("{id}");
    let mut parameters = vec![parameter("path", "project_id", "string")];
    for name in ["id", "job_id"].into_iter().filter(|name| route.path.contains(&format!("{{{name}}}"))) {
        parameters.push(parameter("path", name, "string"));
    }
    if route.method == Method::GET && list {
        parameters.extend(["limit", "offset"].map(|name| parameter("query", name, "integer")));
        parameters.push(parameter("query", "total", "boolean"));
        if resource == "jobs" {
            parameters.push(parameter("query", "all_projects", "boolean"));
        }
    }
    let mut responses = Map::new();
    let body = |schema: Value| json!({ "application/json": { "schema": schema } });
    let success = match (&route.method, list) {
        (_, _) if route.success == 204 => json!({ "description": "Done." }),
        (&Method::GET, true) => {
            let one = schema_of(resource);
            let listed = json!({ "type": "object", "required": [resource], "properties": { resource: { "type": "array", "items": one } } });
            json!({ "description": "A page of the list.", "content": body(listed) })
        }
        (&Method::GET, false) => json!({ "description": "The object.", "content": body(schema_of(resource)) }),
        _ => json!({ "description": "What was done.", "content": body(json!({ "type": "object" })) }),
    };
    responses.insert(route.success.to_string(), success);
    let error = json!({ "$ref": "#/components/schemas/Error" });
    for (status, description) in [
        ("400", "The body or a parameter is not as it must be; the text names the field."),
        ("403", "A rule of the policy does not allow it."),
        ("405", "Sessions do no such thing."),
        ("409", "The id is used already."),
        ("412", "The object has another version than If-Match says."),
        ("413", "The body is too large."),
        ("422", "An object that this one leans on is not there, or cannot do it."),
        ("429", "Too many requests."),
    ] {
        responses.insert(status.into(), json!({ "description": description, "content": body(error.clone()) }));
    }
    responses.insert("401".into(), json!({ "description": "There is no token, or it holds no longer." }));
    responses.insert("404".into(), json!({ "description": "There is no such object." }));
    let mut operation = json!({
        "operationId": format!("{} {}", route.method, route.path),
        "summary": route.about,
        "description": format!("Policy rule: `{}`.", route.rule),
        "tags": [resource],
        "parameters": parameters,
        "responses": responses,
    });
    if [Method::POST, Method::PATCH].contains(&route.method) {
        let schema = match route.path.rsplit('/').next() {
            Some("event" | "action") => json!({ "type": "object", "minProperties": 1, "maxProperties": 1 }),
            _ => json!({ "type": "object" }),
        };
        operation["requestBody"] = json!({ "required": true, "content": body(schema) });
    }
    operation
}

fn parameter(place: &str, name: &str, kind: &str) -> Value {
    let mut schema = json!({ "type": kind });
    if kind == "integer" {
        schema["minimum"] = 0.into();
        schema["maximum"] = 10_000.into();
    }
    json!({ "name": name, "in": place, "required": place == "path", "schema": schema })
}

fn schema_of(resource: &str) -> Value {
    let name = match resource {
        "backups" => "Backup",
        "clients" => "Client",
        "jobs" => "Job",
        "actions" => "Action",
        _ => "Session",
    };
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

fn schemas() -> Value {
    let object = |required: &[&str], properties: Value| json!({ "type": "object", "required": required, "properties": properties });
    let (text, number, inner) = (json!({ "type": "string" }), json!({ "type": "integer" }), json!({ "type": "object" }));
    json!({
        "Error": object(&["title"], json!({ "title": text, "description": text })),
        "Backup": object(
            &["backup_id", "project_id", "user_id", "status", "backup_metadata"],
            json!({ "backup_id": text, "project_id": text, "user_id": text, "status": text, "backup_metadata": inner }),
        ),
        "Client": object(&["project_id", "user_id", "client"], json!({ "project_id": text, "user_id": text, "client": inner })),
        "Job": object(
            &["job_id", "project_id", "user_id", "client_id", "job_schedule", "job_actions", "session_id", "session_tag"],
            json!({
                "job_id": text, "project_id": text, "user_id": text, "client_id": text, "description": text,
                "job_schedule": object(&["event", "status", "result"], json!({ "event": text, "status": text, "result": text })),
                "job_actions": { "type": "array", "items": { "$ref": "#/components/schemas/Action" } },
                "session_id": text, "session_tag": number,
            }),
        ),
        "Action": object(
            &["action_id", "project_id", "user_id", "freezer_action", "max_retries", "max_retries_interval", "mandatory"],
            json!({
                "action_id": text, "project_id": text, "user_id": text, "freezer_action": inner, "max_retries": number,
                "max_retries_interval": number, "mandatory": { "type": "boolean" },
            }),
        ),
        "Session": object(
            &["session_id", "project_id", "user_id", "schedule", "jobs", "session_tag"],
            json!({
                "session_id": text, "project_id": text, "user_id": text, "schedule": inner, "jobs": inner,
                "session_tag": number, "hold_off": number, "status": text,
            }),
        ),
    })
}

/// The table of routes for people.
fn page() -> Response<Body> {
    let mut html = String::from(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Freezer API</title>\
         <style>body{font:16px/1.5 sans-serif;max-width:60em;margin:2em auto;padding:0 1em}td{padding:.2em .8em .2em 0;vertical-align:top}\
         code{font-size:90%}</style><h1>Freezer API</h1><p>Below <code>/v2/{project_id}</code>, with a token in \
         <code>X-Auth-Token</code>. The whole in <a href=\"openapi.json\">OpenAPI</a>.</p><table>",
    );
    for Route { method, path, rule, success, about, .. } in ROUTES {
        let row = format!("<tr><td><code>{method} {path}</code><td>{about}<td>{success}<td><code>{rule}</code>");
        write!(html, "{row}").expect("a String takes all");
    }
    html.push_str("</table></html>");
    let mut answer = Response::new(Body::from(html));
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    answer
}
