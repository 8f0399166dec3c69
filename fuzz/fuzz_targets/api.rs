//! The server, in this process, asked over HTTP as by clients.
#![no_main]

#[path = "../entry_points.rs"]
#[allow(dead_code, reason = "each target calls one of them")]
mod entry_points;

use freezer::api::{NewToken, ApiService, ServerSettings, TokenScope};
use freezer::model::Cancel;
use freezer::platform::SystemClock;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc::channel;
use std::sync::{Arc, LazyLock};

/// The address of the server, and a token for everything.
static SERVER: LazyLock<(SocketAddr, String)> = LazyLock::new(|| {
    let folder = std::env::temp_dir().join(format!("freezer-fuzz-api-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let database = format!("sqlite:{}", folder.join("api.sqlite").display());
    let service = ApiService::open(&database, 2, Arc::new(SystemClock)).expect("opened");
    let token = service
        .make_token(&NewToken::by_operator(&TokenScope::Admin, "p", "", None))
        .expect("made")
        .expose()
        .clone();
    let (sender, address) = channel();
    std::thread::spawn(move || {
        let listen = SocketAddr::from(([127, 0, 0, 1], 0));
        service.serve(
            ServerSettings::default(),
            listen,
            None,
            &Cancel::new(),
            |address| {
                sender.send(address).expect("somebody waits");
                Ok(())
            },
        )
    });
    let server = (address.recv().expect("it listens"), token);
    for (method, path, body, status) in entry_points::MADE {
        assert_eq!(
            ask(&server, method, path, body.as_bytes()).0,
            status,
            "{method} {path}"
        );
    }
    server
});

fn ask(
    (address, token): &(SocketAddr, String),
    method: &str,
    path: &str,
    body: &[u8],
) -> (u16, Vec<u8>) {
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\
         X-Auth-Token: {token}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream
        .write_all(&[head.as_bytes(), body].concat())
        .expect("sent");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("an answer");
    let end = answer
        .windows(4)
        .position(|bytes| bytes == b"\r\n\r\n")
        .expect("a head");
    let head = String::from_utf8_lossy(&answer[..end]).into_owned();
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok())
        .expect("a status");
    (status, answer.split_off(end + 4))
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if let Some((method, path, body)) = entry_points::api_request(data) {
        let (status, answer) = ask(&SERVER, method, path, body);
        entry_points::api_answer(status, &answer);
    }
});
