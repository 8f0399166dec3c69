//! S3: buckets of Amazon and of everything that speaks like it.
//!
//! One request for one call. Signatures and the search for credentials are those of OpenDAL
//! (`reqsign`); why not more of it, is in docs/design/0008-stores.md.

mod held;
mod page;

use super::address::Address;
use super::error::{about, network};
use super::location::IfMissing;
use super::runtime::block_on;
use super::{
    Error, Kind, ObjectInfo, ObjectLock, ObjectName, Rope, Settings, Store, Verb, legal_prefix,
};
use crate::net::{Body, Http, MAX_DOCUMENT, Method, Reply, Request, Response, encode};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use held::Holds;
use jiff::Timestamp;
use md5::{Digest, Md5};
use page::Page;
use reqsign_aws_v4::{
    Credential, DefaultCredentialProvider, RequestSigner, StaticCredentialProvider,
};
use reqsign_core::{Context, FileRead, HttpSend, Signer, StaticEnv};
use std::sync::OnceLock;
use std::time::Duration;

/// What may stand after `?` in `s3://bucket/prefix?…`.
pub(super) const KEYS: [&str; 4] = ["endpoint", "profile", "region", "style"];

/// How long a service that gives credentials out may keep silent.
const CREDENTIALS: Duration = Duration::from_secs(5);

/// Where machines in a cloud find theirs. On others nobody answers, today and tomorrow.
const METADATA_HOST: &str = "169.254.169.254";

/// Objects of one page of a listing.
const PAGE: usize = 1000;

/// Objects below a prefix of a bucket.
pub(super) struct S3 {
    http: Http,
    signer: Signer<Credential>,
    /// URL of the bucket, without a slash at its end.
    bucket: String,
    prefix: String,
    location: String,
    /// What is to be held that is stored.
    lock: Option<ObjectLock>,
    /// Whether the bucket can hold objects, once that was asked.
    holds: OnceLock<Holds>,
}

impl S3 {
    /// Opens `s3://bucket/prefix`. Asks the server nothing, unless the bucket is to be made where
    /// there is none.
    pub(super) fn open(
        address: &Address,
        settings: &Settings,
        if_missing: IfMissing,
    ) -> Result<Self, Error> {
        let failed = |text: String| Error::of_store(Kind::Failed, Verb::Open).because(text);
        let given = |key: &str, variables: &[&str]| {
            let variable = || variables.iter().find_map(|name| settings.variable(name));
            address
                .query
                .get(key)
                .map(String::as_str)
                .or_else(|| settings.option(key))
                .or_else(variable)
                .map(str::to_owned)
        };
        let region = given("region", &["AWS_REGION", "AWS_DEFAULT_REGION"])
            .unwrap_or_else(|| "us-east-1".to_owned());
        let endpoint = given("endpoint", &["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"]);
        let at_amazon = endpoint.is_none();
        let endpoint = endpoint.unwrap_or_else(|| format!("https://s3.{region}.amazonaws.com"));
        let endpoint = if endpoint.contains("://") {
            endpoint
        } else {
            format!("https://{endpoint}")
        };
        let endpoint = endpoint.trim_end_matches('/');
        let by_name = match given("style", &[]).as_deref() {
            None => at_amazon && !address.host.contains('.'),
            Some("virtual") => true,
            Some("path") => false,
            Some(other) => {
                return Err(failed(format!(
                    "there is no style {other}: there are path and virtual"
                )));
            }
        };
        let legal_bucket = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
        if !address.host.bytes().all(legal_bucket)
            || address.port.is_some()
            || address.user.is_some()
        {
            return Err(failed(
                "a bucket has a name of letters, digits, dots and dashes: s3://BUCKET/PREFIX"
                    .to_owned(),
            ));
        }
        let bucket = match endpoint.split_once("://") {
            Some((scheme, host)) if by_name => format!("{scheme}://{}.{host}", address.host),
            _ => format!("{endpoint}/{}", address.host),
        };
        let http = Http::new(settings.network()).map_err(network(Verb::Open, None))?;
        let prefix = address.prefix().map_err(|why| failed(why.to_owned()))?;
        let signer = signer(
            Http::with_patience(settings.network(), CREDENTIALS.min(settings.idle()))
                .map_err(network(Verb::Open, None))?,
            &region,
            given("profile", &["AWS_PROFILE"]),
            settings,
        );
        let lock = settings.object_lock().cloned();
        let store = Self {
            http,
            signer,
            bucket,
            prefix,
            location: address.to_string(),
            lock,
            holds: OnceLock::new(),
        };
        if if_missing == IfMissing::Create {
            store.make_bucket(&region)?;
            if store.lock.is_some() && store.holds()? == Holds::Nothing {
                return Err(failed(
                    "the bucket has no object lock, which has to be turned on for it before objects can be locked".to_owned(),
                ));
            }
        }
        Ok(store)
    }

