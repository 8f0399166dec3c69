//! One request, one answer, on the caller's thread.

use super::pace::Paced;
use super::tls::{self, Proof};
use super::{Error, HeaderMap, NetErrorKind, NetSettings, PlainHosts, Request, Response};
use crate::model::{CallInProgress, Cancel};
use std::io::Read;
use std::time::Duration;
use ureq::config::ConfigBuilder;
use ureq::tls::RootCerts;
use ureq::typestate::AgentScope;
use ureq::{Agent, SendBody};

/// The longest time to establish a connection.
const CONNECT: Duration = Duration::from_secs(15);

/// How long to wait for `100 Continue` before the body is sent anyway.
const ASK_FIRST: Duration = Duration::from_secs(3);

/// A longer body is announced first, so that a server can refuse it before it is sent.
const ASK_FROM_BYTES: u64 = 1 << 20;

/// The most bytes that are read of an error answer.
const MAX_WORDS: u64 = 4096;

/// The most bytes for which room is made before they have come.
const AT_ONCE: u64 = 1 << 20;

/// The most bytes that a listing or a document may have.
pub(crate) const MAX_DOCUMENT: u64 = 16 << 20;

/// Sends requests. Connections are kept and used again.
#[derive(Clone)]
pub(crate) struct Http {
    agent: Agent,
    cancel: Cancel,
    /// How long a server may be silent.
    idle: Duration,
    plain_hosts: PlainHosts,
}

/// The body of a request.
#[derive(Clone, Copy)]
pub(crate) enum RequestBody<'body> {
    None,
    Bytes(&'body [u8]),
    Rope(&'body [Vec<u8>]),
    Pieces(&'body [bytes::Bytes]),
}

/// An answer: its head, and its body, which is still to be read.
pub(crate) struct HttpReply {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    body: ureq::Body,
    call: CallInProgress,
    /// How long the server may be silent.
    idle: Duration,
}

impl std::fmt::Debug for Http {
    /// Writes the name alone: the address of a proxy may hold a password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Http")
    }
}

impl Http {
    /// Makes a client with the certificates, the proxy and the timeouts that are set.
    pub(crate) fn new(settings: &NetSettings) -> Result<Self, Error> {
        Self::with_patience(settings, settings.idle())
    }

    /// Makes such a client with another timeout for each step.
    pub(crate) fn with_patience(settings: &NetSettings, idle: Duration) -> Result<Self, Error> {
        let bundle = settings
            .option("cacert")
            .or_else(|| settings.variable("OS_CACERT"))
            .or_else(|| settings.variable("AWS_CA_BUNDLE"));
        let insecure = settings
            .option("insecure")
            .or_else(|| settings.variable("OS_INSECURE"));
        let is_waived = insecure
            .is_some_and(|text| matches!(text.to_ascii_lowercase().as_str(), "1" | "true" | "yes"));
        let proof = if is_waived {
            Proof::Waived
        } else {
            Proof::Wanted
        };
        let mut config = config(tls::roots(bundle)?, proof, idle, settings.whole());
        if let Some(proxy) = settings.option("proxy") {
            config = config.proxy(Some(ureq::Proxy::new(proxy).map_err(|error| {
                Error::of_settings(format!("the proxy cannot be used: {error}"))
            })?));
        }
        Ok(Self {
            agent: config.build().new_agent(),
            cancel: settings.cancel().clone(),
            idle,
            plain_hosts: settings.plain_hosts().clone(),
        })
    }

    /// Makes a client with the system's certificates and proxies, whose requests end within
    /// `within`.
    pub(crate) fn plain(within: Duration) -> Self {
        let config = config(
            RootCerts::PlatformVerifier,
            Proof::Wanted,
            within,
            Some(within),
        );
        Self {
            agent: config.build().new_agent(),
            cancel: Cancel::new(),
            idle: within,
            plain_hosts: PlainHosts::default(),
        }
    }

    /// Sends one request and waits for the head of its answer.
    pub(crate) fn send(
        &self,
        mut request: Request<()>,
        body: RequestBody<'_>,
    ) -> Result<HttpReply, Error> {
        self.plain_hosts.note(&request);
        if !matches!(body, RequestBody::None) {
            request
                .headers_mut()
                .insert("content-length", body.length().into());
        }
        if body.length() > ASK_FROM_BYTES {
            request.headers_mut().insert(
                "expect",
                ureq::http::HeaderValue::from_static("100-continue"),
            );
        }
        let call = self.cancel.call();
        let answer = match body {
            RequestBody::None => self.agent.run(request),
            RequestBody::Bytes(bytes) => self.send_body(request, bytes, &call),
            RequestBody::Rope(rope) => self.send_body(request, RopeReader::of(rope), &call),
            RequestBody::Pieces(pieces) => self.send_body(request, RopeReader::of(pieces), &call),
        };
        let (head, body) = answer.map_err(silence)?.into_parts();
        Ok(HttpReply {
            status: head.status.as_u16(),
            headers: head.headers,
            body,
            call,
            idle: self.idle,
        })
    }

    fn send_body(
        &self,
        request: Request<()>,
        body: impl Read,
        call: &CallInProgress,
    ) -> Result<Response<ureq::Body>, ureq::Error> {
        let mut body = UntilHurried { inner: body, call };
        self.agent
            .run(request.map(|()| SendBody::from_reader(&mut body)))
    }
}

impl RequestBody<'_> {
    fn length(self) -> u64 {
        match self {
            Self::None => 0,
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Rope(rope) => rope.iter().map(|piece| piece.len() as u64).sum(),
            Self::Pieces(pieces) => pieces.iter().map(|piece| piece.len() as u64).sum(),
        }
    }
}

