//! A bucket: where it is, and signed requests to it.

use super::credentials::{CREDENTIALS, NoCredentials, signer};
use crate::net::{Http, HttpReply, Request};
use crate::store::address::Address;
use crate::store::error::{about, network};
use crate::store::object_server::{ObjectRequest, ObjectServer, in_path};
use crate::store::runtime::block_on;
use crate::store::{Error, ErrorKind, ObjectName, Operation, StoreSettings};
use reqsign_aws_v4::Credential;
use reqsign_core::Signer;

/// A bucket, and the prefix in it below which the objects of a store are.
pub(super) struct Bucket {
    http: Http,
    signer: Signer<Credential>,
    /// URL of the bucket, without a slash at its end.
    url: String,
    pub(super) region: String,
    /// The prefix of the names of all objects: empty, or ends with a slash.
    pub(super) prefix: String,
}

impl Bucket {
    /// Finds the bucket of `s3://bucket/prefix`. Sends nothing.
    pub(super) fn find(address: &Address, settings: &StoreSettings) -> Result<Self, Error> {
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
        let url = url(address, endpoint, &region, given("style", &[]).as_deref())?;
        let http = |idle| {
            Http::with_patience(settings.network(), idle).map_err(network(Operation::Open, None))
        };
        Ok(Self {
            url,
            prefix: address.prefix().map_err(failed)?,
            signer: signer(
                http(CREDENTIALS.min(settings.idle()))?,
                &region,
                given("profile", &["AWS_PROFILE"]),
                settings,
            ),
            http: http(settings.idle())?,
            region,
        })
    }
}

/// Returns the URL of the bucket: a host of its own at Amazon, a path at other servers.
fn url(
    address: &Address,
    endpoint: Option<String>,
    region: &str,
    style: Option<&str>,
) -> Result<String, Error> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
    if !address.host.bytes().all(legal) || address.port.is_some() || address.user.is_some() {
        return Err(failed(
            "a bucket has a name of letters, digits, dots and dashes: s3://BUCKET/PREFIX",
        ));
    }
    let has_own_host = match style {
        None => endpoint.is_none() && !address.host.contains('.'),
        Some("virtual") => true,
        Some("path") => false,
        Some(other) => {
            return Err(failed(format!(
                "the style {other} is unknown; it is path or virtual"
            )));
        }
    };
    let endpoint = endpoint.unwrap_or_else(|| format!("s3.{region}.amazonaws.com"));
    let endpoint = endpoint.trim_end_matches('/');
    let (scheme, host) = endpoint.split_once("://").unwrap_or(("https", endpoint));
    Ok(match has_own_host {
        true => format!("{scheme}://{}.{host}", address.host),
        false => format!("{scheme}://{host}/{}", address.host),
    })
}

fn failed(why: impl Into<String>) -> Error {
    Error::of_store(ErrorKind::Failed, Operation::Open).because(why.into())
}

impl ObjectServer for Bucket {
    fn send(&self, ask: &ObjectRequest<'_>) -> Result<HttpReply, Error> {
        let mut request = Request::builder()
            .method(ask.method.clone())
            .uri(format!("{}{}", self.url, ask.path));
        for (name, value) in &ask.headers {
            request = request.header(*name, value);
        }
        let request = request
            .body(())
            .map_err(|error| about(ErrorKind::Failed, ask.verb, ask.object).because(error))?;
        let (mut head, ()) = request.into_parts();
        block_on(self.signer.sign(&mut head, None)).map_err(|error| {
            let kind = if error.is_retryable() {
                ErrorKind::Unavailable
            } else {
                ErrorKind::Denied
            };
            about(kind, ask.verb, ask.object).because(NoCredentials(error))
        })?;
        self.http
            .send(Request::from_parts(head, ()), ask.body)
            .map_err(network(ask.verb, ask.object))
    }

    fn path_of(&self, name: &ObjectName) -> String {
        format!("/{}", in_path(&format!("{}{name}", self.prefix)))
    }
}
