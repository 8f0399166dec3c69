//! Credentials for S3: those that were set, or what the environment, the files of the AWS tools and
//! the machine give out.

use crate::net::{Http, MAX_DOCUMENT, Method, Request, RequestBody, Response};
use crate::store::StoreSettings;
use bytes::Bytes;
use reqsign_aws_v4::{
    Credential, DefaultCredentialProvider, RequestSigner, StaticCredentialProvider,
};
use reqsign_core::{Context, FileRead, HttpSend, Signer, StaticEnv};
use std::collections::HashMap;
use std::time::Duration;

/// The longest silence of a service that gives out credentials.
pub(super) const CREDENTIALS: Duration = Duration::from_secs(5);

/// The address where machines in a cloud get theirs. Elsewhere it never answers, so a failure there
/// is not tried again.
const METADATA_HOST: &str = "169.254.169.254";

/// There is nothing to sign requests with.
#[derive(Debug, thiserror::Error)]
#[error(
    "found no credentials for S3 that can be used; set AWS_ACCESS_KEY_ID and \
     AWS_SECRET_ACCESS_KEY, or a profile"
)]
pub(super) struct NoCredentials(#[source] pub(super) reqsign_core::Error);

/// Returns what signs requests: with the keys that were set, else with the first that the
/// environment, the files of the AWS tools or the machine give.
pub(super) fn signer(
    http: Http,
    region: &str,
    profile: Option<String>,
    settings: &StoreSettings,
) -> Signer<Credential> {
    let either = |option: &str, variable: &str| {
        settings
            .option(option)
            .or_else(|| settings.variable(variable))
    };
    let mut variables: HashMap<_, _> = settings
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

/// Sends requests to the services that give credentials out.
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
            RequestBody::None
        } else {
            RequestBody::Bytes(&body)
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
