//! Answers which levels have streams that are needed only in part, and how much of each of their
//! segments is needed.

use super::backup_in::BackupIn;
use super::error::PruneError;
use super::points::BackupPoints;
use super::space::DataObjects;
use crate::catalog::AccessError;
use crate::catalog::stream::{self, RepackedError, Share, shares};
use crate::format::manifest::LevelParts;
use crate::model::{LevelId, Ranges};
use std::collections::BTreeMap;
use std::error::Error;

/// No frame but the last of a stream is shorter. Where fewer bytes than this in a row are not
/// needed, every segment is needed.
const LEAST_GAP_BYTES: u64 = 64 << 10;

/// Where the stream of a level is.
#[derive(Clone, Debug)]
pub(super) struct StreamPlace {
    pub(super) parts: LevelParts,
    /// Objects of the lane `frames` below this number are of frame tables that were superseded.
    pub(super) first_table: u32,
}

/// A level of which only a part is needed.
#[derive(Clone, Copy)]
pub(super) struct PartlyNeeded<'run> {
    pub(super) level: &'run LevelId,
    pub(super) objects: &'run DataObjects,
    /// The bytes of its stream that are needed.
    pub(super) live: &'run Ranges,
}

/// Where the stream of a level is, and how much of each of its segments is needed.
pub(super) struct StreamShares<'streams> {
    pub(super) place: &'streams StreamPlace,
    /// By the numbers of the segments.
    pub(super) segments: &'streams BTreeMap<u32, Share>,
}

/// Finds streams of levels and the shares of their segments, and remembers both.
#[derive(Debug, Default)]
pub(super) struct LevelStreams {
    places: BTreeMap<LevelId, StreamPlace>,
    shares: BTreeMap<LevelId, RememberedShares>,
}

/// The shares of a level's segments, and what they were found by.
#[derive(Debug)]
struct RememberedShares {
    live: Ranges,
    repacked: u32,
    segments: BTreeMap<u32, Share>,
}

impl LevelStreams {
    /// Returns where the stream of a level is, and how much of each of its segments is needed;
    /// `None` when everything must stay: all of it is needed, or that cannot be found out.
    pub(super) fn shares(
        &mut self,
        of: BackupIn<'_>,
        points: &BackupPoints,
        wanted: PartlyNeeded<'_>,
    ) -> Result<Option<StreamShares<'_>>, PruneError> {
        let PartlyNeeded {
            level,
            objects,
            live,
        } = wanted;
        if !self.find(of, points, wanted)? {
            return Ok(None);
        }
        let Some(place) = self.places.get(level) else {
            return Ok(None);
        };
        let parts = &place.parts;
        if is_as_published(parts, objects)
            && live.longest_gap(&(0..parts.stream_bytes)) < LEAST_GAP_BYTES
        {
            return Ok(None);
        }
        let is_known = self
            .shares
            .get(level)
            .is_some_and(|known| known.live == *live && known.repacked == parts.repacked);
        if !is_known {
            match shares(of.access, of.backup, parts, live) {
                Ok(segments) => {
                    let found = RememberedShares {
                        live: live.clone(),
                        repacked: parts.repacked,
                        segments,
                    };
                    self.shares.insert(level.clone(), found);
                }
                Err(error) => {
                    tracing::warn!(
                        backup = %of.backup,
                        %level,
                        error = &error as &dyn Error,
                        "its frame table cannot be read: all of its stream stays"
                    );
                    return Ok(None);
                }
            }
        }
        let segments = self.shares.get(level).map(|shares| &shares.segments);
        Ok(segments.map(|segments| StreamShares { place, segments }))
    }

    /// Finds where the stream of a level is: by the newest manifest that names it, and by the
    /// records of repacks that the level has besides. Returns whether that is known.
    fn find(
        &mut self,
        of: BackupIn<'_>,
        points: &BackupPoints,
        wanted: PartlyNeeded<'_>,
    ) -> Result<bool, PruneError> {
        let level = wanted.level;
        if !self.places.contains_key(level) {
            match points.newest_that_leans_on(level) {
                Some(newest) => self.read_manifest(of, newest)?,
                None => return Ok(false),
            }
        }
        let Some(place) = self.places.get_mut(level) else {
            return Ok(false);
        };
        match wanted.objects.repacked.keys().next_back() {
            Some(newest) if *newest > place.parts.repacked || place.first_table == 0 => {
                match read_repacked(of, place, *newest)? {
                    Some(newer) => *place = newer,
                    None => return Ok(false),
                }
            }
            Some(_) => {}
            // The record of a repack that a manifest speaks of is lost.
            None if place.parts.repacked > 0 => return Ok(false),
            None => {}
        }
        Ok(true)
    }

    /// Learns from a manifest where the streams are that it names.
    fn read_manifest(&mut self, of: BackupIn<'_>, level: &LevelId) -> Result<(), PruneError> {
        match of.access.manifest(of.backup, level) {
            Ok(manifest) => {
                for parts in manifest.levels {
                    let parts = LevelParts {
                        live: None,
                        ..parts
                    };
                    self.places.entry(parts.id.clone()).or_insert(StreamPlace {
                        parts,
                        first_table: 0,
                    });
                }
                Ok(())
            }
            Err(error @ AccessError::Manifest { .. }) => {
                tracing::warn!(
                    backup = %of.backup,
                    %level,
                    error = &error as &dyn Error,
                    "its manifest cannot be read"
                );
                Ok(())
            }
            Err(source) => Err(PruneError::Manifest {
                level: level.clone(),
                source,
            }),
        }
    }
}

/// Returns whether a level has no object that its manifest does not name.
fn is_as_published(parts: &LevelParts, objects: &DataObjects) -> bool {
    objects.repacked.is_empty()
        && objects
            .segments
            .keys()
            .all(|number| *number < parts.segments)
        && objects
            .tables
            .keys()
            .all(|number| *number < parts.frame_table_segments)
}

/// Returns where a stream is since the `number`th repack of its level; `None` when the record of
/// that is damaged.
fn read_repacked(
    of: BackupIn<'_>,
    place: &StreamPlace,
    number: u32,
) -> Result<Option<StreamPlace>, PruneError> {
    let level = &place.parts.id;
    let opener = of.access.opener(level);
    match stream::load(of.store().as_ref(), &opener, &of.level(level), number) {
        Ok(repacked) => Ok(Some(StreamPlace {
            parts: repacked.apply(place.parts.clone()),
            first_table: repacked.first_frame_table_segment,
        })),
        Err(RepackedError::Store(error)) if !error.kind().is_damage() => {
            Err(PruneError::List(error))
        }
        Err(error) => {
            tracing::warn!(
                backup = %of.backup,
                %level,
                error = &error as &dyn Error,
                "the record of its repack cannot be read: all of its stream stays"
            );
            Ok(None)
        }
    }
}
