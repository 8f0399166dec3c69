//! The talk with a Freezer API: ours or the original.

use crate::model::job::{Documented, JobSession, RunResult, Words};
use crate::model::{Advice, Secret};
use crate::net::{
    Error as NetError, Http, HttpReply, Login, Method, NetErrorKind, NetSettings, OpenStackService,
    Pass, Request, RequestBody,
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How long the server may keep silent.
const PATIENCE: Duration = Duration::from_secs(20);
/// Most bytes of an answer.
const LONGEST: u64 = 64 << 20;
/// How many objects are asked for at a time.
const PAGE: usize = 100;

/// Why a request to the server failed.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// The log-in failed.
    #[error("could not log in to the Freezer API")]
    Login {
        /// Whether it may help to try again later.
        is_away: bool,
        /// The error of the connection or of the log-in.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// No answer came, or none to the end.
    #[error("could not reach the Freezer API at {url}")]
    Unreachable {
        /// Where it should be.
        url: String,
        /// The error of the connection or of the log-in.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The server refused the request.
    #[error("the Freezer API refused to {what}: {words} ({status})")]
    Refused {
        /// The request: method and address.
        what: String,
        /// The status of its answer.
        status: u16,
        /// The reason that the server gives.
        words: String,
    },
    /// The answer of the server is not what it should be.
    #[error("the Freezer API's answer cannot be read: {0}")]
    Answer(String),
}

impl Advice for ApiError {
    fn hint(&self) -> Option<&str> {
        match self {
            Self::Login { .. } => Some(
                "OS_AUTH_URL and the variables that belong to it say where to log in and as \
                 whom, or OS_CLOUD and clouds.yaml",
            ),
            Self::Unreachable { .. } => {
                Some("--api-url names another server; freezer api --dev runs one")
            }
            Self::Refused { status: 401, .. } => Some(
                "the server does not know the token, or it has expired: freezer api tokens \
                 shows those that are valid",
            ),
            Self::Refused { .. } | Self::Answer(_) => None,
        }
    }
}

impl ApiError {
    /// Whether it may help to ask the same again later.
    pub fn is_away(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Login { is_away, .. } => *is_away,
            Self::Refused { status, .. } => *status >= 500 || matches!(status, 408 | 429),
            Self::Answer(_) => false,
        }
    }

    /// Whether somebody else has changed the object meanwhile.
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::Refused { status: 412, .. })
    }

    /// The status of a refusal.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Refused { status, .. } => Some(*status),
            _ => None,
        }
    }
}

/// How to log in to the server.
#[derive(Debug)]
pub enum Entrance {
    /// With a token of the server's own.
    Token {
        /// Where the server is.
        url: String,
        /// The project; asked for if it is not said.
        project: Option<String>,
        /// The token, sent with every request.
        token: Secret<String>,
    },
    /// As the settings of OpenStack say: Keystone, its catalog, `OS_BACKUP_URL`.
    Openstack,
}

/// A kind of object of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource {
    /// `jobs`
    Jobs,
    /// `sessions`
    Sessions,
    /// `clients`
    Clients,
    /// `actions`
    Actions,
    /// `backups`
    Backups,
}

impl Resource {
    /// Its name in an address and in a list.
    pub fn plural(self) -> &'static str {
        match self {
            Self::Jobs => "jobs",
            Self::Sessions => "sessions",
            Self::Clients => "clients",
            Self::Actions => "actions",
            Self::Backups => "backups",
        }
    }

    /// Returns the word for one object.
    pub fn singular(self) -> &'static str {
        self.plural().trim_end_matches('s')
    }

    /// Returns the key of the id in a document.
    pub fn id_key(self) -> String {
        format!("{}_id", self.singular())
    }
}

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

enum WayIn {
    Token {
        url: String,
        token: Arc<Secret<String>>,
        /// Guards the project, until it is known.
        project: Mutex<Option<String>>,
    },
    Openstack(Login),
}

/// A way into one project.
struct OpenWay {
    /// With the project, without a slash at its end.
    base: String,
    token: String,
    pass: Option<Arc<Pass>>,
}

impl Drop for OpenWay {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.token);
    }
}

impl std::fmt::Debug for ApiConnection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ApiConnection")
    }
}

