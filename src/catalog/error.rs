//! Why the catalog could not answer, or could not change what exists.

use super::AccessError;
use super::known::Surprise;
use crate::model::{Advice, BackupName, LevelId};
use crate::store;
use std::fmt;

/// The catalog could not answer or change what exists.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// No backup has that name.
    #[error("there is no backup {wanted:?}{}", OneOf { lead: "; is it", names: near })]
    UnknownBackup {
        /// The name or date that was asked for.
        wanted: String,
        /// Similar names, the nearest first.
        near: Vec<BackupName>,
    },
    /// Several hosts have a backup of that name.
    #[error(
        "{wanted:?} is the name of several backups{}",
        OneOf { lead: ": write", names: candidates }
    )]
    Ambiguous {
        /// The name or date that was asked for.
        wanted: String,
        /// Every backup of that name.
        candidates: Vec<BackupName>,
    },
    /// The backup has no level that began early enough, or lacks the one that was asked for.
    #[error("{backup} has no point in time {wanted}: its first is {oldest}")]
    NoSuchLevel {
        /// The backup.
        backup: BackupName,
        /// The name or date that was asked for.
        wanted: String,
        /// The first level of the backup.
        oldest: LevelId,
    },
    /// The manifest of the wanted point in time is damaged.
    #[error("could not open level {level} of {backup}")]
    Unreadable {
        /// The backup.
        backup: BackupName,
        /// The level.
        level: LevelId,
        /// What is wrong with the manifest.
        source: Box<AccessError>,
    },
    /// There is a level of that id already; a level is never replaced.
    #[error("level {level} of {backup} exists already")]
    Exists {
        /// The backup.
        backup: BackupName,
        /// The level.
        level: LevelId,
    },
    /// The backups could not be listed.
    #[error("could not find out which backups exist")]
    List {
        /// What the store said.
        source: store::Error,
    },
    /// The store is not what this client remembers.
    #[error(transparent)]
    Surprise(Box<Surprise>),
    /// A level's manifest could not be read, stored or removed, or its data could not be removed.
    #[error("could not {verb} level {level} of {backup}")]
    Level {
        /// What was attempted.
        verb: LevelVerb,
        /// The backup.
        backup: BackupName,
        /// The level.
        level: LevelId,
        /// What the store said.
        source: store::Error,
    },
}

impl Advice for CatalogError {
    fn hint(&self) -> Option<&str> {
        match self {
            Self::Surprise(surprise) => surprise.hint(),
            Self::UnknownBackup { .. } => {
                Some("freezer list shows the backups of this store; --store PATH names another")
            }
            Self::Ambiguous { .. } => Some("name the host too: HOST/NAME"),
            Self::NoSuchLevel { .. } => Some("freezer list BACKUP shows its points in time"),
            Self::Exists { .. } => Some("run it again: the next level gets another id"),
            Self::List { .. } | Self::Level { .. } | Self::Unreadable { .. } => None,
        }
    }
}

impl CatalogError {
    /// Returns what turns an error of the store into one about a level.
    pub(super) fn of_level(
        verb: LevelVerb,
        backup: &BackupName,
        level: &LevelId,
    ) -> impl Fn(store::Error) -> Self + use<> {
        let (backup, level) = (backup.clone(), level.clone());
        move |source| Self::Level {
            verb,
            backup: backup.clone(),
            level: level.clone(),
            source,
        }
    }
}

/// What was attempted with a level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LevelVerb {
    /// Reading its manifest.
    Open,
    /// Making it exist.
    Publish,
    /// Removing it.
    Withdraw,
}

impl fmt::Display for LevelVerb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Open => "open",
            Self::Publish => "publish",
            Self::Withdraw => "withdraw",
        })
    }
}

/// Shows names to choose from after a lead; shows nothing when there are none.
struct OneOf<'a> {
    lead: &'a str,
    names: &'a [BackupName],
}

impl fmt::Display for OneOf<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, name) in self.names.iter().enumerate() {
            let separator = match position {
                0 => self.lead,
                _ if position + 1 == self.names.len() => " or",
                _ => ",",
            };
            write!(f, "{separator} {name}")?;
        }
        Ok(())
    }
}
