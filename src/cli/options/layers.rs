//! Puts the settings of files and of the environment under the command line.
//!
//! A setting becomes an argument `--name=value` before what the user typed, and clap lets the later
//! one win. So an option has one name, one parser and one help text wherever it is given, and the
//! command line always wins. The values of options that can be given several times add up.

use crate::cli::options::action;
use crate::cli::options::scan::TypedScan;
use crate::cli::options::sections::NamedStore;
use crate::cli::options::setting::{as_argument, find, unknown};
use crate::cli::options::stores::SECRETS;
use crate::cli::show::failure::Usage;
use crate::config::file::ConfigFileError;
use crate::config::{self, Environment, Setting, SettingOrigin};
use clap::Command;
use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

/// The arguments for clap, and what the settings say beside them.
pub(in crate::cli) struct Layered {
    /// The program's name, then the settings, then what the user typed.
    pub(in crate::cli) arguments: Vec<OsString>,
    /// The stores that sections of the configuration describe.
    pub(in crate::cli) stores: Vec<NamedStore>,
    /// Files that hold secrets and that other users may read.
    pub(in crate::cli) open_files: BTreeSet<PathBuf>,
}

/// Puts the settings before what the user typed (the program's name first).
///
/// Only one layer names stores: those of a lower layer are not added to them.
///
/// Also takes the form of the original, which has no commands: `--action restore` means `restore`,
/// on the command line or in a file. `--no-FLAG` and `--noFLAG` take back a flag that a file sets.
pub(in crate::cli) fn layer(
    typed: Vec<OsString>,
    program: &Command,
    environment: &Environment,
) -> anyhow::Result<Layered> {
    refuse_secrets(&typed)?;
    let mut scan = TypedScan::of(typed, program);
    let settings = settings(scan.config.as_deref(), environment)?;
    let open_files = open_files(&settings);
    let (sections, mut settings): (Vec<Setting>, Vec<Setting>) = settings
        .into_iter()
        .partition(|setting| setting.section.is_some());
    let stores = NamedStore::read(sections)?;
    one_layer_of_stores(&mut settings, !stores.is_empty(), &scan, program);
    if scan.command.is_none() && !scan.asks_for_help {
        action::as_command(&mut scan, &settings)?;
    }
    Ok(Layered {
        arguments: below_the_typed(settings, scan, program)?,
        stores,
        open_files,
    })
}

/// Inserts each setting where an option of its kind stands: those of every command after the
/// program's name, those of the command after the command. A setting of another command is skipped.
fn below_the_typed(
    settings: Vec<Setting>,
    scan: TypedScan,
    program: &Command,
) -> anyhow::Result<Vec<OsString>> {
    let mut layered = scan.arguments;
    let Some((position, name)) = scan.command else {
        return Ok(layered);
    };
    let Some(command) = program.find_subcommand(&name) else {
        return Ok(layered);
    };
    let (mut for_all, mut for_command) = (Vec::new(), Vec::new());
    for setting in settings {
        let flag_taken_back = scan.taken_back.contains(&setting.name);
        if flag_taken_back || matches!(setting.name.as_str(), "action" | "config") {
            continue;
        }
        if let Some(argument) = find(program, &setting.name) {
            for_all.push(as_argument(argument, &setting)?);
        } else if let Some(argument) = find(command, &setting.name) {
            for_command.push(as_argument(argument, &setting)?);
        } else if !program
            .get_subcommands()
            .any(|other| find(other, &setting.name).is_some())
        {
            return Err(unknown(program, &setting));
        }
    }
    layered.splice(
        position + 1..position + 1,
        for_command.into_iter().flatten(),
    );
    layered.splice(1..1, for_all.into_iter().flatten());
    Ok(layered)
}

/// Returns the files that set secrets and that users other than the owner may read.
fn open_files(settings: &[Setting]) -> BTreeSet<PathBuf> {
    let secrets = settings
        .iter()
        .filter(|setting| SECRETS.contains(&setting.name.as_str()));
    let files = secrets.filter_map(|setting| match &setting.origin {
        SettingOrigin::File { path, .. } => Some(path.clone()),
        SettingOrigin::Environment(_) => None,
    });
    files
        .filter(|path| config::is_open_to_others(path))
        .collect()
}

fn names_a_store(program: &Command, setting: &Setting) -> bool {
    find(program, &setting.name).is_some_and(|argument| argument.get_long() == Some("store"))
}

/// Keeps the settings that name stores only of the layer that counts: of none when a store is
/// typed, else of the environment, else of the last file, unless sections describe stores.
fn one_layer_of_stores(
    settings: &mut Vec<Setting>,
    has_sections: bool,
    scan: &TypedScan,
    program: &Command,
) {
    let origin = settings
        .iter()
        .rev()
        .find(|setting| names_a_store(program, setting))
        .map(|setting| setting.origin.clone());
    let counts = |other: &SettingOrigin| match (&origin, other) {
        (Some(SettingOrigin::File { path, .. }), SettingOrigin::File { path: other, .. }) => {
            path == other && !has_sections
        }
        (Some(SettingOrigin::Environment(name)), SettingOrigin::Environment(other)) => {
            name == other
        }
        _ => false,
    };
    settings.retain(|setting| {
        !names_a_store(program, setting) || !scan.names_a_store && counts(&setting.origin)
    });
}

/// Refuses a typed secret: every user of the machine can see it.
fn refuse_secrets(typed: &[OsString]) -> Result<(), Usage> {
    let words = typed
        .iter()
        .map(|word| word.to_string_lossy())
        .take_while(|word| word != "--");
    for word in words {
        let name = word
            .strip_prefix("--")
            .map(|option| option.split_once('=').map_or(option, |(name, _)| name));
        if let Some(name) = name.filter(|name| SECRETS.contains(name)) {
            let hint = "write it to a configuration file that only you can read, or set the \
                        variable that the store's own tools take it from";
            return Err(Usage::new(format!(
                "--{name} on a command line can be seen by everyone"
            ))
            .hint(hint));
        }
    }
    Ok(())
}

/// Reads the settings of all layers; the last ones win.
fn settings(named: Option<&OsStr>, environment: &Environment) -> anyhow::Result<Vec<Setting>> {
    let read = |path: &Path| config::file::read(path, environment.home());
    let mut settings = match named
        .map(Path::new)
        .or(environment.config_file().map(|path| path.as_path()))
    {
        Some(path) => read(path)?,
        None => {
            let mut settings = Vec::new();
            for path in environment.default_config_files() {
                match read(&path) {
                    Err(ConfigFileError::Read { source, .. })
                        if source.kind() == std::io::ErrorKind::NotFound => {}
                    read => settings.extend(read?),
                }
            }
            settings
        }
    };
    settings.extend_from_slice(environment.settings());
    Ok(settings)
}
