//! What data of a backup is not needed, given what is.

use super::PruneError;
use super::check::is_damage;
use super::points::{Needed, Needs, Points};
use super::space::{Doomed, Objects, Part, Space};
use crate::catalog::names::{Folder, LevelOf};
use crate::catalog::stream::{self, RepackedError, Share, shares};
use crate::catalog::{Access, AccessError};
use crate::format::manifest::LevelParts;
use crate::model::{BackupName, LevelId, Ranges};
use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;

/// No frame but the last of a stream is shorter: where less than this is not needed at a time, all
/// segments are.
const LEAST_GAP_BYTES: u64 = 64 << 10;

/// Data that is not needed.
#[derive(Debug, Default)]
pub(super) struct Unneeded {
    /// Objects that some manifest named once.
    pub(super) doomed: Vec<Doomed>,
    /// Objects that nothing ever named: a repack that was cut off left them, and the next may use
    /// their names again.
    pub(super) leftovers: Vec<Doomed>,
    /// The bytes of all of them, …
    pub(super) bytes: u64,
    /// … by level.
    pub(super) by_level: BTreeMap<LevelId, u64>,
    /// Bytes of frames that are not needed, in segments that are.
    pub(super) among_needed: u64,
}

/// Where the stream of a level is.
#[derive(Clone, Debug)]
pub(super) struct Stream {
    pub(super) parts: LevelParts,
    /// Objects of the lane `frames` below this number are of frame tables that were superseded.
    first_table: u32,
}

/// Where the stream of a level is, and how much of each of its segments is needed.
pub(super) type Shares<'a> = (&'a Stream, &'a BTreeMap<u32, Share>);

/// Where the streams of levels are of which only a part is needed, and how much of each segment.
/// Remembers what it found.
#[derive(Debug, Default)]
pub(super) struct Streams {
    known: BTreeMap<LevelId, Stream>,
    shares: BTreeMap<LevelId, (Ranges, u32, BTreeMap<u32, Share>)>,
}

impl Streams {
    /// Finds what is not needed of what is there.
    pub(super) fn unneeded(
        &mut self,
        access: &Access,
        backup: &BackupName,
        (points, space, needed): (&Points, &Space, &Needed),
    ) -> Result<Unneeded, PruneError> {
        let mut unneeded = Unneeded::default();
        for (level, objects) in space.levels() {
            let before = unneeded.bytes;
            let mut whole = |part, bytes| {
                if bytes > 0 {
                    unneeded.bytes += bytes;
                    unneeded.doomed.push(Doomed::Part(level.clone(), part));
                }
            };
            if !needed.index(level) {
                whole(Part::Index, objects.index_bytes);
            }
            match needed.stream(level) {
                Needs::All => {}
                Needs::Some(live) if !live.is_empty() => {
                    self.of_level(
                        access,
                        backup,
                        (points, level, objects, live),
                        &mut unneeded,
                    )?;
                }
                Needs::Some(_) | Needs::Nothing => whole(Part::Stream, objects.stream_bytes()),
            }
            if unneeded.bytes > before {
                unneeded
                    .by_level
                    .insert(level.clone(), unneeded.bytes - before);
            }
        }
        Ok(unneeded)
    }

    /// Finds what is not needed of a level's stream when `live` is.
    fn of_level(
        &mut self,
        access: &Access,
        backup: &BackupName,
        (points, level, objects, live): (&Points, &LevelId, &Objects, &Ranges),
        unneeded: &mut Unneeded,
    ) -> Result<(), PruneError> {
        let Some((stream, shares)) = self.shares(access, backup, (points, level, objects, live))?
        else {
            return Ok(());
        };
        let (mut doomed, mut leftovers) = (BTreeSet::new(), BTreeSet::new());
        let mut add = |folder, number, length, was_named| {
            unneeded.bytes += length;
            let among = if was_named {
                &mut doomed
            } else {
                &mut leftovers
            };
            among.insert((folder, number));
        };
        for (segment, length) in &objects.segments {
            match shares.get(segment) {
                Some(share) if share.live > 0 => unneeded.among_needed += share.dead,
                _ => add(
                    Folder::Segments,
                    *segment,
                    *length,
                    *segment < stream.parts.segments,
                ),
            }
        }
        let tables = stream.first_table..stream.parts.frame_table_segments;
        for (number, length) in objects
            .tables
            .iter()
            .filter(|(number, _)| !tables.contains(*number))
        {
            add(Folder::Frames, *number, *length, *number < tables.end);
        }
        for (number, length) in objects.repacked.range(..stream.parts.repacked) {
            add(Folder::Repacked, *number, *length, true);
        }
        let of_level = |objects: BTreeSet<_>| {
            (!objects.is_empty()).then(|| Doomed::Some(level.clone(), objects))
        };
        unneeded.doomed.extend(of_level(doomed));
        unneeded.leftovers.extend(of_level(leftovers));
        Ok(())
    }

