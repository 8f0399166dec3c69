//! Where everything of a backup lies in a store. No other module puts object names together or
//! takes them apart.
//!
//! | object | name |
//! |---|---|
//! | what makes a place a store | `freezer.json` |
//! | a key of an encrypted store | `keys/ID.json` |
//! | a level's manifest | `manifests/HOST/NAME/LEVEL` |
//! | a claim to a backup | `locks/HOST/NAME/LEVEL/UNTIL`, `locks/HOST/NAME/LEVEL/over` |
//! | a note of what was withdrawn of late | `withdrawn/HOST/NAME/LEVEL` |
//! | a level's data | `data/HOST/NAME/LEVEL/segments/00000000`, …`/index/…`, …`/frames/…` |
//! | where its stream is since it was repacked | `data/HOST/NAME/LEVEL/repacked/00000001` |
//! | how far its run has come | `data/HOST/NAME/LEVEL/checkpoints/00000000` |
//! | its segments as one object, where a store can do that | `data/HOST/NAME/LEVEL/stream.tar.zst`, or with another ending |
//!
//! HOST and NAME are [`ObjectName::component`]s. Layout: docs/format.md, "Names of objects".

use crate::model::{BackupName, LevelId};
use crate::store::ObjectName;

/// Holds all manifests, and nothing else.
pub const MANIFESTS: &str = "manifests/";

/// Holds the data of all levels.
pub const DATA: &str = "data/";

/// Holds the claims of all backups.
pub const LOCKS: &str = "locks/";

/// Holds the notes of what is lost.
const LOST: &str = "lost/";

/// Holds the notes of what was withdrawn.
const WITHDRAWN: &str = "withdrawn/";

/// The name of what says that a claim holds no longer.
const OVER: &str = "over";

/// The name of a level's segments as one object, before its ending.
const WHOLE: &str = "stream";

/// The endings that it can have. An encrypted one has none.
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
    /// What supersedes the frame table since the level was repacked.
    Repacked,
    /// How far its run has come, as long as it has no manifest.
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

/// What an object is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// The manifest of a level.
    Manifest(LevelOf),
    /// Data of a level.
    Data {
        /// Whose.
        of: LevelOf,
        /// Which folder of it.
        folder: Folder,
        /// Its number in the folder.
        number: u32,
    },
    /// The segments of a level as one object, for other programs; and the ending of its name.
    Whole(LevelOf, &'static str),
    /// A note of levels that were withdrawn, under an id that begins with the moment.
    Withdrawn(LevelOf),
    /// A note of what is lost of a level's stream.
    Lost(LevelOf),
    /// A claim to a backup, under the id of the level that it is to make.
    Claim(LevelOf, Term),
}

/// How long a claim holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Term {
    /// Until then, unless it is renewed by another object with a later term.
    Until(jiff::Timestamp),
    /// No longer.
    Over,
}

impl LevelOf {
    /// What the names of all segments of this level begin with.
    pub fn segments_prefix(&self) -> String {
        format!(
            "{}{}/",
            level_prefix(&self.backup, &self.level),
            Folder::Segments.as_str()
        )
    }

    /// What the names of all objects begin with that supersede the frame table of this level.
    pub fn repacked_prefix(&self) -> String {
        format!(
            "{}{}/",
            level_prefix(&self.backup, &self.level),
            Folder::Repacked.as_str()
        )
    }

    /// What the names of all checkpoints of this level's run begin with.
    pub fn checkpoints_prefix(&self) -> String {
        format!(
            "{}{}/",
            level_prefix(&self.backup, &self.level),
            Folder::Checkpoints.as_str()
        )
    }

    /// The object that is all segments of this level, for other programs. `ending` tells what they
    /// are: `.tar.zst`.
    pub fn stream_name(&self, ending: &str) -> ObjectName {
        legal(format!(
            "{}{WHOLE}{ending}",
            level_prefix(&self.backup, &self.level)
        ))
    }

    /// A data object of this level; see [`data_name`].
    pub fn data_name(&self, folder: Folder, number: u32) -> ObjectName {
        data_name(&self.backup, &self.level, folder, number)
    }
}

