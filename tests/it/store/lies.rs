//! Servers that lie: whatever they say, a call ends with the right bytes or with an error that says
//! why. It never ends with wrong bytes, a panic, or not at all, and an answer that is none of the
//! store's is never called damage.

use super::remote::open_at_once;
use crate::support::liar::{Asked, Liar, answer, for_ever, head};
use freezer::store::{Error, ErrorKind, ObjectName, Store, StoreExt, StoreSettings};
use std::error::Error as _;
use std::io::Write;
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

/// A kind of store that is asked over HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    S3,
    Swift,
    Webdav,
}

const KINDS: [Kind; 3] = [Kind::S3, Kind::Swift, Kind::Webdav];

fn body() -> Vec<u8> {
    (0..1000_u32)
        .map(|at| u8::try_from(at * 7 % 251).expect("less than 251"))
        .collect()
}

fn name(text: &str) -> ObjectName {
    ObjectName::new(text).expect("legal")
}

/// Opens a store below `x/` at a server, which is given up after a second of silence.
fn open(kind: Kind, liar: &Liar) -> Arc<dyn Store> {
    let settings = StoreSettings::default().with_idle(Duration::from_secs(1));
    let (url, settings) = match kind {
        Kind::S3 => (
            "s3://bucket/x".to_owned(),
            settings
                .with_option("endpoint", liar.url())
                .with_variable("AWS_ACCESS_KEY_ID", "me")
                .with_variable("AWS_SECRET_ACCESS_KEY", "secret"),
        ),
        Kind::Swift => (
            "swift:box/x".to_owned(),
            settings
                .with_variable("ST_AUTH", format!("{}/auth/v1.0", liar.url()))
                .with_variable("ST_USER", "me")
                .with_variable("ST_KEY", "secret"),
        ),
        Kind::Webdav => (format!("webdav://{}/x?tls=no", liar.host()), settings),
    };
    open_at_once(&url, settings).expect("opened")
}

/// Answers what comes before an object or a listing; `None` when `asked` is for one.
fn preliminary(asked: &Asked, to: &mut TcpStream) -> Option<std::io::Result<()>> {
    if asked.path.starts_with("/auth/") {
        let host = asked
            .head
            .lines()
            .find_map(|line| line.strip_prefix("host: "));
        let url = format!("x-storage-url: http://{}/v1/me", host.unwrap_or_default());
        return Some(answer(to, 200, &["x-auth-token: t", &url], b""));
    }
    None
}

