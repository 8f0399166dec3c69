//! `freezer export`.

use crate::cli::interrupt::{self, ProcessKind};
use crate::cli::open::outside::outside_stores;
use crate::cli::open::point::PointView;
use crate::cli::open::session::Session;
use crate::cli::show::failure::{Completion, Usage};
use crate::cli::show::output::Closed;
use crate::cli::show::withheld::tell_withheld;
use crate::cli::show::words::several;
use crate::config::show_bytes;
use crate::model::BackupRef;
use crate::platform::private_file;
use crate::restore::{self, ExportError, Trust};
use anyhow::Context;
use clap::Args;
use std::io::{BufWriter, IsTerminal, Write};
use std::path::PathBuf;

/// Write a point in time as a tar archive
///
/// The archive holds all files with all their metadata. GNU tar extracts all of it with --xattrs
/// --xattrs-include='*' --acls.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  freezer export docs > docs.tar
  freezer export docs@2026-11-20 | tar --list --verbose
  freezer export docs --output docs.tar
  freezer export docs --untrusted --store /srv/upload/bob > docs.tar")]
pub(in crate::cli) struct Arguments {
    /// NAME or HOST/NAME; @DATE picks the newest point in time at or before DATE [default: the
    /// latest]
    #[arg(value_name = "BACKUP[@DATE]")]
    backup: BackupRef,

    /// The file to write; an existing one is replaced [default: standard output]
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Write nothing that gives rights where it is extracted: no setuid and setgid, no file
    /// capabilities, no access lists, no devices, and you as the owner of everything
    #[arg(long)]
    untrusted: bool,
}

pub(in crate::cli) fn run(
    arguments: &Arguments,
    session: &mut Session,
) -> anyhow::Result<Completion> {
    if arguments.output.is_none() && std::io::stdout().is_terminal() {
        let hint = "send it to a file or a program: freezer export BACKUP > FILE";
        return Err(
            Usage::new("freezer does not write an archive to a terminal")
                .hint(hint)
                .into(),
        );
    }
    if let Some(path) = &arguments.output {
        outside_stores("an archive", path)?;
    }
    let point = PointView::open(&arguments.backup, session)?;
    let cancel = interrupt::watch(ProcessKind::Command, &session.screen)?;
    let progress = session.progress();
    let trust = if arguments.untrusted {
        Trust::Untrusted
    } else {
        Trust::Trusted
    };
    let exported = match &arguments.output {
        None => {
            let out = session.output.writer();
            restore::export(&point.view, out, trust, &progress, &cancel).map_err(|error| {
                match error {
                    ExportError::Write(source) => anyhow::Error::from(Closed::new(source)),
                    error => error.into(),
                }
            })?
        }
        Some(path) => {
            let file = private_file::create(path)
                .with_context(|| format!("could not create {}", path.display()))?;
            let mut out = BufWriter::with_capacity(1 << 20, file);
            let exported = restore::export(&point.view, &mut out, trust, &progress, &cancel)?;
            out.flush()
                .and_then(|()| out.get_ref().sync_all())
                .with_context(|| format!("could not write {}", path.display()))?;
            exported
        }
    };
    drop(progress);
    let members = several(exported.members, "member", "members");
    session.output.note(format_args!(
        "exported {}: {members}, {}",
        point.backup,
        show_bytes(exported.bytes)
    ));
    tell_withheld(exported.withheld, &session.output);
    Ok(Completion::of(
        exported.left_out == 0 && exported.without_owner == 0,
    ))
}
