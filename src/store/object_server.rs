//! Servers that keep each object at an address of its own, and are asked over HTTP: what S3 and
//! Swift have in common.

use super::error::network;
use super::{Error, ErrorKind, ObjectName, Operation, Rope, Selection, range};
use crate::net::{HttpReply, MAX_DOCUMENT, Method, RequestBody};
use md5::{Digest, Md5};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// The characters that are escaped in the value of a query: all but the unreserved ones of RFC
/// 3986. Signatures of S3 need exactly this form, escaped once.
const IN_QUERY: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// The characters that are escaped in a path, where slashes stay.
const IN_PATH: &AsciiSet = &IN_QUERY.remove(b'/');

/// One request, and the operation and object that it is for.
pub(super) struct ObjectRequest<'ask> {
    pub(super) verb: Operation,
    pub(super) object: Option<&'ask ObjectName>,
    pub(super) method: Method,
    /// The path below the address of the bucket or container, escaped, with the query.
    pub(super) path: String,
    pub(super) headers: Vec<Header>,
    pub(super) body: RequestBody<'ask>,
}

impl<'ask> ObjectRequest<'ask> {
    /// Makes a request about an object or the whole store, without headers and body.
    pub(super) fn new(
        verb: Operation,
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
            body: RequestBody::None,
        }
    }

    /// Adds headers.
    pub(super) fn with(mut self, headers: impl IntoIterator<Item = Header>) -> Self {
        self.headers.extend(headers);
        self
    }

    /// Sends a body along.
    pub(super) fn sending(self, body: RequestBody<'ask>) -> Self {
        Self { body, ..self }
    }
}

