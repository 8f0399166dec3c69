//! A proxy between a client and a real HTTP server that spoils what a test tells it to.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

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
}

/// Tells what to do with a request, by its number and its first line.
type Plan = dyn Fn(u64, &str) -> Fault + Send + Sync;

/// Listens until the test ends. Each connection carries one request.
pub struct Proxy {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    pub fn new(upstream: &str, plan: impl Fn(u64, &str) -> Fault + Send + Sync + 'static) -> Self {
        let upstream = upstream.trim_start_matches("http://").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("bound");
        let plan: Arc<Plan> = Arc::new(plan);
        let seen: Arc<Mutex<Vec<String>>> = Arc::default();
        let (number, log) = (Arc::new(AtomicU64::new(0)), Arc::clone(&seen));
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (upstream, plan, number, log) = (upstream.clone(), Arc::clone(&plan), Arc::clone(&number), Arc::clone(&log));
                std::thread::spawn(move || serve(client, &upstream, plan.as_ref(), &number, &log));
            }
        });
        Self { address, seen }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The first line of each request so far.
    pub fn seen(&self) -> Vec<String> {
        self.seen.lock().expect("no panic").clone()
    }
}

/// One request of a client; an error is a connection that ended, and so does this one.
fn serve(mut client: TcpStream, upstream: &str, plan: &Plan, number: &AtomicU64, log: &Mutex<Vec<String>>) -> Option<()> {
    let (head, mut body) = read_head(&mut client)?;
    let first = head.lines().next()?.to_owned();
    log.lock().ok()?.push(first.clone());
    let header = |name: &str| {
        head.lines().find_map(|line| line.split_once(':').filter(|(key, _)| key.eq_ignore_ascii_case(name))).map(|(_, value)| value.trim())
    };
    let length: usize = header("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
    let asks_first = header("expect").is_some();
    let fault = plan(number.fetch_add(1, Ordering::SeqCst), &first);
    match fault {
        Fault::Answer(status, lines) => {
            let answer = format!("HTTP/1.1 {status} Spoilt\r\ncontent-length: 7\r\nconnection: close\r\n{lines}\r\nspoilt\n");
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
    let most = if let Fault::CutRequest(bytes) = fault { bytes.min(length) } else { length };
    let mut rest = vec![0; most.saturating_sub(body.len())];
    client.read_exact(&mut rest).ok()?;
    body.extend(rest);
    if let (Fault::SpoilBody, Some(byte)) = (&fault, body.last_mut()) {
        *byte ^= 1;
    }
    let mut server = TcpStream::connect(upstream).ok()?;
    let head: String = head.lines().filter(|line| !is_about_the_connection(line)).fold(String::new(), |head, line| head + line + "\r\n");
    server.write_all(format!("{head}connection: close\r\n\r\n").as_bytes()).ok()?;
    server.write_all(&body).ok()?;
    if let Fault::CutRequest(_) = fault {
        return None;
    }
    let mut answer = Vec::new();
    server.read_to_end(&mut answer).ok()?;
    match fault {
        Fault::LoseAnswer => return None,
        Fault::CutAnswer(bytes) => answer.truncate(bytes),
        _ => {}
    }
    client.write_all(&answer).ok()?;
    client.shutdown(Shutdown::Both).ok()
}

fn is_about_the_connection(line: &str) -> bool {
    let name = line.split_once(':').map_or("", |(name, _)| name);
    line.is_empty() || ["connection", "expect"].iter().any(|known| name.eq_ignore_ascii_case(known))
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
