//! Copies frames into new segments, fetching ahead of storing.

use super::choose::LevelToRepack;
use crate::catalog::names::{Folder, LevelOf};
use crate::format::frame::{Compression, Opener};
use crate::format::segment::{MIN_SEGMENT_BYTES, Packer, Pieces, Segment, TooManySegments};
use crate::index::FrameRow;
use crate::model::{Cancel, FrameNo, Interrupted, SegmentOffset};
use crate::store::{self, Store};
use crate::upkeep::backup_in::BackupIn;
use crate::upkeep::error::PruneError;
use crate::upkeep::frames_at_once::AdjacentFrames;
use crossbeam_channel::{Sender, bounded};
use std::collections::BTreeMap;
use std::error::Error;
use std::thread;

/// Where a frame lies.
#[derive(Clone, Copy)]
pub(super) struct NewPlace {
    pub(super) segment: u32,
    pub(super) offset: SegmentOffset,
}

/// The frames that were copied.
pub(super) struct Copies {
    /// Where each copied frame is now.
    pub(super) places: BTreeMap<FrameNo, NewPlace>,
    /// One more than the last number of a segment.
    pub(super) end: u32,
    /// Segments that could not be read.
    pub(super) damaged: Vec<u32>,
}

/// The wanted frames of a segment as they are stored.
enum FetchedSegment {
    Frames(Vec<CopiedFrame>),
    /// The segment of this number could not be read.
    Damaged(u32),
}

struct CopiedFrame {
    number: FrameNo,
    stored: Vec<u8>,
}

/// Copies frames of one level.
pub(super) struct Copier<'run> {
    pub(super) of: BackupIn<'run>,
    pub(super) level: &'run LevelOf,
    pub(super) opener: &'run Opener,
    pub(super) compression: Compression,
    pub(super) cancel: &'run Cancel,
    /// Number of the first new segment.
    pub(super) first: u32,
}

impl Copier<'_> {
    /// Copies these frames, given by the numbers of their segments, into new segments that are as
    /// long as the level's longest.
    pub(super) fn copy(
        &self,
        chosen: &LevelToRepack<'_>,
        wanted: BTreeMap<u32, Vec<FrameRow>>,
    ) -> Result<Copies, PruneError> {
        let longest = chosen.objects.segments.values().copied().max();
        let limit = longest.unwrap_or(0).max(MIN_SEGMENT_BYTES);
        let (sender, fetched) = bounded::<Result<FetchedSegment, store::Error>>(0);
        thread::scope(|scope| {
            scope.spawn(move || self.fetch(wanted, &sender));
            let pieces = Pieces::default();
            let mut packer = Packer::new(limit).of_pieces(pieces.clone());
            let (mut places, mut damaged) = (BTreeMap::new(), Vec::new());
            for segment in fetched {
                if self.cancel.is_requested() {
                    return Err(PruneError::Interrupted(Interrupted));
                }
                match segment.map_err(PruneError::List)? {
                    FetchedSegment::Damaged(segment) => damaged.push(segment),
                    FetchedSegment::Frames(frames) => {
                        for CopiedFrame { number, stored } in frames {
                            let (place, full) =
                                packer.put(&stored).map_err(PruneError::Segments)?;
                            let segment = self.number_of(place.segment)?;
                            let offset = place.offset;
                            places.insert(number, NewPlace { segment, offset });
                            self.put(full, &pieces)?;
                        }
                    }
                }
            }
            let (last, count) = packer.finish();
            self.put(last, &pieces)?;
            Ok(Copies {
                places,
                end: self.number_of(count)?,
                damaged,
            })
        })
    }

    /// Returns the number of the `place`th new segment.
    fn number_of(&self, place: u32) -> Result<u32, PruneError> {
        self.first
            .checked_add(place)
            .ok_or(PruneError::Segments(TooManySegments))
    }

    fn put(&self, segment: Option<Segment>, pieces: &Pieces) -> Result<(), PruneError> {
        let Some(Segment { number, body }) = segment else {
            return Ok(());
        };
        let number = self.first.saturating_add(number);
        let name = self.level.data_name(Folder::Segments, number);
        self.of
            .store()
            .put(&name, &body)
            .map_err(PruneError::Store)?;
        pieces.give_back(body);
        Ok(())
    }

    /// Fetches and authenticates all wanted frames, segment after segment, ahead of the thread that
    /// stores them.
    fn fetch(
        &self,
        wanted: BTreeMap<u32, Vec<FrameRow>>,
        sender: &Sender<Result<FetchedSegment, store::Error>>,
    ) {
        for (segment, rows) in wanted {
            let fetched = match self.fetch_segment(segment, rows) {
                Err(error) if error.kind().is_damage() => {
                    tracing::warn!(
                        level = %self.level.level,
                        segment,
                        error = &error as &dyn Error,
                        "the segment cannot be read, and stays as it is"
                    );
                    Ok(FetchedSegment::Damaged(segment))
                }
                other => other,
            };
            // The thread that stores them has failed, or was asked to stop.
            if sender.send(fetched).is_err() || self.cancel.is_requested() {
                return;
            }
        }
    }

    fn fetch_segment(
        &self,
        segment: u32,
        rows: Vec<FrameRow>,
    ) -> Result<FetchedSegment, store::Error> {
        let store = self.of.store();
        let name = self.level.data_name(Folder::Segments, segment);
        let mut frames = Vec::with_capacity(rows.len());
        for batch in AdjacentFrames::split(rows) {
            let fetched = batch.fetch(store.as_ref(), &name)?;
            for row in batch.rows() {
                let stored = fetched.frame(row).unwrap_or_default();
                let expected = row.expected(self.compression);
                let verified = self.opener.verify_data(&expected, &stored);
                if let Err(error) = verified {
                    tracing::warn!(
                        object = %name,
                        error = &error as &dyn Error,
                        "a frame is damaged, and its segment stays as it is"
                    );
                    return Ok(FetchedSegment::Damaged(segment));
                }
                frames.push(CopiedFrame {
                    number: row.number,
                    stored,
                });
            }
        }
        Ok(FetchedSegment::Frames(frames))
    }
}
