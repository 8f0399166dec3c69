//! Mends the blocks that points in time lean on, each once: many share runs and frame tables.

use super::mender::{Mended, Mender};
use crate::catalog::stream;
use crate::format::manifest::{LevelParts, Manifest};
use crate::format::repacked::Repacked;
use crate::model::{LevelId, Ranges};
use crate::upkeep::backup_in::BackupIn;
use crate::upkeep::error::RepairError;
use std::collections::{BTreeMap, BTreeSet};

/// The blocks that were looked at already, and what became of them.
#[derive(Default)]
pub(super) struct MendedOnce {
    /// Blocks of indexes.
    pub(super) index: Mended,
    /// Blocks of frame tables.
    pub(super) frame_tables: Mended,
    /// The newest record of each level's repacks.
    repacked: BTreeMap<LevelId, Option<Repacked>>,
    /// Levels whose runs of the index were looked at.
    runs: BTreeSet<LevelId>,
    /// Frame tables that were looked at, by their levels and roots.
    tables: BTreeSet<(LevelId, Vec<u8>)>,
}

impl MendedOnce {
    /// Mends the blocks that a manifest names.
    pub(super) fn mend(
        &mut self,
        of: BackupIn<'_>,
        manifest: &Manifest,
    ) -> Result<(), RepairError> {
        for parts in &manifest.levels {
            let mender = Mender {
                of,
                level: &parts.id,
            };
            if let Some(run) = manifest.index.iter().find(|run| run.serial == parts.serial)
                && self.runs.insert(parts.id.clone())
            {
                self.index.add(mender.index(run)?);
            }
            if parts.live.as_ref().is_some_and(Ranges::is_empty) {
                continue; // its stream may have gone
            }
            let parts = self.newest(of, parts);
            let table = (parts.id.clone(), parts.frame_table.node.clone());
            if !self.tables.contains(&table) {
                self.frame_tables.add(mender.frame_table(&parts)?);
                self.tables.insert(table);
            }
        }
        Ok(())
    }

    /// Returns where the stream of a level is by now. The check tells if that cannot be found out.
    fn newest(&mut self, of: BackupIn<'_>, parts: &LevelParts) -> LevelParts {
        let level = &parts.id;
        let repacked = self.repacked.entry(level.clone()).or_insert_with(|| {
            let opener = of.access.opener(level);
            stream::newer(of.store().as_ref(), &opener, &of.level(level), 0)
                .ok()
                .flatten()
        });
        match repacked {
            Some(repacked) if repacked.number > parts.repacked => repacked.apply(parts.clone()),
            _ => parts.clone(),
        }
    }
}
