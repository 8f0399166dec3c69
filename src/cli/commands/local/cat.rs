//! `freezer cat`.

use crate::cli::open::path::{lookup, tree_path};
use crate::cli::open::point::PointView;
use crate::cli::open::session::Session;
use crate::cli::show::failure::Completion;
use crate::format::content_hash::ContentCheck;
use crate::model::{BackupRef, Content};
use anyhow::{Context, bail};
use clap::Args;
use std::ffi::OsString;

/// Bytes that are read and printed at a time.
const PIECE_BYTES: usize = 1 << 20;

/// Print files of a point in time
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  freezer cat docs letters/to-bob.txt
  freezer cat docs@2026-11-20 letters/to-bob.txt > old.txt")]
pub(in crate::cli) struct Arguments {
    /// NAME or HOST/NAME; @DATE picks the newest point in time at or before DATE [default: the
    /// latest]
    #[arg(value_name = "BACKUP[@DATE]")]
    backup: BackupRef,

    /// Files to print
    #[arg(value_name = "PATH", required = true)]
    paths: Vec<OsString>,
}

pub(in crate::cli) fn run(
    arguments: &Arguments,
    session: &mut Session,
) -> anyhow::Result<Completion> {
    let paths = arguments
        .paths
        .iter()
        .map(tree_path)
        .collect::<anyhow::Result<Vec<_>>>()?;
    let view = PointView::open(&arguments.backup, session)?.view;
    let mut piece = vec![0; PIECE_BYTES];
    for path in paths {
        let (_, entry) = lookup(&view, &path)?;
        match &entry.content {
            Content::File { .. } => {}
            Content::Symlink(target) => {
                bail!("{path} is a symbolic link to {}", target.escape_ascii())
            }
            Content::Directory => bail!("{path} is a directory: freezer ls shows its content"),
            Content::CharDevice(_) | Content::BlockDevice(_) | Content::Fifo => {
                bail!("{path} is not a file: it has no content")
            }
        }
        let content = view.content(&entry)?;
        let mut check = ContentCheck::of(&entry, view.hashing());
        let mut at = 0;
        loop {
            let read = content
                .read(at, &mut piece)
                .with_context(|| format!("could not read {path}"))?;
            if read == 0 {
                break;
            }
            let data = piece.get(..read).unwrap_or_default();
            if let Some(check) = &mut check {
                check.see(at, data);
            }
            session.output.bytes(data)?;
            at += read as u64;
        }
        check
            .map_or(Ok(()), ContentCheck::finish)
            .with_context(|| format!("could not read {path}"))?;
    }
    Ok(Completion::Done)
}
