//! A store that is reached over plain HTTP: the user is told what others can read.

use super::{Said, User, said};
use crate::support::liar::{Liar, answer};
use std::collections::BTreeMap;
use std::sync::Mutex;

/// An S3 server that keeps what it is sent. It is a proxy as well: the path may be a whole URL.
fn s3() -> Liar {
    let kept: Mutex<BTreeMap<String, Vec<u8>>> = Mutex::default();
    Liar::with_bodies(move |asked, body, to| {
        let path = match asked.path.split_once("://") {
            Some((_, rest)) => rest.split_once('/').map_or("", |(_, path)| path),
            None => asked.path.trim_start_matches('/'),
        };
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        // Names of objects are percent-encoded in a URL, and may have a percent sign themselves.
        let decoded = |text: &str| text.replace("%2F", "/").replace("%25", "%");
        let key = decoded(path.split_once('/').map_or("", |(_, key)| key));
        let mut kept = kept.lock().expect("no panic");
        match asked.method.as_str() {
            "PUT" => {
                kept.insert(key, body.to_vec());
                answer(to, 200, &[], b"")
            }
            "DELETE" => {
                kept.remove(&key);
                answer(to, 204, &[], b"")
            }
            "GET" if query.contains("list-type") => {
                let prefix = query
                    .split('&')
                    .find_map(|pair| pair.strip_prefix("prefix="))
                    .map(decoded)
                    .unwrap_or_default();
                let rows: String = kept
                    .iter()
                    .filter(|(key, _)| key.starts_with(&prefix))
                    .map(|(key, body)| {
                        format!(
                            "<Contents><Key>{key}</Key><Size>{}</Size></Contents>",
                            body.len()
                        )
                    })
                    .collect();
                let page = format!(
                    "<ListBucketResult><IsTruncated>false</IsTruncated>{rows}</ListBucketResult>"
                );
                answer(to, 200, &[], page.as_bytes())
            }
            "HEAD" => answer(to, 200, &[], b""),
            _ => match (kept.get(&key), asked.range()) {
                (None, _) => answer(to, 404, &[], b"<Error><Code>NoSuchKey</Code></Error>"),
                (Some(body), None) => answer(to, 200, &[], body),
                (Some(body), Some([first, last])) => {
                    let range = format!("content-range: bytes {first}-{last}/{}", body.len());
                    answer(to, 206, &[&range], &body[first..=last])
                }
            },
        }
    })
}

fn runs(user: &User, arguments: &str, endpoint: &str, proxy: Option<&str>) -> Said {
    let mut command = user.freezer();
    command
        .args(arguments.split_whitespace())
        .args(["--store", "s3://bucket"])
        .env("AWS_ACCESS_KEY_ID", "me")
        .env("AWS_SECRET_ACCESS_KEY", "secret")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("AWS_ENDPOINT_URL", endpoint);
    if let Some(proxy) = proxy {
        command.args(["--proxy", proxy]);
    }
    said(&mut command)
}

const WARNING: &str =
    "warning: names and contents of files go to http://store.example in the clear";

#[test]
fn a_plain_store_over_plain_http_is_told_once_in_each_run() {
    let (server, user) = (s3(), User::with_docs());
    let proxy = server.url();
    let runs = |arguments: &str| {
        let said = runs(&user, arguments, "http://store.example", Some(&proxy));
        assert_eq!(said.code, 0, "{arguments}: {said:?}");
        said.err
    };
    for arguments in [
        "backup docs --hostname here",
        "backup docs --hostname here",
        "list",
        "ls docs",
    ] {
        let told = runs(arguments);
        assert_eq!(told.matches(WARNING).count(), 1, "{arguments}: {told}");
        assert!(told.contains("https"), "{told}");
    }
}

#[test]
fn an_encrypted_store_over_plain_http_is_no_reason_for_a_warning() {
    let (server, user) = (s3(), User::with_docs());
    user.write("pass", "secret pass\n");
    let arguments = "backup docs --hostname here --encrypt-pass-file pass";
    let said = runs(
        &user,
        arguments,
        "http://store.example",
        Some(&server.url()),
    );
    assert_eq!(said.code, 0, "{said:?}");
    assert!(!said.err.contains("in the clear"), "{said:?}");
}

#[test]
fn on_this_machine_it_is_noted_when_the_store_is_made() {
    let (server, user) = (s3(), User::with_docs());
    let first = runs(&user, "backup docs --hostname here", &server.url(), None);
    assert_eq!(first.code, 0, "{first:?}");
    assert_eq!(first.err.matches("in the clear").count(), 1, "{first:?}");
    let second = runs(&user, "backup docs --hostname here", &server.url(), None);
    assert_eq!(second.code, 0, "{second:?}");
    assert!(!second.err.contains("in the clear"), "{second:?}");
}
