//! Writes blocks of an index or a frame table again that cannot be read any more, where it is known
//! for sure what was in them.
//!
//! Manifests and other blocks name a block by its place, so it is written to the same place or not
//! at all: its raw bytes are made again and sealed, and must come out as long as they were.
//! Everything else in the object is copied as it is.

use super::table_rows::TableRows;
use crate::catalog::Blocks;
use crate::catalog::names::{Folder, LevelOf};
use crate::format::frame::{Compression, Encoder, Lane, Sealer};
use crate::format::manifest::{LevelParts, RootNode, Run};
use crate::index::{IndexError, SurveyedBlock, leaf_of, survey_blocks};
use crate::model::LevelId;
use crate::store::{self, ObjectName, Store, StoreExt};
use crate::upkeep::backup_in::BackupIn;
use crate::upkeep::error::RepairError;
use std::collections::BTreeMap;
use std::sync::Arc;

/// How blocks are compressed. Compressed in any other way, they would not fit their places.
const BLOCK_COMPRESSION: Compression = Compression::Zstd;

/// What became of blocks that could not be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mended {
    /// Blocks that were written again.
    pub mended: u64,
    /// Blocks that stay as they are: nothing says for sure what was in them.
    pub left: u64,
}

impl Mended {
    pub(super) fn add(&mut self, other: Self) {
        self.mended += other.mended;
        self.left += other.left;
    }
}

/// A level whose blocks are looked at.
pub(super) struct Mender<'run> {
    pub(super) of: BackupIn<'run>,
    pub(super) level: &'run LevelId,
}

/// The blocks of a run or a frame table.
#[derive(Default)]
struct SurveyedLane {
    /// All blocks by the numbers of their objects.
    objects: BTreeMap<u32, Vec<SurveyedBlock>>,
    /// Those that cannot be read, in the order of the run.
    damaged: Vec<SurveyedBlock>,
}

/// What became of damaged blocks, before any of it is stored.
#[derive(Default)]
struct Remade {
    /// Blocks that were made again, sealed, by their numbers.
    blocks: BTreeMap<u64, Vec<u8>>,
    /// How many could not be made again.
    left: u64,
}

