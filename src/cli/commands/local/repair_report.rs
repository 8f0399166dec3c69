//! What `freezer repair` tells of its work.

use crate::cli::open::session::Session;
use crate::cli::show::output::{Closed, Output, OutputForm};
use crate::cli::show::when;
use crate::cli::show::words::several;
use crate::config::show_bytes;
use crate::model::BackupName;
use crate::upkeep::{Repaired, UnreadablePoint};
use serde::Serialize;

/// A repair that was done, or rehearsed.
pub(in crate::cli) struct RepairReport<'run> {
    pub(in crate::cli) backup: &'run BackupName,
    pub(in crate::cli) repaired: &'run Repaired,
    /// How many points in time were removed.
    pub(in crate::cli) removed: u64,
    /// Whether nothing was changed.
    pub(in crate::cli) is_rehearsal: bool,
}

/// Events of `--json`, beside those of the damage that is left.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum RepairEvent {
    /// Data that is lost, and that the next backup stores again.
    Lost {
        backup: String,
        level_id: String,
        bytes: u64,
    },
    /// A point in time that cannot be opened.
    Unreadable {
        backup: String,
        level_id: String,
        is_newer: bool,
    },
    /// The last event.
    Result {
        backup: String,
        dry_run: bool,
        mended_index_blocks: u64,
        mended_frame_table_blocks: u64,
        /// Blocks whose content nobody knows.
        lost_blocks: u64,
        lost_bytes: u64,
        damages: u64,
        files_touched: u64,
        unreadable_points_in_time: usize,
        removed_points_in_time: u64,
    },
}

impl RepairReport<'_> {
    /// Whether no damage is left.
    pub(in crate::cli) fn is_sound(&self) -> bool {
        self.repaired.checked.damages == 0
    }

    /// Tells people or programs what was done and what is left.
    pub(in crate::cli) fn tell(&self, session: &mut Session) -> anyhow::Result<()> {
        if session.output.form == OutputForm::Json {
            return Ok(self.tell_programs(&mut session.output)?);
        }
        session.output.flush()?;
        self.tell_people(session);
        Ok(())
    }

    fn tell_programs(&self, output: &mut Output) -> Result<(), Closed> {
        let repaired = self.repaired;
        for lost in &repaired.lost {
            output.json(&RepairEvent::Lost {
                backup: self.backup.to_string(),
                level_id: lost.level.to_string(),
                bytes: lost.bytes,
            })?;
        }
        for point in &repaired.unreadable {
            output.json(&RepairEvent::Unreadable {
                backup: self.backup.to_string(),
                level_id: point.level.to_string(),
                is_newer: point.is_newer,
            })?;
        }
        output.json(&RepairEvent::Result {
            backup: self.backup.to_string(),
            dry_run: self.is_rehearsal,
            mended_index_blocks: repaired.index.mended,
            mended_frame_table_blocks: repaired.frame_tables.mended,
            lost_blocks: repaired.index.left + repaired.frame_tables.left,
            lost_bytes: repaired.lost.iter().map(|lost| lost.bytes).sum(),
            damages: repaired.checked.damages,
            files_touched: repaired.checked.files_touched,
            unreadable_points_in_time: repaired.unreadable.len(),
            removed_points_in_time: self.removed,
        })
    }

    fn tell_people(&self, session: &Session) {
        let (backup, repaired, output) = (self.backup, self.repaired, &session.output);
        let mended = repaired.index.mended + repaired.frame_tables.mended;
        if mended > 0 {
            let would = if self.is_rehearsal { "would be " } else { "" };
            output.note(format_args!(
                "{backup}: {} {would}mended",
                several(mended, "block", "blocks")
            ));
        }
        for lost in &repaired.lost {
            output.note(format_args!(
                "{backup}: {} of the data of {} are lost",
                show_bytes(lost.bytes),
                when::show(lost.level.started(), &session.zone)
            ));
        }
        for point in &repaired.unreadable {
            let level = &point.level;
            output.note(format_args!("{backup}@{level} {}", self.fate_of(point)));
        }
        if repaired.checked.files_touched > 0 {
            output.note(format_args!(
                "{backup}: {} cannot be read as a whole; the next backup stores again those that \
                 still exist",
                several(repaired.checked.files_touched, "file", "files")
            ));
        }
        let end = match (self.is_sound(), mended) {
            (true, 0) => "there is no damage",
            (true, _) => "no damage is left",
            (false, _) => {
                "everything possible is repaired; the points in time named above stay damaged"
            }
        };
        let changed = if self.is_rehearsal {
            "; nothing was changed"
        } else {
            ""
        };
        output.note(format_args!("{backup}: {end}{changed}"));
    }

    /// What became of a point in time that cannot be opened.
    fn fate_of(&self, point: &UnreadablePoint) -> &'static str {
        match (point.is_newer, self.removed > 0) {
            (true, _) => "was made by a newer freezer, and stays",
            (false, true) => {
                "could not be opened any more, and was removed; freezer prune removes the data \
                 that only it needed"
            }
            (false, false) => "cannot be opened any more; --yes removes it",
        }
    }
}
