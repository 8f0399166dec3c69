//! What the checks of several backups come to together.

use super::check::Checked;
use crate::model::{Advice, Exit};

/// The sum of the checks of a store, or of a part of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Points in time that were checked.
    pub points_in_time: u64,
    /// The sum over all backups. A damaged key counts as one damage.
    pub checked: Checked,
}

/// A check found damage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[
    error(
        "{}: there is damage, and {} cannot be read as a whole",
        .0.summary(),
        number(.0.checked.files_touched, "file", "files"),
    )
]
pub struct DamageFound(Verdict);

/// A check had nothing to look at, so it found nothing out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no point in time to check")]
pub struct NothingToCheck;

impl Advice for NothingToCheck {
    fn exit(&self) -> Option<Exit> {
        Some(Exit::Failed)
    }

    fn hint(&self) -> Option<&str> {
        Some(
            "is it the right store, and is its disk mounted? If nothing was backed up to it yet, \
             freezer backup makes the first point in time",
        )
    }
}

impl Advice for DamageFound {
    fn exit(&self) -> Option<Exit> {
        Some(Exit::Failed)
    }

    fn hint(&self) -> Option<&str> {
        Some("freezer repair BACKUP mends what can be mended; --dry-run shows what that is")
    }
}

impl Verdict {
    /// Adds the check of one backup with this many points in time.
    pub fn add(&mut self, points_in_time: usize, checked: &Checked) {
        self.points_in_time += points_in_time as u64;
        let sum = &mut self.checked;
        sum.entries += checked.entries;
        sum.frames += checked.frames;
        sum.stored_bytes += checked.stored_bytes;
        sum.read_bytes += checked.read_bytes;
        sum.damages += checked.damages;
        sum.files_touched += checked.files_touched;
    }

    /// Adds damage outside of the points in time: of a key of the store, say, though another one
    /// still opens it.
    pub fn add_damage(&mut self) {
        self.checked.damages += 1;
    }

    /// Fails where there was nothing to check.
    ///
    /// # Errors
    ///
    /// [`NothingToCheck`].
    pub fn any(&self) -> Result<(), NothingToCheck> {
        if self.points_in_time == 0 {
            Err(NothingToCheck)
        } else {
            Ok(())
        }
    }

    /// Sums up what was looked at: `checked 3 points in time, 12 entries, 4 frames`.
    pub fn summary(&self) -> String {
        format!(
            "checked {}, {}, {}",
            number(self.points_in_time, "point in time", "points in time"),
            number(self.checked.entries, "entry", "entries"),
            number(self.checked.frames, "frame", "frames")
        )
    }

    /// Passes judgement.
    ///
    /// # Errors
    ///
    /// [`DamageFound`] if there is any damage.
    pub fn sound(&self) -> Result<(), DamageFound> {
        if self.checked.damages == 0 {
            Ok(())
        } else {
            Err(DamageFound(*self))
        }
    }
}

fn number(number: u64, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::{Checked, Verdict};

    #[test]
    fn damage_in_one_backup_is_damage_of_the_store() {
        let mut verdict = Verdict::default();
        let sound = Checked {
            entries: 1,
            frames: 2,
            stored_bytes: 30,
            read_bytes: 20,
            ..Checked::default()
        };
        verdict.add(3, &sound);
        assert_eq!(verdict.sound(), Ok(()));
        let damaged = Checked {
            damages: 2,
            files_touched: 1,
            ..sound
        };
        verdict.add(1, &damaged);
        assert_eq!(
            (verdict.points_in_time, verdict.checked.stored_bytes),
            (4, 60)
        );
        assert_eq!(
            verdict.sound().expect_err("damage").to_string(),
            "checked 4 points in time, 2 entries, 4 frames: there is damage, and 1 file cannot be \
             read as a whole"
        );
        let mut key = Verdict::default();
        key.add_damage();
        key.sound().expect_err("a damaged key is damage");
    }
}