impl Mender<'_> {
    /// Mends blocks of a run of the index. The manifest holds some of them as well.
    pub(super) fn index(&self, run: &Run) -> Result<Mended, RepairError> {
        self.lane(Lane::Index, Folder::Index, &run.root, |block| {
            let kept = run
                .head
                .iter()
                .find(|kept| kept.number == block.address.number.0);
            Ok(kept.map(|kept| kept.node.clone()))
        })
    }

    /// Mends blocks of a frame table by the headers of the frames. Frames without headers tell
    /// nothing: their checksums are nowhere else.
    pub(super) fn frame_table(&self, parts: &LevelParts) -> Result<Mended, RepairError> {
        let mut rows = None;
        self.lane(
            Lane::FrameTable,
            Folder::Frames,
            &parts.frame_table,
            |block| {
                // In a level that was repacked, frames do not lie in the order of the table.
                if block.height > 0 || parts.repacked > 0 {
                    return Ok(None);
                }
                let rows = match &mut rows {
                    Some(rows) => rows,
                    none => none.insert(TableRows::new(self.of, parts)?),
                };
                Ok(rows.of_leaf(block)?.map(|rows| leaf_of(&rows)))
            },
        )
    }

    /// Mends blocks of a lane. `raw` returns what should be in a block that cannot be read; blocks
    /// come in the order of the run.
    fn lane(
        &self,
        lane: Lane,
        folder: Folder,
        root: &RootNode,
        raw: impl FnMut(&SurveyedBlock) -> Result<Option<Vec<u8>>, RepairError>,
    ) -> Result<Mended, RepairError> {
        let SurveyedLane { objects, damaged } = self.survey(lane, root);
        if damaged.is_empty() {
            return Ok(Mended::default());
        }
        let remade = self.remake(lane, damaged, raw)?;
        Ok(Mended {
            mended: self.write_objects(folder, objects, &remade)?,
            left: remade.left,
        })
    }

    /// Looks at all blocks of a lane. The check tells if its root is malformed.
    fn survey(&self, lane: Lane, root: &RootNode) -> SurveyedLane {
        let mut found = SurveyedLane::default();
        let blocks = Blocks::new(self.of.access, self.of.backup, self.level, lane);
        let source = Arc::new(blocks.ahead());
        let surveyed = survey_blocks(root.into(), source, &mut |block| {
            if block.fault.is_some() {
                found.damaged.push(block.clone());
            }
            found
                .objects
                .entry(block.address.object)
                .or_default()
                .push(block);
        });
        match surveyed {
            Ok(_) => found,
            Err(_) => SurveyedLane::default(),
        }
    }

    /// Makes blocks again, as far as it is known what was in them and they fit their places.
    fn remake(
        &self,
        lane: Lane,
        damaged: Vec<SurveyedBlock>,
        mut raw: impl FnMut(&SurveyedBlock) -> Result<Option<Vec<u8>>, RepairError>,
    ) -> Result<Remade, RepairError> {
        let access = self.of.access;
        let sealer = Sealer::new(access.store_id(), self.level.clone(), access.protection());
        let mut encoder = Encoder::new(BLOCK_COMPRESSION, BLOCK_COMPRESSION.default_level())
            .map_err(RepairError::Frame)?;
        let mut remade = Remade::default();
        for block in damaged {
            refuse_outage(block.fault.as_ref())?;
            let Some(raw) = raw(&block)? else {
                remade.left += 1;
                continue;
            };
            let sealed = sealer
                .seal(&mut encoder, lane, block.address.number, &raw)
                .map_err(RepairError::Frame)?;
            if sealed.len() as u64 == u64::from(block.address.length) {
                remade.blocks.insert(block.address.number.0, sealed);
            } else {
                remade.left += 1;
            }
        }
        Ok(remade)
    }

    /// Writes the objects again that have blocks that were made again. Returns how many such blocks
    /// were written.
    fn write_objects(
        &self,
        folder: Folder,
        objects: BTreeMap<u32, Vec<SurveyedBlock>>,
        remade: &Remade,
    ) -> Result<u64, RepairError> {
        let mut written = 0;
        for (object, mut blocks) in objects {
            let count = blocks
                .iter()
                .filter(|block| remade.blocks.contains_key(&block.address.number.0))
                .count() as u64;
            if count == 0 {
                continue;
            }
            blocks.sort_by_key(|block| block.address.offset.0);
            let name = LevelOf::new(self.of.backup, self.level).data_name(folder, object);
            let body = self.body_of(&name, &blocks, remade)?;
            self.of
                .store()
                .put(&name, &vec![body])
                .map_err(RepairError::Store)?;
            tracing::info!(object = %name, blocks = count, "wrote blocks again");
            written += count;
        }
        Ok(written)
    }

    /// Returns an object of these blocks, which ascend: those that were made again in their places,
    /// and all else as it is.
    fn body_of(
        &self,
        name: &ObjectName,
        blocks: &[SurveyedBlock],
        remade: &Remade,
    ) -> Result<Vec<u8>, RepairError> {
        let mut body: Vec<u8> = Vec::new();
        for SurveyedBlock { address, .. } in blocks {
            // Blocks below one that cannot be read were not looked at, and leave a gap.
            let gap = address.offset.0.saturating_sub(body.len() as u64);
            body.extend(self.as_it_is(name, body.len() as u64, gap)?);
            match remade.blocks.get(&address.number.0) {
                Some(sealed) => body.extend_from_slice(sealed),
                None => {
                    let length = address.length.into();
                    body.extend(self.as_it_is(name, address.offset.0, length)?);
                }
            }
        }
        Ok(body)
    }

    /// Reads bytes of an object; zeros where there are none.
    fn as_it_is(
        &self,
        name: &ObjectName,
        offset: u64,
        length: u64,
    ) -> Result<Vec<u8>, RepairError> {
        let length = usize::try_from(length).map_err(|_| RepairError::TooLong)?;
        match self.of.store().get_range(name, offset, length) {
            Ok(bytes) => Ok(bytes),
            Err(error) if error.kind().is_damage() => Ok(vec![0; length]),
            Err(error) => Err(RepairError::Store(error)),
        }
    }
}

/// Fails if a block could not be read as the store did not answer: that says nothing about what it
/// holds.
fn refuse_outage(fault: Option<&IndexError>) -> Result<(), RepairError> {
    let Some(error @ IndexError::Fetch { source, .. }) = fault else {
        return Ok(());
    };
    match source.downcast_ref::<store::Error>() {
        Some(cause) if !cause.kind().is_damage() => {
            Err(RepairError::Outage(Box::new(error.clone())))
        }
        _ => Ok(()),
    }
}