/// An answer that was not an error.
#[derive(Debug)]
pub struct ApiAnswer {
    /// Its body; null where there is none.
    pub body: Value,
    /// The version of the object, where the server says one.
    pub version: Option<String>,
}

impl ApiConnection {
    /// Prepares a connection; sends no request.
    ///
    /// # Errors
    ///
    /// [`ApiError::Login`] when what is set is not enough to log in with.
    pub fn new(entrance: Entrance, settings: &NetSettings) -> Result<Self, ApiError> {
        let http = Http::with_patience(settings, PATIENCE).map_err(no_login)?;
        let way = match entrance {
            Entrance::Token {
                url,
                project,
                token,
            } => WayIn::Token {
                url: url.trim_end_matches('/').to_owned(),
                token: Arc::new(token),
                project: Mutex::new(project),
            },
            Entrance::Openstack => WayIn::Openstack(
                Login::new(&http, OpenStackService::Backup, None, settings).map_err(no_login)?,
            ),
        };
        Ok(Self { http, way })
    }

    /// Returns the id of the project of the connection.
    pub fn project(&self) -> Result<String, ApiError> {
        match &self.way {
            WayIn::Token { .. } => {
                let open = self.open()?;
                Ok(open.base.rsplit('/').next().unwrap_or_default().to_owned())
            }
            WayIn::Openstack(login) => {
                let pass = login.pass().map_err(no_login)?;
                let of_address = || {
                    pass.account
                        .split_once("/v2/")
                        .map(|(_, project)| project.to_owned())
                };
                pass.project.clone().or_else(of_address).ok_or_else(|| {
                    ApiError::Answer("it does not say which project the token is for".into())
                })
            }
        }
    }

    fn open(&self) -> Result<OpenWay, ApiError> {
        match &self.way {
            WayIn::Token {
                url,
                token,
                project,
            } => {
                let mut known = project.lock().unwrap_or_else(PoisonError::into_inner);
                let project = match known.as_ref() {
                    Some(project) => project.clone(),
                    None if url.contains("/v2/") => String::new(),
                    None => known.insert(self.project_of(url, token)?).clone(),
                };
                Ok(OpenWay {
                    base: base(url, &project),
                    token: token.expose().clone(),
                    pass: None,
                })
            }
            WayIn::Openstack(login) => {
                let pass = login.pass().map_err(no_login)?;
                let project = pass.project.as_deref().unwrap_or_default();
                Ok(OpenWay {
                    base: base(&pass.account, project),
                    token: pass.token.expose().clone(),
                    pass: Some(pass),
                })
            }
        }
    }

    /// Asks the server which project a token of its own is for.
    fn project_of(&self, url: &str, token: &Secret<String>) -> Result<String, ApiError> {
        let root = url.trim_end_matches("/v2");
        let request = Request::get(format!("{root}/v3/auth/tokens"))
            .header("X-Auth-Token", token.expose())
            .header("X-Subject-Token", token.expose())
            .body(())
            .map_err(|error| unreachable_at(url, error))?;
        let reply = self
            .http
            .send(request, RequestBody::None)
            .map_err(|silence| unreachable_at(url, silence))?;
        if reply.status == 404 {
            return Err(ApiError::Answer(
                "it does not say which project the token is for: name it with --api-project".into(),
            ));
        }
        let answer = read(reply, url, "take the token")?;
        let project = answer
            .body
            .pointer("/token/project/id")
            .and_then(Value::as_str)
            .filter(|project| !project.is_empty());
        project.map(str::to_owned).ok_or_else(|| {
            ApiError::Answer("the token is for no project: name one with --api-project".into())
        })
    }