/// Holds the keys of an encrypted store.
pub const KEYS: &str = "keys/";

/// The object that makes a place a store.
pub fn identity_name() -> ObjectName {
    legal("freezer.json".to_owned())
}

/// The object of a key.
pub fn key_name(id: &str) -> ObjectName {
    legal(format!("{KEYS}{}.json", ObjectName::component(id)))
}

/// The object that makes a level exist.
pub fn manifest_name(backup: &BackupName, level: &LevelId) -> ObjectName {
    legal(format!("{}{level}", manifests_prefix(backup)))
}

/// What the names of all manifests of a backup begin with.
pub fn manifests_prefix(backup: &BackupName) -> String {
    format!("{MANIFESTS}{}/", path_of(backup))
}

/// What the names of all data objects of a backup begin with.
pub fn data_prefix(backup: &BackupName) -> String {
    format!("{DATA}{}/", path_of(backup))
}

/// What the names of all data objects of a level begin with.
pub fn level_prefix(backup: &BackupName, level: &LevelId) -> String {
    format!("{}{level}/", data_prefix(backup))
}

/// A data object of a level. Numbers have eight digits; those that need more are `A` and ten
/// digits, which sort after.
pub fn data_name(backup: &BackupName, level: &LevelId, folder: Folder, number: u32) -> ObjectName {
    legal(format!(
        "{}{}/{}",
        level_prefix(backup, level),
        folder.as_str(),
        number_text(number)
    ))
}

/// What the names of all notes of what was withdrawn from a backup begin with.
pub fn withdrawn_prefix(backup: &BackupName) -> String {
    format!("{WITHDRAWN}{}/", path_of(backup))
}

/// A note of what was withdrawn.
pub fn withdrawn_name(backup: &BackupName, note: &LevelId) -> ObjectName {
    legal(format!("{}{note}", withdrawn_prefix(backup)))
}

/// What the names of all notes of what is lost of a backup begin with.
pub fn lost_prefix(backup: &BackupName) -> String {
    format!("{LOST}{}/", path_of(backup))
}

/// The note of what is lost of a level.
pub fn lost_name(backup: &BackupName, level: &LevelId) -> ObjectName {
    legal(format!("{}{level}", lost_prefix(backup)))
}

/// What the names of all claims to a backup begin with.
pub fn locks_prefix(backup: &BackupName) -> String {
    format!("{LOCKS}{}/", path_of(backup))
}

/// An object of a claim. Moments are kept to the millisecond.
pub fn claim_name(backup: &BackupName, claim: &LevelId, term: Term) -> ObjectName {
    let term = match term {
        Term::Over => OVER.to_owned(),
        // A level's id without its random digits.
        Term::Until(at) => LevelId::new(at, 0).as_str().chars().take(20).collect(),
    };
    legal(format!("{}{claim}/{term}", locks_prefix(backup)))
}

/// Whether an object is one that points in time are made of or opened with: what is stored once,
/// and stays as long as they do.
pub fn is_lasting(object: &ObjectName) -> bool {
    match meaning(object) {
        Some(Meaning::Data { folder, .. }) => folder != Folder::Checkpoints,
        Some(Meaning::Manifest(_)) => true,
        Some(_) => false,
        None => *object == identity_name() || object.as_str().starts_with(KEYS),
    }
}

