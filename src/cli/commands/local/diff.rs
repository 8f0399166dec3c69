//! `freezer diff`.

use crate::cli::commands::local::ls::{Shown, tree_path};
use crate::cli::open::session::Session;
use crate::cli::show::failure::Outcome;
use crate::cli::show::output::Format;
use crate::format::manifest::PathText;
use crate::fs::timeline::EntryDifference;
use crate::model::{BackupRef, Entry, TreePath};
use clap::Args;
use serde::Serialize;
use std::ffi::OsString;

/// Show what differs between two points in time
///
/// What has a + is only in the second, what has a - only in the first; M is in both and differs in
/// what is told. Contents are not read: they differ when a file was stored anew. That the time of a
/// directory changed is not told.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  freezer diff docs@yesterday docs
  freezer diff docs@2026-11-01 docs@2026-11-20 letters --json
  freezer diff web-1/www web-2/www")]
pub(in crate::cli) struct Arguments {
    /// NAME or HOST/NAME; with @DATE the newest point in time at or before it
    #[arg(value_name = "BACKUP[@DATE]")]
    before: BackupRef,

    /// The same, for what it is compared with
    #[arg(value_name = "BACKUP[@DATE]")]
    after: BackupRef,

    /// A directory or file in both; all else is left out
    #[arg(value_name = "PATH")]
    path: Option<OsString>,
}

/// A change, as programs read it.
#[derive(Serialize)]
struct ChangeDocument {
    change: &'static str,
    path: PathText,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    differs_in: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    size_before: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    size_after: Option<u64>,
}

pub(in crate::cli) fn run(arguments: &Arguments, session: &mut Session) -> anyhow::Result<Outcome> {
    let below = arguments
        .path
        .as_ref()
        .map(tree_path)
        .transpose()?
        .unwrap_or_default();
    let opened = session.opened()?;
    let [before, after] = [
        opened.point(&arguments.before, session)?.view,
        opened.point(&arguments.after, session)?.view,
    ];
    let shown = Shown::default();
    let mut counts = [0_u64; 3];
    for difference in before.differences(&after) {
        let difference = difference?;
        if !difference.path.starts_with(&below) {
            continue;
        }
        let [was, is] = [&difference.before, &difference.after]
            .map(|found| found.as_ref().map(|(_, entry)| entry));
        let Some((sign, words)) = change(was, is) else {
            continue;
        };
        let (change, count) = match sign {
            "+" => ("added", 0),
            "-" => ("removed", 1),
            _ => ("modified", 2),
        };
        if let Some(count) = counts.get_mut(count) {
            *count += 1;
        }
        if session.output.format == Format::Json {
            let size = |entry: Option<&Entry>| entry.map(|entry| entry.content.size());
            let path = difference.path.as_bytes().to_vec().into();
            let document = ChangeDocument {
                change,
                path,
                differs_in: words,
                size_before: size(was),
                size_after: size(is),
            };
            session.output.json_line(&document)?;
            continue;
        }
        session.output.bytes(format!("{sign} ").as_bytes())?;
        session
            .output
            .bytes(&shown.name(name_of(&difference.path)))?;
        let words = if words.is_empty() {
            String::new()
        } else {
            format!("  ({})", words.join(", "))
        };
        session.output.line(words)?;
    }
    let [added, removed, modified] = counts;
    session.output.note(format_args!(
        "{added} added, {removed} removed, {modified} modified"
    ));
    Ok(Outcome::Done)
}

/// A path as it is shown; the root is a dot.
fn name_of(path: &TreePath) -> &[u8] {
    if path.is_root() {
        b"."
    } else {
        path.as_bytes()
    }
}

/// The sign of a change, and in what it is one; `None` when there is none.
fn change(
    before: Option<&Entry>,
    after: Option<&Entry>,
) -> Option<(&'static str, Vec<&'static str>)> {
    match (before, after) {
        (None, None) => None,
        (None, Some(_)) => Some(("+", Vec::new())),
        (Some(_), None) => Some(("-", Vec::new())),
        (Some(before), Some(after)) => {
            let difference = EntryDifference::between(before, after);
            (!difference.is_none()).then(|| ("M", difference.words()))
        }
    }
}
