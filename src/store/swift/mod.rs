//! OpenStack Swift.
//!
//! One request for one call, on a container or below a prefix of one. The log-in
//! is `net`'s; a token that the server refuses in the middle of a run is renewed once, and the call made
//! again.

use super::address::Address;
use super::error::{about, network};
use super::location::IfMissing;
use super::{
    Error, Joined, Kind, ObjectInfo, ObjectName, Rope, Settings, Store, Verb, legal_prefix,
};
use crate::net::{Body, Http, Login, MAX_DOCUMENT, Method, Reply, Request, Service, encode};
use md5::{Digest, Md5};
use serde::Deserialize;
use std::fmt::Write;

/// What may stand after `?` in `swift:container/prefix?…`.
pub(super) const KEYS: [&str; 3] = ["cloud", "interface", "region"];

/// Objects of one page of a listing.
const PAGE: usize = 1000;

/// Parts that a static large object may have where the server does not say so.
const MOST_PARTS: u64 = 1000;

/// Objects below a prefix of a container.
pub(super) struct Swift {
    http: Http,
    login: Login,
    container: String,
    prefix: String,
    location: String,
}

/// What a server says of itself.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Info {
    swift: Limits,
    slo: Option<StaticLimits>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Limits {
    max_file_size: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct StaticLimits {
    max_manifest_segments: Option<u64>,
}

/// An object in a listing.
#[derive(Debug, Deserialize)]
struct Listed {
    /// Missing for what is no object.
    name: Option<String>,
    #[serde(default)]
    bytes: u64,
    #[serde(default)]
    hash: String,
}

impl Swift {
    /// Opens `swift:container/prefix`. Where a container may be made, it is, and the server's
    /// limits are looked at.
    pub(super) fn open(
        address: &Address,
        settings: &Settings,
        if_missing: IfMissing,
    ) -> Result<Self, Error> {
        let failed = |text: String| Error::of_store(Kind::Failed, Verb::Open).because(text);
        if address.port.is_some() || address.user.is_some() || address.host.len() > 256 {
            return Err(failed(
                "a container has a name of at most 256 bytes: swift:CONTAINER/PREFIX".to_owned(),
            ));
        }
        let http = Http::new(settings.network()).map_err(network(Verb::Open, None))?;
        let query = |key: &str| address.query.get(key).map(String::as_str);
        let store = Self {
            login: Login::new(
                &http,
                Service::ObjectStore,
                query("cloud"),
                settings.network(),
            )
            .map_err(network(Verb::Open, None))?
            .at(query("region"), query("interface")),
            http,
            container: address.host.clone(),
            prefix: address.prefix().map_err(|why| failed(why.to_owned()))?,
            location: address.to_string(),
        };
        if if_missing == IfMissing::Create {
            store.make_container()?;
            if let Some((wanted, most)) = settings
                .segment_bytes()
                .zip(store.info()?.swift.max_file_size)
                .filter(|(wanted, most)| wanted > most)
            {
                return Err(failed(format!(
                    "segments of {wanted} bytes are more than the server takes in one object: {most} bytes"
                )));
            }
        }
        Ok(store)
    }

    fn make_container(&self) -> Result<(), Error> {
        let there = self.ask(Method::HEAD, "", &[], Body::None, Verb::Open, None)?;
        if there.status != 404 {
            // Who may not look at the container may still write to it: the first object tells.
            return Ok(());
        }
        self.ask(Method::PUT, "", &[], Body::Bytes(&[]), Verb::Open, None)?
            .finish()
            .map_err(network(Verb::Open, None))
    }

    /// What the server says of its limits; nothing where it says nothing.
    fn info(&self) -> Result<Info, Error> {
        let pass = self.login.pass().map_err(network(Verb::Open, None))?;
        let account = &pass.account;
        let root = account.split_once("://").and_then(|(scheme, rest)| {
            Some(format!("{scheme}://{}/info", rest.split('/').next()?))
        });
        let Some(request) = root.and_then(|url| Request::get(url).body(()).ok()) else {
            return Ok(Info::default());
        };
        let reply = self
            .http
            .send(request, Body::None)
            .map_err(network(Verb::Open, None))?;
        if !reply.is_done() {
            return Ok(Info::default());
        }
        let text = reply
            .bytes(MAX_DOCUMENT)
            .map_err(network(Verb::Open, None))?;
        Ok(text
            .and_then(|text| serde_json::from_slice(&text).ok())
            .unwrap_or_default())
    }

    /// Sends one request to the container or, with `path`, to something in it; once more with a new
    /// token where this one is refused.
    fn ask(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, String)],
        body: Body<'_>,
        verb: Verb,
        object: Option<&ObjectName>,
    ) -> Result<Reply, Error> {
        let retold = |error| {
            let error = network(Verb::Open, None)(error);
            about(error.kind(), verb, object)
                .not_before(error.retry_after())
                .because(error)
        };
        let mut pass = self.login.pass().map_err(retold)?;
        let mut renewed = false;
        loop {
            let url = format!(
                "{}/{}{path}",
                pass.account,
                escape(&self.container).replace('/', "%2F")
            );
            let mut request = Request::builder()
                .method(method.clone())
                .uri(url)
                .header("x-auth-token", pass.token.expose());
            for (name, value) in headers {
                request = request.header(*name, value);
            }
            let request = request
                .body(())
                .map_err(|error| about(Kind::Failed, verb, object).because(error))?;
            let reply = self
                .http
                .send(request, body)
                .map_err(network(verb, object))?;
            if reply.status != 401 || renewed {
                return Ok(reply);
            }
            renewed = true;
            pass = self.login.renew(&pass).map_err(retold)?;
        }
    }

    fn write(
        &self,
        name: &ObjectName,
        body: &Rope,
        wish: Option<(&'static str, String)>,
    ) -> Result<Reply, Error> {
        let mut digest = Md5::new();
        body.iter().for_each(|piece| digest.update(piece));
        let digest = digest
            .finalize()
            .iter()
            .fold(String::new(), |mut text, byte| {
                write!(text, "{byte:02x}").expect("a String takes all that is written");
                text
            });
        // The server stores the object only if that is what arrived.
        let mut headers = vec![
            ("etag", digest),
            ("content-type", "application/octet-stream".to_owned()),
        ];
        headers.extend(wish);
        self.ask(
            Method::PUT,
            &self.path_of(name),
            &headers,
            Body::Rope(body),
            Verb::Put,
            Some(name),
        )
    }

    fn path_of(&self, name: &ObjectName) -> String {
        format!("/{}", escape(&format!("{}{name}", self.prefix)))
    }

    fn page(&self, prefix: &str, after: &str) -> Result<Vec<Listed>, Error> {
        let path = format!(
            "?format=json&limit={PAGE}&prefix={}&marker={}",
            escape(&format!("{}{prefix}", self.prefix)),
            escape(after)
        );
        let reply = self.ask(Method::GET, &path, &[], Body::None, Verb::List, None)?;
        if reply.status == 404 {
            return Ok(Vec::new());
        }
        if !reply.is_done() {
            return Err(network(Verb::List, None)(reply.refusal()));
        }
        let text = reply
            .bytes(MAX_DOCUMENT)
            .map_err(network(Verb::List, None))?;
        let failed = || Error::of_store(Kind::Failed, Verb::List);
        let text = text.ok_or_else(|| failed().because("the listing is too long"))?;
        if text.is_empty() {
            return Ok(Vec::new());
        }
        serde_json::from_slice(&text).map_err(|error| failed().because(error))
    }

    /// Calls `found` for each object below a prefix, with its name in the container, until it
    /// returns `false`.
    fn each(
        &self,
        prefix: &str,
        found: &mut dyn FnMut(&str, &Listed) -> bool,
    ) -> Result<(), Error> {
        let mut after = String::new();
        loop {
            let page = self.page(prefix, &after)?;
            let is_last = page.len() < PAGE;
            for object in &page {
                let Some(name) = object.name.as_deref() else {
                    continue;
                };
                if name <= after.as_str() {
                    return Err(Error::of_store(Kind::Failed, Verb::List)
                        .because("the listing is not in order"));
                }
                name.clone_into(&mut after);
                if !found(name, object) {
                    return Ok(());
                }
            }
            if is_last {
                return Ok(());
            }
        }
    }

    /// A manifest that names each part, with what it has to be; `None` when the server takes none
    /// of that length.
    fn static_manifest(
        &self,
        parts: &str,
        count: u64,
        whole: &ObjectName,
    ) -> Result<Option<Vec<u8>>, Error> {
        let most = self
            .info()?
            .slo
            .map(|limits| limits.max_manifest_segments.unwrap_or(MOST_PARTS));
        if most.is_none_or(|most| count > most) {
            return Ok(None);
        }
        let mut entries: Vec<serde_json::Value> = Vec::new();
        self.each(parts, &mut |name, object| {
            entries
                .push(serde_json::json!({"path": format!("/{}/{name}", self.container), "etag": object.hash, "size_bytes": object.bytes}));
            entries.len() as u64 <= count
        })?;
        if entries.len() as u64 != count {
            // What was stored last may come late into the listing.
            return Err(Error::new(Kind::Unavailable, Verb::Put, whole)
                .because(format!("{} of {count} parts are listed", entries.len())));
        }
        serde_json::to_vec(&entries)
            .map(Some)
            .map_err(|error| Error::new(Kind::Failed, Verb::Put, whole).because(error))
    }
}

