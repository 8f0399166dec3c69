//! HTTP for OpenDAL: our own client, on the calling thread, with our timeouts, certificates and
//! checks of ranges. The refusals of a server are kept here, because the errors of OpenDAL carry
//! neither the status nor `Retry-After`.

use super::flat_page;
use super::multistatus::{self, LookDepth};
use crate::net::{
    self, HeaderMap, Http, HttpReply, MAX_DOCUMENT, Method, Request, RequestBody, Response, decode,
    request,
};
use crate::store::error::{about, network};
use crate::store::{Error, ErrorKind, ObjectName, Operation, range};
use bytes::Bytes;
use futures_core::Stream;
use opendal_core::{Buffer, ErrorKind as OpenDalKind, HttpBody, HttpTransport};
use std::cell::RefCell;
use std::pin::Pin;
use std::task::{Context, Poll};

/// The most bytes of a list of a folder: WebDAV has no pages. Apache takes 900 for each entry.
pub(super) const MAX_FOLDER: u64 = 64 << 20;

thread_local! {
    /// The call of OpenDAL that this thread waits for. OpenDAL sends its requests on the same
    /// thread.
    static CALL: RefCell<Option<RequestPurpose>> = const { RefCell::new(None) };
}

/// The call for which OpenDAL sends requests.
pub(super) struct RequestPurpose {
    verb: Operation,
    object: Option<ObjectName>,
    /// The most bytes of an answer.
    limit: u64,
    /// How many requests it took so far.
    requests: u32,
    /// The error of the last request, if it failed.
    trouble: Option<Error>,
}

/// The most requests that one call may take: OpenDAL asks for page after page until one has a name.
const MOST_REQUESTS: u32 = 1000;

impl RequestPurpose {
    pub(super) fn new(verb: Operation, object: Option<&ObjectName>, limit: u64) -> Self {
        Self {
            verb,
            object: object.cloned(),
            limit,
            requests: 0,
            trouble: None,
        }
    }
}

/// Runs work that sends requests for a call. Returns the error of the last request beside its
/// result.
pub(super) fn during<T>(call: RequestPurpose, work: impl FnOnce() -> T) -> (T, Option<Error>) {
    let before = CALL.replace(Some(call));
    let done = work();
    let trouble = CALL.replace(before).and_then(|call| call.trouble);
    (done, trouble)
}

/// Sends OpenDAL's requests.
pub(super) struct Transport {
    http: Http,
    /// The names of all objects begin with it, where listings are of names.
    prefix: String,
}

impl Transport {
    /// `prefix` is that of the names of all objects.
    pub(super) fn new(http: Http, prefix: String) -> Self {
        Self { http, prefix }
    }

    fn send(&self, request: Request<Buffer>) -> Result<Response<Vec<u8>>, Error> {
        let purpose = AskedFor::of_this_thread()?;
        let (mut head, body) = request.into_parts();
        // Our client sets it itself.
        head.headers.remove("content-length");
        let (look, part) = (Look::of(&head), asked_part(&head));
        let method = head.method.clone();
        let pieces: Vec<Bytes> = body.collect();
        let has_none = pieces.is_empty() && !matches!(method, Method::PUT | Method::POST);
        let body = if has_none {
            RequestBody::None
        } else {
            RequestBody::Pieces(&pieces)
        };
        let reply = self
            .http
            .send(Request::from_parts(head, ()), body)
            .map_err(|error| purpose.network(error))?;
        match look {
            Some(look) => purpose.looked(&look, reply),
            None => self.answered(&purpose, &method, part, reply),
        }
    }

