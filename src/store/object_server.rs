//! Servers that keep each object at an address of its own, and are asked over HTTP: what S3 and
//! Swift have in common.

use super::error::network;
use super::{Error, Kind, ObjectName, Rope, Verb, Wanted, range};
use crate::net::{Body, MAX_DOCUMENT, Method, Reply};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// What is escaped in the value of a query: all but what RFC 3986 calls unreserved. Signatures of
/// S3 want exactly that, once.
const IN_QUERY: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// What is escaped in a path: slashes stay.
const IN_PATH: &AsciiSet = &IN_QUERY.remove(b'/');

/// One request, and what it is for.
pub(super) struct Ask<'ask> {
    pub(super) verb: Verb,
    pub(super) object: Option<&'ask ObjectName>,
    pub(super) method: Method,
    /// What stands behind the address of the bucket or container, escaped.
    pub(super) path: String,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Body<'ask>,
}

impl<'ask> Ask<'ask> {
    /// A request about an object, or about the whole store, without headers and body.
    pub(super) fn new(
        verb: Verb,
        object: Option<&'ask ObjectName>,
        method: Method,
        path: String,
    ) -> Self {
        Self {
            verb,
            object,
            method,
            path,
            headers: Vec::new(),
            body: Body::None,
        }
    }

    /// Adds headers.
    pub(super) fn with(
        mut self,
        headers: impl IntoIterator<Item = (&'static str, String)>,
    ) -> Self {
        self.headers.extend(headers);
        self
    }

    /// Sends a body along.
    pub(super) fn sending(self, body: Body<'ask>) -> Self {
        Self { body, ..self }
    }
}

/// A server of objects.
pub(super) trait ObjectServer {
    /// Sends one request, with what says who asks.
    fn send(&self, ask: &Ask<'_>) -> Result<Reply, Error>;

    /// Returns where an object is below the address of the bucket or container, escaped.
    fn path_of(&self, name: &ObjectName) -> String;
}

/// Sends a request of which only the status counts.
pub(super) fn done(server: &impl ObjectServer, ask: &Ask<'_>) -> Result<(), Error> {
    server
        .send(ask)?
        .finish()
        .map_err(network(ask.verb, ask.object))
}

/// Sends an object. `headers` are those that the server checks it with, and wishes.
pub(super) fn put(
    server: &impl ObjectServer,
    name: &ObjectName,
    body: &Rope,
    headers: Vec<(&'static str, String)>,
) -> Result<Reply, Error> {
    let ask = Ask::new(Verb::Put, Some(name), Method::PUT, server.path_of(name))
        .with([("content-type", "application/octet-stream".to_owned())])
        .with(headers)
        .sending(Body::Rope(body));
    server.send(&ask)
}

/// Hands over what is wanted of an object.
pub(super) fn read(
    server: &impl ObjectServer,
    name: &ObjectName,
    wanted: Wanted<'_>,
    take: &mut dyn FnMut(Vec<u8>) -> bool,
) -> Result<(), Error> {
    range::read(name, wanted, take, |method, range| {
        let ask = Ask::new(Verb::Get, Some(name), method, server.path_of(name));
        server.send(&ask.with(range.map(|range| ("range", range))))
    })
}

/// Removes what is at `path`; nothing there counts as removed.
pub(super) fn delete(
    server: &impl ObjectServer,
    name: &ObjectName,
    path: String,
) -> Result<(), Error> {
    let ask = Ask::new(Verb::Delete, Some(name), Method::DELETE, path);
    let reply = server.send(&ask)?;
    match reply.status {
        404 => Ok(()),
        _ => reply.finish().map_err(network(Verb::Delete, Some(name))),
    }
}

/// Returns one page of a listing; `None` where there is no such bucket or container.
pub(super) fn page(server: &impl ObjectServer, path: String) -> Result<Option<Vec<u8>>, Error> {
    let ask = Ask::new(Verb::List, None, Method::GET, path);
    let reply = server.send(&ask)?;
    if reply.status == 404 {
        return Ok(None);
    }
    if !reply.is_done() {
        return Err(network(Verb::List, None)(reply.refusal()));
    }
    let text = reply
        .bytes(MAX_DOCUMENT)
        .map_err(network(Verb::List, None))?;
    let too_long = || unreadable("the server sends a listing that is too long");
    text.map(Some).ok_or_else(too_long)
}

/// Returns what a listing fails with that cannot be understood.
pub(super) fn unreadable(why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::of_store(Kind::Failed, Verb::List).because(why)
}

/// Returns the object that a listing below `prefix` shows as `key`. `root` is what the names of all
/// objects of the store begin with there. What others keep there under names that no object of ours
/// has is not ours to show.
pub(super) fn listed(root: &str, prefix: &str, key: &str) -> Option<ObjectName> {
    key.strip_prefix(root)
        .filter(|name| name.starts_with(prefix))
        .and_then(ObjectName::new)
}

/// Escapes a path.
pub(super) fn in_path(text: &str) -> String {
    utf8_percent_encode(text, IN_PATH).to_string()
}

/// Escapes the value of a query, or one component of a path.
pub(super) fn in_query(text: &str) -> String {
    utf8_percent_encode(text, IN_QUERY).to_string()
}
