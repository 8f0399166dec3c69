//! The talk with a Freezer API: ours or the original.
//!
//! [`ApiConnection`] has a method for each request. `entrance` logs in, `resource` knows addresses,
//! and `reply` reads answers and refusals.

mod entrance;
mod error;
mod reply;
mod resource;

pub use entrance::Entrance;
pub use error::ApiError;
pub use reply::ApiAnswer;
pub use resource::{Resource, address};

use crate::model::job::{Documented, JobSession, RunResult, Words};
use crate::net::{Http, HttpReply, Method, NetSettings, Request, RequestBody};
use entrance::{OpenWay, WayIn};
use error::{no_login, unreachable_at};
use reply::read;
use resource::member;
use serde_json::{Value, json};
use std::time::Duration;

/// How long the server may keep silent.
const PATIENCE: Duration = Duration::from_secs(20);
/// How many objects are asked for at a time.
const PAGE: usize = 100;

/// A part of a list.
#[derive(Clone, Copy, Debug)]
pub struct ListPart {
    /// The largest number of objects.
    pub limit: usize,
    /// The number of objects to leave out.
    pub offset: usize,
}

/// A connection to a server. Can be used by several threads.
pub struct ApiConnection {
    http: Http,
    way: WayIn,
}

impl std::fmt::Debug for ApiConnection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ApiConnection")
    }
}

impl ApiConnection {
    /// Prepares a connection; sends no request.
    ///
    /// # Errors
    ///
    /// [`ApiError::Login`] when what is set is not enough to log in with.
    pub fn new(entrance: Entrance, settings: &NetSettings) -> Result<Self, ApiError> {
        let http = Http::with_patience(settings, PATIENCE).map_err(no_login)?;
        let way = WayIn::new(entrance, &http, settings)?;
        Ok(Self { http, way })
    }

    /// Returns the id of the project of the connection.
    pub fn project(&self) -> Result<String, ApiError> {
        self.way.project(&self.http)
    }

    /// Asks the server. `below` is what follows the project in the address.
    pub fn call(
        &self,
        method: &Method,
        below: &str,
        body: Option<&Value>,
        version: Option<&str>,
    ) -> Result<ApiAnswer, ApiError> {
        let what = format!("{method} {}", named(below));
        let open = self.way.open(&self.http)?;
        let reply = self.send(&open, method, below, body, version)?;
        if reply.status == 401 && self.way.renew(&open)? {
            let open = self.way.open(&self.http)?;
            let reply = self.send(&open, method, below, body, version)?;
            return read(reply, &open.base, &what);
        }
        read(reply, &open.base, &what)
    }

