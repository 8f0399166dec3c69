//! A setting of a file or of the environment, as the option that it stands for.

use crate::cli::options::original;
use crate::cli::show::failure::Usage;
use crate::config::Setting;
use clap::builder::Resettable;
use clap::{Arg, Command};
use std::ffi::OsString;

/// Finds the option of a command by its long name or an alias.
pub(in crate::cli) fn find<'command>(
    command: &'command Command,
    name: &str,
) -> Option<&'command Arg> {
    command.get_arguments().find(|argument| {
        let aliases = argument.get_all_aliases().unwrap_or_default();
        argument.get_long() == Some(name)
            || (argument.get_long().is_some() && aliases.contains(&name))
    })
}

/// Returns the setting as an argument; `None` when it switches a flag off.
///
/// Tries the value, so that an error names the file and the line.
pub(in crate::cli) fn as_argument(
    argument: &Arg,
    setting: &Setting,
) -> anyhow::Result<Option<OsString>> {
    let long = argument.get_long().unwrap_or(&setting.name);
    let mut text = OsString::from(format!("--{long}"));
    if argument.get_action().takes_values() {
        text.push("=");
        text.push(&setting.value);
    } else if !is_on(setting)? {
        return Ok(None);
    }
    // Tried alone: what the option requires or conflicts with is a matter of the whole line.
    let argument = argument
        .clone()
        .required(false)
        .global(false)
        .conflicts_with(Resettable::Reset)
        .requires(Resettable::Reset)
        .overrides_with(Resettable::Reset);
    let alone = Command::new("freezer").no_binary_name(true).arg(argument);
    match alone.try_get_matches_from([&text]) {
        Ok(_) => Ok(Some(text)),
        Err(error) => {
            let why = error.render().to_string();
            let why = why
                .lines()
                .next()
                .unwrap_or_default()
                .trim_start_matches("error: ");
            Err(wrong(why, setting).into())
        }
    }
}

/// Reads the value of a flag.
fn is_on(setting: &Setting) -> Result<bool, Usage> {
    let value = setting.value.to_str().map(str::to_ascii_lowercase);
    match value.as_deref() {
        Some("true" | "yes" | "on" | "1") => Ok(true),
        Some("false" | "no" | "off" | "0") => Ok(false),
        _ => {
            let (name, value) = (&setting.name, setting.value.display());
            Err(wrong(
                format!("{name} = {value}: write true or false"),
                setting,
            ))
        }
    }
}

fn wrong(why: impl Into<String>, setting: &Setting) -> Usage {
    Usage::new(why).hint(format!("correct it in {}", setting.origin))
}

/// The error about a setting that is no option of any command.
pub(in crate::cli) fn unknown(program: &Command, setting: &Setting) -> anyhow::Error {
    let hint = match original::advice(&setting.name) {
        Some(advice) => advice.to_owned(),
        None => {
            let known = program
                .get_subcommands()
                .chain([program])
                .flat_map(Command::get_arguments)
                .filter_map(Arg::get_long);
            match nearest(&setting.name, known) {
                Some(near) => format!("did you mean {near}?"),
                None => {
                    "the keys are the long names of options: see freezer COMMAND --help".to_owned()
                }
            }
        }
    };
    Usage::new(format!(
        "there is no option {} (in {})",
        setting.name, setting.origin
    ))
    .hint(hint)
    .into()
}

/// Returns the most similar name, if at most a third of its letters differ.
pub(in crate::cli) fn nearest<'names>(
    name: &str,
    names: impl Iterator<Item = &'names str>,
) -> Option<&'names str> {
    let mistakes = (name.chars().count() / 3).max(1);
    let scored = names
        .map(|other| (strsim::damerau_levenshtein(name, other), other))
        .filter(|(distance, _)| *distance <= mistakes);
    scored
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, other)| other)
}
