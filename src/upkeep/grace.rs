//! Keeps withdrawn data for a while, for those who are reading it.
//!
//! A reader takes no lock and leaves no trace, so nobody knows of a mount that shows a point in
//! time. Before a prune withdraws manifests it therefore stores a *note* of the levels that they
//! name; their data stays until the note is older than the grace. A repack does so with the levels
//! that it rewrites. The note's name holds the moment, so one that cannot be read keeps all that is
//! older than itself.
//!
//! The note of a prune also says which serial comes next, so that no level ever gets the serial of
//! one that is gone. It stays until a manifest says so too.

use super::backup_in::BackupIn;
use super::error::PruneError;
use super::needed::Needed;
use crate::catalog::names::{self, LevelOf, Meaning};
use crate::format::frame::Sealer;
use crate::format::withdrawn::{MAX_NOTE_BYTES, WithdrawnNote};
use crate::model::{LevelId, LevelSerial};
use crate::store::{self, ObjectName, Store, StoreExt};
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeSet;

/// How long data stays readable, unless told otherwise, for those who opened its point in time
/// before that went.
pub const GRACE: SignedDuration = SignedDuration::from_hours(1);

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

    /// Stores a note that keeps these levels from now on, and the serial that comes next if
    /// manifests go. Without a grace only that is noted.
    pub(super) fn keep(
        self,
        of: BackupIn<'_>,
        levels: &BTreeSet<LevelId>,
        next_serial: Option<LevelSerial>,
    ) -> Result<(), PruneError> {
        let keeps_data = self.length > SignedDuration::ZERO;
        if levels.is_empty() || !keeps_data && next_serial.is_none() {
            return Ok(());
        }
        let random = getrandom::u32().map_err(PruneError::Random)?;
        let id = LevelId::new(self.now, random);
        let kept = levels.iter().filter(|_| keeps_data).cloned();
        store_note(of, &id, &WithdrawnNote::new(kept, next_serial))
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

    /// Returns the moments of those that keep data or cannot be read, oldest first.
    pub(super) fn that_keep_data(&self, of: BackupIn<'_>) -> Result<Vec<Timestamp>, store::Error> {
        let mut moments = Vec::new();
        for note in &self.notes {
            let keeps_data = match read(of, note)? {
                NoteState::Read(read) => read.levels().next().is_some(),
                NoteState::Unreadable => true,
                NoteState::Gone => false,
            };
            if keeps_data {
                moments.push(note.started());
            }
        }
        Ok(moments)
    }

    /// Leaves out those of the future, which no run made.
    pub(super) fn made_by(mut self, now: Timestamp) -> Self {
        self.notes.retain(|note| !is_of_the_future(note, now));
        self
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
                NoteState::Read(note) => {
                    note.levels().for_each(|level| needed.whole(level.clone()));
                }
                NoteState::Unreadable => needed.all_up_to(note),
                NoteState::Gone => {}
            }
        }
        Ok(last)
    }

    /// Returns the levels that any note names, however old it is.
    pub(super) fn noted(&self, of: BackupIn<'_>) -> Result<NotedLevels, store::Error> {
        let mut noted = NotedLevels::default();
        for note in &self.notes {
            match read(of, note)? {
                NoteState::Read(read) => noted.levels.extend(read.levels().cloned()),
                NoteState::Unreadable => noted.up_to = noted.up_to.max(Some(note.clone())),
                NoteState::Gone => {}
            }
        }
        Ok(noted)
    }

    /// Removes the notes whose grace is over. One that alone knows which serial comes next stays,
    /// and keeps no data any more: `known` is what the manifests say of that.
    pub(super) fn remove_old(
        &self,
        of: BackupIn<'_>,
        grace: Grace,
        known: Option<LevelSerial>,
    ) -> Result<(), PruneError> {
        let mut read_notes = Vec::new();
        for id in &self.notes {
            read_notes.push((id, read(of, id).map_err(PruneError::Remove)?));
        }
        let serial = |state: &NoteState| match state {
            NoteState::Read(note) => note.next_serial(),
            NoteState::Unreadable | NoteState::Gone => None,
        };
        let highest = read_notes.iter().map(|(_, state)| serial(state)).max();
        let highest = highest.flatten().filter(|serial| Some(*serial) > known);
        // Of several that know the same, the newest stays.
        let last_to_know = highest.and_then(|highest| {
            let mut notes = read_notes.iter().rev();
            notes
                .find(|(_, state)| serial(state) == Some(highest))
                .map(|(id, _)| *id)
        });
        for (id, state) in &read_notes {
            if !grace.is_over(id) {
                continue;
            }
            match state {
                NoteState::Read(note) if last_to_know == Some(*id) => {
                    if note.levels().next().is_some() {
                        store_note(of, id, &WithdrawnNote::new([], note.next_serial()))?;
                    }
                }
                NoteState::Gone => {}
                NoteState::Read(_) | NoteState::Unreadable => of
                    .store()
                    .delete(&name(of, id))
                    .map_err(PruneError::Remove)?,
            }
        }
        Ok(())
    }
}

/// Seals and stores a note.
fn store_note(of: BackupIn<'_>, id: &LevelId, note: &WithdrawnNote) -> Result<(), PruneError> {
    let (store, protection) = (of.access.store_id(), of.access.protection());
    let sealer = Sealer::new(store, id.clone(), protection);
    let sealed = note.seal(&sealer).map_err(PruneError::Note)?;
    of.store()
        .put(&name(of, id), &vec![sealed])
        .map_err(PruneError::Withdraw)
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

/// What became of a note that was listed.
enum NoteState {
    Read(WithdrawnNote),
    /// It keeps all that is older than itself.
    Unreadable,
    /// Somebody removed it since.
    Gone,
}

fn read(of: BackupIn<'_>, note: &LevelId) -> Result<NoteState, store::Error> {
    match of.store().get(&name(of, note), MAX_NOTE_BYTES) {
        Ok(stored) => Ok(WithdrawnNote::open(stored, &of.access.opener(note))
            .map_or(NoteState::Unreadable, NoteState::Read)),
        Err(error) if error.kind() == store::ErrorKind::Missing => Ok(NoteState::Gone),
        Err(error) if error.kind().is_damage() => Ok(NoteState::Unreadable),
        Err(error) => Err(error),
    }
}

fn name(of: BackupIn<'_>, note: &LevelId) -> ObjectName {
    names::withdrawn_name(of.backup, note)
}
