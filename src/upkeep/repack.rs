//! Puts what is still needed of levels' streams into segments of their own, where most of a segment
//! is not needed any more.
//!
//! Frames are copied as they are stored: nothing is decompressed or decrypted, only authenticated.
//! Then the level gets a new frame table. No manifest changes: an object beside the segments
//! supersedes the table that manifests name, and who misses an object of a level looks for it.
//!
//! Why no reader and no later run ever misses what it needs, wherever this is cut off:
//!
//! 1. What supersedes a table is stored last, when all that it names is there. Until then nothing
//!    refers to the new objects.
//! 2. Nothing is removed here. A prune removes what the newest table does not name; a note keeps
//!    that for the grace, as what a prune withdraws, so a reader of an earlier table goes on. One
//!    that comes later misses an object, and finds the newest table.
//! 3. All this happens with the backup's lock, so no run is under way that could miss a segment,
//!    and no other prune or repack. What is copied is what the manifests of that moment need: later
//!    ones need no more (see [`super::prune`]).
//! 4. New objects get numbers above all that were ever used. Those that a cut-off repack left may
//!    be used again: they are removed with the lock alone.

use super::PruneError;
use super::check::is_damage;
use super::points::{Needs, Points};
use super::space::{Objects, Space};
use super::unneeded::Streams;
use super::withdrawn;
use crate::catalog::names::{Folder, LevelOf};
use crate::catalog::stream::{Share, is_live, open_frame_table};
use crate::catalog::{Access, Held};
use crate::format::frame::{Compression, Encoder, Lane, Opener, Sealer};
use crate::format::manifest::{LevelParts, RootNode};
use crate::format::repacked::Repacked;
use crate::format::segment::{MIN_SEGMENT_BYTES, Packer, Pieces, Segment, TooManySegments};
use crate::index::{BlockAddress, BlockSink, FrameRow, FrameTableWriter, IndexError, RunRoot};
use crate::model::{BackupName, Cancel, FrameNo, Interrupted, LevelId, Ranges, SegmentOffset};
use crate::store::{self, Store};
use crossbeam_channel::{Sender, bounded};
use jiff::{SignedDuration, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::sync::Arc;
use std::thread;

/// So much is copied at a time, in bytes: backups wait meanwhile.
const AT_A_TIME_BYTES: u64 = 1 << 30;

/// A level is not repacked for less than this, and the length of its frame table: it gets a new
/// one.
const LEAST_WORTH_BYTES: u64 = 64 << 10;

/// Most bytes of neighbouring frames that are fetched at once.
const BATCH_BYTES: u64 = 4 << 20;

/// Objects of frame tables are this long at most.
const TABLE_OBJECT_BYTES: u64 = 4 << 20;

/// Blocks of the table of a level's `n`th repack are numbered from `n` times this: no two blocks of
/// a level have one number.
const BLOCKS_OF_A_TABLE: u64 = 1 << 32;

/// Which segments are rewritten.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Below(pub f64);

impl Below {
    /// Whether so little of a segment is needed that it is rewritten. One of which nothing is
    /// needed goes as a whole, with a prune.
    fn holds(self, share: &Share) -> bool {
        let all = share.live.saturating_add(share.dead);
        share.live > 0 && share.dead > 0 && (share.live as f64) < self.0 * all as f64
    }
}

/// What a repack would do, or has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Repacking {
    /// Levels that have such segments.
    pub levels: u64,
    /// How many segments are rewritten.
    pub segments: u64,
    /// Bytes that are copied.
    pub copied_bytes: u64,
    /// Bytes that are in the old segments besides, and go with them.
    pub freed_bytes: u64,
    /// Segments that stay as they are, as something in them is damaged.
    pub damaged_segments: u64,
}

/// A level that is to be repacked, and the segments.
struct Chosen<'a> {
    level: &'a LevelId,
    objects: &'a Objects,
    live: &'a Ranges,
    parts: LevelParts,
    segments: BTreeMap<u32, Share>,
    /// The segments that have anything that is needed.
    needed: BTreeSet<u32>,
}

