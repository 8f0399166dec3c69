//! What Keystone v3 is asked for a token with, and where its catalog says that a service is.

use super::service::OpenStackService;
use crate::net::Error;
use serde_json::{Value, json};

/// Makes the request for a token from what is set; `get` looks a setting up by its name without
/// `OS_`.
pub(super) fn token_request<'known>(
    get: &impl Fn(&str) -> Option<&'known str>,
) -> Result<Value, Error> {
    if let Some(secret) = get("APPLICATION_CREDENTIAL_SECRET") {
        let credential = application_credential(get, secret)?;
        // Its project is its own.
        return Ok(json!({"auth": {"identity": {
            "methods": ["application_credential"],
            "application_credential": credential,
        }}}));
    }
    let identity = match (get("PASSWORD"), get("TOKEN").or_else(|| get("AUTH_TOKEN"))) {
        (Some(password), _) => {
            let mut user = user(get)
                .ok_or_else(|| Error::of_login("a password needs a user: set OS_USERNAME"))?;
            user["password"] = password.into();
            json!({"methods": ["password"], "password": {"user": user}})
        }
        (None, Some(token)) => json!({"methods": ["token"], "token": {"id": token}}),
        (None, None) => {
            return Err(Error::of_login(
                "no credentials for Keystone are set; set OS_USERNAME and OS_PASSWORD, an \
                 application credential, or OS_TOKEN",
            ));
        }
    };
    let scope = scope(get).ok_or_else(|| {
        Error::of_login("no project is set; set OS_PROJECT_NAME or OS_PROJECT_ID")
    })?;
    Ok(json!({"auth": {"identity": identity, "scope": scope}}))
}

fn application_credential<'known>(
    get: &impl Fn(&str) -> Option<&'known str>,
    secret: &str,
) -> Result<Value, Error> {
    match (
        get("APPLICATION_CREDENTIAL_ID"),
        get("APPLICATION_CREDENTIAL_NAME"),
        user(get),
    ) {
        (Some(id), _, _) => Ok(json!({"id": id, "secret": secret})),
        (None, Some(name), Some(user)) => Ok(json!({"name": name, "secret": secret, "user": user})),
        _ => Err(Error::of_login(
            "an application credential needs its id, or its name and its user; set \
             OS_APPLICATION_CREDENTIAL_ID",
        )),
    }
}

fn user<'known>(get: &impl Fn(&str) -> Option<&'known str>) -> Option<Value> {
    match (get("USER_ID"), get("USERNAME")) {
        (Some(id), _) => Some(json!({"id": id})),
        (None, Some(name)) => Some(json!({"name": name, "domain": domain(get, "USER")})),
        (None, None) => None,
    }
}

/// Returns what the token is for: a trust, or a project.
fn scope<'known>(get: &impl Fn(&str) -> Option<&'known str>) -> Option<Value> {
    let id = get("PROJECT_ID").or_else(|| get("TENANT_ID"));
    let name = get("PROJECT_NAME").or_else(|| get("TENANT_NAME"));
    match (get("TRUST_ID"), id, name) {
        (Some(trust), _, _) => Some(json!({"OS-TRUST:trust": {"id": trust}})),
        (None, Some(id), _) => Some(json!({"project": {"id": id}})),
        (None, None, Some(name)) => {
            Some(json!({"project": {"name": name, "domain": domain(get, "PROJECT")}}))
        }
        (None, None, None) => None,
    }
}

fn domain<'known>(get: &impl Fn(&str) -> Option<&'known str>, of: &str) -> Value {
    let named = || get(&format!("{of}_DOMAIN_NAME")).or_else(|| get("DEFAULT_DOMAIN"));
    match get(&format!("{of}_DOMAIN_ID")) {
        Some(id) => json!({"id": id}),
        None => json!({"name": named().unwrap_or("Default")}),
    }
}

