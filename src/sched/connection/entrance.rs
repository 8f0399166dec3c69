//! The way into one project of a server: with a token of its own, or through OpenStack's log-in.

use super::error::{ApiError, no_login, unreachable_at};
use super::reply::read;
use crate::model::Secret;
use crate::net::{Http, Login, NetSettings, OpenStackService, Pass, Request, RequestBody};
use serde_json::Value;
use std::sync::{Arc, Mutex, PoisonError};

/// How to log in to the server.
#[derive(Debug)]
pub enum Entrance {
    /// With a token of the server's own.
    Token {
        /// Where the server is.
        url: String,
        /// The project; asked for if it is not said.
        project: Option<String>,
        /// The token, sent with every request.
        token: Secret<String>,
    },
    /// As the settings of OpenStack say: Keystone, its catalog, `OS_BACKUP_URL`.
    Openstack,
}

/// An entrance that is in use.
pub(super) enum WayIn {
    Token {
        url: String,
        token: Arc<Secret<String>>,
        /// Guards the project, until it is known.
        project: Mutex<Option<String>>,
    },
    Openstack(Login),
}

/// A way into one project.
pub(super) struct OpenWay {
    /// With the project, without a slash at its end.
    pub(super) base: String,
    pub(super) token: String,
    pass: Option<Arc<Pass>>,
}

impl Drop for OpenWay {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.token);
    }
}

impl WayIn {
    /// Makes the way in; sends no request.
    pub(super) fn new(
        entrance: Entrance,
        http: &Http,
        settings: &NetSettings,
    ) -> Result<Self, ApiError> {
        Ok(match entrance {
            Entrance::Token {
                url,
                project,
                token,
            } => Self::Token {
                url: url.trim_end_matches('/').to_owned(),
                token: Arc::new(token),
                project: Mutex::new(project),
            },
            Entrance::Openstack => Self::Openstack(
                Login::new(http, OpenStackService::Backup, None, settings).map_err(no_login)?,
            ),
        })
    }

    /// Returns the id of the project.
    pub(super) fn project(&self, http: &Http) -> Result<String, ApiError> {
        match self {
            Self::Token { .. } => {
                let open = self.open(http)?;
                Ok(open.base.rsplit('/').next().unwrap_or_default().to_owned())
            }
            Self::Openstack(login) => {
                let pass = login.pass().map_err(no_login)?;
                let of_address = || {
                    pass.account
                        .split_once("/v2/")
                        .map(|(_, project)| project.to_owned())
                };
                pass.project.clone().or_else(of_address).ok_or_else(|| {
                    ApiError::Answer("it does not say which project the token is for".into())
                })
            }
        }
    }

    /// Returns the address and the token for the next request.
    pub(super) fn open(&self, http: &Http) -> Result<OpenWay, ApiError> {
        match self {
            Self::Token {
                url,
                token,
                project,
            } => {
                let mut known = project.lock().unwrap_or_else(PoisonError::into_inner);
                let project = match known.as_ref() {
                    Some(project) => project.clone(),
                    None if url.contains("/v2/") => String::new(),
                    None => known.insert(project_of(http, url, token)?).clone(),
                };
                Ok(OpenWay {
                    base: base(url, &project),
                    token: token.expose().clone(),
                    pass: None,
                })
            }
            Self::Openstack(login) => {
                let pass = login.pass().map_err(no_login)?;
                let project = pass.project.as_deref().unwrap_or_default();
                Ok(OpenWay {
                    base: base(&pass.account, project),
                    token: pass.token.expose().clone(),
                    pass: Some(pass),
                })
            }
        }
    }

    /// Logs in anew after the server has refused the token of `open`: it has expired, or was taken
    /// back. Returns whether that is possible.
    pub(super) fn renew(&self, open: &OpenWay) -> Result<bool, ApiError> {
        let (Self::Openstack(login), Some(pass)) = (self, &open.pass) else {
            return Ok(false);
        };
        login.renew(pass).map_err(no_login)?;
        Ok(true)
    }
}

/// Asks the server which project a token of its own is for.
fn project_of(http: &Http, url: &str, token: &Secret<String>) -> Result<String, ApiError> {
    let root = url.trim_end_matches("/v2");
    let request = Request::get(format!("{root}/v3/auth/tokens"))
        .header("X-Auth-Token", token.expose())
        .header("X-Subject-Token", token.expose())
        .body(())
        .map_err(|error| unreachable_at(url, error))?;
    let reply = http
        .send(request, RequestBody::None)
        .map_err(|silence| unreachable_at(url, silence))?;
    if reply.status == 404 {
        return Err(ApiError::Answer(
            "it does not say which project the token is for: name it with --api-project".into(),
        ));
    }
    let answer = read(reply, url, "take the token")?;
    let project = answer
        .body
        .pointer("/token/project/id")
        .and_then(Value::as_str)
        .filter(|project| !project.is_empty());
    project.map(str::to_owned).ok_or_else(|| {
        ApiError::Answer("the token is for no project: name one with --api-project".into())
    })
}

/// The address that all objects of a project are below: catalogs have it with or without version
/// and project.
fn base(endpoint: &str, project: &str) -> String {
    let endpoint = endpoint.trim_end_matches('/');
    if endpoint.contains("/v2/") {
        endpoint.to_owned()
    } else if endpoint.ends_with("/v2") {
        format!("{endpoint}/{project}")
    } else {
        format!("{endpoint}/v2/{project}")
    }
}

#[cfg(test)]
mod tests {
    use super::base;

    #[test]
    fn an_endpoint_may_have_the_version_and_the_project_or_not() {
        for endpoint in [
            "http://h:9090",
            "http://h:9090/",
            "http://h:9090/v2",
            "http://h:9090/v2/",
            "http://h:9090/v2/p",
        ] {
            assert_eq!(base(endpoint, "p"), "http://h:9090/v2/p", "{endpoint}");
        }
    }
}