/// Finds out what a repack would do. Changes nothing.
///
/// # Errors
///
/// [`PruneError`].
pub fn plan_repack(
    access: &Access,
    backup: &BackupName,
    below: Below,
) -> Result<Repacking, PruneError> {
    Repack::new(below).look(access, backup, u64::MAX, &mut |_| Ok(()))
}

/// A repack, which takes several steps where there is much to copy.
pub struct Repack {
    below: Below,
    streams: Streams,
    /// Segments that could not be read.
    damaged: BTreeSet<(LevelId, u32)>,
    done: Repacking,
    levels: BTreeSet<LevelId>,
}

impl Repack {
    /// Begins one.
    pub fn new(below: Below) -> Self {
        Self {
            below,
            streams: Streams::default(),
            damaged: BTreeSet::new(),
            done: Repacking::default(),
            levels: BTreeSet::new(),
        }
    }

    /// Rewrites about a gigabyte of segments. The caller has the backup's lock, and calls this
    /// until it says that there is no more.
    ///
    /// # Errors
    ///
    /// [`PruneError`]: what was done stands, and nothing that is needed is missing.
    pub fn step(
        &mut self,
        access: &Access,
        backup: &BackupName,
        held: &Held<'_>,
        (now, grace): (Timestamp, SignedDuration),
        cancel: &Cancel,
    ) -> Result<bool, PruneError> {
        let mut rewritten = Vec::new();
        let (mut damaged, mut left) = (Vec::new(), Share::default());
        let looked = self.look(access, backup, AT_A_TIME_BYTES, &mut |chosen| {
            let of = LevelOf {
                backup: backup.clone(),
                level: chosen.level.clone(),
            };
            let rewrite = Rewrite {
                access,
                of: &of,
                opener: access.opener(chosen.level),
                cancel,
            };
            let (repacked, lost) = rewrite.level(&chosen)?;
            for share in lost
                .iter()
                .filter_map(|segment| chosen.segments.get(segment))
            {
                left = Share {
                    live: left.live + share.live,
                    dead: left.dead + share.dead,
                };
            }
            damaged.extend(
                lost.into_iter()
                    .map(|segment| (chosen.level.clone(), segment)),
            );
            rewritten.extend(repacked.map(|repacked| (of, repacked)));
            Ok(())
        })?;
        held.check().map_err(PruneError::Lock)?;
        if !rewritten.is_empty() && grace > SignedDuration::ZERO {
            let id = LevelId::new(now, getrandom::u32().map_err(PruneError::Random)?);
            let levels = rewritten.iter().map(|(of, _)| of.level.clone()).collect();
            withdrawn::store(access, backup, &id, &levels).map_err(PruneError::Withdraw)?;
        }
        for (of, repacked) in rewritten {
            let sealer = Sealer::new(access.store_id(), of.level.clone(), access.protection());
            let sealed = repacked.seal(&sealer).map_err(PruneError::Seal)?;
            let name = of.data_name(Folder::Repacked, repacked.number);
            access
                .store()
                .put(&name, &vec![sealed])
                .map_err(PruneError::Store)?;
            tracing::info!(%backup, level = %of.level, number = repacked.number, "repacked");
            self.levels.insert(of.level);
        }
        self.done.levels = self.levels.len() as u64;
        self.done.segments += looked.segments - damaged.len() as u64;
        self.done.copied_bytes += looked.copied_bytes - left.live;
        self.done.freed_bytes += looked.freed_bytes - left.dead;
        self.done.damaged_segments += damaged.len() as u64;
        self.damaged.extend(damaged);
        Ok(looked.segments > 0)
    }

    /// What was done so far.
    pub fn done(&self) -> Repacking {
        self.done
    }

