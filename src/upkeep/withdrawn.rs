//! What was withdrawn of late, and is kept a while for those who are reading it.
//!
//! A reader takes no lock and leaves no trace, so nobody knows of a mount that shows a point in
//! time. Before a prune withdraws manifests it therefore stores a *note* of the levels that they
//! name; their data stays until the note is older than the grace. The note's name holds the moment,
//! so one that cannot be read keeps all that is older than itself.

use super::points::Needed;
use crate::catalog::Access;
use crate::catalog::names::{self, LevelOf, Meaning};
use crate::model::{BackupName, LevelId};
use crate::store::{self, ObjectName, Store, StoreExt};
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeSet;

/// Most bytes a note may have.
const MAX_NOTE_BYTES: u64 = 16 << 20;

/// The notes of a backup.
pub(super) struct Notes {
    /// Each with its moment; oldest first.
    notes: Vec<LevelId>,
}

impl Notes {
    /// Finds them.
    pub(super) fn list(access: &Access, backup: &BackupName) -> Result<Self, store::Error> {
        let mut notes = Vec::new();
        access
            .store()
            .list(&names::withdrawn_prefix(backup), &mut |object| {
                if let Some(Meaning::Withdrawn(LevelOf { level, .. })) =
                    names::meaning(&object.name)
                {
                    notes.push(level);
                }
                true
            })?;
        Ok(Self { notes })
    }

    /// How many there are.
    pub(super) fn count(&self) -> u64 {
        self.notes.len() as u64
    }

    /// The moment of the newest.
    pub(super) fn newest(&self) -> Option<Timestamp> {
        self.notes.last().map(LevelId::started)
    }

    /// Keeps what the notes name that are younger than `grace`. Returns when the last of them is
    /// over.
    pub(super) fn keep(
        &self,
        access: &Access,
        backup: &BackupName,
        (now, grace): (Timestamp, SignedDuration),
        needed: &mut Needed,
    ) -> Result<Option<Timestamp>, store::Error> {
        let mut last = None;
        for note in self.notes.iter().filter(|note| !is_over(note, now, grace)) {
            last = last.max(note.started().checked_add(grace).ok());
            match access.store().get(&name(backup, note), MAX_NOTE_BYTES) {
                Ok(bytes) => match decode(&bytes) {
                    Some(levels) => levels.into_iter().for_each(|level| needed.whole(level)),
                    None => needed.all_up_to(note),
                },
                Err(error) if error.kind() == store::ErrorKind::Missing => {}
                Err(error) => return Err(error),
            }
        }
        Ok(last)
    }

    /// Removes the notes that are older than `grace`.
    pub(super) fn remove_old(
        &self,
        access: &Access,
        backup: &BackupName,
        (now, grace): (Timestamp, SignedDuration),
    ) -> Result<(), store::Error> {
        self.notes
            .iter()
            .filter(|note| is_over(note, now, grace))
            .try_for_each(|note| access.store().delete(&name(backup, note)))
    }
}

fn is_over(note: &LevelId, now: Timestamp, grace: SignedDuration) -> bool {
    note.started()
        .checked_add(grace)
        .is_ok_and(|end| end <= now)
}

fn name(backup: &BackupName, note: &LevelId) -> ObjectName {
    names::withdrawn_name(backup, note)
}

/// Stores a note that these levels are kept for a while from `now` on.
pub(super) fn store(
    access: &Access,
    backup: &BackupName,
    id: &LevelId,
    levels: &BTreeSet<LevelId>,
) -> Result<(), store::Error> {
    access.store().put(&name(backup, id), &vec![encode(levels)])
}

/// A level's id in each line.
fn encode(levels: &BTreeSet<LevelId>) -> Vec<u8> {
    levels
        .iter()
        .fold(String::new(), |text, level| text + level.as_str() + "\n")
        .into_bytes()
}

fn decode(bytes: &[u8]) -> Option<Vec<LevelId>> {
    std::str::from_utf8(bytes)
        .ok()?
        .lines()
        .map(|line| line.parse().ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{decode, encode};
    use crate::model::LevelId;
    use std::collections::BTreeSet;

    #[test]
    fn a_note_reads_back_and_one_that_was_cut_does_not() {
        let levels: BTreeSet<LevelId> = (1..4)
            .map(|random| LevelId::new(jiff::Timestamp::UNIX_EPOCH, random))
            .collect();
        let bytes = encode(&levels);
        assert_eq!(
            decode(&bytes).expect("a note"),
            levels.iter().cloned().collect::<Vec<_>>()
        );
        assert_eq!(decode(&bytes[..bytes.len() - 5]), None);
        assert_eq!(decode(b"\xff"), None);
    }
}
