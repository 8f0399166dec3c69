//! Reads the name of an object: what it is, of which backup and level.

use super::{
    DATA, Folder, KEYS, LOCKS, LOST, LevelOf, MANIFESTS, OVER, Term, WHOLE, WHOLE_ENDINGS,
    WITHDRAWN, claim_name, identity_copy_name, identity_name, number_of, text_of,
};
use crate::model::{BackupName, LevelId};
use crate::store::ObjectName;

/// What an object is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// The manifest of a level.
    Manifest(LevelOf),
    /// Data of a level.
    Data {
        /// The level.
        of: LevelOf,
        /// The folder of the level's data that the object lies in.
        folder: Folder,
        /// Its number in the folder.
        number: u32,
    },
    /// The segments of a level as one object, for other programs; and the ending of its name.
    Whole(LevelOf, &'static str),
    /// A note of levels that were withdrawn, under an id that begins with the moment.
    Withdrawn(LevelOf),
    /// A note of the parts of a level's stream that are lost.
    Lost(LevelOf),
    /// A claim to a backup, under the id of the level that its run is to make.
    Claim(LevelOf, Term),
}

/// Returns what an object is by its name; `None` when it belongs to no backup.
pub fn meaning(object: &ObjectName) -> Option<Meaning> {
    let (kind, rest) = object.as_str().split_once('/')?;
    let (host, rest) = rest.split_once('/')?;
    let (name, rest) = rest.split_once('/')?;
    let backup = BackupName::new(&text_of(host)?, &text_of(name)?).ok()?;
    let is = |prefix: &str| prefix.strip_suffix('/') == Some(kind);
    let of = |level: &str| {
        Some(LevelOf {
            backup: backup.clone(),
            level: level.parse().ok()?,
        })
    };
    if is(MANIFESTS) {
        of(rest).map(Meaning::Manifest)
    } else if is(WITHDRAWN) {
        of(rest).map(Meaning::Withdrawn)
    } else if is(LOST) {
        of(rest).map(Meaning::Lost)
    } else if is(DATA) {
        let (level, rest) = rest.split_once('/')?;
        data_meaning(of(level)?, rest)
    } else if is(LOCKS) {
        let (claim, term) = rest.split_once('/')?;
        let (of, term) = (of(claim)?, term_of(term)?);
        (claim_name(&of.backup, &of.level, term) == *object).then_some(Meaning::Claim(of, term))
    } else {
        None
    }
}

/// Reads what follows the level in the name of a data object.
fn data_meaning(of: LevelOf, rest: &str) -> Option<Meaning> {
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

fn term_of(text: &str) -> Option<Term> {
    if text == OVER {
        return Some(Term::Over);
    }
    // A term is a level's id without its random digits.
    let until: LevelId = format!("{text}-00000000").parse().ok()?;
    Some(Term::Until(until.started()))
}

/// Returns the folder of a level's data that an object lies in, and its number there; `None` when
/// it is no data object.
pub fn place_in_level(object: &ObjectName) -> Option<(Folder, u32)> {
    match meaning(object)? {
        Meaning::Data { folder, number, .. } => Some((folder, number)),
        _ => None,
    }
}

/// Returns whether an object is stored once and lasts as long as a point in time that is made of
/// it or opened with it.
pub fn is_lasting(object: &ObjectName) -> bool {
    match meaning(object) {
        Some(Meaning::Data { folder, .. }) => folder != Folder::Checkpoints,
        Some(Meaning::Manifest(_)) => true,
        Some(_) => false,
        None => {
            [identity_name(), identity_copy_name()].contains(object)
                || object.as_str().starts_with(KEYS)
        }
    }
}