    /// Asks the server. `below` is what follows the project in the address.
    pub fn call(
        &self,
        method: &Method,
        below: &str,
        body: Option<&Value>,
        version: Option<&str>,
    ) -> Result<ApiAnswer, ApiError> {
        let open = self.open()?;
        let reply = self.send(&open, method, below, body, version)?;
        if reply.status == 401
            && let (WayIn::Openstack(login), Some(pass)) = (&self.way, &open.pass)
        {
            // It has expired, or was taken back.
            login.renew(pass).map_err(no_login)?;
            let open = self.open()?;
            let reply = self.send(&open, method, below, body, version)?;
            return read(reply, &open.base, &format!("{method} {}", named(below)));
        }
        read(reply, &open.base, &format!("{method} {}", named(below)))
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

/// The address of one object, below the project.
pub fn address(resource: Resource, id: &str) -> String {
    const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
        .remove(b'-')
        .remove(b'_')
        .remove(b'.')
        .remove(b'~');
    let id = utf8_percent_encode(id, ESCAPED);
    format!("{}/{id}", resource.plural())
}

fn member(session: &str, job: &str) -> String {
    format!(
        "{}/{}",
        address(Resource::Sessions, session),
        address(Resource::Jobs, job)
    )
}

/// The address that all objects of a project are below: catalogs have it with or without version
/// and project.
fn base(endpoint: &str, project: &str) -> String {
    let endpoint = endpoint.trim_end_matches('/');
    if endpoint.contains("/v2/") {
        endpoint.to_owned()
    } else if endpoint.ends_with("/v2") {
        format!("{endpoint}/{project}")
    } else {
        format!("{endpoint}/v2/{project}")
    }
}

/// An address without its query, for messages.
fn named(below: &str) -> &str {
    below.split_once('?').map_or(below, |(path, _)| path)
}

fn no_login(error: NetError) -> ApiError {
    ApiError::Login {
        is_away: error.kind() == NetErrorKind::Unavailable,
        source: error.into(),
    }
}

fn unreachable_at(
    url: &str,
    source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> ApiError {
    let root = url.split_once("/v2").map_or(url, |(root, _)| root);
    ApiError::Unreachable {
        url: root.to_owned(),
        source: source.into(),
    }
}

fn read(reply: HttpReply, url: &str, what: &str) -> Result<ApiAnswer, ApiError> {
    let (status, is_done) = (reply.status, reply.is_done());
    let version = reply.header("etag").map(str::to_owned);
    let cut_off = |silence: NetError| unreachable_at(url, silence);
    let bytes = reply
        .bytes(LONGEST)
        .map_err(cut_off)?
        .ok_or_else(|| ApiError::Answer("it is too long".into()))?;
    if !is_done {
        return Err(ApiError::Refused {
            what: what.to_owned(),
            status,
            words: words(&bytes),
        });
    }
    if bytes.is_empty() {
        return Ok(ApiAnswer {
            body: Value::Null,
            version,
        });
    }
    let body =
        serde_json::from_slice(&bytes).map_err(|error| ApiError::Answer(error.to_string()))?;
    Ok(ApiAnswer { body, version })
}

/// Returns the reason in the body of an error. Servers of Freezer and of OpenStack have it at
/// different places.
fn words(bytes: &[u8]) -> String {
    let body: Value = serde_json::from_slice(bytes).unwrap_or_default();
    let said = ["/description", "/error/message", "/title"]
        .iter()
        .find_map(|at| body.pointer(at).and_then(Value::as_str));
    let text = said.map_or_else(
        || String::from_utf8_lossy(bytes).into_owned(),
        str::to_owned,
    );
    let text: String = text.chars().filter(|c| !c.is_control()).take(300).collect();
    if text.trim().is_empty() {
        "it gives no reason".to_owned()
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::{Resource, address, base, words};

    #[test]
    fn an_endpoint_may_have_the_version_and_the_project_or_not() {
        for endpoint in [
            "http://h:9090",
            "http://h:9090/",
            "http://h:9090/v2",
            "http://h:9090/v2/",
            "http://h:9090/v2/p",
        ] {
            assert_eq!(base(endpoint, "p"), "http://h:9090/v2/p", "{endpoint}");
        }
    }

    #[test]
    fn an_id_stays_one_part_of_the_address() {
        assert_eq!(
            address(Resource::Clients, "p_vm.x/../jobs?a"),
            "clients/p_vm.x%2F..%2Fjobs%3Fa"
        );
    }

    #[test]
    fn what_servers_say_is_found_wherever_they_say_it() {
        assert_eq!(
            words(br#"{"title": "t", "description": "no such client"}"#),
            "no such client"
        );
        assert_eq!(
            words(br#"{"error": {"code": 401, "message": "who?"}}"#),
            "who?"
        );
        assert_eq!(words(b"<html>\x07gone"), "<html>gone");
        assert_eq!(words(b""), "it gives no reason");
    }
}
