//! Why the catalog could not do it.

use super::AccessError;
use crate::model::{Advice, BackupName, LevelId};
use crate::store;
use std::fmt;

/// The catalog could not answer or change what exists.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// No backup is called that.
    #[error("there is no backup {wanted:?}{}", OneOf { lead: "; is it", names: near })]
    UnknownBackup {
        /// What was asked for.
        wanted: String,
        /// Names that look like it, the nearest first.
        near: Vec<BackupName>,
    },
    /// Several hosts have a backup of that name.
    #[error("{wanted:?} is the name of several backups{}", OneOf { lead: ": write", names: candidates })]
    Ambiguous {
        /// What was asked for.
        wanted: String,
        /// All that it could be.
        candidates: Vec<BackupName>,
    },
    /// The backup has no level that began early enough, or not the one that was asked for.
    #[error("{backup} has no point in time {wanted}: its first is {oldest}")]
    NoSuchLevel {
        /// The backup.
        backup: BackupName,
        /// What was asked for.
        wanted: String,
        /// The first level it has.
        oldest: LevelId,
    },
    /// The manifest of the point in time that is meant was damaged.
    #[error("could not open level {level} of {backup}")]
    Unreadable {
        /// The backup.
        backup: BackupName,
        /// The level.
        level: LevelId,
        /// What is wrong with it.
        source: Box<AccessError>,
    },
    /// A level of that id is there: it is never replaced.
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
    /// A level's manifest could not be read, stored or removed, or its data not be removed.
    #[error("could not {verb} level {level} of {backup}")]
    Level {
        /// What was attempted.
        verb: Verb,
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

/// What was attempted with a level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verb {
    /// Reading its manifest.
    Open,
    /// Making it exist.
    Publish,
    /// Making it exist no more.
    Withdraw,
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Open => "open",
            Self::Publish => "publish",
            Self::Withdraw => "withdraw",
        })
    }
}

/// A list of names to choose from, with what leads to it; nothing when there is none.
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
