//! Finds the objects of a level that the copy lacks.

use super::pair::Pair;
use crate::catalog::names::{self, Folder};
use crate::catalog::{Access, objects_below};
use crate::format::manifest::Manifest;
use crate::format::repacked::MAX_REPACKED_BYTES;
use crate::model::{BackupName, LevelId, Ranges};
use crate::store::{ObjectInfo, ObjectName, StoreExt};
use crate::upkeep::error::SyncError;
use std::collections::{BTreeMap, BTreeSet};

/// The objects of one level in the two stores.
pub(super) struct LevelObjectsOfPair {
    /// Those of the source that a manifest names, by their folders.
    from: Vec<ObjectInfo>,
    /// The lengths of all that the copy has.
    to: BTreeMap<ObjectName, u64>,
}

impl LevelObjectsOfPair {
    /// Lists the objects in these folders of a level's data.
    pub(super) fn list(
        pair: Pair<'_>,
        backup: &BackupName,
        level: &LevelId,
        folders: &BTreeSet<Folder>,
    ) -> Result<Self, SyncError> {
        let list = |access: &Access| {
            let prefix = names::level_prefix(backup, level);
            objects_below(access.store().as_ref(), &prefix).map_err(SyncError::List)
        };
        let to = list(pair.to)?;
        let mut from = list(pair.from)?;
        from.retain(|object| {
            folder_of(&object.name).is_some_and(|folder| folders.contains(&folder))
        });
        Ok(Self {
            from,
            to: to
                .into_iter()
                .map(|object| (object.name, object.length))
                .collect(),
        })
    }

    /// Returns how many segments the copy has.
    pub(super) fn segments_there(&self) -> u64 {
        self.to
            .keys()
            .filter(|name| folder_of(name) == Some(Folder::Segments))
            .count() as u64
    }

    /// Fails unless the copy can take over the repacks of a level.
    ///
    /// The new frame table lacks what no point in time of the source needs, so the copy must not
    /// need more: `has_more` says whether it has points in time that the source lacks. And two
    /// stores that repack a level each by itself give the same names to different objects.
    pub(super) fn check_repacked(
        &self,
        pair: Pair<'_>,
        level: &LevelId,
        has_more: bool,
    ) -> Result<(), SyncError> {
        let is_record = |name: &ObjectName| folder_of(name) == Some(Folder::Repacked);
        let from: BTreeSet<&ObjectName> = self
            .from
            .iter()
            .map(|object| &object.name)
            .filter(|name| is_record(name))
            .collect();
        let has_news = from.iter().any(|name| !self.to.contains_key(*name));
        let body = |access: &Access, name| {
            access
                .store()
                .get(name, MAX_REPACKED_BYTES)
                .map_err(SyncError::List)
        };
        let mut is_other = has_news && has_more;
        for name in self.to.keys().filter(|name| is_record(name)) {
            is_other =
                is_other || !from.contains(name) || body(pair.from, name)? != body(pair.to, name)?;
        }
        if is_other {
            Err(SyncError::Repacked {
                level: level.clone(),
            })
        } else {
            Ok(())
        }
    }

    /// Returns the number of the newest repack of the level in the source; 0 where there was none.
    pub(super) fn newest_repack(&self) -> u32 {
        let records = self.from.iter();
        let numbers = records.filter_map(|object| match names::place_in_level(&object.name) {
            Some((Folder::Repacked, number)) => Some(number),
            _ => None,
        });
        numbers.max().unwrap_or_default()
    }

    /// Returns the objects that the copy lacks, or has with another length; and the numbers of the
    /// segments that it has.
    pub(super) fn lacking(self) -> (Vec<ObjectInfo>, BTreeSet<u32>) {
        let Self { mut from, to } = self;
        from.retain(|object| to.get(&object.name) != Some(&object.length));
        let lacking: BTreeSet<&ObjectName> = from.iter().map(|object| &object.name).collect();
        let copied = to.keys().filter(|name| !lacking.contains(name));
        let segments = copied.filter_map(|name| match names::place_in_level(name) {
            Some((Folder::Segments, number)) => Some(number),
            _ => None,
        });
        let segments = segments.collect();
        (from, segments)
    }
}

/// Returns the folder of a level's data that an object lies in.
pub(super) fn folder_of(object: &ObjectName) -> Option<Folder> {
    names::place_in_level(object).map(|(folder, _)| folder)
}

/// Returns the levels that a manifest names anything of, and the folders of their data.
pub(super) fn folders_named_by(manifest: &Manifest) -> BTreeMap<LevelId, BTreeSet<Folder>> {
    let mut named: BTreeMap<LevelId, BTreeSet<Folder>> = BTreeMap::new();
    for parts in &manifest.levels {
        let folders = named.entry(parts.id.clone()).or_default();
        // A level may be named for its index alone; its stream may have gone.
        if !parts.live.as_ref().is_some_and(Ranges::is_empty) {
            folders.extend([Folder::Segments, Folder::Frames, Folder::Repacked]);
        }
        if manifest.index.iter().any(|run| run.serial == parts.serial) {
            folders.insert(Folder::Index);
        }
    }
    named
}