    /// Reads the answer to a request and checks what OpenDAL does not.
    fn answered(
        &self,
        purpose: &AskedFor,
        method: &Method,
        part: Option<AskedPart>,
        reply: HttpReply,
    ) -> Result<Response<Vec<u8>>, Error> {
        if let (416, Some(name), Some(part)) = (reply.status, &purpose.object, part) {
            range::check_part(name, part.offset, part.length, reply)?;
            return purpose.response(416, None, Vec::new());
        }
        if !reply.is_done() {
            return purpose.refused(reply);
        }
        let (status, headers) = (reply.status, reply.headers.clone());
        let bytes = match (purpose.verb, &purpose.object, part) {
            _ if *method == Method::HEAD => Vec::new(),
            _ if reply.is_page() => return Err(purpose.network(net::Error::page())),
            (Operation::Get, Some(name), Some(part)) if *method == Method::GET => {
                let reply = range::check_part(name, part.offset, part.length, reply)?;
                purpose.object_bytes(reply, part.length as u64)?
            }
            (Operation::Get, Some(_), None) if *method == Method::GET => {
                purpose.object_bytes(reply, purpose.limit)?
            }
            (verb, ..) => {
                let bytes = purpose.document(reply, MAX_DOCUMENT)?;
                if verb == Operation::List {
                    flat_page::check(&bytes, &self.prefix).map_err(|why| purpose.failed(why))?;
                }
                bytes
            }
        };
        purpose.response(status, Some(headers), bytes)
    }
}

/// What the requests of a thread are for.
struct AskedFor {
    verb: Operation,
    object: Option<ObjectName>,
    limit: u64,
}

impl AskedFor {
    /// Counts one request more for the call of OpenDAL that this thread waits for.
    fn of_this_thread() -> Result<Self, Error> {
        let (purpose, requests) = CALL.with_borrow_mut(|call| match call {
            Some(call) => {
                call.trouble = None;
                call.requests += 1;
                let purpose = Self {
                    verb: call.verb,
                    object: call.object.clone(),
                    limit: call.limit,
                };
                (purpose, call.requests)
            }
            None => {
                let purpose = Self {
                    verb: Operation::Open,
                    object: None,
                    limit: MAX_DOCUMENT,
                };
                (purpose, 1)
            }
        });
        if requests > MOST_REQUESTS {
            let why = "the server sends page after page of the listing, and no name in any of them";
            return Err(purpose.failed(why));
        }
        Ok(purpose)
    }

    fn network(&self, error: net::Error) -> Error {
        network(self.verb, self.object.as_ref())(error)
    }

    fn failed(&self, why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
        about(ErrorKind::Failed, self.verb, self.object.as_ref()).because(why)
    }

    /// Reads an object, or a part of one.
    fn object_bytes(&self, reply: HttpReply, limit: u64) -> Result<Vec<u8>, Error> {
        let bytes = reply.bytes(limit).map_err(|error| self.network(error))?;
        bytes.ok_or_else(|| about(ErrorKind::TooLarge, self.verb, self.object.as_ref()))
    }

    /// Reads an answer that is no object: that it is too long is no damage.
    fn document(&self, reply: HttpReply, limit: u64) -> Result<Vec<u8>, Error> {
        let bytes = reply.bytes(limit).map_err(|error| self.network(error))?;
        bytes.ok_or_else(|| {
            self.failed(format!(
                "the server sends an answer of more than {} MiB",
                limit >> 20
            ))
        })
    }

    /// Keeps why a request was refused, and passes the status on.
    fn refused(&self, reply: HttpReply) -> Result<Response<Vec<u8>>, Error> {
        let (status, headers) = (reply.status, reply.headers.clone());
        keep(self.network(reply.refusal()));
        self.response(status, Some(headers), Vec::new())
    }

    /// Reads the answer to a look of WebDAV, and writes it anew.
    fn looked(&self, look: &Look, mut reply: HttpReply) -> Result<Response<Vec<u8>>, Error> {
        if reply.status == 400 {
            reply.status = 404; // Apache's answer where a folder of the name is a file
        }
        if !reply.is_done() {
            return self.refused(reply);
        }
        if reply.is_page() {
            return Err(self.network(net::Error::page()));
        }
        if reply.status != 207 {
            return Err(self.failed(format!(
                "the server answers {} to PROPFIND, as none does that speaks WebDAV",
                reply.status
            )));
        }
        let bytes = self.document(reply, MAX_FOLDER)?;
        let document = multistatus::rewritten(&bytes, &look.path, look.depth)
            .map_err(|why| self.failed(why))?;
        self.response(207, None, document.into_bytes())
    }

