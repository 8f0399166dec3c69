//! `freezer diff`.

use crate::cli::open::path::tree_path;
use crate::cli::open::point::OpenStore;
use crate::cli::open::session::Session;
use crate::cli::show::failure::Completion;
use crate::cli::show::output::OutputForm;
use crate::format::manifest::PathText;
use crate::fs::timeline::EntryDifference;
use crate::model::{BackupRef, Entry, TreePath};
use clap::Args;
use serde::Serialize;
use std::ffi::OsString;

/// Show what differs between two points in time
///
/// A line with + is a file that only the second has, one with - a file that only the first has, and
/// one with M differs in what stands in brackets. Contents are not read: they count as different
/// when a file was stored again. A changed time of a directory is not shown.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  freezer diff docs@yesterday docs
  freezer diff docs@2026-11-01 docs@2026-11-20 letters --json
  freezer diff web-1/www web-2/www")]
pub(in crate::cli) struct Arguments {
    /// NAME or HOST/NAME; @DATE picks the newest point in time at or before DATE [default: the
    /// latest]
    #[arg(value_name = "BACKUP[@DATE]")]
    before: BackupRef,

    /// The point in time to compare it with, in the same form
    #[arg(value_name = "BACKUP[@DATE]")]
    after: BackupRef,

    /// Compare only this directory or file [default: everything]
    #[arg(value_name = "PATH")]
    path: Option<OsString>,
}

/// A line of `--json`.
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

/// A change of one path.
struct PathChange<'entry> {
    sign: &'static str,
    /// What differs, in words; empty unless both have the path.
    differs_in: Vec<&'static str>,
    before: Option<&'entry Entry>,
    after: Option<&'entry Entry>,
}

/// Numbers of paths by the kind of their change.
#[derive(Default)]
struct ChangeCounts {
    added: u64,
    removed: u64,
    modified: u64,
}

pub(in crate::cli) fn run(
    arguments: &Arguments,
    session: &mut Session,
) -> anyhow::Result<Completion> {
    let below = arguments
        .path
        .as_ref()
        .map(tree_path)
        .transpose()?
        .unwrap_or_default();
    let store = OpenStore::open(session)?;
    let before = store.point(&arguments.before, session)?.view;
    let after = store.point(&arguments.after, session)?.view;
    let mut counts = ChangeCounts::default();
    for difference in before.differences(&after) {
        let difference = difference?;
        if !difference.path.starts_with(&below) {
            continue;
        }
        let [was, is] = [&difference.before, &difference.after]
            .map(|found| found.as_ref().map(|(_, entry)| entry));
        if let Some(change) = PathChange::between(was, is) {
            counts.add(&change);
            tell(&change, &difference.path, session)?;
        }
    }
    let ChangeCounts {
        added,
        removed,
        modified,
    } = counts;
    session.output.note(format_args!(
        "{added} added, {removed} removed, {modified} modified"
    ));
    Ok(Completion::Done)
}

fn tell(change: &PathChange<'_>, path: &TreePath, session: &mut Session) -> anyhow::Result<()> {
    let output = &mut session.output;
    if output.form == OutputForm::Json {
        let size = |entry: Option<&Entry>| entry.map(|entry| entry.content.size());
        let document = ChangeDocument {
            change: change.kind(),
            path: path.as_bytes().to_vec().into(),
            differs_in: change.differs_in.clone(),
            size_before: size(change.before),
            size_after: size(change.after),
        };
        return Ok(output.json_line(&document)?);
    }
    output.text(format_args!("{} ", change.sign))?;
    output.path(path)?;
    let words = match &change.differs_in[..] {
        [] => String::new(),
        words => format!("  ({})", words.join(", ")),
    };
    Ok(output.line(words)?)
}

impl ChangeCounts {
    fn add(&mut self, change: &PathChange<'_>) {
        match change.sign {
            "+" => self.added += 1,
            "-" => self.removed += 1,
            _ => self.modified += 1,
        }
    }
}

impl<'entry> PathChange<'entry> {
    /// Compares the entries of a path; `None` if they do not differ.
    fn between(before: Option<&'entry Entry>, after: Option<&'entry Entry>) -> Option<Self> {
        let (sign, differs_in) = match (before, after) {
            (None, None) => return None,
            (None, Some(_)) => ("+", Vec::new()),
            (Some(_), None) => ("-", Vec::new()),
            (Some(before), Some(after)) => {
                let difference = EntryDifference::between(before, after);
                if difference.is_none() {
                    return None;
                }
                ("M", difference.words())
            }
        };
        Some(Self {
            sign,
            differs_in,
            before,
            after,
        })
    }

    fn kind(&self) -> &'static str {
        match self.sign {
            "+" => "added",
            "-" => "removed",
            _ => "modified",
        }
    }
}
