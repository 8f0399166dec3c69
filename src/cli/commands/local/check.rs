//! `freezer check`.

use crate::catalog::{Access, AccessError, Backup, Catalog, Order, locate};
use crate::cli::interrupt;
use crate::cli::open::session::Session;
use crate::cli::show::document::several;
use crate::cli::show::failure::{Outcome, chain};
use crate::cli::show::output::Format;
use crate::cli::show::when;
use crate::config::{ByteSize, show_bytes};
use crate::model::order::WrongDate;
use crate::model::{BackupName, BackupRef, LevelId};
use crate::platform::Clock;
use crate::upkeep::{self, Damage, Depth, Portion, Remark};
use anyhow::anyhow;
use clap::Args;
use serde::Serialize;
use std::str::FromStr;

/// Tell whether backups are all there, and which files damage touches
///
/// Reads the manifest, the index, the frame table and the sizes of all segments of each point in
/// time, and changes nothing. What points in time share is looked at once. Damage is named, and so
/// is each file that cannot be read as a whole, with the points in time that have it; freezer
/// repair mends what can be mended.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  freezer check
  freezer check docs --read-data
  freezer check --read-data-subset 5%
  freezer check docs --read-data-subset 3/7
  freezer check docs@latest --read-data --json

Exit codes: 0 all is sound; 1 there is damage, or the check failed; 2 the command line makes no sense; 130 interrupted. What is left of runs
that were cut off is told of and is no damage.")]
pub(in crate::cli) struct Arguments {
    /// NAME or HOST/NAME; with @DATE one point in time of it alone [default: all backups]
    #[arg(value_name = "BACKUP[@DATE]")]
    backup: Option<BackupRef>,

    /// Read all content too, and authenticate every byte of it
    #[arg(long)]
    read_data: bool,

    /// Read some of the content: segments that chance picks, of so many percent or bytes (5%,
    /// 10GiB); or the N-th of T parts (N/T) that together are everything
    #[arg(long, value_name = "PART", conflicts_with = "read_data")]
    read_data_subset: Option<Subset>,
}

/// A part of the data, as people write it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Subset(Portion);

/// Why that is no part.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is neither a share (5%), a part (1/7) nor a size (10GiB)")]
struct SubsetError(String);

impl FromStr for Subset {
    type Err = SubsetError;

    fn from_str(text: &str) -> Result<Self, SubsetError> {
        let portion = if let Some(percent) = text.strip_suffix('%') {
            millionths(percent).map(|millionths| Portion::Share { millionths })
        } else if let Some((part, of)) = text.split_once('/') {
            let numbers = part.parse().ok().zip(of.parse().ok());
            numbers
                .filter(|(part, of)| (1..=*of).contains(part))
                .map(|(part, of)| Portion::Part { part, of })
        } else {
            text.parse::<ByteSize>()
                .ok()
                .filter(|size| size.0 > 0)
                .map(|size| Portion::Bytes(size.0))
        };
        portion
            .map(Self)
            .ok_or_else(|| SubsetError(text.to_owned()))
    }
}

