//! What a check mentions beside damage.

use crate::cli::open::session::Session;
use crate::cli::show::output::OutputForm;
use crate::cli::show::when;
use crate::cli::show::words::several;
use crate::config::show_bytes;
use crate::model::order::WrongDate;
use crate::model::{BackupName, LevelId};
use crate::upkeep::Remark;
use jiff::Timestamp;
use serde::Serialize;

/// An event of `--json`.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum RemarkEvent<'remark> {
    Remark {
        backup: String,
        remark: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        level_id: Option<&'remark str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        bytes: Option<u64>,
        text: String,
    },
}

/// Tells of one remark. Locks are left to [`tell_locks`], but for programs.
pub(in crate::cli) fn tell_remark(
    session: &mut Session,
    backup: &BackupName,
    remark: &Remark,
) -> anyhow::Result<()> {
    let as_json = session.output.form == OutputForm::Json;
    if !as_json && matches!(remark, Remark::Locked { .. }) {
        return Ok(());
    }
    let text = text_of(remark, backup, session);
    if !as_json {
        session.output.note(format_args!("{backup}: {text}"));
        return Ok(());
    }
    Ok(session.output.json(&RemarkEvent::Remark {
        backup: backup.to_string(),
        remark: kind_of(remark),
        level_id: level_of(remark).map(LevelId::as_str),
        bytes: bytes_of(remark),
        text,
    })?)
}

fn kind_of(remark: &Remark) -> &'static str {
    match remark {
        Remark::UnderWay { .. } => "under_way",
        Remark::CutOff { .. } => "cut_off",
        Remark::Unneeded { .. } => "unneeded",
        Remark::NoManifest { .. } => "no_manifest",
        Remark::WrongDate { .. } => "wrong_date",
        Remark::Stray { .. } => "stray",
        Remark::Locked { .. } => "locked",
        Remark::Notes { .. } => "notes",
    }
}

fn level_of(remark: &Remark) -> Option<&LevelId> {
    match remark {
        Remark::UnderWay { level, .. }
        | Remark::CutOff { level, .. }
        | Remark::NoManifest { level, .. }
        | Remark::WrongDate { level, .. }
        | Remark::Locked { level, .. } => Some(level),
        Remark::Unneeded { .. } | Remark::Stray { .. } | Remark::Notes { .. } => None,
    }
}

fn bytes_of(remark: &Remark) -> Option<u64> {
    match remark {
        Remark::UnderWay { bytes, .. }
        | Remark::CutOff { bytes, .. }
        | Remark::NoManifest { bytes, .. }
        | Remark::Unneeded { bytes, .. } => Some(*bytes),
        Remark::WrongDate { .. }
        | Remark::Stray { .. }
        | Remark::Locked { .. }
        | Remark::Notes { .. } => None,
    }
}

fn text_of(remark: &Remark, backup: &BackupName, session: &Session) -> String {
    let show = |moment| when::show(moment, &session.zone);
    match remark {
        Remark::UnderWay { level, .. } => {
            format!("a run that began {} is under way", show(level.started()))
        }
        Remark::CutOff { level, bytes } => format!(
            "a run that began {} was cut off; the next run deals with the {} it left",
            show(level.started()),
            show_bytes(*bytes)
        ),
        Remark::Unneeded { levels, bytes } => format!(
            "no point in time needs {} of {}; freezer prune removes them",
            show_bytes(*bytes),
            several(*levels, "level", "levels")
        ),
        Remark::NoManifest { level, bytes } => format!(
            "level {level} has {} of data and no manifest",
            show_bytes(*bytes)
        ),
        Remark::WrongDate { level, date, wrong } => {
            let what = match wrong {
                WrongDate::Ahead => "is more than a day in the future",
                WrongDate::OutOfOrder => "was dated by a clock that was wrong",
            };
            format!(
                "the point in time {} {what}; it moves no other, and no rule removes it: freezer \
                 prune {backup}@{level} does",
                show(*date)
            )
        }
        Remark::Stray { object } => format!(
            "{object} is no manifest of this store, and the store has no data for it; it does no \
             harm, and freezer repair {backup} removes it after a yes"
        ),
        Remark::Locked { until, .. } => format!("it is locked until {until:.0}"),
        Remark::Notes { count, newest } => format!(
            "{} of points in time that were removed, the last one from {}",
            several(*count, "note", "notes"),
            show(*newest)
        ),
    }
}

/// Tells people in one line when the locks of points in time end.
pub(in crate::cli) fn tell_locks(session: &Session, backup: &BackupName, remarks: &[Remark]) {
    if session.output.form == OutputForm::Json {
        return;
    }
    let locks: Vec<(&LevelId, Timestamp)> = remarks
        .iter()
        .filter_map(|remark| match remark {
            Remark::Locked { level, until } => Some((level, *until)),
            _ => None,
        })
        .collect();
    let by_end = |lock: &&(&LevelId, Timestamp)| lock.1;
    let (Some(first), Some(last)) = (
        locks.iter().min_by_key(by_end),
        locks.iter().max_by_key(by_end),
    ) else {
        return;
    };
    let show = |moment| when::show(moment, &session.zone);
    let points = several(locks.len() as u64, "point in time is", "points in time are");
    let ends = if first.1 == last.1 {
        format!("until {}", show(last.1))
    } else {
        format!(
            "until {} (that of {}) and later, the last until {}",
            show(first.1),
            show(first.0.started()),
            show(last.1)
        )
    };
    session
        .output
        .note(format_args!("{backup}: {points} locked {ends}"));
}