/// A server of objects.
pub(super) trait ObjectServer {
    /// Authenticates one request and sends it.
    fn send(&self, ask: &ObjectRequest<'_>) -> Result<HttpReply, Error>;

    /// Returns where an object is below the address of the bucket or container, escaped.
    fn path_of(&self, name: &ObjectName) -> String;
}

/// Sends a request and checks the status of the answer.
pub(super) fn done(server: &impl ObjectServer, ask: &ObjectRequest<'_>) -> Result<(), Error> {
    server
        .send(ask)?
        .finish()
        .map_err(network(ask.verb, ask.object))
}

/// A header of a request.
pub(super) type Header = (&'static str, String);

/// Stores an object, with the headers that the kind of store adds.
pub(super) fn put(
    server: &impl ObjectServer,
    name: &ObjectName,
    body: &Rope,
    headers: Vec<Header>,
) -> Result<(), Error> {
    upload(server, name, body, headers)?
        .finish()
        .map_err(network(Operation::Put, Some(name)))
}

/// Sends an object that is to be stored only where none has the name. [`was_stored`] reads the
/// answer.
pub(super) fn send_unless_there(
    server: &impl ObjectServer,
    name: &ObjectName,
    body: &Rope,
    mut headers: Vec<Header>,
) -> Result<HttpReply, Error> {
    headers.push(("if-none-match", "*".to_owned()));
    upload(server, name, body, headers)
}

/// Whether an object was stored; not, where one had the name.
pub(super) fn was_stored(reply: HttpReply, name: &ObjectName) -> Result<bool, Error> {
    if reply.status == 412 {
        return Ok(false);
    }
    reply
        .finish()
        .map_err(network(Operation::Put, Some(name)))
        .map(|()| true)
}

/// Returns the MD5 of a body, with which the server checks what arrived.
pub(super) fn md5_of(body: &Rope) -> impl AsRef<[u8]> {
    let mut digest = Md5::new();
    body.iter().for_each(|piece| digest.update(piece));
    digest.finalize()
}

fn upload(
    server: &impl ObjectServer,
    name: &ObjectName,
    body: &Rope,
    headers: Vec<Header>,
) -> Result<HttpReply, Error> {
    let ask = ObjectRequest::new(
        Operation::Put,
        Some(name),
        Method::PUT,
        server.path_of(name),
    )
    .with([("content-type", "application/octet-stream".to_owned())])
    .with(headers)
    .sending(RequestBody::Rope(body));
    server.send(&ask)
}

/// Reads a selection of an object and hands its pieces over.
pub(super) fn read(
    server: &impl ObjectServer,
    name: &ObjectName,
    wanted: Selection<'_>,
    take: &mut dyn FnMut(Vec<u8>) -> bool,
) -> Result<(), Error> {
    range::read(name, wanted, take, |method, range| {
        let ask = ObjectRequest::new(Operation::Get, Some(name), method, server.path_of(name));
        server.send(&ask.with(range.map(|range| ("range", range))))
    })
}

/// Removes the object at `path`; a missing one counts as removed.
pub(super) fn delete(
    server: &impl ObjectServer,
    name: &ObjectName,
    path: String,
) -> Result<(), Error> {
    let ask = ObjectRequest::new(Operation::Delete, Some(name), Method::DELETE, path);
    let reply = server.send(&ask)?;
    match reply.status {
        404 => Ok(()),
        _ => reply
            .finish()
            .map_err(network(Operation::Delete, Some(name))),
    }
}

/// Returns one page of a listing; `None` where there is no such bucket or container.
pub(super) fn page(server: &impl ObjectServer, path: String) -> Result<Option<Vec<u8>>, Error> {
    let ask = ObjectRequest::new(Operation::List, None, Method::GET, path);
    let reply = server.send(&ask)?;
    if reply.status == 404 {
        return Ok(None);
    }
    if !reply.is_done() {
        return Err(network(Operation::List, None)(reply.refusal()));
    }
    let text = reply
        .bytes(MAX_DOCUMENT)
        .map_err(network(Operation::List, None))?;
    let too_long = || unreadable("the server sends a listing that is too long");
    text.map(Some).ok_or_else(too_long)
}

/// Makes the error for a listing that cannot be understood.
pub(super) fn unreadable(why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::of_store(ErrorKind::Failed, Operation::List).because(why)
}

/// Returns the name of the object that a listing below `prefix` shows as `key`; the keys of all
/// objects of the store begin with `root`. Keys of other programs, which no object can have, give
/// `None`.
///
/// # Errors
///
/// When the key is not below the prefix: that was not asked for.
pub(super) fn listed(root: &str, prefix: &str, key: &str) -> Result<Option<ObjectName>, Error> {
    match key.strip_prefix(root) {
        Some(name) if name.starts_with(prefix) => Ok(ObjectName::new(name)),
        _ => Err(unreadable(format!(
            "the server lists {key:.300?}, which is not below {root}{prefix}"
        ))),
    }
}

/// How many pages may follow each other without a name that was not shown yet.
const MOST_IDLE_PAGES: u32 = 100;

/// The longest token for the next page, in bytes.
const MAX_TOKEN: usize = 8 << 10;

/// Sees to it that a listing in pages gets on: a server that sends the same names again and again,
/// or pages without any, would keep it for ever.
#[derive(Default)]
pub(super) struct PageProgress {
    /// The last name of the pages before.
    last: String,
    idle: u32,
}

impl PageProgress {
    /// Notes a page whose last name is `last`.
    pub(super) fn note(&mut self, last: Option<&str>) -> Result<(), Error> {
        match last {
            Some(last) if *last > *self.last => {
                last.clone_into(&mut self.last);
                self.idle = 0;
            }
            _ => self.idle += 1,
        }
        if self.idle <= MOST_IDLE_PAGES {
            Ok(())
        } else {
            Err(unreadable(format!(
                "the server sends page after page of the listing, and no new name in \
                 {MOST_IDLE_PAGES} of them"
            )))
        }
    }

    /// Returns the token of the page after the one that `before` brought.
    pub(super) fn next_token(before: Option<&str>, next: Option<String>) -> Result<String, Error> {
        match next {
            Some(next) if next.len() > MAX_TOKEN => Err(unreadable(format!(
                "the server sends a token of {} bytes for the next page",
                next.len()
            ))),
            Some(next) if before != Some(&*next) => Ok(next),
            _ => Err(unreadable("the server does not go on with the listing")),
        }
    }
}

/// Escapes a path.
pub(super) fn in_path(text: &str) -> String {
    utf8_percent_encode(text, IN_PATH).to_string()
}

/// Escapes the value of a query, or one component of a path.
pub(super) fn in_query(text: &str) -> String {
    utf8_percent_encode(text, IN_QUERY).to_string()
}

#[cfg(test)]
mod tests {
    use super::{MAX_TOKEN, MOST_IDLE_PAGES, PageProgress, listed};

    #[test]
    fn a_listing_that_does_not_get_on_is_ended() {
        let mut progress = PageProgress::default();
        for page in 0..1000 {
            progress.note(Some(&format!("{page:04}"))).expect("new");
        }
        for _ in 0..MOST_IDLE_PAGES / 2 {
            progress.note(Some("0001")).expect("not yet");
            progress.note(None).expect("not yet");
        }
        progress.note(Some("0999")).expect_err("no end");
        let next = |before, next: &str| PageProgress::next_token(before, Some(next.to_owned()));
        assert_eq!(next(Some("a"), "b").expect("another"), "b");
        next(Some("a"), "a").expect_err("the same");
        next(None, &"x".repeat(MAX_TOKEN + 1)).expect_err("too long");
        PageProgress::next_token(None, None).expect_err("none");
    }

    #[test]
    fn a_key_that_was_not_asked_for_is_refused_and_one_of_another_program_passed_over() {
        let name =
            |key| listed("root/", "data/", key).map(|name| name.map(|name| name.to_string()));
        assert_eq!(
            name("root/data/a").expect("ours"),
            Some("data/a".to_owned())
        );
        assert_eq!(name("root/data/a b").expect("another program's"), None);
        for key in ["other/data/a", "root/keys/a", "/etc/passwd", ""] {
            name(key).expect_err(key);
        }
    }
}
