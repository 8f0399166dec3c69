//! Writes blocks of an index or a frame table again that cannot be read any more, where it is known
//! for sure what was in them.
//!
//! A block is known by its place, which whoever leans on it names, so it is written to the same
//! place or not at all: its raw bytes are made again and sealed, and must come out as long as they
//! were. What else the object holds is copied as it is.

use super::check::is_damage;
use super::repair::RepairError;
use crate::catalog::names::{self, Folder};
use crate::catalog::{Access, Blocks};
use crate::format::frame::{Compression, Encoder, HEADER_BYTES, Lane, SealedOutline, Sealer};
use crate::format::manifest::{LevelParts, RootNode, Run};
use crate::index::{
    BlockCache, FrameRow, FrameTable, IndexError, RunRoot, SurveyedBlock, leaf_of, survey_blocks,
};
use crate::model::{BackupName, FrameNo, LevelId, SegmentOffset, StreamOffset};
use crate::store::{self, Store, StoreExt};
use std::collections::BTreeMap;
use std::sync::Arc;

/// How blocks are compressed. Were it another way, they would not fit their places.
const BLOCK_COMPRESSION: Compression = Compression::Zstd;

/// What became of blocks that could not be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mended {
    /// Written again.
    pub mended: u64,
    /// Left as they are: nothing says for sure what was in them.
    pub left: u64,
}

/// The level whose blocks are looked at.
pub(super) struct Mender<'run> {
    pub(super) access: &'run Access,
    pub(super) backup: &'run BackupName,
    pub(super) level: &'run LevelId,
}

impl Mender<'_> {
    /// Mends blocks of a run of the index. The manifest has some of them as well.
    pub(super) fn index(&self, run: &Run) -> Result<Mended, RepairError> {
        self.lane(Lane::Index, Folder::Index, &run.root, |block| {
            let kept = run
                .head
                .iter()
                .find(|kept| kept.number == block.address.number.0);
            Ok(kept.map(|kept| kept.node.clone()))
        })
    }

    /// Mends blocks of a frame table: the headers of the frames say what stood in it. Frames
    /// without headers do not, and their checksums are nowhere else.
    pub(super) fn frame_table(&self, parts: &LevelParts) -> Result<Mended, RepairError> {
        let mut rows = None;
        self.lane(
            Lane::FrameTable,
            Folder::Frames,
            &parts.frame_table,
            |block| {
                // In the segments of a level that was repacked frames do not follow each other as
                // in the table.
                if block.height > 0 || parts.repacked > 0 {
                    return Ok(None);
                }
                let rows = match &mut rows {
                    Some(rows) => rows,
                    none => none.insert(Rows::new(self, parts)?),
                };
                Ok(rows.of(block)?.map(|rows| leaf_of(&rows)))
            },
        )
    }

    /// `raw` gives what should be in a block that cannot be read. Blocks come in the order of the
    /// run.
    fn lane(
        &self,
        lane: Lane,
        folder: Folder,
        root: &RootNode,
        mut raw: impl FnMut(&SurveyedBlock) -> Result<Option<Vec<u8>>, RepairError>,
    ) -> Result<Mended, RepairError> {
        let source = Arc::new(Blocks::new(self.access, self.backup, self.level, lane).ahead());
        let mut objects: BTreeMap<u32, Vec<SurveyedBlock>> = BTreeMap::new();
        let mut order = Vec::new();
        let surveyed = survey_blocks(root_of(root), source, &mut |block| {
            if block.fault.is_some() {
                order.push(block.clone());
            }
            objects.entry(block.address.object).or_default().push(block);
        });
        // That the root is malformed is told by the check.
        if surveyed.is_err() || order.is_empty() {
            return Ok(Mended::default());
        }
        let sealer = Sealer::new(
            self.access.store_id(),
            self.level.clone(),
            self.access.protection(),
        );
        let mut encoder = Encoder::new(BLOCK_COMPRESSION, BLOCK_COMPRESSION.default_level())
            .map_err(RepairError::Frame)?;
        let mut made: BTreeMap<u64, Vec<u8>> = BTreeMap::new();
        let mut mended = Mended::default();
        for block in order {
            refuse_outage(block.fault.as_ref())?;
            let Some(raw) = raw(&block)? else {
                mended.left += 1;
                continue;
            };
            let sealed = sealer
                .seal(&mut encoder, lane, block.address.number, &raw)
                .map_err(RepairError::Frame)?;
            if sealed.len() as u64 == u64::from(block.address.length) {
                made.insert(block.address.number.0, sealed);
            } else {
                mended.left += 1;
            }
        }
        for (object, mut blocks) in objects {
            let count = blocks
                .iter()
                .filter(|block| made.contains_key(&block.address.number.0))
                .count() as u64;
            if count == 0 {
                continue;
            }
            blocks.sort_by_key(|block| block.address.offset.0);
            let name = names::data_name(self.backup, self.level, folder, object);
            let mut body: Vec<u8> = Vec::new();
            for SurveyedBlock { address, .. } in &blocks {
                // What lies below a block that cannot be read leaves a gap.
                let gap = address.offset.0.saturating_sub(body.len() as u64);
                body.extend(self.as_it_is(&name, body.len() as u64, gap)?);
                match made.get(&address.number.0) {
                    Some(sealed) => body.extend_from_slice(sealed),
                    None => body.extend(self.as_it_is(
                        &name,
                        address.offset.0,
                        address.length.into(),
                    )?),
                }
            }
            self.access
                .store()
                .put(&name, &vec![body])
                .map_err(RepairError::Store)?;
            tracing::info!(object = %name, blocks = count, "wrote blocks again");
            mended.mended += count;
        }
        Ok(mended)
    }

    /// Bytes of an object; zeros where there are none.
    fn as_it_is(
        &self,
        name: &store::ObjectName,
        offset: u64,
        length: u64,
    ) -> Result<Vec<u8>, RepairError> {
        let length = usize::try_from(length).map_err(|_| RepairError::TooLong)?;
        match self.access.store().get_range(name, offset, length) {
            Ok(bytes) => Ok(bytes),
            Err(error) if is_damage(&error) => Ok(vec![0; length]),
            Err(error) => Err(RepairError::Store(error)),
        }
    }
}

