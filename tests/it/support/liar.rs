//! An HTTP server that says what a test tells it to, true or not.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// A request, as far as a lie depends on it.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    pub method: String,
    /// The path with the query, as it was sent.
    pub path: String,
    /// The head, in lower case.
    pub head: String,
}

impl Asked {
    /// The first and the last byte of the part that is asked for.
    pub fn range(&self) -> Option<[usize; 2]> {
        let line = self
            .head
            .lines()
            .find_map(|line| line.strip_prefix("range: bytes="))?;
        let (first, last) = line.trim().split_once('-')?;
        Some([first.parse().ok()?, last.parse().ok()?])
    }
}

/// Writes the answer to a request with its body; an error is a client that has gone, and is right
/// to.
type Say = dyn Fn(&Asked, &[u8], &mut TcpStream) -> std::io::Result<()> + Send + Sync;

/// Listens until the test ends. Each connection carries one request.
pub struct Liar {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Liar {
    pub fn new(
        say: impl Fn(&Asked, &mut TcpStream) -> std::io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        Self::with_bodies(move |asked, _, to| say(asked, to))
    }

    /// One that looks at what it is sent.
    pub fn with_bodies(
        say: impl Fn(&Asked, &[u8], &mut TcpStream) -> std::io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("bound");
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (say, heard): (Arc<Say>, _) = (Arc::new(say), Arc::clone(&asked));
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (say, heard) = (Arc::clone(&say), Arc::clone(&heard));
                std::thread::spawn(move || serve(client, &heard, &*say));
            }
        });
        Self { address, asked }
    }

    /// The host and the port.
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How many requests came so far.
    pub fn count(&self) -> usize {
        self.asked.lock().expect("no panic").len()
    }
}

fn serve(client: TcpStream, heard: &Mutex<Vec<Asked>>, say: &Say) -> Option<()> {
    let mut reader = BufReader::new(client.try_clone().ok()?);
    let mut first = String::new();
    reader.read_line(&mut first).ok()?;
    let mut words = first.split_whitespace();
    let mut asked = Asked {
        method: words.next()?.to_owned(),
        path: words.next()?.to_owned(),
        head: String::new(),
    };
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let line = line.trim_end().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
        asked.head.push_str(&line);
        asked.head.push('\n');
    }
    let mut client = client;
    if asked.method == "CONNECT" {
        // It is a proxy to itself.
        client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").ok()?;
        return serve(client, heard, say);
    }
    if asked.head.contains("expect: 100-continue") {
        client.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").ok()?;
    }
    let mut body = Vec::new();
    reader.take(length).read_to_end(&mut body).ok()?;
    heard.lock().ok()?.push(asked.clone());
    say(&asked, &body, &mut client).ok()
}

/// Writes an answer with its right length.
pub fn answer(
    to: &mut TcpStream,
    status: u16,
    headers: &[&str],
    body: &[u8],
) -> std::io::Result<()> {
    let length = format!("content-length: {}", body.len());
    let headers: Vec<&str> = headers.iter().copied().chain([length.as_str()]).collect();
    head(to, status, &headers)?;
    to.write_all(body)
}

/// Writes the head of an answer. The connection ends after it.
pub fn head(to: &mut TcpStream, status: u16, headers: &[&str]) -> std::io::Result<()> {
    let mut text = format!("HTTP/1.1 {status} So\r\nconnection: close\r\n");
    for header in headers {
        text.push_str(header);
        text.push_str("\r\n");
    }
    text.push_str("\r\n");
    to.write_all(text.as_bytes())
}

/// Writes chunks of a body until the client has had enough.
pub fn for_ever(to: &mut TcpStream, piece: &[u8]) -> std::io::Result<()> {
    loop {
        to.write_all(format!("{:x}\r\n", piece.len()).as_bytes())?;
        to.write_all(piece)?;
        to.write_all(b"\r\n")?;
    }
}