    /// Finds segments to rewrite, of no more than about `most_bytes` that are needed in them.
    fn look(
        &mut self,
        access: &Access,
        backup: &BackupName,
        most_bytes: u64,
        found: &mut dyn FnMut(Chosen<'_>) -> Result<(), PruneError>,
    ) -> Result<Repacking, PruneError> {
        let space = Space::read(access, backup).map_err(PruneError::List)?;
        let points = Points::read(access, backup)?;
        let needed = points.needed(|_| true);
        let mut all = Repacking::default();
        for (level, objects) in space.levels() {
            let Needs::Some(live) = needed.stream(level) else {
                continue;
            };
            if live.is_empty() || all.copied_bytes >= most_bytes {
                continue;
            }
            let Some((stream, shares)) =
                self.streams
                    .shares(access, backup, (&points, level, objects, live))?
            else {
                continue;
            };
            let mut segments = BTreeMap::new();
            let mut freed_bytes = 0;
            for (segment, share) in shares {
                let is_sound = objects.segments.contains_key(segment)
                    && !self.damaged.contains(&(level.clone(), *segment));
                if is_sound && self.below.holds(share) && all.copied_bytes < most_bytes {
                    all.copied_bytes += share.live;
                    freed_bytes += share.dead;
                    segments.insert(*segment, *share);
                }
            }
            if freed_bytes
                < objects
                    .tables
                    .values()
                    .sum::<u64>()
                    .saturating_add(LEAST_WORTH_BYTES)
            {
                all.copied_bytes -= segments.values().map(|share| share.live).sum::<u64>();
                continue;
            }
            all.levels += 1;
            all.segments += segments.len() as u64;
            all.freed_bytes += freed_bytes;
            let needed = shares
                .iter()
                .filter(|(_, share)| share.live > 0)
                .map(|(segment, _)| *segment)
                .collect();
            found(Chosen {
                level,
                objects,
                live,
                parts: stream.parts.clone(),
                segments,
                needed,
            })?;
        }
        Ok(all)
    }
}

/// Rewrites segments of one level.
struct Rewrite<'run> {
    access: &'run Access,
    of: &'run LevelOf,
    opener: Opener,
    cancel: &'run Cancel,
}

/// All that is needed of a segment, as it is stored, or that it could not be read.
type Copied = Result<Vec<(FrameRow, Vec<u8>)>, u32>;

/// What was copied.
struct Copies {
    /// Where each frame is now.
    places: BTreeMap<FrameNo, (u32, SegmentOffset)>,
    /// One more than the last number of a segment.
    end: u32,
    /// Segments that could not be read.
    lost: Vec<u32>,
}