/// What an object is by its name; `None` when it is none of a backup's.
pub fn meaning(object: &ObjectName) -> Option<Meaning> {
    let (kind, rest) = object.as_str().split_once('/')?;
    let (host, rest) = rest.split_once('/')?;
    let (name, rest) = rest.split_once('/')?;
    let backup = BackupName::new(&text_of(host)?, &text_of(name)?).ok()?;
    match kind {
        "manifests" => Some(Meaning::Manifest(LevelOf {
            backup,
            level: rest.parse().ok()?,
        })),
        "withdrawn" => Some(Meaning::Withdrawn(LevelOf {
            backup,
            level: rest.parse().ok()?,
        })),
        "lost" => Some(Meaning::Lost(LevelOf {
            backup,
            level: rest.parse().ok()?,
        })),
        "data" => {
            let (level, rest) = rest.split_once('/')?;
            let of = LevelOf {
                backup,
                level: level.parse().ok()?,
            };
            if let Some(ending) = rest.strip_prefix(WHOLE) {
                let ending = WHOLE_ENDINGS.into_iter().find(|known| *known == ending)?;
                return Some(Meaning::Whole(of, ending));
            }
            let (folder, number) = rest.split_once('/')?;
            let folder = Folder::ALL
                .into_iter()
                .find(|known| known.as_str() == folder)?;
            Some(Meaning::Data {
                of,
                folder,
                number: number_of(number)?,
            })
        }
        "locks" => {
            let (claim, term) = rest.split_once('/')?;
            let term = match term {
                OVER => Term::Over,
                until => Term::Until(
                    format!("{until}-00000000")
                        .parse::<LevelId>()
                        .ok()?
                        .started(),
                ),
            };
            let of = LevelOf {
                backup,
                level: claim.parse().ok()?,
            };
            (claim_name(&of.backup, &of.level, term) == *object).then_some(Meaning::Claim(of, term))
        }
        _ => None,
    }
}

/// The name under which a listing shows a backup: its own, but where a part is too long for a
/// component.
pub fn as_listed(backup: &BackupName) -> BackupName {
    let listed = |part: &str| text_of(&component(part)).unwrap_or_else(|| part.to_owned());
    BackupName::new(&listed(backup.host()), &listed(backup.name()))
        .unwrap_or_else(|_| backup.clone())
}

fn path_of(backup: &BackupName) -> String {
    format!("{}/{}", component(backup.host()), component(backup.name()))
}

/// A part of a backup's name as a component.
///
/// A part too long for a component is cut there, and the whole cannot be read from a listing (the
/// manifest holds it). The cut form then stands for it, in both directions: a backup that was found
/// can be opened under that name.
fn component(part: &str) -> String {
    if ObjectName::is_cut(part) {
        part.to_owned()
    } else {
        ObjectName::component(part)
    }
}

