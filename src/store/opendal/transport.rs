//! HTTP for OpenDAL: our own client, on the calling thread, with our timeouts, certificates and
//! checks of ranges. The refusals of a server are kept here, because the errors of OpenDAL carry
//! neither the status nor `Retry-After`.

use crate::net::{Http, HttpReply, MAX_DOCUMENT, Method, Request, RequestBody, Response, request};
use crate::store::error::{about, network};
use crate::store::{Error, ErrorKind, ObjectName, Operation, range};
use bytes::Bytes;
use futures_core::Stream;
use opendal_core::{Buffer, ErrorKind as OpenDalKind, HttpBody, HttpTransport};
use std::cell::RefCell;
use std::pin::Pin;
use std::task::{Context, Poll};

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
    /// The error of the last request, if it failed.
    trouble: Option<Error>,
}

impl RequestPurpose {
    pub(super) fn new(verb: Operation, object: Option<&ObjectName>, limit: u64) -> Self {
        Self {
            verb,
            object: object.cloned(),
            limit,
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
}

impl Transport {
    pub(super) fn new(http: Http) -> Self {
        Self { http }
    }

    fn send(&self, request: Request<Buffer>) -> Result<Response<Vec<u8>>, Error> {
        let (verb, object, limit) = CALL.with_borrow_mut(|call| match call {
            Some(call) => {
                call.trouble = None;
                (call.verb, call.object.clone(), call.limit)
            }
            None => (Operation::Open, None, MAX_DOCUMENT),
        });
        let object = object.as_ref();
        let (mut head, body) = request.into_parts();
        // Our client sets it itself.
        head.headers.remove("content-length");
        let part = asked_part(&head);
        let (is_content, has_no_body) = (
            head.method == Method::GET && verb == Operation::Get,
            head.method == Method::HEAD,
        );
        let pieces: Vec<Bytes> = body.collect();
        let has_none = pieces.is_empty() && !matches!(head.method, Method::PUT | Method::POST);
        let body = if has_none {
            RequestBody::None
        } else {
            RequestBody::Pieces(&pieces)
        };
        let is_look = head.method.as_str() == "PROPFIND";
        let mut reply = self
            .http
            .send(Request::from_parts(head, ()), body)
            .map_err(network(verb, object))?;
        if is_look && reply.status == 400 {
            reply.status = 404; // Apache's answer where a folder of the name is a file
        }
        let mut response = Response::builder().status(reply.status);
        if let Some(headers) = response.headers_mut() {
            headers.clone_from(&reply.headers);
        }
        let bytes = match (object, part) {
            _ if !reply.is_done() => {
                keep(network(verb, object)(reply.refusal()));
                Vec::new()
            }
            _ if has_no_body => Vec::new(),
            (Some(name), Some((offset, length))) if is_content => {
                let reply = range::check_part(name, offset, length, reply)?;
                whole(reply, length as u64, verb, object)?
            }
            _ => whole(
                reply,
                if is_content { limit } else { MAX_DOCUMENT },
                verb,
                object,
            )?,
        };
        response
            .body(bytes)
            .map_err(|error| about(ErrorKind::Failed, verb, object).because(error))
    }
}

fn whole(
    reply: HttpReply,
    limit: u64,
    verb: Operation,
    object: Option<&ObjectName>,
) -> Result<Vec<u8>, Error> {
    let bytes = reply.bytes(limit).map_err(network(verb, object))?;
    bytes.ok_or_else(|| about(ErrorKind::TooLarge, verb, object))
}

/// Returns the offset and the length of the part that a request asks for.
fn asked_part(head: &request::Parts) -> Option<(u64, usize)> {
    let range = head
        .headers
        .get("range")
        .or_else(|| head.headers.get("x-ms-range"))?
        .to_str()
        .ok()?;
    let (first, last) = range.strip_prefix("bytes=")?.split_once('-')?;
    let (first, last): (u64, u64) = (first.parse().ok()?, last.parse().ok()?);
    Some((
        first,
        usize::try_from(last.checked_sub(first)?.checked_add(1)?).ok()?,
    ))
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
    use super::asked_part;
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
        assert_eq!(part("range", "bytes=7-9"), Some((7, 3)));
        assert_eq!(part("x-ms-range", "bytes=0-0"), Some((0, 1)));
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