/// Returns the address of a service in Keystone's catalog.
pub(super) fn endpoint(
    catalog: &Value,
    service: OpenStackService,
    region: Option<&str>,
    interface: &str,
) -> Result<String, Error> {
    let services = catalog.as_array().map(Vec::as_slice).unwrap_or_default();
    let stores = services
        .iter()
        .filter(|entry| entry["type"] == service.kind());
    let endpoints: Vec<&Value> = stores
        .flat_map(|service| {
            service["endpoints"]
                .as_array()
                .map(Vec::as_slice)
                .unwrap_or_default()
        })
        .collect();
    let is_meant = |endpoint: &&&Value| {
        endpoint["interface"] == interface
            && region.is_none_or(|region| {
                endpoint["region"] == region || endpoint["region_id"] == region
            })
    };
    let found = endpoints
        .iter()
        .find(is_meant)
        .and_then(|endpoint| endpoint["url"].as_str())
        .map(str::to_owned);
    found.ok_or_else(|| {
        let there: Vec<String> = endpoints
            .iter()
            .filter_map(|endpoint| {
                Some(format!(
                    "{} in {}",
                    endpoint["interface"].as_str()?,
                    endpoint["region"].as_str()?
                ))
            })
            .collect();
        let wanted = region.map_or_else(
            || interface.to_owned(),
            |region| format!("{interface} in {region}"),
        );
        Error::of_login(match there.is_empty() {
            true => format!("Keystone's catalog has no {} for this user", service.name()),
            false => format!(
                "Keystone's catalog has no {} {wanted}; it has {}",
                service.name(),
                there.join(", ")
            ),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::{OpenStackService, endpoint, token_request};
    use serde_json::json;
    use std::collections::BTreeMap;

    fn request(known: &[(&str, &str)]) -> Result<serde_json::Value, String> {
        let known: BTreeMap<_, _> = known.iter().copied().collect();
        token_request(&|name: &str| known.get(name).copied()).map_err(|error| error.to_string())
    }

    #[test]
    fn keystone_is_asked_with_password_token_or_application_credential() {
        let password = request(&[
            ("USERNAME", "u"),
            ("PASSWORD", "p"),
            ("PROJECT_NAME", "x"),
            ("PROJECT_DOMAIN_ID", "d"),
        ])
        .expect("enough");
        assert_eq!(
            password,
            json!({"auth": {
                "identity": {
                    "methods": ["password"],
                    "password": {
                        "user": {"name": "u", "domain": {"name": "Default"}, "password": "p"}
                    },
                },
                "scope": {"project": {"name": "x", "domain": {"id": "d"}}},
            }})
        );
        let credential = request(&[
            ("APPLICATION_CREDENTIAL_ID", "i"),
            ("APPLICATION_CREDENTIAL_SECRET", "s"),
            ("PROJECT_NAME", "x"),
        ]);
        assert_eq!(
            credential.expect("enough"),
            json!({
                "auth": {
                    "identity": {
                        "methods": ["application_credential"],
                        "application_credential": {"id": "i", "secret": "s"},
                    }
                }
            })
        );
        let token = request(&[("TOKEN", "t"), ("TRUST_ID", "r")]).expect("enough");
        assert_eq!(
            token["auth"]["identity"],
            json!({"methods": ["token"], "token": {"id": "t"}})
        );
        assert_eq!(
            token["auth"]["scope"],
            json!({"OS-TRUST:trust": {"id": "r"}})
        );
        for known in [
            &[("USERNAME", "u")][..],
            &[("PASSWORD", "p")],
            &[("USERNAME", "u"), ("PASSWORD", "p")],
            &[("APPLICATION_CREDENTIAL_SECRET", "s")],
        ] {
            let error = request(known).expect_err("not enough");
            assert!(!error.contains("\"p\"") && error.len() > 20, "{error}");
        }
    }

    #[test]
    fn the_object_store_is_found_by_region_and_interface() {
        let at = |interface: &str, region: &str| {
            json!({
                "interface": interface,
                "region": region,
                "region_id": region,
                "url": format!("http://{interface}.{region}/v1/x"),
            })
        };
        let catalog = json!([
            {"type": "identity", "endpoints": [at("public", "one")]},
            {"type": "backup", "endpoints": [at("public", "one")]},
            {
                "type": "object-store",
                "endpoints": [at("admin", "one"), at("public", "two"), at("internal", "two")],
            },
        ]);
        assert_eq!(
            endpoint(&catalog, OpenStackService::ObjectStore, None, "public").expect("there"),
            "http://public.two/v1/x"
        );
        assert_eq!(
            endpoint(
                &catalog,
                OpenStackService::ObjectStore,
                Some("one"),
                "admin"
            )
            .expect("there"),
            "http://admin.one/v1/x"
        );
        assert_eq!(
            endpoint(&catalog, OpenStackService::Backup, None, "public").expect("there"),
            "http://public.one/v1/x"
        );
        let error = endpoint(
            &catalog,
            OpenStackService::ObjectStore,
            Some("one"),
            "internal",
        )
        .expect_err("not there");
        let cause = error.to_string();
        assert!(
            cause.contains(
                "no object store internal in one; it has admin in one, public in two, internal in \
                 two"
            ),
            "{cause}",
        );
        endpoint(&json!(null), OpenStackService::ObjectStore, None, "public")
            .expect_err("no catalog");
    }
}
