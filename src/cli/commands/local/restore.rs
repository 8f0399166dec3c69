//! `freezer restore`.

use crate::catalog::{is_store, store_around};
use crate::cli::interrupt::{self, ProcessKind};
use crate::cli::open::foreign_store;
use crate::cli::open::path::{lookup, tree_path};
use crate::cli::open::point::PointView;
use crate::cli::open::session::Session;
use crate::cli::show::failure::{Completion, Usage};
use crate::cli::show::output::OutputForm;
use crate::cli::show::when;
use crate::cli::show::withheld::tell_withheld;
use crate::cli::show::words::several;
use crate::config::show_bytes;
use crate::format::manifest::PathText;
use crate::fs::view::View;
use crate::model::{BackupRef, Progress, TreePath};
use crate::restore::{self, Existing, KeepOut, Options, Ownership, Summary, Trust};
use clap::Args;
use serde::Serialize;
use std::ffi::OsString;
use std::path::PathBuf;

/// Copy a point in time, or parts of it, to a directory
///
/// Files keep their paths: PATH a/b becomes DIRECTORY/a/b. Files that cannot be restored are named,
/// and the exit code is then 3.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  freezer restore docs --target /tmp/docs
  freezer restore docs@2026-11-20 letters/to-bob.txt --target /tmp/old
  freezer restore 'web-1/docs@yesterday 14:00' --target /srv/docs --overwrite
  freezer restore docs --target /srv/bob --store /srv/upload/bob --untrusted
  freezer restore -N docs --restore-abs-path /tmp/docs --restore-from-date 2026-11-20T12:00:00")]
pub(in crate::cli) struct Arguments {
    /// NAME or HOST/NAME; @DATE picks the newest point in time at or before DATE [default: the
    /// latest]
    #[arg(value_name = "BACKUP[@DATE]", required_unless_present = "backup_name")]
    backup: Option<OsString>,

    /// Files or directories in the backup [default: everything]
    #[arg(value_name = "PATH")]
    paths: Vec<OsString>,

    /// The directory to restore to; it is made if it does not exist
    #[arg(long, visible_alias = "restore-abs-path", value_name = "DIRECTORY")]
    target: PathBuf,

    /// Name of the backup, in place of BACKUP
    #[arg(long, short = 'N', value_name = "NAME", hide_short_help = true)]
    backup_name: Option<String>,

    /// Host of the backup, if the name does not say it as HOST/NAME
    #[arg(
        long,
        alias = "restore-from-host",
        value_name = "NAME",
        hide_short_help = true
    )]
    hostname: Option<String>,

    /// The point in time; the same as @DATE
    #[arg(long, value_name = "DATE", hide_short_help = true)]
    restore_from_date: Option<String>,

    /// Restore into a directory that is not empty, and replace files that have the same names
    #[arg(long)]
    overwrite: bool,

    /// Set the owner by user and group numbers, not by names
    #[arg(long)]
    numeric_owner: bool,

    /// Restore nothing that gives rights, for backups that somebody else could have made: no setuid
    /// and setgid, no file capabilities, no access lists, no devices. Everything belongs to you
    #[arg(long, conflicts_with = "numeric_owner")]
    untrusted: bool,

    /// Write nothing; show what would be restored
    #[arg(long)]
    dry_run: bool,
}

pub(in crate::cli) fn run(
    arguments: Arguments,
    session: &mut Session,
) -> anyhow::Result<Completion> {
    let (wanted, paths) = wanted(&arguments)?;
    let paths = paths
        .iter()
        .map(tree_path)
        .collect::<anyhow::Result<Vec<_>>>()?;
    let point = PointView::open(&wanted, session)?;
    for path in &paths {
        // The error names the most similar path.
        lookup(&point.view, path)?;
    }
    if arguments.dry_run {
        return rehearse(&point.view, &paths, session);
    }
    if !arguments.untrusted {
        foreign_store::warn(session)?;
    }
    let cancel = interrupt::watch(ProcessKind::Command, &session.screen)?;
    let progress = session.progress();
    if paths.is_empty() {
        let totals = point.view.totals();
        progress.expect_total(totals.entries, totals.bytes);
    }
    let (target, options) = (&arguments.target, options(&arguments));
    let summary = restore::restore(&point.view, &paths, target, &options, &progress, &cancel)?;
    drop(progress);
    tell(&arguments, &point, &summary, session)?;
    Ok(Completion::of(summary.troubles == 0))
}