    /// Where the stream of a level is, and how much of each of its segments is needed; `None` when
    /// everything must stay: all of it is needed, or that cannot be found out.
    pub(super) fn shares(
        &mut self,
        access: &Access,
        backup: &BackupName,
        (points, level, objects, live): (&Points, &LevelId, &Objects, &Ranges),
    ) -> Result<Option<Shares<'_>>, PruneError> {
        let Some(stream) = self
            .stream(access, backup, (points, level, objects))?
            .cloned()
        else {
            return Ok(None);
        };
        let parts = &stream.parts;
        let is_plain = objects.repacked.is_empty()
            && objects
                .segments
                .keys()
                .all(|number| *number < parts.segments)
            && objects
                .tables
                .keys()
                .all(|number| *number < parts.frame_table_segments);
        if is_plain && live.longest_gap(&(0..parts.stream_bytes)) < LEAST_GAP_BYTES {
            return Ok(None);
        }
        if self
            .shares
            .get(level)
            .is_none_or(|(known, repacked, _)| (known, *repacked) != (live, parts.repacked))
        {
            match shares(access, backup, parts, live) {
                Ok(found) => {
                    self.shares
                        .insert(level.clone(), (live.clone(), parts.repacked, found));
                }
                Err(error) => {
                    tracing::warn!(%backup, %level, error = &error as &dyn Error, "its frame table cannot be read: all of its stream stays");
                    return Ok(None);
                }
            }
        }
        Ok(self
            .known
            .get(level)
            .zip(self.shares.get(level).map(|(.., shares)| shares)))
    }

    /// Where the stream of a level is, by the newest manifest that says so and what the level has
    /// besides.
    fn stream(
        &mut self,
        access: &Access,
        backup: &BackupName,
        (points, level, objects): (&Points, &LevelId, &Objects),
    ) -> Result<Option<&Stream>, PruneError> {
        if !self.known.contains_key(level) {
            let Some(newest) = points.newest_that_leans_on(level) else {
                return Ok(None);
            };
            match access.manifest(backup, newest) {
                Ok(manifest) => {
                    for parts in manifest.levels {
                        let parts = LevelParts {
                            live: None,
                            ..parts
                        };
                        self.known.entry(parts.id.clone()).or_insert(Stream {
                            parts,
                            first_table: 0,
                        });
                    }
                }
                Err(error @ AccessError::Manifest { .. }) => {
                    tracing::warn!(%backup, level = %newest, error = &error as &dyn Error, "its manifest cannot be read");
                }
                Err(source) => {
                    return Err(PruneError::Manifest {
                        level: newest.clone(),
                        source,
                    });
                }
            }
        }
        let (Some(stream), newest) = (
            self.known.get_mut(level),
            objects.repacked.keys().next_back(),
        ) else {
            return Ok(None);
        };
        match newest {
            Some(newest) if *newest > stream.parts.repacked || stream.first_table == 0 => {
                let of = LevelOf {
                    backup: backup.clone(),
                    level: level.clone(),
                };
                match stream::load(access.store().as_ref(), &access.opener(level), &of, *newest) {
                    Ok(repacked) => {
                        let parts = repacked.apply(stream.parts.clone());
                        *stream = Stream {
                            parts,
                            first_table: repacked.first_frame_table_segment,
                        };
                    }
                    Err(RepackedError::Store(error)) if !is_damage(&error) => {
                        return Err(PruneError::List(error));
                    }
                    Err(error) => {
                        let error = &error as &dyn Error;
                        tracing::warn!(%backup, %level, error, "where it was repacked to cannot be read: all of its stream stays");
                        return Ok(None);
                    }
                }
            }
            Some(_) => {}
            // What a manifest speaks of is lost.
            None if stream.parts.repacked > 0 => return Ok(None),
            None => {}
        }
        Ok(Some(stream))
    }
}