    fn make_bucket(&self, region: &str) -> Result<(), Error> {
        let there = self.ask(
            Method::HEAD,
            String::new(),
            &[],
            Body::None,
            Verb::Open,
            None,
        )?;
        if there.status != 404 {
            // Who may not look at the bucket may still write to it: the first object tells.
            return Ok(());
        }
        let elsewhere = format!(
            "<CreateBucketConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><LocationConstraint>{region}</LocationConstraint>\
             </CreateBucketConfiguration>"
        );
        let body = if region == "us-east-1" {
            Body::Bytes(&[])
        } else {
            Body::Bytes(elsewhere.as_bytes())
        };
        let with_lock = self
            .lock
            .as_ref()
            .map(|_| ("x-amz-bucket-object-lock-enabled", "true".to_owned()));
        let made = self.ask(
            Method::PUT,
            String::new(),
            with_lock.as_slice(),
            body,
            Verb::Open,
            None,
        )?;
        if made.is_done() || made.status == 409 {
            Ok(())
        } else {
            Err(network(Verb::Open, None)(made.refusal()))
        }
    }

    fn path_of(&self, name: &ObjectName) -> String {
        format!("/{}", escape(&format!("{}{name}", self.prefix)))
    }

    /// Signs and sends one request.
    fn ask(
        &self,
        method: Method,
        path: String,
        headers: &[(&str, String)],
        body: Body<'_>,
        verb: Verb,
        object: Option<&ObjectName>,
    ) -> Result<Reply, Error> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.bucket));
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        let request = request
            .body(())
            .map_err(|error| about(Kind::Failed, verb, object).because(error))?;
        let (mut head, ()) = request.into_parts();
        block_on(self.signer.sign(&mut head, None)).map_err(|error| {
            let kind = if error.is_retryable() {
                Kind::Unavailable
            } else {
                Kind::Denied
            };
            about(kind, verb, object).because(Credentials(error))
        })?;
        self.http
            .send(Request::from_parts(head, ()), body)
            .map_err(network(verb, object))
    }

    fn write(
        &self,
        name: &ObjectName,
        body: &Rope,
        wish: Option<(&'static str, String)>,
    ) -> Result<Reply, Error> {
        let mut digest = Md5::new();
        body.iter().for_each(|piece| digest.update(piece));
        let mut headers = vec![
            ("content-md5", BASE64.encode(digest.finalize())),
            ("content-type", "application/octet-stream".to_owned()),
        ];
        headers.extend(held::headers(self.lock.as_ref(), name));
        headers.extend(wish);
        self.ask(
            Method::PUT,
            self.path_of(name),
            &headers,
            Body::Rope(body),
            Verb::Put,
            Some(name),
        )
    }

    fn read(&self, name: &ObjectName, headers: &[(&str, String)]) -> Result<Reply, Error> {
        self.ask(
            Method::GET,
            self.path_of(name),
            headers,
            Body::None,
            Verb::Get,
            Some(name),
        )
    }

    fn page(&self, prefix: &str, token: Option<&str>) -> Result<Option<Page>, Error> {
        let mut path = format!(
            "/?list-type=2&max-keys={PAGE}&prefix={}",
            escape_all(&format!("{}{prefix}", self.prefix))
        );
        if let Some(token) = token {
            path.push_str("&continuation-token=");
            path.push_str(&escape_all(token));
        }
        let reply = self.ask(Method::GET, path, &[], Body::None, Verb::List, None)?;
        if reply.status == 404 {
            return Ok(None);
        }
        if !reply.is_done() {
            return Err(network(Verb::List, None)(reply.refusal()));
        }
        let text = reply
            .bytes(MAX_DOCUMENT)
            .map_err(network(Verb::List, None))?;
        let text = text.ok_or_else(|| {
            Error::of_store(Kind::Failed, Verb::List).because("the listing is too long")
        })?;
        let text = String::from_utf8(text)
            .map_err(|error| Error::of_store(Kind::Failed, Verb::List).because(error))?;
        Page::parse(&text)
            .map(Some)
            .map_err(|error| Error::of_store(Kind::Failed, Verb::List).because(error))
    }
}