impl Store for Swift {
    fn put(&self, name: &ObjectName, body: &Rope) -> Result<(), Error> {
        self.write(name, body, None)?
            .finish()
            .map_err(network(Verb::Put, Some(name)))
    }

    fn put_unless_there(&self, name: &ObjectName, body: &Rope) -> Result<bool, Error> {
        let reply = self.write(name, body, Some(("if-none-match", "*".to_owned())))?;
        if reply.status == 412 {
            Ok(false)
        } else {
            reply
                .finish()
                .map_err(network(Verb::Put, Some(name)))
                .map(|()| true)
        }
    }

    fn get(&self, name: &ObjectName, limit: u64) -> Result<Vec<u8>, Error> {
        let reply = self.ask(
            Method::GET,
            &self.path_of(name),
            &[],
            Body::None,
            Verb::Get,
            Some(name),
        )?;
        if !reply.is_done() {
            return Err(network(Verb::Get, Some(name))(reply.refusal()));
        }
        let bytes = reply.bytes(limit).map_err(network(Verb::Get, Some(name)))?;
        bytes.ok_or_else(|| Error::new(Kind::TooLarge, Verb::Get, name))
    }

    fn get_range(&self, name: &ObjectName, offset: u64, length: usize) -> Result<Vec<u8>, Error> {
        super::range::read(name, offset, length, |range| {
            let (method, headers) = match range {
                Some(range) => (Method::GET, vec![("range", range)]),
                None => (Method::HEAD, Vec::new()),
            };
            self.ask(
                method,
                &self.path_of(name),
                &headers,
                Body::None,
                Verb::Get,
                Some(name),
            )
        })
    }