fn options(arguments: &Arguments) -> Options {
    Options {
        existing: if arguments.overwrite {
            Existing::Replace
        } else {
            Existing::Refuse
        },
        ownership: if arguments.numeric_owner {
            Ownership::ByNumber
        } else {
            Ownership::ByName
        },
        trust: if arguments.untrusted {
            Trust::Untrusted
        } else {
            Trust::Trusted
        },
        keep_out: KeepOut {
            is: is_store,
            around: store_around,
        },
        ..Options::default()
    }
}

/// Returns the point in time and the paths that the arguments name, in our form or the original's.
fn wanted(arguments: &Arguments) -> anyhow::Result<(BackupRef, Vec<OsString>)> {
    let mut paths = arguments.paths.clone();
    let mut text = match (&arguments.backup_name, &arguments.backup) {
        (Some(name), first) => {
            // With -N there is no BACKUP: clap took the first PATH for it.
            paths.splice(0..0, first.clone());
            name.clone()
        }
        (None, Some(backup)) => backup
            .clone()
            .into_string()
            .map_err(|_| Usage::new("the name of a backup must be UTF-8"))?,
        (None, None) => {
            return Err(Usage::new("no backup was named")
                .hint("freezer restore BACKUP --target DIRECTORY")
                .into());
        }
    };
    if let Some(host) = arguments.hostname.as_ref().filter(|_| !text.contains('/')) {
        text = format!("{host}/{text}");
    }
    if let Some(date) = &arguments.restore_from_date {
        if arguments.backup_name.is_none() && text.contains('@') {
            return Err(Usage::new("the point in time is named twice")
                .hint("leave @DATE or --restore-from-date out")
                .into());
        }
        text = format!("{text}@{date}");
    }
    let wanted = text
        .parse()
        .map_err(|error| Usage::new(format!("{text} is no BACKUP[@DATE]: {error}")))?;
    Ok((wanted, paths))
}

/// Lists what would be restored.
fn rehearse(view: &View, paths: &[TreePath], session: &mut Session) -> anyhow::Result<Completion> {
    #[derive(Serialize)]
    struct WouldRestore {
        path: PathText,
        size: u64,
    }
    let (mut count, mut bytes) = (0_u64, 0_u64);
    let mut printed = Ok(());
    restore::list(view, paths, |entry| {
        count += 1;
        bytes += entry.content.size();
        if printed.is_ok() {
            printed = match session.output.form {
                OutputForm::Json => session.output.json_line(&WouldRestore {
                    path: if entry.path.is_root() {
                        b".".to_vec().into()
                    } else {
                        entry.path.as_bytes().to_vec().into()
                    },
                    size: entry.content.size(),
                }),
                OutputForm::Text => session
                    .output
                    .path(&entry.path)
                    .and_then(|()| session.output.line("")),
            };
        }
    })?;
    printed?;
    session.output.note(format_args!(
        "would restore {}, {}",
        several(count, "entry", "entries"),
        show_bytes(bytes)
    ));
    Ok(Completion::Done)
}

fn tell(
    arguments: &Arguments,
    point: &PointView,
    summary: &Summary,
    session: &mut Session,
) -> anyhow::Result<()> {
    #[derive(Serialize)]
    struct RestoredDocument {
        event: &'static str,
        restored: String,
        target: PathText,
        files: u64,
        directories: u64,
        bytes: u64,
        troubles: u64,
        without_owner: u64,
        withheld: u64,
    }
    let began = when::show(point.level.started(), &session.zone);
    let name = format!("{}@{began}", point.backup);
    let target = arguments
        .target
        .as_os_str()
        .as_encoded_bytes()
        .to_vec()
        .into();
    if session.output.form == OutputForm::Json {
        return Ok(session.output.json(&RestoredDocument {
            event: "result",
            restored: name,
            target,
            files: summary.files,
            directories: summary.directories,
            bytes: summary.bytes,
            troubles: summary.troubles,
            without_owner: summary.left_out,
            withheld: summary.withheld,
        })?);
    }
    session.output.note(format_args!(
        "restored {name} to {}: {} and {}, {}",
        arguments.target.display(),
        several(summary.files, "file or link", "files and links"),
        several(summary.directories, "directory", "directories"),
        show_bytes(summary.bytes)
    ));
    tell_withheld(summary.withheld, &session.output);
    if summary.left_out > 0 {
        let count = several(summary.left_out, "entry", "entries");
        session.output.warn(format_args!(
            "{count} did not get back the owner or the system attributes: only root may set them"
        ));
    }
    if summary.troubles > 0 {
        session.output.warn(format_args!(
            "not everything could be restored: {}",
            several(summary.troubles, "trouble", "troubles")
        ));
    }
    Ok(())
}
