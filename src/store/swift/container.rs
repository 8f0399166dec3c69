//! A container: where it is, requests to it, and its listing.

use crate::net::{
    Http, HttpReply, Login, MAX_DOCUMENT, Method, OpenStackService, Request, RequestBody,
};
use crate::store::address::Address;
use crate::store::error::{about, network};
use crate::store::object_server::{self as server, ObjectRequest, ObjectServer, in_path, in_query};
use crate::store::{Error, ErrorKind, ObjectName, Operation, StoreSettings};
use serde::Deserialize;

/// How many objects one page of a listing has.
const PAGE: usize = 1000;

/// A container, and the prefix in it below which the objects of a store are.
pub(super) struct Container {
    http: Http,
    login: Login,
    pub(super) name: String,
    /// The prefix of the names of all objects: empty, or ends with a slash.
    pub(super) prefix: String,
}

/// An object in a listing.
#[derive(Debug, Deserialize)]
pub(super) struct ContainerRow {
    /// Missing for entries that are not objects.
    name: Option<String>,
    /// The length of the object.
    #[serde(default)]
    pub(super) bytes: u64,
    /// The MD5 sum of the object, in hexadecimal digits.
    #[serde(default)]
    pub(super) hash: String,
}

/// The limits that a server publishes.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ServerInfo {
    pub(super) swift: ObjectLimits,
    pub(super) slo: Option<ManifestLimits>,
}

/// The limits of all objects.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ObjectLimits {
    pub(super) max_file_size: Option<u64>,
}

/// The limits of static large objects.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ManifestLimits {
    pub(super) max_manifest_segments: Option<u64>,
}

impl Container {
    /// Finds the container of `swift:container/prefix`. Sends nothing.
    pub(super) fn find(address: &Address, settings: &StoreSettings) -> Result<Self, Error> {
        let failed = |text: &str| Error::of_store(ErrorKind::Failed, Operation::Open).because(text);
        if address.port.is_some() || address.user.is_some() || address.host.len() > 256 {
            return Err(failed(
                "a container has a name of at most 256 bytes: swift:CONTAINER/PREFIX",
            ));
        }
        let opening = || network(Operation::Open, None);
        let http = Http::new(settings.network()).map_err(opening())?;
        let query = |key: &str| address.query.get(key).map(String::as_str);
        let login = Login::new(
            &http,
            OpenStackService::ObjectStore,
            query("cloud"),
            settings.network(),
        );
        Ok(Self {
            login: login
                .map_err(opening())?
                .at(query("region"), query("interface")),
            http,
            name: address.host.clone(),
            prefix: address.prefix().map_err(failed)?,
        })
    }

    /// Makes the container, unless it is there.
    pub(super) fn make(&self) -> Result<(), Error> {
        let ask = |method| ObjectRequest::new(Operation::Open, None, method, String::new());
        if self.send(&ask(Method::HEAD))?.status != 404 {
            // An account that may not look at the container may still write to it: the first object
            // tells.
            return Ok(());
        }
        server::done(self, &ask(Method::PUT).sending(RequestBody::Bytes(&[])))
    }

    /// Returns the limits that the server publishes; none where it publishes nothing.
    pub(super) fn info(&self) -> Result<ServerInfo, Error> {
        let opening = || network(Operation::Open, None);
        let pass = self.login.pass().map_err(opening())?;
        let root = pass.account.split_once("://").and_then(|(scheme, rest)| {
            Some(format!("{scheme}://{}/info", rest.split('/').next()?))
        });
        let Some(request) = root.and_then(|url| Request::get(url).body(()).ok()) else {
            return Ok(ServerInfo::default());
        };
        let reply = self
            .http
            .send(request, RequestBody::None)
            .map_err(opening())?;
        if !reply.is_done() {
            return Ok(ServerInfo::default());
        }
        let text = reply.bytes(MAX_DOCUMENT).map_err(opening())?;
        Ok(text
            .and_then(|text| serde_json::from_slice(&text).ok())
            .unwrap_or_default())
    }

    /// Calls `found` for each object below a prefix of the store, with its name in the container,
    /// until it returns `false`.
    pub(super) fn each(
        &self,
        prefix: &str,
        found: &mut dyn FnMut(&str, &ContainerRow) -> bool,
    ) -> Result<(), Error> {
        let mut after = String::new();
        let mut progress = server::PageProgress::default();
        loop {
            let page = self.page(prefix, &after)?;
            for object in &page {
                let Some(name) = object.name.as_deref() else {
                    continue;
                };
                if name <= after.as_str() {
                    return Err(server::unreadable("the server does not list in order"));
                }
                name.clone_into(&mut after);
                if !found(name, object) {
                    return Ok(());
                }
            }
            if page.len() < PAGE {
                return Ok(());
            }
            progress.note(Some(&after))?;
        }
    }

    fn page(&self, prefix: &str, after: &str) -> Result<Vec<ContainerRow>, Error> {
        let path = format!(
            "?format=json&limit={PAGE}&prefix={}&marker={}",
            in_query(&format!("{}{prefix}", self.prefix)),
            in_query(after)
        );
        match server::page(self, path)? {
            None => Ok(Vec::new()),
            Some(text) if text.is_empty() => Ok(Vec::new()),
            Some(text) => serde_json::from_slice(&text).map_err(server::unreadable),
        }
    }
}

impl ObjectServer for Container {
    /// Sends the request once more with a new token where the server refuses this one.
    fn send(&self, ask: &ObjectRequest<'_>) -> Result<HttpReply, Error> {
        let log_in_failed = |error| {
            let error = network(Operation::Open, None)(error);
            about(error.kind(), ask.verb, ask.object)
                .not_before(error.retry_after())
                .because(error)
        };
        let mut pass = self.login.pass().map_err(log_in_failed)?;
        let mut renewed = false;
        loop {
            let url = format!("{}/{}{}", pass.account, in_query(&self.name), ask.path);
            let mut request = Request::builder()
                .method(ask.method.clone())
                .uri(url)
                .header("x-auth-token", pass.token.expose());
            for (name, value) in &ask.headers {
                request = request.header(*name, value);
            }
            let request = request
                .body(())
                .map_err(|error| about(ErrorKind::Failed, ask.verb, ask.object).because(error))?;
            let reply = self
                .http
                .send(request, ask.body)
                .map_err(network(ask.verb, ask.object))?;
            if reply.status != 401 || renewed {
                return Ok(reply);
            }
            renewed = true;
            pass = self.login.renew(&pass).map_err(log_in_failed)?;
        }
    }

    fn path_of(&self, name: &ObjectName) -> String {
        format!("/{}", in_path(&format!("{}{name}", self.prefix)))
    }
}
