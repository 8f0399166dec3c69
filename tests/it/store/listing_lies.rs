//! Servers that lie about what there is: a listing ends, in bounded memory, with names that are in
//! order and were asked for, or with an error that says why.

use super::remote::open_at_once;
use crate::support::liar::{Asked, Liar, answer, for_ever, head};
use freezer::store::{Error, ErrorKind, StoreSettings};
use std::error::Error as _;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Lists everything below `d/` of a store at `url`; gives up after a second of silence.
fn listed(url: &str, settings: StoreSettings) -> Result<Vec<String>, Error> {
    let store = open_at_once(url, settings.with_idle(Duration::from_secs(1)))?;
    let mut names = Vec::new();
    store.list("d/", &mut |object| {
        names.push(object.name.to_string());
        true
    })?;
    Ok(names)
}

/// Returns why a listing failed. It never is damage.
fn refusal(outcome: Result<Vec<String>, Error>, what: &str) -> String {
    let error = outcome.expect_err(what);
    assert!(!error.kind().is_damage(), "{what}: {error}");
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    assert!(text.len() < 1500, "{what}: {} bytes", text.len());
    text
}

type Page = dyn Fn(usize) -> String + Send + Sync;

/// A server that answers each request with the next page.
fn pages(page: impl Fn(usize) -> String + Send + Sync + 'static) -> Liar {
    let (page, number): (Arc<Page>, _) = (Arc::new(page), AtomicUsize::new(0));
    Liar::new(move |asked, to| match asked.path.starts_with("/auth/") {
        true => logged_in(asked, to),
        false => answer(
            to,
            200,
            &[],
            page(number.fetch_add(1, Ordering::SeqCst)).as_bytes(),
        ),
    })
}

fn logged_in(asked: &Asked, to: &mut TcpStream) -> std::io::Result<()> {
    let host = asked
        .head
        .lines()
        .find_map(|line| line.strip_prefix("host: "));
    let url = format!("x-storage-url: http://{}/v1/me", host.unwrap_or_default());
    answer(to, 200, &["x-auth-token: t", &url], b"")
}

fn s3(liar: &Liar) -> Result<Vec<String>, Error> {
    let settings = StoreSettings::default()
        .with_option("endpoint", liar.url())
        .with_variable("AWS_ACCESS_KEY_ID", "me")
        .with_variable("AWS_SECRET_ACCESS_KEY", "secret");
    listed("s3://bucket/x", settings)
}

fn swift(liar: &Liar) -> Result<Vec<String>, Error> {
    let settings = StoreSettings::default()
        .with_variable("ST_AUTH", format!("{}/auth/v1.0", liar.url()))
        .with_variable("ST_USER", "me")
        .with_variable("ST_KEY", "secret");
    listed("swift:box/x", settings)
}

fn s3_page(keys: &[String], token: Option<&str>) -> String {
    let contents: String = keys
        .iter()
        .map(|key| format!("<Contents><Key>{key}</Key><Size>7</Size></Contents>"))
        .collect();
    let next = token.map(|token| format!("<NextContinuationToken>{token}</NextContinuationToken>"));
    format!(
        "<ListBucketResult><IsTruncated>{}</IsTruncated>{contents}{}</ListBucketResult>",
        token.is_some(),
        next.unwrap_or_default()
    )
}

fn swift_page(names: &[String]) -> String {
    let rows: Vec<String> = names
        .iter()
        .map(|name| format!("{{\"name\": {name:?}, \"bytes\": 7, \"hash\": \"\"}}"))
        .collect();
    format!("[{}]", rows.join(","))
}