    fn response(
        &self,
        status: u16,
        headers: Option<HeaderMap>,
        bytes: Vec<u8>,
    ) -> Result<Response<Vec<u8>>, Error> {
        let mut response = Response::builder().status(status);
        if let (Some(there), Some(headers)) = (response.headers_mut(), headers) {
            *there = headers;
        }
        response.body(bytes).map_err(|error| self.failed(error))
    }
}

/// A request of WebDAV for the properties of a file or folder.
struct Look {
    /// The decoded path of that.
    path: String,
    depth: LookDepth,
}

impl Look {
    /// `None` for a request of another sort.
    fn of(head: &request::Parts) -> Option<Self> {
        if head.method.as_str() != "PROPFIND" {
            return None;
        }
        let is_itself = head.headers.get("depth").is_some_and(|depth| depth == "0");
        let path = decode(head.uri.path())?;
        Some(Self {
            path: String::from_utf8(path).ok()?,
            depth: if is_itself {
                LookDepth::Itself
            } else {
                LookDepth::Contents
            },
        })
    }
}

/// The part of an object that a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct AskedPart {
    offset: u64,
    length: usize,
}

/// Returns the part that a request asks for.
fn asked_part(head: &request::Parts) -> Option<AskedPart> {
    let range = head
        .headers
        .get("range")
        .or_else(|| head.headers.get("x-ms-range"))?
        .to_str()
        .ok()?;
    let (first, last) = range.strip_prefix("bytes=")?.split_once('-')?;
    let (first, last): (u64, u64) = (first.parse().ok()?, last.parse().ok()?);
    Some(AskedPart {
        offset: first,
        length: usize::try_from(last.checked_sub(first)?.checked_add(1)?).ok()?,
    })
}

fn keep(trouble: Error) {
    CALL.with_borrow_mut(|call| {
        if let Some(call) = call {
            call.trouble = Some(trouble);
        }
    });
}

impl HttpTransport for Transport {
    async fn fetch(&self, request: Request<Buffer>) -> opendal_core::Result<Response<HttpBody>> {
        match self.send(request) {
            Ok(response) => {
                Ok(response.map(|bytes| HttpBody::new(Once(Some(Buffer::from(bytes))), None)))
            }
            Err(error) => {
                let told = opendal_core::Error::new(OpenDalKind::Unexpected, error.to_string());
                let told = if error.kind() == ErrorKind::Unavailable {
                    told.set_temporary()
                } else {
                    told
                };
                keep(error);
                Err(told)
            }
        }
    }
}

/// A body that is there as a whole.
struct Once(Option<Buffer>);

impl Stream for Once {
    type Item = opendal_core::Result<Buffer>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(self.0.take().map(Ok))
    }
}

#[cfg(test)]
mod tests {
    use super::{AskedPart, asked_part};
    use crate::net::Request;

    #[test]
    fn the_part_that_a_request_is_for_is_read_off_its_head() {
        let part = |name: &str, value: &str| {
            let request = Request::builder()
                .header(name, value)
                .body(())
                .expect("a request");
            asked_part(&request.into_parts().0)
        };
        let asked = |offset, length| Some(AskedPart { offset, length });
        assert_eq!(part("range", "bytes=7-9"), asked(7, 3));
        assert_eq!(part("x-ms-range", "bytes=0-0"), asked(0, 1));
        for none in [
            "bytes=7-",
            "bytes=-3",
            "bytes=9-7",
            "7-9",
            "bytes=0-18446744073709551615",
        ] {
            assert_eq!(part("range", none), None, "{none}");
        }
        assert_eq!(part("accept", "bytes=7-9"), None);
    }
}
