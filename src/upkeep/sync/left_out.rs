//! Keeps account of what was not passed on, and of the points in time that need it.

use super::object_check::{BadObject, ObjectFlaw};
use crate::catalog::names::Folder;
use crate::format::lost::Lost;
use crate::format::manifest::Manifest;
use crate::model::{LevelId, Ranges};
use crate::store::ObjectName;
use std::collections::BTreeMap;

/// An object of the source that is not what it must be.
#[derive(Debug)]
pub struct DamagedObject {
    /// The object.
    pub object: ObjectName,
    /// What is wrong with it.
    pub flaw: ObjectFlaw,
    /// Whether it was copied as it is: a repair of the source had noted what is lost of it.
    pub was_copied: bool,
}

/// Data that the copy did not get.
struct Gap {
    folder: Folder,
    /// The bytes of the level's stream that are in no copy of it; all, where that is not known.
    bytes: Option<Ranges>,
}

/// The objects that were not passed on.
#[derive(Default)]
pub(super) struct NotPassedOn {
    gaps: BTreeMap<LevelId, Vec<Gap>>,
    /// What has not been told yet.
    untold: Vec<DamagedObject>,
}

impl NotPassedOn {
    /// Takes note of an object that was not copied.
    pub(super) fn add(&mut self, bad: BadObject) {
        let bytes = (bad.folder == Folder::Segments).then(|| Ranges::new(bad.bytes));
        let gaps = self.gaps.entry(bad.level).or_default();
        gaps.push(Gap {
            folder: bad.folder,
            bytes,
        });
        self.untold.push(DamagedObject {
            object: bad.object,
            flaw: bad.flaw,
            was_copied: false,
        });
    }

    /// Takes note of an object that was copied as it is.
    pub(super) fn add_noted(&mut self, bad: BadObject) {
        self.untold.push(DamagedObject {
            object: bad.object,
            flaw: bad.flaw,
            was_copied: true,
        });
    }

    /// Returns whether a point in time needs anything that was left out. What is noted as lost is
    /// not needed: nobody can give it.
    pub(super) fn is_needed_by(&self, manifest: &Manifest, lost: &BTreeMap<LevelId, Lost>) -> bool {
        manifest.levels.iter().any(|parts| {
            let has_index = manifest.index.iter().any(|run| run.serial == parts.serial);
            let gaps = self.gaps.get(&parts.id);
            gaps.into_iter()
                .flatten()
                .any(|gap| match (gap.folder, &gap.bytes) {
                    (Folder::Index, _) => has_index,
                    (_, None) => !parts.live.as_ref().is_some_and(Ranges::is_empty),
                    (_, Some(bytes)) => {
                        let live = parts.live.as_ref();
                        let needed =
                            live.map_or_else(|| bytes.clone(), |live| bytes.intersection(live));
                        !is_noted(&needed, lost.get(&parts.id))
                    }
                })
        })
    }

    /// Returns what was not told yet.
    pub(super) fn take_untold(&mut self) -> Vec<DamagedObject> {
        std::mem::take(&mut self.untold)
    }
}

/// Returns whether all of these bytes of a level's stream are noted as lost.
pub(super) fn is_noted(bytes: &Ranges, lost: Option<&Lost>) -> bool {
    let noted = lost.map(|lost| Ranges::new(lost.ranges().to_vec()));
    bytes
        .as_slice()
        .iter()
        .all(|range| noted.as_ref().is_some_and(|noted| noted.cover(range)))
}
