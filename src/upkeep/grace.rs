//! Keeps withdrawn data for a while, for those who are reading it.
//!
//! A reader takes no lock and leaves no trace, so nobody knows of a mount that shows a point in
//! time. Before a prune withdraws manifests it therefore stores a *note* of the levels that they
//! name; their data stays until the note is older than the grace. A repack does so with the levels
//! that it rewrites. The note's name holds the moment, so one that cannot be read keeps all that is
//! older than itself.

use super::backup_in::BackupIn;
use super::error::PruneError;
use super::needed::Needed;
use crate::catalog::names::{self, LevelOf, Meaning};
use crate::model::LevelId;
use crate::store::{self, ObjectName, Store, StoreExt};
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeSet;

/// How long data stays readable, unless told otherwise, for those who opened its point in time
/// before that went.
pub const GRACE: SignedDuration = SignedDuration::from_hours(1);

/// Most bytes that a note may have.
const MAX_NOTE_BYTES: u64 = 16 << 20;

/// How far in the future the moment of a note may lie. Clocks differ by minutes; whoever can store
/// a note in the future could keep withdrawn data for ever.
const MOST_AHEAD: SignedDuration = SignedDuration::from_mins(30);

/// How long withdrawn data stays, and the time that it is now.
#[derive(Clone, Copy, Debug)]
pub struct Grace {
    /// The time of the prune or repack.
    pub now: Timestamp,
    /// How long data stays after it was withdrawn; zero for not at all.
    pub length: SignedDuration,
}

impl Grace {
    /// Returns whether the grace of a note is over. Without a grace that is so of each note, and
    /// also of a note of the future, which no run made.
    fn is_over(self, note: &LevelId) -> bool {
        self.length <= SignedDuration::ZERO
            || is_of_the_future(note, self.now)
            || self.end_of(note).is_some_and(|end| end <= self.now)
    }

    /// Returns when the grace of a note is over; `None` where time does not reach that far.
    fn end_of(self, note: &LevelId) -> Option<Timestamp> {
        note.started().checked_add(self.length).ok()
    }

    /// Stores a note that keeps these levels from now on, unless there is none or no grace.
    pub(super) fn keep(
        self,
        of: BackupIn<'_>,
        levels: &BTreeSet<LevelId>,
    ) -> Result<(), PruneError> {
        if levels.is_empty() || self.length <= SignedDuration::ZERO {
            return Ok(());
        }
        let random = getrandom::u32().map_err(PruneError::Random)?;
        let note = name(of, &LevelId::new(self.now, random));
        of.store()
            .put(&note, &vec![encode(levels)])
            .map_err(PruneError::Withdraw)
    }
}

fn is_of_the_future(note: &LevelId, now: Timestamp) -> bool {
    note.started().duration_since(now) > MOST_AHEAD
}

/// The notes of a backup.
pub(super) struct Notes {
    /// The ids of the notes, which hold their moments; oldest first.
    notes: Vec<LevelId>,
}

impl Notes {
    /// Lists them.
    pub(super) fn list(of: BackupIn<'_>) -> Result<Self, store::Error> {
        let mut notes = Vec::new();
        of.store()
            .list(&names::withdrawn_prefix(of.backup), &mut |object| {
                if let Some(Meaning::Withdrawn(LevelOf { level, .. })) =
                    names::meaning(&object.name)
                {
                    notes.push(level);
                }
                true
            })?;
        Ok(Self { notes })
    }

    /// Leaves out those of the future, which no run made.
    pub(super) fn made_by(mut self, now: Timestamp) -> Self {
        self.notes.retain(|note| !is_of_the_future(note, now));
        self
    }

    /// Returns how many there are.
    pub(super) fn count(&self) -> u64 {
        self.notes.len() as u64
    }

    /// Returns the moment of the newest.
    pub(super) fn newest(&self) -> Option<Timestamp> {
        self.notes.last().map(LevelId::started)
    }

    /// Adds to `needed` what the notes name whose grace is not over. Returns when the last of them
    /// is over.
    pub(super) fn add_to(
        &self,
        needed: &mut Needed,
        of: BackupIn<'_>,
        grace: Grace,
    ) -> Result<Option<Timestamp>, store::Error> {
        let mut last = None;
        for note in self.notes.iter().filter(|note| !grace.is_over(note)) {
            last = last.max(grace.end_of(note));
            match read(of, note)? {
                NoteText::Levels(levels) => {
                    levels.into_iter().for_each(|level| needed.whole(level));
                }
                NoteText::Unreadable => needed.all_up_to(note),
            }
        }
        Ok(last)
    }

    /// Returns the levels that any note names, however old it is.
    pub(super) fn noted(&self, of: BackupIn<'_>) -> Result<NotedLevels, store::Error> {
        let mut noted = NotedLevels::default();
        for note in &self.notes {
            match read(of, note)? {
                NoteText::Levels(levels) => noted.levels.extend(levels),
                NoteText::Unreadable => noted.up_to = noted.up_to.max(Some(note.clone())),
            }
        }
        Ok(noted)
    }

    /// Removes the notes whose grace is over.
    pub(super) fn remove_old(&self, of: BackupIn<'_>, grace: Grace) -> Result<(), store::Error> {
        self.notes
            .iter()
            .filter(|note| grace.is_over(note))
            .try_for_each(|note| of.store().delete(&name(of, note)))
    }
}

/// The levels that notes name.
#[derive(Default)]
pub(super) struct NotedLevels {
    levels: BTreeSet<LevelId>,
    /// The newest note that cannot be read: it may name any level up to its own moment.
    up_to: Option<LevelId>,
}

impl NotedLevels {
    pub(super) fn has(&self, level: &LevelId) -> bool {
        self.levels.contains(level) || self.up_to.as_ref().is_some_and(|last| level <= last)
    }
}

/// What a note says.
enum NoteText {
    /// The levels that it names; none if it is gone.
    Levels(Vec<LevelId>),
    /// It is damaged, or longer than any note.
    Unreadable,
}

fn read(of: BackupIn<'_>, note: &LevelId) -> Result<NoteText, store::Error> {
    match of.store().get(&name(of, note), MAX_NOTE_BYTES) {
        Ok(bytes) => Ok(decode(&bytes).map_or(NoteText::Unreadable, NoteText::Levels)),
        Err(error) if error.kind() == store::ErrorKind::Missing => Ok(NoteText::Levels(Vec::new())),
        Err(error) if error.kind().is_damage() => Ok(NoteText::Unreadable),
        Err(error) => Err(error),
    }
}

fn name(of: BackupIn<'_>, note: &LevelId) -> ObjectName {
    names::withdrawn_name(of.backup, note)
}

/// Writes a level's id in each line.
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