impl Rewrite<'_> {
    /// Copies what is needed of the chosen segments, and writes a frame table. Returns what
    /// supersedes the old one, and the segments that could not be read: they stay.
    fn level(&self, chosen: &Chosen<'_>) -> Result<(Option<Repacked>, Vec<u32>), PruneError> {
        let table_failed = |source| PruneError::Table {
            level: chosen.level.clone(),
            source,
        };
        let table =
            open_frame_table(self.access, &self.of.backup, &chosen.parts).map_err(table_failed)?;
        let mut wanted: BTreeMap<u32, Vec<FrameRow>> = BTreeMap::new();
        for row in table.rows() {
            let row = row.map_err(table_failed)?;
            if chosen.segments.contains_key(&row.segment) && is_live(&row, chosen.live) {
                wanted.entry(row.segment).or_default().push(row);
            }
        }
        let beyond = |listed: &BTreeMap<u32, u64>, bound: u32| {
            listed
                .keys()
                .next_back()
                .map_or(0, |last| last.saturating_add(1))
                .max(bound)
        };
        let first_segment = beyond(&chosen.objects.segments, chosen.parts.segments);
        let Copies {
            places,
            end: segments,
            lost,
        } = self.copy(chosen, wanted, first_segment)?;
        if places.is_empty() {
            return Ok((None, lost));
        }
        let first_table = beyond(&chosen.objects.tables, chosen.parts.frame_table_segments);
        let number = chosen
            .objects
            .repacked
            .keys()
            .next_back()
            .copied()
            .unwrap_or(0)
            .max(chosen.parts.repacked);
        let number = number
            .checked_add(1)
            .ok_or(PruneError::Segments(TooManySegments))?;
        let mut blocks = TableBlocks::new(self.access, self.of, number, first_table)?;
        let mut writer = FrameTableWriter::new();
        for row in table.rows() {
            let row = row.map_err(table_failed)?;
            let row = match places.get(&row.number) {
                Some((segment, offset)) => FrameRow {
                    segment: *segment,
                    offset: *offset,
                    ..row
                },
                // All frames of a segment that stays are in the table; of others, those that are
                // needed and cannot be had.
                None if chosen.needed.contains(&row.segment)
                    && (!chosen.segments.contains_key(&row.segment)
                        || lost.contains(&row.segment)) =>
                {
                    row
                }
                None => continue,
            };
            writer.push_later(&row, &mut blocks).map_err(table_failed)?;
        }
        let RunRoot {
            node,
            height,
            entries,
        } = writer.finish(&mut blocks).map_err(table_failed)?;
        let frame_table_segments = blocks.finish()?;
        let parts = LevelParts {
            segments,
            frame_table: RootNode {
                node,
                height,
                entries,
            },
            frame_table_segments,
            repacked: number,
            ..chosen.parts.clone()
        };
        let repacked = Repacked::of(&parts, first_table);
        Ok((Some(repacked), lost))
    }

    /// Copies frames into new segments from `first` on.
    fn copy(
        &self,
        chosen: &Chosen<'_>,
        wanted: BTreeMap<u32, Vec<FrameRow>>,
        first: u32,
    ) -> Result<Copies, PruneError> {
        let limit = chosen
            .objects
            .segments
            .values()
            .copied()
            .max()
            .unwrap_or(0)
            .max(MIN_SEGMENT_BYTES);
        let compression = chosen.parts.compression;
        let (sender, fetched) = bounded::<Result<Copied, store::Error>>(0);
        thread::scope(|scope| {
            scope.spawn(move || self.fetch(wanted, compression, &sender));
            let pieces = Pieces::default();
            let mut packer = Packer::new(limit).of_pieces(pieces.clone());
            let (mut places, mut lost) = (BTreeMap::new(), Vec::new());
            for copied in fetched {
                if self.cancel.is_requested() {
                    return Err(PruneError::Interrupted(Interrupted));
                }
                let frames = match copied.map_err(PruneError::List)? {
                    Ok(frames) => frames,
                    Err(segment) => {
                        lost.push(segment);
                        continue;
                    }
                };
                for (row, stored) in frames {
                    let (place, full) = packer.put(&stored).map_err(PruneError::Segments)?;
                    let segment = first
                        .checked_add(place.segment)
                        .ok_or(PruneError::Segments(TooManySegments))?;
                    places.insert(row.number, (segment, place.offset));
                    self.put(first, full, &pieces)?;
                }
            }
            let (last, count) = packer.finish();
            self.put(first, last, &pieces)?;
            let end = first
                .checked_add(count)
                .ok_or(PruneError::Segments(TooManySegments))?;
            Ok(Copies { places, end, lost })
        })
    }

    fn put(&self, first: u32, segment: Option<Segment>, pieces: &Pieces) -> Result<(), PruneError> {
        let Some(Segment { number, body }) = segment else {
            return Ok(());
        };
        let name = self
            .of
            .data_name(Folder::Segments, first.saturating_add(number));
        self.access
            .store()
            .put(&name, &body)
            .map_err(PruneError::Store)?;
        pieces.give_back(body);
        Ok(())
    }

    /// Fetches and authenticates all that is wanted, segment after segment, ahead of who stores it.
    fn fetch(
        &self,
        wanted: BTreeMap<u32, Vec<FrameRow>>,
        compression: Compression,
        sender: &Sender<Result<Copied, store::Error>>,
    ) {
        for (segment, rows) in wanted {
            let fetched = match self.fetch_segment(segment, rows, compression) {
                Err(error) if is_damage(&error) => {
                    tracing::warn!(level = %self.of.level, segment, error = &error as &dyn Error, "it cannot be read, and stays as it is");
                    Ok(Err(segment))
                }
                other => other,
            };
            // Who stores them has failed, or was asked to stop.
            if sender.send(fetched).is_err() || self.cancel.is_requested() {
                return;
            }
        }
    }

    fn fetch_segment(
        &self,
        segment: u32,
        rows: Vec<FrameRow>,
        compression: Compression,
    ) -> Result<Copied, store::Error> {
        let store = self.access.store();
        let name = self.of.data_name(Folder::Segments, segment);
        let mut frames = Vec::with_capacity(rows.len());
        let mut rest = rows.as_slice();
        while let Some(first) = rest.first() {
            let mut length = 0_u64;
            let mut count = 0;
            for row in rest {
                let follows = first.offset.0.checked_add(length) == Some(row.offset.0);
                if count > 0 && (!follows || length + u64::from(row.stored_length) > BATCH_BYTES) {
                    break;
                }
                length += u64::from(row.stored_length);
                count += 1;
            }
            let (batch, later) = rest.split_at(count);
            rest = later;
            let bytes = store.get_range(
                &name,
                first.offset.0,
                usize::try_from(length).unwrap_or(usize::MAX),
            )?;
            let mut from = 0;
            for row in batch {
                let end = from + row.stored_length as usize;
                let stored = bytes.get(from..end).unwrap_or_default().to_vec();
                from = end;
                let bare = row.checksum.map(|checksum| (compression, checksum));
                if let Err(error) =
                    self.opener
                        .verify_data((row.number, row.raw_length), bare, &stored)
                {
                    tracing::warn!(object = %name, error = &error as &dyn Error, "it is damaged, and its segment stays as it is");
                    return Ok(Err(segment));
                }
                frames.push((*row, stored));
            }
        }
        Ok(Ok(frames))
    }
}

