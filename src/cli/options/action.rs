//! `--action`, by which the original Freezer chooses what to do, as a command.

use crate::cli::options::scan::TypedScan;
use crate::cli::show::failure::Usage;
use crate::config::Setting;
use std::ffi::{OsStr, OsString};

/// Inserts the command that does what `--action` asks for, typed or in a setting.
pub(in crate::cli) fn as_command(scan: &mut TypedScan, settings: &[Setting]) -> Result<(), Usage> {
    let Some(action) = scan.action.take().or_else(|| last_action(settings)) else {
        return Ok(());
    };
    let command = command_of(&action)?;
    if command == "prune" {
        // The original never asks.
        scan.arguments.insert(1, "--yes".into());
    }
    if command != "backup" {
        // The original's scheduler gives it for every action; only a backup has metadata.
        leave_out_metadata(&mut scan.arguments);
    }
    scan.arguments.insert(1, command.into());
    scan.command = Some((1, command.to_owned()));
    Ok(())
}

fn last_action(settings: &[Setting]) -> Option<OsString> {
    settings
        .iter()
        .rev()
        .find(|setting| setting.name == "action")
        .map(|setting| setting.value.clone())
}

/// Removes `--metadata-out FILE`.
fn leave_out_metadata(arguments: &mut Vec<OsString>) {
    while let Some(at) = arguments
        .iter()
        .position(|argument| argument.to_string_lossy().starts_with("--metadata-out"))
    {
        let has_value_behind = arguments
            .get(at)
            .is_some_and(|argument| argument == "--metadata-out")
            && at + 1 < arguments.len();
        arguments.drain(at..=at + usize::from(has_value_behind));
    }
}

/// Returns the command that does what an action of the original does.
fn command_of(action: &OsStr) -> Result<&'static str, Usage> {
    match action.to_str() {
        Some("backup") => Ok("backup"),
        Some("restore") => Ok("restore"),
        Some("info") => Ok("list"),
        Some("admin") => Ok("prune"),
        Some("exec") => {
            Err(Usage::new("this version has no action exec").hint("run the command itself"))
        }
        _ => Err(
            Usage::new(format!("there is no action {}", action.display()))
                .hint("the actions are backup, restore, info and admin"),
        ),
    }
}
