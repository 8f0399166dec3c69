//! `clouds.yaml`: the file in which OpenStack's tools keep addresses and credentials.

use super::section::section;
use crate::net::{Error, NetSettings};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The most bytes that are read of such a file.
const MAX_BYTES: u64 = 1 << 20;

/// Reads the settings of a cloud. Their names are those of the variables of the environment, in
/// lower case and without `os_`.
pub(super) fn find(cloud: &str, settings: &NetSettings) -> Result<BTreeMap<String, String>, Error> {
    let wrong = |text: String| Error::of_login(text);
    let path = files(settings).into_iter().find(|path| path.is_file());
    let path = path.ok_or_else(|| {
        wrong(format!(
            "found no clouds.yaml to read the cloud {cloud} from"
        ))
    })?;
    let mut found = BTreeMap::new();
    let mut is_there = false;
    // Secrets may be in a second file beside it.
    for path in [path.clone(), path.with_file_name("secure.yaml")] {
        if !path.is_file() {
            continue;
        }
        warn_if_open_to_others(&path);
        let text = read(&path)
            .map_err(|error| wrong(format!("could not read {}: {error}", path.display())))?;
        let section =
            section(&text, cloud).map_err(|why| wrong(format!("{}: {why}", path.display())))?;
        is_there |= section.is_some();
        found.extend(section.unwrap_or_default());
    }
    if is_there {
        Ok(found)
    } else {
        Err(wrong(format!("{} has no cloud {cloud}", path.display())))
    }
}

/// Returns the places of such files; the first file that exists is used.
fn files(settings: &NetSettings) -> Vec<PathBuf> {
    if let Some(path) = settings.variable("OS_CLIENT_CONFIG_FILE") {
        return vec![path.into()];
    }
    let home = settings
        .home()
        .map(|home| home.join(".config/openstack/clouds.yaml"));
    [
        Some(PathBuf::from("clouds.yaml")),
        home,
        Some(PathBuf::from("/etc/openstack/clouds.yaml")),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn read(path: &std::path::Path) -> std::io::Result<String> {
    use std::io::Read;
    let mut text = String::new();
    std::fs::File::open(path)?
        .take(MAX_BYTES)
        .read_to_string(&mut text)?;
    Ok(text)
}

#[cfg(unix)]
fn warn_if_open_to_others(path: &std::path::Path) {
    use std::os::unix::fs::MetadataExt;
    if path
        .metadata()
        .is_ok_and(|metadata| metadata.mode() & 0o077 != 0)
    {
        tracing::warn!(
            path = %path.display(),
            "other users can read the credentials in this file; `chmod 600` keeps them out"
        );
    }
}

#[cfg(windows)]
fn warn_if_open_to_others(_: &std::path::Path) {}