/// Where the blocks of a new frame table go.
struct TableBlocks<'run> {
    store: Arc<dyn Store>,
    of: &'run LevelOf,
    sealer: Sealer,
    encoder: Encoder,
    packer: Packer,
    first_object: u32,
    next: FrameNo,
}

impl<'run> TableBlocks<'run> {
    fn new(
        access: &Access,
        of: &'run LevelOf,
        number: u32,
        first_object: u32,
    ) -> Result<Self, PruneError> {
        Ok(Self {
            store: access.store(),
            of,
            sealer: Sealer::new(access.store_id(), of.level.clone(), access.protection()),
            encoder: Encoder::new(Compression::Zstd, Compression::Zstd.default_level())
                .map_err(PruneError::Frame)?,
            packer: Packer::new(TABLE_OBJECT_BYTES),
            first_object,
            next: FrameNo(u64::from(number) * BLOCKS_OF_A_TABLE),
        })
    }

    fn put(&self, segment: Segment) -> Result<(), store::Error> {
        let name = self.of.data_name(
            Folder::Frames,
            self.first_object.saturating_add(segment.number),
        );
        self.store.put(&name, &segment.body)
    }

    /// Stores the last object; returns one more than its number.
    fn finish(mut self) -> Result<u32, PruneError> {
        let packer = std::mem::replace(&mut self.packer, Packer::new(0));
        let (last, count) = packer.finish();
        last.map_or(Ok(()), |segment| self.put(segment))
            .map_err(PruneError::Store)?;
        self.first_object
            .checked_add(count)
            .ok_or(PruneError::Segments(TooManySegments))
    }
}

impl BlockSink for TableBlocks<'_> {
    fn append(&mut self, raw: &[u8]) -> Result<BlockAddress, IndexError> {
        let number = self.next;
        self.next.0 += 1;
        let sealed = self
            .sealer
            .seal(&mut self.encoder, Lane::FrameTable, number, raw)
            .map_err(IndexError::store)?;
        let length = u32::try_from(sealed.len()).map_err(IndexError::store)?;
        let (place, full) = self.packer.put(&sealed).map_err(IndexError::store)?;
        full.map_or(Ok(()), |segment| self.put(segment))
            .map_err(IndexError::store)?;
        let object = self
            .first_object
            .checked_add(place.segment)
            .ok_or(TooManySegments)
            .map_err(IndexError::store)?;
        Ok(BlockAddress {
            number,
            object,
            offset: place.offset,
            length,
        })
    }
}
