//! `freezer find` and `freezer history`: the versions of files over all points in time.

use crate::cli::open::path::tree_path;
use crate::cli::open::point::timeline;
use crate::cli::open::session::Session;
use crate::cli::show::failure::{Completion, Usage};
use crate::cli::show::output::OutputForm;
use crate::cli::show::when;
use crate::config::ByteSize;
use crate::format::manifest::PathText;
use crate::fs::timeline::Version;
use crate::index::PathKey;
use crate::model::{BackupRef, Entry, Excludes, LevelId, PointInTime, Time, TreePath};
use crate::platform::Clock;
use anyhow::anyhow;
use clap::Args;
use serde::Serialize;
use std::ffi::OsString;

/// Find files over all points in time of a backup
///
/// Shows each version of a file once: its size, when it was changed, and the first and the last
/// point in time that has it.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  freezer find docs '*.txt'
  freezer find docs report --size +10M --newer 2026-11-01
  freezer find docs@yesterday 'letters/*' --json

A PATTERN without / is compared with names; one with / is compared with paths, from any directory \
    on. * and ? match / too.")]
pub(in crate::cli) struct FindArguments {
    /// NAME or HOST/NAME; with @DATE only that point in time
    #[arg(value_name = "BACKUP[@DATE]")]
    backup: BackupRef,

    /// Pattern of the names: * matches anything, ? one character, […] one of these characters
    #[arg(value_name = "PATTERN")]
    pattern: OsString,

    /// Show only files of more than SIZE (+10M), less than SIZE (-10M) or exactly SIZE, in bytes or
    /// with a unit
    #[arg(long, value_name = "[+-]SIZE", allow_hyphen_values = true)]
    size: Option<SizeTest>,

    /// Show only versions that were changed at DATE or later
    #[arg(long, value_name = "DATE")]
    newer: Option<PointInTime>,

    /// Show only versions that were changed before DATE
    #[arg(long, value_name = "DATE")]
    older: Option<PointInTime>,
}

/// Show the versions of one file
///
/// Shows each version once, oldest first: its size, when it was changed, and the points in time
/// that have it.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  freezer history docs letters/to-bob.txt
  freezer history web-1/docs letters --json")]
pub(in crate::cli) struct HistoryArguments {
    /// NAME or HOST/NAME
    #[arg(value_name = "BACKUP")]
    backup: BackupRef,

    /// A file, directory or other entry
    #[arg(value_name = "PATH")]
    path: OsString,
}

/// A size to compare with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SizeTest {
    Over(u64),
    Under(u64),
    Just(u64),
}

impl std::str::FromStr for SizeTest {
    type Err = crate::config::SizeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (make, number): (fn(u64) -> Self, &str) = match text.split_at_checked(1) {
            Some(("+", number)) => (Self::Over, number),
            Some(("-", number)) => (Self::Under, number),
            _ => (Self::Just, text),
        };
        number.parse::<ByteSize>().map(|size| make(size.0))
    }
}

impl SizeTest {
    fn takes(self, size: u64) -> bool {
        match self {
            Self::Over(limit) => size > limit,
            Self::Under(limit) => size < limit,
            Self::Just(limit) => size == limit,
        }
    }
}

/// A line of `--json`.
#[derive(Serialize)]
struct VersionDocument<'version> {
    path: PathText,
    size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    mtime: Option<String>,
    points_in_time: usize,
    first_level_id: &'version str,
    last_level_id: &'version str,
    /// How it differs from the version before, in words; empty for the first.
    differs_in: Vec<&'static str>,
}