fn text_of(component: &str) -> Option<String> {
    if ObjectName::is_cut(component) {
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

#[cfg(test)]
mod tests {
    use super::{
        Folder, LevelOf, Meaning, Term, claim_name, data_name, level_prefix, lost_name,
        manifest_name, manifests_prefix, meaning, withdrawn_name,
    };
    use crate::model::{BackupName, LevelId};
    use crate::store::ObjectName;
    use proptest::prelude::*;

    fn level() -> LevelId {
        "20261122T223450.123Z-1a2b3c4d".parse().expect("legal")
    }

    #[test]
    fn the_layout_is_what_the_format_says() {
        let backup = BackupName::new("web-1", "docs/old").expect("legal");
        assert_eq!(
            manifest_name(&backup, &level()).as_str(),
            "manifests/web-1/docs%2Fold/20261122T223450.123Z-1a2b3c4d"
        );
        let segment = data_name(&backup, &level(), Folder::Segments, 17);
        assert_eq!(
            segment.as_str(),
            "data/web-1/docs%2Fold/20261122T223450.123Z-1a2b3c4d/segments/00000017"
        );
    }

    #[test]
    fn a_claim_is_read_back_from_its_name() {
        let backup = BackupName::new("h", "n").expect("legal");
        let until = "2026-11-22T22:44:50.123Z".parse().expect("a moment");
        let name = claim_name(&backup, &level(), Term::Until(until));
        assert_eq!(
            name.as_str(),
            "locks/h/n/20261122T223450.123Z-1a2b3c4d/20261122T224450.123Z"
        );
        for term in [Term::Until(until), Term::Over] {
            let of = LevelOf {
                backup: backup.clone(),
                level: level(),
            };
            assert_eq!(
                meaning(&claim_name(&backup, &level(), term)),
                Some(Meaning::Claim(of, term))
            );
        }
    }

    #[test]
    fn numbers_sort_as_text_up_to_the_last() {
        let backup = BackupName::new("h", "n").expect("legal");
        let names = [
            0,
            9,
            10,
            99_999_999,
            100_000_000,
            999_999_999,
            1_000_000_000,
            u32::MAX,
        ];
        assert!(
            names
                .map(|number| data_name(&backup, &level(), Folder::Index, number))
                .is_sorted()
        );
    }

    #[test]
    fn what_is_not_ours_means_nothing() {
        for stranger in [
            "freezer.json",
            "keys/1.json",
            "manifests/h/n",
            "manifests/h/n/latest",
            "manifests/h/n/20261122T223450.123Z-1a2b3c4d/x",
            "data/h/n/20261122T223450.123Z-1a2b3c4d/segments/1",
            "data/h/n/20261122T223450.123Z-1a2b3c4d/segments/A0000000001",
            "data/h/n/20261122T223450.123Z-1a2b3c4d/segments/+0000001",
            "data/h/n/20261122T223450.123Z-1a2b3c4d/other/00000001",
            "data/h/n/20261122T223450.123Z-1a2b3c4d/other",
            "data/h/n/20261122T223450.123Z-1a2b3c4d/stream.zip",
            "data/h/n/20261122T223450.123Z-1a2b3c4d/stream/00000001",
            "locks/h/n/20261122T223450.123Z-1a2b3c4d/20261122T223450.123Zx",
            "locks/h/n/20261122T223450.123Z-1a2b3c4d",
            "manifests/%2e/n/20261122T223450.123Z-1a2b3c4d",
            "manifests/h%2Fh/n/20261122T223450.123Z-1a2b3c4d",
        ] {
            assert_eq!(
                meaning(&ObjectName::new(stranger).expect("legal")),
                None,
                "{stranger}"
            );
        }
    }

    #[test]
    fn a_name_too_long_for_a_component_is_found_under_its_cut_form() {
        let backup = BackupName::new("h", &"\u{e9}".repeat(127)).expect("legal");
        let Some(Meaning::Manifest(found)) = meaning(&manifest_name(&backup, &level())) else {
            panic!("it is a manifest")
        };
        assert_ne!(found.backup, backup);
        assert_eq!(super::as_listed(&backup), found.backup);
        assert_eq!(super::as_listed(&found.backup), found.backup);
        assert_eq!(manifests_prefix(&found.backup), manifests_prefix(&backup));
    }

    proptest! {
        #[test]
        fn names_are_read_back(host in "[^/\\pC]{1,20}", name in "\\PC{1,20}", number: u32, folder in 0_usize..5) {
            prop_assume!(BackupName::new(&host, &name).is_ok());
            let backup = BackupName::new(&host, &name).expect("checked");
            let of = LevelOf { backup: backup.clone(), level: level() };
            prop_assert_eq!(meaning(&manifest_name(&backup, &level())), Some(Meaning::Manifest(of.clone())));
            prop_assert_eq!(meaning(&withdrawn_name(&backup, &level())), Some(Meaning::Withdrawn(of.clone())));
            prop_assert_eq!(meaning(&lost_name(&backup, &level())), Some(Meaning::Lost(of.clone())));
            let folder = Folder::ALL[folder];
            let data = data_name(&backup, &level(), folder, number);
            prop_assert!(data.as_str().starts_with(&level_prefix(&backup, &level())));
            prop_assert_eq!(&super::as_listed(&backup), &backup);
            prop_assert_eq!(meaning(&data), Some(Meaning::Data { of: of.clone(), folder, number }));
            for ending in super::WHOLE_ENDINGS {
                let whole = of.stream_name(ending);
                prop_assert_eq!(meaning(&whole), Some(Meaning::Whole(of.clone(), ending)));
            }
        }

        #[test]
        fn any_object_name_is_read_without_panic(text in "(manifests|data|locks|lost|withdrawn)/[%~a-zA0-9/.]{0,60}") {
            if let Some(object) = ObjectName::new(text) {
                meaning(&object);
            }
        }
    }
}
