//! Tokens of OpenStack: Keystone v3 says who has one.

use super::caller::Caller;
use crate::api::error::Failure;
use crate::model::Secret;
use crate::net::{Error as NetError, Http, HttpReply, Request, RequestBody, StatusCode};
use serde_json::{Value, json};
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How long Keystone may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// The longest answer that is read: a token with a large catalogue has some tens of thousands of
/// bytes.
const LONGEST: u64 = 4 * 1024 * 1024;

/// Where Keystone is, and the service user that may ask it about tokens.
#[derive(Debug)]
pub struct KeystoneSettings {
    /// Its address, with or without `/v3`.
    pub address: String,
    /// The service user.
    pub user: String,
    /// The domain of the service user.
    pub user_domain: String,
    /// The project of the service user.
    pub project: String,
    /// Its domain.
    pub project_domain: String,
    /// The password of the service user.
    pub password: Secret<Vec<u8>>,
}

/// A Keystone.
#[derive(Clone, Debug)]
pub(in crate::api) struct Keystone {
    shared: Arc<KeystoneShared>,
}

#[derive(Debug)]
struct KeystoneShared {
    settings: KeystoneSettings,
    /// With `/v3`.
    address: String,
    http: Http,
    /// Guards the token of the service user.
    own: Mutex<Option<Arc<Secret<String>>>>,
}

impl Keystone {
    /// With these settings. It is asked when the first token comes.
    pub(in crate::api) fn new(settings: KeystoneSettings) -> Self {
        let address = settings.address.trim_end_matches('/');
        let address = if address.ends_with("/v3") {
            address.to_owned()
        } else {
            format!("{address}/v3")
        };
        Self {
            shared: Arc::new(KeystoneShared {
                settings,
                address,
                http: Http::plain(PATIENCE),
                own: Mutex::default(),
            }),
        }
    }

    /// Where clients get tokens.
    pub(super) fn address(&self) -> &str {
        &self.shared.address
    }

    /// Returns the caller that has a token, and the second in which it expires; none for a token
    /// that is not valid.
    pub(super) async fn identify(&self, token: &str) -> Result<Option<(Caller, i64)>, Failure> {
        let (shared, token) = (Arc::clone(&self.shared), Secret::new(token.to_owned()));
        tokio::task::spawn_blocking(move || shared.identify(&token))
            .await
            .map_err(|_| Failure::Internal("a question to the identity service was cut off"))?
            .map_err(|error| Failure::Identity(Box::new(error)))
    }
}