fn root_of(root: &RootNode) -> RunRoot {
    RunRoot {
        node: root.node.clone(),
        height: root.height,
        entries: root.entries,
    }
}

/// A store that does not answer says nothing of what it holds.
fn refuse_outage(fault: Option<&IndexError>) -> Result<(), RepairError> {
    let Some(error @ IndexError::Fetch { source, .. }) = fault else {
        return Ok(());
    };
    match source.downcast_ref::<store::Error>() {
        Some(cause) if !is_damage(cause) => Err(RepairError::Outage(Box::new(error.clone()))),
        _ => Ok(()),
    }
}

/// Rows of a frame table as the segments tell them.
struct Rows<'run> {
    mender: &'run Mender<'run>,
    parts: &'run LevelParts,
    table: FrameTable,
    /// Lengths of the segments that are there.
    lengths: BTreeMap<u32, u64>,
    /// The last row that was made again.
    last: Option<FrameRow>,
}

impl<'run> Rows<'run> {
    fn new(mender: &'run Mender<'run>, parts: &'run LevelParts) -> Result<Self, RepairError> {
        let blocks = Blocks::new(mender.access, mender.backup, mender.level, Lane::FrameTable);
        let table = FrameTable::open(
            root_of(&parts.frame_table),
            Arc::new(blocks),
            BlockCache::new(1 << 20),
        )
        .map_err(RepairError::Index)?;
        let mut lengths = BTreeMap::new();
        let listed = mender.access.store().list(
            &names::level_prefix(mender.backup, mender.level),
            &mut |object| {
                if let Some(names::Meaning::Data {
                    folder: Folder::Segments,
                    number,
                    ..
                }) = names::meaning(&object.name)
                {
                    lengths.insert(number, object.length);
                }
                true
            },
        );
        listed.map_err(RepairError::Store)?;
        Ok(Self {
            mender,
            parts,
            table,
            lengths,
            last: None,
        })
    }

