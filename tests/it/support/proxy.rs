//! A proxy between a client and a real HTTP server that spoils what a test tells it to.

use freezer::model::Cancel;
use freezer::platform::pause;
use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What happens to one request.
#[derive(Clone, Debug)]
pub enum Fault {
    /// Nothing.
    Pass,
    /// The server never sees it; this comes back, with these header lines.
    Answer(u16, &'static str),
    /// The connection is cut after so many bytes of what the client sends.
    CutRequest(usize),
    /// The connection is cut after so many bytes of the answer.
    CutAnswer(usize),
    /// The server does it, and nobody learns of it.
    LoseAnswer,
    /// Nothing happens and nothing ends.
    Stall,
    /// One bit of the body is another when it arrives.
    SpoilBody,
    /// One bit of the answer's body is another when it arrives.
    SpoilAnswer,
    /// The answer comes so much later.
    Delay(Duration),
    /// The connection ends after so many bytes of the answer's body.
    EndIn(usize),
    /// The answer has so many bytes fewer, and says so.
    Shorten(usize),
    /// The answer names another digest than the object has.
    WrongEtag,
    /// What the same request was answered the time before: a listing that lags.
    Lag,
}

/// Tells what to do with a request, by its number and its first line.
type Plan = dyn Fn(u64, &str) -> Fault + Send + Sync;

/// What all connections share.
struct Shared {
    upstream: String,
    plan: Box<Plan>,
    number: AtomicU64,
    seen: Mutex<Vec<String>>,
    /// The last answer to each request that was to lag.
    answered: Mutex<HashMap<String, Vec<u8>>>,
}

/// Listens until the test ends. Each connection carries one request.
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
}

impl Proxy {
    pub fn new(upstream: &str, plan: impl Fn(u64, &str) -> Fault + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("bound");
        let shared = Arc::new(Shared {
            upstream: upstream.trim_start_matches("http://").to_owned(),
            plan: Box::new(plan),
            number: AtomicU64::new(0),
            seen: Mutex::default(),
            answered: Mutex::default(),
        });
        let serving = Arc::clone(&shared);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let shared = Arc::clone(&serving);
                std::thread::spawn(move || serve(client, &shared));
            }
        });
        Self { address, shared }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The first line of each request so far.
    pub fn seen(&self) -> Vec<String> {
        self.shared.seen.lock().expect("no panic").clone()
    }
}

/// One request of a client; an error is a connection that ended, and so does this one.
fn serve(mut client: TcpStream, shared: &Shared) -> Option<()> {
    let (head, mut body) = read_head(&mut client)?;
    let first = head.lines().next()?.to_owned();
    shared.seen.lock().ok()?.push(first.clone());
    let header = |name: &str| {
        head.lines()
            .find_map(|line| {
                line.split_once(':')
                    .filter(|(key, _)| key.eq_ignore_ascii_case(name))
            })
            .map(|(_, value)| value.trim())
    };
    let length: usize = header("content-length")
        .and_then(|text| text.parse().ok())
        .unwrap_or(0);
    let asks_first = header("expect").is_some();
    let fault = (shared.plan)(shared.number.fetch_add(1, Ordering::SeqCst), &first);
    match fault {
        Fault::Answer(status, lines) => {
            let answer = format!(
                "HTTP/1.1 {status} Spoilt\r\ncontent-length: 7\r\nconnection: close\r\n{lines}\r\nspoilt\n"
            );
            client.write_all(answer.as_bytes()).ok()?;
            client.shutdown(Shutdown::Write).ok()?;
            // To its end, so that the answer is not lost with a reset.
            std::io::copy(&mut client, &mut std::io::sink()).ok()?;
            return Some(());
        }
        Fault::Stall => {
            std::io::copy(&mut client, &mut std::io::sink()).ok()?;
            return Some(());
        }
        _ => {}
    }
    if asks_first {
        client.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").ok()?;
    }
    let most = if let Fault::CutRequest(bytes) = fault {
        bytes.min(length)
    } else {
        length
    };
    let mut rest = vec![0; most.saturating_sub(body.len())];
    client.read_exact(&mut rest).ok()?;
    body.extend(rest);
    if let (Fault::SpoilBody, Some(byte)) = (&fault, body.last_mut()) {
        *byte ^= 1;
    }
    let mut server = TcpStream::connect(&shared.upstream).ok()?;
    let head: String = head
        .lines()
        .filter(|line| !is_about_the_connection(line))
        .fold(String::new(), |head, line| head + line + "\r\n");
    server
        .write_all(format!("{head}connection: close\r\n\r\n").as_bytes())
        .ok()?;
    server.write_all(&body).ok()?;
    if let Fault::CutRequest(_) = fault {
        return None;
    }
    let mut answer = Vec::new();
    server.read_to_end(&mut answer).ok()?;
    match fault {
        Fault::LoseAnswer => return None,
        Fault::CutAnswer(bytes) => answer.truncate(bytes),
        Fault::Delay(time) => pause(time, &Cancel::new()),
        Fault::Lag => {
            let before = shared.answered.lock().ok()?.insert(first, answer.clone());
            answer = before.unwrap_or(answer);
        }
        Fault::EndIn(bytes) => {
            let head = body_at(&answer)?;
            if answer.len() - head > bytes {
                answer.truncate(head + bytes);
            }
        }
        Fault::SpoilAnswer => {
            let head = body_at(&answer)?;
            if let Some(byte) = answer.get_mut(head..).and_then(<[u8]>::last_mut) {
                *byte ^= 1;
            }
        }
        Fault::Shorten(bytes) => {
            let head = body_at(&answer)?;
            let body = answer.split_off(head);
            let body = &body[..body.len().saturating_sub(bytes)];
            answer = with_header(&answer, "content-length", &body.len().to_string())?;
            answer.extend_from_slice(body);
        }
        Fault::WrongEtag => {
            let head = body_at(&answer)?;
            let body = answer.split_off(head);
            answer = with_header(&answer, "etag", "\"00000000000000000000000000000000\"")?;
            answer.extend(body);
        }
        _ => {}
    }
    client.write_all(&answer).ok()?;
    client.shutdown(Shutdown::Both).ok()
}

/// Where the body of an answer begins.
fn body_at(answer: &[u8]) -> Option<usize> {
    answer
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .map(|at| at + 4)
}

/// The head of an answer with another value of a header that it has.
fn with_header(head: &[u8], name: &str, value: &str) -> Option<Vec<u8>> {
    let head = std::str::from_utf8(head).ok()?.trim_end_matches("\r\n");
    let lines = head.lines().map(|line| match line.split_once(':') {
        Some((key, _)) if key.eq_ignore_ascii_case(name) => format!("{key}: {value}\r\n"),
        _ => format!("{line}\r\n"),
    });
    Some((lines.collect::<String>() + "\r\n").into_bytes())
}

fn is_about_the_connection(line: &str) -> bool {
    let name = line.split_once(':').map_or("", |(name, _)| name);
    line.is_empty()
        || ["connection", "expect"]
            .iter()
            .any(|known| name.eq_ignore_ascii_case(known))
}

/// The head of a request, and what came along of its body.
fn read_head(client: &mut TcpStream) -> Option<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n");
        if let Some(end) = end {
            let body = bytes.split_off(end + 4);
            return Some((String::from_utf8(bytes).ok()?, body));
        }
        let count = client.read(&mut buffer).ok().filter(|count| *count > 0)?;
        bytes.extend_from_slice(&buffer[..count]);
    }
}
