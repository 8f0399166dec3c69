//! Which earlier level a new one builds on.

use super::compare::{Comparison, Evidence, Lies, SameContent};
use crate::catalog::{Access, Order};
use crate::format::manifest::{Manifest, Parent};
use crate::model::order::is_ahead;
use crate::model::{BackupName, LevelId, Time};
use jiff::{SignedDuration, Timestamp};

/// The longest tick of a file system's clock. A file that changed in the last tick before a walk
/// began may have changed again.
const TICK: SignedDuration = SignedDuration::from_millis(20);

/// Rules for the level that a run makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Levels {
    /// Whether the level may build on earlier ones at all.
    pub incremental: bool,
    /// The highest level number in a chain; after it comes a full level.
    pub max_level: Option<u32>,
    /// Level numbers grow up to this one and stay there: each level is then compared with the
    /// newest one of the number below.
    pub always_level: Option<u32>,
    /// A chain whose full level is older than this many days is not continued.
    pub restart_after_days: Option<u32>,
    /// The evidence that the content of a file has changed.
    pub evidence: Evidence,
    /// Which metadata of the source's file system cannot be trusted.
    pub lies: Lies,
    /// How a file is stored whose content is the same and whose name or metadata is new.
    pub same_content: SameContent,
}

impl Default for Levels {
    fn default() -> Self {
        Self {
            incremental: true,
            max_level: None,
            always_level: None,
            restart_after_days: None,
            evidence: Evidence::default(),
            lies: Lies::default(),
            same_content: SameContent::default(),
        }
    }
}

impl Levels {
    /// Returns the rules for a comparison with a run whose walk began at `began`.
    pub(super) fn comparison(&self, began: Timestamp) -> Result<Comparison, jiff::Error> {
        Ok(Comparison {
            trusted_before: time_of(began.checked_sub(TICK)?),
            lies: self.lies,
            same_content: self.same_content,
        })
    }
}

fn time_of(timestamp: Timestamp) -> Time {
    let nanoseconds = timestamp.subsec_nanosecond();
    let (seconds, nanoseconds) = if nanoseconds < 0 {
        (timestamp.as_second() - 1, nanoseconds + 1_000_000_000)
    } else {
        (timestamp.as_second(), nanoseconds)
    };
    Time::new(seconds, u32::try_from(nanoseconds).unwrap_or_default())
}

/// A level that can be built on: its manifest, and the digest of that as stored.
pub(super) struct ParentLevel {
    pub(super) manifest: Manifest,
    pub(super) digest: String,
}

/// The newest level that can be read, and the levels before it.
pub(super) struct Chain<'run> {
    access: &'run Access,
    backup: &'run BackupName,
    /// The levels made before `newest`, the last one first.
    earlier: Vec<LevelId>,
    newest: ParentLevel,
}

impl<'run> Chain<'run> {
    /// Opens the newest level that can be read; `None` if there is none.
    pub(super) fn read(
        order: &Order,
        access: &'run Access,
        backup: &'run BackupName,
    ) -> Option<Self> {
        let mut levels = order.levels().rev();
        let newest = levels.find_map(|level| {
            let opened = access.manifest_and_digest(backup, level);
            let (manifest, digest) = opened
                .inspect_err(|error| {
                    tracing::warn!(
                        %backup,
                        %level,
                        error = error as &dyn std::error::Error,
                        "could not read a manifest; the new level does not build on it"
                    )
                })
                .ok()?;
            Some(ParentLevel { manifest, digest })
        })?;
        Some(Self {
            access,
            backup,
            earlier: levels.cloned().collect(),
            newest,
        })
    }

    /// Returns the level to build on; `None` for a full level. The rules:
    /// docs/user-guide.md, "Levels".
    pub(super) fn parent(self, levels: &Levels, now: Timestamp) -> Option<ParentLevel> {
        let level = self.newest.manifest.level;
        if levels.max_level.is_some_and(|most| level >= most)
            || levels
                .always_level
                .is_some_and(|always| level > always || always == 0)
        {
            return None;
        }
        if let Some(days) = levels.restart_after_days {
            let age = SignedDuration::from_hours(24)
                .checked_mul(i32::try_from(days).unwrap_or(i32::MAX))?;
            // The age of a chain that began in the future is unknown.
            let chain = self.newest.manifest.chain;
            if chain < now.checked_sub(age).ok()? || is_ahead(chain, now) {
                return None;
            }
        }
        if levels.always_level == Some(level) {
            let parent = self.newest.manifest.parent.as_ref()?;
            return self.read_parent(parent).or_else(|| self.newest_below());
        }
        Some(self.newest)
    }

    fn read_parent(&self, parent: &Parent) -> Option<ParentLevel> {
        let level = self.read_level(&parent.id)?;
        (level.digest == parent.digest).then_some(level)
    }

    /// Returns the newest level of the same chain whose number is one below that of the newest.
    fn newest_below(&self) -> Option<ParentLevel> {
        let newest = &self.newest.manifest;
        let mut of_chain = self
            .earlier
            .iter()
            .filter_map(|level| self.read_level(level))
            // A full level begins a chain, and no earlier chain is continued.
            .take_while(|level| level.manifest.chain == newest.chain);
        of_chain.find(|level| level.manifest.level + 1 == newest.level)
    }

    fn read_level(&self, level: &LevelId) -> Option<ParentLevel> {
        let (manifest, digest) = self.access.manifest_and_digest(self.backup, level).ok()?;
        Some(ParentLevel { manifest, digest })
    }
}