/// Percent with up to four decimals, above 0 and up to 100.
fn millionths(percent: &str) -> Option<u32> {
    let (whole, rest) = percent.split_once('.').unwrap_or((percent, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(rest) || rest.len() > 4 || whole.len() > 3 {
        return None;
    }
    let number: u32 = format!("{whole}{rest:0<4}").parse().ok()?;
    (1..=1_000_000).contains(&number).then_some(number)
}

/// What programs are told.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum Event {
    Damage {
        backup: String,
        /// The first and the last point in time that it touches, and how many.
        level_id: String,
        last_level_id: String,
        points_in_time: usize,
        #[serde(skip_serializing_if = "Option::is_none")]
        file: Option<String>,
        error: String,
    },
    /// A passphrase that opens the store no more.
    DamagedKey { error: String },
    Remark {
        backup: String,
        remark: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        level_id: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        bytes: Option<u64>,
        text: String,
    },
    Result {
        points_in_time: u64,
        entries: u64,
        frames: u64,
        damages: u64,
        files_touched: u64,
        read_data: bool,
        stored_bytes: u64,
        read_bytes: u64,
    },
}

pub(in crate::cli) fn run(arguments: &Arguments, session: &mut Session) -> anyhow::Result<Outcome> {
    let access = session.access()?;
    let backups = points(arguments, session, &access)?;
    let cancel = interrupt::watch()?;
    let depth = match arguments.read_data_subset {
        Some(Subset(portion)) => Depth::Data(portion),
        None if arguments.read_data => Depth::Data(Portion::All),
        None => Depth::Structure,
    };
    let mut total = upkeep::Checked::default();
    if arguments.backup.is_none()
        && let Err(error) = access.keys()
    {
        if let AccessError::Store(_) = error {
            return Err(error.into());
        }
        // The store was opened: another key did that.
        total.damages += 1;
        match session.output.format {
            Format::Json => session.output.json(&Event::DamagedKey {
                error: chain(&error),
            })?,
            Format::Text => session
                .output
                .line(format_args!("one of the keys: {}", chain(&error)))?,
        }
    }
    for (backup, levels) in &backups {
        let progress = session.progress();
        let mut printed = Ok(());
        let mut tell = |points: &[LevelId], damage: Damage| {
            if printed.is_ok() {
                printed = tell(session, backup, points, &damage);
            }
        };
        let checked = upkeep::check(
            &access, backup, levels, depth, &mut tell, &progress, &cancel,
        )?;
        drop(progress);
        printed?;
        total.entries += checked.entries;
        total.frames += checked.frames;
        total.stored_bytes += checked.stored_bytes;
        total.read_bytes += checked.read_bytes;
        total.damages += checked.damages;
        total.files_touched += checked.files_touched;
        if arguments
            .backup
            .as_ref()
            .is_none_or(|wanted| wanted.at().is_none())
        {
            let remarks = upkeep::remarks(&access, backup, session.clock.now())?;
            for remark in &remarks {
                tell_remark(session, backup, remark)?;
            }
            tell_locks(session, backup, &remarks);
        }
    }
    let points_in_time = backups.iter().map(|(_, levels)| levels.len() as u64).sum();
    if session.output.format == Format::Json {
        session.output.json(&Event::Result {
            points_in_time,
            entries: total.entries,
            frames: total.frames,
            damages: total.damages,
            files_touched: total.files_touched,
            read_data: depth == Depth::Data(Portion::All),
            stored_bytes: total.stored_bytes,
            read_bytes: total.read_bytes,
        })?;
    }
    let checked = format!(
        "checked {}, {}, {}",
        several(points_in_time, "point in time", "points in time"),
        several(total.entries, "entry", "entries"),
        several(total.frames, "frame", "frames")
    );
    if total.damages == 0 {
        let how = match depth {
            Depth::Structure => "all is there (--read-data reads the data too)".to_owned(),
            Depth::Data(Portion::All) => "all data could be read".to_owned(),
            Depth::Data(_) => {
                let [read, all] = [total.read_bytes, total.stored_bytes]
                    .map(|bytes| show_bytes(bytes).to_string());
                format!("all is there, and {read} of {all} of data could be read")
            }
        };
        session.output.note(format_args!("{checked}: {how}"));
        return Ok(Outcome::Done);
    }
    session.output.flush()?;
    Err(anyhow!(
        "{checked}: there is damage, and {} cannot be read as a whole",
        several(total.files_touched, "file", "files")
    ))
}

/// The points in time that are meant, backup by backup.
fn points(
    arguments: &Arguments,
    session: &Session,
    access: &Access,
) -> anyhow::Result<Vec<(BackupName, Vec<LevelId>)>> {
    let (catalog, now) = (Catalog::new(access.store()), session.clock.now());
    let backups = match &arguments.backup {
        Some(wanted) if wanted.at().is_some() => {
            let located = locate(access, wanted, now, &session.zone)?;
            return Ok(vec![(located.backup, vec![located.level])]);
        }
        Some(wanted) => vec![catalog.find(wanted)?],
        None => {
            let mut backups = Vec::new();
            catalog.backups(&mut |Backup { name, .. }| {
                backups.push(name);
                true
            })?;
            backups
        }
    };
    let with_levels = |backup: BackupName| {
        let order = Order::read(access, &backup, now)?;
        Ok((backup, order.levels().cloned().collect()))
    };
    backups.into_iter().map(with_levels).collect()
}

/// Points in time in a few words: `docs@2026-11-22 …`, or the first, the last and how many.
pub(in crate::cli) fn show_points(
    session: &Session,
    backup: &BackupName,
    points: &[LevelId],
) -> String {
    let show = |level: &LevelId| when::show(level.started(), &session.zone);
    match points {
        [] => backup.to_string(),
        [only] => format!("{backup}@{}", show(only)),
        [first, .., last] => format!(
            "{backup}@{} to {} ({} points in time)",
            show(first),
            show(last),
            points.len()
        ),
    }
}

fn tell(
    session: &mut Session,
    backup: &BackupName,
    points: &[LevelId],
    damage: &Damage,
) -> anyhow::Result<()> {
    if session.output.format == Format::Json {
        return Ok(session.output.json(&damage_event(backup, points, damage))?);
    }
    let points = show_points(session, backup, points);
    session
        .output
        .line(format_args!("{points}: {}", chain(damage)))?;
    Ok(session.output.flush()?)
}

/// Damage as programs are told of it.
pub(in crate::cli) fn damage_event(
    backup: &BackupName,
    points: &[LevelId],
    damage: &Damage,
) -> impl Serialize + use<> {
    let file = match damage {
        Damage::File(path) | Damage::Extent(path) => Some(path.to_string()),
        _ => None,
    };
    let [level_id, last_level_id] = [points.first(), points.last()]
        .map(|level| level.map(ToString::to_string).unwrap_or_default());
    Event::Damage {
        backup: backup.to_string(),
        level_id,
        last_level_id,
        points_in_time: points.len(),
        file,
        error: chain(damage),
    }
}

fn tell_remark(session: &mut Session, backup: &BackupName, remark: &Remark) -> anyhow::Result<()> {
    let show = |moment| when::show(moment, &session.zone);
    let (name, level, bytes, text) = match remark {
        Remark::UnderWay { level, bytes } => (
            "under_way",
            Some(level),
            Some(*bytes),
            format!("a run that began {} is under way", show(level.started())),
        ),
        Remark::CutOff { level, bytes } => {
            let text = format!(
                "a run that began {} was cut off; the next one takes care of the {} it left",
                show(level.started()),
                show_bytes(*bytes)
            );
            ("cut_off", Some(level), Some(*bytes), text)
        }
        Remark::Unneeded { levels, bytes } => {
            let of = several(*levels, "level", "levels");
            (
                "unneeded",
                None,
                Some(*bytes),
                format!(
                    "no point in time needs {} of {of}; freezer prune removes them",
                    show_bytes(*bytes)
                ),
            )
        }
        Remark::WrongDate { level, date, wrong } => {
            let what = match wrong {
                WrongDate::Ahead => "is more than a day in the future",
                WrongDate::OutOfOrder => "was dated by a clock that was wrong",
            };
            let text = format!(
                "the point in time {} {what}; it moves no other, and no rule removes it: freezer prune {backup}@{level} does",
                show(*date)
            );
            ("wrong_date", Some(level), None, text)
        }
        Remark::Stray { object } => {
            let text = format!(
                "{object} is no manifest of this store, there is no data of such a point in time, and it is in the way of nothing; freezer repair {backup} removes it after a yes"
            );
            ("stray", None, None, text)
        }
        Remark::Locked { level, until } => {
            if session.output.format == Format::Text {
                return Ok(()); // told of all together
            }
            (
                "locked",
                Some(level),
                None,
                format!("it is locked until {until:.0}"),
            )
        }
        Remark::Notes { count, newest } => {
            let notes = several(*count, "note", "notes");
            (
                "notes",
                None,
                None,
                format!(
                    "{notes} of points in time that went, the last of {}",
                    show(*newest)
                ),
            )
        }
    };
    if session.output.format == Format::Json {
        let level_id = level.map(ToString::to_string);
        return Ok(session.output.json(&Event::Remark {
            backup: backup.to_string(),
            remark: name,
            level_id,
            bytes,
            text,
        })?);
    }
    session.output.note(format_args!("{backup}: {text}"));
    Ok(())
}

/// When the locks of points in time end, in one line for all of them.
fn tell_locks(session: &Session, backup: &BackupName, remarks: &[Remark]) {
    if session.output.format == Format::Json {
        return;
    }
    let locks = || {
        remarks.iter().filter_map(|remark| {
            if let Remark::Locked { level, until } = remark {
                Some((level, *until))
            } else {
                None
            }
        })
    };
    let show = |moment| when::show(moment, &session.zone);
    let (Some(first), Some(last)) = (
        locks().min_by_key(|(_, until)| *until),
        locks().max_by_key(|(_, until)| *until),
    ) else {
        return;
    };
    let points = several(
        locks().count() as u64,
        "point in time is",
        "points in time are",
    );
    let ends = match first.1 == last.1 {
        true => format!("until {}", show(last.1)),
        false => format!(
            "until {} (that of {}) and later, the last until {}",
            show(first.1),
            show(first.0.started()),
            show(last.1)
        ),
    };
    session
        .output
        .note(format_args!("{backup}: {points} locked {ends}"));
}

#[cfg(test)]
mod tests {
    use super::Subset;
    use crate::upkeep::Portion;

    #[test]
    fn a_part_is_a_share_a_fraction_or_a_size() {
        let of = |text: &str| text.parse::<Subset>().map(|subset| subset.0).ok();
        assert_eq!(of("5%"), Some(Portion::Share { millionths: 50_000 }));
        assert_eq!(of("2.5%"), Some(Portion::Share { millionths: 25_000 }));
        assert_eq!(of("0.0001%"), Some(Portion::Share { millionths: 1 }));
        assert_eq!(
            of("100%"),
            Some(Portion::Share {
                millionths: 1_000_000
            })
        );
        assert_eq!(of("1/7"), Some(Portion::Part { part: 1, of: 7 }));
        assert_eq!(of("7/7"), Some(Portion::Part { part: 7, of: 7 }));
        assert_eq!(of("10M"), Some(Portion::Bytes(10 << 20)));
        for text in [
            "", "%", "0%", "101%", "-5%", "5.12345%", "1.%", "0/7", "8/7", "1/0", "1/", "a/b", "0",
            "x",
        ] {
            assert_eq!(of(text), None, "{text}");
        }
    }
}