impl Store for S3 {
    fn put(&self, name: &ObjectName, body: &Rope) -> Result<(), Error> {
        self.write(name, body, None)?
            .finish()
            .map_err(network(Verb::Put, Some(name)))
    }

    fn put_unless_there(&self, name: &ObjectName, body: &Rope) -> Result<bool, Error> {
        let reply = self.write(name, body, Some(("if-none-match", "*".to_owned())))?;
        match reply.status {
            412 => Ok(false),
            // Servers that know of no such wish for what is stored.
            400 | 501 => self.put(name, body).map(|()| true),
            _ => reply
                .finish()
                .map_err(network(Verb::Put, Some(name)))
                .map(|()| true),
        }
    }

    fn get(&self, name: &ObjectName, limit: u64) -> Result<Vec<u8>, Error> {
        let reply = self.read(name, &[])?;
        if !reply.is_done() {
            return Err(network(Verb::Get, Some(name))(reply.refusal()));
        }
        let bytes = reply.bytes(limit).map_err(network(Verb::Get, Some(name)))?;
        bytes.ok_or_else(|| Error::new(Kind::TooLarge, Verb::Get, name))
    }

    fn get_range(&self, name: &ObjectName, offset: u64, length: usize) -> Result<Vec<u8>, Error> {
        super::range::read(name, offset, length, |range| match range {
            Some(range) => self.read(name, &[("range", range)]),
            None => self.ask(
                Method::HEAD,
                self.path_of(name),
                &[],
                Body::None,
                Verb::Get,
                Some(name),
            ),
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
            self.read(name, &[("range", range)])
        })
    }

    fn list(&self, prefix: &str, found: &mut dyn FnMut(ObjectInfo) -> bool) -> Result<(), Error> {
        if !legal_prefix(prefix) {
            return Err(Error::of_store(Kind::Failed, Verb::List)
                .because(format!("{prefix:?} is not a prefix of whole components")));
        }
        let mut token = None;
        loop {
            let Some(page) = self.page(prefix, token.as_deref())? else {
                return Ok(());
            };
            for object in page.objects {
                let name = object
                    .key
                    .strip_prefix(&self.prefix)
                    .filter(|name| name.starts_with(prefix))
                    .and_then(ObjectName::new);
                // What others keep there under names that no object of ours has is not ours to
                // show.
                let Some(name) = name else { continue };
                if !found(ObjectInfo {
                    name,
                    length: object.size,
                }) {
                    return Ok(());
                }
            }
            match page.next {
                Some(next) if page.truncated && token.as_ref() != Some(&next) => token = Some(next),
                Some(_) | None if page.truncated => {
                    return Err(Error::of_store(Kind::Failed, Verb::List)
                        .because("the listing does not go on"));
                }
                _ => return Ok(()),
            }
        }
    }

