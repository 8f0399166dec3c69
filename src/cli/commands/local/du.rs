//! `freezer du`.

use crate::cli::commands::local::ls::{Shown, find, tree_path};
use crate::cli::open::session::Session;
use crate::cli::show::failure::Outcome;
use crate::cli::show::output::Format;
use crate::config::show_bytes;
use crate::format::manifest::PathText;
use crate::fs::view::View;
use crate::model::{BackupRef, Kind, NodeId, TreePath};
use clap::Args;
use serde::Serialize;
use std::ffi::OsString;
use std::ops::ControlFlow;

/// Show how much the directories of a point in time hold
///
/// Sums the sizes of files, holes counted; one with several names counts where its first is. A
/// directory is shown after what is in it.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  freezer du docs
  freezer du docs@2026-11-20 letters --depth 2
  freezer du docs --depth 0 --json")]
pub(in crate::cli) struct Arguments {
    /// NAME or HOST/NAME; with @DATE the newest point in time at or before it
    #[arg(value_name = "BACKUP[@DATE]")]
    backup: BackupRef,

    /// A directory or file in it [default: the top]
    #[arg(value_name = "PATH")]
    path: Option<OsString>,

    /// How many directories below PATH are shown each by itself
    #[arg(long, short, value_name = "N", default_value = "1")]
    depth: usize,
}

/// A directory, as programs read it.
#[derive(Serialize)]
struct DirectoryDocument {
    path: PathText,
    bytes: u64,
    files: u64,
}

/// A directory whose sum is not complete yet.
struct Open {
    path: TreePath,
    bytes: u64,
    files: u64,
    /// Directories in it that are to be gone through, the next one last.
    below: Vec<NodeId>,
}

pub(in crate::cli) fn run(arguments: &Arguments, session: &mut Session) -> anyhow::Result<Outcome> {
    let path = arguments
        .path
        .as_ref()
        .map(tree_path)
        .transpose()?
        .unwrap_or_default();
    let view = session.point(&arguments.backup)?.view;
    let (node, entry) = find(&view, &path)?;
    if entry.content.kind() != Kind::Directory {
        let file = Open {
            path,
            bytes: entry.content.size(),
            files: 1,
            below: Vec::new(),
        };
        tell(&file, session)?;
        return Ok(Outcome::Done);
    }
    let mut open = vec![enter(&view, node, path)?];
    while let Some(current) = open.last_mut() {
        if let Some(next) = current.below.pop() {
            let path = view.entry(next)?.path;
            open.push(enter(&view, next, path)?);
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
    Ok(Outcome::Done)
}

/// Sums what is in a directory itself.
fn enter(view: &View, node: NodeId, path: TreePath) -> anyhow::Result<Open> {
    let mut open = Open {
        path,
        bytes: 0,
        files: 0,
        below: Vec::new(),
    };
    view.list(node, None, |child| {
        match child.attributes.kind {
            Kind::Directory => open.below.push(child.node),
            Kind::File if child.attributes.link_to.is_none() => {
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

fn tell(done: &Open, session: &mut Session) -> anyhow::Result<()> {
    if session.output.format == Format::Json {
        let path = done.path.as_bytes().to_vec().into();
        return Ok(session.output.json_line(&DirectoryDocument {
            path,
            bytes: done.bytes,
            files: done.files,
        })?);
    }
    session
        .output
        .bytes(format!("{:>10}  ", show_bytes(done.bytes).to_string()).as_bytes())?;
    session
        .output
        .bytes(&Shown::default().name(if done.path.is_root() {
            b"."
        } else {
            done.path.as_bytes()
        }))?;
    Ok(session.output.line("")?)
}
