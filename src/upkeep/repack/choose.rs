//! Chooses the segments that are worth rewriting.

use crate::catalog::stream::Share;
use crate::format::manifest::LevelParts;
use crate::model::{LevelId, Ranges};
use crate::upkeep::backup_in::BackupIn;
use crate::upkeep::error::PruneError;
use crate::upkeep::inventory::Inventory;
use crate::upkeep::needed::{Needed, Needs};
use crate::upkeep::space::DataObjects;
use crate::upkeep::streams::{LevelStreams, PartlyNeeded, StreamShares};
use std::collections::{BTreeMap, BTreeSet};

/// A level is not repacked for less than this and the length of its frame table, as it gets a new
/// table.
const LEAST_WORTH_BYTES: u64 = 64 << 10;

/// Which segments are rewritten: those of which less than this share is needed, 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Below(pub f64);

impl Below {
    /// Returns whether so little of a segment is needed that it is rewritten. A segment of which
    /// nothing is needed goes as a whole, with a prune.
    fn holds(self, share: &Share) -> bool {
        let all = share.live.saturating_add(share.dead);
        share.live > 0 && share.dead > 0 && (share.live as f64) < self.0 * all as f64
    }
}

/// What a repack would do, or has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Repacking {
    /// Levels that have segments to rewrite.
    pub levels: u64,
    /// Segments that are rewritten.
    pub segments: u64,
    /// Bytes that are copied.
    pub copied_bytes: u64,
    /// Bytes that are in the old segments besides, and go with them.
    pub freed_bytes: u64,
    /// Segments that stay as they are, as something in them is damaged.
    pub damaged_segments: u64,
}

/// A level that is to be repacked, and its segments.
pub(super) struct LevelToRepack<'run> {
    pub(super) level: &'run LevelId,
    pub(super) objects: &'run DataObjects,
    /// The bytes of its stream that are needed.
    pub(super) live: &'run Ranges,
    pub(super) parts: LevelParts,
    /// The segments that are to be rewritten.
    pub(super) segments: BTreeMap<u32, Share>,
    /// All segments of which anything is needed.
    pub(super) needed: BTreeSet<u32>,
}

/// Chooses segments, and remembers between two calls where streams are and what is damaged.
pub(super) struct Chooser {
    below: Below,
    streams: LevelStreams,
    /// Segments that could not be read, with their levels.
    damaged: BTreeSet<(LevelId, u32)>,
}

impl Chooser {
    pub(super) fn new(below: Below) -> Self {
        Self {
            below,
            streams: LevelStreams::default(),
            damaged: BTreeSet::new(),
        }
    }

    /// Never chooses these segments again.
    pub(super) fn leave_out(&mut self, damaged: Vec<(LevelId, u32)>) {
        self.damaged.extend(damaged);
    }

    /// Calls `found` for each level with segments to rewrite, until about `most_bytes` are needed
    /// in them.
    pub(super) fn choose(
        &mut self,
        of: BackupIn<'_>,
        most_bytes: u64,
        found: &mut dyn FnMut(LevelToRepack<'_>) -> Result<(), PruneError>,
    ) -> Result<Repacking, PruneError> {
        let inventory = Inventory::read(of)?;
        let needed = Needed::by(&inventory.points, |_| true);
        let mut all = Repacking::default();
        for (level, objects) in inventory.space.levels() {
            let Needs::Some(live) = needed.stream(level) else {
                continue;
            };
            if live.is_empty() || all.copied_bytes >= most_bytes {
                continue;
            }
            let wanted = PartlyNeeded {
                level,
                objects,
                live,
            };
            let Some(shares) = self.streams.shares(of, &inventory.points, wanted)? else {
                continue;
            };
            let picked = Picked::of(
                wanted,
                &shares,
                self.below,
                &self.damaged,
                most_bytes - all.copied_bytes,
            );
            if !picked.is_worth_it(objects) {
                continue;
            }
            all.levels += 1;
            all.segments += picked.segments.len() as u64;
            all.copied_bytes += picked.copied_bytes;
            all.freed_bytes += picked.freed_bytes;
            found(LevelToRepack {
                level,
                objects,
                live,
                parts: shares.place.parts.clone(),
                segments: picked.segments,
                needed: shares
                    .segments
                    .iter()
                    .filter(|(_, share)| share.live > 0)
                    .map(|(segment, _)| *segment)
                    .collect(),
            })?;
        }
        Ok(all)
    }
}

/// The segments of one level that are below the bound.
#[derive(Default)]
struct Picked {
    segments: BTreeMap<u32, Share>,
    copied_bytes: u64,
    freed_bytes: u64,
}

impl Picked {
    /// Picks segments until about `most_bytes` are needed in them.
    fn of(
        wanted: PartlyNeeded<'_>,
        shares: &StreamShares<'_>,
        below: Below,
        damaged: &BTreeSet<(LevelId, u32)>,
        most_bytes: u64,
    ) -> Self {
        let mut picked = Self::default();
        for (segment, share) in shares.segments {
            let is_sound = wanted.objects.segments.contains_key(segment)
                && !damaged.contains(&(wanted.level.clone(), *segment));
            if is_sound && below.holds(share) && picked.copied_bytes < most_bytes {
                picked.copied_bytes += share.live;
                picked.freed_bytes += share.dead;
                picked.segments.insert(*segment, *share);
            }
        }
        picked
    }

    /// Returns whether more bytes come back than the level's new frame table takes.
    fn is_worth_it(&self, objects: &DataObjects) -> bool {
        let tables: u64 = objects.tables.values().sum();
        self.freed_bytes >= tables.saturating_add(LEAST_WORTH_BYTES)
    }
}
