//! Warnings about points in time whose dates cannot be right.

use crate::cli::show::output::Output;
use crate::cli::show::when;
use crate::cli::show::words::several;
use crate::model::order::{WrongDate, wrong_dates};
use crate::model::{BackupName, Dated};
use jiff::Timestamp;
use jiff::tz::TimeZone;

/// How many points in time one warning names.
const NAMED: usize = 3;

/// Warns of points in time whose dates cannot be right. Takes them in the order in which they were
/// made.
pub(in crate::cli) fn warn_of_wrong_dates(
    backup: &BackupName,
    points: &[Dated],
    now: Timestamp,
    zone: &TimeZone,
    output: &Output,
) {
    let dates: Vec<Timestamp> = points.iter().map(|point| point.date).collect();
    let wrong = wrong_dates(&dates, now);
    for (kind, what) in [
        (WrongDate::Ahead, "more than a day in the future"),
        (WrongDate::OutOfOrder, "dated by a clock that was wrong"),
    ] {
        let of_kind: Vec<&Dated> = points
            .iter()
            .zip(&wrong)
            .filter(|(_, wrong)| **wrong == Some(kind))
            .map(|(point, _)| point)
            .collect();
        warn_of(backup, &of_kind, what, zone, output);
    }
}

fn warn_of(backup: &BackupName, points: &[&Dated], what: &str, zone: &TimeZone, output: &Output) {
    let Some(first) = points.first() else { return };
    let mut names: Vec<String> = points
        .iter()
        .take(NAMED)
        .map(|point| format!("{backup}@{}", when::show(point.date, zone)))
        .collect();
    if points.len() > NAMED {
        names.push("…".to_owned());
    }
    let count = several(
        points.len() as u64,
        "point in time is",
        "points in time are",
    );
    output.warn(format_args!(
        "{backup}: {count} {what}: {}; they move no other, and no rule removes them",
        names.join(", ")
    ));
    output.note(format_args!(
        "hint: check this machine's clock; freezer prune {backup}@{} removes one that is not \
         wanted",
        first.level
    ));
}
