//! `freezer du`.

use crate::cli::open::path::{lookup, tree_path};
use crate::cli::open::point::PointView;
use crate::cli::open::session::Session;
use crate::cli::show::failure::Completion;
use crate::cli::show::output::OutputForm;
use crate::config::show_bytes;
use crate::format::manifest::PathText;
use crate::fs::view::View;
use crate::model::{BackupRef, Kind, NodeId, TreePath};
use clap::Args;
use serde::Serialize;
use std::collections::HashMap;
use std::ffi::OsString;
use std::ops::ControlFlow;

/// Show how much data the directories of a point in time hold
///
/// Sums up the sizes of files, with holes. A file with several names counts once, where its first
/// name is. A directory comes after the directories in it.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  freezer du docs
  freezer du docs@2026-11-20 letters --depth 2
  freezer du docs --depth 0 --json")]
pub(in crate::cli) struct Arguments {
    /// NAME or HOST/NAME; @DATE picks the newest point in time at or before DATE [default: the
    /// latest]
    #[arg(value_name = "BACKUP[@DATE]")]
    backup: BackupRef,

    /// A directory or file in the backup [default: the top]
    #[arg(value_name = "PATH")]
    path: Option<OsString>,

    /// How many levels of directories below PATH to show each by itself
    #[arg(long, short, value_name = "N", default_value = "1")]
    depth: usize,
}

/// A line of `--json`.
#[derive(Serialize)]
struct DirectoryDocument {
    path: PathText,
    bytes: u64,
    files: u64,
}

/// A directory whose sum is not complete yet.
struct Summed {
    path: TreePath,
    bytes: u64,
    files: u64,
    /// Directories in it that are still to be summed, the next one last.
    below: Vec<NodeId>,
}

pub(in crate::cli) fn run(
    arguments: &Arguments,
    session: &mut Session,
) -> anyhow::Result<Completion> {
    let path = arguments
        .path
        .as_ref()
        .map(tree_path)
        .transpose()?
        .unwrap_or_default();
    let view = PointView::open(&arguments.backup, session)?.view;
    let (node, entry) = lookup(&view, &path)?;
    if entry.content.kind() != Kind::Directory {
        let file = Summed {
            path,
            bytes: entry.content.size(),
            files: 1,
            below: Vec::new(),
        };
        tell(&file, session)?;
        return Ok(Completion::Done);
    }
    let mut names = SeveralNames::default();
    let mut open = vec![enter(&view, node, path, &mut names)?];
    while let Some(current) = open.last_mut() {
        if let Some(next) = current.below.pop() {
            let path = view.entry(next)?.path;
            open.push(enter(&view, next, path, &mut names)?);
            continue;
        }
        let Some(done) = open.pop() else { break };
        if open.len() <= arguments.depth {
            tell(&done, session)?;
        }
        if let Some(parent) = open.last_mut() {
            parent.bytes = parent.bytes.saturating_add(done.bytes);
            parent.files += done.files;
        }
    }
    Ok(Completion::Done)
}

/// The files with several names of which not all have come: each counts once.
#[derive(Default)]
struct SeveralNames {
    /// How many more names can follow, by the record that all names of a file have in common.
    more: HashMap<NodeId, u32>,
}

impl SeveralNames {
    /// Returns whether no other name of a file has come before.
    fn is_first(&mut self, record: NodeId, links: u32) -> bool {
        match self.more.get_mut(&record) {
            Some(1) => {
                self.more.remove(&record);
                false
            }
            Some(more) => {
                *more -= 1;
                false
            }
            None => {
                if links > 1 {
                    self.more.insert(record, links - 1);
                }
                true
            }
        }
    }
}

/// Sums up the files that are in a directory itself.
fn enter(
    view: &View,
    node: NodeId,
    path: TreePath,
    names: &mut SeveralNames,
) -> anyhow::Result<Summed> {
    let mut open = Summed {
        path,
        bytes: 0,
        files: 0,
        below: Vec::new(),
    };
    view.list(node, None, |child| {
        match child.attributes.kind {
            Kind::Directory => open.below.push(child.node),
            Kind::File if names.is_first(child.inode, child.attributes.links) => {
                open.bytes = open.bytes.saturating_add(child.attributes.size);
                open.files += 1;
            }
            _ => {}
        }
        ControlFlow::Continue(())
    })?;
    open.below.reverse();
    Ok(open)
}

fn tell(done: &Summed, session: &mut Session) -> anyhow::Result<()> {
    if session.output.form == OutputForm::Json {
        let path = done.path.as_bytes().to_vec().into();
        return Ok(session.output.json_line(&DirectoryDocument {
            path,
            bytes: done.bytes,
            files: done.files,
        })?);
    }
    session
        .output
        .text(format_args!("{:>10}  ", show_bytes(done.bytes).to_string()))?;
    session.output.path(&done.path)?;
    Ok(session.output.line("")?)
}
