//! Logging in to a service of OpenStack, and finding it: Keystone v3, or the small scheme that is
//! built into Swift (v1).

use super::clouds;
use super::keystone::{endpoint, token_request};
use super::service::OpenStackService;
use crate::model::Secret;
use crate::net::{
    Error, Http, HttpReply, MAX_DOCUMENT, NetErrorKind, NetSettings, Request, RequestBody,
};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A token is renewed this long before it expires, or, if it does not live long, after three
/// quarters of its life.
const RENEW_BEFORE: Duration = Duration::from_mins(5);

/// The lifetime assumed for a token that does not state one.
const USUAL_LIFE: Duration = Duration::from_hours(1);

/// The result of a login: a token, and the address of the account.
pub(crate) struct Pass {
    pub(crate) token: Secret<String>,
    /// URL of the account or service, without a slash at its end.
    pub(crate) account: String,
    /// The id of the project that the token is for, if Keystone named it.
    pub(crate) project: Option<String>,
    renew_at: Instant,
}

/// Logs in when a token is needed, once for all threads.
pub(crate) struct Login {
    http: Http,
    service: OpenStackService,
    way: LoginWay,
    region: Option<String>,
    interface: String,
    /// The address of the account, if it replaces the catalog's.
    account: Option<String>,
    /// The pass in use. Held while a new one is fetched, so that the others wait for that one.
    pass: Mutex<Option<Arc<Pass>>>,
}

/// A way to log in.
enum LoginWay {
    /// `X-Auth-User` and `X-Auth-Key`.
    V1 {
        url: String,
        user: String,
        key: Secret<String>,
    },
    /// A request to Keystone, as JSON.
    V3 {
        url: String,
        request: Secret<String>,
    },
    /// A token that was given with the address of the account: it cannot be renewed.
    Given { token: Secret<String> },
}

/// The names by which OpenStack's tools know these settings, without `OS_`.
const NAMES: [&str; 27] = [
    "AUTH_URL",
    "USERNAME",
    "USER_ID",
    "PASSWORD",
    "PROJECT_NAME",
    "PROJECT_ID",
    "TENANT_NAME",
    "TENANT_ID",
    "USER_DOMAIN_NAME",
    "USER_DOMAIN_ID",
    "PROJECT_DOMAIN_NAME",
    "PROJECT_DOMAIN_ID",
    "DOMAIN_NAME",
    "DOMAIN_ID",
    "TRUST_ID",
    "TOKEN",
    "AUTH_TOKEN",
    "APPLICATION_CREDENTIAL_ID",
    "APPLICATION_CREDENTIAL_NAME",
    "APPLICATION_CREDENTIAL_SECRET",
    "REGION_NAME",
    "INTERFACE",
    "ENDPOINT_TYPE",
    "STORAGE_URL",
    "BACKUP_URL",
    "DEFAULT_DOMAIN",
    "AUTH_TYPE",
];

fn wrong(text: impl Into<String>) -> Error {
    Error::of_login(text)
}

impl Login {
    /// Reads the credentials from options, the cloud that is named, or the environment. Sends
    /// nothing yet.
    pub(crate) fn new(
        http: &Http,
        service: OpenStackService,
        cloud: Option<&str>,
        settings: &NetSettings,
    ) -> Result<Self, Error> {
        let mut known: BTreeMap<&str, String> = BTreeMap::new();
        let cloud = cloud.or_else(|| settings.variable("OS_CLOUD"));
        let of_cloud = cloud
            .map(|cloud| clouds::find(cloud, settings))
            .transpose()?
            .unwrap_or_default();
        for name in NAMES {
            let option = format!("os-{}", name.to_ascii_lowercase().replace('_', "-"));
            let value = settings.option(&option).map(str::to_owned);
            // The settings of a cloud are complete: the environment is not mixed in.
            let value = value.or_else(|| of_cloud.get(&name.to_ascii_lowercase()).cloned());
            let value = value.or_else(|| {
                of_cloud
                    .is_empty()
                    .then(|| settings.variable(&format!("OS_{name}")).map(str::to_owned))
                    .flatten()
            });
            if let Some(value) = value.filter(|value| !value.is_empty()) {
                known.insert(name, value);
            }
        }
        let get = |name: &str| known.get(name).map(String::as_str);
        let interface = get("INTERFACE")
            .or_else(|| get("ENDPOINT_TYPE"))
            .unwrap_or("public");
        Ok(Self {
            http: http.clone(),
            service,
            way: Self::way(service, &get, settings)?,
            region: get("REGION_NAME").map(str::to_owned),
            interface: interface.trim_end_matches("URL").to_owned(),
            account: get(service.address()).map(|url| url.trim_end_matches('/').to_owned()),
            pass: Mutex::default(),
        })
    }