pub(in crate::cli) fn find(
    arguments: &FindArguments,
    session: &mut Session,
) -> anyhow::Result<Completion> {
    let pattern = arguments.pattern.as_encoded_bytes();
    let names_alone = !pattern.contains(&b'/');
    let pattern = Excludes::new([pattern]);
    let now = session.clock.now();
    let moment = |point: &PointInTime| {
        let refuse = || Usage::new("latest is not a date").hint("write a date: 2026-11-22");
        point.beginning(now, &session.zone).ok_or_else(refuse)
    };
    let newer = arguments
        .newer
        .as_ref()
        .map(moment)
        .transpose()?
        .map(time_of);
    let older = arguments
        .older
        .as_ref()
        .map(moment)
        .transpose()?
        .map(time_of);
    let wanted = |entry: &Entry| {
        arguments.size.is_none_or(|size| {
            entry.content.kind() == crate::model::Kind::File && size.takes(entry.content.size())
        }) && newer.is_none_or(|newer| entry.metadata.mtime >= newer)
            && older.is_none_or(|older| entry.metadata.mtime < older)
    };
    let named = |key: PathKey<'_>| {
        let path = if names_alone {
            TreePath::parse(key.name())
        } else {
            key.path()
        };
        // A key that is no path is taken: reading on then reports the damage.
        path.is_none_or(|path| pattern.matches(&path, || [b"/", path.as_bytes()].concat()))
    };
    let (timeline, ending) = timeline(&arguments.backup, session)?;
    for found in timeline.find(named) {
        for version in found?.versions {
            if wanted(&version.entry) {
                tell(&version, timeline.levels(), session)?;
            }
        }
    }
    Ok(ending)
}

pub(in crate::cli) fn history(
    arguments: &HistoryArguments,
    session: &mut Session,
) -> anyhow::Result<Completion> {
    if arguments.backup.at().is_some() {
        return Err(Usage::new("history covers all points in time")
            .hint("write the backup without @DATE")
            .into());
    }
    let path = tree_path(&arguments.path)?;
    let (timeline, ending) = timeline(&arguments.backup, session)?;
    let found = timeline.history(&path)?;
    if found.versions.is_empty() {
        return Err(anyhow!(
            "there is no {path} in any point in time of {}",
            arguments.backup
        ));
    }
    for version in &found.versions {
        tell(version, timeline.levels(), session)?;
    }
    Ok(ending)
}

fn tell(version: &Version, levels: &[LevelId], session: &mut Session) -> anyhow::Result<()> {
    let levels = levels.get(version.points.clone()).unwrap_or_default();
    let Some((first, last)) = levels.first().zip(levels.last()) else {
        return Ok(());
    };
    let (entry, count) = (&version.entry, levels.len());
    if session.output.form == OutputForm::Json {
        let document = VersionDocument {
            path: entry.path.as_bytes().to_vec().into(),
            size: entry.content.size(),
            mtime: when::rfc3339(entry.metadata.mtime),
            points_in_time: count,
            first_level_id: first.as_str(),
            last_level_id: last.as_str(),
            differs_in: version.differs.words(),
        };
        return Ok(session.output.json_line(&document)?);
    }
    let mtime = when::show_time(entry.metadata.mtime, &session.zone);
    let from = when::show(first.started(), &session.zone);
    let text = if count == 1 {
        format!("in {from}")
    } else {
        format!(
            "in {count}, {from} to {}",
            when::show(last.started(), &session.zone)
        )
    };
    session.output.text(format_args!(
        "{:>12} {mtime}  {text}  ",
        entry.content.size()
    ))?;
    session.output.path(&entry.path)?;
    Ok(session.output.line("")?)
}

fn time_of(moment: jiff::Timestamp) -> Time {
    let nanoseconds = moment.as_nanosecond();
    let (seconds, rest) = (
        nanoseconds.div_euclid(1_000_000_000),
        nanoseconds.rem_euclid(1_000_000_000),
    );
    Time::new(
        i64::try_from(seconds).unwrap_or(i64::MAX),
        u32::try_from(rest).unwrap_or_default(),
    )
}

#[cfg(test)]
mod tests {
    use super::SizeTest;

    #[test]
    fn sizes_are_over_under_or_just() {
        for (text, size, expected) in [
            ("+1k", 1025, true),
            ("+1k", 1024, false),
            ("-1k", 1023, true),
            ("5", 5, true),
            ("5", 6, false),
        ] {
            assert_eq!(
                text.parse::<SizeTest>().expect("a size").takes(size),
                expected,
                "{text} {size}"
            );
        }
        assert!(
            "+".parse::<SizeTest>().is_err()
                && "x".parse::<SizeTest>().is_err()
                && "".parse::<SizeTest>().is_err()
        );
    }
}