/// Why Keystone could not be asked.
#[derive(Debug, thiserror::Error)]
enum KeystoneError {
    #[error("Keystone could not be reached")]
    Call(#[from] NetError),
    #[error("the request to Keystone cannot be built")]
    Request(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("Keystone answered {0}")]
    Status(StatusCode),
    #[error("Keystone refused the service user")]
    Refused,
    #[error("Keystone's answer cannot be read")]
    Answer(#[from] io::Error),
}

impl KeystoneShared {
    fn identify(&self, token: &Secret<String>) -> Result<Option<(Caller, i64)>, KeystoneError> {
        for _ in 0..2 {
            let own = self.own_token()?;
            let request = Request::get(format!("{}/auth/tokens?nocatalog", self.address))
                .header("X-Auth-Token", own.expose())
                .header("X-Subject-Token", token.expose())
                .body(())
                .map_err(|error| KeystoneError::Request(error.into()))?;
            let answer = self.http.send(request, RequestBody::None)?;
            match status(&answer)? {
                StatusCode::OK => return Ok(read(&body(answer)?)),
                StatusCode::NOT_FOUND | StatusCode::BAD_REQUEST => return Ok(None),
                // The service user's own token has expired.
                StatusCode::UNAUTHORIZED => {
                    *self.own.lock().unwrap_or_else(PoisonError::into_inner) = None
                }
                status => return Err(KeystoneError::Status(status)),
            }
        }
        Err(KeystoneError::Refused)
    }

    fn own_token(&self) -> Result<Arc<Secret<String>>, KeystoneError> {
        let mut own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(token) = &*own {
            return Ok(Arc::clone(token));
        }
        let settings = &self.settings;
        let password = String::from_utf8_lossy(settings.password.expose());
        let user = json!({
            "name": settings.user,
            "domain": { "name": settings.user_domain },
            "password": password,
        });
        let scope = json!({
            "project": { "name": settings.project, "domain": { "name": settings.project_domain } }
        });
        let body = json!({
            "auth": {
                "identity": { "methods": ["password"], "password": { "user": user } },
                "scope": scope,
            }
        });
        let body = Secret::new(body.to_string());
        let request = Request::post(format!("{}/auth/tokens", self.address))
            .header("Content-Type", "application/json")
            .body(())
            .map_err(|error| KeystoneError::Request(error.into()))?;
        let answer = self
            .http
            .send(request, RequestBody::Bytes(body.expose().as_bytes()))?;
        match status(&answer)? {
            StatusCode::CREATED => {}
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => return Err(KeystoneError::Refused),
            status => return Err(KeystoneError::Status(status)),
        }
        let token = answer
            .header("X-Subject-Token")
            .ok_or(KeystoneError::Refused)?;
        let token = Arc::new(Secret::new(token.to_owned()));
        *own = Some(Arc::clone(&token));
        Ok(token)
    }
}

fn status(answer: &HttpReply) -> Result<StatusCode, KeystoneError> {
    StatusCode::from_u16(answer.status).map_err(|error| KeystoneError::Request(error.into()))
}

fn body(answer: HttpReply) -> Result<Value, KeystoneError> {
    let too_long = || KeystoneError::Answer(io::Error::other("it is too long"));
    let text = answer.bytes(LONGEST)?.ok_or_else(too_long)?;
    serde_json::from_slice(&text).map_err(|error| KeystoneError::Answer(error.into()))
}

/// The identity in Keystone's answer. A token without a project is of no use here, and one without
/// an end is none.
fn read(answer: &Value) -> Option<(Caller, i64)> {
    let token = answer.get("token")?;
    let text = |value: &Value| {
        value
            .as_str()
            .filter(|text| !text.is_empty() && text.len() <= 255 && !text.contains('\0'))
            .map(str::to_owned)
    };
    let roles = token
        .get("roles")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    let identity = Caller {
        user_id: text(token.pointer("/user/id")?)?,
        user_name: token
            .pointer("/user/name")
            .and_then(text)
            .unwrap_or_default(),
        project_id: token
            .pointer("/project/id")
            .and_then(text)
            .unwrap_or_default(),
        roles: roles
            .filter_map(|role| Some(role.get("name")?.as_str()?.to_lowercase()))
            .collect(),
        client_id: None,
    };
    let expires: jiff::Timestamp = token.get("expires_at")?.as_str()?.parse().ok()?;
    Some((identity, expires.as_second()))
}

#[cfg(test)]
mod tests {
    use super::read;
    use serde_json::json;

    #[test]
    fn an_answer_gives_user_project_and_roles() {
        let answer = json!({"token": {
            "user": {"id": "u", "name": "demo"},
            "project": {"id": "p"},
            "expires_at": "2026-11-24T12:00:00.000000Z",
            "roles": [{"name": "Member"}, {"name": "reader"}],
        }});
        let (identity, expires) = read(&answer).expect("it is whole");
        assert_eq!(
            (
                &*identity.user_id,
                &*identity.project_id,
                identity.roles.join(",")
            ),
            ("u", "p", "member,reader".to_owned())
        );
        assert_eq!(expires, 1_795_521_600);
    }

    #[test]
    fn half_an_answer_is_none() {
        for answer in [
            json!({}),
            json!({"token": {}}),
            json!({"token": {"user": {"id": 5}, "expires_at": "2026-11-24T12:00:00Z"}}),
            json!([]),
        ] {
            assert!(read(&answer).is_none(), "{answer}");
        }
    }
}
