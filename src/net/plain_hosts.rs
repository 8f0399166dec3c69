//! The hosts that a run talks to over plain HTTP, where everybody on the way can read and change
//! what is said.

use super::Request;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Remembers the hosts that were asked over plain HTTP. Clones are the same memory.
#[derive(Clone, Debug, Default)]
pub struct PlainHosts(Arc<Mutex<BTreeMap<String, AskedHost>>>);

#[derive(Debug, Default)]
struct AskedHost {
    with_secret: bool,
    is_told: bool,
}

impl AskedHost {
    fn of(&self, host: &str) -> PlainHost {
        PlainHost {
            host: host.to_owned(),
            is_here: is_here(host),
            with_secret: self.with_secret,
        }
    }
}

/// A host that was asked over plain HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlainHost {
    /// Its name or address, with the port.
    pub host: String,
    /// Whether it is this machine: nobody is on the way then.
    pub is_here: bool,
    /// Whether a password or a token was sent along, with which others could log in.
    pub with_secret: bool,
}

impl PlainHosts {
    /// Notes the host of a request, unless the request is encrypted.
    pub(super) fn note(&self, request: &Request<()>) {
        let uri = request.uri();
        if uri.scheme_str() != Some("http") {
            return;
        }
        // The authority may hold a password, the host does not.
        let Some(host) = uri.host() else { return };
        if address(host).is_some_and(is_link_local) {
            // The service that gives credentials to a machine in a cloud.
            return;
        }
        let port = uri.port().map(|port| format!(":{port}"));
        let mut hosts = self.hosts();
        let asked = hosts
            .entry(format!("{host}{}", port.unwrap_or_default()))
            .or_default();
        asked.with_secret |= has_secret(request);
    }

    /// Returns all hosts.
    pub fn all(&self) -> Vec<PlainHost> {
        let hosts = self.hosts();
        hosts.iter().map(|(host, asked)| asked.of(host)).collect()
    }

    /// Returns the hosts of which nobody was told yet.
    pub fn untold(&self) -> Vec<PlainHost> {
        let mut hosts = self.hosts();
        let untold = hosts.iter_mut().filter(|(_, asked)| !asked.is_told);
        untold
            .map(|(host, asked)| {
                asked.is_told = true;
                asked.of(host)
            })
            .collect()
    }

    fn hosts(&self) -> MutexGuard<'_, BTreeMap<String, AskedHost>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads an address, with or without the brackets of a URL.
fn address(host: &str) -> Option<IpAddr> {
    host.trim_start_matches('[')
        .trim_end_matches(']')
        .parse()
        .ok()
}

fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    }
}

fn is_here(host_and_port: &str) -> bool {
    let host = match host_and_port.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => host_and_port,
    };
    host.eq_ignore_ascii_case("localhost")
        || address(host).is_some_and(|address| address.is_loopback())
}

/// Whether somebody who reads the request can make others of their own. A signature of S3 or Azure
/// holds for one request alone.
fn has_secret(request: &Request<()>) -> bool {
    let header = |name: &str| request.headers().get(name)?.to_str().ok();
    let is_login = |value: &str| {
        ["basic ", "bearer "]
            .iter()
            .any(|kind| value.to_ascii_lowercase().starts_with(kind))
    };
    header("authorization").is_some_and(is_login)
        || header("x-auth-token").is_some()
        || header("x-auth-key").is_some()
        || request.uri().path().ends_with("/auth/tokens")
        || request
            .uri()
            .query()
            .is_some_and(|query| query.contains("sig="))
}

#[cfg(test)]
mod tests {
    use super::{PlainHost, PlainHosts};
    use crate::net::Request;

    fn note(hosts: &PlainHosts, url: &str, headers: &[(&str, &str)]) {
        let mut request = Request::get(url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        hosts.note(&request.body(()).expect("a request"));
    }

    #[test]
    fn each_host_is_told_once_and_only_where_its_requests_are_plain() {
        let hosts = PlainHosts::default();
        let signed = [("authorization", "AWS4-HMAC-SHA256 Credential=x")];
        note(
            &hosts,
            "https://safe.example/a",
            &[("authorization", "Basic x")],
        );
        note(
            &hosts,
            "http://169.254.169.254/latest",
            &[("x-auth-token", "t")],
        );
        note(&hosts, "http://s3.example/a", &signed);
        note(&hosts, "http://s3.example/b", &signed);
        note(&hosts, "http://127.0.0.1:9000/a", &signed);
        note(&hosts, "http://[::1]:9000/a", &signed);
        note(
            &hosts,
            "http://dav.example:81/a",
            &[("authorization", "Basic x")],
        );
        note(&hosts, "http://keystone.example:5000/v3/auth/tokens", &[]);
        let told: Vec<_> = hosts
            .untold()
            .into_iter()
            .map(
                |PlainHost {
                     host,
                     is_here,
                     with_secret,
                 }| (host, is_here, with_secret),
            )
            .collect();
        assert_eq!(
            told,
            [
                ("127.0.0.1:9000", true, false),
                ("[::1]:9000", true, false),
                ("dav.example:81", false, true),
                ("keystone.example:5000", false, true),
                ("s3.example", false, false),
            ]
            .map(|(host, is_here, with_secret)| (
                host.to_owned(),
                is_here,
                with_secret
            ))
        );
        note(&hosts, "http://s3.example/c", &signed);
        assert_eq!(hosts.clone().untold(), []);
    }
}
