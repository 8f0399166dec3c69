//! Says where everything of a backup lies in a store. No other module puts object names together
//! or takes them apart.
//!
//! | object | name |
//! |---|---|
//! | the identity, which makes a place a store | `freezer.json` |
//! | its second copy | `freezer-copy.json` |
//! | a key of an encrypted store | `keys/ID.json` |
//! | a level's manifest | `manifests/HOST/NAME/LEVEL` |
//! | a claim to a backup | `locks/HOST/NAME/LEVEL/UNTIL`, `locks/HOST/NAME/LEVEL/over` |
//! | a note of levels that were withdrawn | `withdrawn/HOST/NAME/LEVEL` |
//! | a note of the parts of a level that are lost | `lost/HOST/NAME/LEVEL` |
//! | a level's tar stream | `data/HOST/NAME/LEVEL/segments/00000000` |
//! | a level's index | `data/HOST/NAME/LEVEL/index/00000000` |
//! | a level's frame table | `data/HOST/NAME/LEVEL/frames/00000000` |
//! | what supersedes the frame table after a repack | `data/HOST/NAME/LEVEL/repacked/00000001` |
//! | how far the level's run has come | `data/HOST/NAME/LEVEL/checkpoints/00000000` |
//! | all segments as one object, where a store can | `data/HOST/NAME/LEVEL/stream.tar.zst` |
//!
//! HOST and NAME are [`ObjectName::component`]s. The ending of the last row tells how the stream
//! is stored. Layout: docs/format.md, "Names of objects".

mod meaning;
#[cfg(test)]
mod tests;

pub use meaning::{Meaning, is_lasting, meaning, place_in_level};

use crate::model::{BackupName, LevelId};
use crate::store::ObjectName;

/// Prefix of all manifests.
pub const MANIFESTS: &str = "manifests/";

/// Prefix of the data of all levels.
pub const DATA: &str = "data/";

/// Prefix of the claims to all backups.
pub const LOCKS: &str = "locks/";

/// Prefix of the keys of an encrypted store.
pub const KEYS: &str = "keys/";

/// Prefixes below which HOST and NAME stand in names of objects, in order.
pub const OF_BACKUPS: &[&str] = &[DATA, LOCKS, LOST, MANIFESTS, WITHDRAWN];

/// Prefix of the notes of data that is lost.
const LOST: &str = "lost/";

/// Prefix of the notes of levels that were withdrawn.
const WITHDRAWN: &str = "withdrawn/";

/// Name of the object that ends a claim.
const OVER: &str = "over";

/// Name of a level's segments as one object, before its ending.
const WHOLE: &str = "stream";

/// The endings that this name can have. An encrypted one has none.
const WHOLE_ENDINGS: [&str; 6] = ["", ".tar", ".tar.gz", ".tar.bz2", ".tar.xz", ".tar.zst"];

/// The folders of a level's data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Folder {
    /// The tar stream.
    Segments,
    /// The index.
    Index,
    /// The frame table.
    Frames,
    /// Records of repacks: each supersedes the frame table before it.
    Repacked,
    /// How far the level's run has come, as long as the level has no manifest.
    Checkpoints,
}

impl Folder {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Segments,
        Self::Index,
        Self::Frames,
        Self::Repacked,
        Self::Checkpoints,
    ];

    fn as_str(self) -> &'static str {
        match self {
            Self::Segments => "segments",
            Self::Index => "index",
            Self::Frames => "frames",
            Self::Repacked => "repacked",
            Self::Checkpoints => "checkpoints",
        }
    }
}

/// A level of a backup.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LevelOf {
    /// The backup.
    pub backup: BackupName,
    /// The level.
    pub level: LevelId,
}

/// How long a claim holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Term {
    /// Until that moment, unless another object of the claim has a later term.
    Until(jiff::Timestamp),
    /// No longer.
    Over,
}

impl LevelOf {
    /// Names a level of a backup.
    pub fn new(backup: &BackupName, level: &LevelId) -> Self {
        Self {
            backup: backup.clone(),
            level: level.clone(),
        }
    }

    /// Returns the prefix of the names of all objects in a folder of this level's data.
    pub fn folder_prefix(&self, folder: Folder) -> String {
        let level = level_prefix(&self.backup, &self.level);
        format!("{level}{}/", folder.as_str())
    }

    /// Names the object that is all segments of this level, for other programs. `ending` tells
    /// how they are stored: `.tar.zst`.
    pub fn stream_name(&self, ending: &str) -> ObjectName {
        let level = level_prefix(&self.backup, &self.level);
        legal(format!("{level}{WHOLE}{ending}"))
    }

    /// Names a data object of this level; see [`data_name`].
    pub fn data_name(&self, folder: Folder, number: u32) -> ObjectName {
        data_name(&self.backup, &self.level, folder, number)
    }
}

/// Names the object that makes a place a store.
pub fn identity_name() -> ObjectName {
    legal("freezer.json".to_owned())
}

