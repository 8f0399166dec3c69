//! Connections: TLS, clients that are too slow, and those that send too much.

use super::{Api, Database, text};
use crate::support::HANG;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use serde_json::json;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

/// Makes an authority, and a certificate of it for this machine: `NAME-ca.pem`, `NAME.pem`,
/// `NAME.key`.
fn certificate(folder: &Path, name: &str) {
    let script = "set -e
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 \\
            -subj /CN=authority -keyout $0-ca.key -out $0-ca.pem
        openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=server \\
            -keyout $0.key -out $0.csr
        printf 'subjectAltName=IP:127.0.0.1\\nbasicConstraints=CA:FALSE\\n' > $0.ext
        openssl x509 -req -in $0.csr -CA $0-ca.pem -CAkey $0-ca.key -CAcreateserial \\
            -days 2 -extfile $0.ext -out $0.pem";
    let output = Command::new("sh")
        .args(["-c", script, name])
        .current_dir(folder)
        .output()
        .expect("it runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Asks over TLS, trusting that authority alone; the whole answer.
fn ask(
    url: &str,
    authority: &Path,
    version: &'static rustls::SupportedProtocolVersion,
    path: &str,
) -> io::Result<String> {
    let address = url.strip_prefix("https://").expect("TLS");
    let mut roots = rustls::RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_file(authority).expect("a certificate"))
        .expect("an authority");
    let config = rustls::ClientConfig::builder_with_provider(Arc::new(
        rustls::crypto::ring::default_provider(),
    ))
    .with_protocol_versions(&[version])
    .expect("it is known")
    .with_root_certificates(roots)
    .with_no_client_auth();
    let name = ServerName::try_from("127.0.0.1").expect("a name");
    let connection = rustls::ClientConnection::new(Arc::new(config), name).expect("a client");
    let mut stream = rustls::StreamOwned::new(connection, TcpStream::connect(address)?);
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = String::new();
    match stream.read_to_string(&mut answer) {
        Err(error) if answer.is_empty() => Err(error),
        _ => Ok(answer),
    }
}

#[test]
#[ignore = "needs openssl, which makes certificates"]
fn with_a_certificate_tls_is_spoken_and_nothing_else() {
    let database = Arc::new(Database::sqlite());
    let place = |name: &str| database.home.path().join(name);
    for name in ["ours", "other"] {
        certificate(database.home.path(), name);
    }
    let api = Api::on(
        &database,
        &["--tls-certificate", "ours.pem", "--tls-key", "ours.key"],
    );
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let answer =
            ask(&api.url, &place("ours-ca.pem"), version, "/healthcheck").expect("an answer");
        assert!(
            answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with("OK"),
            "{answer}"
        );
    }
    let versions = ask(
        &api.url,
        &place("ours-ca.pem"),
        &rustls::version::TLS13,
        "/",
    )
    .expect("an answer");
    assert!(
        versions.contains(&format!("\"href\":\"{}/v2/\"", api.url)),
        "{versions}"
    );
    ask(
        &api.url,
        &place("other-ca.pem"),
        &rustls::version::TLS13,
        "/healthcheck",
    )
    .expect_err("another authority");
    let mut plain =
        TcpStream::connect(api.url.strip_prefix("https://").expect("TLS")).expect("it listens");
    plain.set_read_timeout(Some(HANG)).expect("set");
    plain
        .write_all(b"GET /healthcheck HTTP/1.1\r\nHost: x\r\n\r\n")
        .expect("sent");
    let mut answer = Vec::new();
    plain.read_to_end(&mut answer).ok();
    assert!(
        !answer.starts_with(b"HTTP"),
        "{}",
        String::from_utf8_lossy(&answer)
    );
    // The one that was sent away has harmed nobody.
    ask(
        &api.url,
        &place("ours-ca.pem"),
        &rustls::version::TLS13,
        "/healthcheck",
    )
    .expect("an answer");
    for (certificate, key, word) in [
        ("ours.pem", "other.key", "certificate and its key"),
        ("ours.pem", "none.key", "none.key"),
    ] {
        let mut command = database.command();
        let output = command
            .args([
                "--listen",
                "127.0.0.1:0",
                "--tls-certificate",
                certificate,
                "--tls-key",
                key,
            ])
            .output()
            .expect("it runs");
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            output.status.code() == Some(1) && told.contains(word),
            "{told}"
        );
    }
}

