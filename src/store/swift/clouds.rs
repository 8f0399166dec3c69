//! `clouds.yaml`: the file in which OpenStack's tools keep who logs in where.

use crate::store::{Error, Kind, Settings, Verb};
use std::collections::BTreeMap;
use std::path::PathBuf;
use yaml_rust2::{Yaml, YamlLoader};

/// Most bytes of such a file.
const MAX_BYTES: u64 = 1 << 20;

/// What a cloud's section says, by the names of the environment's variables in lower case without `os_`.
pub(super) fn find(cloud: &str, settings: &Settings) -> Result<BTreeMap<String, String>, Error> {
    let wrong = |text: String| Error::of_store(Kind::Denied, Verb::Open).because(text);
    let path = files(settings).into_iter().find(|path| path.is_file());
    let path = path.ok_or_else(|| wrong(format!("there is no clouds.yaml, where the cloud {cloud} should be")))?;
    let mut found = BTreeMap::new();
    let mut is_there = false;
    // Secrets may stand in a second file beside it.
    for path in [path.clone(), path.with_file_name("secure.yaml")] {
        if !path.is_file() {
            continue;
        }
        warn_if_open_to_others(&path);
        let text = read(&path).map_err(|error| wrong(format!("{} cannot be read: {error}", path.display())))?;
        let section = section(&text, cloud).map_err(|why| wrong(format!("{}: {why}", path.display())))?;
        is_there |= section.is_some();
        found.extend(section.unwrap_or_default());
    }
    if is_there { Ok(found) } else { Err(wrong(format!("{} has no cloud {cloud}", path.display()))) }
}

/// Where such files are, the first that is there wins.
fn files(settings: &Settings) -> Vec<PathBuf> {
    if let Some(path) = settings.variable("OS_CLIENT_CONFIG_FILE") {
        return vec![path.into()];
    }
    let home = settings.home().map(|home| home.join(".config/openstack/clouds.yaml"));
    [Some(PathBuf::from("clouds.yaml")), home, Some(PathBuf::from("/etc/openstack/clouds.yaml"))].into_iter().flatten().collect()
}

fn read(path: &std::path::Path) -> std::io::Result<String> {
    use std::io::Read;
    let mut text = String::new();
    std::fs::File::open(path)?.take(MAX_BYTES).read_to_string(&mut text)?;
    Ok(text)
}

#[cfg(unix)]
fn warn_if_open_to_others(path: &std::path::Path) {
    use std::os::unix::fs::MetadataExt;
    if path.metadata().is_ok_and(|metadata| metadata.mode() & 0o077 != 0) {
        tracing::warn!(path = %path.display(), "others may read this file with credentials: chmod 600 makes it yours alone");
    }
}

#[cfg(windows)]
fn warn_if_open_to_others(_: &std::path::Path) {}

/// A cloud's section: the names below `auth`, and those beside it.
fn section(text: &str, cloud: &str) -> Result<Option<BTreeMap<String, String>>, String> {
    let documents = YamlLoader::load_from_str(text).map_err(|error| format!("it is no YAML: {error}"))?;
    let Some(section) = documents.first().map(|document| &document["clouds"][cloud]).filter(|section| !section.is_badvalue()) else {
        return Ok(None);
    };
    let mut found = BTreeMap::new();
    for map in [section, &section["auth"]] {
        for (name, value) in map.as_hash().into_iter().flatten() {
            let (Some(name), Some(value)) = (name.as_str(), text_of(value)) else { continue };
            found.insert(name.replace('-', "_"), value);
        }
    }
    Ok(Some(found))
}

fn text_of(value: &Yaml) -> Option<String> {
    match value {
        Yaml::String(text) | Yaml::Real(text) => Some(text.clone()),
        Yaml::Integer(number) => Some(number.to_string()),
        Yaml::Boolean(flag) => Some(flag.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::section;

    const CLOUDS: &str = "clouds:
  prod:
    region_name: RegionTwo
    interface: internal
    auth:
      auth_url: https://keystone.example/v3
      username: 'backup'
      password: \"p: #1\"
      project_name: x
      user_domain_name: Default
  other: {auth: {auth_url: http://o, password: 123}}
";

    #[test]
    fn a_cloud_is_found_with_what_stands_below_auth_and_beside_it() {
        let prod = section(CLOUDS, "prod").expect("YAML").expect("there");
        assert_eq!((prod["region_name"].as_str(), prod["password"].as_str(), prod["username"].as_str()), ("RegionTwo", "p: #1", "backup"));
        assert_eq!(section(CLOUDS, "other").expect("YAML").expect("there")["password"], "123");
        assert_eq!(section(CLOUDS, "third").expect("YAML"), None);
        section("clouds: [", "x").expect_err("no YAML");
        assert_eq!(section("", "x").expect("empty"), None);
        assert_eq!(section("clouds: 7", "x").expect("odd"), None);
    }
}
