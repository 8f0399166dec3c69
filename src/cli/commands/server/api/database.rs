//! The database of `freezer api`.

use super::arguments::DatabaseArguments;
use crate::cli::open::outside::outside_stores;
use crate::cli::open::session::Session;
use crate::cli::show::failure::Usage;
use anyhow::Context;
use std::path::Path;

/// Returns the address of the database. An address with a password is a secret: it comes from a
/// file.
pub(super) fn address(arguments: &DatabaseArguments, session: &Session) -> anyhow::Result<String> {
    if let Some(path) = &arguments.database_file {
        let line = session.passphrase_in(path)?;
        return String::from_utf8(line.expose().clone())
            .ok()
            .with_context(|| format!("the first line of {} is not UTF-8", path.display()));
    }
    if let Some(address) = &arguments.database {
        let has_password = address
            .split_once("://")
            .and_then(|(_, rest)| rest.split_once('@'))
            .is_some_and(|(user, _)| user.contains(':'));
        if has_password {
            return Err(Usage::new(
                "everyone on this machine can see an address with a password on a command line",
            )
            .hint("write it to a file: --database-file FILE")
            .into());
        }
        if let Some(file) = address
            .strip_prefix("sqlite:")
            .filter(|it| *it != ":memory:")
        {
            let file = file.trim_start_matches("//");
            let file = file.split_once('?').map_or(file, |(file, _)| file);
            outside_stores("a database", file.as_ref())?;
        }
        return Ok(address.clone());
    }
    let Some(path) = session.environment.default_database() else {
        return Err(
            Usage::new("there is no home directory to keep a database in")
                .hint("name one: --database sqlite:FILE")
                .into(),
        );
    };
    make_folder_of(&path)?;
    Ok(format!("sqlite:{}", path.display()))
}

/// Makes the folder of a file.
pub(super) fn make_folder_of(path: &Path) -> anyhow::Result<()> {
    let folder = path.parent().unwrap_or(path);
    std::fs::create_dir_all(folder).with_context(|| format!("could not make {}", folder.display()))
}