fn text_of(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// A lie about an object, and the kinds of errors that may come of it.
struct Lie {
    what: &'static str,
    say: fn(&Asked, &mut TcpStream) -> std::io::Result<()>,
    may: &'static [ErrorKind],
}

const FAILED: &[ErrorKind] = &[ErrorKind::Failed];
const PASSES: &[ErrorKind] = &[ErrorKind::Unavailable];

/// Answers the part that is asked for, or all, as an honest server does.
fn honest(asked: &Asked, to: &mut TcpStream) -> std::io::Result<()> {
    let body = body();
    match asked.range() {
        None => answer(to, 200, &[], &body),
        Some([first, last]) => {
            let range = format!("content-range: bytes {first}-{last}/1000");
            answer(to, 206, &[&range], &body[first..=last])
        }
    }
}

/// Lies about a part of an object.
const OF_PARTS: &[Lie] = &[
    Lie {
        what: "fewer bytes, of an object that has them",
        say: |_, to| {
            answer(
                to,
                206,
                &["content-range: bytes 10-59/1000"],
                &body()[10..60],
            )
        },
        may: FAILED,
    },
    Lie {
        what: "more bytes",
        say: |_, to| {
            answer(
                to,
                206,
                &["content-range: bytes 10-309/1000"],
                &body()[10..310],
            )
        },
        may: FAILED,
    },
    Lie {
        what: "another part",
        say: |_, to| {
            answer(
                to,
                206,
                &["content-range: bytes 11-110/1000"],
                &body()[11..111],
            )
        },
        may: FAILED,
    },
    Lie {
        what: "a part of no place",
        say: |_, to| answer(to, 206, &[], &body()[10..110]),
        may: FAILED,
    },
    Lie {
        what: "a part at the end of all numbers",
        say: |_, to| {
            let range = "content-range: bytes 18446744073709551615-18446744073709551615/*";
            answer(to, 206, &[range], &body()[10..110])
        },
        may: FAILED,
    },
    Lie {
        what: "all of it",
        say: |_, to| answer(to, 200, &[], &body()),
        may: FAILED,
    },
    Lie {
        what: "that it has no such part, and yet is longer",
        say: |_, to| answer(to, 416, &["content-range: bytes */1000"], b""),
        may: FAILED,
    },
    Lie {
        what: "a body that ends before its time",
        say: |_, to| {
            let headers = ["content-length: 100", "content-range: bytes 10-109/1000"];
            head(to, 206, &headers)?;
            to.write_all(&body()[10..60])
        },
        may: PASSES,
    },
];

/// Lies that are the same for a part and for all of an object.
const OF_ALL: &[Lie] = &[
    Lie {
        what: "a web page",
        say: |_, to| {
            let page = b"<!DOCTYPE html><html><body>Please log in</body></html>";
            answer(to, 200, &["content-type: text/html; charset=utf-8"], page)
        },
        may: PASSES,
    },
    Lie {
        what: "an error of many MB",
        say: |_, to| answer(to, 500, &[], &vec![b'x'; 20 << 20]),
        may: PASSES,
    },
    Lie {
        what: "an error without end",
        say: |_, to| {
            head(to, 403, &["transfer-encoding: chunked"])?;
            for_ever(to, &[b'x'; 65_536])
        },
        may: &[ErrorKind::Denied],
    },
    Lie {
        what: "that it is elsewhere",
        say: |_, to| answer(to, 307, &["location: http://127.0.0.1:9/?secret"], b""),
        may: FAILED,
    },
    Lie {
        what: "no HTTP",
        say: |_, to| to.write_all(b"SSH-2.0-OpenSSH_9.9\r\n\r\n"),
        may: &[ErrorKind::Failed, ErrorKind::Unavailable],
    },
    Lie {
        what: "headers without end",
        say: |_, to| {
            to.write_all(b"HTTP/1.1 200 OK\r\n")?;
            loop {
                to.write_all(b"x-a: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n")?;
            }
        },
        may: &[ErrorKind::Failed, ErrorKind::Unavailable],
    },
    Lie {
        what: "a negative length",
        say: |_, to| head(to, 200, &["content-length: -5"]),
        may: &[ErrorKind::Failed, ErrorKind::Unavailable],
    },
    Lie {
        what: "to wait for ever",
        say: |_, to| answer(to, 503, &["retry-after: 18446744073709551615"], b""),
        may: PASSES,
    },
    Lie {
        what: "a byte now and then",
        say: |asked, to| {
            let range = asked.range().unwrap_or([0, 999]);
            let status = if asked.range().is_some() { 206 } else { 200 };
            let part = format!("content-range: bytes {}-{}/1000", range[0], range[1]);
            let length = format!("content-length: {}", range[1] + 1 - range[0]);
            head(to, status, &[&part, &length])?;
            for byte in &body()[range[0]..=range[1]] {
                to.write_all(&[*byte])?;
                pause();
            }
            Ok(())
        },
        may: PASSES,
    },
    Lie {
        what: "a head that drips",
        say: |_, to| {
            for byte in b"HTTP/1.1 200 OK\r\nx-a: ".iter().chain(&[b'a'; 10_000]) {
                to.write_all(&[*byte])?;
                pause();
            }
            Ok(())
        },
        may: PASSES,
    },
];

/// Less than what counts as silence.
fn pause() {
    freezer::platform::pause(Duration::from_millis(100), &freezer::model::Cancel::new());
}

/// A server that answers every GET of an object with a lie.
fn with_lie(lie: &'static Lie) -> Liar {
    Liar::new(move |asked, to| match preliminary(asked, to) {
        Some(done) => done,
        None if asked.method == "GET" => (lie.say)(asked, to),
        None => answer(to, 404, &[], b""),
    })
}

fn check(kind: Kind, lie: &Lie, read: Result<Vec<u8>, Error>) {
    let told = match &read {
        Ok(bytes) => panic!("{kind:?} believes {}: {} bytes", lie.what, bytes.len()),
        Err(error) => text_of(error),
    };
    let error = read.expect_err("as was looked at");
    assert!(
        lie.may.contains(&error.kind()),
        "{kind:?}, {}: {told}",
        lie.what
    );
    assert!(told.len() < 1500 && !told.contains("secret"), "{told}");
}

#[test]
fn the_honest_server_of_these_tests_is_read() {
    for kind in KINDS {
        let liar = Liar::new(|asked, to| match preliminary(asked, to) {
            Some(done) => done,
            None => honest(asked, to),
        });
        let store = open(kind, &liar);
        let read = |outcome: Result<Vec<u8>, Error>| outcome.map_err(|error| text_of(&error));
        assert_eq!(read(store.get(&name("a"), 9999)), Ok(body()), "{kind:?}");
        let part = read(store.get_range(&name("a"), 10, 100));
        assert_eq!(part, Ok(body()[10..110].to_vec()), "{kind:?}");
    }
}

#[test]
fn no_lie_about_a_part_is_believed() {
    for kind in KINDS {
        for lie in OF_PARTS.iter().chain(OF_ALL) {
            let store = open(kind, &with_lie(lie));
            check(kind, lie, store.get_range(&name("a"), 10, 100));
        }
    }
}

#[test]
fn no_lie_about_an_object_is_believed() {
    for kind in KINDS {
        for lie in OF_ALL {
            let store = open(kind, &with_lie(lie));
            check(kind, lie, store.get(&name("a"), 9999));
        }
    }
}

#[test]
fn a_body_without_end_is_read_no_further_than_was_asked_for() {
    for kind in KINDS {
        let liar = Liar::new(|asked, to| match preliminary(asked, to) {
            Some(done) => done,
            None => {
                let range = "content-range: bytes 10-109/1000";
                let status = if asked.range().is_some() { 206 } else { 200 };
                head(to, status, &["transfer-encoding: chunked", range])?;
                for_ever(to, &[b'x'; 65_536])
            }
        });
        let store = open(kind, &liar);
        let error = store.get(&name("a"), 9999).expect_err("no end");
        assert_eq!(error.kind(), ErrorKind::TooLarge, "{kind:?}");
        match store.get_range(&name("a"), 10, 100) {
            Ok(part) => assert_eq!(
                part, [b'x'; 100],
                "{kind:?}: the frame tells that it is wrong"
            ),
            Err(error) => assert!(!text_of(&error).is_empty()),
        }
    }
}

#[test]
fn a_web_page_in_place_of_the_answer_is_no_success_of_a_write() {
    for kind in KINDS {
        let liar = Liar::new(|asked, to| match preliminary(asked, to) {
            Some(done) => done,
            None => {
                let page = b"<html>Please log in</html>";
                answer(to, 200, &["content-type: text/html"], page)
            }
        });
        let store = open(kind, &liar);
        let error = store
            .put(&name("a"), &vec![b"body".to_vec()])
            .expect_err("nothing was stored");
        assert!(
            text_of(&error).contains("web page"),
            "{kind:?}: {}",
            text_of(&error)
        );
        let error = store.delete(&name("a")).expect_err("nothing was removed");
        assert!(
            text_of(&error).contains("web page"),
            "{kind:?}: {}",
            text_of(&error)
        );
    }
}

#[test]
fn nobody_is_sent_elsewhere() {
    for kind in KINDS {
        let elsewhere = Liar::new(|_, to| answer(to, 200, &[], &body()));
        let location = format!("location: {}/y?token=secret", elsewhere.url());
        let liar = Liar::new(move |asked, to| match preliminary(asked, to) {
            Some(done) => done,
            None => answer(to, 302, &[&location], b""),
        });
        let store = open(kind, &liar);
        let error = store.get(&name("a"), 9999).expect_err("sent on");
        let told = text_of(&error);
        assert!(
            told.contains(&elsewhere.url()) && !told.contains("secret"),
            "{told}"
        );
        store.list("", &mut |_| true).expect_err("sent on");
        assert_eq!(elsewhere.count(), 0, "{kind:?}");
    }
}