impl HttpReply {
    /// Returns a header as text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Returns the length of the body, if the server says it.
    pub(crate) fn length(&self) -> Option<u64> {
        self.header("content-length")?.trim().parse().ok()
    }

    /// Returns whether the status is success.
    pub(crate) fn is_done(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// Returns whether a web page came: from a proxy or a login page in between, as no store sends
    /// one when all is well.
    pub(crate) fn is_page(&self) -> bool {
        let is_html = |kind: &str| {
            kind.trim_start()
                .to_ascii_lowercase()
                .starts_with("text/html")
        };
        self.status == 200
            && self.length() != Some(0)
            && self.header("content-type").is_some_and(is_html)
    }

    /// Reads the body; `None` when it is longer than `limit`.
    pub(crate) fn bytes(self, limit: u64) -> Result<Option<Vec<u8>>, Error> {
        let announced = self.length();
        if announced.is_some_and(|length| length > limit) {
            return Ok(None);
        }
        let mut bytes = Vec::new();
        if let Some(length) = announced {
            // The length is only a claim: no more than this is believed before it has come.
            let believed = length.min(AT_ONCE);
            bytes.reserve_exact(usize::try_from(believed).unwrap_or(0));
        }
        let silence = |error| silence(ureq::Error::Io(error));
        let mut body = self.body;
        let inner = body.with_config().limit(u64::MAX).reader();
        let call = &self.call;
        Paced::new(UntilHurried { inner, call }, self.idle)
            .take(limit.saturating_add(1))
            .read_to_end(&mut bytes)
            .map_err(silence)?;
        let whole = announced.is_none_or(|length| length == bytes.len() as u64);
        if !whole {
            return Err(silence(std::io::ErrorKind::UnexpectedEof.into()));
        }
        Ok((bytes.len() as u64 <= limit).then_some(bytes))
    }

    /// Reads the body in pieces of these lengths and hands each over as soon as it is there, until
    /// `take` returns `false`.
    pub(crate) fn pieces(
        self,
        lengths: &[usize],
        take: &mut dyn FnMut(Vec<u8>) -> bool,
    ) -> Result<(), Error> {
        let silence = |error| silence(ureq::Error::Io(error));
        let mut body = self.body;
        let inner = body.with_config().limit(u64::MAX).reader();
        let call = &self.call;
        let mut reader = Paced::new(UntilHurried { inner, call }, self.idle);
        for length in lengths {
            let mut piece = Vec::with_capacity(*length);
            reader
                .by_ref()
                .take(*length as u64)
                .read_to_end(&mut piece)
                .map_err(silence)?;
            if piece.len() != *length {
                return Err(silence(std::io::ErrorKind::UnexpectedEof.into()));
            }
            if !take(piece) {
                return Ok(());
            }
        }
        // Read to the end: only then can the connection be used again.
        reader.read(&mut [0]).map(drop).map_err(silence)
    }

    /// Checks the status, and reads the body to its end so that the connection can be used again.
    pub(crate) fn finish(self) -> Result<(), Error> {
        if !self.is_done() {
            return Err(self.refusal());
        }
        if self.is_page() {
            return Err(Error::page());
        }
        self.bytes(MAX_DOCUMENT).map(drop)
    }

    /// Turns the answer into an error, with the first words of its body.
    pub(crate) fn refusal(self) -> Error {
        let status = self.status;
        if let 300..400 = status {
            let to = self.header("location").and_then(origin);
            let words =
                to.map(|to| format!("it sends the request on to {to}, and is not followed"));
            return Error::answer(status, words, None);
        }
        let retry_after = self
            .header("retry-after")
            .and_then(|text| text.trim().parse().ok())
            .map(Duration::from_secs);
        let words = self
            .bytes(MAX_WORDS)
            .ok()
            .flatten()
            .map(|bytes| readable(&bytes))
            .filter(|words| !words.is_empty());
        Error::answer(status, words, retry_after)
    }
}

/// Configures a client: `idle` bounds each step, `whole` a request with its answer.
fn config(
    roots: RootCerts,
    proof: Proof,
    idle: Duration,
    whole: Option<Duration>,
) -> ConfigBuilder<AgentScope> {
    Agent::config_builder()
        .tls_config(tls::client(roots, proof))
        .http_status_as_error(false)
        // WebDAV's
        .allow_non_standard_methods(true)
        .max_redirects(0)
        .user_agent(concat!("freezer/", env!("CARGO_PKG_VERSION")))
        .accept_encoding("identity")
        .timeout_connect(Some(CONNECT.min(idle)))
        .timeout_await_100(Some(ASK_FIRST))
        .timeout_per_read(Some(idle))
        // A head that drips is never silent.
        .timeout_recv_response(Some(idle))
        .timeout_per_write(Some(idle))
        .timeout_global(whole)
        .max_idle_connections_per_host(32)
        .max_idle_age(Duration::from_secs(20))
}

/// Returns the error for an answer that did not come, or broke off.
fn silence(error: ureq::Error) -> Error {
    let kind = match &error {
        ureq::Error::Rustls(_)
        | ureq::Error::Tls(_)
        | ureq::Error::BadUri(_)
        | ureq::Error::Http(_) => NetErrorKind::Failed,
        _ => NetErrorKind::Unavailable,
    };
    Error::silence(kind, error)
}

/// Returns the scheme, host and port of a URL: the rest may hold secrets.
fn origin(url: &str) -> Option<String> {
    let uri: ureq::http::Uri = url.parse().ok()?;
    let port = uri.port().map(|port| format!(":{port}"));
    Some(format!(
        "{}://{}{}",
        uri.scheme_str()?,
        uri.host()?,
        port.unwrap_or_default()
    ))
}

/// Returns the text of an answer on one line, without its markup.
fn readable(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut words = String::new();
    let mut in_tag = false;
    for c in text.chars() {
        match c {
            '<' => {
                in_tag = true;
                words.push(' ');
            }
            '>' => in_tag = false,
            c if in_tag || c.is_control() && !c.is_whitespace() => {}
            c => words.push(c),
        }
    }
    let words = words.split_whitespace().collect::<Vec<_>>().join(" ");
    words.chars().take(300).collect()
}

/// Passes bytes on until the call that they belong to must be broken off: a server may send or take
/// them one by one.
struct UntilHurried<'call, R> {
    inner: R,
    call: &'call CallInProgress,
}