    fn delete(&self, name: &ObjectName) -> Result<(), Error> {
        let Some(path) = self.path_to_remove(name)? else {
            return Ok(());
        };
        let reply = self.ask(
            Method::DELETE,
            path,
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

    fn held_until(&self, name: &ObjectName) -> Result<Option<Timestamp>, Error> {
        self.held(name)
    }

    fn location(&self) -> String {
        self.location.clone()
    }
}

/// What a request is signed with could not be had.
#[derive(Debug, thiserror::Error)]
#[error("no credentials for S3 were found, or none that can be used")]
struct Credentials(#[source] reqsign_core::Error);

/// Percent-encodes once, as signatures want it; slashes stay.
fn escape(text: &str) -> String {
    encode(text.as_bytes(), |_, byte| {
        byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte)
    })
}

fn escape_all(text: &str) -> String {
    encode(text.as_bytes(), |_, byte| {
        byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
    })
}

/// Signs with the keys that were set, else with what the environment, the files of the AWS tools,
/// or the machine it runs on gives.
fn signer(
    http: Http,
    region: &str,
    profile: Option<String>,
    settings: &Settings,
) -> Signer<Credential> {
    let either = |option: &str, variable: &str| {
        settings
            .option(option)
            .or_else(|| settings.variable(variable))
    };
    let mut variables: std::collections::HashMap<_, _> = settings
        .network()
        .variables()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    variables.insert("AWS_REGION".to_owned(), region.to_owned());
    let environment = StaticEnv {
        home_dir: settings.network().home().map(Into::into),
        envs: variables,
    };
    let context = Context::new()
        .with_file_read(Files)
        .with_http_send(Sender(http))
        .with_env(environment);
    let sign = RequestSigner::new("s3", region);
    match (
        either("access-key", "ACCESS_KEY"),
        either("secret-key", "SECRET_KEY"),
    ) {
        (Some(access), Some(secret)) => {
            Signer::new(context, StaticCredentialProvider::new(access, secret), sign)
        }
        _ => {
            let chain = DefaultCredentialProvider::builder();
            let chain = profile
                .into_iter()
                .fold(chain, |chain, profile| chain.with_profile(profile));
            Signer::new(context, chain.build(), sign)
        }
    }
}

/// Reads the files in which credentials are.
#[derive(Debug)]
struct Files;

impl FileRead for Files {
    async fn file_read(&self, path: &str) -> reqsign_core::Result<Vec<u8>> {
        std::fs::read(path).map_err(|error| {
            reqsign_core::Error::config_invalid(format!("{path} cannot be read")).with_source(error)
        })
    }
}

/// Asks the services that give credentials out.
struct Sender(Http);

impl std::fmt::Debug for Sender {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sender")
    }
}

impl HttpSend for Sender {
    async fn http_send(&self, request: Request<Bytes>) -> reqsign_core::Result<Response<Bytes>> {
        let (head, body) = request.into_parts();
        let may_pass = head.uri.host() != Some(METADATA_HOST);
        let failed = |error| {
            reqsign_core::Error::unexpected("no answer about credentials")
                .with_source(error)
                .set_retryable(may_pass)
        };
        let body = if body.is_empty() && head.method != Method::POST && head.method != Method::PUT {
            Body::None
        } else {
            Body::Bytes(&body)
        };
        let reply = self
            .0
            .send(Request::from_parts(head, ()), body)
            .map_err(failed)?;
        let mut response = Response::builder().status(reply.status);
        if let Some(headers) = response.headers_mut() {
            headers.clone_from(&reply.headers);
        }
        let bytes = reply
            .bytes(MAX_DOCUMENT)
            .map_err(failed)?
            .unwrap_or_default();
        response.body(Bytes::from(bytes)).map_err(|error| {
            reqsign_core::Error::unexpected("an answer that is none").with_source(error)
        })
    }
}