fn texts(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn s3_and_swift_list_what_is_there_and_pass_other_programs_by() {
    let names = ["x/d/a", "x/d/b c", "x/d/e"];
    let expected = texts(&["d/a", "d/e"]);
    let liar = pages(move |_| s3_page(&texts(&names), None));
    assert_eq!(s3(&liar).expect("listed"), expected);
    let liar = pages(move |_| swift_page(&texts(&names)));
    assert_eq!(swift(&liar).expect("listed"), expected);
}

#[test]
fn keys_out_of_order_twice_or_never_asked_for_are_found_out_and_named() {
    for (names, named) in [
        (["x/d/b", "x/d/a"], "order"),
        (["x/d/b", "x/d/b"], ""),
        (["x/d/a", "y/d/b"], "y/d/b"),
        (["x/d/a", "x/e/b"], "x/e/b"),
        (["/etc/passwd", "x/d/a"], "/etc/passwd"),
    ] {
        let liar = pages(move |_| s3_page(&texts(&names), None));
        let told = refusal(s3(&liar), "S3");
        assert!(told.contains(named), "{told}");
        let liar = pages(move |_| swift_page(&texts(&names)));
        let told = refusal(swift(&liar), "Swift");
        assert!(told.contains(named) || told.contains("order"), "{told}");
    }
}

#[test]
fn pages_without_end_are_ended() {
    let page = |from: usize| {
        (from..from + 3)
            .map(|at| format!("x/d/{at:06}"))
            .collect::<Vec<_>>()
    };
    // Two tokens in turns, with the same names again and again.
    let liar = pages(move |at| s3_page(&page(0), Some(if at % 2 == 0 { "A" } else { "B" })));
    refusal(s3(&liar), "the same page");
    assert!(liar.count() <= 3, "{} requests", liar.count());
    // Always a new token, and never a name.
    let liar = pages(|at| s3_page(&[], Some(&at.to_string())));
    let told = refusal(s3(&liar), "empty pages");
    assert!(
        told.contains("page after page") && liar.count() < 200,
        "{told}"
    );
    // The same token, with new names.
    let liar = pages(move |at| s3_page(&page(3 * at), Some("A")));
    refusal(s3(&liar), "the same token");
    // Another program's names, again and again.
    let liar = pages(|at| s3_page(&texts(&["x/d/a b"]), Some(&at.to_string())));
    refusal(s3(&liar), "names of another program");
    let liar = pages(|_| s3_page(&[], Some(&"t".repeat(100_000))));
    assert!(refusal(s3(&liar), "a long token").contains("token of 100000 bytes"));
    let same: Vec<String> = (0..1000).map(|at| format!("x/d/{at:06}")).collect();
    let liar = pages(move |_| swift_page(&same));
    refusal(swift(&liar), "the same names");
    let liar = pages(|_| format!("[{}]", vec!["{\"subdir\": \"x/d/\"}"; 1000].join(",")));
    let told = refusal(swift(&liar), "no names");
    assert!(
        told.contains("page after page") && liar.count() < 200,
        "{told}"
    );
}

#[test]
fn a_document_that_is_no_listing_is_no_empty_listing() {
    let page = "<!DOCTYPE html><html><body>Please log in</body></html>";
    for document in [
        page.to_owned(),
        format!("<a>{}", "<a>".repeat(1_000_000)),
        "<Error><Code>SlowDown</Code></Error>".to_owned(),
        "x".repeat(17 << 20),
        "{\"items\": []}".to_owned(),
    ] {
        let what = document.get(..20).unwrap_or(&document).to_owned();
        let liar = pages({
            let document = document.clone();
            move |_| document.clone()
        });
        refusal(s3(&liar), &what);
        refusal(swift(&liar), &what);
    }
}

#[test]
fn a_listing_of_many_mb_or_without_end_is_refused_in_time() {
    let endless = || {
        Liar::new(|asked, to| {
            if asked.path.starts_with("/auth/") {
                return logged_in(asked, to);
            }
            let status = if asked.method == "PROPFIND" { 207 } else { 200 };
            head(to, status, &["transfer-encoding: chunked"])?;
            for_ever(to, &[b' '; 65_536])
        })
    };
    refusal(s3(&endless()), "S3");
    refusal(swift(&endless()), "Swift");
    let told = refusal(webdav(&endless()), "WebDAV");
    assert!(told.contains("more than 64 MiB"), "{told}");
}

fn webdav(liar: &Liar) -> Result<Vec<String>, Error> {
    listed(
        &format!("webdav://{}/x?tls=no", liar.host()),
        StoreSettings::default(),
    )
}

/// A WebDAV server whose folders have what `contents` says of a path.
fn dav(contents: impl Fn(&str) -> String + Send + Sync + 'static) -> Liar {
    Liar::new(move |asked, to| {
        let path = asked.path.trim_end_matches('/');
        let itself = dav_folder(&format!("{path}/"));
        let all = if asked.head.contains("depth: 0") {
            itself
        } else {
            itself + &contents(path)
        };
        let document = format!("<D:multistatus xmlns:D=\"DAV:\">{all}</D:multistatus>");
        answer(to, 207, &[], document.as_bytes())
    })
}

fn dav_folder(href: &str) -> String {
    dav_entry(href, "<D:resourcetype><D:collection/></D:resourcetype>")
}

fn dav_file(href: &str) -> String {
    dav_entry(href, "<D:getcontentlength>7</D:getcontentlength>")
}

fn dav_entry(href: &str, properties: &str) -> String {
    format!(
        "<D:response><D:href>{href}</D:href><D:propstat><D:prop>{properties}</D:prop>\
         <D:status>HTTP/1.1 200 OK</D:status></D:propstat></D:response>"
    )
}

#[test]
fn webdav_lists_what_is_there_in_any_order_and_twice() {
    let liar = dav(|path| match path {
        "/x/d" => ["/x/d/c", "/x/d/b%20b", "/x/d/a", "/x/d/c"]
            .map(dav_file)
            .concat(),
        path => panic!("{path} was not to be looked into"),
    });
    assert_eq!(webdav(&liar).expect("listed"), ["d/a", "d/c"]);
}

/// Before answers were checked, OpenDAL panicked at some of these.
#[test]
fn a_path_that_is_not_in_the_folder_is_an_error_and_no_panic() {
    for href in [
        "/etc/passwd",
        "/",
        "",
        "/x",
        "/x/",
        "x",
        "/d",
        "/x/é",
        "é",
        "/x/../../y/",
        "%",
        "%ff",
        "http://evil/",
        "http://evil/x/e",
        "/x/d/../../",
    ] {
        for entry in [dav_folder, dav_file] {
            let liar = dav(move |_| entry(href));
            let told = refusal(webdav(&liar), href);
            assert!(told.contains("not in the folder"), "{href}: {told}");
        }
    }
}

#[test]
fn folders_in_folders_without_end_are_left() {
    let liar = dav(|path| dav_folder(&format!("{path}/deeper/")));
    assert_eq!(
        webdav(&liar).expect("nothing is there"),
        Vec::<String>::new()
    );
    assert!(liar.count() < 40, "{} requests", liar.count());
}

#[test]
fn a_server_that_does_not_speak_webdav_has_no_empty_folders() {
    for (status, document) in [
        (200, ""),
        (200, "<html><body>Please log in</body></html>"),
        (207, ""),
        (207, "<D:multistatus xmlns:D=\"DAV:\"/>"),
        (207, "<html><body>Please log in</body></html>"),
        (204, ""),
    ] {
        let liar = Liar::new(move |_, to| answer(to, status, &[], document.as_bytes()));
        let error = webdav(&liar).expect_err("no listing");
        assert_eq!(
            error.kind(),
            ErrorKind::Failed,
            "{status} {document}: {error}"
        );
    }
}