fn connect(api: &Api) -> TcpStream {
    let stream =
        TcpStream::connect(api.url.strip_prefix("http://").expect("http")).expect("it listens");
    stream.set_read_timeout(Some(HANG)).expect("set");
    stream
}

/// Sends a byte now and then until the connection has ended; how many were sent, and what was
/// answered.
fn trickle(mut stream: TcpStream, byte: u8) -> (usize, String) {
    let mut sent = 0;
    stream.set_nonblocking(true).expect("set");
    let mut answer = Vec::new();
    for _ in 0..HANG.as_millis() / 50 {
        std::thread::park_timeout(Duration::from_millis(50));
        let mut piece = [0; 4096];
        match stream.read(&mut piece) {
            Ok(0) => return (sent, String::from_utf8_lossy(&answer).into_owned()),
            Ok(length) => answer.extend_from_slice(&piece[..length]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => return (sent, String::from_utf8_lossy(&answer).into_owned()),
        }
        sent += stream.write(&[byte]).unwrap_or(0);
    }
    panic!("still there after {sent} bytes: {answer:?}");
}

#[test]
fn who_is_too_slow_is_dropped_and_others_are_answered() {
    let api = Api::on(&Arc::new(Database::sqlite()), &["--client-timeout", "1"]);
    // Silent from the beginning.
    let mut silent = connect(&api);
    // A head, and a body, that come a byte at a time and would take minutes.
    let mut head = connect(&api);
    head.write_all(b"GET /v2/default/jobs HTTP/1.1\r\nX-Slow: ")
        .expect("sent");
    let mut body = connect(&api);
    let begin = format!(
        "POST /v2/default/actions HTTP/1.1\r\nHost: x\r\nX-Auth-Token: {}\r\nContent-Length: 10000\r\n\r\n{{",
        api.token
    );
    body.write_all(begin.as_bytes()).expect("sent");
    let head = std::thread::spawn(move || trickle(head, b'x'));
    let body = std::thread::spawn(move || trickle(body, b' '));
    for _ in 0..20 {
        api.wants(200, "GET", "/v2/default/jobs", None);
    }
    assert_eq!(silent.read(&mut [0; 100]).expect("an end, no time-out"), 0);
    let (_, answer) = head.join().expect("ended");
    assert!(!answer.contains("200 OK"), "{answer}");
    let (_, answer) = body.join().expect("ended");
    assert!(
        answer.starts_with("HTTP/1.1 408 ") && answer.contains("did not arrive in time"),
        "{answer}"
    );
    api.wants(200, "GET", "/v2/default/jobs", None);
}

#[test]
fn who_takes_nothing_of_an_answer_is_dropped() {
    let api = Api::on(&Arc::new(Database::sqlite()), &["--client-timeout", "1"]);
    let long = "x".repeat(1_000_000);
    for _ in 0..3 {
        let record = json!({ "container": "c", "hostname": "h", "backup_name": "b", "long": long });
        text(
            &api.wants(201, "POST", "/v2/default/backups", Some(&record)),
            "backup_id",
        );
    }
    // Together more than the system keeps for a connection.
    let mut stream = connect(&api);
    let request = format!(
        "GET /v2/default/backups HTTP/1.1\r\nHost: x\r\nX-Auth-Token: {}\r\n\r\n",
        api.token
    );
    let asked = 20;
    stream
        .write_all(request.repeat(asked).as_bytes())
        .expect("sent");
    stream.set_nonblocking(true).expect("set");
    let dropped = (0..HANG.as_millis() / 50).any(|_| {
        std::thread::park_timeout(Duration::from_millis(50));
        matches!(stream.write(b"G"), Err(error) if error.kind() != io::ErrorKind::WouldBlock)
    });
    assert!(dropped, "it is still waited for");
    api.wants(200, "GET", "/v2/default/backups?limit=1", None);
}

#[test]
fn a_body_without_a_length_is_limited_too() {
    let api = Api::on(&Arc::new(Database::sqlite()), &["--body-limit", "64K"]);
    let mut stream = connect(&api);
    let head = format!(
        "POST /v2/default/actions HTTP/1.1\r\nHost: x\r\nX-Auth-Token: {}\r\nTransfer-Encoding: chunked\r\n\r\n",
        api.token
    );
    stream.write_all(head.as_bytes()).expect("sent");
    let chunk = format!("1000\r\n{}\r\n", " ".repeat(0x1000));
    let sent = (0..10_000)
        .take_while(|_| stream.write_all(chunk.as_bytes()).is_ok())
        .count();
    assert!(sent < 10_000, "all 40 MB of it were taken");
    // What it has answered may be lost with the connection, but it goes on.
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok();
    let answer = String::from_utf8_lossy(&answer).into_owned();
    assert!(
        answer.is_empty() || answer.starts_with("HTTP/1.1 413 "),
        "{answer}"
    );
    api.wants(200, "GET", "/v2/default/actions", None);
}

#[test]
fn wrong_passwords_are_limited_and_right_ones_are_not() {
    let database = Arc::new(Database::sqlite());
    std::fs::write(database.home.path().join("pw"), "right\n").expect("written");
    database.run(&[
        "add-user",
        "ann",
        "--project",
        "tecs",
        "--password-file",
        "pw",
    ]);
    let api = Api::on(&database, &[]);
    let log_in = |password: &str| {
        let identity = json!({
            "methods": ["password"],
            "password": {
                "user": { "name": "ann", "domain": { "name": "Default" }, "password": password },
            },
        });
        api.ask_with(
            &[],
            "POST",
            "/v3/auth/tokens",
            Some(&json!({ "auth": { "identity": identity } }).to_string()),
        )
        .status
    };
    // As a script does that runs one command after the other.
    assert!((0..80).all(|_| log_in("right") == 201));
    // More at once than the limit lets in: how fast this machine looks at a password is no matter.
    let guesses: Vec<u16> = std::thread::scope(|scope| {
        let guessers: Vec<_> = (0..100).map(|_| scope.spawn(|| log_in("wrong"))).collect();
        guessers
            .into_iter()
            .map(|guesser| guesser.join().expect("no panic"))
            .collect()
    });
    let looked_at = guesses.iter().filter(|status| **status == 401).count();
    assert!(
        (10..100).contains(&looked_at),
        "{looked_at} guesses were looked at: {guesses:?}"
    );
    let back = (0..HANG.as_millis() / 50).any(|_| {
        std::thread::park_timeout(Duration::from_millis(50));
        log_in("right") == 201
    });
    assert!(back, "the limit does not end");
}

#[test]
#[ignore = "needs openssl, which makes certificates"]
fn a_server_is_told_no_token_unless_a_trusted_authority_signed_its_certificate() {
    let database = Arc::new(Database::sqlite());
    let home = database.home.path();
    certificate(home, "ours");
    let token = database.token(&["--project", "tecs"]);
    std::fs::write(home.join("token"), token).expect("written");
    let tls = ["--tls-certificate", "ours.pem", "--tls-key", "ours.key"];
    let api = Api::on(&database, &tls);
    let ask = |url: &str, authority: Option<&str>| {
        let mut client = Command::new(env!("CARGO_BIN_EXE_freezer"));
        client
            .args(["job", "list", "--api-url", url, "--api-token-file", "token"])
            .args(["--api-project", "tecs"])
            .env_clear()
            .env("HOME", home)
            .envs(authority.map(|file| ("SSL_CERT_FILE", home.join(file))))
            .current_dir(home);
        let output = client.output().expect("it runs");
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.success(), told)
    };
    let (done, told) = ask(&api.url, Some("ours-ca.pem"));
    assert!(done, "{told}");
    certificate(home, "other");
    let (done, told) = ask(&api.url, Some("other-ca.pem"));
    assert!(!done && told.contains("certificate"), "{told}");
}
