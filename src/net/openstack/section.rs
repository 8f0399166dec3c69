//! What `clouds.yaml` says of one cloud. Knows nothing else of the crate, so that it can be fuzzed
//! alone.

use std::collections::BTreeMap;
use yaml_rust2::{Yaml, YamlLoader};

/// A cloud's section: the names below `auth`, and those beside it.
pub(super) fn section(text: &str, cloud: &str) -> Result<Option<BTreeMap<String, String>>, String> {
    let documents =
        YamlLoader::load_from_str(text).map_err(|error| format!("it is no YAML: {error}"))?;
    let Some(section) = documents
        .first()
        .map(|document| &document["clouds"][cloud])
        .filter(|section| !section.is_badvalue())
    else {
        return Ok(None);
    };
    let mut found = BTreeMap::new();
    for map in [section, &section["auth"]] {
        for (name, value) in map.as_hash().into_iter().flatten() {
            let (Some(name), Some(value)) = (name.as_str(), text_of(value)) else {
                continue;
            };
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
        assert_eq!(
            (
                prod["region_name"].as_str(),
                prod["password"].as_str(),
                prod["username"].as_str()
            ),
            ("RegionTwo", "p: #1", "backup")
        );
        assert_eq!(
            section(CLOUDS, "other").expect("YAML").expect("there")["password"],
            "123"
        );
        assert_eq!(section(CLOUDS, "third").expect("YAML"), None);
        section("clouds: [", "x").expect_err("no YAML");
        assert_eq!(section("", "x").expect("empty"), None);
        assert_eq!(section("clouds: 7", "x").expect("odd"), None);
    }
}