    /// Those of a leaf, if the headers say what they are and it fits what is known on both sides.
    fn of(&mut self, leaf: &SurveyedBlock) -> Result<Option<Vec<FrameRow>>, RepairError> {
        let Some(mut place) = self.before(leaf.first) else {
            return Ok(None);
        };
        let mut rows = Vec::new();
        for number in leaf.first..leaf.first.saturating_add(leaf.entries) {
            let Some(row) = self.row(FrameNo(number), place)? else {
                return Ok(None);
            };
            place = after(&row);
            rows.push(row);
        }
        let next = leaf.first.saturating_add(leaf.entries);
        let fits = match self.table.row(next) {
            Ok(Some(next)) => {
                next.start == place.start
                    && self.place_of_next(place) == Some((next.segment, next.offset))
            }
            Ok(None) => place.start.0 == self.parts.stream_bytes,
            // The leaf after this one is to be made again too, and must fit what comes after it.
            Err(_) => true,
        };
        self.last = rows.last().copied().filter(|_| fits);
        Ok(fits.then_some(rows))
    }

    /// Where the frame of this number is to be looked for.
    fn before(&self, number: u64) -> Option<Place> {
        let Some(before) = number.checked_sub(1) else {
            return Some(Place {
                start: StreamOffset(0),
                segment: 0,
                offset: SegmentOffset(0),
            });
        };
        let made = self.last.filter(|row| row.number.0 == before);
        made.or_else(|| self.table.row(before).ok()?)
            .as_ref()
            .map(after)
    }

    /// The segment and the offset in it of what comes after a place: the next segment, where this
    /// one ends there.
    fn place_of_next(&self, place: Place) -> Option<(u32, SegmentOffset)> {
        if self
            .lengths
            .get(&place.segment)
            .is_some_and(|length| *length == place.offset.0)
        {
            Some((place.segment.checked_add(1)?, SegmentOffset(0)))
        } else {
            Some((place.segment, place.offset))
        }
    }

    fn row(&self, number: FrameNo, place: Place) -> Result<Option<FrameRow>, RepairError> {
        let Some((segment, offset)) = self.place_of_next(place) else {
            return Ok(None);
        };
        let Some(length) = self.lengths.get(&segment) else {
            return Ok(None);
        };
        let name = names::data_name(
            self.mender.backup,
            self.mender.level,
            Folder::Segments,
            segment,
        );
        let header = match self
            .mender
            .access
            .store()
            .get_range(&name, offset.0, HEADER_BYTES)
        {
            Ok(header) => header,
            Err(error) if is_damage(&error) => return Ok(None),
            Err(error) => return Err(RepairError::Store(error)),
        };
        let outline = header
            .first_chunk()
            .and_then(SealedOutline::read)
            .filter(|outline| outline.number == number);
        Ok(outline
            .filter(|outline| {
                offset
                    .0
                    .checked_add(outline.stored_length.into())
                    .is_some_and(|end| end <= *length)
            })
            .map(|outline| FrameRow {
                number,
                start: place.start,
                raw_length: outline.raw_length,
                segment,
                offset,
                stored_length: outline.stored_length,
                checksum: None,
            }))
    }
}

/// Where a frame begins, or ends.
#[derive(Clone, Copy)]
struct Place {
    start: StreamOffset,
    segment: u32,
    offset: SegmentOffset,
}

fn after(row: &FrameRow) -> Place {
    let offset = SegmentOffset(row.offset.0.saturating_add(row.stored_length.into()));
    Place {
        start: row.end(),
        segment: row.segment,
        offset,
    }
}
