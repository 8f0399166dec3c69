//! A store that sends a byte at a time, and a signal.

use super::User;
use freezer::model::Cancel;
use freezer::platform::pause;
use rustix::process::{Pid, Signal, kill_process};
use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

/// An S3 server for the objects of a local store, which sends segments byte by byte.
struct DripServer {
    port: u16,
    /// Hears of each segment that is asked for.
    dripping: Receiver<()>,
}

impl DripServer {
    fn of(store: PathBuf) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("bound").port();
        let (sender, dripping) = channel();
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (store, sender) = (store.clone(), sender.clone());
                thread::spawn(move || serve(&client, &store, &sender));
            }
        });
        Self { port, dripping }
    }
}

/// Answers the requests of one connection. Ends when the client has gone.
fn serve(client: &TcpStream, store: &Path, dripping: &Sender<()>) -> Option<()> {
    let mut input = BufReader::new(client);
    loop {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            if input.read_line(&mut line).ok()? == 0 {
                return None;
            }
            match line.trim() {
                "" => break,
                line => lines.push(line.to_owned()),
            }
        }
        let target = lines.first()?.split(' ').nth(1)?.to_owned();
        let headers: HashMap<String, String> = lines
            .iter()
            .skip(1)
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
            .collect();
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        let key = path.trim_start_matches("/bk").trim_start_matches('/');
        if key.is_empty() {
            send(client, "200 OK", "", listing(store, query).as_bytes())?;
            continue;
        }
        let Ok(object) = std::fs::read(store.join(key.replace("%23", "#"))) else {
            let missing = b"<Error><Code>NoSuchKey</Code></Error>";
            send(client, "404 Not Found", "", missing)?;
            continue;
        };
        if lines.first()?.starts_with("HEAD") {
            let length = object.len();
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
            let mut client = client;
            client.write_all(head.as_bytes()).ok()?;
            continue;
        }
        let range = headers.get("range").and_then(|range| {
            let (first, last) = range.strip_prefix("bytes=")?.split_once('-')?;
            Some((first.parse::<usize>().ok()?, last.parse::<usize>().ok()?))
        });
        let (status, about, part) = match range {
            None => ("200 OK", String::new(), &object[..]),
            Some((first, last)) => {
                let last = last.min(object.len() - 1);
                let about = format!("Content-Range: bytes {first}-{last}/{}\r\n", object.len());
                ("206 Partial Content", about, &object[first..=last])
            }
        };
        if key.contains("/segments/") {
            drip(client, status, &about, part, dripping)?;
        } else {
            send(client, status, &about, part)?;
        }
    }
}

fn send(mut client: &TcpStream, status: &str, about: &str, body: &[u8]) -> Option<()> {
    let length = body.len();
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n{about}\r\n");
    client.write_all(head.as_bytes()).ok()?;
    client.write_all(body).ok()
}

fn drip(
    mut client: &TcpStream,
    status: &str,
    about: &str,
    body: &[u8],
    dripping: &Sender<()>,
) -> Option<()> {
    let length = body.len();
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n{about}\r\n");
    client.write_all(head.as_bytes()).ok()?;
    dripping.send(()).ok()?;
    let never = Cancel::new();
    for byte in body {
        client.write_all(&[*byte]).ok()?;
        pause(Duration::from_millis(20), &never);
    }
    Some(())
}

fn listing(store: &Path, query: &str) -> String {
    let prefix = query
        .split('&')
        .find_map(|part| part.strip_prefix("prefix="))
        .unwrap_or_default()
        .replace("%2F", "/");
    let mut names = Vec::new();
    let mut waiting = vec![store.to_owned()];
    while let Some(folder) = waiting.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
            let path = entry.path();
            let name = path.strip_prefix(store).expect("below");
            let name = name.to_string_lossy().into_owned();
            if path.is_dir() {
                waiting.push(path);
            } else if name.starts_with(&prefix) {
                names.push((name, entry.metadata().expect("there").len()));
            }
        }
    }
    names.sort();
    let mut text = "<ListBucketResult><IsTruncated>false</IsTruncated>".to_owned();
    for (name, size) in names {
        write!(
            text,
            "<Contents><Key>{name}</Key><Size>{size}</Size></Contents>"
        )
        .expect("memory");
    }
    text + "</ListBucketResult>"
}

/// Starts a command on the store behind the server.
fn start(user: &User, server: &DripServer, arguments: &str) -> Child {
    user.freezer()
        .args(arguments.split_whitespace())
        .args(["--store", "s3://bk"])
        .env("AWS_ACCESS_KEY_ID", "a")
        .env("AWS_SECRET_ACCESS_KEY", "b")
        .env(
            "AWS_ENDPOINT_URL",
            format!("http://127.0.0.1:{}", server.port),
        )
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts")
}

#[test]
fn a_signal_ends_every_command_while_the_store_drips() {
    let user = User::new();
    let content: Vec<u8> = blake3::hash(b"seed").as_bytes().repeat(4000);
    user.write("docs/a", content);
    user.succeeds("backup docs --compression none");
    let store = user.path(".local/share/freezer/store");
    let commands = [
        "restore docs --target t",
        "check --read-data",
        "export docs",
        "cat docs a",
    ];
    let running = commands.map(|command| {
        let server = DripServer::of(store.clone());
        let child = start(&user, &server, command);
        server.dripping.recv().expect("it asks for a segment");
        kill_process(Pid::from_child(&child), Signal::TERM).expect("sent");
        (command, server, child)
    });
    for (command, _server, child) in running {
        let output = child.wait_with_output().expect("it ends");
        let told = String::from_utf8_lossy(&output.stderr);
        // A command that changes nothing is ended by the signal itself.
        let is_reader = command.starts_with("cat");
        let expected = if is_reader { None } else { Some(130) };
        assert_eq!(output.status.code(), expected, "{command}: {told}");
        if is_reader {
            assert_eq!(output.status.signal(), Some(Signal::TERM.as_raw()));
        } else {
            assert!(told.contains("interrupted"), "{command}: {told}");
        }
    }
}