    fn get_pieces(
        &self,
        name: &ObjectName,
        offset: u64,
        lengths: &[usize],
        take: &mut dyn FnMut(Vec<u8>) -> bool,
    ) -> Result<(), Error> {
        super::range::pieces(name, offset, lengths, take, |range| {
            self.ask(
                Method::GET,
                &self.path_of(name),
                &[("range", range)],
                Body::None,
                Verb::Get,
                Some(name),
            )
        })
    }

    fn list(&self, prefix: &str, found: &mut dyn FnMut(ObjectInfo) -> bool) -> Result<(), Error> {
        if !legal_prefix(prefix) {
            return Err(Error::of_store(Kind::Failed, Verb::List)
                .because(format!("{prefix:?} is not a prefix of whole components")));
        }
        self.each(prefix, &mut |name, object| {
            let name = name
                .strip_prefix(&self.prefix)
                .filter(|name| name.starts_with(prefix))
                .and_then(ObjectName::new);
            // What others keep there under names that no object of ours has is not ours to show.
            name.is_none_or(|name| {
                found(ObjectInfo {
                    name,
                    length: object.bytes,
                })
            })
        })
    }

    fn delete(&self, name: &ObjectName) -> Result<(), Error> {
        let reply = self.ask(
            Method::DELETE,
            &self.path_of(name),
            &[],
            Body::None,
            Verb::Delete,
            Some(name),
        )?;
        if reply.status == 404 {
            Ok(())
        } else {
            reply.finish().map_err(network(Verb::Delete, Some(name)))
        }
    }

    /// A static large object, or where the server has none or the parts are too many, a dynamic
    /// one.
    fn join(&self, whole: &ObjectName, parts: &str, count: u64) -> Result<Joined, Error> {
        let path = self.path_of(whole);
        let reply = match self.static_manifest(parts, count, whole)? {
            Some(manifest) => {
                let path = format!("{path}?multipart-manifest=put");
                self.ask(
                    Method::PUT,
                    &path,
                    &[],
                    Body::Bytes(&manifest),
                    Verb::Put,
                    Some(whole),
                )?
            }
            None => {
                let all = format!(
                    "{}/{}",
                    escape(&self.container).replace('/', "%2F"),
                    escape(&format!("{}{parts}", self.prefix))
                );
                self.ask(
                    Method::PUT,
                    &path,
                    &[("x-object-manifest", all)],
                    Body::Bytes(&[]),
                    Verb::Put,
                    Some(whole),
                )?
            }
        };
        reply
            .finish()
            .map_err(network(Verb::Put, Some(whole)))
            .map(|()| Joined::Done)
    }

    fn location(&self) -> String {
        self.location.clone()
    }
}

fn escape(text: &str) -> String {
    encode(text.as_bytes(), |_, byte| {
        byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte)
    })
}