    fn send(
        &self,
        open: &OpenWay,
        method: &Method,
        below: &str,
        body: Option<&Value>,
        version: Option<&str>,
    ) -> Result<HttpReply, ApiError> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}/{below}", open.base))
            .header("X-Auth-Token", &open.token)
            .header("Accept", "application/json")
            .header("Content-Type", "application/json");
        if let Some(version) = version {
            request = request.header("If-Match", version);
        }
        let request = request
            .body(())
            .map_err(|error| unreachable_at(&open.base, error))?;
        let text = body.map(Value::to_string);
        let body = text.as_ref().map_or(RequestBody::None, |text| {
            RequestBody::Bytes(text.as_bytes())
        });
        self.http
            .send(request, body)
            .map_err(|silence| unreachable_at(&open.base, silence))
    }

    /// A part of a list, searched by the server.
    pub fn list(
        &self,
        resource: Resource,
        search: &Value,
        page: ListPart,
        more: &str,
    ) -> Result<Vec<Value>, ApiError> {
        let below = format!(
            "{}/?limit={}&offset={}{more}",
            resource.plural(),
            page.limit,
            page.offset
        );
        let mut body = self.call(&Method::GET, &below, Some(search), None)?.body;
        match body.get_mut(resource.plural()).map(Value::take) {
            Some(Value::Array(list)) => Ok(list),
            _ => Err(ApiError::Answer(format!(
                "it has no list of {}",
                resource.plural()
            ))),
        }
    }

    /// All of a list, page by page.
    pub fn all(
        &self,
        resource: Resource,
        search: &Value,
        more: &str,
    ) -> Result<Vec<Value>, ApiError> {
        let mut all = Vec::new();
        loop {
            let page = self.list(
                resource,
                search,
                ListPart {
                    limit: PAGE,
                    offset: all.len(),
                },
                more,
            )?;
            let is_last = page.len() < PAGE;
            all.extend(page);
            if is_last {
                return Ok(all);
            }
        }
    }

    /// One object; none if it is not there.
    pub fn get(&self, resource: Resource, id: &str) -> Result<Option<ApiAnswer>, ApiError> {
        match self.call(&Method::GET, &address(resource, id), None, None) {
            Err(ApiError::Refused { status: 404, .. }) => Ok(None),
            answer => answer.map(Some),
        }
    }

    /// Makes one; its id.
    pub fn create(&self, resource: Resource, document: &Value) -> Result<String, ApiError> {
        let id = document
            .get(resource.id_key())
            .and_then(Value::as_str)
            .filter(|_| resource == Resource::Jobs);
        self.created(
            resource,
            &id.map_or_else(
                || format!("{}/", resource.plural()),
                |id| address(resource, id),
            ),
            document,
        )
    }

    /// Makes one under an id; refused with 409 where there is one.
    pub fn create_as(
        &self,
        resource: Resource,
        id: &str,
        document: &Value,
    ) -> Result<String, ApiError> {
        self.created(resource, &address(resource, id), document)
    }

    fn created(
        &self,
        resource: Resource,
        below: &str,
        document: &Value,
    ) -> Result<String, ApiError> {
        let key = resource.id_key();
        let answer = self.call(&Method::POST, below, Some(document), None)?;
        let id = answer.body.get(&key).and_then(Value::as_str);
        id.map(str::to_owned)
            .ok_or_else(|| ApiError::Answer(format!("it has no {key}")))
    }

    /// Changes one, if it has that version still.
    pub fn update(
        &self,
        resource: Resource,
        id: &str,
        patch: &Value,
        version: Option<&str>,
    ) -> Result<ApiAnswer, ApiError> {
        self.call(&Method::PATCH, &address(resource, id), Some(patch), version)
    }

    /// Removes an object.
    pub fn delete(&self, resource: Resource, id: &str) -> Result<(), ApiError> {
        self.call(&Method::DELETE, &address(resource, id), None, None)
            .map(drop)
    }

    /// Tells a job that something is wanted of it; what the server said to that.
    pub fn event(&self, job: &str, event: &str) -> Result<String, ApiError> {
        let below = format!("{}/event", address(Resource::Jobs, job));
        let answer = self.call(&Method::POST, &below, Some(&json!({ event: null })), None)?;
        let said = JobSession::leniently_of(answer.body);
        Ok(match said.result.text() {
            "" => RunResult::Success.word().to_owned(),
            said => said.to_owned(),
        })
    }

    /// Starts or ends a job's part in a session; what the server said, and the tag.
    pub fn session_action(&self, session: &str, action: &Value) -> Result<(String, i64), ApiError> {
        let answer = self.call(
            &Method::POST,
            &format!("{}/action", address(Resource::Sessions, session)),
            Some(action),
            None,
        )?;
        let said = JobSession::leniently_of(answer.body);
        Ok((said.result.text().to_owned(), said.tag()))
    }

    /// Puts a job into a session.
    pub fn add_to_session(&self, session: &str, job: &str) -> Result<(), ApiError> {
        self.call(&Method::PUT, &member(session, job), None, None)
            .map(drop)
    }

    /// Takes a job out of a session.
    pub fn remove_from_session(&self, session: &str, job: &str) -> Result<(), ApiError> {
        self.call(&Method::DELETE, &member(session, job), None, None)
            .map(drop)
    }
}

/// An address without its query, for messages.
fn named(below: &str) -> &str {
    below.split_once('?').map_or(below, |(path, _)| path)
}