impl<R: Read> Read for UntilHurried<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.call.check().map_err(std::io::Error::other)?;
        self.inner.read(buffer)
    }
}

/// Reads the pieces of a rope one after the other.
struct RopeReader<'rope, P> {
    pieces: std::slice::Iter<'rope, P>,
    rest: &'rope [u8],
}

impl<'rope, P> RopeReader<'rope, P> {
    fn of(rope: &'rope [P]) -> Self {
        Self {
            pieces: rope.iter(),
            rest: &[],
        }
    }
}

impl<P: AsRef<[u8]>> Read for RopeReader<'_, P> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        while self.rest.is_empty() {
            match self.pieces.next() {
                Some(piece) => self.rest = piece.as_ref(),
                None => return Ok(0),
            }
        }
        self.rest.read(buffer)
    }
}

#[cfg(test)]
mod tests {
    use super::{RopeReader, origin, readable};
    use std::io::Read;

    #[test]
    fn of_the_place_that_a_server_sends_us_to_only_the_host_is_shown() {
        assert_eq!(
            origin("http://me:secret@evil.example:81/a?token=secret").as_deref(),
            Some("http://evil.example:81")
        );
        assert_eq!(origin("/a?token=secret"), None);
    }

    #[test]
    fn an_answer_in_markup_reads_as_words() {
        let xml = b"<?xml version='1.0'?>\n<Error><Code>NoSuchKey</Code>\
            \n<Message>It is\x07 gone.</Message></Error>";
        assert_eq!(readable(xml), "NoSuchKey It is gone.");
        assert_eq!(readable(&b"x".repeat(5000)).len(), 300);
        assert_eq!(readable(b"<a <b \xff"), "");
    }

    #[test]
    fn a_rope_is_read_piece_by_piece() {
        let rope = [b"ab".to_vec(), vec![], b"c".to_vec()];
        let mut text = String::new();
        RopeReader::of(&rope)
            .read_to_string(&mut text)
            .expect("memory");
        assert_eq!(text, "abc");
    }
}