    /// Overrides region and interface, if they are given.
    pub(crate) fn at(mut self, region: Option<&str>, interface: Option<&str>) -> Self {
        self.region = region.map(str::to_owned).or(self.region);
        self.interface = interface.map_or(self.interface, |interface| {
            interface.trim_end_matches("URL").to_owned()
        });
        self
    }

    fn way<'known>(
        service: OpenStackService,
        get: &impl Fn(&str) -> Option<&'known str>,
        settings: &NetSettings,
    ) -> Result<LoginWay, Error> {
        let token = get("TOKEN").or_else(|| get("AUTH_TOKEN"));
        if let (Some(token), Some(_)) = (token, get(service.address())) {
            return Ok(LoginWay::Given {
                token: Secret::new(token.to_owned()),
            });
        }
        let v1 = |url: &str, user: Option<&str>, key: Option<&str>| match (user, key) {
            (Some(user), Some(key)) => Ok(LoginWay::V1 {
                url: url.to_owned(),
                user: user.to_owned(),
                key: Secret::new(key.to_owned()),
            }),
            _ => Err(wrong(
                "a login to Swift needs a user and a key; set ST_USER and ST_KEY",
            )),
        };
        let Some(url) = get("AUTH_URL") else {
            if service == OpenStackService::Backup {
                return Err(wrong(
                    "no address to log in at is set; set OS_AUTH_URL with user and password, or \
                     OS_CLOUD and clouds.yaml",
                ));
            }
            let url = settings.variable("ST_AUTH").ok_or_else(|| {
                wrong(
                    "no address to log in to Swift at is set; set OS_AUTH_URL with user and \
                     password, or OS_CLOUD and clouds.yaml, or ST_AUTH, ST_USER and ST_KEY",
                )
            })?;
            return v1(
                url,
                settings.variable("ST_USER"),
                settings.variable("ST_KEY"),
            );
        };
        let url = url.trim_end_matches('/');
        if service == OpenStackService::ObjectStore
            && (url.ends_with("/auth/v1.0")
                || url.ends_with("/auth/v1")
                || url.ends_with("/auth/1.0"))
        {
            return v1(url, get("USERNAME"), get("PASSWORD"));
        }
        let url = if url.ends_with("/v3") {
            url.to_owned()
        } else {
            format!("{}/v3", url.trim_end_matches("/v2.0"))
        };
        let request = token_request(get)?.to_string();
        Ok(LoginWay::V3 {
            url,
            request: Secret::new(request),
        })
    }

    /// The pass in use, or a new one where there is none or it has not long to live.
    pub(crate) fn pass(&self) -> Result<Arc<Pass>, Error> {
        let mut held = self.pass.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pass) = held
            .as_ref()
            .filter(|pass| crate::platform::monotonic() < pass.renew_at)
        {
            return Ok(Arc::clone(pass));
        }
        let pass = Arc::new(self.log_in()?);
        *held = Some(Arc::clone(&pass));
        Ok(pass)
    }

    /// A pass in place of one that was refused: another thread may have fetched it already.
    pub(crate) fn renew(&self, refused: &Arc<Pass>) -> Result<Arc<Pass>, Error> {
        {
            let mut held = self.pass.lock().unwrap_or_else(PoisonError::into_inner);
            if held.as_ref().is_some_and(|pass| Arc::ptr_eq(pass, refused)) {
                *held = None;
            }
        }
        self.pass()
    }

    fn log_in(&self) -> Result<Pass, Error> {
        let pass = match &self.way {
            LoginWay::Given { token } => {
                let account = self.account.clone().unwrap_or_default();
                let renew_at = crate::platform::monotonic() + Duration::from_hours(24 * 365);
                Pass {
                    token: Secret::new(token.expose().clone()),
                    account,
                    project: None,
                    renew_at,
                }
            }
            LoginWay::V1 { url, user, key } => self.log_in_v1(url, user, key.expose())?,
            LoginWay::V3 { url, request } => self.log_in_v3(url, request.expose())?,
        };
        tracing::debug!(account = %pass.account, "logged in");
        Ok(pass)
    }

    fn log_in_v1(&self, url: &str, user: &str, key: &str) -> Result<Pass, Error> {
        let request = Request::get(url)
            .header("x-auth-user", user)
            .header("x-auth-key", key)
            .body(());
        let request = request
            .map_err(|_| wrong("the user or the key holds characters that cannot be sent"))?;
        let reply = granted(self.http.send(request, RequestBody::None)?)?;
        let token = reply
            .header("x-auth-token")
            .or_else(|| reply.header("x-storage-token"));
        let token = Secret::new(
            token
                .ok_or_else(|| wrong("the server answered the login without a token"))?
                .to_owned(),
        );
        let account = self
            .account
            .clone()
            .or_else(|| reply.header("x-storage-url").map(str::to_owned));
        let account = account.ok_or_else(|| {
            wrong("the server answered the login without the address of the account")
        })?;
        let life = reply
            .header("x-auth-token-expires")
            .and_then(|text| text.parse().ok())
            .map(Duration::from_secs);
        Ok(Pass {
            token,
            account: account.trim_end_matches('/').to_owned(),
            project: None,
            renew_at: renew_at(life),
        })
    }

    fn log_in_v3(&self, url: &str, request: &str) -> Result<Pass, Error> {
        let head = Request::post(format!("{url}/auth/tokens"))
            .header("content-type", "application/json")
            .body(());
        let head = head
            .map_err(|error| wrong(format!("{url} is not the address of a Keystone: {error}")))?;
        let reply = granted(
            self.http
                .send(head, RequestBody::Bytes(request.as_bytes()))?,
        )?;
        let token = reply
            .header("x-subject-token")
            .map(|token| Secret::new(token.to_owned()));
        let token = token.ok_or_else(|| wrong("Keystone answered without a token"))?;
        let document = reply.bytes(MAX_DOCUMENT)?;
        let document: Value = document
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .ok_or_else(|| wrong("Keystone did not answer in JSON"))?;
        let document = &document["token"];
        let moment = |name: &str| {
            document[name]
                .as_str()
                .and_then(|text| text.parse::<jiff::Timestamp>().ok())
        };
        // By Keystone's own clock: ours may be wrong.
        let life = moment("expires_at")
            .zip(moment("issued_at"))
            .and_then(|(end, start)| Duration::try_from(end.duration_since(start)).ok());
        let account = match &self.account {
            Some(account) => account.clone(),
            None => endpoint(
                &document["catalog"],
                self.service,
                self.region.as_deref(),
                &self.interface,
            )?,
        };
        let project = document["project"]["id"].as_str().map(str::to_owned);
        Ok(Pass {
            token,
            account: account.trim_end_matches('/').to_owned(),
            project,
            renew_at: renew_at(life),
        })
    }
}

fn granted(reply: HttpReply) -> Result<HttpReply, Error> {
    match reply.status {
        _ if reply.is_done() => Ok(reply),
        404 => Err(reply.refusal().with_kind(NetErrorKind::Failed)),
        _ => Err(reply.refusal()),
    }
}

fn renew_at(life: Option<Duration>) -> Instant {
    let life = life.unwrap_or(USUAL_LIFE);
    crate::platform::monotonic() + life.saturating_sub(RENEW_BEFORE).max(life * 3 / 4)
}

#[cfg(test)]
mod tests {
    use super::renew_at;
    use std::time::Duration;

    #[test]
    fn a_token_is_renewed_before_it_expires_however_short_it_lives() {
        let now = crate::platform::monotonic();
        let after = |life| renew_at(Some(Duration::from_secs(life))).duration_since(now);
        assert!((after(3600).as_secs_f64() - 3300.0).abs() < 10.0);
        assert!((after(8).as_secs_f64() - 6.0).abs() < 1.0);
        assert!(after(0) < Duration::from_secs(1));
    }
}