/// Names the second copy of the object that makes a place a store.
pub fn identity_copy_name() -> ObjectName {
    legal("freezer-copy.json".to_owned())
}

/// Names the object of a key.
pub fn key_name(id: &str) -> ObjectName {
    legal(format!("{KEYS}{}.json", ObjectName::component(id)))
}

/// Names the object that makes a level exist.
pub fn manifest_name(backup: &BackupName, level: &LevelId) -> ObjectName {
    legal(format!("{}{level}", manifests_prefix(backup)))
}

/// Returns the prefix of the names of all manifests of a backup.
pub fn manifests_prefix(backup: &BackupName) -> String {
    format!("{MANIFESTS}{}/", path_of(backup))
}

/// Returns the prefix of the names of all data objects of a backup.
pub fn data_prefix(backup: &BackupName) -> String {
    format!("{DATA}{}/", path_of(backup))
}

/// Returns the prefix of the names of all data objects of a level.
pub fn level_prefix(backup: &BackupName, level: &LevelId) -> String {
    format!("{}{level}/", data_prefix(backup))
}

/// Names a data object of a level. Numbers have eight digits; larger ones are `A` and ten digits,
/// which sort after.
pub fn data_name(backup: &BackupName, level: &LevelId, folder: Folder, number: u32) -> ObjectName {
    legal(format!(
        "{}{}/{}",
        level_prefix(backup, level),
        folder.as_str(),
        number_text(number)
    ))
}

/// Returns the prefix of the names of all notes of levels that were withdrawn from a backup.
pub fn withdrawn_prefix(backup: &BackupName) -> String {
    format!("{WITHDRAWN}{}/", path_of(backup))
}

/// Names a note of levels that were withdrawn.
pub fn withdrawn_name(backup: &BackupName, note: &LevelId) -> ObjectName {
    legal(format!("{}{note}", withdrawn_prefix(backup)))
}

/// Returns the prefix of the names of all notes of lost data of a backup.
pub fn lost_prefix(backup: &BackupName) -> String {
    format!("{LOST}{}/", path_of(backup))
}

/// Names the note of the lost data of a level.
pub fn lost_name(backup: &BackupName, level: &LevelId) -> ObjectName {
    legal(format!("{}{level}", lost_prefix(backup)))
}

/// Returns the prefix of the names of all claims to a backup.
pub fn locks_prefix(backup: &BackupName) -> String {
    format!("{LOCKS}{}/", path_of(backup))
}

/// Returns the prefix of the names of all objects of one claim.
pub fn claim_prefix(backup: &BackupName, claim: &LevelId) -> String {
    format!("{}{claim}/", locks_prefix(backup))
}

/// Names an object of a claim. Moments are kept to the millisecond.
pub fn claim_name(backup: &BackupName, claim: &LevelId, term: Term) -> ObjectName {
    let term = match term {
        Term::Over => OVER.to_owned(),
        // A level's id without its random digits.
        Term::Until(at) => LevelId::new(at, 0).as_str().chars().take(20).collect(),
    };
    legal(format!("{}{term}", claim_prefix(backup, claim)))
}

/// Returns the name under which a listing shows a backup: its own, unless a part of it is too long
/// for a component.
pub fn as_listed(backup: &BackupName) -> BackupName {
    let listed = |part: &str| text_of(&component(part)).unwrap_or_else(|| part.to_owned());
    BackupName::new(&listed(backup.host()), &listed(backup.name()))
        .unwrap_or_else(|_| backup.clone())
}

/// Returns whether a backup is the one that `name` names, by its own name or as listed.
pub fn is_listed_as(backup: &BackupName, name: &BackupName) -> bool {
    backup == name || as_listed(backup) == *name
}

fn path_of(backup: &BackupName) -> String {
    format!("{}/{}", component(backup.host()), component(backup.name()))
}

/// Returns a part of a backup's name as a component.
///
/// A hidden name stands for itself, too. A part too long for a component is cut there, and the
/// whole cannot be read from a listing (the manifest holds it). The cut form then stands for it, in
/// both directions: a backup that was found can be opened under that name.
pub(super) fn component(part: &str) -> String {
    if ObjectName::is_cut(part) || ObjectName::is_hidden(part) {
        part.to_owned()
    } else {
        ObjectName::component(part)
    }
}

fn text_of(component: &str) -> Option<String> {
    if ObjectName::is_cut(component) || ObjectName::is_hidden(component) {
        Some(component.to_owned())
    } else {
        ObjectName::text_of(component)
    }
}

fn number_text(number: u32) -> String {
    if number < 100_000_000 {
        format!("{number:08}")
    } else {
        format!("A{number:010}")
    }
}

fn number_of(text: &str) -> Option<u32> {
    let number = text.strip_prefix('A').unwrap_or(text).parse().ok()?;
    (number_text(number) == text).then_some(number)
}

fn legal(name: String) -> ObjectName {
    ObjectName::new(name)
        .expect("two components of at most 200 bytes, a level id and a number make a legal name")
}
