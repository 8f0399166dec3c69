//! Damage as check and repair tell of it.

use crate::cli::open::session::Session;
use crate::cli::show::failure::chain;
use crate::cli::show::output::OutputForm;
use crate::cli::show::when;
use crate::model::{BackupName, LevelId};
use crate::upkeep::Damage;
use serde::Serialize;

/// An event of `--json`.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum DamageEvent {
    Damage {
        backup: String,
        /// The first point in time that it touches.
        level_id: String,
        /// The last one.
        last_level_id: String,
        /// How many it touches.
        points_in_time: usize,
        #[serde(skip_serializing_if = "Option::is_none")]
        file: Option<String>,
        error: String,
    },
}

/// Tells of one damage at once.
pub(in crate::cli) fn tell(
    session: &mut Session,
    backup: &BackupName,
    points: &[LevelId],
    damage: &Damage,
) -> anyhow::Result<()> {
    if session.output.form == OutputForm::Json {
        return Ok(session.output.json(&event(backup, points, damage))?);
    }
    let points = match (points, damage) {
        // Nothing but the name of an object says when that was.
        ([level], Damage::Manifest(_) | Damage::NoManifest { .. }) => format!("{backup}@{level}"),
        _ => in_words(session, backup, points),
    };
    session
        .output
        .line(format_args!("{points}: {}", chain(damage)))?;
    Ok(session.output.flush()?)
}

/// Names points in time: `docs@2026-11-22 …`, or the first, the last and their number.
fn in_words(session: &Session, backup: &BackupName, points: &[LevelId]) -> String {
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

fn event(backup: &BackupName, points: &[LevelId], damage: &Damage) -> DamageEvent {
    let file = match damage {
        Damage::File(path)
        | Damage::Extent(path)
        | Damage::Content { path, .. }
        | Damage::NotUnderstood { path, .. } => Some(path.to_string()),
        _ => None,
    };
    let [level_id, last_level_id] = [points.first(), points.last()]
        .map(|level| level.map(ToString::to_string).unwrap_or_default());
    DamageEvent::Damage {
        backup: backup.to_string(),
        level_id,
        last_level_id,
        points_in_time: points.len(),
        file,
        error: chain(damage),
    }
}
